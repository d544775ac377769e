package robustness

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"mainstay/test/syncedcopy"
)

// disk is the folder of a machine's programs, under a path that stays the same
// whatever becomes of what is behind it.
type disk struct {
	t testing.TB
	// path is what programs use.
	path string
	// fs is nil for a disk whose power never fails.
	fs   *syncedcopy.FS
	back string
	cuts int
	// options count from the next cut on.
	options []syncedcopy.Option
}

// newDisk makes an empty disk.
func newDisk(t testing.TB, path string, powerFails bool) *disk {
	t.Helper()
	d := &disk{t: t, path: path}
	if !powerFails {
		must(t, os.Mkdir(path, 0o700))
		return d
	}
	d.back = d.next()
	must(t, os.Mkdir(d.back, 0o700))
	d.mount()
	return d
}

func (d *disk) next() string {
	d.cuts++
	return fmt.Sprintf("%s.disk-%d", d.path, d.cuts)
}

func (d *disk) mount() {
	d.t.Helper()
	d.fs = syncedcopy.Mount(d.t, d.back, d.options...)
	if err := os.Remove(d.path); err != nil && !os.IsNotExist(err) {
		d.t.Fatal(err)
	}
	must(d.t, os.Symlink(d.fs.Path(), d.path))
}

// cut takes the power away: programs, which stand still already and are ended
// by end, find what a power cut leaves. torn also keeps some of what was not
// synced.
func (d *disk) cut(end func(), torn *uint64) {
	d.t.Helper()
	after, before := d.next(), d.back
	if torn != nil {
		d.fs.CopyTorn(d.t, after, *torn)
	} else {
		d.fs.Copy(d.t, after)
	}
	end()
	d.fs.Unmount(d.t)
	must(d.t, os.RemoveAll(before))
	d.back = after
	d.mount()
}

// snapshot copies a folder of the disk, as it is on the disk.
func (d *disk) snapshot(name, dest string) {
	d.t.Helper()
	if d.fs == nil {
		copyTree(d.t, filepath.Join(d.path, name), dest)
		return
	}
	whole := dest + ".whole"
	d.fs.Copy(d.t, whole)
	copyTree(d.t, filepath.Join(whole, name), dest)
	must(d.t, os.RemoveAll(whole))
}

// put replaces a folder of the disk by a copy; an empty one removes it. What is
// put there is durable.
func (d *disk) put(name, from string) {
	d.t.Helper()
	to := filepath.Join(d.path, name)
	must(d.t, os.RemoveAll(to))
	if from != "" {
		copyTree(d.t, from, to)
	}
	if d.fs != nil {
		// A disk that was exchanged holds everything for good.
		must(d.t, exec.Command("find", d.path+"/", "-exec", "sync", "{}", "+").Run())
	}
}

func copyTree(t testing.TB, from, to string) {
	t.Helper()
	if out, err := exec.Command("cp", "-a", from, to).CombinedOutput(); err != nil {
		t.Fatalf("cannot copy %s to %s: %v\n%s", from, to, err, out)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
