package thief

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"mainstay/client"
	"mainstay/client/identity"
	"mainstay/lib/lifecycle"
	"mainstay/lib/registrationtoken"
	"mainstay/test/sitetest"
	"mainstay/wire"
)

// childConfig is the configuration of a client in a process of its own.
type childConfig struct {
	StateDir         string   `json:"state_dir"`
	Token            string   `json:"token"`
	ManagementPoints []string `json:"management_points"`
}

// TestMain is also the main function of a client in a process of its own.
func TestMain(m *testing.M) {
	if text := os.Getenv("THIEF_TEST_CLIENT"); text != "" {
		if err := child(text); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// child is a client that asks five times a second, as if somebody sat there.
func child(text string) error {
	var c childConfig
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		return err
	}
	token, err := registrationtoken.Parse(c.Token)
	if err != nil {
		return err
	}
	victim, err := client.New(client.Config{
		StateDir: c.StateDir, SiteCode: "LAB", ManagementPoints: c.ManagementPoints, Token: token,
		Hardware: func() wire.HardwareIdentity { return wire.HardwareIdentity{ProductUUID: uuidOf("victim")} },
		Machine:  func() identity.Facts { return identity.Facts{Name: "victim", OS: "Linux", Arch: "amd64"} },
		Log:      slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	return lifecycle.Run(ctx,
		lifecycle.Task{Name: "client", Run: victim.Run},
		lifecycle.Task{Name: "nudge", Run: func(ctx context.Context) error {
			tick := time.NewTicker(200 * time.Millisecond)
			defer tick.Stop()
			for {
				select {
				case <-ctx.Done():
					return nil
				case <-tick.C:
					victim.PollPolicyNow()
					victim.ReportInventoryNow()
				}
			}
		}},
	)
}

// mostGrowth is how much memory a client may take more than at rest, whatever
// it is answered, in KiB.
const mostGrowth = 20 << 10

// TestMemoryUnderHostileAnswers steals the key of a running site's management
// point, stops the site, and answers in its place with more than anybody can
// hold. The client is a process of its own, and the kernel says what it took.
func TestMemoryUnderHostileAnswers(t *testing.T) {
	t.Parallel()
	s := sitetest.Start(t)
	stolen, err := tls.LoadX509KeyPair(filepath.Join(s.Dir, "data/keys/host.pem"), filepath.Join(s.Dir, "data/keys/host.pem"))
	must(t, err)
	dir := t.TempDir()
	c := childConfig{StateDir: filepath.Join(dir, "state"), Token: s.Token(), ManagementPoints: []string{s.Clients}}
	data, err := json.Marshal(c)
	must(t, err)
	victim := exec.Command(os.Args[0], "-test.run=^$")
	victim.Env = append(os.Environ(), "THIEF_TEST_CLIENT="+string(data), "GOMEMLIMIT=", "GOGC=")
	victim.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	victim.Stderr = os.Stderr
	must(t, victim.Start())
	ended := make(chan error, 1)
	go func() { ended <- victim.Wait() }()
	t.Cleanup(func() {
		_ = victim.Process.Kill()
	})
	current := filepath.Join(c.StateDir, "policy/current.json")
	sitetest.Eventually(t, time.Minute, "the client has policy", func() error {
		_, err := os.Stat(current)
		return err
	})
	must(t, s.Stop())

	var asked atomic.Int64
	var answer atomic.Pointer[http.HandlerFunc]
	thief := &http.Server{
		Addr: s.Clients, ErrorLog: log.New(io.Discard, "", 0),
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{stolen}, MinVersion: tls.VersionTLS13, ClientAuth: tls.RequestClientCert},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			asked.Add(1)
			if h := answer.Load(); h != nil {
				(*h)(w, r)
			}
		}),
	}
	go func() { _ = thief.ListenAndServeTLS("", "") }()
	t.Cleanup(func() { thief.Close() })

	before := peakKiB(t, victim.Process.Pid)
	for _, h := range hostiles() {
		switch h.name {
		case "endless", "endless refusal", "a bomb", "deep", "huge headers", "half", "no JSON":
		default:
			continue
		}
		answer.Store(&h.answer)
		since := asked.Load()
		sitetest.Eventually(t, time.Minute, "the client has asked: "+h.name, func() error {
			if n := asked.Load() - since; n < 10 {
				return fmt.Errorf("it has asked %d times", n)
			}
			return nil
		})
		select {
		case err := <-ended:
			t.Fatalf("%s: the client ended: %v", h.name, err)
		default:
		}
		if growth := peakKiB(t, victim.Process.Pid) - before; growth > mostGrowth {
			t.Errorf("%s: the client took %d KiB more than before, want at most %d", h.name, growth, mostGrowth)
		}
	}
	t.Logf("at rest the client had taken %d KiB at most, and %d KiB after all answers", before, peakKiB(t, victim.Process.Pid))

	// The thief goes, the site comes back, and so does the client.
	thief.Close()
	s.Run()
	s.Must("client-setting", "edit", "default", "--set", "client_policy.polling_interval=7m")
	old, err := os.ReadFile(current)
	must(t, err)
	sitetest.Eventually(t, time.Minute, "the client has new policy", func() error {
		if now, err := os.ReadFile(current); err != nil || string(now) == string(old) {
			return fmt.Errorf("it has not: %v", err)
		}
		return nil
	})
}

// peakKiB is the most memory that a process has ever had resident.
func peakKiB(t *testing.T, pid int) int {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	must(t, err)
	for line := range strings.Lines(string(data)) {
		if value, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			n, err := strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")))
			must(t, err)
			return n
		}
	}
	t.Fatalf("process %d has no VmHWM", pid)
	return 0
}
