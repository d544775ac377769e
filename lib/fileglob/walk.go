package fileglob

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Walk says how to walk.
type Walk struct {
	// Root is the folder that stands for /; empty means /.
	Root string
	// Skip names folders that are not entered, such as mounts of file servers;
	// absolute and clean. /dev, /proc and /sys are never entered.
	Skip []string
	// MaxEntries bounds the names that are looked at; 0 means 1,000,000.
	MaxEntries int
	// MaxDepth bounds how deep folders lie within each other; 0 means 64.
	MaxDepth int
}

// ErrTooMany says that a walk has looked at as many names as it may.
var ErrTooMany = errors.New("too many files and folders to look at")

// Found is a regular file that matches. It is valid during the call that
// brings it.
type Found struct {
	// Path is its absolute path within the root.
	Path string
	// Stat is what the system says of it.
	Stat unix.Stat_t

	folder int
	name   string
}

// Open opens the file that was found for reading. It fails when another file,
// a link or a device has taken the name in the meantime.
func (f *Found) Open() (*os.File, error) {
	fd, err := retry(func() (int, error) {
		return unix.Openat(f.folder, f.name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	})
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: f.Path, Err: err}
	}
	file := os.NewFile(uintptr(fd), f.Path)
	var now unix.Stat_t
	if err := unix.Fstat(fd, &now); err != nil {
		return nil, errors.Join(&fs.PathError{Op: "stat", Path: f.Path, Err: err}, file.Close())
	}
	if now.Mode&unix.S_IFMT != unix.S_IFREG || now.Ino != f.Stat.Ino || now.Dev != f.Stat.Dev {
		return nil, errors.Join(fmt.Errorf("%s was replaced while it was read", f.Path), file.Close())
	}
	return file, nil
}

// Files calls visit for every regular file that matches, folder by folder in
// the order of the names. Folders that may not be read are passed over. A link
// is followed only where it lies directly under / (as /bin on most systems):
// whoever may write there may write everywhere. An error of visit ends the walk
// and is returned.
func (w Walk) Files(ctx context.Context, p Pattern, visit func(*Found) error) error {
	if len(p.segments) == 0 {
		return nil
	}
	if w.Root == "" {
		w.Root = "/"
	}
	if w.MaxEntries == 0 {
		w.MaxEntries = 1_000_000
	}
	if w.MaxDepth == 0 {
		w.MaxDepth = 64
	}
	root, err := retry(func() (int, error) {
		return unix.Open(w.Root, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	})
	if err != nil {
		return &fs.PathError{Op: "open", Path: w.Root, Err: err}
	}
	walker := walker{Walk: w, ctx: ctx, pattern: p, visit: visit}
	return walker.folder(os.NewFile(uintptr(root), w.Root), "/", p.start(), 0)
}

type walker struct {
	Walk
	ctx     context.Context
	pattern Pattern
	visit   func(*Found) error
	seen    int
}

// folder looks at one open folder and closes it.
func (w *walker) folder(dir *os.File, at string, reached states, depth int) error {
	defer dir.Close()
	if name, ok := w.pattern.only(reached); ok {
		return w.entry(dir, at, name, reached, depth)
	}
	names, err := w.names(dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := w.entry(dir, at, name, reached, depth); err != nil {
			return err
		}
	}
	return nil
}

// names reads a folder in pieces, so that one with millions of names meets the
// limit before it fills the memory.
func (w *walker) names(dir *os.File) ([]string, error) {
	var names []string
	for {
		some, err := dir.Readdirnames(1024)
		names = append(names, some...)
		if w.seen+len(names) > w.MaxEntries {
			return nil, fmt.Errorf("%w: more than %d", ErrTooMany, w.MaxEntries)
		}
		if ctxErr := w.ctx.Err(); ctxErr != nil {
			return nil, ctxErr
		}
		if err != nil || len(some) == 0 {
			// A folder that vanishes or fails half-way has no more names.
			slices.Sort(names)
			return names, nil
		}
	}
}

func (w *walker) entry(dir *os.File, at, name string, reached states, depth int) error {
	if w.seen++; w.seen > w.MaxEntries {
		return fmt.Errorf("%w: more than %d", ErrTooMany, w.MaxEntries)
	}
	if w.seen%256 == 0 {
		if err := w.ctx.Err(); err != nil {
			return err
		}
	}
	next := w.pattern.step(reached, name)
	if next == 0 {
		return nil
	}
	found := Found{Path: path.Join(at, name), folder: int(dir.Fd()), name: name}
	if err := unix.Fstatat(found.folder, name, &found.Stat, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return nil
	}
	switch kind := found.Stat.Mode & unix.S_IFMT; {
	case kind == unix.S_IFREG && w.pattern.final(next):
		return w.visit(&found)
	case kind == unix.S_IFDIR, kind == unix.S_IFLNK && at == "/":
		if w.pattern.more(next) && depth < w.MaxDepth && !w.skipped(found.Path) {
			return w.enter(&found, kind == unix.S_IFLNK, next, depth)
		}
	}
	return nil
}

func (w *walker) enter(found *Found, link bool, next states, depth int) error {
	name, flags := found.name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NONBLOCK|unix.O_CLOEXEC
	if link {
		target, ok := topLink(found)
		if !ok || w.skipped("/"+target) {
			return nil
		}
		name = target
	}
	fd, err := retry(func() (int, error) { return unix.Openat(found.folder, name, flags|unix.O_NOFOLLOW, 0) })
	if err != nil {
		return nil
	}
	return w.folder(os.NewFile(uintptr(fd), found.Path), found.Path, next, depth+1)
}

// topLink is where a link directly under / leads, without its leading /: a
// path of plain names below the root.
func topLink(found *Found) (string, bool) {
	var buffer [512]byte
	n, err := unix.Readlinkat(found.folder, found.name, buffer[:])
	if err != nil || n == len(buffer) {
		return "", false
	}
	target := strings.TrimPrefix(path.Clean(string(buffer[:n])), "/")
	return target, target != "." && target != ".." && !strings.HasPrefix(target, "../")
}

func (w *walker) skipped(folder string) bool {
	return slices.Contains(hidden[:], folder) || slices.Contains(w.Skip, folder)
}

// retry repeats a call that a signal has interrupted.
func retry(call func() (int, error)) (int, error) {
	for {
		n, err := call()
		if err != unix.EINTR {
			return n, err
		}
	}
}
