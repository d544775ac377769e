package machine

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// roleVariable makes the test program something that runs on a machine.
const roleVariable = "MACHINE_TEST_ROLE"

func TestMain(m *testing.M) {
	switch role := os.Getenv(roleVariable); role {
	case "":
		os.Exit(m.Run())
	case "web":
		web()
	default:
		fmt.Fprintf(os.Stderr, "unknown role %q\n", role)
		os.Exit(2)
	}
}

// web is a web server that tells its host name and who asks.
func web() {
	listener, err := net.Listen("tcp", ":80")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	name, _ := os.Hostname()
	fmt.Println("listening")
	http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		from, _, _ := net.SplitHostPort(r.RemoteAddr)
		fmt.Fprintf(w, "%s to %s", name, from)
	}))
}

// serve starts a web server on a machine.
func serve(t *testing.T, m *Machine) *exec.Cmd {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := m.Command(t.Context(), program)
	cmd.Env = append(os.Environ(), roleVariable+"=web")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatalf("the web server on %s said %q: %v", m.Name(), line, err)
	}
	return cmd
}

// run runs a program on a machine and returns what it prints.
func run(t *testing.T, m *Machine, args ...string) (string, error) {
	t.Helper()
	out, err := m.Command(t.Context(), args[0], args[1:]...).CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// patient and brief are how many seconds a request may take, where an answer
// is expected and where none is.
const (
	patient = "60"
	brief   = "1"
)

func get(t *testing.T, m *Machine, host, seconds string) (string, error) {
	t.Helper()
	return run(t, m, "wget", "--quiet", "--output-document=-", "--tries=1", "--timeout="+seconds, "--no-proxy", "http://"+host+"/")
}

func TestMachinesReachEachOtherUntilTheyAreCut(t *testing.T) {
	t.Parallel()
	Need(t, "wget", "iputils-ping")
	network := NewNetwork(t)
	a, b, c := network.Machine("a"), network.Machine("b"), network.Machine("c")
	serve(t, a)
	serve(t, b)

	reach := func(when string, from, to *Machine, want bool) {
		t.Helper()
		seconds := brief
		if want {
			seconds = patient
		}
		out, err := run(t, from, "ping", "-c", "1", "-W", seconds, to.Name())
		if got := err == nil; got != want {
			t.Errorf("%s: ping from %s to %s: %v, want reachable %t\n%s", when, from.Name(), to.Name(), err, want, out)
		}
		if to == c {
			return // it has no web server
		}
		said, err := get(t, from, to.Name(), seconds)
		if got := err == nil; got != want {
			t.Errorf("%s: wget from %s to %s: %v, want reachable %t\n%s", when, from.Name(), to.Name(), err, want, said)
		}
		if greeting := to.Name() + " to " + from.Address().String(); want && said != greeting {
			t.Errorf("%s: the web server said %q, want %q", when, said, greeting)
		}
	}

	reach("at first", a, b, true)
	reach("at first", b, a, true)
	reach("at first", a, c, true)
	network.Cut(a, b)
	reach("after the cut", a, b, false)
	reach("after the cut", b, a, false)
	reach("after the cut", c, a, true)
	reach("after the cut", c, b, true)
	reach("after the cut", a, c, true)
	network.Cut(b, a)
	network.Heal(b, a)
	reach("after healing", a, b, true)
	reach("after healing", b, a, true)
	network.Heal(a, b)
	reach("healed twice", a, b, true)
}

func TestACutIsSilent(t *testing.T) {
	t.Parallel()
	network := NewNetwork(t)
	a, b := network.Machine("a"), network.Machine("b")
	serve(t, a)
	Need(t, "wget")
	network.Cut(a, b)
	out, err := run(t, b, "wget", "--no-verbose", "--output-document=-", "--tries=1", "--timeout=1", "--no-proxy", "http://a/")
	if err == nil || !strings.Contains(strings.ToLower(out), "timed out") {
		t.Errorf("a request over a cut line ended with %v and %q, want it to time out", err, out)
	}
}

func TestNetworksAreSeparate(t *testing.T) {
	t.Parallel()
	Need(t, "wget")
	one, other := NewNetwork(t), NewNetwork(t)
	server, stranger := one.Machine("server"), other.Machine("stranger")
	if server.Address() != stranger.Address() {
		t.Fatalf("addresses %s and %s; the test wants them to be equal", server.Address(), stranger.Address())
	}
	serve(t, server)
	if said, err := get(t, one.Machine("client"), "server", patient); err != nil {
		t.Fatalf("the client does not reach the server: %v %s", err, said)
	}
	if said, err := get(t, other.Machine("client"), server.Address().String(), brief); err == nil {
		t.Errorf("a machine of another network reached %q", said)
	}
	if _, err := run(t, stranger, "wget", "--tries=1", "--timeout=1", "http://server/"); err == nil {
		t.Error("a name of another network was found")
	}
	if routes, err := run(t, server, "ip", "route", "show", "default"); err != nil || routes != "" {
		t.Errorf("there is a way out of the network: %s %v", routes, err)
	}
	interfaces, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range interfaces {
		if i.Name == "bridge" || strings.HasPrefix(i.Name, "port") {
			t.Errorf("the real machine has got the network device %s", i.Name)
		}
	}
}

func TestAMachineHasThingsOfItsOwn(t *testing.T) {
	t.Parallel()
	network := NewNetwork(t)
	a, b := network.Machine("alpha"), network.Machine("beta")
	for _, question := range [][]string{
		{"hostname"},
		{"cat", "/etc/machine-id"},
		{"cat", "/sys/class/net/eth0/address"},
		{"pwd"},
	} {
		fromA, errA := run(t, a, question...)
		fromB, errB := run(t, b, question...)
		if errA != nil || errB != nil || fromA == fromB {
			t.Errorf("%v: %q (%v) and %q (%v), want two different answers", question, fromA, errA, fromB, errB)
		}
	}
	if name, _ := run(t, a, "hostname"); name != "alpha" {
		t.Errorf("alpha calls itself %q", name)
	}
	if devices, err := run(t, a, "ls", "/sys/class/net"); err != nil || devices != "eth0\nlo" {
		t.Errorf("alpha sees the devices %q (%v), want eth0 and lo", devices, err)
	}
	if out, err := run(t, a, "sh", "-c", "echo content >file"); err != nil {
		t.Error(out, err)
	}
	if content, err := os.ReadFile(filepath.Join(a.Folder(), "file")); err != nil || string(content) != "content\n" {
		t.Errorf("a file that alpha made in its folder is %q (%v)", content, err)
	}

	// What is bound on one machine is nowhere else.
	own := filepath.Join(t.TempDir(), "own")
	if err := os.WriteFile(own, []byte("alpha's own"), 0o644); err != nil {
		t.Fatal(err)
	}
	a.Bind(own, "/etc/os-release")
	if said, _ := run(t, a, "cat", "/etc/os-release"); said != "alpha's own" {
		t.Errorf("alpha does not see what was bound: %q", said)
	}
	if said, _ := run(t, b, "cat", "/etc/os-release"); said == "alpha's own" {
		t.Error("beta sees what was bound on alpha")
	}
	if said, _ := os.ReadFile("/etc/os-release"); string(said) == "alpha's own" {
		t.Error("the real machine sees what was bound on alpha")
	}
}

func TestKilledWithItsContext(t *testing.T) {
	t.Parallel()
	plain := NewNetwork(t).Machine("a")
	for name, m := range map[string]*Machine{"plain": plain, "in a root": plain.Chroot(CleanRoot(t))} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			// The program keeps the other end of the pipe open for as long as
			// it lives.
			cmd := m.Command(ctx, "sh", "-c", "echo started; read forever")
			if in, err := cmd.StdinPipe(); err != nil {
				t.Fatal(err)
			} else {
				defer in.Close()
			}
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			lines := bufio.NewReader(out)
			if line, err := lines.ReadString('\n'); line != "started\n" {
				t.Fatalf("the program said %q: %v", line, err)
			}
			cancel()
			if _, err := lines.ReadString('\n'); !errors.Is(err, io.EOF) {
				t.Errorf("the program is not gone: %v", err)
			}
			if err := cmd.Wait(); err == nil {
				t.Error("a killed program ended well")
			}
		})
	}
}

func TestSignal(t *testing.T) {
	t.Parallel()
	plain := NewNetwork(t).Machine("a")
	for name, m := range map[string]*Machine{"plain": plain, "in a root": plain.Chroot(CleanRoot(t))} {
		t.Run(name, func(t *testing.T) {
			cmd := m.Command(t.Context(), "sh", "-c", "trap 'echo asked; exit 7' TERM; echo started; while :; do read more; done")
			in, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			defer in.Close()
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			lines := bufio.NewReader(out)
			if line, err := lines.ReadString('\n'); line != "started\n" {
				t.Fatalf("the program said %q: %v", line, err)
			}
			if err := m.Signal(cmd, syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			if line, err := lines.ReadString('\n'); line != "asked\n" {
				t.Errorf("after SIGTERM the program said %q: %v", line, err)
			}
			if err := cmd.Wait(); cmd.ProcessState.ExitCode() != 7 {
				t.Errorf("the program ended with %v, want exit status 7", err)
			}
		})
	}
}

// Nothing that was started on a machine outlives the test, not even what has
// detached itself.
func TestNothingIsLeftRunning(t *testing.T) {
	t.Parallel()
	held, other, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	t.Run("a test with programs in the background", func(t *testing.T) {
		plain := NewNetwork(t).Machine("a")
		for _, m := range []*Machine{plain, plain.Chroot(CleanRoot(t))} {
			cmd := m.Command(t.Context(), "sh", "-c", "setsid sleep 1000 >&3 2>&3 & echo started")
			cmd.ExtraFiles = []*os.File{other}
			if out, err := cmd.Output(); err != nil || string(out) != "started\n" {
				t.Fatalf("%q %v", out, err)
			}
		}
	})
	other.Close()
	// The end of the pipe is reached when nobody holds the other end.
	if _, err := io.ReadAll(held); err != nil {
		t.Error(err)
	}
}
