package fileglob

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

func TestParseSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, pattern, want string }{
		{"empty", "", "is empty"},
		{"relative", "etc/*.conf", "not absolute"},
		{"folder", "/etc/", "ends with /"},
		{"root", "/", "ends with /"},
		{"double slash", "/etc//x", "//"},
		{"upwards", "/etc/../root/x", "name .."},
		{"dot", "/etc/./x", "name ."},
		{"double star in a name", "/etc/a**b", "whole name"},
		{"not UTF-8", "/etc/\xff", "UTF-8"},
		{"line feed", "/etc/a\nb", "control character"},
		{"NUL", "/etc/a\x00b", "control character"},
		{"processes", "/proc/*/environ", "/proc"},
		{"devices", "/dev/sda", "/dev"},
		{"too long", "/" + strings.Repeat("x", MaxPattern), "at most 1024"},
		{"too many names", strings.Repeat("/x", MaxSegments+1), "at most 60"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := Parse(test.pattern)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got error %v, want one with %q", err, test.want)
			}
		})
	}
}

func TestMatch(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		pattern string
		yes, no []string
	}{
		{"/etc/passwd", []string{"/etc/passwd"}, []string{"/etc/passwd-", "/etc", "/x/etc/passwd", "etc/passwd"}},
		{"/etc/*.conf", []string{"/etc/a.conf", "/etc/.conf"}, []string{"/etc/a.conf.d", "/etc/x/a.conf"}},
		{"/etc/?.?", []string{"/etc/a.b", "/etc/é.ü"}, []string{"/etc/ab.c", "/etc/."}},
		{"/srv/**/*.jar", []string{"/srv/a.jar", "/srv/x/y/z/a.jar"}, []string{"/opt/a.jar", "/srv/a.jar/x"}},
		{"/**/id_*", []string{"/id_rsa", "/home/me/.ssh/id_ed25519"}, []string{"/home/me/rsa"}},
		{"/opt/**", []string{"/opt/a", "/opt/a/b/c"}, []string{"/optional"}},
		{"/a/**/b/**/c", []string{"/a/b/c", "/a/x/b/y/z/c", "/a/b/b/c"}, []string{"/a/c", "/a/b", "/b/c"}},
		{"/a/**/**/c", []string{"/a/c", "/a/x/c"}, []string{"/a/x"}},
		{"/x/*a*b*", []string{"/x/ab", "/x/1a2b3", "/x/aab"}, []string{"/x/ba"}},
		{"/x/[a]", []string{"/x/[a]"}, []string{"/x/a"}},
	} {
		p, err := Parse(test.pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range test.yes {
			if !p.Match(file) {
				t.Errorf("%s does not match %s", test.pattern, file)
			}
		}
		for _, file := range test.no {
			if p.Match(file) {
				t.Errorf("%s matches %s", test.pattern, file)
			}
		}
	}
	if (Pattern{}).Match("/x") {
		t.Error("the empty pattern matches")
	}
}

// tree makes files under a new folder; a name that ends with / is a folder,
// "a -> b" a link.
func tree(t *testing.T, names ...string) string {
	t.Helper()
	root := t.TempDir()
	for _, name := range names {
		link, target, isLink := strings.Cut(name, " -> ")
		file := filepath.Join(root, link)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		switch {
		case isLink:
			err = os.Symlink(target, file)
		case strings.HasSuffix(name, "/"):
			err = os.MkdirAll(file, 0o755)
		default:
			err = os.WriteFile(file, []byte(name), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func walk(t *testing.T, w Walk, pattern string) ([]string, error) {
	t.Helper()
	p, err := Parse(pattern)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	err = w.Files(t.Context(), p, func(f *Found) error {
		got = append(got, f.Path)
		return nil
	})
	return got, err
}

func TestWalkFindsWhatMatches(t *testing.T) {
	t.Parallel()
	root := tree(t, "etc/a.conf", "etc/b.conf", "etc/b.conf.d/c.conf", "etc/d.txt", "srv/x/y/app.jar", "srv/app.jar", "usr/bin/tool", "bin -> usr/bin", "etc/folder.conf/")
	for pattern, want := range map[string][]string{
		"/etc/*.conf":     {"/etc/a.conf", "/etc/b.conf"},
		"/etc/**/*.conf":  {"/etc/a.conf", "/etc/b.conf", "/etc/b.conf.d/c.conf"},
		"/**/app.jar":     {"/srv/app.jar", "/srv/x/y/app.jar"},
		"/bin/t*":         {"/bin/tool"},
		"/bin/tool":       {"/bin/tool"},
		"/etc/nothing":    nil,
		"/nowhere/at/all": nil,
		"/srv/**":         {"/srv/app.jar", "/srv/x/y/app.jar"},
	} {
		got, err := walk(t, Walk{Root: root}, pattern)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: got %q, %v, want %q", pattern, got, err, want)
		}
	}
}

func TestWalkTrustsNoFolder(t *testing.T) {
	t.Parallel()
	outside := tree(t, "secret")
	root := tree(t, "home/me/real", "home/me/file -> "+outside+"/secret", "home/me/folder -> "+outside, "home/me/loop -> ..",
		"out -> ../../../../../../.."+outside, "proc/1/environ", "dev/sda", "sys/kernel/x", "run/p -> /proc", "kernel -> proc", "mnt/server/file")
	if err := unix.Mkfifo(filepath.Join(root, "home/me/pipe"), 0o644); err != nil {
		t.Fatal(err)
	}
	got, err := walk(t, Walk{Root: root, Skip: []string{"/mnt/server"}}, "/**")
	if want := []string{"/home/me/real"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
	for _, pattern := range []string{"/home/me/file", "/home/me/folder/secret", "/home/me/pipe", "/out/secret", "/kernel/1/environ", "/mnt/server/file"} {
		if got, err := walk(t, Walk{Root: root, Skip: []string{"/mnt/server"}}, pattern); err != nil || got != nil {
			t.Errorf("%s: got %q, %v, want nothing", pattern, got, err)
		}
	}
}

func TestWalkKeepsItsLimits(t *testing.T) {
	t.Parallel()
	names := []string{"a/b/c/d/e/f"}
	for i := range 50 {
		names = append(names, fmt.Sprintf("many/%d", i))
	}
	root := tree(t, names...)
	if _, err := walk(t, Walk{Root: root, MaxEntries: 20}, "/many/*"); !errors.Is(err, ErrTooMany) {
		t.Errorf("50 names with a limit of 20: got %v, want ErrTooMany", err)
	}
	if got, err := walk(t, Walk{Root: root, MaxDepth: 3}, "/a/**"); err != nil || got != nil {
		t.Errorf("a file six folders down with a limit of three: got %q, %v", got, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	p, _ := Parse("/**")
	if err := (Walk{Root: root}).Files(ctx, p, func(*Found) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("ended context: got %v", err)
	}
	stop := errors.New("enough")
	if err := (Walk{Root: root}).Files(t.Context(), p, func(*Found) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("error of visit: got %v", err)
	}
}

func TestOpenRefusesWhatTookThePlace(t *testing.T) {
	t.Parallel()
	for name, replace := range map[string]func(file string) error{
		"link":  func(file string) error { return os.Symlink("/etc/hostname", file) },
		"pipe":  func(file string) error { return unix.Mkfifo(file, 0o644) },
		"other": func(file string) error { return os.WriteFile(file, []byte("other"), 0o644) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := tree(t, "a/file")
			file := filepath.Join(root, "a/file")
			p, _ := Parse("/a/file")
			err := Walk{Root: root}.Files(t.Context(), p, func(f *Found) error {
				// The old file stays under another name, so that its inode is
				// not given to the new one.
				if err := os.Rename(file, file+".old"); err != nil {
					t.Fatal(err)
				}
				if err := replace(file); err != nil {
					t.Fatal(err)
				}
				opened, err := f.Open()
				if err == nil {
					opened.Close()
				}
				return err
			})
			if err == nil {
				t.Error("what took the place of the file was opened")
			}
		})
	}
}

// FuzzPattern compares matching with a regular expression of the same meaning
// and holds that no pattern makes it panic.
func FuzzPattern(f *testing.F) {
	for _, seed := range [][2]string{
		{"/etc/*.conf", "/etc/a.conf"}, {"/srv/**/x?y", "/srv/a/b/xzy"}, {"/**", "/a/b"}, {"/a/**/b/**/c*", "/a/b/b/cc"}, {"/*a*b?", "/xaybz"}, {"//", "/"}, {"/a/*é?", "/a/xéy"},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, pattern, file string) {
		p, err := Parse(pattern)
		if err != nil || !utf8.ValidString(file) || strings.Contains(file, "//") || strings.HasSuffix(file, "/") || len(file) > 200 {
			return
		}
		var expression strings.Builder
		for _, s := range p.segments {
			if s.any {
				expression.WriteString("(/[^/]+)*")
				continue
			}
			quoted := regexp.QuoteMeta(s.text)
			quoted = strings.ReplaceAll(strings.ReplaceAll(quoted, `\*`, "[^/]*"), `\?`, "[^/]")
			expression.WriteString("/" + quoted)
		}
		want := regexp.MustCompile(`^(?s:`+expression.String()+`)$`).MatchString(file) && file != ""
		if got := p.Match(file); got != want {
			t.Errorf("%q and %q: got %v, want %v", pattern, file, got, want)
		}
	})
}
