package robustness

import (
	"cmp"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"mainstay/test/robustness/history"
	"mainstay/test/robustness/numbered"
	"mainstay/test/sitetest"
)

var (
	seedFlag   = flag.Uint64("seed", 0, "seed of the faults; 0 draws one (also SEED)")
	roundsFlag = flag.Int("rounds", 0, "rounds of faults; 0 means the short form (also NEMESIS_ROUNDS)")
	soakFlag   = flag.Duration("soak", 0, "how long the soak goes on; 0 means not at all")
)

// seedOf is the seed of a test.
func seedOf(t testing.TB) uint64 {
	t.Helper()
	seed := *seedFlag
	if text := os.Getenv("SEED"); seed == 0 && text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("SEED is %q, want a number", text)
		}
	}
	if seed == 0 {
		seed = uint64(time.Now().UnixNano()) % 1_000_000
	}
	return seed
}

// roundsOf is how many rounds a test goes; short is what it does by itself.
func roundsOf(t testing.TB, short int) int {
	t.Helper()
	rounds := *roundsFlag
	if text := os.Getenv("NEMESIS_ROUNDS"); rounds == 0 && text != "" {
		var err error
		if rounds, err = strconv.Atoi(text); err != nil {
			t.Fatalf("NEMESIS_ROUNDS is %q, want a number", text)
		}
	}
	if rounds == 0 && testing.Short() {
		return max(1, short/3)
	}
	return cmp.Or(rounds, short)
}

// shape is what a world is made of.
type shape struct {
	seed           uint64
	crews, clients int // crews of so many clients each
	pause          time.Duration
	// powerFails: everything is on disks that can lose their power.
	powerFails bool
}

// world is a site with clients, and what happens to them.
type world struct {
	t       *testing.T
	shape   shape
	random  *rand.Rand
	dir     string
	journal *history.Journal
	site    *sitetest.Site
	disk    *disk // of the server
	crews   []*crew
	began   time.Time
	edits   int64
	up      bool
}

// newWorld makes a site and starts everything.
func newWorld(t *testing.T, s shape) *world {
	t.Helper()
	w := &world{t: t, shape: s, random: rand.New(rand.NewPCG(s.seed, 0)), dir: t.TempDir(), began: time.Now()}
	t.Logf("seed %d; repeat with: go test ./test/robustness -run '^%s$' -args -seed=%d", s.seed, t.Name(), s.seed)
	t.Cleanup(w.keep)
	var err error
	w.journal, err = history.Open(filepath.Join(w.dir, "driver.journal"))
	must(t, err)
	siteDir := filepath.Join(w.dir, "site")
	must(t, os.Mkdir(siteDir, 0o700))
	w.disk = newDisk(t, filepath.Join(siteDir, "data"), s.powerFails)
	w.site = sitetest.New(t, siteDir)
	w.startServer()
	w.edit()
	token := w.site.Token()
	for i := range s.crews {
		name := fmt.Sprintf("crew%d", i)
		path := filepath.Join(w.dir, name)
		c := &crew{t: t, name: name, disk: newDisk(t, path, s.powerFails), journal: newFollower(path + ".journal")}
		c.config = numbered.Config{
			Journal: path + ".journal", SiteCode: "LAB", ManagementPoint: w.site.Clients, Token: token, Pause: s.pause,
		}
		for n := range s.clients {
			number := i*s.clients + n
			c.add(fmt.Sprintf("client%03d", number), hardware(number))
		}
		w.crews = append(w.crews, c)
		c.start()
	}
	return w
}

func hardware(number int) string {
	return fmt.Sprintf("%08x-1111-4222-8333-444455556666", number+1)
}

// keep saves what a failed run leaves.
func (w *world) keep() {
	if !w.t.Failed() {
		return
	}
	kept, err := os.MkdirTemp("", fmt.Sprintf("mainstay-robustness-%d-*", w.shape.seed))
	if err == nil {
		for _, pattern := range []string{"*.journal", "*.log", "site/*.log", "found.json"} {
			paths, _ := filepath.Glob(filepath.Join(w.dir, pattern))
			for _, path := range paths {
				if data, readErr := os.ReadFile(path); readErr == nil {
					_ = os.WriteFile(filepath.Join(kept, filepath.Base(path)), data, 0o600)
				}
			}
		}
		copyTree(w.t, w.disk.path+"/.", filepath.Join(kept, "data"))
	}
	w.t.Logf("what is left of seed %d is in %s (%v)", w.shape.seed, kept, err)
}

// note writes down what the driver does.
func (w *world) note(format string, args ...any) {
	w.t.Helper()
	text := fmt.Sprintf(format, args...)
	must(w.t, w.journal.Write(history.Event{What: history.Note, Text: text}))
	if testing.Verbose() {
		w.t.Logf("%5.1f s: %s", time.Since(w.began).Seconds(), text)
	}
}

func (w *world) event(e history.Event) {
	w.t.Helper()
	must(w.t, w.journal.Write(e))
}

// pass lets time pass.
func (w *world) pass(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-w.t.Context().Done():
	}
}

// between draws a time.
func (w *world) between(low, high time.Duration) time.Duration {
	return low + time.Duration(w.random.Int64N(int64(high-low)))
}

func (w *world) startServer() {
	w.t.Helper()
	if !w.up {
		w.up = true
		w.site.Run()
	}
}

func (w *world) killServer() {
	w.site.Kill()
	w.up = false
}

// edit makes new policy for everybody. Both settings belong together.
func (w *world) edit() {
	w.t.Helper()
	w.site.Must(w.nextEdit()...)
}

func (w *world) nextEdit() []string {
	w.t.Helper()
	w.edits++
	polling := 1000 + w.edits
	w.note("policy %d", w.edits)
	return []string{"client-setting", "edit", "default",
		"--set", fmt.Sprintf("client_policy.polling_interval=%ds", polling),
		"--set", fmt.Sprintf("heartbeat.interval=%ds", polling+history.SettingsApart)}
}

// editMeanwhile does so in the background, where it may fail. The result waits
// for its end.
func (w *world) editMeanwhile() (wait func()) {
	w.t.Helper()
	ended := make(chan struct{})
	go func(args []string) {
		defer close(ended)
		// Whether the edit was made before the server died nobody knows.
		_, _ = w.site.Command(args...)
	}(w.nextEdit())
	return func() { <-ended }
}

// cutServer takes the power of the server's machine away. torn keeps some of
// what was not synced.
func (w *world) cutServer(torn bool) {
	w.t.Helper()
	if !w.up {
		return
	}
	freeze(w.t, w.site.Pid())
	w.disk.cut(w.killServer, w.torn(torn))
}

// cutCrew does so to the clients' machine.
func (w *world) cutCrew(c *crew, torn bool) {
	w.t.Helper()
	if c.running() {
		freeze(w.t, c.command.Process.Pid)
		c.disk.cut(c.kill, w.torn(torn))
	}
}

func (w *world) torn(torn bool) *uint64 {
	if !torn {
		return nil
	}
	seed := w.random.Uint64()
	return &seed
}

// rest brings the world to rest: everything runs again, nothing new is offered,
// and all that waits arrives.
func (w *world) rest(within time.Duration) error {
	w.t.Helper()
	w.note("rest")
	for _, c := range w.crews {
		c.kill()
	}
	w.startServer()
	since := time.Now().UnixNano()
	for _, c := range w.crews {
		c.config.Quiet = true
		c.start()
	}
	return w.await(within, func() error {
		for _, c := range w.crews {
			c.journal.follow(w.t)
			for _, name := range c.streams() {
				if c.journal.idle[name] < since {
					return fmt.Errorf("%s of %s has not come to rest", name, c.name)
				}
			}
		}
		return nil
	})
}

// await waits for something that should happen, and tells when it does not.
func (w *world) await(within time.Duration, check func() error) error {
	var err error
	for end := time.Now().Add(within); time.Now().Before(end); w.pass(100 * time.Millisecond) {
		if err = check(); err == nil {
			return nil
		}
	}
	return fmt.Errorf("after %s: %w", within, err)
}

// judge ends the world and compares its history with its tables.
func (w *world) judge() (tables, history.Summary, []history.Violation) {
	w.t.Helper()
	for _, c := range w.crews {
		c.kill()
	}
	var all tables
	sitetest.Eventually(w.t, time.Minute, "the inbox is empty", func() error {
		if err := w.site.Stop(); err != nil && w.up {
			return err
		}
		w.up = false
		if all = readTables(w.t, w.disk.path); all.waiting > 0 {
			w.startServer()
			return fmt.Errorf("%d uploads wait", all.waiting)
		}
		return nil
	})
	paths := []string{filepath.Join(w.dir, "driver.journal")}
	for _, c := range w.crews {
		paths = append(paths, c.journal.path)
	}
	events, err := history.Read(paths...)
	must(w.t, err)
	summary, violations := history.Validate(events, all.found)
	return all, summary, violations
}

// mustHold brings the world to rest and fails the test for each promise that
// was broken.
func (w *world) mustHold() tables {
	w.t.Helper()
	if err := w.rest(2 * time.Minute); err != nil {
		w.t.Errorf("the clients do not come to rest: %v", err)
	}
	all, summary, violations := w.judge()
	w.t.Logf("seed %d: %s; %d policies; %d dead letters", w.shape.seed, summary, w.edits, len(all.dead))
	for i, v := range violations {
		if i == 20 {
			w.t.Errorf("and %d more", len(violations)-i)
			break
		}
		w.t.Error(v)
	}
	for i, d := range all.dead {
		if i == 5 {
			break
		}
		w.t.Logf("dead letter of %s, type %q: %s", d.Device, d.Type, d.Reason)
	}
	if summary.Acknowledged < w.shape.crews*w.shape.clients {
		w.t.Errorf("%d messages were acknowledged: the run proves nothing", summary.Acknowledged)
	}
	return all
}
