package ratelimit

import (
	"fmt"
	"testing"
	"time"
)

var start = time.Date(2026, 11, 3, 12, 0, 0, 0, time.UTC)

func setup(t *testing.T, c Config) *Limiter {
	t.Helper()
	l, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestBurstThenOneAtATime(t *testing.T) {
	t.Parallel()
	l := setup(t, Config{Burst: 3, Every: 10 * time.Second, Keys: 10})
	for i := range 3 {
		if ok, _ := l.Allow("a", start); !ok {
			t.Fatalf("number %d of the burst is refused", i+1)
		}
	}
	ok, wait := l.Allow("a", start)
	if ok || wait != 10*time.Second {
		t.Errorf("after the burst: allowed %v, wait %s, want a refusal for 10s", ok, wait)
	}
	if ok, _ := l.Allow("b", start); !ok {
		t.Error("another key is refused")
	}
	if ok, _ := l.Allow("a", start.Add(9*time.Second)); ok {
		t.Error("allowed before its time")
	}
	if ok, _ := l.Allow("a", start.Add(10*time.Second)); !ok {
		t.Error("refused after its time")
	}
	for range 3 {
		if ok, _ := l.Allow("a", start.Add(time.Hour)); !ok {
			t.Error("the burst has not come back after an hour")
		}
	}
	if ok, _ := l.Allow("a", start.Add(time.Hour)); ok {
		t.Error("an hour of rest gives more than one burst")
	}
}

func TestForgivenDoesNotCount(t *testing.T) {
	t.Parallel()
	l := setup(t, Config{Burst: 1, Every: time.Minute, Keys: 10})
	for range 5 {
		if ok, _ := l.Allow("a", start); !ok {
			t.Fatal("refused although the one before was forgiven")
		}
		l.Forgive("a", start)
	}
}

func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	l := setup(t, Config{Burst: 1, Every: time.Minute, Keys: 100})
	for i := range 1000 {
		l.Allow(fmt.Sprint(i), start)
	}
	if len(l.buckets) != 100 || l.used.Len() != 100 {
		t.Errorf("%d keys are kept, want 100", len(l.buckets))
	}
	if ok, _ := l.Allow("999", start); ok {
		t.Error("the newest key was forgotten")
	}
}

func TestBadConfigIsRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []Config{{0, time.Second, 1}, {1, 0, 1}, {1, time.Second, 0}} {
		if _, err := New(c); err == nil {
			t.Errorf("%+v is accepted", c)
		}
	}
}
