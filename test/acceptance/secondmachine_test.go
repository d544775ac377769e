package acceptance

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mainstay/site/sitedb"
	"mainstay/test/machine"
	"mainstay/test/sitetest"
)

// lab is a site on a machine of its own, and a network for others.
type lab struct {
	t       *testing.T
	network *machine.Network
	server  *machine.Machine
	site    *sitetest.Site
	port    string
}

func newLab(t *testing.T) *lab {
	t.Helper()
	l := &lab{t: t, network: machine.NewNetwork(t)}
	l.server = l.network.Machine("server")
	l.site = sitetest.New(t, "")
	l.site.Address = "server"
	l.site.WriteConfig()
	packages := filepath.Join(l.site.Dir, "packages")
	must(t, os.Mkdir(packages, 0o755))
	buildPackages(t, packages)
	_, port, err := net.SplitHostPort(l.site.Clients)
	must(t, err)
	l.port = port
	l.site.Launch(func(cmd *exec.Cmd) {
		there := l.server.Command(context.Background(), cmd.Path, cmd.Args[1:]...)
		cmd.Path, cmd.Args, cmd.SysProcAttr = there.Path, there.Args, there.SysProcAttr
	})
	sitetest.Eventually(t, 30*time.Second, "the site offers the client", func() error {
		out, err := l.site.Command("token", "create", "--install", "--name", "first try")
		if err != nil {
			return fmt.Errorf("%w\n%s", err, l.site.Log())
		}
		if n := strings.Count(out, "\n"); n != 1 {
			t.Fatalf("it printed %d lines, want one:\n%s", n, out)
		}
		return nil
	})
	return l
}

// line makes the line that installs a client on another machine.
func (l *lab) line(args ...string) string {
	l.t.Helper()
	return strings.TrimSpace(l.site.Must(append([]string{"token", "create", "--install"}, args...)...))
}

// fresh is another machine, newly installed.
func (l *lab) fresh(name string) (*machine.Machine, string) {
	root := machine.CleanRoot(l.t)
	return l.network.Machine(name).Chroot(root), root
}

// sh runs a line of a shell on a machine.
func (l *lab) sh(m *machine.Machine, line string) (said string, code int) {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.t.Context(), time.Minute)
	defer cancel()
	cmd := m.Command(ctx, "sh", "-c", line)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		l.t.Fatal(err)
	}
	return out.String(), cmd.ProcessState.ExitCode()
}

// devices are the names of the devices of the site.
func (l *lab) devices() []string {
	l.t.Helper()
	var devices []struct {
		Name string `json:"name"`
	}
	l.site.JSON(&devices, "device", "list")
	names := []string{}
	for _, d := range devices {
		names = append(names, d.Name)
	}
	return names
}

// TestSecondMachine brings other machines in with the one line, and lets
// everything that could be wrong with it be wrong once.
func TestSecondMachine(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	t.Run("debian", func(t *testing.T) { l.bringsIn(t) })
	t.Run("rpm", func(t *testing.T) { l.bringsInWithRPM(t) })
	t.Run("refused", func(t *testing.T) { l.refuses(t) })
}

func (l *lab) bringsIn(t *testing.T) {
	fresh, root := l.fresh("web1")
	line := l.line()
	said, code := l.sh(fresh, line)
	for _, want := range []string{"fetching mainstay-client_", "registering with site LAB", "Registered as device ", "Start the client with: mainstay-client run"} {
		if !strings.Contains(said, want) {
			t.Errorf("it does not say %q", want)
		}
	}
	if code != 0 || t.Failed() {
		t.Fatalf("exit code %d; it said:\n%s\nserver:\n%s", code, said, l.site.Log())
	}
	if left, err := filepath.Glob(filepath.Join(root, "tmp", "tmp.*")); err != nil || len(left) > 0 {
		t.Errorf("it left %v", left)
	}
	if said, code := l.sh(fresh, "dpkg --verify mainstay-client && mainstay-client version && test -f /usr/lib/systemd/system/mainstay-client.service"); code != 0 {
		t.Errorf("the package is not whole: %s", said)
	}

	client := start(t, fresh.Command(context.Background(), "mainstay-client", "run"))
	var view deviceView
	sitetest.Eventually(t, time.Minute, "the other machine reports its inventory", func() error {
		out, err := l.site.Command("device", "show", "web1", "-o", "json")
		if err != nil {
			return fmt.Errorf("%w\n%s", err, client.everything())
		}
		decode(t, out, &view)
		if len(view.Inventory) == 0 {
			return errors.New("no inventory yet")
		}
		return nil
	})
	for class, want := range map[string]string{
		"InstalledSoftware": `"mainstay-client"`, "NetworkAdapterConfiguration": `"` + fresh.Address().String() + `"`, "ComputerSystem": `"web1"`, "OS": `"Debian GNU/Linux"`,
	} {
		if !strings.Contains(string(view.Inventory[class]), want) {
			t.Errorf("%s does not show %s: %s", class, want, view.Inventory[class])
		}
	}
	if names := l.devices(); len(names) != 1 || names[0] != "web1" {
		t.Errorf("the devices are %q, want web1", names)
	}

	// Once more, by mistake: it is the same device, and the line does not wear.
	must(t, fresh.Signal(client.command, syscall.SIGTERM))
	if code := client.exit(20 * time.Second); code != 0 {
		t.Errorf("the client ended with %d:\n%s", code, client.everything())
	}
	before := view.Device.ID
	if said, code := l.sh(fresh, line); code != 0 {
		t.Errorf("the line a second time: %d\n%s", code, said)
	}
	decode(t, l.site.Must("device", "show", "web1", "-o", "json"), &view)
	if view.Device.ID != before || len(l.devices()) != 1 {
		t.Errorf("the machine is device %s now, and was %s", view.Device.ID, before)
	}
}

// refuses lets one thing after the other be wrong. Nothing may be installed,
// registered or left, and the text says what is wrong.
func (l *lab) refuses(t *testing.T) {
	before := len(l.devices())
	fingerprint := regexp.MustCompile(`[0-9a-f]{64}`)
	// One machine for all: after each it is as new.
	fresh, root := l.fresh("refused")
	thief := l.thief(t, fresh)
	other := sitetest.Start(t) // a site of the same code
	for _, test := range []struct {
		name string
		line func() string
		want []string
	}{
		{"another fingerprint", func() string {
			return fingerprint.ReplaceAllString(l.line(), strings.Repeat("0", 64))
		}, []string{"is not what this line was made for", "make a new line"}},
		{"another script", func() string {
			thief.change("install", "#!/bin/sh", "#!/bin/sh\ntouch /stolen")
			return strings.ReplaceAll(l.line(), "server:"+l.port, "thief:"+l.port)
		}, []string{"is not what this line was made for", "make a new line"}},
		{"another package", func() string {
			thief.change("package", "", "")
			return strings.ReplaceAll(l.line(), "server:"+l.port, "thief:"+l.port)
		}, []string{"is not the package that the site published", "nothing was installed"}},
		{"a token that ended", func() string {
			line := l.line("--name", "ended")
			l.endToken("ended")
			return line
		}, []string{`token "ended" ended at`, "ask for a new one", "removed again"}},
		{"a revoked token", func() string {
			line := l.line("--name", "revoked")
			l.site.Must("token", "revoke", "revoked")
			return line
		}, []string{`token "revoked" was revoked`, "ask for a new one", "removed again"}},
		{"a token that was used", func() string {
			line := l.line("--name", "used")
			user, _ := l.fresh("user")
			if said, code := l.sh(user, line); code != 0 {
				t.Fatalf("the first use: %d\n%s", code, said)
			}
			before++
			return line
		}, []string{`token "used" has been used 1 of 1 times`, "ask for a new one", "removed again"}},
		{"a token of another site", func() string {
			token := regexp.MustCompile(`MAINSTAY_TOKEN='[^']*'`)
			return token.ReplaceAllString(l.line(), "MAINSTAY_TOKEN='"+other.Token()+"'")
		}, []string{"does not agree with the registration token", "removed again"}},
		{"no token", func() string {
			token := regexp.MustCompile(`MAINSTAY_TOKEN='[^']*'`)
			return token.ReplaceAllString(l.line(), "MAINSTAY_TOKEN=''")
		}, []string{"MAINSTAY_TOKEN is empty", "mainstay token create --install"}},
		{"not root", func() string {
			return "setpriv --reuid=65534 --regid=65534 --clear-groups sh -c \"$(cat <<'END'\n" + l.line() + "\nEND\n)\""
		}, []string{"needs root"}},
		{"nobody there", func() string {
			return strings.ReplaceAll(l.line(), "server:"+l.port, "server:1")
		}, []string{"cannot fetch", "check that this machine reaches it"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			line := test.line()
			said, code := l.sh(fresh, line)
			for _, want := range test.want {
				if !strings.Contains(said, want) {
					t.Errorf("it does not say %q", want)
				}
			}
			if code == 0 {
				t.Error("it succeeded")
			}
			if after := l.devices(); len(after) != before {
				t.Errorf("a device was registered: %q", after)
			}
			for _, path := range []string{"/usr/bin/mainstay-client", "/var/lib/mainstay-client", "/usr/lib/systemd/system/mainstay-client.service", "/stolen"} {
				if _, err := os.Lstat(filepath.Join(root, path)); err == nil {
					t.Errorf("%s is on the machine", path)
				}
			}
			if left, err := filepath.Glob(filepath.Join(root, "tmp", "tmp.*")); err != nil || len(left) > 0 {
				t.Errorf("it left %v", left)
			}
			if said, _ := l.sh(fresh, "dpkg-query -W mainstay-client 2>&1"); !strings.Contains(said, "no packages found") {
				t.Errorf("dpkg knows the client: %s", said)
			}
			if t.Failed() {
				t.Logf("exit code %d; it said:\n%s", code, said)
			}
		})
	}
	if waiting := strings.TrimSpace(l.site.Must("registration", "list", "-o", "csv")); strings.Count(waiting, "\n") > 0 {
		t.Errorf("registrations wait for approval:\n%s", waiting)
	}
}

// endToken lets a token end, as waiting would: no lifetime is short enough.
func (l *lab) endToken(name string) {
	l.t.Helper()
	db, err := sitedb.Open(l.t.Context(), sitedb.Config{Path: filepath.Join(l.site.Dir, "data", "site.db")})
	must(l.t, err)
	defer db.Close()
	must(l.t, db.Write(l.t.Context(), func(tx *sitedb.Tx) error {
		rows, err := tx.Query(l.t.Context(), `UPDATE registration_token SET expires_at = ? WHERE name = ? RETURNING id`,
			sitedb.Micros(time.Now().Add(-time.Minute)), name)
		if err != nil {
			return err
		}
		defer rows.Close()
		if !rows.Next() {
			return errors.New("there is no such token")
		}
		return rows.Err()
	}))
}

// bringsInWithRPM installs the rpm with the same line, on a copy of this
// machine from which dpkg is taken away.
func (l *lab) bringsInWithRPM(t *testing.T) {
	machine.Need(t, "rpm", "wget")
	root := copyOfThisMachine(t)
	// Debian's rpm wants to be told that this is meant.
	must(t, os.WriteFile(filepath.Join(root, "usr/local/bin/rpm"),
		[]byte("#!/bin/sh\ncase $1 in -q | -V) exec /usr/bin/rpm --dbpath /var/lib/rpm-test \"$@\" ;; esac\n"+
			"exec /usr/bin/rpm --dbpath /var/lib/rpm-test --force-debian --nodeps \"$@\"\n"), 0o755))
	must(t, os.Remove(filepath.Join(root, "usr/bin/dpkg")))
	fresh := l.network.Machine("rpm1").Chroot(root)

	line := l.line("--name", "rpm")
	refused := l.line("--name", "rpm refused")
	l.site.Must("token", "revoke", "rpm refused")
	said, code := l.sh(fresh, refused)
	if installed, _ := l.sh(fresh, "rpm -q mainstay-client"); code == 0 || !strings.Contains(said, "removed again") || !strings.Contains(installed, "not installed") {
		t.Errorf("a revoked token: exit code %d, package: %s\n%s", code, installed, said)
	}
	if _, err := os.Stat(filepath.Join(root, "var/lib/mainstay-client")); err == nil {
		t.Error("a refused machine keeps a state folder")
	}
	said, code = l.sh(fresh, line)
	if code != 0 || !strings.Contains(said, "Registered as device ") {
		t.Fatalf("exit code %d; it said:\n%s", code, said)
	}
	if said, code := l.sh(fresh, "rpm -V mainstay-client"); code != 0 {
		t.Errorf("the package is not whole: %s", said)
	}
	if names := strings.Join(l.devices(), " "); !strings.Contains(names, "rpm1") {
		t.Errorf("the devices are %q, want rpm1 among them", names)
	}
}

// copyOfThisMachine is the root file system of this machine with a layer over
// it that takes all changes.
func copyOfThisMachine(t *testing.T) string {
	t.Helper()
	own := t.TempDir()
	for _, folder := range []string{"changes", "work", "root"} {
		must(t, os.Mkdir(filepath.Join(own, folder), 0o755))
	}
	root := filepath.Join(own, "root")
	options := fmt.Sprintf("lowerdir=/,upperdir=%s/changes,workdir=%s/work", own, own)
	must(t, unix.Mount(fmt.Sprintf("mainstay-test:%d", os.Getpid()), root, "overlay", 0, options))
	t.Cleanup(func() {
		if err := unix.Unmount(root, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	// What the machine has of this site and others is not its own.
	for _, path := range []string{"usr/bin/mainstay-client", "var/lib/mainstay-client", "etc/machine-id"} {
		must(t, os.RemoveAll(filepath.Join(root, path)))
	}
	return root
}
