package fleet

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"time"

	"mainstay/lib/lifecycle"
)

// workers is how many actions are carried out at the same time. Most write to
// the state folder and wait for the disk.
const workers = 32

// turn is the next time that a member does what a step says.
type turn struct {
	at     time.Duration // from the start
	step   int
	member *member
}

// turns is a heap, the next one first.
type turns []turn

func (t turns) Len() int           { return len(t) }
func (t turns) Less(i, j int) bool { return t[i].at < t[j].at }
func (t turns) Swap(i, j int)      { t[i], t[j] = t[j], t[i] }
func (t *turns) Push(x any)        { *t = append(*t, x.(turn)) }
func (t *turns) Pop() any {
	last := (*t)[len(*t)-1]
	*t = (*t)[:len(*t)-1]
	return last
}

// plan is the first turn of every member in every step.
func (f *fleet) plan() turns {
	var plan turns
	s := f.config.Scenario
	for i, step := range s.Steps {
		window := step.Duration
		if step.Every > 0 && (window == 0 || window > step.Every) {
			window = step.Every
		}
		chosen := s.Select(i, len(f.members), f.config.Seed)
		for k, n := range chosen {
			plan = append(plan, turn{at: step.At + time.Duration(float64(window)*float64(k)/float64(len(chosen))), step: i, member: f.members[n]})
		}
	}
	heap.Init(&plan)
	return plan
}

// next is the turn after this one, in a step that repeats.
func (f *fleet) next(t turn) (turn, bool) {
	step := f.config.Scenario.Steps[t.step]
	if step.Every == 0 {
		return turn{}, false
	}
	t.at += step.Every
	return t, step.Duration == 0 || t.at < step.At+step.Duration
}

// conduct has every turn taken in time, and returns when the scenario is over
// and everything is settled.
func (f *fleet) conduct(ctx context.Context) error {
	work := make(chan turn)
	tasks := make([]lifecycle.Task, 0, workers+1)
	for i := range workers {
		tasks = append(tasks, lifecycle.Task{Name: fmt.Sprintf("worker %d", i), Run: func(ctx context.Context) error {
			for t := range work {
				f.take(ctx, t)
			}
			return nil
		}})
	}
	tasks = append(tasks, lifecycle.Task{Name: "conductor", Run: func(ctx context.Context) error {
		defer close(work)
		return f.hand(ctx, f.plan(), work)
	}})
	if err := lifecycle.Run(ctx, tasks...); err != nil || ctx.Err() != nil {
		return err
	}
	return f.settle(ctx)
}

// hand gives turns to the workers when their time comes.
func (f *fleet) hand(ctx context.Context, plan turns, work chan<- turn) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	wait := func(at time.Duration) bool {
		timer.Reset(time.Until(f.began.Add(at)))
		select {
		case <-ctx.Done():
			return false
		case <-timer.C:
			return true
		}
	}
	for len(plan) > 0 {
		t := heap.Pop(&plan).(turn)
		if again, ok := f.next(t); ok {
			heap.Push(&plan, again)
		}
		if !wait(t.at) {
			return nil
		}
		select {
		case work <- t:
		case <-ctx.Done():
			return nil
		}
		late := time.Since(f.began.Add(t.at)).Milliseconds()
		f.late.Store(max(f.late.Load(), late)) // nobody else writes it
	}
	end, _ := f.config.Scenario.End()
	wait(end)
	return nil
}

// take carries out the actions of one turn. What goes wrong is counted.
func (f *fleet) take(ctx context.Context, t turn) {
	step := f.config.Scenario.Steps[t.step]
	for _, action := range step.Actions {
		err := t.member.do(ctx, step.Name, action)
		switch {
		case errors.Is(err, errOff):
			f.skipped.Add(1)
		case err != nil && ctx.Err() == nil:
			f.recorder.Fail(action.Do, "not carried out", err.Error())
		case err == nil:
			f.commanded.Add(1)
		}
	}
}

// settle waits until every client that is switched on has registered and has
// nothing left to deliver, at most as long as the scenario says.
func (f *fleet) settle(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, f.config.Scenario.Settle)
	defer cancel()
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	// Twice, because what was done last may have led to something.
	for calm := 0; calm < 2; {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if calm++; !f.settled() {
			calm = 0
		}
	}
	return nil
}

func (f *fleet) settled() bool {
	for _, m := range f.members {
		if calm, messages := m.waiting(); !calm || messages > 0 {
			return false
		}
	}
	return true
}
