package fleet

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/goccy/go-yaml"

	"mainstay/lib/fault"
	"mainstay/lib/filesys"
	"mainstay/lib/strictyaml"
)

const (
	stateFile   = "fleet.yaml"
	stateFormat = 1
	maxState    = 256 << 20
	// statePeriod is how often the state is kept. A run that is killed between
	// two of them goes back a few changes of packages, which is one more
	// delta, and repeats a few numbers of messages.
	statePeriod = 30 * time.Second
)

// state is what a fleet remembers besides what each client keeps itself.
type state struct {
	Format   int    `yaml:"format"`
	SiteCode string `yaml:"site_code"`
	Seed     uint64 `yaml:"seed"`
	First    int    `yaml:"first"`
	// Changes and Messages are counters of the clients, in their order.
	Changes  []int64 `yaml:"changes"`
	Messages []int64 `yaml:"messages"`
}

// loadState reads the state where there is one, and refuses to run other
// clients on top of it. It completes the site code.
func loadState(c *Config) (state, error) {
	s := state{Format: stateFormat, SiteCode: c.SiteCode, Seed: c.Seed, First: c.First}
	path := filepath.Join(c.StateDir, stateFile)
	data, err := filesys.ReadFile(path, maxState)
	switch {
	case errors.Is(err, os.ErrNotExist):
	case err != nil:
		return s, err
	default:
		s = state{}
		if _, err := strictyaml.Decode(data, &s); err != nil {
			return s, fault.Wrap(fault.Invalid, err, "%s cannot be read; remove the folder to begin anew", path)
		}
		if s.Format != stateFormat {
			return s, fault.New(fault.Invalid, "%s has format %d, want %d; remove the folder to begin anew", path, s.Format, stateFormat)
		}
	}
	if c.SiteCode == "" {
		c.SiteCode = s.SiteCode
	}
	switch {
	case c.SiteCode == "":
		return s, fault.InvalidField("site", "name the site, or give a token, which names it")
	case s.SiteCode != c.SiteCode:
		return s, fault.InvalidField("site", "the clients in %s are of site %s, not %s; name another folder with --state", c.StateDir, s.SiteCode, c.SiteCode)
	case s.Seed != c.Seed:
		return s, fault.InvalidField("seed", "the clients in %s were made with --seed %d, not %d; name another folder with --state", c.StateDir, s.Seed, c.Seed)
	case s.First != c.First:
		return s, fault.InvalidField("first", "the clients in %s begin with --first %d, not %d; name another folder with --state", c.StateDir, s.First, c.First)
	}
	for len(s.Changes) < c.Clients {
		s.Changes = append(s.Changes, 0)
	}
	for len(s.Messages) < c.Clients {
		s.Messages = append(s.Messages, 0)
	}
	return s, nil
}

// saveState keeps the counters. Clients of an earlier run that do not take part
// in this one keep theirs.
func (f *fleet) saveState() error {
	c := f.config
	s, err := loadState(&c)
	if err != nil {
		return err
	}
	for i, m := range f.members {
		s.Changes[i], s.Messages[i] = m.changes.Load(), m.numbered.Load()
	}
	data, err := yaml.MarshalWithOptions(s, yaml.Flow(true))
	if err != nil {
		return fault.Wrap(fault.Internal, err, "cannot encode the state of the fleet")
	}
	return filesys.WriteFile(filepath.Join(c.StateDir, stateFile), data, 0o600)
}

func (f *fleet) keepState(ctx context.Context) error {
	tick := time.NewTicker(statePeriod)
	defer tick.Stop()
	if err := f.saveState(); err != nil {
		return err // now, and not when an hour of work is to be kept
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := f.saveState(); err != nil {
			return err
		}
	}
}
