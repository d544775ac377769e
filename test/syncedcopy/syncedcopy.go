package syncedcopy

import (
	"path/filepath"
	"sync"
	"testing"

	"mainstay/test/syncedcopy/control"
)

// FS is a mounted file system.
type FS struct {
	path      string
	daemon    *daemon
	unmounted sync.Once
}

// Option changes what a file system does.
type Option func(*options)

type options struct {
	forget func(path string) bool
}

// WithoutSync makes syncs of some files and folders look successful and do
// nothing, so that a test can show that it fails when one sync is removed from
// the program. match gets the path from the root of the mount, with slashes,
// such as "site/mainstay.db-wal"; "." is the root folder. It is asked once for
// each path that is synced and must give the same answer each time. FS.Counts
// tells whether it ever matched.
func WithoutSync(match func(path string) bool) Option {
	return func(o *options) { o.forget = match }
}

// Mount puts the file system in front of the folder dir, which must be there,
// and unmounts it when the test ends. While it is mounted nobody may change dir
// by another way; reading is allowed and shows what is present. Programs use
// Path. To go on after a power cut, mount a copy.
func Mount(t testing.TB, dir string, opts ...Option) *FS {
	t.Helper()
	var o options
	for _, opt := range opts {
		opt(&o)
	}
	if err := missing(); err != nil {
		t.Fatalf("syncedcopy cannot mount a file system: %v", err)
	}
	program, err := daemonProgram()
	if err != nil {
		t.Fatalf("syncedcopy: %v", err)
	}

	path := t.TempDir()
	d, err := startDaemon(program, dir, path, o.forget)
	if err != nil {
		t.Fatalf("syncedcopy: cannot mount %s: %v", dir, err)
	}
	fs := &FS{path: path, daemon: d}
	t.Cleanup(func() { fs.Unmount(t) })
	return fs
}

// Path is the folder that programs use.
func (fs *FS) Path() string { return fs.path }

// Copy writes into dest, which must be missing or empty and outside the mount,
// the tree that a power cut now would leave if nothing survived but what was
// synced. Programs may be running; they wait while the copy is made.
func (fs *FS) Copy(t testing.TB, dest string) {
	t.Helper()
	fs.copy(t, dest, nil)
}

// CopyTorn is Copy for a power cut at which some of what was not synced
// survives, by the draw of the seed.
func (fs *FS) CopyTorn(t testing.TB, dest string, seed uint64) {
	t.Helper()
	fs.copy(t, dest, &seed)
}

func (fs *FS) copy(t testing.TB, dest string, torn *uint64) {
	t.Helper()
	dest, err := filepath.Abs(dest)
	if err != nil {
		t.Fatalf("syncedcopy: %v", err)
	}
	_, err = fs.daemon.ask(control.Request{Copy: &control.Copy{Dest: dest, Torn: torn}})
	if err != nil {
		t.Fatalf("syncedcopy: cannot copy to %s: %v", dest, err)
	}
}

// Counts tell what programs asked of the file system since it was mounted.
type Counts struct {
	Writes    int // write operations
	Syncs     int // syncs of files and folders that were obeyed
	Forgotten int // syncs of files and folders that WithoutSync made void
}

// Counts may be asked while programs run.
func (fs *FS) Counts(t testing.TB) Counts {
	t.Helper()
	e, err := fs.daemon.ask(control.Request{Counts: &control.Counts{}})
	if err != nil {
		t.Fatalf("syncedcopy: cannot read the counts: %v", err)
	}
	return Counts{
		Writes:    int(e.Counts.Writes),
		Syncs:     int(e.Counts.Syncs),
		Forgotten: int(e.Counts.Forgotten),
	}
}

// Unmount ends the file system before the test ends. The folder behind it then
// holds what was present, as after a SIGKILL of all programs. Programs that
// still use the mount get errors.
func (fs *FS) Unmount(t testing.TB) {
	t.Helper()
	fs.unmounted.Do(func() {
		if err := fs.daemon.stop(); err != nil {
			t.Errorf("syncedcopy: cannot unmount %s: %v", fs.path, err)
		}
	})
}
