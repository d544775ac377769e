package syncedcopy

import (
	"io/fs"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// disk does to a mounted folder what the cases say, and fails the test when an
// operation fails.
type disk struct {
	t    *testing.T
	root string
}

func (d disk) path(name string) string { return filepath.Join(d.root, name) }

func (d disk) must(err error) {
	d.t.Helper()
	if err != nil {
		d.t.Fatal(err)
	}
}

func (d disk) open(name string, flags int) *os.File {
	d.t.Helper()
	f, err := os.OpenFile(d.path(name), flags, 0o644)
	d.must(err)
	d.t.Cleanup(func() { f.Close() })
	return f
}

// write replaces the content of a file without a sync.
func (d disk) write(name, content string) {
	d.t.Helper()
	d.must(os.WriteFile(d.path(name), []byte(content), 0o644))
}

// writeAt changes a part of a file without a sync.
func (d disk) writeAt(name, content string, offset int64) {
	d.t.Helper()
	f := d.open(name, os.O_RDWR|os.O_CREATE)
	_, err := f.WriteAt([]byte(content), offset)
	d.must(err)
	d.must(f.Close())
}

// sync makes a file or folder durable.
func (d disk) sync(names ...string) {
	d.t.Helper()
	for _, name := range names {
		f := d.open(name, os.O_RDONLY)
		d.must(f.Sync())
		d.must(f.Close())
	}
}

// durable makes a file with its name in the root folder.
func (d disk) durable(name, content string) {
	d.t.Helper()
	d.write(name, content)
	d.sync(name, ".")
}

func (d disk) rename(from, to string) {
	d.t.Helper()
	d.must(os.Rename(d.path(from), d.path(to)))
}

func (d disk) remove(name string) {
	d.t.Helper()
	d.must(os.Remove(d.path(name)))
}

func (d disk) mkdir(name string) {
	d.t.Helper()
	d.must(os.Mkdir(d.path(name), 0o755))
}

// mapped maps the first page of a file.
func (d disk) mapped(name string) []byte {
	d.t.Helper()
	m, err := unix.Mmap(int(d.open(name, os.O_RDWR).Fd()), 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	d.must(err)
	d.t.Cleanup(func() { unix.Munmap(m) })
	return m
}

// tree reads a folder: path to content, folders with a slash at the end,
// symbolic links with an arrow.
func tree(t *testing.T, root string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || path == root {
			return err
		}
		name, _ := filepath.Rel(root, path)
		switch {
		case entry.IsDir():
			found[name+"/"] = ""
		case entry.Type()&fs.ModeSymlink != 0:
			target, err := os.Readlink(path)
			found[name] = "-> " + target
			return err
		default:
			content, err := os.ReadFile(path)
			found[name] = string(content)
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

var page = strings.Repeat("p", 4096)

func TestWhatAPowerCutLeaves(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name string
		do   func(d disk)
		left map[string]string
	}{
		{"nothing written", func(d disk) {}, nil},

		// Content.
		{"a synced file in a synced folder is there", func(d disk) {
			d.durable("f", "content")
		}, map[string]string{"f": "content"}},
		{"a file that was never synced is empty", func(d disk) {
			d.write("f", "content")
			d.sync(".")
		}, map[string]string{"f": ""}},
		{"an overwritten file has its old content", func(d disk) {
			d.durable("f", "old content")
			d.writeAt("f", "new", 0)
		}, map[string]string{"f": "old content"}},
		{"a replaced content has its old content and length", func(d disk) {
			d.durable("f", "old content")
			d.write("f", "new")
		}, map[string]string{"f": "old content"}},
		{"an appended file has its old length", func(d disk) {
			d.durable("f", page+"tail")
			d.writeAt("f", page+page, 4100)
		}, map[string]string{"f": page + "tail"}},
		{"an append behind a hole is forgotten with the hole", func(d disk) {
			d.durable("f", "head")
			d.writeAt("f", "far", 1<<20)
		}, map[string]string{"f": "head"}},
		{"a cut file has its old length", func(d disk) {
			d.durable("f", page+page+"tail")
			d.must(os.Truncate(d.path("f"), 5))
		}, map[string]string{"f": page + page + "tail"}},
		{"a file that was cut and grew again has its old content", func(d disk) {
			d.durable("f", page+page+"tail")
			d.must(os.Truncate(d.path("f"), 5))
			d.writeAt("f", "new", 6000)
			d.must(os.Truncate(d.path("f"), 100_000))
		}, map[string]string{"f": page + page + "tail"}},
		{"a cut that was synced is durable", func(d disk) {
			d.durable("f", page+page)
			d.must(os.Truncate(d.path("f"), 5))
			d.sync("f")
		}, map[string]string{"f": "ppppp"}},
		{"only what was written before the sync counts", func(d disk) {
			d.durable("f", "")
			d.writeAt("f", "one", 0)
			d.sync("f")
			d.writeAt("f", "two", 3)
		}, map[string]string{"f": "one"}},
		{"a sync through another descriptor counts", func(d disk) {
			d.durable("f", "")
			w := d.open("f", os.O_WRONLY)
			_, err := w.WriteString("content")
			d.must(err)
			d.sync("f")
		}, map[string]string{"f": "content"}},
		{"fdatasync counts", func(d disk) {
			d.durable("f", "")
			w := d.open("f", os.O_WRONLY)
			_, err := w.WriteString("content")
			d.must(err)
			d.must(syscall.Fdatasync(int(w.Fd())))
		}, map[string]string{"f": "content"}},
		{"O_SYNC counts", func(d disk) {
			d.durable("f", "")
			_, err := d.open("f", os.O_WRONLY|os.O_SYNC).WriteString("content")
			d.must(err)
		}, map[string]string{"f": "content"}},
		{"O_DSYNC counts", func(d disk) {
			d.durable("f", "")
			_, err := d.open("f", os.O_WRONLY|syscall.O_DSYNC).WriteString("content")
			d.must(err)
		}, map[string]string{"f": "content"}},
		{"O_APPEND appends", func(d disk) {
			d.durable("f", "one,")
			w := d.open("f", os.O_WRONLY|os.O_APPEND)
			for _, s := range []string{"two,", "three"} {
				_, err := w.WriteString(s)
				d.must(err)
			}
			d.must(w.Sync())
		}, map[string]string{"f": "one,two,three"}},
		{"a punched hole is filled again", func(d disk) {
			d.durable("f", page+page)
			d.must(syscall.Fallocate(int(d.open("f", os.O_RDWR).Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 100, 5000))
		}, map[string]string{"f": page + page}},
		{"reserved room is forgotten", func(d disk) {
			d.durable("f", "content")
			d.must(syscall.Fallocate(int(d.open("f", os.O_RDWR).Fd()), 0, 0, 1<<20))
		}, map[string]string{"f": "content"}},
		{"a mapped write without msync is forgotten", func(d disk) {
			d.durable("f", page)
			copy(d.mapped("f"), "mapped")
		}, map[string]string{"f": page}},
		{"a mapped write with msync counts", func(d disk) {
			d.durable("f", page)
			m := d.mapped("f")
			copy(m, "mapped")
			d.must(unix.Msync(m, unix.MS_SYNC))
		}, map[string]string{"f": "mapped" + page[6:]}},

		// Names.
		{"a synced file in a folder that was not synced is missing", func(d disk) {
			d.write("f", "content")
			d.sync("f")
		}, nil},
		{"a folder that was not synced hides what is in it", func(d disk) {
			d.mkdir("a")
			d.write("a/f", "content")
			d.sync("a/f", "a")
		}, nil},
		{"a folder is empty until it is synced itself", func(d disk) {
			d.mkdir("a")
			d.write("a/f", "content")
			d.sync("a/f", ".")
		}, map[string]string{"a/": ""}},
		{"all the way up", func(d disk) {
			d.mkdir("a")
			d.mkdir("a/b")
			d.write("a/b/f", "content")
			d.sync("a/b/f", "a/b", "a", ".")
		}, map[string]string{"a/": "", "a/b/": "", "a/b/f": "content"}},
		{"a rename is forgotten", func(d disk) {
			d.durable("f", "content")
			d.rename("f", "g")
		}, map[string]string{"f": "content"}},
		{"a synced rename is durable", func(d disk) {
			d.durable("f", "content")
			d.rename("f", "g")
			d.sync(".")
		}, map[string]string{"g": "content"}},
		{"replacing by rename without the folder's sync", func(d disk) {
			d.durable("f", "old")
			d.write("f.new", "new")
			d.sync("f.new")
			d.rename("f.new", "f")
		}, map[string]string{"f": "old"}},
		{"replacing by rename without the file's sync", func(d disk) {
			d.durable("f", "old")
			d.write("f.new", "new")
			d.rename("f.new", "f")
			d.sync(".")
		}, map[string]string{"f": ""}},
		{"replacing by rename, complete", func(d disk) {
			d.durable("f", "old")
			d.write("f.new", "new")
			d.sync("f.new")
			d.rename("f.new", "f")
			d.sync(".")
		}, map[string]string{"f": "new"}},
		{"two replacements, the second without the folder's sync", func(d disk) {
			for _, content := range []string{"one", "two"} {
				d.write("f.new", content)
				d.sync("f.new")
				d.rename("f.new", "f")
				if content == "one" {
					d.sync(".")
				}
			}
		}, map[string]string{"f": "one"}},
		{"exchanged names are exchanged back", func(d disk) {
			d.durable("f", "one")
			d.durable("g", "two")
			d.must(unix.Renameat2(unix.AT_FDCWD, d.path("f"), unix.AT_FDCWD, d.path("g"), unix.RENAME_EXCHANGE))
		}, map[string]string{"f": "one", "g": "two"}},
		{"exchanged names, synced", func(d disk) {
			d.durable("f", "one")
			d.durable("g", "two")
			d.must(unix.Renameat2(unix.AT_FDCWD, d.path("f"), unix.AT_FDCWD, d.path("g"), unix.RENAME_EXCHANGE))
			d.sync(".")
		}, map[string]string{"f": "two", "g": "one"}},
		{"a removed file is back", func(d disk) {
			d.durable("f", page+"content")
			d.remove("f")
		}, map[string]string{"f": page + "content"}},
		{"a removed file is back with what was synced after the removal", func(d disk) {
			d.durable("f", "old")
			f := d.open("f", os.O_RDWR)
			d.remove("f")
			_, err := f.WriteAt([]byte("new"), 0)
			d.must(err)
			d.must(f.Sync())
			_, err = f.WriteAt([]byte("never"), 0)
			d.must(err)
		}, map[string]string{"f": "new"}},
		{"a synced removal is durable", func(d disk) {
			d.durable("f", "content")
			d.remove("f")
			d.sync(".")
		}, nil},
		{"a file made again under its name is the old one", func(d disk) {
			d.durable("f", "old")
			d.remove("f")
			d.write("f", "new")
			d.sync("f")
		}, map[string]string{"f": "old"}},
		{"a removed folder is back with its files", func(d disk) {
			d.mkdir("a")
			d.write("a/f", "content")
			d.sync("a/f", "a", ".")
			d.remove("a/f")
			d.remove("a")
		}, map[string]string{"a/": "", "a/f": "content"}},
		{"a temporary file that came and went leaves nothing", func(d disk) {
			d.write("f", "content")
			d.remove("f")
			d.sync(".")
		}, nil},

		// Renames from folder to folder.
		{"moved, no folder synced", func(d disk) {
			moved(d)
		}, map[string]string{"a/": "", "b/": "", "a/f": "content"}},
		{"moved, new folder synced", func(d disk) {
			moved(d)
			d.sync("b")
		}, map[string]string{"a/": "", "b/": "", "a/f": "content", "b/f": "content"}},
		{"moved, old folder synced", func(d disk) {
			moved(d)
			d.sync("a")
		}, map[string]string{"a/": "", "b/": ""}},
		{"moved, both folders synced", func(d disk) {
			moved(d)
			d.sync("b", "a")
		}, map[string]string{"a/": "", "b/": "", "b/f": "content"}},
		{"a moved folder brings its files", func(d disk) {
			moved(d)
			d.sync("a", "b")
			d.rename("b", "a/b")
			d.sync("a", ".")
		}, map[string]string{"a/": "", "a/b/": "", "a/b/f": "content"}},

		// Links.
		{"a second name without the folder's sync", func(d disk) {
			d.durable("f", "content")
			d.must(os.Link(d.path("f"), d.path("g")))
		}, map[string]string{"f": "content"}},
		{"a second name shares the content", func(d disk) {
			d.durable("f", "content")
			d.must(os.Link(d.path("f"), d.path("g")))
			d.writeAt("g", "C", 0)
			d.sync("f", ".")
		}, map[string]string{"f": "Content", "g": "Content"}},
		{"a symbolic link comes with its name", func(d disk) {
			d.must(os.Symlink("target", d.path("s")))
			d.sync(".")
			d.must(os.Symlink("target", d.path("t")))
		}, map[string]string{"s": "-> target"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			fs := Mount(t, t.TempDir())
			d := disk{t, fs.Path()}
			c.do(d)
			before := tree(t, fs.Path())

			dest := filepath.Join(t.TempDir(), "copy")
			fs.Copy(t, dest)
			want := maps.Clone(c.left)
			if want == nil {
				want = map[string]string{}
			}
			if diff := cmp.Diff(want, tree(t, dest)); diff != "" {
				t.Errorf("after a power cut (-want +got):\n%s", diff)
			}

			// Copying disturbs nobody, and after a sync of everything the
			// copy is what is present.
			if diff := cmp.Diff(before, tree(t, fs.Path())); diff != "" {
				t.Errorf("the copy changed what is present (-before +after):\n%s", diff)
			}
			names := slices.Sorted(maps.Keys(before))
			for _, name := range names {
				if !strings.HasPrefix(before[name], "-> ") {
					d.sync(name)
				}
			}
			d.sync(".")
			all := filepath.Join(t.TempDir(), "copy")
			fs.Copy(t, all)
			if diff := cmp.Diff(before, tree(t, all)); diff != "" {
				t.Errorf("after a sync of everything (-want +got):\n%s", diff)
			}
		})
	}
}

func moved(d disk) {
	d.mkdir("a")
	d.mkdir("b")
	d.write("a/f", "content")
	d.sync("a/f", "a", "b", ".")
	d.rename("a/f", "b/f")
}

func TestWhatWasThereIsDurable(t *testing.T) {
	t.Parallel()
	back := t.TempDir()
	d := disk{t, back}
	d.mkdir("a")
	d.write("a/f", "content")
	d.must(os.Link(d.path("a/f"), d.path("g")))
	d.must(os.Symlink("a/f", d.path("s")))
	want := tree(t, back)

	fs := Mount(t, back)
	mounted := disk{t, fs.Path()}
	mounted.writeAt("g", "C", 0)
	mounted.remove("a/f")
	mounted.write("new", "content")

	dest := t.TempDir()
	fs.Copy(t, dest)
	if diff := cmp.Diff(want, tree(t, dest)); diff != "" {
		t.Errorf("after a power cut (-want +got):\n%s", diff)
	}
	f, g := stat(t, filepath.Join(dest, "a/f")), stat(t, filepath.Join(dest, "g"))
	if f.Ino != g.Ino {
		t.Error("the two names of one file are two files in the copy")
	}

	present := tree(t, fs.Path())
	fs.Unmount(t)
	if diff := cmp.Diff(present, tree(t, back)); diff != "" {
		t.Errorf("the folder after unmounting (-want +got):\n%s", diff)
	}
}

func TestModeAndOwnerAreThoseOfTheSync(t *testing.T) {
	t.Parallel()
	fs := Mount(t, t.TempDir())
	d := disk{t, fs.Path()}
	d.durable("f", "")
	d.durable("g", "")
	d.must(os.Chmod(d.path("f"), 0o600))
	d.must(os.Chmod(d.path("g"), 0o600))
	d.sync("g")

	dest := t.TempDir()
	fs.Copy(t, dest)
	for name, want := range map[string]uint32{"f": 0o644, "g": 0o600} {
		if st := stat(t, filepath.Join(dest, name)); st.Mode&0o777 != want {
			t.Errorf("%s has mode %o after a power cut, want %o", name, st.Mode&0o777, want)
		}
	}
}

func stat(t *testing.T, path string) syscall.Stat_t {
	t.Helper()
	var st syscall.Stat_t
	if err := syscall.Stat(path, &st); err != nil {
		t.Fatal(path, err)
	}
	return st
}

func TestCopyRefusesAFolderInUse(t *testing.T) {
	t.Parallel()
	fs := Mount(t, t.TempDir())
	dest := t.TempDir()
	disk{t, dest}.write("f", "precious")
	_, err := fs.daemon.ask(copyRequest(dest))
	if err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("a copy into a folder with files gave %v, want a refusal", err)
	}
}

func TestWithoutSyncForgetsWhatMatches(t *testing.T) {
	t.Parallel()
	fs := Mount(t, t.TempDir(), WithoutSync(func(path string) bool { return path == "a/g" || path == "b" }))
	d := disk{t, fs.Path()}
	for _, folder := range []string{"a", "b"} {
		d.mkdir(folder)
		for _, name := range []string{"/f", "/g"} {
			d.write(folder+name, "content")
			d.sync(folder + name)
		}
		d.sync(folder)
	}
	d.sync(".")

	dest := t.TempDir()
	fs.Copy(t, dest)
	want := map[string]string{"a/": "", "a/f": "content", "a/g": "", "b/": ""}
	if diff := cmp.Diff(want, tree(t, dest)); diff != "" {
		t.Errorf("after a power cut (-want +got):\n%s", diff)
	}
	if got := fs.Counts(t); got.Forgotten != 2 || got.Syncs != 5 {
		t.Errorf("counts are %+v, want 5 syncs and 2 forgotten", got)
	}
}

// What else a data folder needs of a file system.
func TestLocksAndSocketsWork(t *testing.T) {
	t.Parallel()
	d := disk{t, Mount(t, t.TempDir()).Path()}
	d.write("lock", "")
	first, second := d.open("lock", os.O_RDWR), d.open("lock", os.O_RDWR)
	d.must(unix.Flock(int(first.Fd()), unix.LOCK_EX))
	if err := unix.Flock(int(second.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != unix.EWOULDBLOCK {
		t.Errorf("a second lock gave %v, want a refusal", err)
	}

	listener, err := net.Listen("unix", d.path("socket"))
	d.must(err)
	defer listener.Close()
	connection, err := net.Dial("unix", d.path("socket"))
	d.must(err)
	d.must(connection.Close())
}
