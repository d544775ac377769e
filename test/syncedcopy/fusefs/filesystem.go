package fusefs

import (
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// cacheFor is how long the kernel may believe what it was told. Nothing
// changes but through this file system.
const cacheFor = time.Hour

// FileSystem serves one backing folder. It is made by New, given to
// fuse.NewServer, and asked for copies.
type FileSystem struct {
	fuse.RawFileSystem // answers "not implemented" to what is not defined here

	folder string
	forget func(path string) bool

	writes, syncs, forgotten atomic.Int64

	// mu guards everything below and the names of all nodes; see doc.go.
	mu      sync.RWMutex
	root    *node
	nodes   map[uint64]*node
	lastID  uint64
	streams map[uint64][]fuse.DirEntry // open folders
	lastFh  uint64
}

// Counts tell what the file system was asked to do since it was made.
type Counts struct {
	Writes    int64 // write operations
	Syncs     int64 // syncs of files and folders that were obeyed
	Forgotten int64 // syncs of files and folders that were forgotten
}

// New reads a folder; all that is in it counts as durable. forget is asked at
// each sync, with the path from the root of the file system, whether this sync
// is to be forgotten; nil forgets none. It is called with no lock held and by
// several goroutines.
func New(folder string, forget func(path string) bool) (*FileSystem, error) {
	folder, err := filepath.Abs(folder)
	if err != nil {
		return nil, err
	}
	if forget == nil {
		forget = func(string) bool { return false }
	}
	fs := &FileSystem{
		RawFileSystem: fuse.NewDefaultRawFileSystem(),
		folder:        folder,
		forget:        forget,
		nodes:         map[uint64]*node{},
		streams:       map[uint64][]fuse.DirEntry{},
	}
	if fs.root, err = fs.add(folder); err != nil {
		return nil, fmt.Errorf("cannot read the backing folder %s: %w", folder, err)
	}
	if !fs.root.isFolder() {
		return nil, fmt.Errorf("the backing folder %s is not a folder", folder)
	}
	if err := fs.load(fs.root, folder, map[uint64]*node{}); err != nil {
		return nil, fmt.Errorf("cannot read the backing folder %s: %w", folder, err)
	}
	return fs, nil
}

// String names the file system in the list of mounts.
func (fs *FileSystem) String() string { return "syncedcopy" }

// Counts may be called at any time.
func (fs *FileSystem) Counts() Counts {
	return Counts{Writes: fs.writes.Load(), Syncs: fs.syncs.Load(), Forgotten: fs.forgotten.Load()}
}

// find returns the node for a number that the kernel was given. The root has
// number 1 on both sides, because it is the first that New adds.
func (fs *FileSystem) find(id uint64) (*node, fuse.Status) {
	n := fs.nodes[id]
	if n == nil {
		return nil, fuse.Status(syscall.ESTALE)
	}
	return n, fuse.OK
}

// tell fills the kernel's answer about a node.
func (fs *FileSystem) tell(n *node, attr *fuse.Attr) fuse.Status {
	st, err := fs.stat(n)
	if err != nil {
		return fuse.ToStatus(err)
	}
	attr.FromStat(&st)
	return fuse.OK
}

// hand gives the kernel a reference to a node.
func (fs *FileSystem) hand(n *node, out *fuse.EntryOut) fuse.Status {
	if status := fs.tell(n, &out.Attr); status != fuse.OK {
		return status
	}
	n.lookups++
	out.NodeId = n.id
	out.Generation = 1
	out.SetEntryTimeout(cacheFor)
	out.SetAttrTimeout(cacheFor)
	return fuse.OK
}

// Forget takes references back.
func (fs *FileSystem) Forget(id, count uint64) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if n := fs.nodes[id]; n != nil {
		n.lookups -= min(count, n.lookups)
		fs.settle(n)
	}
}

// StatFs reports the room in the backing folder.
func (fs *FileSystem) StatFs(_ <-chan struct{}, _ *fuse.InHeader, out *fuse.StatfsOut) fuse.Status {
	var st syscall.Statfs_t
	if err := syscall.Statfs(fs.folder, &st); err != nil {
		return fuse.ToStatus(err)
	}
	out.FromStatfsT(&st)
	return fuse.OK
}
