package machine

import (
	"bufio"
	"bytes"
	"io"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// killAll is the end of a holder's script that kills whatever runs in its
// network namespace, also after the test itself was killed. It looks until
// there is nothing more, because one process may have started another; one that
// has ended and waits for its parent has no namespace any more.
const killAll = `
echo $pid
cat
own=$(readlink /proc/$$/ns/net)
own=${own#net:?}
while :; do
	found=
	for link in $(find /proc/[0-9]*/ns/net -maxdepth 0 -lname "net:?$own" 2>/dev/null); do
		pid=${link#/proc/}
		pid=${pid%%/*}
		if test $pid != $$ && kill -KILL $pid 2>/dev/null; then found=yes; fi
	done
	test "$found" || exit 0
done`

// holder is a process that keeps namespaces alive until its standard input
// ends, which it does when the test process ends, in whatever way.
type holder struct {
	command *exec.Cmd
	in      io.WriteCloser
	pid     int // of the process inside the namespaces
}

// hold starts a shell in new namespaces. command must end in a shell, to which
// hold gives a script and its arguments. The script sets up what it wants; when
// all is ready it says $pid and waits for the end of its input.
func hold(t testing.TB, command []string, script string, args ...string) *holder {
	t.Helper()
	// In a new process namespace $$ is 1, but /proc is still the old one's.
	script = "set -e\nread pid rest </proc/self/stat\n" + script
	argv := append(append(command[1:], "-c", script, "holder"), args...)
	h := &holder{command: exec.Command(command[0], argv...)}
	var errors bytes.Buffer
	h.command.Stderr = &errors
	// An interrupt from the terminal is for the test.
	h.command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}

	in, err := h.command.StdinPipe()
	if err != nil {
		t.Fatalf("machine: %v", err)
	}
	out, err := h.command.StdoutPipe()
	if err != nil {
		t.Fatalf("machine: %v", err)
	}
	if err := h.command.Start(); err != nil {
		t.Fatalf("machine: cannot make namespaces: %v", err)
	}
	h.in = in
	line, _ := bufio.NewReader(out).ReadString('\n')
	if h.pid, err = strconv.Atoi(strings.TrimSpace(line)); err != nil {
		in.Close()
		err := h.command.Wait()
		t.Fatalf("machine: cannot make namespaces: %v\n%s", err, errors.String())
	}
	t.Cleanup(func() { h.release(t) })
	return h
}

func (h *holder) release(t testing.TB) {
	h.in.Close()
	if err := h.command.Wait(); err != nil {
		t.Errorf("machine: the process that held the namespaces: %v\n%v", err, h.command.Stderr)
	}
}

// enter is the command that runs another one in namespaces of the holder, such
// as "--net"; namespaces that are not named stay those of the test.
func (h *holder) enter(namespaces ...string) []string {
	return append([]string{"nsenter", "--target", strconv.Itoa(h.pid)}, namespaces...)
}

// run runs a program in the network namespace of the holder, fails the test
// when it fails, and returns what it prints.
func (h *holder) run(t testing.TB, input string, args ...string) string {
	t.Helper()
	argv := append(h.enter("--net"), args...)
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdin = strings.NewReader(input)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("machine: %s: %v\n%s%s", strings.Join(args, " "), err, input, out)
	}
	return string(out)
}
