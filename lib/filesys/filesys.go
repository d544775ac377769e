// Package filesys writes files so that they are whole after a crash, and reads
// them with a bound. It knows no format and no owner of a file.
package filesys

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"mainstay/lib/fault"
)

// WriteFile puts data at path so that after a crash at any moment the file has
// either its old content or the new one, and has the new one for good when
// WriteFile has returned nil: temporary file, fsync, rename, fsync of the folder.
func WriteFile(path string, data []byte, mode os.FileMode) error {
	temp, err := writeTemp(path, data, mode)
	if err != nil {
		return err
	}
	if err := os.Rename(temp, path); err != nil {
		os.Remove(temp)
		return fmt.Errorf("cannot replace %s: %w", path, err)
	}
	return SyncDir(filepath.Dir(path))
}

func writeTemp(path string, data []byte, mode os.FileMode) (string, error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return "", fmt.Errorf("cannot write %s: %w", path, err)
	}
	err = errors.Join(f.Chmod(mode), writeAll(f, data), f.Sync(), f.Close())
	if err != nil {
		os.Remove(f.Name())
		return "", fmt.Errorf("cannot write %s: %w", path, err)
	}
	return f.Name(), nil
}

func writeAll(w io.Writer, data []byte) error {
	_, err := w.Write(data)
	return err
}

// SyncDir makes the names in a folder durable.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("cannot open folder %s: %w", dir, err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("cannot make folder %s durable: %w", dir, err)
	}
	return nil
}

// MakeDir makes a folder and its parents, and makes the new names durable.
func MakeDir(path string, mode os.FileMode) error {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return nil
	}
	parent := filepath.Dir(path)
	if parent != path {
		if err := MakeDir(parent, mode); err != nil {
			return err
		}
	}
	if err := os.Mkdir(path, mode); err != nil && !errors.Is(err, os.ErrExist) {
		return fmt.Errorf("cannot make folder %s: %w", path, err)
	}
	return SyncDir(parent)
}

// Remove removes a file for good. A file that is not there is no error.
func Remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("cannot remove %s: %w", path, err)
	}
	return SyncDir(filepath.Dir(path))
}

// ReadFile reads a file of at most limit bytes. A longer one is an Invalid
// error; an absent one satisfies errors.Is(err, os.ErrNotExist).
func ReadFile(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", path, err)
	}
	if int64(len(data)) > limit {
		return nil, fault.New(fault.Invalid, "%s is larger than %d bytes", path, limit)
	}
	return data, nil
}

// Lock takes the folder for this process alone until the returned function is
// called or the process ends. A folder that another process holds is a
// Conflict.
func Lock(dir string) (unlock func() error, err error) {
	path := filepath.Join(dir, ".lock")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("cannot lock folder %s: %w", dir, err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, fault.New(fault.Conflict, "folder %s is in use by another running process", dir)
	}
	return f.Close, nil
}
