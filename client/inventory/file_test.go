package inventory

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mainstay/wire"
)

func fileSource() []source {
	return []source{{name: "file", classes: []string{wire.ClassFile}, collect: collectFiles}}
}

func filesOf(t *testing.T, s *Snapshot) map[string]wire.File {
	t.Helper()
	files := map[string]wire.File{}
	for _, row := range s.Classes[wire.ClassFile] {
		var f wire.File
		if err := json.Unmarshal(row.JSON, &f); err != nil {
			t.Fatal(err)
		}
		name := f.Directory + "/" + f.FileName
		if _, twice := files[name]; twice {
			t.Errorf("%s is listed twice", name)
		}
		files[name] = f
	}
	return files
}

func sha(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

func TestFilesByRule(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	put(t, root, "etc/ssh/host.pub", []byte("key"))
	put(t, root, "etc/ssh/sub/deep.pub", []byte("deep"))
	put(t, root, "opt/large", []byte(strings.Repeat("x", 1000)))
	put(t, root, "etc/passwd", []byte("anna:x:4711:4712:::\n"))
	put(t, root, "etc/group", []byte("staff:x:4712:\n"))
	place(t, root, "etc/ssh/link.pub", func(at string) error { return os.Symlink("host.pub", at) })
	place(t, root, "etc/ssh/pipe.pub", func(at string) error { return unix.Mkfifo(at, 0o644) })
	at := time.Date(2024, 1, 2, 3, 4, 5, 6000, time.UTC)
	file := filepath.Join(root, "etc/ssh/host.pub")
	if err := os.Chtimes(file, at, at); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(file, 0o640|os.ModeSetgid); err != nil {
		t.Fatal(err)
	}
	s := collect(t, Config{Root: root, sources: fileSource(), MaxHashSize: 500, Files: []wire.FileRule{
		{Pattern: "/etc/ssh/*.pub"},
		{Pattern: "/etc/**/host.pub", Hash: true},
		{Pattern: "/opt/large", Hash: true},
		{Pattern: "relative"},
	}})
	got := filesOf(t, s)
	host := got["/etc/ssh/host.pub"]
	if host.SHA256Hash != sha("key") || host.Size != 3 || host.LastModified != at.UnixMicro() || host.Mode != "2640" {
		t.Errorf("got %+v", host)
	}
	if os.Geteuid() == 0 && host.Owner != "0" {
		t.Errorf("owner without a name is %q", host.Owner)
	}
	if large, ok := got["/opt/large"]; !ok || large.SHA256Hash != "" || large.Size != 1000 {
		t.Errorf("a file above the limit: %+v", large)
	}
	if len(got) != 2 {
		t.Errorf("got %v", got)
	}
	if len(s.Errors) != 1 || !strings.Contains(s.Errors[0].Text, "not absolute") || len(s.Unread) != 0 {
		t.Errorf("errors %+v, unread %q", s.Errors, s.Unread)
	}
}

func TestFilesKeepTheirLimits(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	for _, name := range []string{"a", "b", "c", "d"} {
		put(t, root, "srv/"+name, []byte(name))
	}
	s := collect(t, Config{Root: root, sources: fileSource(), MaxFiles: 2, Files: []wire.FileRule{{Pattern: "/srv/*"}}})
	var names []string
	for name := range filesOf(t, s) {
		names = append(names, name)
	}
	slices.Sort(names)
	if !slices.Equal(names, []string{"/srv/a", "/srv/b"}) || len(s.Errors) != 1 || !strings.Contains(s.Errors[0].Text, "more than 2 files") {
		t.Errorf("got %q, errors %+v", names, s.Errors)
	}
}

func TestFilesOnServersAreNotEntered(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	put(t, root, "proc/1/mountinfo", []byte("33 29 0:40 / /mnt/team rw - nfs4 server:/team rw\n"))
	put(t, root, "mnt/team/file", nil)
	put(t, root, "mnt/own", nil)
	s := collect(t, Config{Root: root, sources: fileSource(), Files: []wire.FileRule{{Pattern: "/mnt/**"}}})
	if got := filesOf(t, s); len(got) != 1 || got["/mnt/own"].FileName == "" {
		t.Errorf("got %v", got)
	}
}

// A file is read again only when something about it has changed.
func TestHashesAreRemembered(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	put(t, root, "srv/a", []byte("one"))
	c, err := New(Config{Root: root, sources: fileSource(), Files: []wire.FileRule{{Pattern: "/srv/*", Hash: true}}})
	if err != nil {
		t.Fatal(err)
	}
	hash := func() string {
		t.Helper()
		return filesOf(t, mustCollect(t, c))["/srv/a"].SHA256Hash
	}
	if got := hash(); got != sha("one") {
		t.Fatalf("got %s", got)
	}
	for key := range c.hashes {
		c.hashes[key] = "remembered"
	}
	if got := hash(); got != "remembered" {
		t.Errorf("a file that has not changed was read again: %s", got)
	}
	put(t, root, "srv/a", []byte("two"))
	if got := hash(); got != sha("two") {
		t.Errorf("a changed file has the hash %s", got)
	}
	if len(c.hashes) != 1 {
		t.Errorf("%d hashes are kept of one file", len(c.hashes))
	}
}

// A collection that is interrupted by its deadline is unread and keeps the
// hashes that it has learnt.
func TestFilesBeyondTheDeadline(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	put(t, root, "srv/a", []byte("one"))
	first := true
	slow := source{name: "file", classes: []string{wire.ClassFile}, collect: func(ctx context.Context, r *run) error {
		if err := collectFiles(ctx, r); err != nil || !first {
			return err
		}
		first = false
		return context.DeadlineExceeded
	}}
	c, err := New(Config{Root: root, sources: []source{slow}, Files: []wire.FileRule{{Pattern: "/srv/*", Hash: true}}})
	if err != nil {
		t.Fatal(err)
	}
	if s := mustCollect(t, c); !slices.Equal(s.Unread, []string{wire.ClassFile}) {
		t.Fatalf("unread %q", s.Unread)
	}
	if len(c.hashes) != 1 {
		t.Errorf("%d hashes are left, want 1", len(c.hashes))
	}
	if s := mustCollect(t, c); len(s.Classes[wire.ClassFile]) != 1 || len(s.Unread) != 0 {
		t.Errorf("afterwards: %+v", s)
	}
}
