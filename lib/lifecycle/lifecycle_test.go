package lifecycle

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mainstay/lib/fault"
)

func untilDone(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

func TestFirstFailureEndsTheOthersAndIsNamed(t *testing.T) {
	t.Parallel()
	bad := errors.New("disk is gone")
	err := Run(t.Context(),
		Task{"keeps running", untilDone},
		Task{"failing", func(context.Context) error { return bad }},
	)
	if !errors.Is(err, bad) || !strings.HasPrefix(err.Error(), "failing: ") {
		t.Errorf("got %v", err)
	}
}

func TestPanicBecomesAnError(t *testing.T) {
	t.Parallel()
	err := Run(t.Context(), Task{"wild", func(context.Context) error { panic("ouch") }})
	if err == nil || !strings.Contains(err.Error(), "ouch") {
		t.Errorf("got %v", err)
	}
}

func TestEndOfContextIsNoError(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Run(ctx, Task{"a", untilDone}, Task{"b", untilDone}); err != nil {
		t.Errorf("got %v", err)
	}
}

func TestReconciler(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		woken := make(chan struct{})
		passes := 0
		ended := make(chan error)
		go func() {
			ended <- Reconciler{Name: "r", Woken: woken, Period: time.Minute, Pass: func(context.Context) error {
				passes++
				return errors.New("not yet")
			}}.Run(ctx)
		}()
		synctest.Wait()
		if passes != 1 {
			t.Errorf("%d passes at the start, want 1", passes)
		}
		woken <- struct{}{}
		synctest.Wait()
		if passes != 2 {
			t.Errorf("%d passes after it was woken, want 2, although the first failed", passes)
		}
		<-time.After(time.Minute)
		synctest.Wait()
		if passes != 3 {
			t.Errorf("%d passes after a period, want 3", passes)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("ended with %v", err)
		}
	})
}

func TestReconcilerEndsWithItsTerm(t *testing.T) {
	t.Parallel()
	err := Reconciler{Name: "r", Period: time.Minute, Pass: func(context.Context) error {
		return fault.New(fault.Stale, "term 1 is over")
	}}.Run(t.Context())
	if !fault.Is(err, fault.Stale) {
		t.Errorf("got %v", err)
	}
}
