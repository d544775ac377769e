// Package scenario reads scenarios: what simulated clients do, and when. One
// YAML file, in which unknown keys and bad values are refused with file, line,
// key, value and remedy. It knows what can be asked of clients and not how they
// do it.
//
// A later feature that gives clients something new to do adds an action here
// (see actions) and carries it out in the package fleet.
package scenario

import (
	_ "embed"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"mainstay/lib/fault"
	"mainstay/lib/filesys"
	"mainstay/lib/strictyaml"
)

// Limits of a scenario.
const (
	maxFile    = 1 << 20
	maxSteps   = 1000
	maxActions = 100
	maxCount   = 10_000
	maxBytes   = 1500
	maxSpan    = 30 * 24 * time.Hour
)

// Scenario is what the clients of a run do.
type Scenario struct {
	// Clients is how many take part, where the command line says nothing.
	Clients int `yaml:"clients"`
	// Settle is how long to wait, after the last step, until everything that
	// was queued is delivered; the run ends earlier when it is.
	Settle time.Duration `yaml:"settle"`
	Steps  []Step        `yaml:"steps"`
}

// Step is a time in which some clients do something.
type Step struct {
	Name string `yaml:"name"`
	// At is when it begins, from the start of the run.
	At time.Duration `yaml:"at"`
	// Duration is the time over which the clients begin, evenly spread.
	Duration time.Duration `yaml:"duration"`
	// Every makes each client repeat the step's actions in this rhythm until
	// Duration is over, or without one until the run ends.
	Every time.Duration `yaml:"every"`
	// Clients are those that take part: see Select.
	Clients string   `yaml:"clients"`
	Actions []Action `yaml:"actions"`
}

// What a client can be made to do.
const (
	// Register switches a client on; it registers unless it has before.
	Register = "register"
	// Stop switches a client off. It keeps what it has on disk.
	Stop = "stop"
	// Poll asks for policy.
	Poll = "poll"
	// Heartbeat sends the discovery record.
	Heartbeat = "heartbeat"
	// Inventory collects and sends inventory of a Kind.
	Inventory = "inventory"
	// StatusMessages sends Count numbered status messages in one go.
	StatusMessages = "status-messages"
	// ChangePackages updates, installs or removes Count packages; the client
	// notices as a real one does, some seconds later.
	ChangePackages = "change-packages"
)

// Kinds of inventory.
const (
	Full  = "full"
	Delta = "delta"
)

// Action is one thing to do.
type Action struct {
	// Do is one of the constants above.
	Do string `yaml:"do"`
	// Kind is full or delta (the default), for Inventory.
	Kind string `yaml:"kind"`
	// Count is how many, for StatusMessages and ChangePackages; 1 by default.
	Count int `yaml:"count"`
	// Bytes is the length of the text in each status message; 0 for a short
	// one.
	Bytes int `yaml:"bytes"`
}

// actions says which keys each action understands besides do.
func actions() map[string][]string {
	return map[string][]string{
		Register: nil, Stop: nil, Poll: nil, Heartbeat: nil,
		Inventory: {"kind"}, StatusMessages: {"count", "bytes"}, ChangePackages: {"count"},
	}
}

// actionNames is for messages to people.
const actionNames = "register, stop, poll, heartbeat, inventory, status-messages or change-packages"

//go:embed default.yaml
var defaultText string

// DefaultText is the scenario of a run that is given none, as a documented
// file.
func DefaultText() string { return defaultText }

// Default is that scenario.
func Default() (Scenario, error) { return Parse("the default scenario", []byte(defaultText)) }

// Load reads and checks a file.
func Load(path string) (Scenario, error) {
	data, err := filesys.ReadFile(path, maxFile)
	if errors.Is(err, os.ErrNotExist) {
		return Scenario{}, fault.New(fault.NotFound, "there is no scenario at %s; write one with 'mainstay-fleet scenario show > %s'", path, path)
	}
	if err != nil {
		return Scenario{}, fault.Wrap(fault.Invalid, err, "cannot read scenario %s", path)
	}
	return Parse(path, data)
}

// Parse is Load for content that was read already.
func Parse(name string, data []byte) (Scenario, error) {
	s := Scenario{Settle: 30 * time.Second}
	file, err := strictyaml.Decode(data, &s)
	if err != nil {
		return s, fault.New(fault.Invalid, "%s: %s", name, err)
	}
	c := checker{name: name, file: file}
	c.scenario(&s)
	return s, c.err
}

// checker notes the first thing that is wrong.
type checker struct {
	name string
	file *strictyaml.File
	err  error
}

// refuse names file, line, key and value. at is the path of the key.
func (c *checker) refuse(at string, value any, format string, args ...any) {
	if c.err != nil {
		return
	}
	c.err = fault.New(fault.Invalid, "%s:%d: %s: %q %s", c.name, c.file.Line(strings.TrimPrefix(at, ".")), strings.TrimPrefix(at, "."), fmt.Sprint(value), fmt.Sprintf(format, args...))
}

func (c *checker) has(at string) bool { return c.file.Has(strings.TrimPrefix(at, ".")) }

func (c *checker) span(at string, value, least time.Duration) {
	if value < least || value > maxSpan {
		c.refuse(at, value, "is not between %s and %s; write a time such as 30s, 5m or 2h", least, maxSpan)
	}
}

func (c *checker) number(at string, value, least, most int) {
	if value < least || value > most {
		c.refuse(at, value, "is not between %d and %d", least, most)
	}
}

func (c *checker) scenario(s *Scenario) {
	if c.has(".clients") {
		c.number(".clients", s.Clients, 1, MaxClients)
	}
	c.span(".settle", s.Settle, 0)
	if len(s.Steps) == 0 || len(s.Steps) > maxSteps {
		c.refuse(".steps", len(s.Steps), "steps are not between 1 and %d; give at least one with name and actions", maxSteps)
	}
	names := map[string]bool{}
	for i := range s.Steps {
		step := &s.Steps[i]
		c.step(fmt.Sprintf(".steps[%d]", i), step)
		if names[step.Name] {
			c.refuse(fmt.Sprintf(".steps[%d].name", i), step.Name, "is the name of an earlier step; give each a name of its own")
		}
		names[step.Name] = true
	}
}

func (c *checker) step(at string, s *Step) {
	if s.Name == "" || len(s.Name) > 100 {
		c.refuse(at+".name", s.Name, "has %d characters, want 1 to 100; it stands in reports", len(s.Name))
	}
	c.span(at+".at", s.At, 0)
	c.span(at+".duration", s.Duration, 0)
	if c.has(at + ".every") {
		c.span(at+".every", s.Every, time.Second)
	}
	if s.Clients == "" {
		s.Clients = "all"
	}
	if _, err := parseSelection(s.Clients); err != nil {
		c.refuse(at+".clients", s.Clients, "%v", err)
	}
	if len(s.Actions) == 0 || len(s.Actions) > maxActions {
		c.refuse(at+".actions", len(s.Actions), "actions are not between 1 and %d; give at least one, such as '- do: poll'", maxActions)
	}
	for i := range s.Actions {
		c.action(fmt.Sprintf("%s.actions[%d]", at, i), &s.Actions[i])
	}
}

func (c *checker) action(at string, a *Action) {
	understood, known := actions()[a.Do]
	if !known {
		c.refuse(at+".do", a.Do, "is no action; write %s", actionNames)
		return
	}
	for _, key := range []string{"kind", "count", "bytes"} {
		wanted := false
		for _, u := range understood {
			wanted = wanted || u == key
		}
		if !wanted && c.has(at+"."+key) {
			c.refuse(at+"."+key, a.Do, "has no key %q; remove it", key)
		}
	}
	if a.Do == Inventory {
		if a.Kind == "" {
			a.Kind = Delta
		}
		if a.Kind != Full && a.Kind != Delta {
			c.refuse(at+".kind", a.Kind, "is no kind of inventory; write full or delta")
		}
	}
	if len(understood) > 0 && understood[0] == "count" {
		if !c.has(at + ".count") {
			a.Count = 1
		}
		c.number(at+".count", a.Count, 1, maxCount)
	}
	c.number(at+".bytes", a.Bytes, 0, maxBytes)
}

// End is when the last step is over, from the start of the run; forever tells
// that one of them goes on until the run is stopped.
func (s Scenario) End() (end time.Duration, forever bool) {
	for _, step := range s.Steps {
		end = max(end, step.At+step.Duration)
		forever = forever || step.Every > 0 && step.Duration == 0
	}
	return end, forever
}
