package outbox

import (
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"
	"unicode/utf8"

	"mainstay/lib/fault"
	"mainstay/lib/filesys"
	"mainstay/wire"
)

// Sizes in bytes.
const (
	// DefaultMaxBytes bounds the folder where the configuration does not.
	DefaultMaxBytes = 50 << 20
	// segmentBytes ends a segment: the next record goes into a new one.
	segmentBytes = 1 << 20
	// keepBytes is how large a segment without waiting messages may be and
	// still be written on, which saves making and removing files.
	keepBytes = 128 << 10
)

// Config says where and how large an outbox is.
type Config struct {
	// Dir is a folder for the outbox alone; it is made if need be.
	Dir string
	// MaxBytes bounds the folder; 0 means DefaultMaxBytes.
	MaxBytes int64
	// Random gives incarnations and identifiers; nil means crypto/rand.
	Random io.Reader

	disk         disk
	segmentBytes int64
}

// Draft is a message that is to be queued.
type Draft struct {
	// ID is 32 hexadecimal digits; empty draws one.
	ID   string
	Type string
	// Time is when it happened.
	Time time.Time
	// Body is JSON, at most wire.MaxMessageBytes.
	Body json.RawMessage
}

// Outbox is an open queue. Its methods may be called from any goroutine.
type Outbox struct {
	dir          string
	maxBytes     int64
	segmentBytes int64
	random       io.Reader
	disk         disk

	mu   sync.Mutex // guards everything below
	cond *sync.Cond // told when writing ends

	segments []*segment // oldest first
	active   *segment   // the last of segments, or nil: the next write makes one
	live     []entry    // what waits, by sequence number
	nextSeq  uint64
	lastFile uint64 // the highest segment number ever used here

	running incarnation
	base    uint64 // of running

	batch   *batch // what waits for the next write
	writing bool
	closed  bool
	damage  Damage
}

// segment is a file of the folder.
type segment struct {
	number    uint64
	path      string
	size      int64
	live      int
	liveBytes int64
	// rekeyed: messages in it have other keys now than it says.
	rekeyed bool
}

// entry is a message that waits, and where it lies.
type entry struct {
	seq         uint64
	number      uint64
	supersedes  uint64
	incarnation incarnation
	typ         string
	segment     *segment
	at          int64
	length      int
}

// Damage is what reading found wrong since it was last asked for.
type Damage struct {
	// Records is the number of places where records were lost although they
	// had been stored.
	Records int
	// TornBytes is the length of an end that a crash left unfinished; nothing
	// that was accepted is lost with it.
	TornBytes int64
}

// Queued is what waits.
type Queued struct {
	Messages int
	// Bytes is what they take on disk, DiskBytes what the folder takes.
	Bytes, DiskBytes int64
}

// Open opens the outbox and draws a new incarnation.
func Open(c Config) (*Outbox, error) {
	if err := filesys.MakeDir(c.Dir, 0o700); err != nil {
		return nil, err
	}
	o := &Outbox{
		dir: c.Dir, maxBytes: cmp.Or(c.MaxBytes, DefaultMaxBytes), random: c.Random, disk: c.disk,
		segmentBytes: cmp.Or(c.segmentBytes, segmentBytes), nextSeq: 1, batch: &batch{},
	}
	if o.random == nil {
		o.random = rand.Reader
	}
	if o.disk == nil {
		o.disk = osDisk{}
	}
	o.cond = sync.NewCond(&o.mu)
	if err := o.load(); err != nil {
		return nil, fmt.Errorf("cannot open outbox %s: %w", c.Dir, err)
	}
	if err := o.removeDoneLocked(); err != nil {
		return nil, err
	}
	if err := o.drawLocked(); err != nil {
		return nil, err
	}
	return o, nil
}

// drawLocked begins a new incarnation for messages that are born from now on.
func (o *Outbox) drawLocked() error {
	if _, err := io.ReadFull(o.random, o.running[:]); err != nil {
		return fmt.Errorf("cannot draw an incarnation: %w", err)
	}
	o.base = o.nextSeq - 1
	return nil
}

// Running is the incarnation with which new messages are born.
func (o *Outbox) Running() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.running.String()
}

// Put queues messages in order. It returns when all of them are safe on disk;
// after an error none is queued. A full outbox is an Unavailable error, a
// message that can never be sent an Invalid one.
func (o *Outbox) Put(drafts ...Draft) error {
	records := make([]record, len(drafts))
	need := int64(0)
	for i, d := range drafts {
		r, err := o.record(d)
		if err != nil {
			return err
		}
		records[i] = r
		need += int64(headBytes + messageBytes + len(r.typ) + len(r.body))
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return fault.New(fault.Unavailable, "the outbox is closed")
	}
	if err := o.makeRoomLocked(need); err != nil {
		return err
	}
	for _, r := range records {
		r.seq, r.incarnation = o.nextSeq, o.running
		r.number = r.seq - o.base
		o.nextSeq++
		o.batch.add(r)
	}
	return o.commitLocked(o.batch)
}

// record checks a draft.
func (o *Outbox) record(d Draft) (record, error) {
	r := record{kind: kindMessage, typ: d.Type, time: d.Time.UnixMicro(), body: d.Body}
	switch {
	case d.Type == "" || len(d.Type) > 255 || !utf8.ValidString(d.Type):
		return record{}, fault.New(fault.Invalid, "message type %q has %d bytes, want 1 to 255", d.Type, len(d.Type))
	case len(d.Body) > wire.MaxMessageBytes:
		return record{}, fault.New(fault.Invalid, "%s message has %d bytes, want at most %d", d.Type, len(d.Body), wire.MaxMessageBytes)
	case !json.Valid(d.Body) || !utf8.Valid(d.Body):
		return record{}, fault.New(fault.Invalid, "body of the %s message is no JSON", d.Type)
	}
	if d.ID == "" {
		if _, err := io.ReadFull(o.random, r.id[:]); err != nil {
			return record{}, fmt.Errorf("cannot draw a message identifier: %w", err)
		}
	} else if !parseID(&r.id, d.ID) {
		return record{}, fault.New(fault.Invalid, "message identifier %q is not 32 hexadecimal digits", d.ID)
	}
	r.supersedes = supersedes(d.Type, d.Body)
	return r, nil
}

func parseID(to *[16]byte, text string) bool {
	data, err := hex.DecodeString(text)
	if err != nil || len(data) != len(to) || hex.EncodeToString(data) != text {
		return false
	}
	copy(to[:], data)
	return true
}

// NewIncarnation gives new keys to all messages that wait, and to all that
// come. It returns when that is on disk.
func (o *Outbox) NewIncarnation() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	// Messages of a batch before this one were born before and wait too.
	through := o.nextSeq - 1
	base := through
	if len(o.live) > 0 {
		base = o.live[0].seq - 1
	} else if first := o.batch.firstSeq(); first > 0 {
		base = first - 1
	}
	if err := o.drawLocked(); err != nil {
		return err
	}
	o.base = base
	o.batch.add(record{kind: kindRekey, incarnation: o.running, base: base, through: through})
	return o.commitLocked(o.batch)
}

// Discard gives up the messages that keep does not want, for good: a machine
// that is a copy must not speak for the original. keep learns the type, and
// whether the message was born in the running incarnation.
func (o *Outbox) Discard(keep func(typ string, running bool) bool) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.giveUpLocked(func(e entry) bool { return !keep(e.typ, e.incarnation == o.running) })
	if err := o.commitLocked(o.batch); err != nil {
		return err
	}
	return o.removeDoneLocked()
}

// giveUpLocked drops entries from the queue and writes so with the next batch.
func (o *Outbox) giveUpLocked(unwanted func(entry) bool) int {
	var seqs []uint64
	o.live = slices.DeleteFunc(o.live, func(e entry) bool {
		if !unwanted(e) {
			return false
		}
		seqs = append(seqs, e.seq)
		e.segment.forget(e)
		return true
	})
	for part := range slices.Chunk(seqs, 10_000) {
		o.batch.add(record{kind: kindGiveUp, seqs: slices.Clone(part)})
	}
	return len(seqs)
}

func (s *segment) forget(e entry) {
	s.live--
	s.liveBytes -= int64(e.length)
}

// Queued tells what waits.
func (o *Outbox) Queued() Queued {
	o.mu.Lock()
	defer o.mu.Unlock()
	q := Queued{Messages: len(o.live), DiskBytes: o.diskBytesLocked()}
	for _, s := range o.segments {
		q.Bytes += s.liveBytes
	}
	return q
}

func (o *Outbox) diskBytesLocked() int64 {
	size := int64(len(o.batch.buf))
	for _, s := range o.segments {
		size += s.size
	}
	return size
}

// TakeDamage tells what was found damaged since the last call.
func (o *Outbox) TakeDamage() Damage {
	o.mu.Lock()
	defer o.mu.Unlock()
	d := o.damage
	o.damage = Damage{}
	return d
}

// Close writes what is left to write. No message is lost without it; what was
// acknowledged last may be sent again.
func (o *Outbox) Close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	return o.commitLocked(o.batch)
}

// batch is what is written and synced together.
type batch struct {
	buf  []byte
	ops  []op
	done bool
	err  error
}

// op is a record of a batch, without its body, and where it lies in buf.
type op struct {
	record
	at, length int
}

func (b *batch) add(r record) {
	at := len(b.buf)
	b.buf = appendRecord(b.buf, r)
	r.body = nil
	b.ops = append(b.ops, op{record: r, at: at, length: len(b.buf) - at})
}

func (b *batch) firstSeq() uint64 {
	for _, op := range b.ops {
		if op.kind == kindMessage {
			return op.seq
		}
	}
	return 0
}

// commitLocked returns when the batch is on disk. The first who comes writes
// for all who came until then; the others wait.
func (o *Outbox) commitLocked(b *batch) error {
	for o.writing && !b.done {
		o.cond.Wait()
	}
	if b.done {
		return b.err
	}
	if len(b.ops) == 0 {
		return nil
	}
	o.batch = &batch{}
	target := o.targetLocked()
	o.writing = true
	o.mu.Unlock()
	err := o.write(target, b.buf)
	o.mu.Lock()
	o.writing = false
	b.done, b.err = true, err
	if err != nil {
		o.abandonLocked(target)
		o.keepLateLocked(b)
	} else {
		o.publishLocked(b, target)
	}
	b.buf, b.ops = nil, nil
	o.cond.Broadcast()
	return err
}

// targetLocked is the segment that the next batch goes to.
func (o *Outbox) targetLocked() *segment {
	if o.active != nil && o.active.size < o.segmentBytes {
		return o.active
	}
	o.lastFile++
	s := &segment{number: o.lastFile, path: o.path(o.lastFile)}
	o.segments = append(o.segments, s)
	o.active = s
	return s
}

// abandonLocked lets the next write go elsewhere, because nobody knows what a
// failed one has left. A segment that never held anything is forgotten.
func (o *Outbox) abandonLocked(s *segment) {
	o.active = nil
	if s.size == 0 {
		o.segments = slices.DeleteFunc(o.segments, func(other *segment) bool { return other == s })
		// What cannot be removed now is empty or torn, and the next Open
		// reads it so.
		_ = o.disk.Remove(s.path)
	}
}

// write appends to a segment and syncs it, and the folder when it is new.
func (o *Outbox) write(s *segment, data []byte) error {
	f, err := o.disk.Open(s.path)
	if err != nil {
		return fmt.Errorf("cannot write to the outbox: %w", err)
	}
	_, err = f.WriteAt(data, s.size)
	if err == nil {
		err = f.Sync()
	}
	if err != nil {
		err = errors.Join(err, f.Truncate(s.size))
	}
	err = errors.Join(err, f.Close())
	if err == nil && s.size == 0 {
		err = o.disk.SyncDir(o.dir)
	}
	if err != nil {
		return fmt.Errorf("cannot write to the outbox: %w", err)
	}
	return nil
}

// publishLocked makes what is on disk visible.
func (o *Outbox) publishLocked(b *batch, s *segment) {
	start := s.size
	s.size += int64(len(b.buf))
	for _, op := range b.ops {
		switch op.kind {
		case kindMessage:
			o.addLocked(op.record, s, start+int64(op.at), op.length)
		case kindRekey:
			o.rekeyLocked(op.record)
		}
	}
}

// keepLateLocked puts what was already true in memory into the next batch
// after a write has failed.
func (o *Outbox) keepLateLocked(b *batch) {
	next := &batch{}
	for _, op := range b.ops {
		if op.kind == kindAcknowledge || op.kind == kindGiveUp {
			next.add(op.record)
		}
	}
	next.buf = append(next.buf, o.batch.buf...)
	shift := len(next.buf) - len(o.batch.buf)
	for _, op := range o.batch.ops {
		op.at += shift
		next.ops = append(next.ops, op)
	}
	// Others may wait for the batch that is there, so it stays the same one.
	o.batch.buf, o.batch.ops = next.buf, next.ops
}

func (o *Outbox) addLocked(r record, s *segment, at int64, length int) {
	o.live = append(o.live, entry{
		seq: r.seq, number: r.number, supersedes: r.supersedes, incarnation: r.incarnation,
		typ: intern(r.typ), segment: s, at: at, length: length,
	})
	s.live++
	s.liveBytes += int64(length)
}

func (o *Outbox) rekeyLocked(r record) {
	for i := range o.live {
		if e := &o.live[i]; e.seq <= r.through && e.seq > r.base {
			e.incarnation, e.number = r.incarnation, e.seq-r.base
			e.segment.rekeyed = true
		}
	}
}

// intern gives the constant of a known type, so that thousands of entries do
// not hold a string each.
func intern(typ string) string {
	for _, known := range []string{wire.TypeHeartbeat, wire.TypeHardwareInventory, wire.TypeStateMessage, wire.TypeStatusMessage} {
		if typ == known {
			return known
		}
	}
	return typ
}

// newID draws a message identifier.
func newID(random io.Reader) (string, error) {
	var id [16]byte
	_, err := io.ReadFull(random, id[:])
	return hex.EncodeToString(id[:]), err
}

// NewID draws an identifier for a Draft.
func (o *Outbox) NewID() (string, error) { return newID(o.random) }
