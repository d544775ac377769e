package lifecycle

import (
	"context"
	"log/slog"
	"time"

	"mainstay/lib/fault"
)

// Reconciler is work that brings something to where it should be. A pass takes
// no input, may be repeated, and a failed one is repeated by the next.
type Reconciler struct {
	Name string
	// Woken asks for a pass; may be nil.
	Woken <-chan struct{}
	// Period is the safety net behind it.
	Period time.Duration
	Pass   func(context.Context) error
}

// Run makes a pass at the start, whenever it is woken and each period, until
// ctx ends or a pass finds that this process may no longer act (Stale).
func (r Reconciler) Run(ctx context.Context) error {
	tick := time.NewTicker(r.Period)
	defer tick.Stop()
	for {
		err := r.Pass(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case fault.Is(err, fault.Stale):
			return err
		case err != nil:
			slog.WarnContext(ctx, "a pass failed and will be repeated", "component", r.Name, "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-r.Woken:
		case <-tick.C:
		}
	}
}
