// Package sitetest runs a whole site for tests: the real programs, as
// processes, on loopback, each site with folders and ports of its own.
package sitetest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// programs are the programs that were built for this test process, each once.
var programs struct {
	sync.Mutex // guards everything below
	dir        string
	built      map[string]error
}

// build makes the program of a folder of the module and returns its path.
func build(folder string) (string, error) {
	programs.Lock()
	defer programs.Unlock()
	if programs.dir == "" {
		dir, err := os.MkdirTemp("", "mainstay-programs-*")
		if err != nil {
			return "", err
		}
		programs.dir, programs.built = dir, map[string]error{}
	}
	path := filepath.Join(programs.dir, filepath.Base(folder))
	err, known := programs.built[folder]
	if !known {
		err = compile(folder, path)
		programs.built[folder] = err
	}
	return path, err
}

func compile(folder, path string) error {
	root, err := moduleRoot()
	if err != nil {
		return err
	}
	args := []string{"build", "-o", path}
	// The console belongs to the program where it was built.
	if _, err := os.Stat(filepath.Join(root, "console", "dist", "index.html")); err == nil {
		args = append(args, "-tags", "console")
	}
	build := exec.Command("go", append(args, folder)...)
	build.Dir, build.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("cannot build %s: %w\n%s", folder, err, output)
	}
	return nil
}

// ModuleRoot is the folder of the module's source.
func ModuleRoot(t testing.TB) string {
	t.Helper()
	root, err := moduleRoot()
	if err != nil {
		t.Fatal(err)
	}
	return root
}

func moduleRoot() (string, error) {
	out, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("cannot find the module: %w", err)
	}
	return filepath.Dir(strings.TrimSpace(string(out))), nil
}

// Program is the path of one of the programs, built from this tree.
func Program(t testing.TB, name string) string {
	t.Helper()
	return Build(t, "./cmd/"+name)
}

// Build is the path of the program whose main package is in a folder of the
// module, such as "./cmd/mainstay". It is built once for all tests of a package.
func Build(t testing.TB, folder string) string {
	t.Helper()
	path, err := build(folder)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// RemovePrograms removes what was built, at the end of a package's tests.
func RemovePrograms() {
	programs.Lock()
	defer programs.Unlock()
	if programs.dir != "" {
		// What stays in the folder for temporary files harms nobody.
		_ = os.RemoveAll(programs.dir)
		programs.dir = ""
	}
}

// Site is a site of its own.
type Site struct {
	t testing.TB
	// Dir is its folder; Config its configuration file.
	Dir, Config string
	// Clients and Admin are host:port.
	Clients, Admin string
	Socket         string
	// Address is the name under which the site is to be reached; empty is
	// loopback. With one it listens on every address, on the ports of Clients
	// and Admin. WriteConfig makes a change known.
	Address string
	// RecoveryKey is what site init showed.
	RecoveryKey string

	mu     sync.Mutex // guards server
	server *exec.Cmd
}

// New makes a site in dir, or in a new folder when dir is empty, and does not
// start it.
func New(t testing.TB, dir string) *Site {
	t.Helper()
	if dir == "" {
		dir = t.TempDir()
	}
	s := &Site{t: t, Dir: dir, Config: filepath.Join(dir, "mainstay.yaml"), Clients: FreePort(t), Admin: FreePort(t)}
	s.Socket = SocketPath(t)
	s.WriteConfig()
	out := s.mustRun("site", "init", "--site-code", "LAB", "--config", s.Config)
	for line := range strings.Lines(out) {
		if key := strings.TrimSpace(line); strings.HasPrefix(key, "AGE-SECRET-KEY-") {
			s.RecoveryKey = key
		}
	}
	return s
}

// At is a site that is there already, such as one that was restored to dir.
func At(t testing.TB, dir, clients, admin, socket string) *Site {
	return &Site{t: t, Dir: dir, Config: filepath.Join(dir, "mainstay.yaml"), Clients: clients, Admin: admin, Socket: socket}
}

// Start makes a site and runs it.
func Start(t testing.TB) *Site {
	t.Helper()
	s := New(t, "")
	s.Run()
	return s
}

// WriteConfig writes the configuration of the site's folder and ports.
func (s *Site) WriteConfig() {
	s.t.Helper()
	address, clients, admin := "127.0.0.1", s.Clients, s.Admin
	if s.Address != "" {
		address, clients, admin = s.Address, clients[strings.LastIndexByte(clients, ':'):], admin[strings.LastIndexByte(admin, ':'):]
	}
	text := fmt.Sprintf("data: %s\nname: localhost\naddress: %s\nclient_listen: %s\nadmin_listen: %s\nsocket: %s\nclient_packages: %s\n",
		filepath.Join(s.Dir, "data"), address, clients, admin, s.Socket, filepath.Join(s.Dir, "packages"))
	if err := os.WriteFile(s.Config, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// Run starts the server and returns when it answers clients.
func (s *Site) Run() {
	s.t.Helper()
	s.Launch(nil)
	s.Await()
}

// Launch starts the server without waiting for it; wrap may change the command.
func (s *Site) Launch(wrap func(*exec.Cmd)) {
	s.t.Helper()
	cmd := exec.Command(Program(s.t, "mainstay"), "server", "--config", s.Config)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	log, err := os.OpenFile(filepath.Join(s.Dir, "server.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		s.t.Fatal(err)
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if wrap != nil {
		wrap(cmd)
	}
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.mu.Lock()
	s.server = cmd
	s.mu.Unlock()
	s.t.Cleanup(s.Kill)
}

// Await waits until the client port answers with a description of the site.
func (s *Site) Await() {
	s.t.Helper()
	client := s.Stranger()
	Eventually(s.t, 30*time.Second, "the site answers", func() error {
		response, err := client.Get("https://" + s.Clients + "/mp/v1/site")
		if err != nil {
			return fmt.Errorf("%w\n%s", err, s.Log())
		}
		response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("status %d", response.StatusCode)
		}
		return nil
	})
}

// Log is what the server logged.
func (s *Site) Log() string {
	data, err := os.ReadFile(filepath.Join(s.Dir, "server.log"))
	if err != nil {
		return err.Error()
	}
	return string(data)
}

// Kill ends the server with SIGKILL.
func (s *Site) Kill() { s.end(syscall.SIGKILL) }

// Stop ends the server with SIGTERM and returns how it ended.
func (s *Site) Stop() error { return s.end(syscall.SIGTERM) }

func (s *Site) end(signal syscall.Signal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.server == nil {
		return nil
	}
	// One that has ended already needs no signal.
	_ = s.server.Process.Signal(signal)
	err := s.server.Wait()
	s.server = nil
	return err
}

// Pid is the process of the server.
func (s *Site) Pid() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.server.Process.Pid
}

// Command runs the administrator's command on the site's local socket and
// returns what it printed.
func (s *Site) Command(args ...string) (string, error) {
	cmd := exec.Command(Program(s.t, "mainstay"), args...)
	cmd.Env = append(os.Environ(), "MAINSTAY_SOCKET="+s.Socket, "MAINSTAY_PASSPHRASE=correct horse battery")
	var out, problem bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problem
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("mainstay %s: %w: %s", strings.Join(args, " "), err, problem.String())
	}
	return out.String(), nil
}

func (s *Site) mustRun(args ...string) string {
	s.t.Helper()
	out, err := s.Command(args...)
	if err != nil {
		s.t.Fatal(err)
	}
	return out
}

// Must is Command that may not fail.
func (s *Site) Must(args ...string) string {
	s.t.Helper()
	return s.mustRun(args...)
}

// JSON runs a command with -o json and decodes what it printed.
func (s *Site) JSON(out any, args ...string) {
	s.t.Helper()
	text := s.mustRun(append(args, "-o", "json")...)
	if err := json.Unmarshal([]byte(text), out); err != nil {
		s.t.Fatalf("mainstay %s printed no JSON: %v\n%s", strings.Join(args, " "), err, text)
	}
}

// Token makes a registration token that may be used any number of times.
func (s *Site) Token() string {
	s.t.Helper()
	var created struct {
		Text string `json:"text"`
	}
	s.JSON(&created, "token", "create", "--name", "test", "--uses", "100000")
	return created.Text
}

// FreePort is an address on loopback that nobody listens on.
func FreePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// SocketPath is a path for a socket: short, and test folders are long.
func SocketPath(t testing.TB) string {
	t.Helper()
	run, err := os.MkdirTemp("", "ms-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(run) })
	return filepath.Join(run, "s")
}

// Eventually repeats check until it returns nil, and fails the test when it
// has not after the time. It is a bound, not a measurement.
func Eventually(t testing.TB, within time.Duration, what string, check func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := check()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("waited %s for: %s: %v", within, what, err)
		case <-tick.C:
		}
	}
}
