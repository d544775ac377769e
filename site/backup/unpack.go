package backup

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"filippo.io/age"
	"github.com/klauspost/compress/zstd"

	"mainstay/lib/fault"
	"mainstay/lib/filesys"
)

// Unpacked is a backup that was unpacked and checked.
type Unpacked struct {
	Manifest
	// Dir holds site.db, keys/ and, where the backup has one, mainstay.yaml.
	Dir string
}

// Database is the path of the unpacked database.
func (u Unpacked) Database() string { return filepath.Join(u.Dir, databaseName) }

// Keys is the folder of the unpacked keys.
func (u Unpacked) Keys() string { return filepath.Join(u.Dir, "keys") }

// Config is the path of the unpacked configuration.
func (u Unpacked) Config() string { return filepath.Join(u.Dir, configName) }

// Unpack unpacks the backup at path into a new folder inside parent and checks
// every file. When it fails nothing is left behind.
func Unpack(path, passphrase, parent string) (Unpacked, error) {
	dir, err := os.MkdirTemp(parent, ".restore-*")
	if err != nil {
		return Unpacked{}, fmt.Errorf("cannot make a folder to unpack into: %w", err)
	}
	u, err := unpackInto(path, passphrase, dir)
	if err != nil {
		return Unpacked{}, errors.Join(err, os.RemoveAll(dir))
	}
	return u, nil
}

func unpackInto(path, passphrase, dir string) (Unpacked, error) {
	f, err := os.Open(path)
	if err != nil {
		return Unpacked{}, fault.Wrap(fault.NotFound, err, "cannot open backup %s", path)
	}
	defer f.Close()
	identity, err := age.NewScryptIdentity(passphrase)
	if err != nil {
		return Unpacked{}, fault.InvalidField("passphrase", "is empty")
	}
	plain, err := age.Decrypt(f, identity)
	var wrong *age.NoIdentityMatchError
	switch {
	case errors.As(err, &wrong):
		return Unpacked{}, fault.New(fault.Denied, "the passphrase is not that of backup %s", path)
	case err != nil:
		return Unpacked{}, fault.Wrap(fault.Invalid, err, "%s is no backup of a site", path)
	}
	unpacked, err := zstd.NewReader(plain, zstd.WithDecoderMaxMemory(64<<20))
	if err != nil {
		return Unpacked{}, fmt.Errorf("cannot decompress the backup: %w", err)
	}
	defer unpacked.Close()
	u, err := extract(tar.NewReader(unpacked), dir)
	var known *fault.Error
	if err != nil && !errors.As(err, &known) {
		return u, fault.Wrap(fault.Invalid, err, "backup %s is damaged", path)
	}
	return u, err
}

// extract writes the entries and compares them with the checksums at the end.
func extract(r *tar.Reader, dir string) (Unpacked, error) {
	u := Unpacked{Dir: dir}
	if err := os.Mkdir(u.Keys(), 0o700); err != nil {
		return u, err
	}
	sums := map[string]string{}
	for {
		header, err := r.Next()
		if err == io.EOF {
			return u, fault.New(fault.Invalid, "the backup ends before its checksums; it was cut off")
		}
		if err != nil {
			return u, err
		}
		if header.Name == checksumsName {
			return u, checkSums(r, sums, u)
		}
		if sums[header.Name], err = extractFile(r, header, dir); err != nil {
			return u, err
		}
		if header.Name == manifestName {
			if err := readManifest(dir, &u.Manifest); err != nil {
				return u, err
			}
		}
	}
}

func extractFile(r io.Reader, header *tar.Header, dir string) (string, error) {
	base := strings.TrimPrefix(header.Name, keysFolder)
	known := header.Name == manifestName || header.Name == databaseName || header.Name == configName || base != header.Name
	if header.Typeflag != tar.TypeReg || !known || base == "" || strings.ContainsAny(base, `/\`) || strings.HasPrefix(base, ".") {
		return "", fault.New(fault.Invalid, "the backup holds %q, which no backup of a site does", header.Name)
	}
	f, err := os.OpenFile(filepath.Join(dir, filepath.FromSlash(header.Name)), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return "", fmt.Errorf("cannot unpack %s: %w", header.Name, err)
	}
	sum := sha256.New()
	_, err = io.Copy(io.MultiWriter(f, sum), io.LimitReader(r, maxEntry))
	return hex.EncodeToString(sum.Sum(nil)), errors.Join(err, f.Sync(), f.Close())
}

func readManifest(dir string, m *Manifest) error {
	data, err := filesys.ReadFile(filepath.Join(dir, manifestName), 1<<20)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, m); err != nil {
		return fault.Wrap(fault.Invalid, err, "the backup's manifest cannot be read")
	}
	if m.Format < 1 || m.Format > formatVersion {
		return fault.New(fault.Invalid, "the backup has format %d and this program reads up to %d; use a newer program", m.Format, formatVersion)
	}
	return nil
}

func checkSums(r io.Reader, got map[string]string, u Unpacked) error {
	want := map[string]string{}
	if err := json.NewDecoder(io.LimitReader(r, 1<<20)).Decode(&want); err != nil {
		return fault.Wrap(fault.Invalid, err, "the backup's checksums cannot be read")
	}
	for name, sum := range want {
		if got[name] != sum {
			return fault.New(fault.Invalid, "%s of the backup is not what was written; the backup is damaged", name)
		}
	}
	if len(want) != len(got) || want[databaseName] == "" || u.Format == 0 {
		return fault.New(fault.Invalid, "the backup lacks its database or manifest, or holds files without a checksum")
	}
	return filesys.SyncDir(u.Dir)
}
