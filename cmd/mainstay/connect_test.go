package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"mainstay/site/sitedb"
	"mainstay/site/status"
)

// loggedIn signs the fixture's user in and returns the profiles.
func (f *fixture) loggedIn() profiles {
	f.Helper()
	if _, errOut, code := f.call("administrator", "create", "alice", "--role", "full-administrator"); code != 0 {
		f.Fatal(errOut)
	}
	link, errOut, code := f.call("administrator", "sign-in-link", "alice")
	_, secret, found := strings.Cut(strings.TrimSpace(link), "#code=")
	if code != 0 || !found {
		f.Fatalf("%s %s", link, errOut)
	}
	f.answers = []string{"yes"}
	if _, errOut, code := f.call("login", f.address, "--code", secret); code != 0 {
		f.Fatal(errOut)
	}
	return f.profiles()
}

func (f *fixture) profiles() profiles {
	f.Helper()
	data, err := os.ReadFile(filepath.Join(f.home, "profiles.yaml"))
	if err != nil {
		f.Fatal(err)
	}
	var all profiles
	if err := yaml.Unmarshal(data, &all); err != nil {
		f.Fatal(err)
	}
	return all
}

func (f *fixture) save(all profiles) {
	f.Helper()
	p := &program{env: &environment{configDir: f.home}}
	if err := p.saveProfiles(all); err != nil {
		f.Fatal(err)
	}
}

func TestProfileFileIsPrivate(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.loggedIn()
	info, err := os.Stat(filepath.Join(f.home, "profiles.yaml"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v (%v), want 0600", info.Mode(), err)
	}
}

func TestNextProviderIsTried(t *testing.T) {
	t.Parallel()
	f := setup(t)
	all := f.loggedIn()
	all.Profiles[0].Providers = []string{"https://127.0.0.1:1", f.address}
	f.save(all)
	if out, errOut, code := f.call("device", "list", "--profile", "lab"); code != 0 || !strings.Contains(out, "web1") {
		t.Errorf("exit %d: %s%s", code, out, errOut)
	}
	if _, errOut, code := f.call("device", "block", "web1", "--reason", "x", "--profile", "lab"); code != 0 {
		t.Errorf("a change by the second provider: exit %d: %s", code, errOut)
	}
	all.Profiles[0].Providers = []string{"https://127.0.0.1:1", "https://127.0.0.1:2"}
	f.save(all)
	if _, errOut, code := f.call("device", "list", "--profile", "lab"); code != exitUnavailable || !strings.Contains(errOut, "no provider of the site answers") {
		t.Errorf("with none there: exit %d: %s", code, errOut)
	}
}

// TestFalseProviderGetsNothing: a machine that is not of the site sees neither
// token nor password.
func TestFalseProviderGetsNothing(t *testing.T) {
	t.Parallel()
	f := setup(t)
	all := f.loggedIn()
	asked := make(chan string, 10)
	thief := httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		data, _ := io.ReadAll(r.Body)
		asked <- r.URL.Path + r.Header.Get("Authorization") + string(data)
	}))
	defer thief.Close()
	all.Profiles[0].Providers = []string{thief.URL}
	f.save(all)
	if _, errOut, code := f.call("device", "list", "--profile", "lab"); code != exitDenied || !strings.Contains(errOut, "somebody may be in between") {
		t.Errorf("exit %d: %s", code, errOut)
	}
	f.answers = []string{"yes", "alice", "secret password"}
	if _, errOut, code := f.call("login", thief.URL); code == 0 {
		t.Errorf("signed in at the thief's: %s", errOut)
	}
	close(asked)
	for what := range asked {
		if strings.Contains(what, "mss1_") || strings.Contains(what, "secret") {
			t.Errorf("the thief got %s", what)
		}
	}
}

func TestBrokenProfilesAreNamed(t *testing.T) {
	t.Parallel()
	f := setup(t)
	for _, text := range []string{"current: [", "currant: lab\n", "profiles:\n- name: lab\n  providers: []\n", "profiles:\n- name: lab\n  providers: [\"https://h:1\"]\n  root: nonsense\n"} {
		if err := os.WriteFile(filepath.Join(f.home, "profiles.yaml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, errOut, code := f.call("device", "list", "--profile", "lab"); code != exitUsage || !strings.Contains(errOut, "sign in again") {
			t.Errorf("%q: exit %d: %s", text, code, errOut)
		}
	}
}

func TestNoSiteSaysWhatToDo(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.socket = filepath.Join(f.TempDir(), "nothing.sock")
	if _, errOut, code := f.call("device", "list"); code != exitUnavailable || !strings.Contains(errOut, "mainstay login https://HOST:9443") {
		t.Errorf("exit %d: %s", code, errOut)
	}
	if _, errOut, code := f.call("device", "list", "--socket", f.socket); code != exitUnavailable || !strings.Contains(errOut, "start the server") {
		t.Errorf("exit %d: %s", code, errOut)
	}
}

// lockedBuffer is written by a command and read by a test at the same time.
type lockedBuffer struct {
	mu   sync.Mutex
	b    bytes.Buffer
	more chan struct{}
}

func (l *lockedBuffer) Write(data []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n, err := l.b.Write(data)
	select {
	case l.more <- struct{}{}:
	default:
	}
	return n, err
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func TestFollowShowsWhatComes(t *testing.T) {
	t.Parallel()
	f := setup(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	out := &lockedBuffer{more: make(chan struct{}, 1)}
	env := &environment{
		in: strings.NewReader(""), out: out, errOut: io.Discard, now: f.clock, zone: time.UTC, configDir: f.home,
		getenv: func(string) string { return "" }, sockets: []string{f.socket},
	}
	ended := make(chan int, 1)
	go func() { ended <- run(ctx, env, []string{"status-message", "list", "--follow", "-o", "json"}) }()
	for !strings.Contains(out.String(), "is the active site server") {
		<-out.more
	}
	f.write(func(tx *sitedb.Tx) error {
		return status.Report(t.Context(), tx, status.Message{ID: status.SystemJoined, System: "system-1", Insertions: []string{"mp2"}, Time: f.clock()})
	})
	for !strings.Contains(out.String(), "mp2 joined the site") {
		<-out.more
	}
	stop()
	if code := <-ended; code != exitOK {
		t.Errorf("exit %d", code)
	}
	decoder := json.NewDecoder(strings.NewReader(out.String()))
	seen := 0
	for ; ; seen++ {
		var m map[string]any
		if err := decoder.Decode(&m); err == io.EOF {
			break
		} else if err != nil {
			t.Fatalf("%v: %s", err, out.String())
		}
	}
	if seen != 2 {
		t.Errorf("%d messages, want 2: %s", seen, out.String())
	}
}

// TestNamesCannotCommandTheTerminal: what machines say of themselves is shown
// without its control characters.
func TestNamesCannotCommandTheTerminal(t *testing.T) {
	t.Parallel()
	f := setup(t)
	evil := "web\x1b]0;owned\x07\u202Egnp.exe"
	f.write(func(tx *sitedb.Tx) error {
		return f.exec(tx, `UPDATE device SET name = $1, os_version = $1 WHERE id = $2`, evil, web2)
	})
	for _, args := range [][]string{{"device", "list"}, {"device", "show", web2}, {"device", "show", "gnp"}, {"__complete", "device", "show", "w"}} {
		out, errOut, _ := f.call(args...)
		if strings.ContainsAny(out+errOut, "\x1b\x07\u202E") {
			t.Errorf("%v lets it through: %q", args, out+errOut)
		}
	}
	out, _, _ := f.call("device", "list", "--filter", "id="+web2, "-o", "json")
	var items []struct{ Name string }
	if err := json.Unmarshal([]byte(out), &items); err != nil || items[0].Name != evil {
		t.Errorf("JSON changes the name: %q (%v)", out, err)
	}
}
