package scheduler

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"
)

const hour = time.Hour

// run takes n due jobs and tells when each ran, counted from the start.
func run(t *testing.T, s *Scheduler, n int) (at []time.Duration) {
	t.Helper()
	start := time.Now()
	for range n {
		name, err := s.Wait(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		at = append(at, time.Since(start))
		s.Done(name)
	}
	return at
}

func half() float64 { return 0.5 }

func TestRhythm(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{Random: half})
		s.Set("a", Rhythm{Interval: hour})
		for i, at := range run(t, s, 5) {
			if at != time.Duration(i)*hour {
				t.Errorf("run %d was at %v", i, at)
			}
		}
	})
}

func TestRandomDelaysSpreadAndDoNotDrift(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		random := rand.New(rand.NewPCG(1, 1))
		s := New(Config{Random: random.Float64})
		s.Set("a", Rhythm{Interval: 24 * hour, RandomDelay: 4 * hour})
		seen := map[time.Duration]bool{}
		for i, at := range run(t, s, 200) {
			delay := at - time.Duration(i)*24*hour
			if delay < 0 || delay > 4*hour {
				t.Fatalf("run %d was %v after its time", i, delay)
			}
			seen[delay] = true
		}
		if len(seen) < 150 {
			t.Errorf("200 runs have only %d different delays", len(seen))
		}
	})
}

func TestTriggerIsBesideTheRhythm(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{Random: half})
		s.Set("a", Rhythm{Interval: hour})
		s.Set("never", Rhythm{})
		run(t, s, 1)
		start := time.Now()
		s.Trigger("a", time.Minute)
		s.Trigger("a", 2*time.Minute)
		s.Trigger("unknown", 0)
		if at := run(t, s, 2); at[0] != time.Minute || at[1] != hour {
			t.Errorf("runs were at %v, want after 1m and in the rhythm after 1h", at)
		}
		s.Trigger("never", 0)
		name, _ := s.Wait(t.Context())
		if name != "never" || time.Since(start) != hour {
			t.Errorf("%q ran at %v", name, time.Since(start))
		}
	})
}

func TestTriggerWakesAWaiter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{Random: half})
		s.Set("a", Rhythm{})
		ran := make(chan time.Duration)
		start := time.Now()
		go func() {
			if _, err := s.Wait(t.Context()); err == nil {
				ran <- time.Since(start)
			}
		}()
		time.Sleep(7 * time.Second)
		s.Trigger("a", 0)
		if at := <-ran; at != 7*time.Second {
			t.Errorf("ran after %v", at)
		}
	})
}

func TestPostponed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{Random: half})
		s.Set("a", Rhythm{Interval: time.Minute})
		run(t, s, 1)
		s.Trigger("a", time.Second)
		s.Postpone("a", hour)
		if at := run(t, s, 1); at[0] != hour {
			t.Errorf("ran after %v, want 1h", at[0])
		}
		s.Postpone("a", hour)
		s.Hurry("a")
		if at := run(t, s, 1); at[0] != 0 {
			t.Errorf("in a hurry it ran after %v", at[0])
		}
	})
}

func TestNextRunSurvivesARestart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		kept := map[string]Occurrence{}
		keep := func(name string, next Occurrence) { kept[name] = next }
		rhythm := Rhythm{Interval: 24 * hour, RandomDelay: 4 * hour, Kept: true}
		s := New(Config{Random: half, Keep: keep})
		s.Set("a", rhythm)
		run(t, s, 1)
		due := s.Due("a")

		time.Sleep(10 * hour)
		again := New(Config{Random: half, Keep: keep, Kept: kept})
		again.Set("a", rhythm)
		if got := again.Due("a"); !got.Equal(due) {
			t.Errorf("after a restart it is due at %v, want %v", got, due)
		}

		// Off for a week: soon, but not all machines at once.
		time.Sleep(7 * 24 * hour)
		late := New(Config{Random: half, Keep: keep, Kept: kept})
		late.Set("a", rhythm)
		if wait := time.Until(late.Due("a")); wait <= 0 || wait > catchUp {
			t.Errorf("after a week off it is due in %v, want within %v", wait, catchUp)
		}
	})
}

func TestJobThatNeverRanIsDueAfterARestart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		kept := map[string]Occurrence{}
		keep := func(name string, next Occurrence) { kept[name] = next }
		rhythm := Rhythm{Interval: 24 * hour, RandomDelay: 4 * hour, Kept: true}
		New(Config{Random: half, Keep: keep}).Set("a", rhythm)
		time.Sleep(time.Minute)
		s := New(Config{Random: half, Keep: keep, Kept: kept})
		s.Set("a", rhythm)
		if wait := time.Until(s.Due("a")); wait > 0 {
			t.Errorf("it is due in %v, want now", wait)
		}
	})
}

func TestSleepIsCaughtUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		// The clock runs on while the machine sleeps; timers do not.
		asleep := time.Duration(0)
		clock := func() time.Time { return time.Now().Add(asleep) }
		s := New(Config{Random: half, Clock: clock})
		s.Set("a", Rhythm{Interval: 24 * hour})
		run(t, s, 1)
		asleep = 100 * hour
		if at := run(t, s, 1); at[0] > look {
			t.Errorf("after a sleep of 100h it ran after %v more", at[0])
		}
		if wait := s.Due("a").Sub(clock()); wait != 24*hour {
			t.Errorf("then it is due in %v, want 24h and no runs for every day missed", wait)
		}
	})
}

func TestClockSetBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		wrong := 1000 * 24 * hour
		clock := func() time.Time { return time.Now().Add(wrong) }
		s := New(Config{Random: half, Clock: clock})
		s.Set("a", Rhythm{Interval: 24 * hour})
		run(t, s, 1)
		wrong = 0
		if at := run(t, s, 1); at[0] > 25*hour {
			t.Errorf("after the clock was set back it ran after %v, want within 25h", at[0])
		}
	})
}

func TestFasterRhythmCountsFromNow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{Random: half})
		s.Set("a", Rhythm{Interval: 24 * hour})
		run(t, s, 1)
		s.Set("a", Rhythm{Interval: hour})
		if at := run(t, s, 2); at[0] != hour || at[1] != 2*hour {
			t.Errorf("runs were at %v", at)
		}
		s.Set("a", Rhythm{})
		if !s.Due("a").IsZero() {
			t.Error("a job without rhythm is due")
		}
		s.Set("a", Rhythm{Interval: hour})
		if wait := time.Until(s.Due("a")); wait > hour {
			t.Errorf("a job that is on again is due in %v", wait)
		}
	})
}

func TestWaitEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	s := New(Config{Random: half})
	s.Set("a", Rhythm{Interval: hour})
	cancel()
	if _, err := s.Wait(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
}
