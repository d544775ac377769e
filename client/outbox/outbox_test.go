package outbox

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"mainstay/lib/fault"
	"mainstay/wire"
)

func open(t testing.TB, c Config) *Outbox {
	t.Helper()
	if c.Dir == "" {
		c.Dir = t.TempDir()
	}
	o, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func status(n int) Draft {
	return Draft{Type: wire.TypeStatusMessage, Time: time.UnixMicro(int64(n)), Body: json.RawMessage(fmt.Sprintf(`{"message_id":%d}`, n))}
}

func state(topic, n int) Draft {
	return Draft{Type: wire.TypeStateMessage, Time: time.UnixMicro(int64(n)), Body: json.RawMessage(fmt.Sprintf(`{"topic_type":%d,"state_id":%d}`, topic, n))}
}

func put(t testing.TB, o *Outbox, drafts ...Draft) {
	t.Helper()
	if err := o.Put(drafts...); err != nil {
		t.Fatal(err)
	}
}

func next(t testing.TB, o *Outbox) Batch {
	t.Helper()
	b, err := o.Next(wire.MaxMessages, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// drain takes everything that waits, as an uploader would.
func drain(t testing.TB, o *Outbox) (all []wire.Message) {
	t.Helper()
	for {
		b := next(t, o)
		if len(b.Messages) == 0 {
			return all
		}
		all = append(all, b.Messages...)
		if err := o.Acknowledge(b.Born, b.Last); err != nil {
			t.Fatal(err)
		}
	}
}

func bodies(messages []wire.Message) string {
	var list []string
	for _, m := range messages {
		list = append(list, string(m.Body))
	}
	return strings.Join(list, " ")
}

func TestMessagesComeInOrderUntilAcknowledged(t *testing.T) {
	t.Parallel()
	o := open(t, Config{})
	put(t, o, status(1))
	put(t, o, status(2), status(3))

	b := next(t, o)
	if b.First != 1 || b.Last != 3 || b.Acknowledged != 0 || b.Born != o.Running() || b.Running != o.Running() {
		t.Errorf("batch is %+v", b)
	}
	if want := `{"message_id":1} {"message_id":2} {"message_id":3}`; bodies(b.Messages) != want {
		t.Errorf("bodies are %s, want %s", bodies(b.Messages), want)
	}
	if m := b.Messages[1]; m.Number != 2 || m.Time != 2 || len(m.ID) != 32 || m.Type != wire.TypeStatusMessage {
		t.Errorf("message is %+v", m)
	}
	if again := next(t, o); bodies(again.Messages) != bodies(b.Messages) {
		t.Error("what was not acknowledged does not come again")
	}

	if err := o.Acknowledge(b.Born, 2); err != nil {
		t.Fatal(err)
	}
	b = next(t, o)
	if b.First != 3 || b.Acknowledged != 2 || len(b.Messages) != 1 {
		t.Errorf("after an acknowledgement of 2 the batch is %+v", b)
	}
	if err := o.Acknowledge("0000000000000000", 9); err != nil {
		t.Fatal(err)
	}
	if q := o.Queued(); q.Messages != 1 {
		t.Errorf("an acknowledgement of another incarnation took messages: %+v", q)
	}
	if err := o.Acknowledge(b.Born, 3); err != nil {
		t.Fatal(err)
	}
	if b = next(t, o); len(b.Messages) != 0 {
		t.Errorf("after everything was acknowledged the batch is %+v", b)
	}
}

func TestNextIsBounded(t *testing.T) {
	t.Parallel()
	o := open(t, Config{})
	for n := range 10 {
		put(t, o, status(n))
	}
	if b, _ := o.Next(3, 1<<20); len(b.Messages) != 3 {
		t.Errorf("asked for 3 messages, got %d", len(b.Messages))
	}
	if b, _ := o.Next(100, 250); len(b.Messages) < 1 || len(b.Messages) > 3 {
		t.Errorf("asked for 250 bytes, got %d messages", len(b.Messages))
	}
	if b, _ := o.Next(100, 1); len(b.Messages) != 1 {
		t.Errorf("asked for 1 byte, got %d messages, want one anyway", len(b.Messages))
	}
}

func TestMessagesKeepTheirKeysOverRuns(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := open(t, Config{Dir: dir})
	put(t, first, status(1), status(2))
	second := open(t, Config{Dir: dir})
	put(t, second, status(3))
	third := open(t, Config{Dir: dir})
	put(t, third, status(4))

	var seen []string
	for range 3 {
		b := next(t, third)
		if b.Running != third.Running() {
			t.Errorf("running is %s, want %s", b.Running, third.Running())
		}
		seen = append(seen, fmt.Sprint(b.Born, b.First, b.Last))
		if err := third.Acknowledge(b.Born, b.Last); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{fmt.Sprint(first.Running(), 1, 2), fmt.Sprint(second.Running(), 1, 1), fmt.Sprint(third.Running(), 1, 1)}
	if !slices.Equal(seen, want) {
		t.Errorf("batches are %v, want %v", seen, want)
	}
}

func TestAcknowledgementsOutliveTheRunOnceSaid(t *testing.T) {
	t.Parallel()
	disk := newForgetful()
	o := open(t, Config{disk: disk})
	put(t, o, status(1), status(2), status(3))
	if err := o.Acknowledge(o.Running(), 2); err != nil {
		t.Fatal(err)
	}
	if b := next(t, o); b.Acknowledged != 2 {
		t.Fatalf("batch says %d was acknowledged, want 2", b.Acknowledged)
	}
	after := open(t, Config{Dir: disk.crash(t, oldNames)})
	if b := next(t, after); b.Acknowledged != 2 || len(b.Messages) != 1 {
		t.Errorf("after a power cut the batch says %d and has %d messages, want 2 and 1", b.Acknowledged, len(b.Messages))
	}
}

func TestNewIncarnationKeepsIdentifiers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	o := open(t, Config{Dir: dir})
	put(t, o, status(1), status(2), status(3))
	if err := o.Acknowledge(o.Running(), 1); err != nil {
		t.Fatal(err)
	}
	before, old := next(t, o), o.Running()
	if err := o.NewIncarnation(); err != nil {
		t.Fatal(err)
	}
	put(t, o, status(4))
	for _, o := range []*Outbox{o, open(t, Config{Dir: dir})} {
		b := next(t, o)
		if b.Born == old || b.First != 1 || b.Last != 3 || b.Acknowledged != 0 {
			t.Errorf("batch after a new incarnation is %+v", b)
		}
		if len(b.Messages) != 3 || b.Messages[0].ID != before.Messages[0].ID || b.Messages[1].ID != before.Messages[1].ID {
			t.Errorf("messages are %+v, want those with the identifiers of %+v and one more", b.Messages, before.Messages)
		}
	}
}

func TestNewIncarnationOfAnEmptyOutbox(t *testing.T) {
	t.Parallel()
	o := open(t, Config{})
	old := o.Running()
	if err := o.NewIncarnation(); err != nil {
		t.Fatal(err)
	}
	put(t, o, status(1))
	if b := next(t, o); b.Born == old || b.First != 1 {
		t.Errorf("batch is %+v, want number 1 of another incarnation than %s", b, old)
	}
}

func TestDiscard(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put(t, open(t, Config{Dir: dir}), status(1))
	o := open(t, Config{Dir: dir})
	put(t, o, status(2), state(1, 1))
	if err := o.Discard(func(typ string, running bool) bool { return running && typ == wire.TypeStatusMessage }); err != nil {
		t.Fatal(err)
	}
	for _, o := range []*Outbox{o, open(t, Config{Dir: dir})} {
		if got := bodies(next(t, o).Messages); got != `{"message_id":2}` {
			t.Errorf("left are %s", got)
		}
	}
}

func TestGiveUpAndContains(t *testing.T) {
	t.Parallel()
	o := open(t, Config{})
	id, err := o.NewID()
	if err != nil {
		t.Fatal(err)
	}
	draft := status(2)
	draft.ID = id
	put(t, o, status(1), draft, status(3))
	if has, err := o.Contains(id); !has || err != nil {
		t.Errorf("Contains = %v, %v", has, err)
	}
	if err := o.GiveUp(id); err != nil {
		t.Fatal(err)
	}
	if has, _ := o.Contains(id); has {
		t.Error("a message that was given up is there")
	}
	if got := bodies(next(t, o).Messages); got != `{"message_id":1} {"message_id":3}` {
		t.Errorf("left are %s", got)
	}
}

func TestPutRefuses(t *testing.T) {
	t.Parallel()
	o := open(t, Config{})
	for name, draft := range map[string]Draft{
		"no type":       {Body: json.RawMessage(`{}`)},
		"no body":       {Type: "x"},
		"no JSON":       {Type: "x", Body: json.RawMessage(`{`)},
		"no text":       {Type: "x", Body: json.RawMessage("\"\xf5\"")},
		"no text there": {Type: "\xf5", Body: json.RawMessage("{}")},
		"too large":     {Type: "x", Body: json.RawMessage(`"` + strings.Repeat("a", wire.MaxMessageBytes) + `"`)},
		"no identifier": {Type: "x", ID: "1", Body: json.RawMessage(`{}`)},
	} {
		if err := o.Put(status(1), draft); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: error is %v, want an invalid one", name, err)
		}
	}
	if q := o.Queued(); q.Messages != 0 {
		t.Errorf("%d messages of refused calls are queued", q.Messages)
	}
}

func TestManyPutsShareSyncsAndLoseNothing(t *testing.T) {
	t.Parallel()
	o := open(t, Config{})
	var wait sync.WaitGroup
	for i := range 50 {
		wait.Go(func() {
			for j := range 20 {
				if err := o.Put(status(i*100 + j)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wait.Wait()
	all := drain(t, o)
	if len(all) != 1000 {
		t.Fatalf("%d messages, want 1000", len(all))
	}
	for i, m := range all {
		if m.Number != int64(i+1) {
			t.Fatalf("message %d has number %d", i, m.Number)
		}
	}
}

func TestSegmentsAreRemoved(t *testing.T) {
	t.Parallel()
	o := open(t, Config{})
	large := Draft{Type: "x", Body: json.RawMessage(`"` + strings.Repeat("a", 300_000) + `"`)}
	for range 12 {
		put(t, o, large)
	}
	if q := o.Queued(); q.DiskBytes < 3_600_000 {
		t.Fatalf("disk bytes are %d", q.DiskBytes)
	}
	drain(t, o)
	if q := o.Queued(); q.DiskBytes > keepBytes {
		t.Errorf("an empty outbox has %d bytes", q.DiskBytes)
	}
	put(t, o, status(1))
	if got := bodies(next(t, o).Messages); got != `{"message_id":1}` {
		t.Errorf("after that, bodies are %s", got)
	}
}

func TestFullOutboxDropsWhatIsSupersededThenRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	o := open(t, Config{Dir: dir, MaxBytes: 20_000})
	put(t, o, status(1))
	for n := range 2000 {
		put(t, o, state(1, n), state(2, n))
	}
	if q := o.Queued(); q.DiskBytes > 20_000 {
		t.Errorf("the folder has %d bytes, want at most 20000", q.DiskBytes)
	}

	var refused error
	accepted := 0
	for n := range 1000 {
		if refused = o.Put(status(n)); refused != nil {
			break
		}
		accepted++
	}
	if !fault.Is(refused, fault.Unavailable) || !strings.Contains(refused.Error(), "full") {
		t.Fatalf("a full outbox answers %v", refused)
	}
	for _, o := range []*Outbox{o, open(t, Config{Dir: dir, MaxBytes: 20_000})} {
		if q := o.Queued(); q.Messages < accepted+3 {
			t.Errorf("%d messages wait, want at least %d", q.Messages, accepted+3)
		}
	}
	all := drain(t, o)
	if bodies(all[:1]) != `{"message_id":1}` {
		t.Error("the oldest message that nothing supersedes is gone")
	}
	joined := bodies(all)
	for _, newest := range []string{`{"topic_type":1,"state_id":1999}`, `{"topic_type":2,"state_id":1999}`} {
		if !strings.Contains(joined, newest) {
			t.Errorf("the newest state %s is gone", newest)
		}
	}
	put(t, o, status(1))
}

func TestTornEndAtEveryByte(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	o := open(t, Config{Dir: dir})
	var ends []int64 // where the record of each message ends
	for n := range 3 {
		put(t, o, status(n))
		ends = append(ends, o.Queued().DiskBytes)
	}
	path := o.path(1)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for cut := range int64(len(data) + 1) {
		for _, garbage := range []string{"", []string{"\x00\x00\x00\x00\x00\x00\x00\x00", "\xF5MO\x01\xff\xff\xff"}[cut%2]} {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, filepath.Base(path)), append(slices.Clone(data[:cut]), garbage...), 0o600); err != nil {
				t.Fatal(err)
			}
			want := 0
			for want < len(ends) && ends[want] <= cut {
				want++
			}
			o := open(t, Config{Dir: dir})
			whole := want > 0 && ends[want-1] == cut || cut == 0
			if torn := o.TakeDamage(); torn.Records != 0 || (torn.TornBytes == 0) != (whole && garbage == "") {
				t.Fatalf("cut at %d: damage is %+v", cut, torn)
			}
			put(t, o, status(100))
			reopened := open(t, Config{Dir: dir})
			if d := reopened.TakeDamage(); d != (Damage{}) {
				t.Fatalf("cut at %d: a second look finds damage %+v", cut, d)
			}
			all := drain(t, reopened)
			if len(all) != want+1 || string(all[want].Body) != `{"message_id":100}` {
				t.Fatalf("cut at %d: %d messages %s, want %d and the new one", cut, len(all), bodies(all), want)
			}
			for n, m := range all[:want] {
				if string(m.Body) != fmt.Sprintf(`{"message_id":%d}`, n) || m.Number != int64(n+1) {
					t.Fatalf("cut at %d: message %d is %+v", cut, n, m)
				}
			}
		}
	}
}

func TestDamageCostsOnlyWhatItTouches(t *testing.T) {
	t.Parallel()
	source := open(t, Config{})
	var ends []int64
	for n := range 5 {
		put(t, source, status(n))
		ends = append(ends, source.Queued().DiskBytes)
	}
	data, err := os.ReadFile(source.path(1))
	if err != nil {
		t.Fatal(err)
	}
	for at := range data {
		dir := t.TempDir()
		damaged := slices.Clone(data)
		damaged[at] ^= 0x40
		if err := os.WriteFile(filepath.Join(dir, "0000000001.outbox"), damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		hit := 0
		for ends[hit] <= int64(at) {
			hit++
		}
		o := open(t, Config{Dir: dir})
		found := o.TakeDamage()
		if hit < 4 && found.Records != 1 || hit == 4 && found.TornBytes == 0 {
			t.Fatalf("byte %d: damage is %+v", at, found)
		}
		var got []int
		for _, m := range drain(t, o) {
			got = append(got, int(m.Number)-1)
		}
		want := slices.Delete([]int{0, 1, 2, 3, 4}, hit, hit+1)
		if !slices.Equal(got, want) {
			t.Fatalf("byte %d of record %d: messages %v are left, want %v", at, hit, got, want)
		}
	}
}

func TestDamageWhileRunningIsNoticed(t *testing.T) {
	t.Parallel()
	o := open(t, Config{})
	put(t, o, status(1))
	put(t, o, status(2))
	f, err := os.OpenFile(o.path(1), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte("xxxx"), 80); err != nil {
		t.Fatal(err)
	}
	if got := bodies(next(t, o).Messages); got != `{"message_id":2}` {
		t.Errorf("messages are %s", got)
	}
	if d := o.TakeDamage(); d.Records != 1 {
		t.Errorf("damage is %+v", d)
	}
}

func TestFailedWritesAreToldAndHarmless(t *testing.T) {
	t.Parallel()
	disk := newForgetful()
	o := open(t, Config{disk: disk})
	put(t, o, status(1))
	for n := range 4 {
		disk.fail = 1 + n%2
		if err := o.Put(status(100 + n)); err == nil {
			t.Fatal("a failed write was not told")
		}
	}
	disk.fail = 0
	if err := o.Acknowledge(o.Running(), 1); err != nil {
		t.Fatal(err)
	}
	disk.fail = 1
	if err := o.Put(status(200)); err == nil {
		t.Fatal("a failed write was not told")
	}
	disk.fail = 0
	put(t, o, status(2))
	if got := bodies(next(t, o).Messages); got != `{"message_id":2}` {
		t.Errorf("after failures the messages are %s", got)
	}
	after := open(t, Config{Dir: disk.crash(t, oldNames)})
	if got := bodies(next(t, after).Messages); got != `{"message_id":2}` {
		t.Errorf("after failures and a power cut the messages are %s", got)
	}
}

func TestRemovedSegmentsComeBackInNoOtherOrder(t *testing.T) {
	t.Parallel()
	disk := newForgetful()
	o := open(t, Config{disk: disk, segmentBytes: 1}) // a segment for each write
	put(t, o, status(1))
	if err := o.NewIncarnation(); err != nil {
		t.Fatal(err)
	}
	put(t, o, status(2))
	b := next(t, o)
	if err := o.Acknowledge(b.Born, 1); err != nil {
		t.Fatal(err)
	}
	// Of the removals the first did not come through and all others did.
	first := true
	after := open(t, Config{Dir: disk.crash(t, func() bool { came := !first; first = false; return came })})
	for _, m := range drain(t, after) {
		if m.Incarnation != b.Born {
			t.Errorf("message %s comes again under a key from before %s", m.Body, b.Born)
		}
	}
}
