package outbox

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"mainstay/wire"
)

// model is what must be true of an outbox, whatever happens to it.
type model struct {
	disk *forgetful
	box  *Outbox
	n    int

	waiting map[string]string // identifier → key, accepted and never acknowledged
	done    map[string]string // acknowledged, with the key: may come again after a crash, under that key
	said    map[string]int64  // incarnation → the highest Acknowledged that was said
	keys    map[string]string // key → identifier, of everything ever sent
}

func key(m wire.Message) string { return fmt.Sprint(m.Incarnation, "/", m.Number) }

// TestNothingIsLostOrMixed does random things to an outbox, power cuts among
// them, and checks after each look that all that was accepted is there under
// the key that it had, and nothing else.
func TestNothingIsLostOrMixed(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) { runModel(t, r, newForgetful()) })
}

func runModel(t *testing.T, r *rapid.T, disk *forgetful) {
	m := &model{disk: disk, waiting: map[string]string{}, done: map[string]string{}, said: map[string]int64{}, keys: map[string]string{}}
	m.box = open(t, Config{disk: disk, MaxBytes: 100_000, segmentBytes: 4000})
	steps := rapid.SliceOfN(rapid.SampledFrom([]string{"put", "put", "put", "large", "look", "acknowledge", "rekey", "crash", "give up", "room"}), 1, 40).Draw(r, "steps")
	for _, step := range steps {
		switch step {
		case "put", "large":
			m.put(r, step == "large")
		case "look":
			m.look(r)
		case "acknowledge":
			m.acknowledge(r)
		case "rekey":
			if err := m.box.NewIncarnation(); err != nil {
				r.Fatal(err)
			}
			for id := range m.waiting {
				m.waiting[id] = ""
			}
			for id := range m.done {
				m.done[id] = "" // those that came again have a new key too
			}
		case "crash":
			dir := disk.crash(t, func() bool { return rapid.Bool().Draw(r, "came through") })
			*disk = *newForgetful()
			m.box = open(t, Config{Dir: dir, disk: disk, MaxBytes: 100_000, segmentBytes: 4000})
			adopt(t, disk, dir)
			if d := m.box.TakeDamage(); d.Records != 0 {
				r.Fatalf("a power cut left damage: %+v", d)
			}
		case "give up":
			for id := range m.waiting {
				if err := m.box.GiveUp(id); err != nil {
					r.Fatal(err)
				}
				delete(m.waiting, id)
				break
			}
		case "room":
			m.box.mu.Lock()
			m.box.active = nil
			err := m.box.rewriteLocked()
			m.box.mu.Unlock()
			if err != nil {
				r.Fatal(err)
			}
		}
	}
	m.look(r)
}

func (m *model) put(r *rapid.T, large bool) {
	id, err := m.box.NewID()
	if err != nil {
		r.Fatal(err)
	}
	m.n++
	body := fmt.Sprintf(`{"n":%d}`, m.n)
	if large {
		body = fmt.Sprintf(`{"n":%d,"x":"%s"}`, m.n, strings.Repeat("y", 2500))
	}
	if err := m.box.Put(Draft{ID: id, Type: "test", Body: json.RawMessage(body)}); err != nil {
		return // full
	}
	m.waiting[id] = ""
}

// look reads everything without taking it, through batches of two.
func (m *model) look(r *rapid.T) {
	b, err := m.box.Next(1000, 1<<30)
	if err != nil {
		r.Fatal(err)
	}
	if len(b.Messages) > 0 {
		if b.Acknowledged < m.said[b.Born] {
			r.Fatalf("incarnation %s says %d is acknowledged and said %d before", b.Born, b.Acknowledged, m.said[b.Born])
		}
		m.said[b.Born] = b.Acknowledged
	}
	m.box.mu.Lock()
	messages, damaged, err := m.box.readLocked(m.box.live)
	m.box.mu.Unlock()
	if err != nil || len(damaged) > 0 {
		r.Fatalf("reading: %v, damaged %v", err, damaged)
	}
	seen := map[string]bool{}
	for _, message := range messages {
		born, ok := m.waiting[message.ID]
		before, done := m.done[message.ID]
		switch {
		case seen[message.ID]:
			r.Fatalf("message %s stands twice", message.ID)
		case done && before != "" && before != key(message):
			r.Fatalf("message %s was acknowledged as %s and comes again as %s", message.ID, before, key(message))
		case !ok && !done:
			r.Fatalf("message %s was never accepted, or was given up", message.ID)
		case ok && born != "" && born != key(message):
			r.Fatalf("message %s had key %s and has %s", message.ID, born, key(message))
		case m.keys[key(message)] != "" && m.keys[key(message)] != message.ID:
			r.Fatalf("key %s belongs to %s and to %s", key(message), m.keys[key(message)], message.ID)
		}
		seen[message.ID] = true
		m.keys[key(message)] = message.ID
		if ok {
			m.waiting[message.ID] = key(message)
		}
	}
	for id := range m.waiting {
		if !seen[id] {
			r.Fatalf("message %s is lost", id)
		}
	}
}

func (m *model) acknowledge(r *rapid.T) {
	b, err := m.box.Next(rapid.IntRange(1, 5).Draw(r, "count"), 1<<20)
	if err != nil {
		r.Fatal(err)
	}
	if len(b.Messages) == 0 {
		return
	}
	if err := m.box.Acknowledge(b.Born, b.Last); err != nil {
		r.Fatal(err)
	}
	for _, message := range b.Messages {
		delete(m.waiting, message.ID)
		m.done[message.ID] = key(message)
	}
}

// adopt makes what a crash left the durable state of the disk after it.
func adopt(t *testing.T, disk *forgetful, dir string) {
	t.Helper()
	fresh := newForgetful()
	numbers, err := (&Outbox{dir: dir, disk: osDisk{}}).list()
	if err != nil {
		t.Fatal(err)
	}
	for _, number := range numbers {
		path := (&Outbox{dir: dir}).path(number)
		f, err := fresh.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	if err := fresh.SyncDir(dir); err != nil {
		t.Fatal(err)
	}
	disk.names, disk.durable = fresh.names, fresh.durable
}

// TestEachSyncIsNeeded leaves one kind of sync out: the power cut must show.
func TestEachSyncIsNeeded(t *testing.T) {
	t.Parallel()
	for name, disk := range map[string]*forgetful{
		"file":   {names: map[string]*inode{}, durable: map[string]*inode{}, skipFile: true},
		"folder": {names: map[string]*inode{}, durable: map[string]*inode{}, skipDir: true},
		"none":   newForgetful(),
	} {
		o := open(t, Config{disk: disk})
		put(t, o, status(1))
		survived := len(next(t, open(t, Config{Dir: disk.crash(t, oldNames)})).Messages) == 1
		if survived != (name == "none") {
			t.Errorf("without sync of %s: survived is %v", name, survived)
		}
	}
}

func FuzzScan(f *testing.F) {
	whole := appendRecord(nil, record{kind: kindMessage, seq: 1, number: 1, typ: "test", body: []byte(`{}`)})
	f.Add(whole)
	f.Add(append(append([]byte("garbage"), whole...), appendRecord(nil, record{kind: kindAcknowledge, last: 1})...))
	f.Add(appendRecord(whole[:20:20], record{kind: kindRekey, base: 0, through: 1}))
	f.Add(appendRecord(nil, record{kind: kindGiveUp, seqs: []uint64{1, 2}}))
	f.Fuzz(func(t *testing.T, data []byte) {
		last := 0
		_, end := scan(data, func(at, length int, r record) {
			if at < last || at+length > len(data) {
				t.Fatalf("record at %d of length %d after %d in %d bytes", at, length, last, len(data))
			}
			last = at + length
			if again := appendRecord(nil, r); string(again) != string(data[at:at+length]) {
				t.Fatalf("record %+v is written as %x and was read from %x", r, again, data[at:at+length])
			}
		})
		if end != last {
			t.Fatalf("end is %d, want %d", end, last)
		}
	})
}
