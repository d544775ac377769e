package fusefs

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// node is a file, folder or other object, whatever names it has.
type node struct {
	id   uint64
	kind uint32 // the S_IFMT part of the mode

	// FileSystem.mu guards what follows.
	links   []link            // present names
	last    string            // path under its last name, once it has none
	entries map[string]*node  // folder: present names
	changed map[string]change // folder: names changed since its last sync
	held    int               // how many changed names stood for this node
	lookups uint64            // references held by the kernel
	opens   int
	file    *os.File // regular file: while open, or needed without a name
	target  string   // symbolic link
	device  int      // device number of a special file

	// data guards what follows; whoever holds FileSystem.mu for writing may
	// do without.
	data  sync.Mutex
	pages pages
	saved attributes
}

type link struct {
	folder *node
	name   string
}

// attributes are the durable ones: those at creation and at each sync.
type attributes struct {
	mode     uint32 // permission bits only
	uid, gid uint32
}

func (n *node) isFolder() bool { return n.kind == unix.S_IFDIR }
func (n *node) isFile() bool   { return n.kind == unix.S_IFREG }

// path is relative to the root of the file system, "." for the root itself.
// A node with several names has the one that was given first; one without a
// name has the one that it lost last.
func (n *node) path() string {
	if len(n.links) == 0 {
		if n.last == "" {
			return "."
		}
		return n.last
	}
	l := n.links[0]
	if parent := l.folder.path(); parent != "." {
		return parent + "/" + l.name
	}
	return l.name
}

func (n *node) dropLink(folder *node, name string) {
	for i, l := range n.links {
		if l.folder != folder || l.name != name {
			continue
		}
		if len(n.links) == 1 {
			n.last = n.path()
		}
		n.links = append(n.links[:i], n.links[i+1:]...)
		return
	}
}

// where returns a path for system calls on the node and the flags that keep
// them from following it when it is a symbolic link.
func (fs *FileSystem) where(n *node) (string, int, error) {
	if n.file != nil {
		return fmt.Sprintf("/proc/self/fd/%d", n.file.Fd()), 0, nil
	}
	if len(n.links) == 0 && n != fs.root {
		return "", 0, syscall.ESTALE
	}
	return filepath.Join(fs.folder, n.path()), unix.AT_SYMLINK_NOFOLLOW, nil
}

func (fs *FileSystem) stat(n *node) (syscall.Stat_t, error) {
	var st syscall.Stat_t
	path, flags, err := fs.where(n)
	switch {
	case err != nil:
		// A folder that was removed while somebody stands in it.
		st.Mode, st.Uid, st.Gid = n.kind|n.saved.mode, n.saved.uid, n.saved.gid
	case flags == 0:
		err = syscall.Stat(path, &st)
	default:
		err = syscall.Lstat(path, &st)
	}
	if err != nil && err != syscall.ESTALE {
		return st, err
	}
	st.Ino = n.id
	return st, nil
}

// needFile opens the node's file unless it is open.
func (fs *FileSystem) needFile(n *node) error {
	if n.file != nil || !n.isFile() {
		return nil
	}
	path, _, err := fs.where(n)
	if err != nil {
		return err
	}
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	n.file = os.NewFile(uintptr(fd), path)
	return nil
}

// settle closes what is no longer needed of a node and forgets a node that
// nothing refers to.
func (fs *FileSystem) settle(n *node) {
	if n.opens == 0 && n.file != nil && (len(n.links) > 0 || n.held == 0) {
		n.file.Close()
		n.file = nil
	}
	if n == fs.root || len(n.links) > 0 || n.held > 0 || n.opens > 0 || n.lookups > 0 {
		return
	}
	delete(fs.nodes, n.id)
	for name, c := range n.changed {
		delete(n.changed, name)
		fs.release(c)
	}
}

// add makes a node for an object of the backing folder that has just been
// found or made, without a name yet.
func (fs *FileSystem) add(path string) (*node, error) {
	var st syscall.Stat_t
	if err := syscall.Lstat(path, &st); err != nil {
		return nil, err
	}
	fs.lastID++
	n := &node{
		id:     fs.lastID,
		kind:   st.Mode & unix.S_IFMT,
		device: int(st.Rdev),
		saved:  attributesOf(&st),
	}
	switch n.kind {
	case unix.S_IFDIR:
		n.entries = map[string]*node{}
		n.changed = map[string]change{}
	case unix.S_IFREG:
		n.pages.size = st.Size
	case unix.S_IFLNK:
		target, err := os.Readlink(path)
		if err != nil {
			return nil, err
		}
		n.target = target
	}
	fs.nodes[n.id] = n
	return n, nil
}

func attributesOf(st *syscall.Stat_t) attributes {
	return attributes{mode: st.Mode &^ unix.S_IFMT, uid: st.Uid, gid: st.Gid}
}

// load reads the backing folder below a folder node. What is there at the
// start is durable.
func (fs *FileSystem) load(folder *node, path string, inodes map[uint64]*node) error {
	entries, err := os.ReadDir(path)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		full := filepath.Join(path, entry.Name())
		n, err := fs.loadOne(full, inodes)
		if err != nil {
			return err
		}
		folder.entries[entry.Name()] = n
		n.links = append(n.links, link{folder, entry.Name()})
		if n.isFolder() {
			if err := fs.load(n, full, inodes); err != nil {
				return err
			}
		}
	}
	return nil
}

// loadOne gives the names of one object one node.
func (fs *FileSystem) loadOne(path string, inodes map[uint64]*node) (*node, error) {
	var st syscall.Stat_t
	if err := syscall.Lstat(path, &st); err != nil {
		return nil, err
	}
	if n := inodes[st.Ino]; n != nil {
		return n, nil
	}
	n, err := fs.add(path)
	if err != nil {
		return nil, err
	}
	n.pages.durable = n.pages.size
	if !n.isFolder() && st.Nlink > 1 {
		inodes[st.Ino] = n
	}
	return n, nil
}

// validName refuses what the kernel never sends.
func validName(name string) bool {
	return name != "" && name != "." && name != ".." && !strings.Contains(name, "/")
}
