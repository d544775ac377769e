package outbox

import (
	"io"
	"os"

	"mainstay/lib/filesys"
)

// disk is what an outbox needs of a file system. Tests take one that forgets
// what was not synced, or that fails.
type disk interface {
	// Open opens a file for reading and writing and makes it if need be.
	Open(path string) (file, error)
	Rename(from, to string) error
	Remove(path string) error
	SyncDir(dir string) error
}

type file interface {
	io.ReaderAt
	io.WriterAt
	Truncate(size int64) error
	Sync() error
	Close() error
}

// osDisk is the real one.
type osDisk struct{}

func (osDisk) Open(path string) (file, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	return f, nil
}

func (osDisk) Rename(from, to string) error { return os.Rename(from, to) }
func (osDisk) Remove(path string) error     { return os.Remove(path) }
func (osDisk) SyncDir(dir string) error     { return filesys.SyncDir(dir) }
