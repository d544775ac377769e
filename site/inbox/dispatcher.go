package inbox

import (
	"cmp"
	"context"
	"crypto/ecdsa"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/klauspost/compress/zstd"

	"mainstay/lib/fault"
	"mainstay/site/sitedb"
	"mainstay/wire"
)

// Received is a message whose sender was proven.
type Received struct {
	// Device is the sender.
	Device  string
	Message wire.Message
	// ReceivedAt is when a management point stored it, by the site's clock, in
	// microseconds since 1970, UTC.
	ReceivedAt int64
}

// Handler applies a message in the transaction that also notes it as
// processed. What it did is undone when it fails. An error that is Unavailable
// or Stale ends the pass and the message is tried again; every other error
// buries the message with the error's text.
type Handler func(ctx context.Context, tx *sitedb.Tx, r Received) error

// KeySource gives the keys whose signature counts for a device: its own, and
// for as long as uploads from before may wait, those that it had before. It is
// NotFound for a device that the site does not know.
type KeySource func(ctx context.Context, tx *sitedb.Tx, device string) ([]*ecdsa.PublicKey, error)

// DispatcherConfig configures a Dispatcher.
type DispatcherConfig struct {
	// DB is fenced by the term of the active site server.
	DB sitedb.Writer
	// Subscribe wakes the Dispatcher when uploads were stored; see
	// sitedb.DB.Subscribe. Nil leaves it to Period.
	Subscribe func(ctx context.Context, topics ...string) <-chan struct{}
	// Handlers by message type.
	Handlers map[string]Handler
	Keys     KeySource
	// Pass runs each pass, so that it can be reported; nil just calls it.
	Pass func(ctx context.Context, pass func(context.Context) error) error
	// Period is how long the Dispatcher sleeps when nothing wakes it; 0 means
	// 5 s.
	Period time.Duration
	// MaxBatch and MaxBatchBytes bound what is read at once; 0 means 256 and
	// 8 MiB.
	MaxBatch, MaxBatchBytes int
	// MaxTransaction ends a transaction early, between two uploads; 0 means
	// 50 ms: whoever else writes waits that long for its turn.
	MaxTransaction time.Duration
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

func (c *DispatcherConfig) setDefaults() {
	c.Period = cmp.Or(c.Period, 5*time.Second)
	c.MaxBatch = cmp.Or(c.MaxBatch, 256)
	c.MaxBatchBytes = cmp.Or(c.MaxBatchBytes, 8<<20)
	c.MaxTransaction = cmp.Or(c.MaxTransaction, 50*time.Millisecond)
	if c.Pass == nil {
		c.Pass = func(ctx context.Context, pass func(context.Context) error) error { return pass(ctx) }
	}
	if c.Now == nil {
		c.Now = time.Now
	}
}

// Dispatcher is the component of the site server that gives messages to their
// features. One runs in a site.
type Dispatcher struct {
	config  DispatcherConfig
	decoder *zstd.Decoder
}

// NewDispatcher makes a Dispatcher.
func NewDispatcher(c DispatcherConfig) (*Dispatcher, error) {
	c.setDefaults()
	if c.DB == nil || c.Keys == nil {
		return nil, fault.New(fault.Internal, "a dispatcher needs a database and keys")
	}
	decoder, err := zstd.NewReader(nil, zstd.WithDecoderMaxMemory(wire.MaxUploadPlainBytes), zstd.WithDecoderLowmem(true))
	if err != nil {
		return nil, fmt.Errorf("cannot make a decompressor: %w", err)
	}
	return &Dispatcher{config: c, decoder: decoder}, nil
}

// passLength ends a pass that finds ever more, so that it is reported.
const passLength = 10 * time.Second

// Run moves messages until ctx ends or the term is over (Stale).
func (d *Dispatcher) Run(ctx context.Context) error {
	var woken <-chan struct{}
	if d.config.Subscribe != nil {
		woken = d.config.Subscribe(ctx, Topic, topicReplay)
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-woken:
		case <-timer.C:
		}
		more := false
		err := d.config.Pass(ctx, func(ctx context.Context) (err error) {
			more, err = d.pass(ctx)
			return err
		})
		switch {
		case ctx.Err() != nil:
			return nil
		case fault.Is(err, fault.Stale):
			return err
		case err != nil:
			slog.WarnContext(ctx, "messages stay in the inbox for now", "error", err)
			timer.Reset(time.Second)
		case more:
			timer.Reset(0)
		default:
			timer.Reset(d.config.Period)
		}
	}
}

// Pass moves everything that waits now.
func (d *Dispatcher) Pass(ctx context.Context) error {
	for {
		if more, err := d.pass(ctx); err != nil || !more {
			return err
		}
	}
}

// pass moves what waits; more tells that it stopped before the end.
func (d *Dispatcher) pass(ctx context.Context) (more bool, err error) {
	if err := d.replayWanted(ctx); err != nil {
		return false, err
	}
	for started := time.Now(); time.Since(started) < passLength; {
		batch, err := d.read(ctx)
		if err != nil || len(batch) == 0 {
			return false, err
		}
		if batch, err = d.prepare(ctx, batch); err != nil {
			return false, err
		}
		for len(batch) > 0 {
			n, err := d.apply(ctx, batch)
			if err != nil {
				return false, err
			}
			batch = batch[n:]
		}
	}
	return true, nil
}

// apply moves as many uploads of a batch as fit into one transaction, at least
// one, and returns how many.
func (d *Dispatcher) apply(ctx context.Context, batch []*work) (int, error) {
	moved := 0
	err := d.config.DB.Write(ctx, func(tx *sitedb.Tx) error {
		started := time.Now()
		t := &transaction{d: d, tx: tx, now: sitedb.Micros(d.config.Now()), marks: map[markKey]*mark{}}
		if err := t.load(ctx, batch); err != nil {
			return err
		}
		moved = 0
		for moved < len(batch) && (moved == 0 || time.Since(started) < d.config.MaxTransaction) {
			if err := t.move(ctx, batch[moved]); err != nil {
				return err
			}
			moved++
		}
		return t.finish(ctx)
	})
	return moved, err
}

// transaction collects what one transaction of the Dispatcher writes to the
// tables of the inbox.
type transaction struct {
	d    *Dispatcher
	tx   *sitedb.Tx
	now  int64
	done []rowID
	dead []deadRow

	marks map[markKey]*mark
}

func (t *transaction) load(ctx context.Context, batch []*work) error {
	keys := make([]processedRow, 0, len(batch))
	for _, w := range batch {
		key := markKey{w.upload.Device, w.upload.Born}
		if w.genuine && t.marks[key] == nil {
			t.marks[key] = &mark{}
			keys = append(keys, processedRow{Device: key.device, Incarnation: key.incarnation})
		}
	}
	rows, err := readProcessed.AllMany(ctx, t.tx, keys)
	for _, row := range rows {
		t.marks[markKey{row.Device, row.Incarnation}].load(row)
	}
	return err
}

// move applies or buries one upload.
func (t *transaction) move(ctx context.Context, w *work) error {
	t.done = append(t.done, rowID{w.row.ID})
	if !w.genuine {
		t.bury(w, wire.Message{}, w.reason)
		return nil
	}
	m := t.marks[markKey{w.upload.Device, w.upload.Born}]
	if w.reason != "" {
		// The client said it, so its repeats are not worth another grave.
		if w.upload.Last > m.through {
			t.bury(w, wire.Message{}, w.reason)
			m.move(w.upload, nil)
		}
		return nil
	}
	fresh := m.fresh(w.messages)
	if len(fresh) == 0 {
		return nil
	}
	if err := t.applyMessages(ctx, w, fresh); err != nil {
		return err
	}
	m.move(w.upload, fresh)
	return nil
}

// applyMessages gives messages to their features, all together and, when one
// of them fails, each by itself.
func (t *transaction) applyMessages(ctx context.Context, w *work, messages []wire.Message) error {
	err := t.tx.Try(ctx, func() error {
		for _, m := range messages {
			if err := t.d.handle(ctx, t.tx, w.received(m)); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil || endsPass(ctx, err) {
		return err
	}
	for _, m := range messages {
		err := t.tx.Try(ctx, func() error { return t.d.handle(ctx, t.tx, w.received(m)) })
		if err != nil && endsPass(ctx, err) {
			return err
		}
		if err != nil {
			t.bury(w, m, reasonOf(err))
		}
	}
	return nil
}

// endsPass tells errors that are not the message's fault.
func endsPass(ctx context.Context, err error) bool {
	return ctx.Err() != nil || fault.Is(err, fault.Unavailable) || fault.Is(err, fault.Stale)
}

func reasonOf(err error) string {
	const most = 1000
	text := fault.KindOf(err).String() + ": " + err.Error()
	if len(text) > most {
		text = text[:most]
	}
	return text
}

// handle runs the handler. A message that makes it panic is buried like one
// that it refuses: the next one may be good.
func (d *Dispatcher) handle(ctx context.Context, tx *sitedb.Tx, r Received) (err error) {
	handler := d.config.Handlers[r.Message.Type]
	if handler == nil {
		return fault.New(fault.Invalid, "the site does not know messages of type %q", r.Message.Type)
	}
	defer func() {
		if p := recover(); p != nil {
			slog.ErrorContext(ctx, "a message made its handler panic", "device", r.Device, "type", r.Message.Type, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			err = fault.New(fault.Internal, "the handler of %s panicked: %v", r.Message.Type, p)
		}
	}()
	return handler(ctx, tx, r)
}

// finish writes what the transaction has collected.
func (t *transaction) finish(ctx context.Context) error {
	moved := make([]processedRow, 0, len(t.marks))
	for key, m := range t.marks {
		if m.moved {
			moved = append(moved, m.row(key, t.now))
		}
	}
	if err := putProcessed.ExecMany(ctx, t.tx, moved); err != nil {
		return err
	}
	if err := insertDead.ExecMany(ctx, t.tx, t.dead); err != nil {
		return err
	}
	if len(t.dead) > 0 {
		t.tx.Announce(TopicDeadLetter)
	}
	return deleteInbox.ExecMany(ctx, t.tx, t.done)
}
