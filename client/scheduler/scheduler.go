// Package scheduler decides when the named jobs of a client run: in a rhythm,
// each time with a random delay, so that a fleet does not march in step; at
// once when something triggers them; and soon after the machine was asleep or
// off at their time. When a job runs next is told to a keeper and survives
// restarts. It runs nothing itself and starts no goroutine: one loop asks Wait
// what is due. What the jobs do is not known here.
package scheduler

import (
	"context"
	"maps"
	"sync"
	"time"

	"mainstay/lib/retry"
)

const (
	// look is how often the clock is looked at while nothing is due, because
	// timers stand still while a machine sleeps and clocks are set.
	look = time.Minute
	// catchUp bounds the random delay of what was missed before a start.
	catchUp = 5 * time.Minute
	// mostPostponed is longer than anything that failed is postponed.
	mostPostponed = 24 * time.Hour
)

// Rhythm says how often a job runs.
type Rhythm struct {
	// Interval is the time from one run to the next; zero or less means that
	// it runs when it is triggered and at no other time.
	Interval time.Duration
	// RandomDelay is the longest delay that is added, drawn anew for each
	// run; at most the interval counts.
	RandomDelay time.Duration
	// Kept: the next run is remembered over restarts.
	Kept bool
}

// Occurrence is the next run of a job: its place in the rhythm, and that with
// the random delay.
type Occurrence struct{ Base, Due time.Time }

// Config is what a scheduler needs from outside.
type Config struct {
	// Clock is the machine's; nil means time.Now.
	Clock func() time.Time
	// Random gives numbers in [0, 1).
	Random func() float64
	// Kept are the occurrences that Keep was told in earlier runs.
	Kept map[string]Occurrence
	// Keep remembers the next run of a job; nil remembers nothing. Its
	// failure costs at most a run too many or too late after a restart.
	Keep func(name string, next Occurrence)
}

// Scheduler knows when jobs are due. Its methods may be called from any
// goroutine; one calls Wait and Done.
type Scheduler struct {
	clock  func() time.Time
	random func() float64
	keep   func(string, Occurrence)
	wake   chan struct{}

	mu    sync.Mutex // guards everything below
	kept  map[string]Occurrence
	jobs  map[string]*job
	added int
}

type job struct {
	// order breaks ties: what was set first runs first.
	order  int
	rhythm Rhythm
	// ran: it has run before, in this run or in an earlier one. Until then
	// there is nothing to remember: it is due at once after a restart too.
	ran  bool
	next Occurrence // zero: not planned
	// again is an earlier run that was asked for; zero: none.
	again time.Time
	// notBefore holds a job back that failed.
	notBefore time.Time
}

// due is when the job runs, zero for never.
func (j *job) due() time.Time {
	due := j.next.Due
	if !j.again.IsZero() && (due.IsZero() || j.again.Before(due)) {
		due = j.again
	}
	if due.Before(j.notBefore) {
		return j.notBefore
	}
	return due
}

// New makes a scheduler without jobs.
func New(c Config) *Scheduler {
	s := &Scheduler{clock: c.Clock, random: c.Random, keep: c.Keep, kept: maps.Clone(c.Kept), jobs: map[string]*job{}, wake: make(chan struct{}, 1)}
	if s.clock == nil {
		s.clock = time.Now
	}
	return s
}

// Set adds a job or changes its rhythm. A job that never ran is due at once; one
// whose time passed while nothing ran is due soon, with a random delay of at
// most five minutes; a rhythm that became faster counts from now.
func (s *Scheduler) Set(name string, r Rhythm) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r.RandomDelay = min(r.RandomDelay, r.Interval)
	j := s.jobs[name]
	if j != nil && j.rhythm == r {
		return
	}
	now := s.clock()
	if j == nil {
		s.added++
		_, ran := s.kept[name]
		j = &job{order: s.added, rhythm: r, ran: ran, next: s.firstLocked(name, r, now)}
		s.jobs[name] = j
	} else {
		j.rhythm = r
		j.next = s.adjustLocked(j.next, r, now)
	}
	s.tellLocked(name, j)
	s.signal()
}

func (s *Scheduler) firstLocked(name string, r Rhythm, now time.Time) Occurrence {
	kept, known := s.kept[name]
	switch {
	case r.Interval <= 0:
		return Occurrence{}
	case !r.Kept || !known:
		return Occurrence{Base: now, Due: now}
	case kept.Due.Before(now):
		return Occurrence{Base: now, Due: now.Add(retry.Jitter(min(r.RandomDelay, catchUp), s.random))}
	}
	return s.adjustLocked(kept, r, now)
}

// adjustLocked keeps a planned run unless the rhythm, or a clock that was set
// back, makes it too late.
func (s *Scheduler) adjustLocked(next Occurrence, r Rhythm, now time.Time) Occurrence {
	if r.Interval <= 0 {
		return Occurrence{}
	}
	if !next.Due.IsZero() && !next.Due.After(now.Add(r.Interval+r.RandomDelay)) {
		return next
	}
	return s.planLocked(now.Add(r.Interval), r)
}

func (s *Scheduler) planLocked(base time.Time, r Rhythm) Occurrence {
	return Occurrence{Base: base, Due: base.Add(retry.Jitter(r.RandomDelay, s.random))}
}

// Remove forgets a job.
func (s *Scheduler) Remove(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.jobs, name)
}

// Reset forgets all jobs and what was kept of them.
func (s *Scheduler) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept, s.jobs = nil, map[string]*job{}
}

// Trigger makes a job due after a time from now at the latest, beside its
// rhythm. A job that does not exist is left alone.
func (s *Scheduler) Trigger(name string, after time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	j := s.jobs[name]
	if j == nil {
		return
	}
	at := s.clock().Add(max(after, 0))
	if j.again.IsZero() || at.Before(j.again) {
		j.again = at
		s.signal()
	}
}

// Postpone makes a job due after a time from now and not before, whatever its
// rhythm and Trigger say: it failed and is tried again then.
func (s *Scheduler) Postpone(name string, after time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if j := s.jobs[name]; j != nil {
		j.notBefore = s.clock().Add(after)
	}
}

// Hurry makes a job due now, whatever Postpone said: somebody waits for it.
func (s *Scheduler) Hurry(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if j := s.jobs[name]; j != nil {
		j.again, j.notBefore = s.clock(), time.Time{}
		s.signal()
	}
}

// Wait returns the name of a job that is due, the one that has been due the
// longest first. The caller runs it and calls Done.
func (s *Scheduler) Wait(ctx context.Context) (string, error) {
	for {
		name, wait := s.nextDue()
		if ctx.Err() != nil {
			return "", context.Cause(ctx)
		}
		if name != "" && wait <= 0 {
			return name, nil
		}
		timer := time.NewTimer(min(wait, look))
		select {
		case <-ctx.Done():
		case <-s.wake:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// nextDue is the job that is due first and how long that is from now.
func (s *Scheduler) nextDue() (string, time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.clock()
	first, wait, order := "", look, 0
	for name, j := range s.jobs {
		if j.rhythm.Interval > 0 {
			if next := s.adjustLocked(j.next, j.rhythm, now); next != j.next {
				j.next = next // the clock was set back
				s.tellLocked(name, j)
			}
		}
		if j.notBefore.After(now.Add(mostPostponed)) {
			j.notBefore = time.Time{} // likewise
		}
		due := j.due()
		if due.IsZero() {
			continue
		}
		if in := due.Sub(now); first == "" || in < wait || in == wait && j.order < order {
			first, wait, order = name, in, j.order
		}
	}
	return first, wait
}

// Done plans the next run of a job that has just run.
func (s *Scheduler) Done(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	j := s.jobs[name]
	if j == nil {
		return
	}
	j.again, j.notBefore, j.ran = time.Time{}, time.Time{}, true
	if j.rhythm.Interval <= 0 {
		return
	}
	now := s.clock()
	base := j.next.Base.Add(j.rhythm.Interval)
	if !base.After(now) || base.After(now.Add(j.rhythm.Interval)) {
		base = now.Add(j.rhythm.Interval)
	}
	if now.Before(j.next.Due) {
		return // it was triggered; its turn in the rhythm is still to come
	}
	j.next = s.planLocked(base, j.rhythm)
	s.tellLocked(name, j)
}

// Due is when a job runs next; zero for never.
func (s *Scheduler) Due(name string) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	if j := s.jobs[name]; j != nil {
		return j.due()
	}
	return time.Time{}
}

func (s *Scheduler) tellLocked(name string, j *job) {
	if j.ran && j.rhythm.Kept && s.keep != nil && !j.next.Due.IsZero() {
		s.keep(name, j.next)
	}
}

func (s *Scheduler) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}
