package managementpoint

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"mainstay/site/device"
	"mainstay/site/sitedb"
)

// contactsPeriod is how late the site learns when a device last polled: the
// times are written together, because one write per poll would cost more than
// the poll.
const contactsPeriod = 15 * time.Second

// contacts remembers when devices were heard, until it is written.
type contacts struct {
	mu      sync.Mutex // guards everything below
	touched device.Touched
}

func newContacts() *contacts { return &contacts{touched: noTouched()} }

func noTouched() device.Touched {
	return device.Touched{Policy: map[string]time.Time{}, Message: map[string]time.Time{}}
}

func (c *contacts) policy(id string, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.touched.Policy[id] = now
}

func (c *contacts) message(id string, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.touched.Message[id] = now
}

func (c *contacts) take() device.Touched {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.touched
	c.touched = noTouched()
	return t
}

func (m *ManagementPoint) recordContacts(ctx context.Context) error {
	tick := time.NewTicker(contactsPeriod)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		t := m.contacts.take()
		if len(t.Policy)+len(t.Message) == 0 {
			continue
		}
		err := m.c.DB.Write(ctx, func(tx *sitedb.Tx) error { return device.Touch(ctx, tx, t) })
		if err != nil && ctx.Err() == nil {
			slog.WarnContext(ctx, "times of contact were not recorded", "component", "management point", "error", err)
		}
	}
}
