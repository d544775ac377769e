package measure

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Operation is one attempt to do something, and how it went.
type Operation struct {
	// Name is the kind of operation.
	Name string
	Took time.Duration
	// Problem is the kind of failure, empty for a success; Example is one
	// text of it.
	Problem, Example string
	// Again: the attempt before it failed.
	Again bool
	// Messages is how many were delivered with it.
	Messages int
}

// Recorder counts operations. Its methods may be called from any goroutine.
type Recorder struct {
	names      []string
	operations map[string]*operation
	messages   atomic.Int64
	sent       atomic.Int64
	received   atomic.Int64

	mu       sync.Mutex // guards problems
	problems map[problemKey]*Problem
}

type operation struct {
	took    Histogram
	failed  atomic.Int64
	retries atomic.Int64
}

type problemKey struct{ operation, kind string }

// NewRecorder makes a recorder for the operations named, in the order in which
// reports show them. Others are counted under the last one.
func NewRecorder(names ...string) *Recorder {
	r := &Recorder{names: names, operations: map[string]*operation{}, problems: map[problemKey]*Problem{}}
	for _, name := range names {
		r.operations[name] = &operation{}
	}
	return r
}

// Record counts an operation.
func (r *Recorder) Record(o Operation) {
	counted := r.operations[o.Name]
	if counted == nil {
		counted = r.operations[r.names[len(r.names)-1]]
	}
	if o.Again {
		counted.retries.Add(1)
	}
	if o.Problem == "" {
		counted.took.Add(o.Took)
		r.messages.Add(int64(o.Messages))
		return
	}
	counted.failed.Add(1)
	r.Fail(o.Name, o.Problem, o.Example)
}

// Fail counts a failure that is none of an operation's.
func (r *Recorder) Fail(name, problem, example string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	key := problemKey{name, problem}
	if r.problems[key] == nil {
		r.problems[key] = &Problem{Operation: name, Kind: problem, Example: example}
	}
	r.problems[key].Count++
}

// Sent and Received count bytes on the network.
func (r *Recorder) Sent(bytes int)     { r.sent.Add(int64(bytes)) }
func (r *Recorder) Received(bytes int) { r.received.Add(int64(bytes)) }

// State is everything that was counted up to one moment.
type State struct {
	at         time.Time
	operations map[string]operationState
	messages   int64
	sent       int64
	received   int64
	problems   []Problem
}

type operationState struct {
	took            *Counts
	failed, retries int64
}

// State copies the counters.
func (r *Recorder) State(at time.Time) *State {
	s := &State{at: at, operations: map[string]operationState{}, messages: r.messages.Load(), sent: r.sent.Load(), received: r.received.Load()}
	for name, o := range r.operations {
		s.operations[name] = operationState{o.took.Counts(), o.failed.Load(), o.retries.Load()}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range r.problems {
		s.problems = append(s.problems, *p)
	}
	slices.SortFunc(s.problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Operation, b.Operation), cmp.Compare(a.Kind, b.Kind))
	})
	return s
}

// Problem is a kind of failure.
type Problem struct {
	Operation string `yaml:"operation"`
	Kind      string `yaml:"kind"`
	Count     int64  `yaml:"count"`
	// Example is the text of the first one.
	Example string `yaml:"example"`
}

// Figures are what is reported of a time. Durations are in milliseconds.
type Figures struct {
	Seconds           float64           `yaml:"seconds"`
	Operations        []OperationFigure `yaml:"operations"`
	Messages          int64             `yaml:"messages"`
	MessagesPerSecond float64           `yaml:"messages_per_second"`
	BytesSent         int64             `yaml:"bytes_sent"`
	BytesReceived     int64             `yaml:"bytes_received"`
	Errors            int64             `yaml:"errors"`
	Problems          []Problem         `yaml:"problems"`
}

// OperationFigure is what is reported of one kind of operation. Done and the
// times are of those that succeeded.
type OperationFigure struct {
	Name      string  `yaml:"name"`
	Done      int64   `yaml:"done"`
	PerSecond float64 `yaml:"per_second"`
	Failed    int64   `yaml:"failed"`
	Retries   int64   `yaml:"retries"`
	P50       float64 `yaml:"p50_ms"`
	P95       float64 `yaml:"p95_ms"`
	P99       float64 `yaml:"p99_ms"`
	// Max is that of the whole run, also in the figures of a part of it.
	Max float64 `yaml:"max_ms"`
}

// Figures of what was counted between two moments.
func (r *Recorder) Figures(from, to *State) Figures {
	seconds := max(to.at.Sub(from.at).Seconds(), 1e-9)
	f := Figures{Seconds: round(seconds), Operations: []OperationFigure{}, Messages: to.messages - from.messages,
		BytesSent: to.sent - from.sent, BytesReceived: to.received - from.received, Problems: []Problem{}}
	f.MessagesPerSecond = round(float64(f.Messages) / seconds)
	for _, name := range r.names {
		before, after := from.operations[name], to.operations[name]
		took := after.took.Since(before.took)
		o := OperationFigure{Name: name, Done: took.Total(), PerSecond: round(float64(took.Total()) / seconds),
			Failed: after.failed - before.failed, Retries: after.retries - before.retries,
			P50: milliseconds(took.Quantile(0.5)), P95: milliseconds(took.Quantile(0.95)), P99: milliseconds(took.Quantile(0.99)), Max: milliseconds(took.Max())}
		if o.Done+o.Failed > 0 {
			f.Operations = append(f.Operations, o)
		}
	}
	counts := map[problemKey]int64{}
	for _, p := range from.problems {
		counts[problemKey{p.Operation, p.Kind}] = p.Count
	}
	for _, p := range to.problems {
		if p.Count -= counts[problemKey{p.Operation, p.Kind}]; p.Count > 0 {
			f.Problems = append(f.Problems, p)
			f.Errors += p.Count
		}
	}
	return f
}

// Operation is the figure of one kind, zero where it did not happen.
func (f Figures) Operation(name string) OperationFigure {
	for _, o := range f.Operations {
		if o.Name == name {
			return o
		}
	}
	return OperationFigure{Name: name}
}

func milliseconds(d time.Duration) float64 { return round(float64(d.Microseconds()) / 1000) }

// round keeps what is worth reading.
func round(x float64) float64 { return float64(int64(x*1000+0.5)) / 1000 }
