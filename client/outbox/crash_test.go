package outbox

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
)

// forgetful is a disk that knows what a power cut would leave: what was synced,
// under the names that were synced.
type forgetful struct {
	mu      sync.Mutex
	names   map[string]*inode
	durable map[string]*inode

	// skip leaves a kind of sync out, to see that it is needed.
	skipFile, skipDir bool
	// fail makes the next n calls of WriteAt and Sync fail.
	fail int
}

type inode struct{ synced []byte }

func newForgetful() *forgetful {
	return &forgetful{names: map[string]*inode{}, durable: map[string]*inode{}}
}

func (d *forgetful) Open(path string) (file, error) {
	f, err := osDisk{}.Open(path)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.names[path] == nil {
		d.names[path] = &inode{}
	}
	return &forgetfulFile{file: f, disk: d, path: path}, nil
}

func (d *forgetful) Rename(from, to string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.names[to] = d.names[from]
	delete(d.names, from)
	return os.Rename(from, to)
}

func (d *forgetful) Remove(path string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.names, path)
	return os.Remove(path)
}

func (d *forgetful) SyncDir(string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.skipDir {
		d.durable = maps.Clone(d.names)
	}
	return nil
}

// crash makes a folder with what a power cut leaves: of each change of a name
// that was not synced, pick decides whether it came through, in no order.
func (d *forgetful) crash(t testing.TB, pick func() bool) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	dir := t.TempDir()
	paths := maps.Clone(d.names)
	maps.Copy(paths, d.durable)
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		node := d.durable[path]
		if node != d.names[path] && pick() {
			node = d.names[path]
		}
		if node == nil {
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(path)), node.synced, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// oldNames is a crash that takes all unsynced changes of names back.
func oldNames() bool { return false }

type forgetfulFile struct {
	file
	disk *forgetful
	path string
}

func (f *forgetfulFile) WriteAt(data []byte, at int64) (int, error) {
	if f.disk.failing() {
		n, _ := f.file.WriteAt(data[:len(data)/2], at)
		return n, os.ErrPermission
	}
	return f.file.WriteAt(data, at)
}

func (f *forgetfulFile) Sync() error {
	if f.disk.failing() {
		return os.ErrPermission
	}
	data, err := os.ReadFile(f.path)
	if err != nil {
		return err
	}
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if !f.disk.skipFile {
		f.disk.names[f.path].synced = data
	}
	return nil
}

func (d *forgetful) failing() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fail > 0 {
		d.fail--
		return true
	}
	return false
}
