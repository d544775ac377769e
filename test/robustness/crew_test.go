package robustness

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"mainstay/test/robustness/history"
	"mainstay/test/robustness/numbered"
	"mainstay/test/sitetest"
)

// crew is a process with some of the clients. They share a disk and end
// together.
type crew struct {
	t       testing.TB
	name    string
	disk    *disk
	config  numbered.Config
	journal *follower

	command *exec.Cmd
	ended   chan error
}

func (c *crew) start() {
	c.t.Helper()
	c.journal.follow(c.t)
	for i := range c.config.Streams {
		c.config.Streams[i].Next = c.journal.next[c.config.Streams[i].Name] + 1
	}
	path := c.disk.path + ".config"
	data, err := json.Marshal(c.config)
	must(c.t, err)
	must(c.t, os.WriteFile(path, data, 0o600))
	log, err := os.OpenFile(c.disk.path+".log", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	must(c.t, err)
	defer log.Close()
	c.command = exec.Command(sitetest.Build(c.t, "./test/robustness/traffic"), "-config", path)
	c.command.Stdout, c.command.Stderr = log, log
	c.command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	must(c.t, c.command.Start())
	c.ended = make(chan error, 1)
	go func(command *exec.Cmd, ended chan<- error) { ended <- command.Wait() }(c.command, c.ended)
	c.t.Cleanup(c.kill)
}

// kill ends the process with SIGKILL. One that has ended by itself fails the
// test: a client never does.
func (c *crew) kill() {
	c.t.Helper()
	if c.command == nil {
		return
	}
	select {
	case err := <-c.ended:
		c.t.Errorf("%s ended by itself: %v\n%s", c.name, err, tail(c.disk.path+".log"))
	default:
		_ = c.command.Process.Kill()
		<-c.ended
	}
	c.command = nil
}

func (c *crew) running() bool { return c.command != nil }

// add gives the crew another client. It must not run.
func (c *crew) add(name, hardware string) {
	c.config.Streams = append(c.config.Streams, numbered.Stream{
		Name: name, Dir: filepath.Join(c.disk.path, name), Hardware: hardware,
	})
}

func (c *crew) streams() []string {
	var names []string
	for _, s := range c.config.Streams {
		names = append(names, s.Name)
	}
	return names
}

// follower reads the journal of a crew while it grows.
type follower struct {
	path   string
	offset int64
	// next is the highest number that was offered, by stream; idle and device
	// are the newest of those events.
	next   map[string]int64
	idle   map[string]int64
	device map[string]string
	policy map[string]int64
}

func newFollower(path string) *follower {
	return &follower{path: path, next: map[string]int64{}, idle: map[string]int64{}, device: map[string]string{}, policy: map[string]int64{}}
}

// follow reads what is new.
func (f *follower) follow(t testing.TB) {
	t.Helper()
	file, err := os.Open(f.path)
	if os.IsNotExist(err) {
		return
	}
	must(t, err)
	defer file.Close()
	info, err := file.Stat()
	must(t, err)
	data := make([]byte, info.Size()-f.offset)
	n, err := file.ReadAt(data, f.offset)
	if n < len(data) {
		t.Fatalf("cannot read %s: %v", f.path, err)
	}
	whole := strings.LastIndexByte(string(data), '\n') + 1
	f.offset += int64(whole)
	for line := range strings.Lines(string(data[:whole])) {
		var e history.Event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("journal %s: %v: %q", f.path, err, line)
		}
		switch e.What {
		case history.Offered:
			f.next[e.Stream] = max(f.next[e.Stream], e.Number)
		case history.Idle:
			f.idle[e.Stream] = e.Time
		case history.Identified:
			f.device[e.Stream] = e.Device
		case history.HasPolicy:
			f.policy[e.Stream] = e.Policy.Version
		}
	}
}

// freeze stops a process where it is and returns when all its threads stand
// still: nothing that it says leaves the machine after that.
func freeze(t testing.TB, pid int) {
	t.Helper()
	must(t, syscall.Kill(pid, syscall.SIGSTOP))
	sitetest.Eventually(t, 20*time.Second, "the process stands still", func() error {
		stats, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
		if err != nil || len(stats) == 0 {
			return fmt.Errorf("process %d has no threads: %v", pid, err)
		}
		for _, path := range stats {
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			_, state, _ := strings.Cut(string(data), ") ")
			if !strings.HasPrefix(state, "T") && !strings.HasPrefix(state, "t") {
				return fmt.Errorf("thread is in state %.1s", state)
			}
		}
		return nil
	})
}

func tail(path string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(data[max(0, len(data)-4000):])
}
