package client

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mainstay/client/clienttest"
	"mainstay/client/identity"
	"mainstay/client/outbox"
	"mainstay/lib/fault"
	"mainstay/lib/registrationtoken"
	"mainstay/wire"
)

// world is a site with management points and one machine. Everything in it
// belongs to a synctest bubble.
type world struct {
	t       *testing.T
	site    *clienttest.Site
	network *clienttest.Network
	points  []*clienttest.Point
	machine *machine
	dir     string

	client *Client
	stop   func()
}

// machine is hardware and an inventory that a test can change.
type machine struct {
	mu       sync.Mutex // guards everything below
	hardware wire.HardwareIdentity
	value    int
	row      string
	reports  []InventoryAsk
}

func (m *machine) Report(_ context.Context, ask InventoryAsk) (InventoryResult, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.reports = append(m.reports, ask)
	hash := fmt.Sprintf("hash-%d", m.value)
	result := InventoryResult{Baseline: []byte(hash), Unchanged: string(ask.Base) == hash}
	result.Report = wire.InventoryReport{Kind: wire.InventoryDelta, Base: string(ask.Base), Result: hash, CollectedAt: 1, Classes: map[string]wire.InventoryChange{}}
	if m.row != "" {
		result.Report.Classes["InstalledSoftware"] = wire.InventoryChange{Add: []json.RawMessage{json.RawMessage(m.row)}}
	}
	if ask.Full {
		result.Report.Kind, result.Report.Base = wire.InventoryFull, ""
	}
	return result, nil
}

func (m *machine) set(value int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.value = value
}

func (m *machine) identity() wire.HardwareIdentity {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.hardware
}

// inWorld runs a test in a bubble where time is free.
func inWorld(t *testing.T, points int, test func(*testing.T, *world)) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, site: clienttest.NewSite(t, "LAB"), network: clienttest.NewNetwork(), dir: dir}
		w.machine = &machine{hardware: wire.HardwareIdentity{ProductUUID: "aaaaaaaa-0000-0000-0000-000000000001"}, value: 1}
		for i := range points {
			w.points = append(w.points, clienttest.NewPoint(t, w.site, w.network, fmt.Sprintf("mp%d:8443", i)))
		}
		defer w.shut()
		test(t, w)
	})
}

func (w *world) config() Config {
	c := Config{
		StateDir: w.dir, SiteCode: "LAB", Token: w.site.Token, Inventory: w.machine, Hardware: w.machine.identity,
		Machine: func() identity.Facts { return identity.Facts{Name: "host", OS: "Test", Arch: "amd64"} },
		Version: "1.2.3", Dial: w.network.Dial, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
	if testing.Verbose() {
		c.Log = slog.New(slog.NewTextHandler(w.t.Output(), nil))
	}
	for _, p := range w.points {
		c.ManagementPoints = append(c.ManagementPoints, p.Address)
	}
	return c
}

// start runs a client until shut.
func (w *world) start(change ...func(*Config)) {
	w.t.Helper()
	config := w.config()
	for _, f := range change {
		f(&config)
	}
	client, err := New(config)
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- client.Run(ctx) }()
	w.client = client
	w.stop = func() {
		cancel()
		if err := <-ended; err != nil {
			w.t.Errorf("client ended with %v", err)
		}
	}
}

// shut ends the client in good order.
func (w *world) shut() {
	if w.stop != nil {
		w.stop()
		w.stop = nil
	}
}

// pass lets time pass, and all work of that time be done.
func (w *world) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// device is the only device of the site.
func (w *world) device() string {
	w.t.Helper()
	devices := w.site.Devices()
	if len(devices) != 1 {
		w.t.Fatalf("devices are %v, want one", devices)
	}
	return devices[0]
}

var noToken registrationtoken.Token

// bodies decodes the messages of a type that have arrived.
func bodies[T any](w *world, device, typ string) []T {
	w.t.Helper()
	var list []T
	for _, m := range w.site.Messages(device, typ) {
		var body T
		if err := json.Unmarshal(m.Body, &body); err != nil {
			w.t.Fatal(err)
		}
		list = append(list, body)
	}
	return list
}

// told lists the identifiers of the status messages that have arrived.
func told(w *world, device string) []int {
	var ids []int
	for _, s := range bodies[wire.StatusMessage](w, device, wire.TypeStatusMessage) {
		ids = append(ids, s.MessageID)
	}
	return ids
}

func TestRegistersAndReports(t *testing.T) {
	inWorld(t, 2, func(t *testing.T, w *world) {
		w.start()
		w.pass(10 * time.Second)

		r := w.site.Registrations()
		if len(r) != 1 || r[0].Proof != wire.ProofToken || r[0].Name != "host" || r[0].ClientVersion != "1.2.3" || r[0].OS != "linux" {
			t.Fatalf("registrations are %+v", r)
		}
		device := w.device()
		beats := bodies[wire.Heartbeat](w, device, wire.TypeHeartbeat)
		if len(beats) != 1 || beats[0].Name != "host" || beats[0].ClientVersion != "1.2.3" || beats[0].PolicyVersion != 1 || beats[0].FreshUntil == 0 {
			t.Errorf("heartbeats are %+v", beats)
		}
		reports := bodies[wire.InventoryReport](w, device, wire.TypeHardwareInventory)
		if len(reports) != 1 || reports[0].Kind != wire.InventoryFull || reports[0].Result != "hash-1" {
			t.Errorf("inventory reports are %+v", reports)
		}
		var states []int
		for _, s := range bodies[wire.StateMessage](w, device, wire.TypeStateMessage) {
			states = append(states, s.StateID)
		}
		if !slices.Equal(states, []int{400, 500, 700}) {
			t.Errorf("state messages are %v", states)
		}
		if ids := told(w, device); !slices.Equal(ids, []int{wire.StatusRegistered}) {
			t.Errorf("status messages are %v", ids)
		}
		if s := w.client.Status(); s.Phase != phaseRegistered || s.DeviceID != device || s.Queued != 0 || s.Problem != "" || s.ManagementPoint == "" {
			t.Errorf("status is %+v", s)
		}

		// A day later: one more heartbeat with the hash of the inventory, and
		// no inventory, because nothing changed.
		w.pass(29 * time.Hour)
		beats = bodies[wire.Heartbeat](w, device, wire.TypeHeartbeat)
		if len(beats) != 2 || beats[1].InventoryHash != "hash-1" {
			t.Errorf("a day later heartbeats are %+v", beats)
		}
		if n := len(w.site.Messages(device, wire.TypeHardwareInventory)); n != 1 {
			t.Errorf("a day later there are %d inventory reports, want 1", n)
		}
	})
}

func TestInventoryChangesAreReported(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		w.start()
		w.pass(10 * time.Second)
		device := w.device()
		w.machine.set(2)
		w.client.changed("software")
		w.pass(3 * time.Minute)
		reports := bodies[wire.InventoryReport](w, device, wire.TypeHardwareInventory)
		if len(reports) != 2 || reports[1].Kind != wire.InventoryDelta || reports[1].Base != "hash-1" || reports[1].Result != "hash-2" {
			t.Errorf("after a change the reports are %+v", reports)
		}
	})
}

// Rows are compared by the hash of their bytes.
func TestRowsArriveAsTheyWereCollected(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		row := "{\"Publisher\":\"A & B <a@b>\",\"Text\":\"\u2028\"}"
		w.machine.row = row
		w.start()
		w.pass(10 * time.Second)
		messages := w.site.Messages(w.device(), wire.TypeHardwareInventory)
		if len(messages) != 1 || !strings.Contains(string(messages[0].Body), row) {
			t.Errorf("row %s did not arrive in %+v", row, messages)
		}
	})
}

func TestMachineThatFlickersIsNotCollectedAllDay(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		w.start()
		w.pass(10 * time.Second)
		for range 600 {
			w.client.changed("software")
			w.pass(time.Second)
		}
		w.machine.mu.Lock()
		defer w.machine.mu.Unlock()
		if n := len(w.machine.reports); n > 13 {
			t.Errorf("collected %d times in ten minutes, want about once a minute", n)
		}
	})
}

func TestPolicyIsObeyed(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		w.start()
		w.pass(10 * time.Second)
		device := w.device()
		settings := wire.ClientSettings{Heartbeat: wire.HeartbeatSettings{IntervalSeconds: 3600}}
		settings.HardwareInventory.Enabled = false
		w.site.SetPolicy(device, clienttest.Policy{Kind: wire.PolicyClientSettings, ID: "resultant", Body: settings},
			clienttest.Policy{Kind: "later", ID: "x", Body: struct{}{}})
		w.pass(6 * time.Minute)
		if v := w.client.Status().PolicyVersion; v != 2 {
			t.Fatalf("policy version is %d, want 2", v)
		}
		before := len(w.site.Messages(device, wire.TypeHeartbeat))
		w.machine.set(2)
		w.client.changed("software")
		w.pass(24 * time.Hour)
		if n := len(w.site.Messages(device, wire.TypeHeartbeat)) - before; n < 22 || n > 25 {
			t.Errorf("%d heartbeats in a day, want one an hour", n)
		}
		if n := len(w.site.Messages(device, wire.TypeHardwareInventory)); n != 1 {
			t.Errorf("%d inventory reports although it is disabled since the first", n)
		}
		if ids := told(w, device); !slices.Contains(ids, wire.StatusPolicyUnknown) {
			t.Errorf("the unknown kind of policy is not reported: %v", ids)
		}
	})
}

func TestFullReportOnRequest(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		w.start()
		w.pass(10 * time.Second)
		device := w.device()
		ask := func(number int64) {
			w.site.SetPolicy(device, clienttest.Policy{Kind: wire.PolicyResync, ID: "resync", Body: wire.Resync{HardwareInventory: number, SpreadSeconds: 600}})
			w.pass(17 * time.Minute)
		}
		ask(5)
		reports := bodies[wire.InventoryReport](w, device, wire.TypeHardwareInventory)
		if len(reports) != 2 || reports[1].Kind != wire.InventoryFull {
			t.Fatalf("after a request the reports are %+v", reports)
		}
		w.shut()
		w.start()
		ask(4)
		if n := len(w.site.Messages(device, wire.TypeHardwareInventory)); n != 2 {
			t.Errorf("a request that was answered, and an older one, brought %d reports more", n-2)
		}
		ask(6)
		if n := len(w.site.Messages(device, wire.TypeHardwareInventory)); n != 3 {
			t.Errorf("a newer request brought %d reports, want 1", n-2)
		}
	})
}

func TestRestartGoesOnWhereItWas(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		w.start()
		w.pass(10 * time.Second)
		device, before := w.device(), len(w.site.Messages(w.device(), ""))
		for range 5 {
			w.shut()
			w.pass(time.Minute)
			w.start()
			w.pass(time.Minute)
		}
		if n := len(w.site.Registrations()); n != 1 {
			t.Errorf("%d registrations, want 1", n)
		}
		if after := len(w.site.Messages(device, "")); after != before {
			t.Errorf("five restarts brought %d messages", after-before)
		}
	})
}

func TestAnotherManagementPointWithinSeconds(t *testing.T) {
	inWorld(t, 3, func(t *testing.T, w *world) {
		w.start()
		w.pass(time.Minute)
		for range 3 {
			first := w.client.transport.Current()
			w.network.SetDown(first, true)
			w.client.PollPolicyNow()
			w.pass(5 * time.Second)
			if now := w.client.transport.Current(); now == first || now == "" {
				t.Errorf("with %s down it uses %q", first, now)
			}
			w.network.SetDown(first, false)
		}
		// It stays where it is while that serves.
		current, dials := w.client.transport.Current(), w.network.Dials()
		w.pass(time.Hour)
		if w.client.transport.Current() != current {
			t.Error("it left a management point that served")
		}
		if n := w.network.Dials() - dials; n > 2 {
			t.Errorf("made %d connections in an hour of polling, want one that is kept", n)
		}
	})
}

func TestWorksWithNobodyReachable(t *testing.T) {
	inWorld(t, 2, func(t *testing.T, w *world) {
		w.start()
		w.pass(time.Minute)
		device := w.device()
		for _, p := range w.points {
			w.network.SetDown(p.Address, true)
		}
		w.machine.set(2)
		w.client.changed("software")
		w.pass(20 * time.Minute)
		w.shut()
		w.start()
		for n := range 50 {
			if err := w.client.Send(false, numbered(n)); err != nil {
				t.Fatal(err)
			}
		}
		w.pass(24 * time.Hour)
		for _, p := range w.points {
			w.network.SetDown(p.Address, false)
		}
		w.pass(6 * time.Minute)
		if got := len(numbers(w, device)); got != 50 {
			t.Errorf("%d of 50 messages arrived", got)
		}
		if n := len(w.site.Messages(device, wire.TypeHardwareInventory)); n != 2 {
			t.Errorf("%d inventory reports arrived, want 2", n)
		}
		states := fmt.Sprint(bodies[wire.StateMessage](w, device, wire.TypeStateMessage))
		if !strings.Contains(states, "1000") {
			t.Errorf("the time without management point is not told: %s", states)
		}
	})
}

func numbered(n int) outbox.Draft {
	return outbox.Draft{Type: wire.TypeStatusMessage, Time: time.UnixMicro(int64(n)), Body: json.RawMessage(fmt.Sprintf(`{"message_id":1,"component":"test","severity":"informational","insertions":["%d"]}`, n))}
}

// numbers lists the test messages that have arrived.
func numbers(w *world, device string) []string {
	var list []string
	for _, s := range bodies[wire.StatusMessage](w, device, wire.TypeStatusMessage) {
		if s.MessageID == 1 {
			list = append(list, s.Insertions[0])
		}
	}
	return list
}

func TestNewIncarnation(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		w.start()
		w.pass(time.Minute)
		device, refused := w.device(), 0
		w.points[0].Intercept(func(rw http.ResponseWriter, r *http.Request) {
			if r.URL.Path == wire.DoorMessages && refused == 0 {
				refused++
				clienttest.Refuse(rw, http.StatusConflict, wire.CodeNewIncarnation, "an earlier moment")
			}
		})
		old := w.client.box.Running()
		if err := w.client.Send(true, numbered(1)); err != nil {
			t.Fatal(err)
		}
		w.pass(time.Minute)
		if got := numbers(w, device); !slices.Equal(got, []string{"1"}) || w.client.box.Running() == old {
			t.Errorf("messages are %v", got)
		}
	})
}

func TestOneRefusedMessageTakesNoOthersWithIt(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		w.start()
		w.pass(time.Minute)
		device := w.device()
		w.network.SetDown("mp0:8443", true)
		bad := outbox.Draft{Type: "no-such-type", Body: json.RawMessage(`{}`)}
		for _, d := range []outbox.Draft{numbered(1), bad, numbered(2)} {
			if err := w.client.Send(false, d); err != nil {
				t.Fatal(err)
			}
		}
		w.pass(10 * time.Minute)
		w.network.SetDown("mp0:8443", false)
		w.pass(24 * time.Hour)
		if got := numbers(w, device); !slices.Equal(got, []string{"1", "2"}) {
			t.Errorf("messages are %v", got)
		}
		if ids := told(w, device); !slices.Contains(ids, wire.StatusMessageGiven) {
			t.Errorf("the message that was given up is not reported: %v", ids)
		}
	})
}

func TestCrashBetweenReportAndBaseline(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		w.start()
		w.pass(time.Minute)
		w.shut()
		// As if killed after the report was queued, and before its baseline
		// was committed; and once before it was queued.
		for _, queued := range []bool{true, false} {
			w.machine.set(w.machine.value + 1)
			client, err := New(w.config())
			if err != nil {
				t.Fatal(err)
			}
			result, err := w.machine.Report(t.Context(), InventoryAsk{Base: []byte(fmt.Sprintf("hash-%d", w.machine.value-1))})
			if err != nil {
				t.Fatal(err)
			}
			if err := client.queueReport(result); err != nil {
				t.Fatal(err)
			}
			current, next := filepath.Join(w.dir, "state", "inventory.baseline"), filepath.Join(w.dir, "state", "inventory.baseline.next")
			data, err := os.ReadFile(current)
			if err != nil {
				t.Fatal(err)
			}
			if err := client.Close(); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(current, next); err != nil {
				t.Fatal(err)
			}
			if !queued {
				if err := os.RemoveAll(filepath.Join(w.dir, "outbox")); err != nil {
					t.Fatal(err)
				}
			}
			_ = data
			w.start()
			base, err := w.client.local.Baseline()
			if err != nil {
				t.Fatal(err)
			}
			if has := base.Data != nil; has != queued {
				t.Errorf("queued %v: a baseline is there: %v", queued, has)
			}
			w.pass(time.Minute)
			w.shut()
		}
	})
}

func TestSecondClientInTheFolder(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		w.start()
		if _, err := New(w.config()); !fault.Is(err, fault.Conflict) {
			t.Errorf("a second client in the same folder: %v", err)
		}
	})
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Config){
		"site":             func(c *Config) { c.SiteCode = "lab" },
		"no points":        func(c *Config) { c.ManagementPoints = nil },
		"address":          func(c *Config) { c.ManagementPoints = []string{"https://mp/"} },
		"port":             func(c *Config) { c.ManagementPoints = []string{"mp:99999"} },
		"no state folder":  func(c *Config) { c.StateDir = "" },
		"token of another": func(c *Config) { c.Token = clienttest.NewSite(t, "XXX").Token },
	} {
		c := Config{StateDir: t.TempDir(), SiteCode: "LAB", ManagementPoints: []string{"mp"}}
		change(&c)
		if _, err := New(c); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: error is %v, want an invalid one", name, err)
		}
	}
	for text, want := range map[string]string{
		"mp": "mp:8443", "mp:443": "mp:443", "10.0.0.1": "10.0.0.1:8443", "::1": "[::1]:8443", "[::1]": "[::1]:8443", "[::1]:9": "[::1]:9",
	} {
		if got, err := Address(text); err != nil || got != want {
			t.Errorf("Address(%q) = %q, %v; want %q", text, got, err, want)
		}
	}
}
