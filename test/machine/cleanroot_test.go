package machine

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestCleanRoot(t *testing.T) {
	t.Parallel()
	network := NewNetwork(t)
	one, other := CleanRoot(t), CleanRoot(t)
	a, b := network.Machine("alpha").Chroot(one), network.Machine("beta").Chroot(other)

	for _, question := range []struct {
		args []string
		want string // somewhere in the answer
	}{
		{[]string{"dpkg", "--version"}, "Debian"},
		{[]string{"wget", "--version"}, "GNU Wget"},
		{[]string{"hostname"}, "alpha"},
		{[]string{"cat", "/etc/hostname"}, "alpha"},
		{[]string{"cat", "/etc/hosts"}, "beta"},
		{[]string{"sh", "-c", "echo content >/dev/null && head -c 1 /dev/urandom | wc -c"}, "1"},
		{[]string{"ls", "/sys/class/net"}, "eth0"},
		{[]string{"pwd"}, a.Folder()},
		{[]string{"sh", "-c", "ls -d /proc/[0-9]* | wc -l"}, ""},
	} {
		out, err := run(t, a, question.args...)
		if err != nil || !strings.Contains(out, question.want) {
			t.Errorf("%s: %v, want %q in:\n%s", strings.Join(question.args, " "), err, question.want, out)
		}
	}
	if out, err := run(t, a, "sh", "-c", "test ! -d /etc/ssl/certs || ls /etc/ssl/certs"); err != nil || out != "" {
		t.Errorf("a clean root has certificates (%v): %s", err, out)
	}
	if out, err := run(t, a, "sh", "-c", "tr '\\0' ' ' </proc/1/cmdline; test -e /proc/20"); err == nil || out != "cat" {
		t.Errorf("a clean root sees processes of others: process 1 is %q (%v)", out, err)
	}

	// What one writes, the other does not see.
	if out, err := run(t, a, "sh", "-c", "echo content >/etc/mine && rm /usr/bin/wget"); err != nil {
		t.Fatal(out, err)
	}
	if out, err := run(t, b, "sh", "-c", "test ! -e /etc/mine && wget --version"); err != nil {
		t.Errorf("beta's root is not clean any more: %v %s", err, out)
	}
	if content, err := os.ReadFile(filepath.Join(one, "etc/mine")); err != nil || string(content) != "content\n" {
		t.Errorf("the test does not see what was written in its root: %q (%v)", content, err)
	}
	if out, err := run(t, a, "sh", "-c", "echo data >file"); err != nil {
		t.Fatal(out, err)
	}
	if content, err := os.ReadFile(filepath.Join(a.Folder(), "file")); err != nil || string(content) != "data\n" {
		t.Errorf("what alpha wrote in its folder is %q (%v)", content, err)
	}
	if out, err := run(t, b, "cat", filepath.Join(a.Folder(), "file")); err == nil {
		t.Errorf("beta sees alpha's folder: %s", out)
	}

	idA, errA := run(t, a, "cat", "/etc/machine-id")
	idB, errB := run(t, b, "cat", "/etc/machine-id")
	if errA != nil || errB != nil || len(idA) != 32 || idA == idB {
		t.Errorf("machine-ids %q (%v) and %q (%v), want two different ones", idA, errA, idB, errB)
	}
}

// The same root may be used again, as after a restart, and by two at once.
func TestChrootAgain(t *testing.T) {
	t.Parallel()
	network := NewNetwork(t)
	root := CleanRoot(t)
	m := network.Machine("a")
	first, second := m.Chroot(root), m.Chroot(root)
	network.Machine("later")
	before, err := run(t, first, "cat", "/etc/machine-id")
	if err != nil {
		t.Fatal(before, err)
	}
	if after, err := run(t, second, "cat", "/etc/machine-id"); err != nil || after != before {
		t.Errorf("the machine-id was %q and is %q (%v)", before, after, err)
	}
	for _, m := range []*Machine{first, second} {
		if hosts, err := run(t, m, "cat", "/etc/hosts"); err != nil || !strings.Contains(hosts, "later") {
			t.Errorf("a machine that came later is not in the hosts file (%v):\n%s", err, hosts)
		}
	}
}

func TestMachinesInRootsReachTheNetwork(t *testing.T) {
	t.Parallel()
	network := NewNetwork(t)
	server, client := network.Machine("server"), network.Machine("client")
	serve(t, server)
	fresh := client.Chroot(CleanRoot(t))
	if said, err := get(t, fresh, "server", patient); err != nil || !strings.HasPrefix(said, "server to "+client.Address().String()) {
		t.Errorf("the server said %q (%v)", said, err)
	}
	network.Cut(server, fresh)
	if said, err := get(t, fresh, "server", brief); err == nil {
		t.Errorf("over a cut line the server said %q", said)
	}
	network.Heal(server, client)
	if said, err := get(t, fresh, "server", patient); err != nil {
		t.Errorf("after healing: %q (%v)", said, err)
	}
}

func TestFreshen(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name   string
		age    time.Duration // 0: missing
		inUse  bool
		remade bool
	}{
		{"missing", 0, false, true},
		{"new enough", oldest - time.Hour, false, false},
		{"too old", oldest + time.Hour, false, true},
		{"too old and in use", oldest + time.Hour, true, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			base := filepath.Join(t.TempDir(), "base")
			touch := func(age time.Duration) error {
				then := time.Now().Add(-age)
				return errors.Join(os.MkdirAll(base, 0o755), os.Chtimes(base, then, then))
			}
			if c.age > 0 {
				if err := touch(c.age); err != nil {
					t.Fatal(err)
				}
			}
			lock := func() *os.File {
				f, err := os.OpenFile(base+".lock", os.O_RDWR|os.O_CREATE, 0o644)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { f.Close() })
				return f
			}
			if c.inUse {
				if err := unix.Flock(int(lock().Fd()), unix.LOCK_SH); err != nil {
					t.Fatal(err)
				}
			}
			made := false
			if err := freshen(lock(), base, func() error { made = true; return touch(0) }); err != nil {
				t.Fatal(err)
			}
			if made != c.remade {
				t.Errorf("made again: %t, want %t", made, c.remade)
			}
		})
	}
}
