package inbox

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"mainstay/lib/fault"
	"mainstay/site/sitedb"
	"mainstay/wire"
)

// Refusals that a client acts on. Nothing of a refused upload is stored.
var (
	// ErrNewIncarnation: wire.CodeNewIncarnation.
	ErrNewIncarnation = fault.New(fault.Conflict, "the client has said before that it had more acknowledged; it must draw a new incarnation")
	// ErrIdentityConflict: wire.CodeIdentityConflict.
	ErrIdentityConflict = fault.New(fault.Conflict, "two running clients use the identity of this device")
)

// Delivery is an upload as a management point has received and checked it.
type Delivery struct {
	// Upload is the parsed Header.
	Upload wire.Upload
	// Header is the upload header, exactly as it was signed.
	Header string
	// Encoding is the content encoding of Body: empty or "zstd".
	Encoding string
	// Body and Signature belong to the Receiver from Submit on.
	Body, Signature []byte
}

// size is what a delivery takes in the queue and about what it takes in the
// database.
func (d Delivery) size() int {
	const row = 200
	return len(d.Body) + len(d.Header) + len(d.Signature) + row
}

// ReceiverConfig configures a Receiver.
type ReceiverConfig struct {
	DB sitedb.Writer
	// ManagementPoint is the identifier of this site system.
	ManagementPoint string
	// OnConflict is called once for each incarnation that speaks although a
	// newer one runs, in the transaction that notes it. May be nil.
	OnConflict func(ctx context.Context, tx *sitedb.Tx, device string) error
	// MaxGroup and MaxGroupBytes bound one commit; 0 means 256 and 8 MiB.
	MaxGroup, MaxGroupBytes int
	// MaxQueued and MaxQueuedBytes bound what waits; 0 means 4,096 and 64 MiB.
	MaxQueued, MaxQueuedBytes int
	// CommitTimeout is the deadline of one commit; 0 means 10 s.
	CommitTimeout time.Duration
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

func (c *ReceiverConfig) setDefaults() {
	c.MaxGroup = cmp.Or(c.MaxGroup, 256)
	c.MaxGroupBytes = cmp.Or(c.MaxGroupBytes, 8<<20)
	c.MaxQueued = cmp.Or(c.MaxQueued, 4096)
	c.MaxQueuedBytes = cmp.Or(c.MaxQueuedBytes, 64<<20)
	c.CommitTimeout = cmp.Or(c.CommitTimeout, 10*time.Second)
	if c.Now == nil {
		c.Now = time.Now
	}
}

// Receiver stores uploads in groups. Submit works while Run runs.
type Receiver struct {
	config ReceiverConfig
	wake   chan struct{} // holds a token when the queue may not be empty

	mu    sync.Mutex // guards everything below
	queue []*item
	bytes int
	ended bool
	// perItem is how long one upload of the last group took.
	perItem time.Duration
}

// item is an upload that waits for its commit.
type item struct {
	Delivery
	ctx  context.Context
	done chan error
	// refusal is set in the transaction and counts once it is committed.
	refusal error
}

// NewReceiver makes a Receiver.
func NewReceiver(c ReceiverConfig) *Receiver {
	c.setDefaults()
	return &Receiver{config: c, wake: make(chan struct{}, 1)}
}

// Submit stores an upload and returns when it is committed. It fails with
// ErrNewIncarnation or ErrIdentityConflict, or as Unavailable when the queue is
// full, the database is away or ctx ends; ComeBack tells how long to wait
// then. After an Unavailable the upload may be stored all the same: the client
// sends it again.
func (r *Receiver) Submit(ctx context.Context, d Delivery) error {
	it := &item{Delivery: d, ctx: ctx, done: make(chan error, 1)}
	if err := r.enqueue(it); err != nil {
		return err
	}
	select {
	case err := <-it.done:
		return err
	case <-ctx.Done():
		// What is not in a group yet is left out when its turn comes.
		return unavailable(ctx.Err(), time.Second)
	}
}

func (r *Receiver) enqueue(it *item) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.ended:
		return unavailable(errors.New("the receiver has ended"), 5*time.Second)
	case len(r.queue) >= r.config.MaxQueued || r.bytes+it.size() > r.config.MaxQueuedBytes:
		return unavailable(errors.New("too many uploads wait"), time.Duration(len(r.queue))*r.perItem)
	}
	r.queue = append(r.queue, it)
	r.bytes += it.size()
	r.signal()
	return nil
}

func (r *Receiver) signal() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Queued is the number of uploads that wait for a commit, and their bytes.
func (r *Receiver) Queued() (uploads, bytes int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.queue), r.bytes
}

// Run commits what is submitted until ctx ends. It runs once.
func (r *Receiver) Run(ctx context.Context) error {
	defer r.end()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-r.wake:
		}
		for group := r.take(); len(group) > 0 && ctx.Err() == nil; group = r.take() {
			started := time.Now()
			r.commit(ctx, group)
			r.mu.Lock()
			r.perItem = time.Since(started) / time.Duration(len(group))
			r.mu.Unlock()
		}
	}
}

// end fails what still waits.
func (r *Receiver) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended = true
	for _, it := range r.queue {
		it.done <- unavailable(errors.New("the receiver has ended"), 5*time.Second)
	}
	r.queue, r.bytes = nil, 0
}

// take takes what waits, in the order of its keys: at most one upload per
// device, because the second is judged by what the first has said.
func (r *Receiver) take() []*item {
	r.mu.Lock()
	defer r.mu.Unlock()
	var (
		group   = make([]*item, 0, min(len(r.queue), r.config.MaxGroup))
		left    = r.queue[:0]
		devices = make(map[string]bool, cap(group))
		bytes   int
	)
	for i, it := range r.queue {
		full := len(group) == r.config.MaxGroup || len(group) > 0 && bytes+it.size() > r.config.MaxGroupBytes
		if full {
			left = append(left, r.queue[i:]...)
			break
		}
		switch {
		case it.ctx.Err() != nil: // nobody waits for it any more
			r.bytes -= it.size()
		case devices[it.Upload.Device]:
			left = append(left, it)
		default:
			devices[it.Upload.Device] = true
			group = append(group, it)
			bytes += it.size()
			r.bytes -= it.size()
		}
	}
	clear(r.queue[len(left):])
	r.queue = left
	slices.SortFunc(group, func(a, b *item) int { return cmp.Compare(a.Upload.Device, b.Upload.Device) })
	return group
}

// commit stores a group and answers each of its uploads.
func (r *Receiver) commit(ctx context.Context, group []*item) {
	limited, cancel := context.WithTimeout(ctx, r.config.CommitTimeout)
	defer cancel()
	err := r.config.DB.Write(limited, func(tx *sitedb.Tx) error { return r.store(limited, tx, group) })
	switch {
	case err == nil:
		for _, it := range group {
			it.done <- it.refusal
		}
	case fault.Is(err, fault.Unavailable) || limited.Err() != nil:
		slog.WarnContext(ctx, "uploads cannot be stored", "uploads", len(group), "error", err)
		for _, it := range group {
			it.done <- unavailable(err, 5*time.Second)
		}
	case len(group) > 1:
		// One of them is bad, and it must not take the others down.
		half := len(group) / 2
		r.commit(ctx, group[:half])
		r.commit(ctx, group[half:])
	default:
		slog.ErrorContext(ctx, "an upload cannot be stored", "device", group[0].Upload.Device, "error", err)
		group[0].done <- err
	}
}

// comeBack is an error that says how long to wait.
type comeBack struct {
	cause error
	after time.Duration
}

func (c *comeBack) Error() string { return c.cause.Error() }
func (c *comeBack) Unwrap() error { return c.cause }

func unavailable(cause error, after time.Duration) error {
	after = min(max(after, time.Second), time.Minute)
	return fault.Wrap(fault.Unavailable, &comeBack{cause, after}, "the upload was not stored; send it again later")
}

// ComeBack is how long a client should wait after an Unavailable of Submit:
// from a second to a minute.
func ComeBack(err error) time.Duration {
	var c *comeBack
	if errors.As(err, &c) {
		return c.after
	}
	return 5 * time.Second
}
