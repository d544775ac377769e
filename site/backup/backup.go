package backup

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"filippo.io/age"
	"github.com/klauspost/compress/zstd"

	"mainstay/lib/fault"
	"mainstay/lib/filesys"
	"mainstay/site"
	"mainstay/site/sitedb"
)

// Names in the archive.
const (
	manifestName  = "manifest.json"
	checksumsName = "checksums.json"
	databaseName  = "site.db"
	configName    = "mainstay.yaml"
	keysFolder    = "keys/"
)

// formatVersion is the form that this package writes and the newest it reads.
const formatVersion = 1

// minPassphrase is the shortest passphrase that is accepted: the file holds
// every key of the site.
const minPassphrase = 12

// workFactor makes each guess of a passphrase cost 2^18 rounds of scrypt: about
// a second and 256 MiB of memory. A file that asks for much more is refused.
const (
	workFactor    = 18
	maxWorkFactor = 20
)

// maxEntry bounds one file of an archive when it is unpacked.
const maxEntry = 1 << 40

// Manifest says what a backup holds.
type Manifest struct {
	Format    int       `json:"format"`
	SiteCode  string    `json:"site_code"`
	SiteName  string    `json:"site_name"`
	CreatedAt time.Time `json:"created_at"`
	Program   string    `json:"program"`
}

// Source is the site to write.
type Source struct {
	DB *sitedb.DB
	// Keys is the folder of this site server's keys, Config its configuration
	// file (may be empty).
	Keys, Config string
	// Scratch is a folder on a disk with room for a copy of the database, as
	// private as the database itself.
	Scratch string
	// Program is the version of the program.
	Program string
	Now     time.Time
}

// Write writes a backup of the site to path, which must not exist. The file
// is complete and durable when it returns nil, and absent otherwise.
func Write(ctx context.Context, s Source, path, passphrase string) (Manifest, error) {
	if len(passphrase) < minPassphrase {
		return Manifest{}, fault.InvalidField("passphrase", "has %d characters; give at least %d, because the file holds every key of the site", len(passphrase), minPassphrase)
	}
	if _, err := os.Lstat(path); err == nil {
		return Manifest{}, fault.New(fault.Conflict, "%s exists already; give another name", path)
	}
	info, err := site.Load(ctx, s.DB)
	if err != nil {
		return Manifest{}, err
	}
	manifest := Manifest{Format: formatVersion, SiteCode: info.Code, SiteName: info.Name, CreatedAt: s.Now.UTC(), Program: s.Program}
	temp, err := os.MkdirTemp(s.Scratch, ".backup-*")
	if err != nil {
		return manifest, fmt.Errorf("cannot make a folder for the copy of the database: %w", err)
	}
	defer os.RemoveAll(temp)
	copied := filepath.Join(temp, databaseName)
	if err := s.DB.Snapshot(ctx, copied); err != nil {
		return manifest, err
	}
	partial, err := os.CreateTemp(filepath.Dir(path), ".backup-*.partial")
	if err != nil {
		return manifest, fmt.Errorf("cannot write the backup: %w", err)
	}
	err = errors.Join(write(partial, passphrase, func(w *archive) error { return fill(w, s, manifest, copied) }), partial.Close())
	if err == nil {
		err = os.Rename(partial.Name(), path)
	}
	if err != nil {
		return manifest, errors.Join(fmt.Errorf("cannot write backup %s: %w", path, err), os.Remove(partial.Name()))
	}
	return manifest, filesys.SyncDir(filepath.Dir(path))
}

func fill(w *archive, s Source, manifest Manifest, database string) error {
	data, err := json.Marshal(manifest)
	if err != nil {
		return fmt.Errorf("cannot encode the manifest: %w", err)
	}
	if err := w.add(manifestName, int64(len(data)), bytes.NewReader(data)); err != nil {
		return err
	}
	if s.Config != "" {
		if err := w.addFile(configName, s.Config); err != nil {
			return err
		}
	}
	if err := w.addFile(databaseName, database); err != nil {
		return err
	}
	entries, err := os.ReadDir(s.Keys)
	if err != nil {
		return fmt.Errorf("cannot read the folder of keys: %w", err)
	}
	for _, entry := range entries {
		if entry.Type().IsRegular() && !strings.HasPrefix(entry.Name(), ".") {
			if err := w.addFile(keysFolder+entry.Name(), filepath.Join(s.Keys, entry.Name())); err != nil {
				return err
			}
		}
	}
	sums, err := json.Marshal(w.sums)
	if err != nil {
		return fmt.Errorf("cannot encode the checksums: %w", err)
	}
	return w.add(checksumsName, int64(len(sums)), bytes.NewReader(sums))
}

// archive writes the layers: tar in zstd in age in a file.
type archive struct {
	tar  *tar.Writer
	sums map[string]string
}

func write(f *os.File, passphrase string, fill func(*archive) error) error {
	recipient, err := age.NewScryptRecipient(passphrase)
	if err != nil {
		return fmt.Errorf("cannot use the passphrase: %w", err)
	}
	recipient.SetWorkFactor(workFactor)
	sealed, err := age.Encrypt(f, recipient)
	if err != nil {
		return fmt.Errorf("cannot encrypt the backup: %w", err)
	}
	packed, err := zstd.NewWriter(sealed)
	if err != nil {
		return fmt.Errorf("cannot compress the backup: %w", err)
	}
	a := &archive{tar: tar.NewWriter(packed), sums: map[string]string{}}
	if err := fill(a); err != nil {
		packed.Close()
		return err
	}
	return errors.Join(a.tar.Close(), packed.Close(), sealed.Close(), f.Sync())
}

func (a *archive) add(name string, size int64, r io.Reader) error {
	header := &tar.Header{Name: name, Mode: 0o600, Size: size, Typeflag: tar.TypeReg}
	if err := a.tar.WriteHeader(header); err != nil {
		return fmt.Errorf("cannot write %s to the backup: %w", name, err)
	}
	sum := sha256.New()
	if _, err := io.Copy(io.MultiWriter(a.tar, sum), r); err != nil {
		return fmt.Errorf("cannot write %s to the backup: %w", name, err)
	}
	a.sums[name] = hex.EncodeToString(sum.Sum(nil))
	return nil
}

func (a *archive) addFile(name, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("cannot read %s for the backup: %w", path, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("cannot read %s for the backup: %w", path, err)
	}
	return a.add(name, info.Size(), f)
}
