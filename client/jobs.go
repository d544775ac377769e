package client

import (
	"context"
	"errors"
	"hash/fnv"
	"log/slog"
	"time"

	"mainstay/client/localstate"
	"mainstay/client/scheduler"
	"mainstay/client/transport"
	"mainstay/lib/fault"
	"mainstay/lib/retry"
	"mainstay/wire"
)

// Names of the jobs; they stand in the state folder and in status.
const (
	jobRegister  = "registration"
	jobPolicy    = "policy"
	jobHeartbeat = "heartbeat"
	jobInventory = "hardware-inventory"
	jobResync    = "full-inventory"
	jobUpload    = "upload"
	jobRenew     = "certificate-renewal"
	jobSite      = "site-description"
)

// job is a piece of work of the loop.
type job struct {
	name string
	// registered: it makes sense only for a machine that has an identity.
	registered bool
	rhythm     func(wire.ClientSettings) scheduler.Rhythm
	run        func(*Client, context.Context) error
}

// jobs is everything that a client does by itself, in the order in which it is
// done when all are due: policy before what it governs, inventory before the
// heartbeat that carries its hash.
func jobs() []job {
	every := func(interval time.Duration) func(wire.ClientSettings) scheduler.Rhythm {
		return func(wire.ClientSettings) scheduler.Rhythm {
			return scheduler.Rhythm{Interval: interval, RandomDelay: interval / 10}
		}
	}
	whenTriggered := every(0)
	return []job{
		{jobRegister, false, whenTriggered, (*Client).register},
		{jobPolicy, true, policyRhythm, (*Client).pollPolicy},
		{jobInventory, true, inventoryRhythm, (*Client).reportChanges},
		{jobHeartbeat, true, heartbeatRhythm, (*Client).sendHeartbeat},
		{jobResync, true, whenTriggered, (*Client).reportAll},
		{jobRenew, true, every(6 * time.Hour), (*Client).renewInTime},
		{jobSite, true, every(24 * time.Hour), (*Client).refreshSite},
		{jobUpload, true, whenTriggered, (*Client).upload},
	}
}

func seconds(n int64) time.Duration { return time.Duration(n) * time.Second }

// policyRhythm spreads the polls of a fleet that was started together.
func policyRhythm(s wire.ClientSettings) scheduler.Rhythm {
	interval := seconds(s.ClientPolicy.PollingIntervalSeconds)
	return scheduler.Rhythm{Interval: interval, RandomDelay: interval / 10}
}

func heartbeatRhythm(s wire.ClientSettings) scheduler.Rhythm {
	return scheduler.Rhythm{Interval: seconds(s.Heartbeat.IntervalSeconds), RandomDelay: seconds(s.Heartbeat.RandomDelaySeconds), Kept: true}
}

func inventoryRhythm(s wire.ClientSettings) scheduler.Rhythm {
	h := s.HardwareInventory
	if !h.Enabled {
		return scheduler.Rhythm{}
	}
	return scheduler.Rhythm{Interval: seconds(h.IntervalSeconds), RandomDelay: seconds(h.RandomDelaySeconds), Kept: true}
}

// runJobs is the loop.
func (c *Client) runJobs(ctx context.Context) error {
	c.reportDamage()
	c.setJobs()
	for {
		name, err := c.schedule.Wait(ctx)
		if err != nil {
			return nil // told to end
		}
		if err := c.runJob(ctx, name); err != nil {
			return err
		}
	}
}

// runJob runs one job and plans what follows. Its error ends the client.
func (c *Client) runJob(ctx context.Context, name string) error {
	for _, j := range jobs() {
		if j.name != name {
			continue
		}
		if j.registered && !c.registered() {
			c.schedule.Remove(name)
			return nil
		}
		err := j.run(c, ctx)
		c.schedule.Done(name)
		return c.follow(ctx, name, err)
	}
	c.schedule.Remove(name)
	return nil
}

// setJobs tells the scheduler the rhythms that are in force.
func (c *Client) setJobs() {
	settings := c.keeper.Current().Settings
	for _, j := range jobs() {
		if j.registered && !c.registered() {
			c.schedule.Remove(j.name)
			continue
		}
		c.schedule.Set(j.name, j.rhythm(settings))
	}
	if !c.registered() {
		c.schedule.Trigger(jobRegister, 0)
		return
	}
	if c.box.Queued().Messages > 0 {
		c.schedule.Trigger(jobUpload, 0)
	}
	c.planResync()
}

func (c *Client) registered() bool { return c.id != nil && c.pending == nil }

// Waits after a failure lie between these, growing.
const (
	firstWait = 3 * time.Second
	mostWait  = 5 * time.Minute
	// slowFirst and slowMost are for what only a person can change.
	slowFirst = 30 * time.Second
	slowMost  = 30 * time.Minute
	// identityPause is the least time between two changes of identity that a
	// management point, which may be a thief, brings about.
	identityPause = time.Hour
)

// wait is how long a job that failed waits. Slow is for what only a person can
// change.
func (c *Client) wait(name string, slow bool) time.Duration {
	key, first, most := name, firstWait, mostWait
	if slow {
		key, first, most = name+" slow", slowFirst, slowMost
	}
	if c.backoff[key] == nil {
		c.backoff[key] = retry.New(first, most, c.random)
	}
	return c.backoff[key].Next()
}

// follow is the one place that does what the outcome of a job asks for. Its
// error ends the client.
func (c *Client) follow(ctx context.Context, name string, err error) error {
	if err == nil {
		delete(c.backoff, name)
		delete(c.backoff, name+" slow")
		c.settled(name)
		return nil
	}
	f := transport.AdviceOf(err)
	if f == nil {
		return c.followLocal(ctx, name, err)
	}
	if f.Advice != transport.Stop {
		level := slog.LevelDebug
		if c.backoff[name] == nil {
			level = slog.LevelInfo // only the first in a row is worth a line
		}
		c.log.Log(ctx, level, "job did not succeed", "job", name, "advice", f.Advice.String(), "reason", f.Error())
		c.setProblem(name, f)
		c.noteContact(f.Advice != transport.TryAnother && f.Advice != transport.ComeBack)
	}
	again := func(after time.Duration) { c.schedule.Trigger(name, 0); c.schedule.Postpone(name, after) }
	switch f.Advice {
	case transport.Stop:
	case transport.TryAnother, transport.ComeBack, transport.Pending:
		again(max(f.After, c.wait(name, false)))
	case transport.Blocked, transport.TokenRefused:
		again(c.wait(name, true))
	case transport.Renew:
		c.mustRenew = true
		c.schedule.Hurry(jobRenew)
		again(c.wait(name, false))
	case transport.NewIncarnation:
		again(c.wait(name, false))
		return c.box.NewIncarnation()
	case transport.RegisterAgain:
		again(c.wait(name, false))
		return c.changeIdentity(ctx, forgotten)
	case transport.Replaced:
		again(c.wait(name, true))
		return c.changeIdentity(ctx, replaced)
	case transport.OwnIdentity:
		again(c.wait(name, false))
		return c.changeIdentity(ctx, shared)
	case transport.GiveUp:
		again(c.wait(name, true))
		return c.refused(name, f)
	}
	return nil
}

// followLocal does what an error of the machine itself asks for: none ends the
// client, because a full disk may have room again.
func (c *Client) followLocal(ctx context.Context, name string, err error) error {
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return nil
	}
	if fault.Is(err, fault.Stale) || fault.Is(err, fault.Denied) {
		c.log.WarnContext(ctx, "answers were not accepted", "job", name, "error", err)
	} else {
		c.log.ErrorContext(ctx, "job failed", "job", name, "error", err)
	}
	c.setProblem(name, &transport.Failure{Text: err.Error()})
	c.schedule.Trigger(name, 0)
	c.schedule.Postpone(name, c.wait(name, false))
	return nil
}

// pollPolicy asks for policy and obeys what is new.
func (c *Client) pollPolicy(ctx context.Context) error {
	changed, err := c.keeper.Poll(ctx, c.transport)
	c.reportPolicyProblems()
	if err != nil {
		return err
	}
	c.contact(jobPolicy)
	if changed {
		set := c.keeper.Current()
		c.log.InfoContext(ctx, "policy changed", "version", set.Version, "assignments", len(set.Assignments))
		c.setJobs()
	}
	c.planResync()
	return nil
}

// planResync makes a full report due once for each request.
func (c *Client) planResync() {
	want := c.keeper.Current().Resync
	if want.HardwareInventory <= max(c.resync, c.local.Facts().ResyncHandled) {
		return
	}
	c.resync = want.HardwareInventory
	c.schedule.Trigger(jobResync, retry.Jitter(seconds(want.SpreadSeconds), c.random))
}

// renewInTime renews the certificate from half of its life on. Each device has
// its own moment within the next tenth.
func (c *Client) renewInTime(ctx context.Context) error {
	cert := c.id.Certificate
	h := fnv.New32a()
	h.Write([]byte(c.id.DeviceID))
	spread := time.Duration(float64(cert.NotAfter.Sub(cert.NotBefore)) / 10 * float64(h.Sum32()) / (1 << 32))
	if !c.mustRenew && c.local.Now().Before(c.id.RenewAt().Add(spread)) {
		return nil
	}
	return c.renew(ctx)
}

// refreshSite learns the management points of the site.
func (c *Client) refreshSite(ctx context.Context) error {
	s, point, err := c.transport.Site(ctx)
	if err != nil {
		return err
	}
	description, err := transport.OpenSite(s, c.config.SiteCode, c.id.RootCertificate, c.local.Facts().Versions[wire.KindSiteDescription])
	if err != nil {
		c.transport.Distrust(point)
		if !c.toldSite && !fault.Is(err, fault.Stale) {
			c.toldSite = true
			c.status(wire.StatusSiteForged, "management point "+point+": "+err.Error())
		}
		return err
	}
	c.toldSite = false
	return c.learnSite(s, description)
}

// learnSite remembers a checked description of the site.
func (c *Client) learnSite(s wire.Signed, d wire.SiteDescription) error {
	raw, err := encodeSite(s)
	if err != nil {
		return err
	}
	if err := c.local.SawSignedTime(d.Issued); err != nil {
		return err
	}
	if known := c.local.Facts().Versions[wire.KindSiteDescription]; d.Version < known {
		return nil // a first contact may be shown an old one
	} else if d.Version == known {
		c.transport.SetManagementPoints(c.managementPoints(d))
		return nil
	}
	c.transport.SetManagementPoints(c.managementPoints(d))
	return c.local.Update(func(f *localstate.Facts) {
		f.Site = raw
		f.Versions[wire.KindSiteDescription] = d.Version
	})
}

// managementPoints are those of the site and those of the configuration.
func (c *Client) managementPoints(d wire.SiteDescription) []string {
	var list []string
	for _, p := range d.ManagementPoints {
		if address, err := Address(p); err == nil && len(list) < 100 {
			list = append(list, address)
		}
	}
	return append(list, c.config.ManagementPoints...)
}
