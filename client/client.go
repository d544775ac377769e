package client

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"mainstay/client/identity"
	"mainstay/client/localapi"
	"mainstay/client/localstate"
	"mainstay/client/outbox"
	"mainstay/client/policy"
	"mainstay/client/scheduler"
	"mainstay/client/transport"
	"mainstay/lib/fault"
	"mainstay/lib/filesys"
	"mainstay/lib/lifecycle"
	"mainstay/lib/registrationtoken"
	"mainstay/lib/retry"
	"mainstay/lib/version"
	"mainstay/wire"
)

// DefaultPort is the client port of a management point that is named without
// one.
const DefaultPort = "8443"

// Config says what a client is to be. StateDir, SiteCode and ManagementPoints
// are required; everything else has a usable zero value.
type Config struct {
	// StateDir holds all that the client keeps; one process at a time.
	StateDir string
	// StateLocked: the caller holds a lock on StateDir or a folder above it,
	// and the client takes none, which saves an open file per client where
	// thousands run in one process.
	StateLocked bool
	// SocketPath is the local door; empty means none.
	SocketPath string
	// SiteCode is the site to be a client of: three capital letters or digits.
	SiteCode string
	// ManagementPoints are host or host:port, to begin with; the site tells
	// the full list.
	ManagementPoints []string
	// FallbackStatusPoints are host:port.
	FallbackStatusPoints []string
	// Token lets the machine register without an administrator.
	Token registrationtoken.Token
	// RootKey is the site's root certificate in DER, where it was given. With
	// neither token nor root key the root of the first contact is trusted.
	RootKey []byte

	// Inventory is the source of hardware inventory; nil means none. It may
	// be a Watcher too.
	Inventory Inventory
	// Hardware and Machine tell who the machine is; nil means this machine.
	Hardware func() wire.HardwareIdentity
	Machine  func() identity.Facts
	// Version of the client; empty means that of the program.
	Version string

	// Dial makes connections; nil means plain TCP.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Clock is the machine's clock; nil means time.Now.
	Clock func() time.Time
	// Random gives numbers in [0, 1), for delays and choices only; nil means
	// math/rand.
	Random func() float64
	// Compressor may be shared by many clients; nil makes one.
	Compressor *transport.Compressor
	// OutboxBytes bounds the outbox on disk; 0 means outbox.DefaultMaxBytes.
	OutboxBytes int64
	// Observe is told of each exchange with a management point; nil tells
	// nobody.
	Observe func(transport.Exchange)
	// Log is for developers; nil means slog.Default.
	Log *slog.Logger
	// Progress hears of the steps of a registration, as sentences for people.
	Progress func(string)
	// Registered is called when the machine has its identity, at a start too:
	// the token has done its work.
	Registered func() error
	// Rest is called after work that needed much memory.
	Rest func()
}

// Client is a managed machine. Make it with New, and either Run it or Register
// and Close it.
type Client struct {
	config    Config
	log       *slog.Logger
	random    func() float64
	unlock    func() error
	ids       *identity.Store
	local     *localstate.Store
	box       *outbox.Outbox
	keeper    *policy.Keeper
	transport *transport.Transport
	schedule  *scheduler.Scheduler
	backoff   map[string]*retry.Backoff

	// Owned by the loop.
	hardware wire.HardwareIdentity
	id       *identity.Identity // nil before the first registration
	pending  *identity.Pending  // nil when id is in force
	// firstRoot is the root of a first contact that was checked.
	firstRoot *x509.Certificate
	// certificateRefused: the earlier identity does not prove anything.
	certificateRefused bool
	// mustRenew: a management point says that the certificate has ended.
	mustRenew bool
	batch     int             // messages per upload, less after a refusal
	refusals  int             // of one message, in a row
	resync    int64           // the request for a full report that is planned
	beat      string          // what the last heartbeat said of the machine
	away      time.Time       // since when no management point serves; zero: one does
	toldAway  bool            // a state message says so
	toldSite  bool            // a status message tells of a forged description
	said      map[string]bool // what Progress was told

	mu    sync.Mutex // guards state
	state state
}

// New opens what the client has on disk and connects to nobody. A folder that
// another client uses is a Conflict.
func New(c Config) (*Client, error) {
	if err := c.complete(); err != nil {
		return nil, err
	}
	if err := filesys.MakeDir(c.StateDir, 0o700); err != nil {
		return nil, err
	}
	unlock := func() error { return nil }
	if !c.StateLocked {
		var err error
		if unlock, err = filesys.Lock(c.StateDir); err != nil {
			return nil, err
		}
	}
	client := &Client{
		config: c, log: c.Log, random: c.Random, unlock: unlock,
		backoff: map[string]*retry.Backoff{}, hardware: c.Hardware(), batch: wire.MaxMessages,
	}
	if err := client.open(); err != nil {
		return nil, errors.Join(err, client.Close())
	}
	// Whoever drives the client may ask for a job before Run begins.
	client.setJobs()
	return client, nil
}

// complete fills in defaults and refuses what cannot work.
func (c *Config) complete() error {
	if len(c.SiteCode) != 3 || strings.Trim(c.SiteCode, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") != "" {
		return fault.InvalidField("site", "%q is no site code: give three capital letters or digits", c.SiteCode)
	}
	if !c.Token.IsZero() && c.Token.SiteCode() != c.SiteCode {
		return fault.InvalidField("token", "the registration token is for site %s, and this is to be a client of site %s", c.Token.SiteCode(), c.SiteCode)
	}
	if len(c.ManagementPoints) == 0 {
		return fault.InvalidField("management_points", "name at least one management point as HOST or HOST:PORT")
	}
	points := make([]string, len(c.ManagementPoints))
	for i, p := range c.ManagementPoints {
		var err error
		if points[i], err = Address(p); err != nil {
			return err
		}
	}
	c.ManagementPoints = points
	if c.StateDir == "" {
		return fault.InvalidField("state_dir", "name a folder")
	}
	if c.Hardware == nil {
		c.Hardware = func() wire.HardwareIdentity { return identity.Hardware("/") }
	}
	if c.Machine == nil {
		c.Machine = func() identity.Facts { return identity.Machine("/") }
	}
	if c.Version == "" {
		c.Version = version.Version
	}
	if c.Random == nil {
		c.Random = rand.Float64
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Progress == nil {
		c.Progress = func(string) {}
	}
	if c.Registered == nil {
		c.Registered = func() error { return nil }
	}
	if c.Rest == nil {
		c.Rest = func() {}
	}
	return nil
}

// Address completes a management point's HOST or HOST:PORT.
func Address(text string) (string, error) {
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		host, port = strings.Trim(text, "[]"), DefaultPort
		if strings.Contains(host, ":") && net.ParseIP(host) == nil {
			return "", fault.InvalidField("management_points", "%q is no address: write HOST or HOST:PORT, without https://", text)
		}
	}
	number, err := net.LookupPort("tcp", port)
	if host == "" || err != nil || number == 0 || strings.ContainsAny(host, "/ @?#%") && net.ParseIP(host) == nil {
		return "", fault.InvalidField("management_points", "%q is no address: write HOST or HOST:PORT, without https://", text)
	}
	return net.JoinHostPort(host, fmt.Sprint(number)), nil
}

// open opens the parts in the order in which they need each other.
func (c *Client) open() (err error) {
	dir := func(name string) string { return filepath.Join(c.config.StateDir, name) }
	if c.local, err = localstate.Open(localstate.Config{Dir: dir("state"), Clock: c.config.Clock, Built: version.BuiltAt()}); err != nil {
		return err
	}
	if c.ids, err = identity.OpenStore(dir("identity")); err != nil {
		return err
	}
	if c.box, err = outbox.Open(outbox.Config{Dir: dir("outbox"), MaxBytes: c.config.OutboxBytes}); err != nil {
		return err
	}
	c.keeper, err = policy.Open(policy.Config{
		Dir: dir("policy"), SiteCode: c.config.SiteCode, Now: c.local.Now, SawSignedTime: c.local.SawSignedTime,
		Floor:    func(kind, device string) int64 { return c.local.Facts().Versions[kind+" "+device] },
		SetFloor: c.setFloor,
	})
	if err != nil {
		return err
	}
	c.transport = transport.New(transport.Config{
		ManagementPoints: c.config.ManagementPoints, SiteCode: c.config.SiteCode, Now: c.local.Now,
		Dial: c.config.Dial, Random: c.random, Compressor: c.config.Compressor, Log: c.log, Observe: c.config.Observe,
	})
	c.schedule = scheduler.New(scheduler.Config{
		Clock: c.config.Clock, Random: c.random, Kept: keptJobs(c.local.Facts()), Keep: c.keepJob,
	})
	return c.recognize()
}

// setFloor remembers an accepted version, where it has grown.
func (c *Client) setFloor(kind, device string, v int64) error {
	name := kind + " " + device
	if c.local.Facts().Versions[name] >= v {
		return nil
	}
	return c.local.Update(func(f *localstate.Facts) { f.Versions[name] = max(f.Versions[name], v) })
}

func keptJobs(f localstate.Facts) map[string]scheduler.Occurrence {
	kept := map[string]scheduler.Occurrence{}
	for name, o := range f.Schedule {
		kept[name] = scheduler.Occurrence{Base: time.UnixMicro(o.Base), Due: time.UnixMicro(o.Due)}
	}
	return kept
}

func (c *Client) keepJob(name string, next scheduler.Occurrence) {
	err := c.local.Update(func(f *localstate.Facts) {
		f.Schedule[name] = localstate.Occurrence{Base: next.Base.UnixMicro(), Due: next.Due.UnixMicro()}
	})
	if err != nil {
		c.log.Warn("cannot remember when a job runs next", "job", name, "error", err)
	}
}

// Run works until ctx ends. It returns early only when the machine's own disk
// makes work impossible.
func (c *Client) Run(ctx context.Context) error {
	tasks := []lifecycle.Task{{Name: "jobs", Run: c.runJobs}}
	if watcher, ok := c.config.Inventory.(Watcher); ok {
		tasks = append(tasks, lifecycle.Task{Name: "watch", Run: c.watch(watcher)})
	}
	if c.config.SocketPath != "" {
		door := localapi.New(localapi.Config{Path: c.config.SocketPath, Client: local{c}})
		tasks = append(tasks, lifecycle.Task{Name: "local door", Run: door.Run})
	}
	if len(tasks) == 1 {
		// A simulated client costs no goroutine more than it needs.
		return errors.Join(c.runJobs(ctx), c.Close())
	}
	return errors.Join(lifecycle.Run(ctx, tasks...), c.Close())
}

// Close gives the state folder free. Run does it by itself.
func (c *Client) Close() error {
	var errs []error
	if c.box != nil {
		errs = append(errs, c.box.Close())
	}
	if c.transport != nil {
		c.transport.Close()
	}
	if c.unlock != nil {
		errs = append(errs, c.unlock())
		c.unlock = nil
	}
	return errors.Join(errs...)
}

// root is the site's root certificate as far as it is known without asking:
// from the identity, the configuration, or the first contact.
func (c *Client) root() (*x509.Certificate, error) {
	switch {
	case c.id != nil:
		return c.id.RootCertificate, nil
	case c.firstRoot != nil:
		return c.firstRoot, nil
	case c.config.RootKey != nil:
		return x509.ParseCertificate(c.config.RootKey)
	}
	if der := c.local.Facts().PinnedRoot; der != nil && c.config.Token.IsZero() {
		return x509.ParseCertificate(der)
	}
	return nil, nil
}
