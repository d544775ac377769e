package client

import (
	"context"
	"crypto/ecdsa"
	"strings"
	"time"

	"mainstay/client/identity"
	"mainstay/client/localapi"
	"mainstay/client/transport"
	"mainstay/lib/mtls"
	"mainstay/wire"
)

// Phases of a client, as status shows them.
const (
	phaseRegistering  = "registering"
	phasePending      = "waiting for approval"
	phaseTokenRefused = "token refused"
	phaseBlocked      = "blocked"
	phaseRegistered   = "registered"
)

// state is what other goroutines may see of the loop's work.
type state struct {
	phase     string
	id        *identity.Identity
	key       string // fingerprint of the key in force, or of the one that registers
	contactAt time.Time
	sentAt    time.Time
	inventory time.Time
	// problems are those of the jobs that failed last time, by job.
	problems map[string]problem
}

// problem is why a job failed last time.
type problem struct {
	text string
	at   time.Time
}

// newest is the problem that came last; its text is empty when there is none.
func (s *state) newest() problem {
	var newest problem
	for _, p := range s.problems {
		if p.at.After(newest.at) {
			newest = p
		}
	}
	return newest
}

func (c *Client) with(change func(*state)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change(&c.state)
}

func (c *Client) setPhase(phase string) { c.with(func(s *state) { s.phase = phase }) }
func (c *Client) setIdentity(id *identity.Identity) {
	c.with(func(s *state) { s.id = id })
	c.setKey(&id.Key.PublicKey)
}

// setKey remembers the fingerprint of a key for people to compare.
func (c *Client) setKey(key *ecdsa.PublicKey) {
	// A key that was made or read here can be encoded.
	fingerprint, _ := mtls.KeyFingerprint(key)
	c.with(func(s *state) { s.key = fingerprint })
}
func (c *Client) setSent(at time.Time)        { c.with(func(s *state) { s.sentAt = at }) }
func (c *Client) setInventoried(at time.Time) { c.with(func(s *state) { s.inventory = at }) }
func (c *Client) sentAt() (at time.Time)      { c.with(func(s *state) { at = s.sentAt }); return at }
func (c *Client) inventoriedAt() (at time.Time) {
	c.with(func(s *state) { at = s.inventory })
	return at
}
func (c *Client) contact(job string) {
	c.with(func(s *state) {
		s.contactAt = time.Now()
		if s.phase == phaseBlocked && job != jobRegister {
			s.phase = phaseRegistered
		}
	})
	c.settled(job)
	c.noteContact(true)
}

// settled ends the problem of a job that has succeeded.
func (c *Client) settled(job string) {
	c.with(func(s *state) { delete(s.problems, job) })
}

func (c *Client) setProblem(job string, f *transport.Failure) {
	c.with(func(s *state) {
		if s.problems == nil {
			s.problems = map[string]problem{}
		}
		s.problems[job] = problem{f.Error(), time.Now()}
		if f.Advice == transport.Blocked {
			s.phase = phaseBlocked
		}
	})
}

// shortKey is how the site lists the key of a machine that waits.
func (c *Client) shortKey() (key string) {
	c.with(func(s *state) { key = s.key[:min(len(s.key), 16)] })
	return key
}

// pairs shows a fingerprint as the site's command does.
func pairs(fingerprint string) string {
	var b strings.Builder
	for i, r := range fingerprint {
		if i > 0 && i%2 == 0 {
			b.WriteByte(':')
		}
		b.WriteRune(r)
	}
	return b.String()
}

func (c *Client) rootFingerprint() string {
	if root, err := c.root(); err == nil && root != nil {
		return mtls.Fingerprint(root.Raw)
	}
	return ""
}

// Status says how the client is.
func (c *Client) Status() localapi.Status {
	c.mu.Lock()
	s, trouble := c.state, c.state.newest()
	c.mu.Unlock()
	set, queued := c.keeper.Current(), c.box.Queued()
	status := localapi.Status{
		SiteCode: c.config.SiteCode, Phase: s.phase, ClientVersion: c.config.Version,
		ManagementPoint: c.transport.Current(), ManagementPoints: c.transport.ManagementPoints(),
		FallbackStatusPoints: c.config.FallbackStatusPoints,
		LastContact:          stamp(s.contactAt), LastInventory: stamp(s.inventory), Problem: trouble.text, ProblemAt: stamp(trouble.at),
		PolicyVersion: set.Version, PolicyAcceptedAt: stamp(set.AcceptedAt), PolicyFreshUntil: stamp(set.FreshUntil),
		Queued: queued.Messages, QueuedBytes: queued.Bytes,
		Next: map[string]time.Time{},
	}
	status.KeySHA256 = s.key
	if s.id != nil {
		status.DeviceID = s.id.DeviceID
		status.CertificateEnds = stamp(s.id.Certificate.NotAfter)
		status.RootSHA256 = mtls.Fingerprint(s.id.Root)
		status.RootTrustedAtFirstContact = c.local.Facts().PinnedRoot != nil && c.config.Token.IsZero() && c.config.RootKey == nil
	}
	for _, j := range jobs() {
		if due := c.schedule.Due(j.name); !due.IsZero() {
			status.Next[j.name] = due.UTC()
		}
	}
	return status
}

func stamp(at time.Time) *time.Time {
	if at.IsZero() || at.UnixMicro() == 0 {
		return nil
	}
	at = at.UTC().Round(time.Second)
	return &at
}

// Settings are the client settings in force.
func (c *Client) Settings() wire.ClientSettings { return c.keeper.Current().Settings }

// PollPolicyNow makes the client ask for policy at once.
func (c *Client) PollPolicyNow() {
	c.transport.Wake()
	c.schedule.Hurry(jobPolicy)
	c.schedule.Hurry(jobRegister)
}

// ReportInventoryNow makes the client collect and send at once.
func (c *Client) ReportInventoryNow() {
	c.transport.Wake()
	c.schedule.Hurry(jobInventory)
	c.schedule.Hurry(jobUpload)
}

// local shows a client to its local door.
type local struct{ *Client }

// Policy tells what is assigned and in force.
func (l local) Policy() localapi.Policy {
	set := l.keeper.Current()
	p := localapi.Policy{
		Version: set.Version, AcceptedAt: stamp(set.AcceptedAt), FreshUntil: stamp(set.FreshUntil),
		Settings: set.Settings, Assignments: set.Assignments,
	}
	if p.Assignments == nil {
		p.Assignments = []wire.Assignment{}
	}
	return p
}

// Act does what the local administrator asks for.
func (l local) Act(_ context.Context, what string) bool {
	switch what {
	case localapi.ActPolicy:
		l.PollPolicyNow()
	case localapi.ActInventory:
		l.ReportInventoryNow()
	default:
		return false
	}
	return true
}
