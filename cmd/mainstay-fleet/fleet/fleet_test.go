package fleet

import (
	"context"
	"encoding/json"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"crypto/x509"

	"mainstay/client/clienttest"
	"mainstay/cmd/mainstay-fleet/measure"
	"mainstay/cmd/mainstay-fleet/scenario"
	"mainstay/lib/fault"
	"mainstay/lib/filesys"
	"mainstay/lib/mtls"
	"mainstay/wire"
)

// setup is a site with a management point on loopback, and a configuration
// with which clients register there.
func setup(t *testing.T, clients int, text string) (*clienttest.Site, *clienttest.Point, Config) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	site := clienttest.NewSite(t, "LAB")
	point := clienttest.NewPoint(t, site, clienttest.NewNetwork(), address)
	config := mtls.ServerConfig(site.System(t, "mp"), func([]*x509.Certificate) error { return nil })
	server := &http.Server{Handler: point, TLSConfig: config, ErrorLog: log.New(io.Discard, "", 0)}
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.ServeTLS(l, "", "") })
	t.Cleanup(func() { server.Close(); serving.Wait() })

	s, err := scenario.Parse("scenario", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return site, point, Config{
		StateDir: filepath.Join(t.TempDir(), "state"), ManagementPoints: []string{address}, Token: site.Token,
		Clients: clients, Seed: 11, Scenario: s,
	}
}

// numbers are the numbered messages of a device that the site has, in order of
// arrival.
func numbers(t *testing.T, site *clienttest.Site, device string) []int {
	t.Helper()
	var got []int
	for _, m := range site.Messages(device, wire.TypeStatusMessage) {
		var status wire.StatusMessage
		if err := json.Unmarshal(m.Body, &status); err != nil {
			t.Fatal(err)
		}
		if status.MessageID != statusMessageID {
			continue
		}
		n, err := strconv.Atoi(status.Insertions[0])
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, n)
	}
	return got
}

const registerAndTalk = `
steps:
- name: all of it
  actions:
  - do: register
  - do: status-messages
    count: 3
  - do: status-messages
    count: 2
    bytes: 300
`

func TestClientsRegisterReportAndContinueInTheNextRun(t *testing.T) {
	t.Parallel()
	site, _, config := setup(t, 12, registerAndTalk)
	first, err := Run(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	if first.Registered != 12 || first.Queued != 0 || first.Commanded != 36 || first.Figures.Errors != 0 {
		t.Errorf("summary %+v", first)
	}
	devices := site.Devices()
	if len(devices) != 12 || first.Figures.Operation(opRegister).Done != 12 {
		t.Fatalf("%d devices after %d registrations", len(devices), first.Figures.Operation(opRegister).Done)
	}
	names := map[string]bool{}
	for _, r := range site.Registrations() {
		names[r.Name] = true
	}
	if len(names) != 12 {
		t.Errorf("12 machines have %d names", len(names))
	}

	second, err := Run(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	if len(site.Registrations()) != 12 || second.Registered != 12 || second.Figures.Operation(opRegister).Done != 0 {
		t.Errorf("the second run registers again: %d registrations, %+v", len(site.Registrations()), second)
	}
	for _, device := range devices {
		if got := numbers(t, site, device); !slices.Equal(got, []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}) {
			t.Errorf("device %s sent numbers %v in two runs, want 1 to 10", device, got)
		}
		if reports := site.Messages(device, wire.TypeHardwareInventory); len(reports) == 0 {
			t.Errorf("device %s sent no inventory", device)
		}
	}
}

func TestChangedPackagesAreADelta(t *testing.T) {
	t.Parallel()
	site, _, config := setup(t, 3, "steps: [{name: arrive, actions: [{do: register}]}]")
	config.Scenario.Settle = time.Minute
	for _, text := range []string{
		"{do: register}", "{do: register}, {do: change-packages, count: 4}, {do: inventory}", "{do: register}, {do: inventory, kind: full}",
	} {
		s, err := scenario.Parse("s", []byte("settle: 1m\nsteps: [{name: step, actions: ["+text+"]}]"))
		if err != nil {
			t.Fatal(err)
		}
		config.Scenario = s
		if _, err := Run(t.Context(), config); err != nil {
			t.Fatal(err)
		}
	}
	kinds := map[string]int{}
	for _, device := range site.Devices() {
		result := ""
		for _, m := range site.Messages(device, wire.TypeHardwareInventory) {
			var report wire.InventoryReport
			if err := json.Unmarshal(m.Body, &report); err != nil {
				t.Fatal(err)
			}
			kinds[report.Kind]++
			if report.Kind == wire.InventoryDelta && report.Base != result {
				t.Errorf("a delta of %s begins at %s and the report before ended at %s", device, report.Base, result)
			}
			result = report.Result
		}
	}
	if kinds[wire.InventoryFull] != 6 || kinds[wire.InventoryDelta] != 3 {
		t.Errorf("reports by kind: %v, want 6 full and 3 delta", kinds)
	}
}

func TestClientsAreSwitchedOffAndOn(t *testing.T) {
	t.Parallel()
	site, _, config := setup(t, 4, `
steps:
- name: off
  actions:
  - do: register
  - do: stop
  - do: status-messages
  - do: register
  - do: status-messages
`)
	s, err := Run(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	if s.Registered != 4 || s.Clients != 4 || s.Queued != 0 {
		t.Errorf("summary %+v", s)
	}
	for _, device := range site.Devices() {
		// The first message is refused by a client that is off already, or
		// queued by one that is still on its way out.
		if got := numbers(t, site, device); len(got) == 0 || got[len(got)-1] != 2 {
			t.Errorf("device %s sent %v", device, got)
		}
	}
}

func TestErrorsAreCountedByKind(t *testing.T) {
	t.Parallel()
	site, _, config := setup(t, 3, "steps: [{name: arrive, actions: [{do: register}]}]")
	site.RefuseToken(true)
	ctx, cancel := context.WithCancel(t.Context())
	config.Interval = 20 * time.Millisecond
	errors := int64(0)
	config.Progress = func(p Progress) {
		if errors += p.Figures.Errors; errors >= 3 {
			cancel()
		}
	}
	s, err := Run(ctx, config)
	if err != nil {
		t.Fatalf("the end of the run is an error: %v", err)
	}
	i := slices.IndexFunc(s.Figures.Problems, func(p measure.Problem) bool { return p.Operation == opRegister })
	if s.Registered != 0 || i < 0 || s.Figures.Problems[i].Kind != "status 403: token refused" || s.Figures.Problems[i].Count < 3 {
		t.Errorf("summary %+v", s)
	}
}

func TestUnreachablePointIsNamed(t *testing.T) {
	t.Parallel()
	_, _, config := setup(t, 1, "steps: [{name: arrive, actions: [{do: register}]}]")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	config.ManagementPoints = []string{l.Addr().String()}
	l.Close()
	ctx, cancel := context.WithCancel(t.Context())
	config.Interval = 20 * time.Millisecond
	config.Progress = func(p Progress) {
		if p.Figures.Errors > 0 {
			cancel()
		}
	}
	s, err := Run(ctx, config)
	if err != nil || len(s.Figures.Problems) != 1 || s.Figures.Problems[0].Kind != "connection refused" {
		t.Errorf("summary %+v, %v", s, err)
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	_, _, good := setup(t, 2, "steps: [{name: arrive, actions: [{do: register}]}]")
	if _, err := Run(t.Context(), good); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(*Config)
		kind   fault.Kind
		want   string
	}{
		"another seed":      {func(c *Config) { c.Seed++ }, fault.Invalid, "--seed 11"},
		"another first":     {func(c *Config) { c.First = 7 }, fault.Invalid, "--first 0"},
		"another site":      {func(c *Config) { c.SiteCode = "MUC" }, fault.Invalid, "LAB"},
		"no clients":        {func(c *Config) { c.Clients = 0 }, fault.Invalid, "clients"},
		"too many files":    {func(c *Config) { c.Clients = 3_000_000; c.StateDir = t.TempDir() }, fault.Invalid, "open files"},
		"nobody to ask":     {func(c *Config) { c.ManagementPoints = nil }, fault.Invalid, "mp"},
		"negative duration": {func(c *Config) { c.Duration = -1 }, fault.Invalid, "duration"},
	} {
		t.Run(name, func(t *testing.T) {
			config := good
			c.change(&config)
			if _, err := Run(t.Context(), config); !fault.Is(err, c.kind) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want it to say %q", err, c.want)
			}
		})
	}
	t.Run("folder in use", func(t *testing.T) {
		unlock, err := filesys.Lock(good.StateDir)
		if err != nil {
			t.Fatal(err)
		}
		defer unlock()
		if _, err := Run(t.Context(), good); !fault.Is(err, fault.Conflict) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("damaged state", func(t *testing.T) {
		if err := os.WriteFile(filepath.Join(good.StateDir, stateFile), []byte("changes: ["), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Run(t.Context(), good); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), stateFile) {
			t.Errorf("got %v", err)
		}
	})
}

func TestFewerClientsKeepWhatTheOthersHave(t *testing.T) {
	t.Parallel()
	site, _, config := setup(t, 4, registerAndTalk)
	for _, clients := range []int{4, 2, 4} {
		config.Clients = clients
		if _, err := Run(t.Context(), config); err != nil {
			t.Fatal(err)
		}
	}
	long, short := 0, 0
	for _, device := range site.Devices() {
		switch got := numbers(t, site, device); {
		case len(got) == 15 && got[14] == 15:
			long++
		case len(got) == 10 && got[9] == 10:
			short++
		default:
			t.Errorf("device %s sent %v", device, got)
		}
	}
	if long != 2 || short != 2 {
		t.Errorf("%d devices took part three times and %d twice, want 2 and 2", long, short)
	}
}

func TestPlan(t *testing.T) {
	t.Parallel()
	s, err := scenario.Parse("s", []byte("steps: [{name: a, at: 10s, duration: 4s, every: 2s, actions: [{do: poll}]}, {name: b, every: 1h, clients: 0-0, actions: [{do: poll}]}]"))
	if err != nil {
		t.Fatal(err)
	}
	f := &fleet{config: Config{Scenario: s, Seed: 1}}
	for i := range 4 {
		f.members = append(f.members, &member{number: i})
	}
	turnsOf := map[int]int{}
	plan := f.plan()
	for _, first := range plan {
		if first.step == 1 {
			if again, ok := f.next(first); !ok || again.at != time.Hour {
				t.Errorf("a step without an end is repeated at %s, %t", again.at, ok)
			}
			continue
		}
		if first.at < 10*time.Second || first.at >= 12*time.Second {
			t.Errorf("the first turn is at %s, want it within the first two seconds of the step", first.at)
		}
		for turn, ok := first, true; ok; turn, ok = f.next(turn) {
			turnsOf[turn.member.number]++
		}
	}
	for number, n := range turnsOf {
		if n != 2 {
			t.Errorf("client %d has %d turns of two seconds in four, want 2", number, n)
		}
	}
	if len(plan) != 5 || len(turnsOf) != 4 {
		t.Errorf("%d first turns of %d clients", len(plan), len(turnsOf))
	}
}
