package acceptance

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"mainstay/test/sitetest"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// output is what a process prints, readable while it does.
type output struct {
	mu   sync.Mutex // guards text
	text bytes.Buffer
}

func (o *output) Write(data []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(data)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// process is a program of ours that runs until it is told to end.
type process struct {
	t           testing.TB
	command     *exec.Cmd
	out, errOut output
	ended       chan error
}

// start starts a program; edit may change the command before.
func start(t testing.TB, command *exec.Cmd) *process {
	t.Helper()
	p := &process{t: t, command: command, ended: make(chan error, 1)}
	command.Stdout, command.Stderr = &p.out, &p.errOut
	if command.SysProcAttr == nil {
		command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	}
	must(t, command.Start())
	go func() { p.ended <- command.Wait() }()
	t.Cleanup(func() {
		_ = command.Process.Kill() // it may have ended
		<-p.ended
	})
	return p
}

// everything is what it has said.
func (p *process) everything() string {
	return p.out.String() + "--- standard error:\n" + p.errOut.String()
}

// await waits until it has printed text, or fails when it ends before.
func (p *process) await(text string, within time.Duration) {
	p.t.Helper()
	sitetest.Eventually(p.t, within, fmt.Sprintf("%s says %q", filepath.Base(p.command.Path), text), func() error {
		if strings.Contains(p.out.String(), text) {
			return nil
		}
		select {
		case err := <-p.ended:
			p.ended <- err
			p.t.Fatalf("it ended (%v) and said:\n%s", err, p.everything())
		default:
		}
		return errors.New(p.everything())
	})
}

// end sends a signal and returns the exit code; -1 when a signal ended it.
func (p *process) end(signal syscall.Signal, within time.Duration) int {
	p.t.Helper()
	must(p.t, p.command.Process.Signal(signal))
	return p.exit(within)
}

func (p *process) exit(within time.Duration) int {
	p.t.Helper()
	select {
	case err := <-p.ended:
		p.ended <- err
		return p.command.ProcessState.ExitCode()
	case <-time.After(within):
		p.t.Fatalf("it does not end within %s:\n%s", within, p.everything())
		return 0
	}
}

// run runs a command to its end and returns what it printed and its exit code.
func run(t testing.TB, command *exec.Cmd) (out, errOut string, code int) {
	t.Helper()
	var o, e bytes.Buffer
	command.Stdout, command.Stderr = &o, &e
	err := command.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%v: %v", command.Args, err)
	}
	return o.String(), e.String(), command.ProcessState.ExitCode()
}

// running lists the processes that have text in their arguments.
func running(t testing.TB, text string) []int {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	must(t, err)
	var found []int
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil || !bytes.Contains(data, []byte(text)) {
			continue // it ended meanwhile, or is another one
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		must(t, err)
		if pid != os.Getpid() {
			found = append(found, pid)
		}
	}
	return found
}

func decode(t testing.TB, text string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), into); err != nil {
		t.Fatalf("no JSON: %v\n%s", err, text)
	}
}

func copyFile(t testing.TB, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	must(t, err)
	must(t, os.WriteFile(to, data, 0o600))
}

func readAll(t testing.TB, r io.ReadCloser) string {
	t.Helper()
	defer r.Close()
	data, err := io.ReadAll(r)
	must(t, err)
	return string(data)
}

// deviceView is what 'device show -o json' prints.
type deviceView struct {
	Device struct {
		ID           string `json:"id"`
		Name         string `json:"name"`
		Os           string `json:"os"`
		OsVersion    string `json:"os_version"`
		Arch         string `json:"arch"`
		RegisteredAt string `json:"registered_at"`
		RegisteredBy string `json:"registered_by"`
		Activity     string `json:"activity"`
		InventoryAt  string `json:"inventory_at"`
	} `json:"device"`
	Inventory map[string]json.RawMessage `json:"inventory"`
	Errors    []json.RawMessage          `json:"errors"`
}
