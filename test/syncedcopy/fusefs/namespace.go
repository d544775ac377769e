package fusefs

import (
	"os"
	"path/filepath"
	"sort"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// place finds the folder of an operation and the path of the name in the
// backing folder.
func (fs *FileSystem) place(id uint64, name string) (*node, string, fuse.Status) {
	folder, status := fs.find(id)
	switch {
	case status != fuse.OK:
		return nil, "", status
	case !folder.isFolder():
		return nil, "", fuse.ENOTDIR
	case !validName(name):
		return nil, "", fuse.EINVAL
	case len(folder.links) == 0 && folder != fs.root:
		return nil, "", fuse.ENOENT // the folder itself was removed
	}
	return folder, filepath.Join(fs.folder, folder.path(), name), fuse.OK
}

// Lookup finds a name. That a name is free is told in a form that the kernel
// may remember.
func (fs *FileSystem) Lookup(_ <-chan struct{}, header *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	folder, status := fs.find(header.NodeId)
	if status != fuse.OK {
		return status
	}
	n := folder.entries[name]
	if n == nil {
		out.SetEntryTimeout(cacheFor)
		return fuse.OK
	}
	return fs.hand(n, out)
}

// newName does what all operations that make a new object have in common.
func (fs *FileSystem) newName(header *fuse.InHeader, name string, out *fuse.EntryOut, make func(path string) error) (*node, fuse.Status) {
	folder, path, status := fs.place(header.NodeId, name)
	if status != fuse.OK {
		return nil, status
	}
	if folder.entries[name] != nil {
		return nil, fuse.Status(syscall.EEXIST)
	}
	if err := make(path); err != nil {
		return nil, fuse.ToStatus(err)
	}
	if err := fs.giveTo(folder, path, header.Owner); err != nil {
		return nil, fuse.ToStatus(err)
	}
	n, err := fs.add(path)
	if err != nil {
		return nil, fuse.ToStatus(err)
	}
	fs.point(folder, name, n, &group{})
	return n, fs.hand(n, out)
}

// giveTo makes the caller the owner of what was made for it.
func (fs *FileSystem) giveTo(folder *node, path string, owner fuse.Owner) error {
	if os.Geteuid() != 0 {
		return nil
	}
	st, err := fs.stat(folder)
	if err != nil {
		return err
	}
	gid := int(owner.Gid)
	if st.Mode&unix.S_ISGID != 0 {
		gid = -1
	}
	return os.Lchown(path, int(owner.Uid), gid)
}

// Mkdir makes a folder.
func (fs *FileSystem) Mkdir(_ <-chan struct{}, in *fuse.MkdirIn, name string, out *fuse.EntryOut) fuse.Status {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	_, status := fs.newName(&in.InHeader, name, out, func(path string) error {
		return unix.Mkdir(path, in.Mode)
	})
	return status
}

// Mknod makes an empty file, a socket, a pipe or a device.
func (fs *FileSystem) Mknod(_ <-chan struct{}, in *fuse.MknodIn, name string, out *fuse.EntryOut) fuse.Status {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	_, status := fs.newName(&in.InHeader, name, out, func(path string) error {
		return unix.Mknod(path, in.Mode, int(in.Rdev))
	})
	return status
}

// Symlink makes a symbolic link. Its target is durable with its name.
func (fs *FileSystem) Symlink(_ <-chan struct{}, header *fuse.InHeader, target, name string, out *fuse.EntryOut) fuse.Status {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	_, status := fs.newName(header, name, out, func(path string) error {
		return unix.Symlink(target, path)
	})
	return status
}

// Readlink tells where a symbolic link points.
func (fs *FileSystem) Readlink(_ <-chan struct{}, header *fuse.InHeader) ([]byte, fuse.Status) {
	fs.mu.RLock()
	defer fs.mu.RUnlock()
	n, status := fs.find(header.NodeId)
	if status != fuse.OK {
		return nil, status
	}
	return []byte(n.target), fuse.OK
}

// Link gives a file one more name.
func (fs *FileSystem) Link(_ <-chan struct{}, in *fuse.LinkIn, name string, out *fuse.EntryOut) fuse.Status {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	folder, path, status := fs.place(in.NodeId, name)
	if status != fuse.OK {
		return status
	}
	n, status := fs.find(in.Oldnodeid)
	if status != fuse.OK {
		return status
	}
	if len(n.links) == 0 {
		return fuse.ENOENT
	}
	if err := unix.Link(filepath.Join(fs.folder, n.path()), path); err != nil {
		return fuse.ToStatus(err)
	}
	fs.point(folder, name, n, &group{})
	return fs.hand(n, out)
}

// Unlink removes a name of a file.
func (fs *FileSystem) Unlink(_ <-chan struct{}, header *fuse.InHeader, name string) fuse.Status {
	return fs.remove(header, name, unix.Unlink)
}

// Rmdir removes an empty folder.
func (fs *FileSystem) Rmdir(_ <-chan struct{}, header *fuse.InHeader, name string) fuse.Status {
	return fs.remove(header, name, unix.Rmdir)
}

func (fs *FileSystem) remove(header *fuse.InHeader, name string, remove func(path string) error) fuse.Status {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	folder, path, status := fs.place(header.NodeId, name)
	if status != fuse.OK {
		return status
	}
	n := folder.entries[name]
	if n == nil {
		return fuse.ENOENT
	}
	// Without a name the content can only be read through an open file.
	if err := fs.needFile(n); err != nil {
		return fuse.ToStatus(err)
	}
	if err := remove(path); err != nil {
		fs.settle(n)
		return fuse.ToStatus(err)
	}
	fs.point(folder, name, nil, &group{})
	return fuse.OK
}

// Rename moves a name, replaces another, or exchanges two.
func (fs *FileSystem) Rename(_ <-chan struct{}, in *fuse.RenameIn, oldName, newName string) fuse.Status {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	from, oldPath, status := fs.place(in.NodeId, oldName)
	if status != fuse.OK {
		return status
	}
	to, newPath, status := fs.place(in.Newdir, newName)
	if status != fuse.OK {
		return status
	}
	n, replaced := from.entries[oldName], to.entries[newName]
	if n == nil {
		return fuse.ENOENT
	}
	if in.Flags&^(unix.RENAME_NOREPLACE|unix.RENAME_EXCHANGE) != 0 {
		return fuse.EINVAL
	}
	if replaced != nil {
		// Held, because an exchange leaves it without a name for a moment.
		replaced.held++
		defer fs.release(change{old: replaced})
		if err := fs.needFile(replaced); err != nil {
			return fuse.ToStatus(err)
		}
	}
	if err := unix.Renameat2(unix.AT_FDCWD, oldPath, unix.AT_FDCWD, newPath, uint(in.Flags)); err != nil {
		return fuse.ToStatus(err)
	}
	if replaced == n {
		return fuse.OK // two names of one file: nothing happens
	}

	// The new name first, so that the node is never without one.
	by := &group{}
	fs.point(to, newName, n, by)
	if in.Flags&unix.RENAME_EXCHANGE != 0 {
		fs.point(from, oldName, replaced, by)
	} else {
		fs.point(from, oldName, nil, by)
	}
	return fuse.OK
}

// OpenDir begins to list a folder.
func (fs *FileSystem) OpenDir(_ <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	n, status := fs.find(in.NodeId)
	if status != fuse.OK {
		return status
	}
	n.opens++
	fs.lastFh++
	fs.streams[fs.lastFh] = nil
	out.Fh = fs.lastFh
	return fuse.OK
}

// ReadDir lists a folder as it was when its first entry was read.
func (fs *FileSystem) ReadDir(_ <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	n, status := fs.find(in.NodeId)
	if status != fuse.OK {
		return status
	}
	if in.Offset == 0 {
		fs.streams[in.Fh] = list(n)
	}
	stream := fs.streams[in.Fh]
	for i := in.Offset; i < uint64(len(stream)); i++ {
		if !out.AddDirEntry(stream[i]) {
			break
		}
	}
	return fuse.OK
}

func list(folder *node) []fuse.DirEntry {
	parent := folder
	if len(folder.links) > 0 {
		parent = folder.links[0].folder
	}
	stream := []fuse.DirEntry{
		{Name: ".", Mode: unix.S_IFDIR, Ino: folder.id},
		{Name: "..", Mode: unix.S_IFDIR, Ino: parent.id},
	}
	for name, n := range folder.entries {
		stream = append(stream, fuse.DirEntry{Name: name, Mode: n.kind, Ino: n.id})
	}
	sort.Slice(stream[2:], func(i, j int) bool { return stream[2+i].Name < stream[2+j].Name })
	for i := range stream {
		stream[i].Off = uint64(i) + 1
	}
	return stream
}

// ReleaseDir ends the listing of a folder.
func (fs *FileSystem) ReleaseDir(in *fuse.ReleaseIn) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	delete(fs.streams, in.Fh)
	if n := fs.nodes[in.NodeId]; n != nil {
		n.opens--
		fs.settle(n)
	}
}

// FsyncDir makes the names of a folder durable.
func (fs *FileSystem) FsyncDir(_ <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	if forget, status := fs.forgets(in.NodeId); forget || status != fuse.OK {
		return status
	}
	fs.mu.Lock()
	defer fs.mu.Unlock()
	n, status := fs.find(in.NodeId)
	if status != fuse.OK {
		return status
	}
	st, err := fs.stat(n)
	if err != nil {
		return fuse.ToStatus(err)
	}
	n.saved = attributesOf(&st)
	fs.syncNames(n)
	fs.syncs.Add(1)
	return fuse.OK
}

// forgets asks whether a sync is to be forgotten, before any lock is taken:
// the answer may take a while, and reads must go on.
func (fs *FileSystem) forgets(id uint64) (bool, fuse.Status) {
	fs.mu.RLock()
	n, status := fs.find(id)
	if status != fuse.OK {
		fs.mu.RUnlock()
		return false, status
	}
	path := n.path()
	fs.mu.RUnlock()

	if !fs.forget(path) {
		return false, fuse.OK
	}
	fs.forgotten.Add(1)
	return true, fuse.OK
}
