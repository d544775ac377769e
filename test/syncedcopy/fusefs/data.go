package fusefs

import (
	"errors"
	"io"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// Create makes a file and opens it.
func (fs *FileSystem) Create(_ <-chan struct{}, in *fuse.CreateIn, name string, out *fuse.CreateOut) fuse.Status {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	folder, status := fs.find(in.NodeId)
	if status != fuse.OK {
		return status
	}
	n := folder.entries[name]
	switch {
	case n != nil && in.Flags&unix.O_EXCL != 0:
		return fuse.Status(syscall.EEXIST)
	case n != nil:
		status = fs.hand(n, &out.EntryOut)
	default:
		n, status = fs.newName(&in.InHeader, name, &out.EntryOut, func(path string) error {
			fd, err := unix.Open(path, unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY|unix.O_CLOEXEC, in.Mode&^unix.S_IFMT)
			if err != nil {
				return err
			}
			return unix.Close(fd)
		})
	}
	if status != fuse.OK {
		return status
	}
	return fs.open(n, in.Flags, &out.OpenOut)
}

// Open opens a file that is there.
func (fs *FileSystem) Open(_ <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	n, status := fs.find(in.NodeId)
	if status != fuse.OK {
		return status
	}
	return fs.open(n, in.Flags, out)
}

// open keeps one open backing file per node, whatever the number of openings:
// the kernel has checked the rights, and sends each write with its offset.
func (fs *FileSystem) open(n *node, flags uint32, out *fuse.OpenOut) fuse.Status {
	if err := fs.needFile(n); err != nil {
		return fuse.ToStatus(err)
	}
	if flags&unix.O_TRUNC != 0 {
		if err := n.resize(0); err != nil {
			fs.settle(n)
			return fuse.ToStatus(err)
		}
	}
	n.opens++
	out.OpenFlags = fuse.FOPEN_KEEP_CACHE
	return fuse.OK
}

// Release ends one opening.
func (fs *FileSystem) Release(_ <-chan struct{}, in *fuse.ReleaseIn) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if n := fs.nodes[in.NodeId]; n != nil {
		n.opens--
		fs.settle(n)
	}
}

// Flush has nothing to do, and saves the kernel from asking again.
func (fs *FileSystem) Flush(<-chan struct{}, *fuse.FlushIn) fuse.Status { return fuse.ENOSYS }

// opened finds the node of an operation on an open file.
func (fs *FileSystem) opened(id uint64) (*node, fuse.Status) {
	n, status := fs.find(id)
	if status == fuse.OK && n.file == nil {
		return nil, fuse.EBADF
	}
	return n, status
}

// Read reads the present content.
func (fs *FileSystem) Read(_ <-chan struct{}, in *fuse.ReadIn, buffer []byte) (fuse.ReadResult, fuse.Status) {
	fs.mu.RLock()
	defer fs.mu.RUnlock()
	n, status := fs.opened(in.NodeId)
	if status != fuse.OK {
		return nil, status
	}
	read, err := n.file.ReadAt(buffer[:min(len(buffer), int(in.Size))], int64(in.Offset))
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fuse.ToStatus(err)
	}
	return fuse.ReadResultData(buffer[:read]), fuse.OK
}

// Writev writes, keeping the durable content of the pages it changes.
func (fs *FileSystem) Writev(_ <-chan struct{}, in *fuse.WriteIn, data [][]byte) (uint32, fuse.Status) {
	fs.mu.RLock()
	defer fs.mu.RUnlock()
	n, status := fs.opened(in.NodeId)
	if status != fuse.OK {
		return 0, status
	}
	fs.writes.Add(1)
	n.data.Lock()
	defer n.data.Unlock()
	var total uint32
	for _, part := range data {
		written, err := n.pages.write(n.file, n.file, part, int64(in.Offset)+int64(total))
		total += uint32(written)
		if err != nil {
			return total, fuse.ToStatus(err)
		}
	}
	return total, fuse.OK
}

// Fsync makes the content of a file durable; its names are the folder's.
func (fs *FileSystem) Fsync(_ <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	if forget, status := fs.forgets(in.NodeId); forget || status != fuse.OK {
		return status
	}
	fs.mu.RLock()
	defer fs.mu.RUnlock()
	n, status := fs.find(in.NodeId)
	if status != fuse.OK {
		return status
	}
	n.data.Lock()
	defer n.data.Unlock()
	st, err := fs.stat(n)
	if err != nil {
		return fuse.ToStatus(err)
	}
	n.saved = attributesOf(&st)
	n.pages.sync()
	fs.syncs.Add(1)
	return fuse.OK
}

// resize changes the length; the file is open.
func (n *node) resize(size int64) error {
	n.data.Lock()
	defer n.data.Unlock()
	if err := n.pages.cut(n.file, size); err != nil {
		return err
	}
	if err := n.file.Truncate(size); err != nil {
		return err
	}
	n.pages.size = size
	return nil
}

// Fallocate reserves room, or clears a range.
func (fs *FileSystem) Fallocate(_ <-chan struct{}, in *fuse.FallocateIn) fuse.Status {
	const clears = unix.FALLOC_FL_PUNCH_HOLE | unix.FALLOC_FL_ZERO_RANGE
	if in.Mode&^(unix.FALLOC_FL_KEEP_SIZE|clears) != 0 {
		return fuse.Status(syscall.EOPNOTSUPP)
	}
	fs.mu.RLock()
	defer fs.mu.RUnlock()
	n, status := fs.opened(in.NodeId)
	if status != fuse.OK {
		return status
	}
	n.data.Lock()
	defer n.data.Unlock()
	from, to := int64(in.Offset), int64(in.Offset+in.Length)
	if in.Mode&clears != 0 {
		if err := n.pages.keep(n.file, from, min(to, n.pages.size)); err != nil {
			return fuse.ToStatus(err)
		}
	}
	if err := unix.Fallocate(int(n.file.Fd()), in.Mode, from, to-from); err != nil {
		return fuse.ToStatus(err)
	}
	if in.Mode&unix.FALLOC_FL_KEEP_SIZE == 0 {
		n.pages.size = max(n.pages.size, to)
	}
	return fuse.OK
}

// GetAttr tells length, times, owner and mode.
func (fs *FileSystem) GetAttr(_ <-chan struct{}, in *fuse.GetAttrIn, out *fuse.AttrOut) fuse.Status {
	fs.mu.RLock()
	defer fs.mu.RUnlock()
	n, status := fs.find(in.NodeId)
	if status != fuse.OK {
		return status
	}
	out.SetTimeout(cacheFor)
	return fs.tell(n, &out.Attr)
}

// SetAttr changes length, times, owner and mode.
func (fs *FileSystem) SetAttr(_ <-chan struct{}, in *fuse.SetAttrIn, out *fuse.AttrOut) fuse.Status {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	n, status := fs.find(in.NodeId)
	if status != fuse.OK {
		return status
	}
	if err := fs.setAttributes(n, in); err != nil {
		return fuse.ToStatus(err)
	}
	out.SetTimeout(cacheFor)
	return fs.tell(n, &out.Attr)
}

func (fs *FileSystem) setAttributes(n *node, in *fuse.SetAttrIn) error {
	if size, ok := in.GetSize(); ok {
		if err := fs.needFile(n); err != nil {
			return err
		}
		defer fs.settle(n)
		if err := n.resize(int64(size)); err != nil {
			return err
		}
	}
	path, flags, err := fs.where(n)
	if err != nil {
		return err
	}
	uid, newUID := in.GetUID()
	gid, newGID := in.GetGID()
	if newUID || newGID {
		if err := unix.Fchownat(unix.AT_FDCWD, path, int(int32(uid)), int(int32(gid)), flags); err != nil {
			return err
		}
	}
	if mode, ok := in.GetMode(); ok {
		if err := unix.Fchmodat(unix.AT_FDCWD, path, mode, 0); err != nil {
			return err
		}
	}
	atime, newAtime := in.GetATime()
	mtime, newMtime := in.GetMTime()
	if !newAtime && !newMtime {
		return nil
	}
	times := []unix.Timespec{{Nsec: unix.UTIME_OMIT}, {Nsec: unix.UTIME_OMIT}}
	if newAtime {
		times[0] = unix.NsecToTimespec(atime.UnixNano())
	}
	if newMtime {
		times[1] = unix.NsecToTimespec(mtime.UnixNano())
	}
	return unix.UtimesNanoAt(unix.AT_FDCWD, path, times, flags)
}
