// Package lifecycle owns every goroutine that outlives a function: it starts
// named tasks, turns their panics into errors, and ends all of them when one
// fails or the context does. It knows nothing of what the tasks do.
package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
)

// Task is a long-lived piece of work. Run returns when its context ends, or
// earlier when it is done or cannot go on.
type Task struct {
	Name string
	Run  func(context.Context) error
}

// Run starts all tasks and waits for all. The first task to fail ends the
// others; its error, with its name, is returned. A task that returns nil ends
// nothing. The end of ctx is not an error.
func Run(ctx context.Context, tasks ...Task) error {
	g := NewGroup(ctx)
	for _, task := range tasks {
		g.Go(task.Name, task.Run)
	}
	return g.Wait()
}

// Group is a set of tasks that live and end together.
type Group struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	wait   sync.WaitGroup

	mu    sync.Mutex // guards first
	first error
}

// NewGroup makes an empty group whose tasks end with ctx.
func NewGroup(ctx context.Context) *Group {
	ctx, cancel := context.WithCancelCause(ctx)
	return &Group{ctx: ctx, cancel: cancel}
}

// Go starts a task.
func (g *Group) Go(name string, run func(context.Context) error) {
	g.wait.Add(1)
	go func() {
		defer g.wait.Done()
		if err := guarded(g.ctx, name, run); err != nil {
			g.fail(fmt.Errorf("%s: %w", name, err))
		}
	}()
}

// Stop asks all tasks to end.
func (g *Group) Stop() { g.cancel(context.Canceled) }

// Wait waits for all tasks and returns the error of the first that failed.
func (g *Group) Wait() error {
	g.wait.Wait()
	g.cancel(nil)
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.first
}

func (g *Group) fail(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	// A task that reports the end of its context was told to end.
	if g.ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return
	}
	if g.first == nil {
		g.first = err
	}
	g.cancel(err)
}

func guarded(ctx context.Context, name string, run func(context.Context) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			slog.ErrorContext(ctx, "task panicked", "task", name, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return run(ctx)
}
