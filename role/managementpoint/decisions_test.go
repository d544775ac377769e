package managementpoint

import (
	"sync"
	"testing"
	"time"

	"mainstay/lib/mtls"
	"mainstay/site/device"
)

// submitted is the registration of a new machine, as it waits.
func (p *point) submitted() device.Registration {
	p.Helper()
	key, err := mtls.NewKey()
	if err != nil {
		p.Fatal(err)
	}
	row, err := device.Submit(p.Context(), p.db, "LAB", p.registration(key), "test", p.now())
	if err != nil {
		p.Fatal(err)
	}
	return row
}

func TestAllWhoWaitHearTheirDecision(t *testing.T) {
	t.Parallel()
	p := startPoint(t)
	const count = 250 // more than are looked at in one go
	rows := make([]device.Registration, count)
	for i := range rows {
		rows[i] = p.submitted()
	}
	var waiting, done sync.WaitGroup
	answers := make([]device.Registration, count)
	for i := range rows {
		waiting.Add(1)
		done.Go(func() {
			waiting.Done()
			var err error
			if answers[i], err = p.m.decisions.await(t.Context(), rows[i]); err != nil {
				t.Error(err)
			}
		})
	}
	waiting.Wait()
	began := time.Now()
	p.settle()
	done.Wait()
	for i, answer := range answers {
		if answer.State != device.StatePending || answer.KeyFingerprint != rows[i].KeyFingerprint {
			t.Fatalf("machine %d heard %q of key %s after %s, want its own registration as pending", i, answer.State, answer.KeyFingerprint, time.Since(began))
		}
	}
	p.m.decisions.mu.Lock()
	defer p.m.decisions.mu.Unlock()
	if left := len(p.m.decisions.waiting); left != 0 {
		t.Errorf("%d still wait although all have their answer", left)
	}
}

func TestDecisionFromBeforeAnybodyWaited(t *testing.T) {
	t.Parallel()
	p := startPoint(t)
	row := p.submitted()
	p.settle()
	// Nobody runs this one, so nobody looks for it later.
	answer, err := newDecisions(p.db).await(t.Context(), row)
	if err != nil || answer.State != device.StatePending {
		t.Errorf("heard %q, %v", answer.State, err)
	}
}

func TestOneLookFindsAllDecisions(t *testing.T) {
	t.Parallel()
	p := startPoint(t)
	d := newDecisions(p.db) // which nobody runs
	var waiters []*waiter
	for range 230 {
		w := &waiter{key: p.submitted().KeyFingerprint, decided: make(chan device.Registration, 1)}
		d.add(w)
		waiters = append(waiters, w)
	}
	p.settle()
	if err := d.look(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	for i, w := range waiters {
		if len(w.decided) != 1 {
			t.Fatalf("waiter %d of %d heard nothing", i, len(waiters))
		}
	}
}
