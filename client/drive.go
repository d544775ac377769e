package client

import (
	"encoding/json"

	"mainstay/client/outbox"
	"mainstay/wire"
)

// What follows lets a caller set the pace of a client that runs: simulated
// clients are told when to do what real ones do by schedule. Each call returns
// at once, the work is done by the client's own loop, and a client that is not
// registered yet does nothing but hurry to be.

// HeartbeatNow makes the client send its discovery record at once.
func (c *Client) HeartbeatNow() {
	c.schedule.Hurry(jobHeartbeat)
	c.schedule.Hurry(jobUpload)
}

// ReportFullInventoryNow makes the client collect everything and send it at
// once, as when the site asks for it.
func (c *Client) ReportFullInventoryNow() {
	c.schedule.Hurry(jobResync)
	c.schedule.Hurry(jobUpload)
}

// SendStatus queues status messages together and returns when they are safe on
// disk. Urgent ones are sent at once, others within the report interval.
func (c *Client) SendStatus(urgent bool, messages ...wire.StatusMessage) error {
	drafts := make([]outbox.Draft, len(messages))
	for i, m := range messages {
		for n, text := range m.Insertions {
			m.Insertions[n] = clip(text)
		}
		body, err := json.Marshal(m)
		if err != nil {
			return err
		}
		drafts[i] = outbox.Draft{Type: wire.TypeStatusMessage, Time: c.clock(), Body: body}
	}
	return c.Send(urgent, drafts...)
}

// Waiting tells whether the machine has an identity, whether a job runs or is
// due, and how many messages wait for a management point.
func (c *Client) Waiting() (registered, busy bool, messages int) {
	c.with(func(s *state) { registered = s.id != nil })
	now := c.clock()
	for _, j := range jobs() {
		due := c.schedule.Due(j.name)
		busy = busy || !due.IsZero() && !due.After(now)
	}
	return registered, busy, c.box.Queued().Messages
}

// MachineChanged is for an inventory that cannot watch by itself: it does what
// a Watcher's notice does.
func (c *Client) MachineChanged(reason string) { c.changed(reason) }
