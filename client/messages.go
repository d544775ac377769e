package client

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"mainstay/client/identity"
	"mainstay/client/outbox"
	"mainstay/client/policy"
	"mainstay/client/transport"
	"mainstay/wire"
)

// Topics of state messages, with the original's numbers.
const (
	topicDeployment    = 800
	topicCommunication = 1000
)

// States of topicDeployment.
const (
	stateInstalled = 400
	stateAssigning = 500
	stateAssigned  = 700
)

// States of topicCommunication.
const (
	stateReached    = 1
	stateNotReached = 2
)

const (
	// batchBytes bounds the bodies of one upload.
	batchBytes = 1 << 20
	// mostRefusals of one message end its life.
	mostRefusals = 5
	// gather is how long the first message after a quiet time waits for
	// others.
	gather = time.Second
	// awayAfter is how long nobody must serve before it is worth a message.
	awayAfter = 5 * time.Minute
)

// Send queues a message and returns when it is safe on disk. Urgent ones are
// sent at once, others within the report interval of the settings. It may be
// called from any goroutine while the client runs.
func (c *Client) Send(urgent bool, drafts ...outbox.Draft) error {
	if err := c.box.Put(drafts...); err != nil {
		return err
	}
	c.planUpload(urgent)
	return nil
}

func (c *Client) planUpload(urgent bool) {
	after := time.Duration(0)
	if !urgent {
		interval := seconds(c.keeper.Current().Settings.StateMessaging.ReportIntervalSeconds)
		after = max(gather, time.Until(c.sentAt().Add(interval)))
	}
	c.schedule.Trigger(jobUpload, after)
}

// send queues a message of the client itself. A full outbox is logged: what
// the message would have said is either in the state of the next one or lost
// to an administrator who has larger worries.
func (c *Client) send(typ string, urgent bool, body any) {
	data, err := json.Marshal(body)
	if err == nil {
		err = c.Send(urgent, outbox.Draft{Type: typ, Time: c.clock(), Body: data})
	}
	if err != nil {
		c.log.Warn("cannot queue a message", "type", typ, "error", err)
	}
}

func (c *Client) clock() time.Time {
	if c.config.Clock != nil {
		return c.config.Clock()
	}
	return time.Now()
}

// status queues a status message.
func (c *Client) status(id int, insertions ...string) {
	for i, text := range insertions {
		insertions[i] = clip(text)
	}
	i := slices.IndexFunc(wire.ClientStatusEntries(), func(e wire.StatusEntry) bool { return e.ID == id })
	if i < 0 {
		c.log.Error("status message is not in the catalogue", "id", id)
		return
	}
	entry := wire.ClientStatusEntries()[i]
	c.send(wire.TypeStatusMessage, entry.Severity == wire.Error, wire.StatusMessage{
		MessageID: id, Component: entry.Component, Severity: entry.Severity, Insertions: insertions,
	})
}

// clip cuts an insertion to what the wire carries.
func clip(text string) string {
	const most = 2048
	text = strings.ToValidUTF8(text, "?")
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "")
	}
	return text
}

// stateOf queues a state message.
func (c *Client) stateOf(topic, id int, detail string) {
	c.send(wire.TypeStateMessage, false, wire.StateMessage{TopicType: topic, StateID: id, Detail: clip(detail)})
}

// reportDamage tells what the start found wrong on disk.
func (c *Client) reportDamage() {
	if d := c.box.TakeDamage(); d.Records > 0 {
		c.status(wire.StatusOutboxDamaged, fmt.Sprint(d.Records))
	} else if d.TornBytes > 0 {
		c.status(wire.StatusOutboxTorn, fmt.Sprint(d.TornBytes))
	}
	if c.local.Damaged() {
		c.status(wire.StatusStateDamaged)
	}
	c.reportPolicyProblems()
}

// reportPolicyProblems tells what policy found wrong, each once.
func (c *Client) reportPolicyProblems() {
	entries := map[policy.ProblemKind]int{
		policy.Forged: wire.StatusPolicyForged, policy.Outdated: wire.StatusPolicyOutdated, policy.Unusable: wire.StatusPolicyUnusable,
		policy.UnknownKind: wire.StatusPolicyUnknown, policy.SettingsChanged: wire.StatusPolicySettings, policy.Damaged: wire.StatusPolicyDamaged,
	}
	for _, p := range c.keeper.TakeProblems() {
		c.log.Warn("policy problem", "kind", string(p.Kind), "reason", p.Text)
		c.status(entries[p.Kind], p.Text, p.Subject)
	}
}

// reportRegistered tells the site how this machine came to it.
func (c *Client) reportRegistered(why string, before *identity.Identity) {
	c.status(wire.StatusRegistered, why)
	switch {
	case before == nil:
		// The stages that an installer tells in the original.
		for _, state := range []int{stateInstalled, stateAssigning, stateAssigned} {
			c.stateOf(topicDeployment, state, c.config.SiteCode)
		}
	case before.DeviceID != c.id.DeviceID:
		c.status(wire.StatusCopy, before.DeviceID)
	default:
		c.status(wire.StatusIdentityChanged, before.DeviceID, why)
	}
	if c.local.Facts().PinnedRoot != nil && c.config.Token.IsZero() && c.config.RootKey == nil {
		c.status(wire.StatusPinned, c.rootFingerprint())
	}
}

// noteContact follows whether a management point serves at all.
func (c *Client) noteContact(served bool) {
	now := time.Now()
	switch {
	case !served && c.away.IsZero():
		c.away = now
	case !served && !c.toldAway && now.Sub(c.away) > awayAfter && c.registered():
		c.toldAway = true
		c.stateOf(topicCommunication, stateNotReached, "no management point serves")
	case served:
		if c.toldAway {
			c.stateOf(topicCommunication, stateReached, "unreachable for "+now.Sub(c.away).Round(time.Second).String())
		}
		c.away, c.toldAway = time.Time{}, false
	}
}

// sendHeartbeat queues the discovery record.
func (c *Client) sendHeartbeat(context.Context) error {
	facts := c.config.Machine()
	beat, err := c.heartbeat(facts)
	if err != nil {
		return err
	}
	data, err := json.Marshal(beat)
	if err != nil {
		return err
	}
	if err := c.Send(false, outbox.Draft{Type: wire.TypeHeartbeat, Time: c.clock(), Body: data}); err != nil {
		return err
	}
	c.beat = fmt.Sprint(facts)
	return nil
}

func (c *Client) heartbeat(facts identity.Facts) (wire.Heartbeat, error) {
	base, err := c.local.Baseline()
	if err != nil {
		return wire.Heartbeat{}, err
	}
	set := c.keeper.Current()
	beat := wire.Heartbeat{
		Name: facts.Name, Hardware: c.hardware, OS: facts.OS, OSVersion: facts.OSVersion, Arch: facts.Arch,
		ClientVersion: c.config.Version, Addresses: facts.Addresses, InventoryHash: base.Result,
		PolicyVersion: set.Version, Settings: set.SettingsHash, Queued: int64(c.box.Queued().Messages),
	}
	if !set.FreshUntil.IsZero() {
		beat.FreshUntil = set.FreshUntil.UnixMicro()
	}
	return beat, nil
}

// upload sends what waits until nothing does.
func (c *Client) upload(ctx context.Context) error {
	for ctx.Err() == nil {
		batch, err := c.box.Next(c.batch, batchBytes)
		if err != nil {
			return err
		}
		if d := c.box.TakeDamage(); d.Records > 0 {
			c.status(wire.StatusOutboxDamaged, fmt.Sprint(d.Records))
		}
		if len(batch.Messages) == 0 {
			return nil
		}
		last, err := c.transport.Upload(ctx, transport.Upload{
			Device: c.id.DeviceID, Running: batch.Running, Born: batch.Born, First: batch.First, Last: batch.Last,
			Acknowledged: batch.Acknowledged, Messages: batch.Messages, Key: c.id.Key,
		})
		if err == transport.ErrTooLarge {
			if err := c.tooLarge(batch); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		if err := c.box.Acknowledge(batch.Born, last); err != nil {
			return err
		}
		c.batch, c.refusals = wire.MaxMessages, 0
		c.contact(jobUpload)
		c.setSent(time.Now())
	}
	return context.Cause(ctx)
}

// tooLarge sends fewer messages at once, and gives up one that no site takes.
func (c *Client) tooLarge(batch outbox.Batch) error {
	if n := len(batch.Messages); n > 1 {
		c.batch = n / 2
		return nil
	}
	return c.giveUp(batch.Messages[0], "it is larger than a site takes at once")
}

func (c *Client) giveUp(m wire.Message, reason string) error {
	if err := c.box.GiveUp(m.ID); err != nil {
		return err
	}
	c.batch, c.refusals = wire.MaxMessages, 0
	c.log.Error("message given up", "type", m.Type, "id", m.ID, "reason", reason)
	if m.Type == wire.TypeHardwareInventory {
		// What the site misses would make every later delta useless.
		if err := c.local.DropBaseline(); err != nil {
			return err
		}
	}
	c.status(wire.StatusMessageGiven, m.Type, m.ID, reason)
	return nil
}

// refused does what a lasting refusal of a job's request asks for. Of a refused
// upload one message alone is sent, so that a bad one takes no others with it.
func (c *Client) refused(name string, f *transport.Failure) error {
	if name != jobUpload {
		return nil
	}
	if c.batch > 1 {
		c.batch, c.refusals = 1, 0
		return nil
	}
	if c.refusals++; c.refusals < mostRefusals {
		return nil
	}
	batch, err := c.box.Next(1, batchBytes)
	if err != nil || len(batch.Messages) == 0 {
		return err
	}
	return c.giveUp(batch.Messages[0], f.Error())
}

// settleInventory decides, at the start, whether the inventory that was
// prepared last had its report queued before the crash.
func (c *Client) settleInventory() error {
	prepared, err := c.local.PreparedBaseline()
	if err != nil || prepared.MessageID == "" {
		return err
	}
	queued, err := c.box.Contains(prepared.MessageID)
	if err != nil {
		return err
	}
	if queued {
		return c.local.CommitBaseline()
	}
	return c.local.DropPrepared()
}
