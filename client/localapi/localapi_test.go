package localapi

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"mainstay/lib/fault"
	"mainstay/wire"
)

type fake struct{ acts chan string }

func (f fake) Status() Status { return Status{SiteCode: "LAB", Phase: "registered", Queued: 3} }
func (f fake) Policy() Policy { return Policy{Version: 7, Assignments: []wire.Assignment{{Kind: "k"}}} }
func (f fake) Act(_ context.Context, what string) bool {
	if what != ActPolicy && what != ActInventory {
		return false
	}
	f.acts <- what
	return true
}

// setup opens a door and returns its path, what was done through it, and how
// to close it.
func setup(t *testing.T, path string) (acts chan string, shut func() error) {
	t.Helper()
	acts = make(chan string, 10)
	ctx, cancel := context.WithCancel(t.Context())
	server := New(Config{Path: path, Client: fake{acts}})
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()
	for { // until it answers; the test's own deadline bounds this
		if c, err := net.Dial("unix", path); err == nil {
			c.Close()
			break
		}
		select {
		case err := <-ended:
			t.Fatalf("the door did not open: %v", err)
		default:
		}
	}
	return acts, func() error { cancel(); return <-ended }
}

// socket is a path short enough for a socket.
func socket(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "door")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "sub", "client.sock")
}

func TestDoor(t *testing.T) {
	t.Parallel()
	path := socket(t)
	acts, shut := setup(t, path)
	door := NewDoor(path)
	if s, err := door.Status(t.Context()); err != nil || s.SiteCode != "LAB" || s.Queued != 3 {
		t.Errorf("status is %+v, %v", s, err)
	}
	if p, err := door.Policy(t.Context()); err != nil || p.Version != 7 || len(p.Assignments) != 1 {
		t.Errorf("policy is %+v, %v", p, err)
	}
	for _, what := range []string{ActPolicy, ActInventory} {
		if err := door.Act(t.Context(), what); err != nil || <-acts != what {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := door.Act(t.Context(), "harm"); err == nil {
		t.Error("an unknown action is no error")
	}
	if err := shut(); err != nil {
		t.Errorf("closed with %v", err)
	}
	if _, err := door.Status(t.Context()); !fault.Is(err, fault.Unavailable) {
		t.Errorf("a client that does not run: %v", err)
	}
}

func TestOnlyTheOwnerMayOpenIt(t *testing.T) {
	t.Parallel()
	path := socket(t)
	_, shut := setup(t, path)
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("socket has mode %v", info.Mode())
	}
	if err := shut(); err != nil {
		t.Error(err)
	}
}

func TestSocketOfAKilledClientIsReplaced(t *testing.T) {
	t.Parallel()
	path := socket(t)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	left, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	left.SetUnlinkOnClose(false)
	left.Close()
	_, shut := setup(t, path)
	if _, err := NewDoor(path).Status(t.Context()); err != nil {
		t.Error(err)
	}
	if err := shut(); err != nil {
		t.Error(err)
	}
}

func TestIdleCallerDoesNotHoldUpTheEnd(t *testing.T) {
	t.Parallel()
	path := socket(t)
	_, shut := setup(t, path)
	idle, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	done := make(chan error, 1)
	go func() { done <- shut() }()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(time.Minute):
		t.Error("an idle caller holds up the end")
	}
}
