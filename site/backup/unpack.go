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

// maxDescription bounds the manifest and the configuration.
const maxDescription = 1 << 20

// Unpacked is a backup that was unpacked and checked.
type Unpacked struct {
	Manifest
	// Configuration is the configuration file of the site; nil where the backup
	// has none.
	Configuration []byte
	// Dir holds site.db and keys/.
	Dir string
}

// Database is the path of the unpacked database.
func (u Unpacked) Database() string { return filepath.Join(u.Dir, databaseName) }

// Keys is the folder of the unpacked keys.
func (u Unpacked) Keys() string { return filepath.Join(u.Dir, "keys") }

// Place is asked, once the passphrase was found right and before anything is
// written, in which folder to unpack. Its error is that of Unpack.
type Place func(m Manifest, configuration []byte) (parent string, err error)

// Unpack unpacks the backup at path into a new folder inside the one that
// place names, and checks every file. When it fails nothing is left behind.
func Unpack(path, passphrase string, place Place) (Unpacked, error) {
	f, err := os.Open(path)
	if err != nil {
		return Unpacked{}, fault.Wrap(fault.NotFound, err, "cannot open backup %s", path)
	}
	defer f.Close()
	plain, err := open(f, path, passphrase)
	if err != nil {
		return Unpacked{}, err
	}
	defer plain.Close()
	u, err := extract(tar.NewReader(plain), place)
	if err == nil {
		return u, nil
	}
	if u.Dir != "" {
		err = errors.Join(err, os.RemoveAll(u.Dir))
	}
	var known *fault.Error
	if !errors.As(err, &known) {
		err = fault.Wrap(fault.Invalid, err, "backup %s is damaged", path)
	}
	return Unpacked{}, err
}

// open decrypts and decompresses.
func open(f io.Reader, path, passphrase string) (*zstd.Decoder, error) {
	identity, err := age.NewScryptIdentity(passphrase)
	if err != nil {
		return nil, fault.InvalidField("passphrase", "is empty")
	}
	identity.SetMaxWorkFactor(maxWorkFactor)
	plain, err := age.Decrypt(f, identity)
	var wrong *age.NoIdentityMatchError
	switch {
	case errors.As(err, &wrong):
		return nil, fault.New(fault.Denied, "the passphrase is not that of backup %s, or the beginning of the file is damaged", path)
	case err != nil:
		return nil, fault.Wrap(fault.Invalid, err, "%s is no backup of a site, or is damaged", path)
	}
	unpacked, err := zstd.NewReader(plain, zstd.WithDecoderMaxMemory(64<<20))
	if err != nil {
		return nil, fmt.Errorf("cannot decompress the backup: %w", err)
	}
	return unpacked, nil
}

// extract writes the entries and compares them with the checksums at the end.
// What it returns has a Dir from the moment when there is one.
func extract(r *tar.Reader, place Place) (Unpacked, error) {
	var u Unpacked
	sums := map[string]string{}
	for {
		header, err := r.Next()
		if err == io.EOF {
			return u, fault.New(fault.Invalid, "the backup ends before its checksums; it was cut off")
		}
		if err != nil {
			return u, err
		}
		name := header.Name
		if name != manifestName && u.Format == 0 {
			return u, fault.New(fault.Invalid, "the backup does not begin with its manifest")
		}
		switch name {
		case checksumsName:
			return u, checkSums(r, sums, u)
		case manifestName, configName:
			sums[name], err = u.describe(r, name)
		default:
			if u.Dir == "" {
				err = u.settle(place)
			}
			if err == nil {
				sums[name], err = extractFile(r, header, u.Dir)
			}
		}
		if err != nil {
			return u, err
		}
	}
}

// describe reads what comes before the files that are written.
func (u *Unpacked) describe(r io.Reader, name string) (sum string, err error) {
	data, err := io.ReadAll(io.LimitReader(r, maxDescription+1))
	if err != nil {
		return "", err
	}
	if len(data) > maxDescription || u.Dir != "" {
		return "", fault.New(fault.Invalid, "%s of the backup is too long or not at its place", name)
	}
	if name == configName {
		u.Configuration = data
	} else if err := readManifest(data, &u.Manifest); err != nil {
		return "", err
	}
	hash := sha256.Sum256(data)
	return hex.EncodeToString(hash[:]), nil
}

// settle makes the folder that is unpacked into.
func (u *Unpacked) settle(place Place) error {
	parent, err := place(u.Manifest, u.Configuration)
	if err != nil {
		return err
	}
	if u.Dir, err = os.MkdirTemp(parent, ".restore-*"); err != nil {
		return fault.Wrap(fault.Unavailable, err, "cannot make a folder to unpack into")
	}
	return os.Mkdir(u.Keys(), 0o700)
}

func extractFile(r io.Reader, header *tar.Header, dir string) (string, error) {
	base := strings.TrimPrefix(header.Name, keysFolder)
	known := header.Name == databaseName || base != header.Name
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

func readManifest(data []byte, m *Manifest) error {
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
	if u.Dir == "" {
		return fault.New(fault.Invalid, "the backup holds no files")
	}
	if err := json.NewDecoder(io.LimitReader(r, 1<<20)).Decode(&want); err != nil {
		return fault.Wrap(fault.Invalid, err, "the backup's checksums cannot be read")
	}
	for name, sum := range want {
		if got[name] != sum {
			return fault.New(fault.Invalid, "%s of the backup is not what was written; the backup is damaged", name)
		}
	}
	if len(want) != len(got) || want[databaseName] == "" {
		return fault.New(fault.Invalid, "the backup lacks its database, or holds files without a checksum")
	}
	return filesys.SyncDir(u.Dir)
}
