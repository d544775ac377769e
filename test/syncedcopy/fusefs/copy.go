package fusefs

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sort"

	"golang.org/x/sys/unix"
)

// Copy writes into dest, which must be missing or empty, the tree that a power
// cut would leave now. No operation of the file system happens meanwhile.
//
// With torn nil nothing survives but what was synced. Otherwise torn decides
// for each unsynced change whether it survives all the same.
func (fs *FileSystem) Copy(dest string, torn *rand.Rand) error {
	if err := os.MkdirAll(dest, 0o755); err != nil {
		return err
	}
	if left, err := os.ReadDir(dest); err != nil {
		return err
	} else if len(left) > 0 {
		return fmt.Errorf("the folder %s is not empty: give one that is missing or empty", dest)
	}

	fs.mu.Lock()
	defer fs.mu.Unlock()
	c := copier{fs: fs, torn: torn, fates: map[*group]bool{}, copied: map[*node]string{}, inside: map[*node]bool{}}
	return c.folder(fs.root, dest)
}

// copier is one copy under way.
type copier struct {
	fs     *FileSystem
	torn   *rand.Rand
	fates  map[*group]bool  // which groups of changed names survive
	copied map[*node]string // files, for those with several names
	inside map[*node]bool   // folders being copied
}

// coin says whether one unsynced change survives.
func (c *copier) coin() bool { return c.torn != nil && c.torn.IntN(2) == 1 }

func (c *copier) survives(g *group) bool {
	root := g.root()
	fate, known := c.fates[root]
	if !known {
		fate = c.coin()
		c.fates[root] = fate
	}
	return fate
}

// folder fills dest, which is there and empty.
func (c *copier) folder(n *node, dest string) error {
	// Two folders that were moved into each other, each synced alone, can
	// contain each other durably. What would repeat for ever is left out.
	if c.inside[n] {
		return nil
	}
	c.inside[n] = true
	defer delete(c.inside, n)

	entries := c.entries(n)
	names := make([]string, 0, len(entries))
	for name := range entries {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		if err := c.object(entries[name], filepath.Join(dest, name)); err != nil {
			return err
		}
	}
	return dress(n, dest)
}

// entries are the names of a folder after the power cut.
func (c *copier) entries(n *node) map[string]*node {
	entries := make(map[string]*node, len(n.entries))
	for name, present := range n.entries {
		entries[name] = present
	}
	names := make([]string, 0, len(n.changed))
	for name := range n.changed {
		names = append(names, name)
	}
	sort.Strings(names) // so that a seed means the same each time
	for _, name := range names {
		change := n.changed[name]
		switch {
		case c.survives(change.by):
		case change.old == nil:
			delete(entries, name)
		default:
			entries[name] = change.old
		}
	}
	return entries
}

func (c *copier) object(n *node, dest string) error {
	if first, ok := c.copied[n]; ok {
		return os.Link(first, dest)
	}
	switch n.kind {
	case unix.S_IFDIR:
		if err := os.Mkdir(dest, 0o700); err != nil {
			return err
		}
		return c.folder(n, dest)
	case unix.S_IFLNK:
		c.copied[n] = dest
		if err := os.Symlink(n.target, dest); err != nil {
			return err
		}
	case unix.S_IFREG:
		c.copied[n] = dest
		if err := c.file(n, dest); err != nil {
			return fmt.Errorf("cannot copy %s: %w", n.path(), err)
		}
	default:
		c.copied[n] = dest
		if err := unix.Mknod(dest, n.kind, n.device); err != nil {
			return &os.PathError{Op: "mknod", Path: dest, Err: err}
		}
	}
	return dress(n, dest)
}

// dress gives a copy its durable owner and mode.
func dress(n *node, dest string) error {
	if os.Geteuid() == 0 {
		if err := os.Lchown(dest, int(n.saved.uid), int(n.saved.gid)); err != nil {
			return err
		}
	}
	if n.kind == unix.S_IFLNK {
		return nil
	}
	return unix.Chmod(dest, n.saved.mode)
}

func (c *copier) file(n *node, dest string) error {
	wasOpen := n.file != nil
	if err := c.fs.needFile(n); err != nil {
		return err
	}
	if !wasOpen {
		defer c.fs.settle(n)
	}
	to, err := os.OpenFile(dest, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	err = c.content(&n.pages, n.file, to)
	return errors.Join(err, to.Close())
}

// content writes the present content up to the length that survives, and over
// it the durable content of the pages whose change does not.
func (c *copier) content(p *pages, from io.ReaderAt, to *os.File) error {
	size := c.length(p)
	if err := copySparse(from, to, min(size, p.size)); err != nil {
		return err
	}
	changed := make([]int64, 0, len(p.changed))
	for page := range p.changed {
		changed = append(changed, page)
	}
	sort.Slice(changed, func(i, j int) bool { return changed[i] < changed[j] })
	for _, page := range changed {
		start := page * pageSize
		if start >= size {
			break
		}
		// A page that was cut off comes back with the length or not at all.
		whole := min(start+pageSize, size) <= p.size
		if c.coin() && whole {
			continue
		}
		old := make([]byte, min(pageSize, size-start))
		copy(old, p.changed[page])
		if _, err := to.WriteAt(old, start); err != nil {
			return err
		}
	}
	return to.Truncate(size)
}

// length is the length that a file has after the power cut: the durable one,
// or in a torn copy perhaps the present one, or one on the way to it.
func (c *copier) length(p *pages) int64 {
	if c.torn == nil || p.size == p.durable {
		return p.durable
	}
	first, last := p.durable/pageSize+1, p.size/pageSize
	switch c.torn.IntN(3) {
	case 0:
		return p.durable
	case 1:
		if last >= first {
			return (first + c.torn.Int64N(last-first+1)) * pageSize
		}
	}
	return p.size
}

// copySparse copies the first size bytes and leaves holes where there are only
// zeros.
func copySparse(from io.ReaderAt, to io.WriterAt, size int64) error {
	const block = 64 << 10
	buffer, zeros := make([]byte, block), make([]byte, block)
	for offset := int64(0); offset < size; offset += block {
		part := buffer[:min(block, size-offset)]
		n, err := from.ReadAt(part, offset)
		if err != nil && err != io.EOF {
			return err
		}
		part = part[:n]
		if string(part) == string(zeros[:n]) {
			continue
		}
		if _, err := to.WriteAt(part, offset); err != nil {
			return err
		}
	}
	return nil
}
