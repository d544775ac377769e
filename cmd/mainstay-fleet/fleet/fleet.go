// Package fleet runs simulated clients: each is the real client of package
// client with a machine of package machines under it, told by a scenario what
// to do and when. It encodes, signs and sends nothing itself.
//
// # In one process
//
// A client is one goroutine, one connection and a folder; clients share the
// compressor and the counters. All start from the state folder, so that a
// second run continues with the same identities. An error of one client is
// counted and ends no other.
package fleet

import (
	"cmp"
	"context"
	"log/slog"
	"path/filepath"
	"runtime"
	"strconv"
	"sync/atomic"
	"time"

	"mainstay/client/transport"
	"mainstay/cmd/mainstay-fleet/machines"
	"mainstay/cmd/mainstay-fleet/measure"
	"mainstay/cmd/mainstay-fleet/scenario"
	"mainstay/lib/fault"
	"mainstay/lib/filesys"
	"mainstay/lib/lifecycle"
	"mainstay/lib/registrationtoken"
)

// Config says which clients to run and against whom.
type Config struct {
	// StateDir holds everything that outlives the run.
	StateDir string
	// SiteCode is the site; empty means that of the token, or of the state.
	SiteCode string
	// ManagementPoints are host or host:port.
	ManagementPoints []string
	// Token must be good for every client that has not registered yet.
	Token registrationtoken.Token
	// Clients is how many run, First the number of the first, so that several
	// processes can share a seed.
	Clients, First int
	// Seed gives the machines.
	Seed     uint64
	Scenario scenario.Scenario
	// Duration ends the run; 0 leaves that to the scenario and to ctx.
	Duration time.Duration
	// Interval is how often Progress is told; 0 means 5 s.
	Interval time.Duration
	Progress func(Progress)
	// Log hears what the clients log; nil means nobody.
	Log *slog.Logger
}

// Progress is how the run is going.
type Progress struct {
	// Elapsed is the time since the start.
	Elapsed time.Duration
	// Clients are switched on, Registered have an identity.
	Clients, Registered int
	// Figures are those since the last Progress.
	Figures measure.Figures
}

// Summary is how a run went.
type Summary struct {
	Seed       uint64 `yaml:"seed"`
	Clients    int    `yaml:"clients"`
	Registered int    `yaml:"registered"`
	// Queued is the number of messages that were not delivered at the end.
	Queued int `yaml:"queued"`
	// Commanded is the number of actions of the scenario that were carried
	// out, Skipped of those whose client was not switched on.
	Commanded int64 `yaml:"commanded"`
	Skipped   int64 `yaml:"skipped"`
	// LateMilliseconds is how far the run was behind the scenario at most;
	// more than a second says that this machine is too slow for it.
	LateMilliseconds int64           `yaml:"late_ms"`
	Figures          measure.Figures `yaml:"figures"`
}

// fleet is a run.
type fleet struct {
	config     Config
	machines   *machines.Fleet
	compressor *transport.Compressor
	recorder   *measure.Recorder
	members    []*member
	group      *lifecycle.Group
	collecting chan struct{} // places for those who collect at the same time
	began      time.Time

	switchedOn, registered atomic.Int64
	commanded, skipped     atomic.Int64
	late                   atomic.Int64 // milliseconds
}

// Run runs the clients until the scenario and its settling are over, Duration
// has passed or ctx ends, whichever is first. The end of ctx is a clean end and
// no error.
func Run(ctx context.Context, c Config) (Summary, error) {
	if err := c.complete(); err != nil {
		return Summary{}, err
	}
	if err := filesys.MakeDir(c.StateDir, 0o700); err != nil {
		return Summary{}, err
	}
	unlock, err := filesys.Lock(c.StateDir)
	if err != nil {
		return Summary{}, err
	}
	defer unlock()
	kept, err := loadState(&c)
	if err != nil {
		return Summary{}, err
	}
	if err := checkOpenFiles(c.Clients); err != nil {
		return Summary{}, err
	}
	f := &fleet{
		config: c, machines: machines.New(c.Seed), compressor: transport.NewCompressor(), recorder: newRecorder(),
		collecting: make(chan struct{}, 2*runtime.GOMAXPROCS(0)), began: time.Now(),
	}
	for i := range c.Clients {
		number := c.First + i
		m := &member{fleet: f, number: number, dir: filepath.Join(c.StateDir, "clients", strconv.Itoa(number))}
		m.changes.Store(kept.Changes[i])
		m.numbered.Store(kept.Messages[i])
		f.members = append(f.members, m)
	}
	return f.run(ctx)
}

// complete fills in defaults and refuses what cannot work.
func (c *Config) complete() error {
	c.Interval = cmp.Or(c.Interval, 5*time.Second)
	if c.Progress == nil {
		c.Progress = func(Progress) {}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	switch {
	case c.StateDir == "":
		return fault.InvalidField("state", "name a folder")
	case c.Clients < 1 || c.Clients > machines.MaxMachines:
		return fault.InvalidField("clients", "%d is not between 1 and %d", c.Clients, machines.MaxMachines)
	case c.First < 0 || c.First+c.Clients > machines.MaxMachines:
		return fault.InvalidField("first", "%d with %d clients is not between 0 and %d", c.First, c.Clients, machines.MaxMachines)
	case len(c.ManagementPoints) == 0:
		return fault.InvalidField("mp", "name at least one management point as HOST or HOST:PORT")
	case c.Duration < 0:
		return fault.InvalidField("duration", "%s is negative; write a time such as 5m", c.Duration)
	}
	if c.SiteCode == "" {
		c.SiteCode = c.Token.SiteCode()
	}
	return nil
}

func (f *fleet) run(ctx context.Context) (Summary, error) {
	// Switching off is in two steps: first what commands the clients, then
	// they themselves, so that each ends cleanly.
	f.group = lifecycle.NewGroup(context.WithoutCancel(ctx))
	start := f.recorder.State(f.began)
	err := f.command(ctx)
	summary := f.summary(start)
	f.group.Stop()
	if ended := f.group.Wait(); err == nil {
		err = ended
	}
	if saved := f.saveState(); err == nil {
		err = saved
	}
	return summary, err
}

// command follows the scenario to its end.
func (f *fleet) command(ctx context.Context) error {
	if f.config.Duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, f.config.Duration)
		defer cancel()
	}
	ctx, over := context.WithCancel(ctx)
	defer over()
	return lifecycle.Run(ctx,
		lifecycle.Task{Name: "scenario", Run: func(ctx context.Context) error {
			defer over()
			return f.conduct(ctx)
		}},
		lifecycle.Task{Name: "progress", Run: f.reportProgress},
		lifecycle.Task{Name: "state", Run: f.keepState},
	)
}

func (f *fleet) reportProgress(ctx context.Context) error {
	tick := time.NewTicker(f.config.Interval)
	defer tick.Stop()
	before := f.recorder.State(f.began)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		now := f.recorder.State(time.Now())
		f.config.Progress(Progress{
			Elapsed: time.Since(f.began), Clients: int(f.switchedOn.Load()), Registered: int(f.registered.Load()),
			Figures: f.recorder.Figures(before, now),
		})
		before = now
	}
}

func (f *fleet) summary(start *measure.State) Summary {
	s := Summary{
		Seed: f.config.Seed, Clients: int(f.switchedOn.Load()), Registered: int(f.registered.Load()),
		Commanded: f.commanded.Load(), Skipped: f.skipped.Load(), LateMilliseconds: f.late.Load(),
		Figures: f.recorder.Figures(start, f.recorder.State(time.Now())),
	}
	for _, m := range f.members {
		_, waiting := m.waiting()
		s.Queued += waiting
	}
	return s
}
