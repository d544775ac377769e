package inventory

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"mainstay/lib/lifecycle"
	"mainstay/wire"
)

// Config says what to collect and from where. The zero value collects every
// class of this machine.
type Config struct {
	// Root is the folder that stands for /. Empty means "/"; with another one
	// nothing is asked of the running kernel, only files are read.
	Root string
	// Disabled names classes that are left out; names that do not exist are
	// ignored, since a newer site may know more.
	Disabled []string
	// Files are the rules for the class File.
	Files []wire.FileRule
	// MaxHashSize is the size in bytes above which a file is listed without
	// its hash. 0 means 256 MiB.
	MaxHashSize int64
	// MaxFiles is the largest number of files of one rule. 0 means 1,000.
	MaxFiles int
	// Deadline is how long one source may take. 0 means 10 s. The source of
	// files, which may hash gigabytes, gets six times as much.
	Deadline time.Duration
	// Previous is the last baseline; the values that it holds are kept steady.
	Previous Baseline
	// Now is the clock. nil means time.Now.
	Now func() time.Time

	// kernel answers what no file tells; tests replace it.
	kernel *kernel
	// sources are what is run; tests replace them.
	sources []source
	// settle replaces how long Watch waits for quiet, and watching is called
	// when it sees everything; both are for tests.
	settle   time.Duration
	watching func()
}

func (c Config) withDefaults() (Config, error) {
	if c.Root == "" {
		c.Root = "/"
	}
	if !filepath.IsAbs(c.Root) {
		return c, fmt.Errorf("inventory root %q is not absolute; write the whole path", c.Root)
	}
	if info, err := os.Stat(c.Root); err != nil || !info.IsDir() {
		return c, fmt.Errorf("inventory root %q is not a folder that can be read", c.Root)
	}
	if c.MaxHashSize < 0 || c.MaxFiles < 0 || c.Deadline < 0 {
		return c, fmt.Errorf("inventory limits must not be negative: hash size %d, files %d, deadline %s", c.MaxHashSize, c.MaxFiles, c.Deadline)
	}
	if c.MaxHashSize == 0 {
		c.MaxHashSize = 256 << 20
	}
	if c.MaxFiles == 0 {
		c.MaxFiles = 1000
	}
	if c.Deadline == 0 {
		c.Deadline = 10 * time.Second
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.kernel == nil {
		c.kernel = &kernel{}
		if filepath.Clean(c.Root) == "/" {
			c.kernel = runningKernel()
		}
	}
	return c, nil
}

// Collector reads this machine. It is safe for use by one goroutine at a time;
// further ones wait.
type Collector struct {
	config  Config
	machine machine
	sources []source

	mu sync.Mutex // guards everything below
	// held are the values that are kept steady, by name.
	held map[string]uint64
	// hashes are those of files, so that one that has not changed is not read
	// again. Replaced as a whole, never changed in place.
	hashes map[fileKey]string
	// hung holds the sources that did not come back from an earlier run.
	hung map[string]<-chan outcome
}

// source reads one or more classes.
type source struct {
	name    string
	classes []string
	// patience multiplies the deadline; 0 means once.
	patience int
	collect  func(context.Context, *run) error
}

// New makes a collector. It reads nothing yet.
func New(config Config) (*Collector, error) {
	config, err := config.withDefaults()
	if err != nil {
		return nil, err
	}
	c := &Collector{
		config:  config,
		machine: machine{root: config.Root, kernel: config.kernel},
		sources: config.sources,
		held:    maps.Clone(config.Previous.Held),
		hung:    map[string]<-chan outcome{},
	}
	if c.sources == nil {
		c.sources = allSources()
	}
	return c, nil
}

// allSources lists what is read, in an order that does not matter.
func allSources() []source {
	return []source{
		{name: "system", collect: collectSystem, classes: []string{wire.ClassComputerSystem, wire.ClassOS}},
		{name: "firmware", collect: collectFirmware, classes: []string{wire.ClassBios, wire.ClassBaseBoard, wire.ClassSystemEnclosure, wire.ClassPhysicalMemory}},
		{name: "processor", collect: collectProcessors, classes: []string{wire.ClassProcessor}},
		{name: "memory", collect: collectMemory, classes: []string{wire.ClassMemory}},
		{name: "disk", collect: collectDisks, classes: []string{wire.ClassPhysicalDisk, wire.ClassPartition}},
		{name: "file system", collect: collectFileSystems, classes: []string{wire.ClassLogicalDisk}},
		{name: "network", collect: collectNetwork, classes: []string{wire.ClassNetworkAdapter, wire.ClassNetworkAdapterConfiguration, wire.ClassRoute}},
		{name: "software", collect: collectSoftware, classes: []string{wire.ClassInstalledSoftware}},
		{name: "service", collect: collectServices, classes: []string{wire.ClassService}},
		{name: "account", collect: collectAccounts, classes: []string{wire.ClassLocalUserAccount, wire.ClassLocalGroup}},
		{name: "port", collect: collectPorts, classes: []string{wire.ClassListeningPort}},
		{name: "module", collect: collectModules, classes: []string{wire.ClassKernelModule}},
		{name: "virtualization", collect: collectVirtualization, classes: []string{wire.ClassVirtualization}},
		{name: "time zone", collect: collectTimeZone, classes: []string{wire.ClassTimeZone}},
		{name: "file", collect: collectFiles, classes: []string{wire.ClassFile}, patience: 6},
	}
}

// outcome is what one run of a source brought.
type outcome struct {
	run *run
	err error
}

// Collect reads everything once. It always returns a snapshot; what failed is
// in Unread and Errors. The error is that of ctx, and the snapshot is then not
// to be used.
func (c *Collector) Collect(ctx context.Context) (*Snapshot, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	snapshot := &Snapshot{CollectedAt: c.config.Now().UnixMicro()}
	held, hashes := map[string]uint64{}, map[fileKey]string{}
	for _, s := range c.sources {
		if c.disabled(s) {
			continue
		}
		result := c.runSource(ctx, s)
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("inventory was interrupted: %w", err)
		}
		snapshot.take(s, result)
		if result.run != nil {
			maps.Copy(held, result.run.holding)
			maps.Copy(hashes, result.run.hashed)
		}
		if result.err != nil {
			// What a source would have left stays for its next success.
			addMissing(held, c.held)
			if slices.Contains(s.classes, wire.ClassFile) {
				addMissing(hashes, c.hashes)
			}
		}
	}
	c.held, c.hashes = held, hashes
	snapshot.held = maps.Clone(held)
	snapshot.finish()
	return snapshot, nil
}

func addMissing[K comparable, V any](to, from map[K]V) {
	for k, v := range from {
		if _, ok := to[k]; !ok {
			to[k] = v
		}
	}
}

func (c *Collector) disabled(s source) bool {
	return !slices.ContainsFunc(s.classes, func(class string) bool { return !slices.Contains(c.config.Disabled, class) })
}

// runSource runs one source until it is done or its deadline has passed. A
// source that hangs in the kernel cannot be ended; it is left alone, its result
// is thrown away, and it is not started again before it has come back.
func (c *Collector) runSource(ctx context.Context, s source) outcome {
	if done, ok := c.hung[s.name]; ok {
		select {
		case <-done:
			delete(c.hung, s.name)
		default:
			return outcome{err: errors.New("an earlier attempt still hangs")}
		}
	}
	limit := c.config.Deadline * time.Duration(max(s.patience, 1))
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	r := &run{config: &c.config, machine: c.machine, source: s, held: c.held, known: c.hashes, out: newSink()}
	done := make(chan outcome, 1)
	group := lifecycle.NewGroup(ctx)
	group.Go("inventory "+s.name, func(ctx context.Context) error {
		result := outcome{run: r, err: errors.New("the source panicked")}
		// Also after a panic, which the group turns into a log entry.
		defer func() { done <- result }()
		result.err = s.collect(ctx, r)
		return nil
	})
	select {
	case result := <-done:
		return result
	case <-ctx.Done():
	}
	// A source that looks at its context ends now, and what it has learnt on
	// the way is worth having.
	grace := time.NewTimer(time.Second)
	defer grace.Stop()
	select {
	case result := <-done:
		if errors.Is(result.err, context.DeadlineExceeded) {
			result.err = fmt.Errorf("not done after %s", limit)
		}
		return result
	case <-grace.C:
		c.hung[s.name] = done
		return outcome{err: fmt.Errorf("not done after %s and does not end", limit)}
	}
}

// run is one run of a source: what it may read and where its rows go.
type run struct {
	config  *Config
	machine machine
	source  source
	out     *sink
	// held and known come from the last collection and are only read; holding
	// and hashed are what this one leaves.
	held    map[string]uint64
	known   map[fileKey]string
	holding map[string]uint64
	hashed  map[fileKey]string
}

// add adds a row. A row that cannot be encoded becomes an error of its class
// and not the end of the others.
func (r *run) add(class string, row any) {
	if !slices.Contains(r.config.Disabled, class) {
		r.out.add(class, row)
	}
}

// warn reports that a class is not complete, within limits that are meant.
func (r *run) warn(class, format string, args ...any) {
	r.out.warn(class, fmt.Sprintf(format, args...))
}

// hold keeps a value that moves by itself steady: the value of the last
// collection is returned for as long as keep says that it still fits.
func (r *run) hold(name string, value uint64, keep func(old uint64) bool) uint64 {
	if old, ok := r.held[name]; ok && keep(old) {
		value = old
	}
	if r.holding == nil {
		r.holding = map[string]uint64{}
	}
	r.holding[name] = value
	return value
}
