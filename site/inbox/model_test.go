package inbox

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"mainstay/lib/fault"
	"mainstay/lib/sqldb"
	"mainstay/site/sitedb"
	"mainstay/wire"
)

// TestModel plays clients that repeat, restart, are set back to older copies of
// their disks and of their memories, and are cloned either way; management
// points and a site server that fail before, in and after their commits and
// start again; a network that delivers old uploads; and a thief. Whatever
// happens in whatever order, each acknowledged message is applied once under
// its key, stands in the table once, and under an identity that its machine
// had. In the end everything that a client still has has arrived.
func TestModel(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	checks := 0
	rapid.Check(t, func(r *rapid.T) {
		checks++
		w := newWorld(r, s, fmt.Sprintf("check-%d", checks))
		r.Repeat(map[string]func(*rapid.T){
			"produce": func(r *rapid.T) { w.produce(w.anyClient(r), rapid.IntRange(1, 4).Draw(r, "n")) },
			"upload":  func(r *rapid.T) { w.upload(r, w.anyClient(r)) },
			"restart": func(r *rapid.T) { w.restart(w.anyClient(r)) },
			"keep a copy": func(r *rapid.T) {
				w.copies = append(w.copies, w.anyClient(r).clone())
			},
			"set back the disk": func(r *rapid.T) {
				w.setBack(r, false)
			},
			"set back disk and memory": func(r *rapid.T) {
				w.setBack(r, true)
			},
			"clone": func(r *rapid.T) {
				if len(w.clients) == 4 {
					r.Skip("enough")
				}
				original := w.anyClient(r)
				c := original.clone()
				if rapid.Bool().Draw(r, "with its memory") {
					c.twins, original.twins = c.running, original.running
				} else {
					w.restart(c)
				}
				w.clients = append(w.clients, c)
			},
			"dispatch":            func(*rapid.T) { w.dispatch() },
			"fail":                func(r *rapid.T) { w.db.fail = rapid.SampledFrom(failures).Draw(r, "how") },
			"deliver again":       func(r *rapid.T) { w.deliverAgain(r) },
			"forge":               func(r *rapid.T) { w.forge(r) },
			"start servers again": func(*rapid.T) { w.startServers() },
		})
		w.settle()
		w.check()
	})
}

// failures of a transaction.
var failures = []string{"before", "within", "after"}

// flakyDB fails one transaction when it is told to.
type flakyDB struct {
	sitedb.Writer
	fail string
}

func (f *flakyDB) Write(ctx context.Context, g func(*sitedb.Tx) error) error {
	fail := f.fail
	f.fail = ""
	away := fault.New(fault.Unavailable, "the database failed %s the transaction", fail)
	switch fail {
	case "before":
		return away
	case "within":
		return errors.Join(away, f.Writer.Write(ctx, func(tx *sitedb.Tx) error {
			if err := g(tx); err != nil {
				return err
			}
			return away
		}))
	case "after":
		return errors.Join(away, f.Writer.Write(ctx, g))
	}
	return f.Writer.Write(ctx, g)
}

// client is one running copy of a machine, with its disk and its memory.
type client struct {
	device  device
	running string
	next    int64
	waiting []wire.Message
	// twins is the incarnation that several memories have gone on with.
	twins string
}

func (c *client) clone() *client {
	other := *c
	other.waiting = slices.Clone(c.waiting)
	return &other
}

type world struct {
	r       *rapid.T
	s       *site
	name    string
	db      *flakyDB
	clients []*client
	copies  []*client // of disks and memories
	devices int
	seen    []Delivery

	produced map[string]map[string]bool // message → identities of who has it
	acked    map[string]bool
	unsure   map[string]bool
	forged   map[string]bool
	dead     int
}

func newWorld(r *rapid.T, s *site, name string) *world {
	w := &world{
		r: r, s: s, name: name, db: &flakyDB{},
		produced: map[string]map[string]bool{}, acked: map[string]bool{}, unsure: map[string]bool{}, forged: map[string]bool{},
	}
	w.startServers()
	w.clients = []*client{{device: w.register(), running: randomHex(16), next: 1}}
	return w
}

func (w *world) register() device {
	w.devices++
	return w.s.newDevice(fmt.Sprintf("%s-%d", w.name, w.devices))
}

// startServers replaces receiver and dispatcher by new ones.
func (w *world) startServers() {
	w.db.Writer = w.s.db
	receiver := w.s.receiverConfig()
	receiver.DB = w.db
	w.s.receiver = NewReceiver(receiver)
	dispatcher := w.s.dispatcherConfig()
	dispatcher.DB = w.db
	dispatcher.MaxBatch = 5
	dispatcher.MaxTransaction = 1
	dispatcher.Handlers = map[string]Handler{wire.TypeStatusMessage: w.apply}
	var err error
	if w.s.dispatcher, err = NewDispatcher(dispatcher); err != nil {
		w.r.Fatal(err)
	}
}

type appliedRow struct {
	Device string `db:"device"`
	Key    string `db:"key"`
}

// putApplied fails when a message is applied twice under its key.
var putApplied = sqldb.Define[appliedRow, sqldb.None]("test.applied",
	`INSERT INTO state_message (device, topic_type, topic_id, state_id, detail, time, received_at) VALUES (@device, 1, @key, 0, '', 0, 0)`)

func (w *world) apply(ctx context.Context, tx *sitedb.Tx, r Received) error {
	key := fmt.Sprintf("%s/%d/%s", r.Message.Incarnation, r.Message.Number, r.Message.ID)
	if _, err := putApplied.Exec(ctx, tx, appliedRow{r.Device, key}); err != nil {
		return err
	}
	_, err := putStored.Exec(ctx, tx, storedRow{r.Message.ID, r.Device, key})
	return err
}

func (w *world) anyClient(r *rapid.T) *client { return rapid.SampledFrom(w.clients).Draw(r, "client") }

func (w *world) produce(c *client, n int) {
	for range n {
		m := message(c.running, c.next)
		c.next++
		c.waiting = append(c.waiting, m)
		w.produced[m.ID] = map[string]bool{}
	}
}

// restart opens the outbox anew: another incarnation, the same messages.
func (w *world) restart(c *client) {
	// The one thing that cannot be told from a repeat: messages of a memory that
	// was set back, left unsent by it and sent by the next run, when the same
	// numbers are long acknowledged.
	for _, m := range c.waiting {
		if m.Incarnation == c.twins {
			w.unsure[m.ID] = true
		}
	}
	c.running, c.next = randomHex(16), 1
}

func (w *world) setBack(r *rapid.T, memoryToo bool) {
	if len(w.copies) == 0 {
		r.Skip("no copy")
	}
	c := rapid.SampledFrom(w.copies).Draw(r, "copy").clone()
	if memoryToo {
		c.twins = c.running
	} else {
		w.restart(c)
	}
	w.clients[rapid.IntRange(0, len(w.clients)-1).Draw(r, "client")] = c
}

// pack is the next upload of a client: messages of one incarnation, from the
// lowest on.
func (w *world) pack(c *client, most int) Delivery {
	list := c.waiting[:1]
	for len(list) < min(most, len(c.waiting)) && c.waiting[len(list)].Incarnation == list[0].Incarnation {
		list = c.waiting[:len(list)+1]
	}
	for _, m := range list {
		w.produced[m.ID][c.device.id] = true
	}
	return c.device.upload(c.running, list[0].Number-1, list...)
}

func (w *world) upload(r *rapid.T, c *client) {
	if len(c.waiting) == 0 {
		r.Skip("nothing waits")
	}
	d := w.pack(c, rapid.IntRange(1, 5).Draw(r, "most"))
	w.seen = append(w.seen, d)
	err := w.s.put(d)[0]
	if rapid.Bool().Draw(r, "answer is lost") {
		return
	}
	w.answer(c, d, err)
}

// answer is what a client does with the answer to its upload.
func (w *world) answer(c *client, d Delivery, err error) {
	switch {
	case err == nil:
		c.waiting = slices.DeleteFunc(c.waiting, func(m wire.Message) bool {
			done := m.Incarnation == d.Upload.Born && m.Number <= d.Upload.Last
			if done {
				w.acked[m.ID] = true
			}
			return done
		})
	case errors.Is(err, ErrNewIncarnation):
		w.restart(c)
		for i := range c.waiting {
			c.waiting[i].Incarnation, c.waiting[i].Number = c.running, c.next
			c.next++
		}
	case errors.Is(err, ErrIdentityConflict):
		c.device = w.register()
		w.restart(c)
	case !fault.Is(err, fault.Unavailable):
		w.r.Fatalf("an upload got %v", err)
	}
}

func (w *world) deliverAgain(r *rapid.T) {
	if len(w.seen) == 0 {
		r.Skip("nothing was sent")
	}
	w.s.put(rapid.SampledFrom(w.seen).Draw(r, "upload"))
}

// forge makes up messages for a client, or changes what it said. A management
// point of the thief's writes them into the inbox without asking anybody.
func (w *world) forge(r *rapid.T) {
	c := w.anyClient(r)
	thief := device{c.device.id, w.s.newDevice(w.name + "-thief").key}
	m := message(c.running, c.next)
	w.forged[m.ID] = true
	d := thief.upload(c.running, c.next-1, m)
	if len(w.seen) > 0 && rapid.Bool().Draw(r, "change") {
		d = rapid.SampledFrom(w.seen).Draw(r, "upload")
		d.Header = strings.Replace(d.Header, d.Upload.Born, randomHex(16), -1)
	}
	err := w.s.db.Write(context.Background(), func(tx *sitedb.Tx) error {
		tx.Announce(Topic)
		return insertInbox.ExecMany(context.Background(), tx, []inboxRow{{
			Device: d.Upload.Device, Header: d.Header, Encoding: d.Encoding, Body: d.Body, Signature: d.Signature,
		}})
	})
	if err != nil {
		r.Fatal(err)
	}
	w.dead++
}

func (w *world) dispatch() {
	w.db.Writer = w.s.fenced
	defer func() { w.db.Writer = w.s.db }()
	if err := w.s.dispatcher.Pass(context.Background()); err != nil && !fault.Is(err, fault.Unavailable) {
		w.r.Fatalf("a pass ended with %v", err)
	}
}

// settle lets every client send what it has, until nothing waits.
func (w *world) settle() {
	for round := 0; ; round++ {
		left := false
		for _, c := range w.clients {
			if len(c.waiting) > 0 {
				left = true
				d := w.pack(c, wire.MaxMessages)
				w.answer(c, d, w.s.put(d)[0])
			}
		}
		w.dispatch()
		if !left {
			break
		}
		if round > 200 {
			w.r.Fatal("clients do not come to an end")
		}
	}
	w.db.fail = ""
	w.dispatch()
}

func (w *world) check() {
	if n := w.s.waiting(); n != 0 {
		w.r.Fatalf("%d uploads are left in the inbox", n)
	}
	stored := map[string]string{}
	for _, row := range w.s.stored() {
		if strings.HasPrefix(row.Device, w.name+"-") {
			stored[row.UID] = row.Device
		}
	}
	for id := range w.acked {
		if _, there := stored[id]; !there && !w.unsure[id] {
			w.r.Errorf("message %s was acknowledged and is lost", id)
		}
	}
	for id, device := range stored {
		if !w.produced[id][device] {
			w.r.Errorf("message %s stands under device %s, and its machine was %v", id, device, slices.Collect(maps.Keys(w.produced[id])))
		}
		if w.forged[id] {
			w.r.Errorf("forged message %s was applied", id)
		}
	}
	dead := w.s.deadLetters("device~" + w.name + "-")
	for _, letter := range dead {
		if letter.Reason != "the signature is wrong" {
			w.r.Errorf("a message of a client was buried: %+v", letter)
		}
	}
	if len(dead) != w.dead {
		w.r.Errorf("%d dead letters, want the %d forgeries", len(dead), w.dead)
	}
}
