package inventory

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"time"

	"golang.org/x/sys/unix"

	"mainstay/lib/fileglob"
	"mainstay/wire"
)

// fileKey is what a file is the same by: while none of it changes, neither does
// the content.
type fileKey struct {
	device, inode    uint64
	size             int64
	modified, change unix.Timespec
}

// collectFiles lists the files that the rules ask for. A rule that is wrong, or
// finds more than it may, is reported and does not stop the others.
func collectFiles(ctx context.Context, r *run) error {
	f := fileCollector{run: r, users: r.machine.userNames(), groups: r.machine.groupNames(), listed: map[string]bool{}}
	walk := fileglob.Walk{Root: r.machine.root, Skip: r.networkMounts()}
	// Hashing rules first: a file that two rules name is listed once, with its
	// hash if either asks.
	for _, hashing := range []bool{true, false} {
		for i, rule := range r.config.Files {
			if rule.Hash != hashing {
				continue
			}
			if err := f.rule(ctx, walk, i, rule); err != nil {
				return err
			}
		}
	}
	return nil
}

// networkMounts are not entered: what lies on servers is not of this machine,
// and a dead one would hold the walk for ever.
func (r *run) networkMounts() []string {
	mounts, err := r.machine.mounts()
	if err != nil {
		return nil
	}
	var points []string
	for _, mt := range mounts {
		if mt.network() {
			points = append(points, path.Clean(mt.point))
		}
	}
	return points
}

type fileCollector struct {
	run           *run
	users, groups map[uint32]string
	listed        map[string]bool
}

// errEnough ends the walk of a rule that has found as much as it may.
var errEnough = errors.New("enough files")

func (f *fileCollector) rule(ctx context.Context, walk fileglob.Walk, number int, rule wire.FileRule) error {
	pattern, err := fileglob.Parse(rule.Pattern)
	if err != nil {
		f.run.warn(wire.ClassFile, "file rule %d: %v", number+1, err)
		return nil
	}
	count := 0
	err = walk.Files(ctx, pattern, func(found *fileglob.Found) error {
		if f.listed[found.Path] {
			return nil
		}
		if count++; count > f.run.config.MaxFiles {
			return errEnough
		}
		f.listed[found.Path] = true
		return f.file(ctx, found, rule.Hash)
	})
	switch {
	case errors.Is(err, errEnough):
		f.run.warn(wire.ClassFile, "file rule %d (%.80s) finds more than %d files; the rest is left out", number+1, rule.Pattern, f.run.config.MaxFiles)
	case errors.Is(err, fileglob.ErrTooMany):
		f.run.warn(wire.ClassFile, "file rule %d (%.80s) leads to %v; name a narrower folder", number+1, rule.Pattern, err)
	case err != nil:
		return fmt.Errorf("file rule %d (%.80s): %w", number+1, rule.Pattern, err)
	}
	return nil
}

func (f *fileCollector) file(ctx context.Context, found *fileglob.Found, hash bool) error {
	stat := &found.Stat
	row := wire.File{
		FileName:     clean(path.Base(found.Path), 4096),
		Directory:    clean(path.Dir(found.Path), 8192),
		Size:         uint64(stat.Size),
		LastModified: time.Unix(stat.Mtim.Unix()).UnixMicro(),
		Mode:         fmt.Sprintf("%04o", stat.Mode&0o7777),
		Owner:        nameOf(f.users, stat.Uid),
		Group:        nameOf(f.groups, stat.Gid),
	}
	if hash && stat.Size <= f.run.config.MaxHashSize {
		var err error
		if row.SHA256Hash, err = f.hash(ctx, found); err != nil {
			return err
		}
	}
	f.run.add(wire.ClassFile, &row)
	return nil
}

// hash is the SHA-256 of the content; empty when the file cannot be read, which
// is reported. A file that has not changed since it was last hashed is not read.
func (f *fileCollector) hash(ctx context.Context, found *fileglob.Found) (string, error) {
	stat := &found.Stat
	key := fileKey{device: uint64(stat.Dev), inode: stat.Ino, size: stat.Size, modified: stat.Mtim, change: stat.Ctim}
	sum, ok := f.run.known[key]
	if !ok {
		file, err := found.Open()
		if err != nil {
			f.run.warn(wire.ClassFile, "no hash of %.200q: %v", found.Path, err)
			return "", nil
		}
		defer file.Close()
		if sum, err = hashFile(ctx, file, f.run.config.MaxHashSize); err != nil {
			if ctx.Err() != nil {
				return "", ctx.Err()
			}
			f.run.warn(wire.ClassFile, "no hash of %.200q: %v", found.Path, err)
			return "", nil
		}
	}
	if f.run.hashed == nil {
		f.run.hashed = map[fileKey]string{}
	}
	f.run.hashed[key] = sum
	return sum, nil
}

// hashFile reads a file in pieces, so that an end of the context is seen. A
// file that grows beyond the limit while it is read is given up.
func hashFile(ctx context.Context, file *os.File, most int64) (string, error) {
	h := sha256.New()
	var read int64
	for {
		n, err := io.CopyN(h, file, 1<<20)
		read += n
		if errors.Is(err, io.EOF) {
			return hex.EncodeToString(h.Sum(nil)), nil
		}
		switch {
		case err != nil:
			return "", err
		case read > most:
			return "", fmt.Errorf("it has grown to more than %d bytes", most)
		case ctx.Err() != nil:
			return "", ctx.Err()
		}
	}
}
