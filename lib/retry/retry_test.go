package retry

import (
	"math/rand/v2"
	"testing"
	"time"
)

func TestBoundDoublesUpToTheMost(t *testing.T) {
	t.Parallel()
	// random = 0 draws the longest wait, which is the bound itself.
	b := New(time.Second, 10*time.Second, func() float64 { return 0 })
	for i, want := range []time.Duration{1, 2, 4, 8, 10, 10} {
		if got := b.Next(); got != want*time.Second {
			t.Errorf("wait %d is %v, want %v", i+1, got, want*time.Second)
		}
	}
	if b.Failures() != 6 {
		t.Errorf("%d failures counted, want 6", b.Failures())
	}
	b.Reset()
	if got := b.Next(); got != time.Second {
		t.Errorf("the wait after a success is %v, want %v", got, time.Second)
	}
}

func TestManyFailuresDoNotOverflow(t *testing.T) {
	t.Parallel()
	b := New(time.Second, time.Duration(1<<63-1), func() float64 { return 0.5 })
	for range 200 {
		if got := b.Next(); got <= 0 {
			t.Fatalf("wait is %v after %d failures", got, b.Failures())
		}
	}
}

func TestWaitsAreSpreadAndBounded(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	var low, high int
	for range 1000 {
		switch wait := Jitter(time.Minute, random.Float64); {
		case wait <= 0 || wait > time.Minute:
			t.Fatalf("wait %v is outside (0, 1m]", wait)
		case wait < 20*time.Second:
			low++
		case wait > 40*time.Second:
			high++
		}
	}
	if low < 250 || high < 250 {
		t.Errorf("of 1000 waits %d are in the first third and %d in the last, want about a third each", low, high)
	}
}

func TestEqualRandomnessGivesEqualWaits(t *testing.T) {
	t.Parallel()
	waits := func() (all []time.Duration) {
		b := New(time.Second, time.Minute, rand.New(rand.NewPCG(7, 7)).Float64)
		for range 20 {
			all = append(all, b.Next())
		}
		return all
	}
	a, b := waits(), waits()
	for i := range a {
		if a[i] != b[i] {
			t.Fatalf("wait %d is %v and %v", i, a[i], b[i])
		}
	}
}

func TestOddBounds(t *testing.T) {
	t.Parallel()
	zero := func() float64 { return 0 }
	if got := Jitter(-time.Second, zero); got != 0 {
		t.Errorf("Jitter of a negative bound is %v", got)
	}
	if got := New(0, 0, zero).Next(); got != time.Millisecond {
		t.Errorf("a back-off without bounds waits %v", got)
	}
}
