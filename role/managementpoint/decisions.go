package managementpoint

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"mainstay/site/device"
	"mainstay/site/sitedb"
)

// decisionWait is how long a registration is held for the site server's
// decision before the client is told to come back.
const decisionWait = 10 * time.Second

// decisionsPeriod is how often all that wait are looked at, whatever was
// announced.
const decisionsPeriod = time.Second

// decisions tells requests that wait how the site server has decided. One
// reader looks for all of them: with one for each, every decision would make
// thousands of them read when a fleet registers.
type decisions struct {
	db interface {
		sitedb.Reader
		Subscribe(ctx context.Context, topics ...string) <-chan struct{}
	}

	mu      sync.Mutex // guards waiting
	waiting []*waiter  // in the order in which they came
}

type waiter struct {
	key string
	// decided receives one registration.
	decided chan device.Registration
}

func newDecisions(db interface {
	sitedb.Reader
	Subscribe(ctx context.Context, topics ...string) <-chan struct{}
}) *decisions {
	return &decisions{db: db}
}

// await returns the registration as it was decided, or as it was given when
// nobody decides in time.
func (d *decisions) await(ctx context.Context, row device.Registration) (device.Registration, error) {
	if row.State != device.StateWaiting {
		return row, nil
	}
	ctx, cancel := context.WithTimeout(ctx, decisionWait)
	defer cancel()
	w := &waiter{key: row.KeyFingerprint, decided: make(chan device.Registration, 1)}
	d.add(w)
	defer d.remove(w)
	// It may have been decided before anybody knew that we wait.
	if now, err := device.Decided(ctx, d.db, []string{w.key}); err != nil && ctx.Err() == nil {
		return row, err
	} else if len(now) == 1 {
		return now[0], nil
	}
	select {
	case now := <-w.decided:
		return now, nil
	case <-ctx.Done():
		return row, nil
	}
}

func (d *decisions) add(w *waiter) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.waiting = append(d.waiting, w)
}

func (d *decisions) remove(w *waiter) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.waiting = slices.DeleteFunc(d.waiting, func(other *waiter) bool { return other == w })
}

// Run looks for decisions until ctx ends.
func (d *decisions) Run(ctx context.Context) error {
	announced := d.db.Subscribe(ctx, "registration-decided")
	tick := time.NewTicker(decisionsPeriod)
	defer tick.Stop()
	for {
		all := false
		select {
		case <-ctx.Done():
			return nil
		case <-announced:
		case <-tick.C:
			all = true
		}
		if err := d.look(ctx, all); err != nil && ctx.Err() == nil {
			slog.WarnContext(ctx, "decisions on registrations cannot be read", "component", "management point", "error", err)
		}
	}
}

// look tells those who wait what was decided. Registrations are decided in the
// order in which they came, so unless all are wanted it ends where none of a
// hundred in a row has been.
func (d *decisions) look(ctx context.Context, all bool) error {
	d.mu.Lock()
	waiting := slices.Clone(d.waiting)
	d.mu.Unlock()
	for some := range slices.Chunk(waiting, 100) {
		keys := make([]string, len(some))
		for i, w := range some {
			keys[i] = w.key
		}
		rows, err := device.Decided(ctx, d.db, keys)
		if err != nil {
			return err
		}
		for _, row := range rows {
			for _, w := range some {
				if w.key == row.KeyFingerprint {
					select {
					case w.decided <- row:
					default: // it knows already
					}
				}
			}
		}
		if len(rows) == 0 && !all {
			return nil
		}
	}
	return nil
}
