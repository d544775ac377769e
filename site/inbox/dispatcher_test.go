package inbox

import (
	"context"
	"crypto/ecdsa"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"mainstay/lib/fault"
	"mainstay/site/sitedb"
	"mainstay/wire"
)

// ids are the identifiers of messages in order.
func ids(list []wire.Message) string {
	var all []string
	for _, m := range list {
		all = append(all, m.ID)
	}
	return strings.Join(all, " ")
}

func (s *site) storedIDs() string {
	var all []string
	for _, row := range s.stored() {
		all = append(all, row.UID)
	}
	return strings.Join(all, " ")
}

func TestDispatcherAppliesInOrderAndOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	d := s.newDevice("device")
	list := messages(runA, 1, 12)
	s.put(d.upload(runA, 0, list[:5]...))
	s.put(d.upload(runA, 0, list[:8]...)) // the answer was lost, and more came
	s.dispatch()
	s.put(d.upload(runA, 0, list[:8]...)) // and lost again
	s.put(d.upload(runA, 8, list[9:]...)) // number 9 was given up
	s.dispatch()
	want := ids(append(list[:8:8], list[9:]...))
	if got := s.storedIDs(); got != want {
		t.Errorf("arrived\n%s\nwant\n%s", got, want)
	}
	if s.waiting() != 0 || len(s.deadLetters()) != 0 {
		t.Errorf("%d uploads wait, %d dead letters", s.waiting(), len(s.deadLetters()))
	}
}

// TestSetBackUnnoticed: the client was set back to before an upload whose
// acknowledgement it had not repeated yet. It gives the numbers to others.
func TestSetBackUnnoticed(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	d := s.newDevice("device")
	before, lost, after := messages(runA, 1, 5), messages(runA, 6, 10), messages(runA, 6, 12)
	s.put(d.upload(runA, 0, before...))
	s.put(d.upload(runA, 5, lost...))
	s.dispatch()
	s.put(d.upload(runA, 5, after[:3]...))
	s.put(d.upload(runA, 5, after[:3]...))
	s.dispatch()
	s.put(d.upload(runA, 8, after[3:]...))
	s.put(d.upload(runA, 8, after[3:]...))
	s.dispatch()
	if got, want := s.storedIDs(), ids(before)+" "+ids(lost)+" "+ids(after); got != want {
		t.Errorf("arrived\n%s\nwant\n%s", got, want)
	}
}

func TestDeadLetters(t *testing.T) {
	t.Parallel()
	list := messages(runA, 3, 4)
	with := func(change func(d device, u *Delivery)) func(s *site, d device) Delivery {
		return func(s *site, d device) Delivery {
			u := d.upload(runA, 2, list...)
			change(d, &u)
			return u
		}
	}
	resigned := func(body string) func(s *site, d device) Delivery {
		return func(s *site, d device) Delivery {
			u := d.upload(runA, 2, list...).Upload
			return d.sign(u, []byte(body), EncodingPlain)
		}
	}
	text := func(m ...wire.Message) string {
		b, _ := json.Marshal(m)
		return string(b)
	}
	other := func(change func(m *wire.Message)) []wire.Message {
		m := list[1]
		change(&m)
		return []wire.Message{list[0], m}
	}
	for _, test := range []struct {
		name    string
		make    func(s *site, d device) Delivery
		genuine bool
		reason  string
	}{
		{"another key", func(s *site, d device) Delivery {
			thief := device{d.id, s.newDevice("thief").key}
			return thief.upload(runA, 2, list...)
		}, false, "the signature is wrong"},
		{"no signature", with(func(_ device, u *Delivery) { u.Signature = []byte{} }), false, "the signature is wrong"},
		{"header changed", with(func(_ device, u *Delivery) { u.Header = strings.Replace(u.Header, " 4 ", " 5 ", 1) }), false, "the signature is wrong"},
		{"header cut", with(func(_ device, u *Delivery) { u.Header = u.Header[:50] }), false, "the header cannot be read"},
		{"body changed", with(func(_ device, u *Delivery) { u.Body = append(u.Body, ' ') }), false, "the body is not the one that was signed"},
		{"another device's upload under this name", func(s *site, d device) Delivery {
			u := s.newDevice("other").upload(runA, 2, list...)
			u.Upload.Device = d.id
			return u
		}, false, "the header is of device"},
		{"unknown device", func(s *site, d device) Delivery {
			return device{"nobody", d.key}.upload(runA, 2, list...)
		}, false, "unknown device"},
		{"not JSON", resigned(`{`), true, "the body cannot be read"},
		{"fewer messages than said", resigned(text(list[0])), true, "holds 1 messages"},
		{"more messages than said", resigned(text(list[0], list[1], list[1])), true, "more than the 2"},
		{"numbers do not grow", resigned(text(list[1], list[0])), true, "numbers must grow"},
		{"number out of range", resigned(text(other(func(m *wire.Message) { m.Number = 99 })...)), true, "numbers go from"},
		{"another incarnation", resigned(text(other(func(m *wire.Message) { m.Incarnation = runB })...)), true, "was born in"},
		{"identifier", resigned(text(other(func(m *wire.Message) { m.ID = "ABC" })...)), true, "32 hex digits"},
		{"no body", resigned(strings.Replace(text(list...), `"body":{"message_id":1}`, `"x":1`, 1)), true, "has no body"},
		{"too deep", resigned(strings.Replace(text(list...), `{"message_id":1}`, strings.Repeat("[", 40)+strings.Repeat("]", 40), 1)), true, "deeper than 32"},
		{"bomb", func(s *site, d device) Delivery {
			u := d.upload(runA, 2, list...).Upload
			return d.sign(u, compress(make([]byte, wire.MaxUploadPlainBytes+1)), EncodingZstd)
		}, true, "cannot be decompressed"},
		{"cut", func(s *site, d device) Delivery {
			u := d.upload(runA, 2, list...)
			return d.sign(u.Upload, u.Body[:len(u.Body)-3], EncodingZstd)
		}, true, "cannot be decompressed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			d := s.newDevice("device")
			good := messages(runA, 1, 2)
			s.put(d.upload(runA, 0, good...))
			if err := s.put(test.make(s, d))[0]; err != nil {
				t.Fatal(err)
			}
			s.put(s.newDevice("neighbour").upload(runB, 0, message(runB, 1)))
			s.dispatch()
			dead := s.deadLetters()
			if len(dead) != 1 || !strings.Contains(dead[0].Reason, test.reason) || dead[0].Number != 0 {
				t.Fatalf("dead letters %+v, want one whole upload: %s", dead, test.reason)
			}
			letter, content := s.show(dead[0].ID)
			if letter.Reason != dead[0].Reason || content.Header == "" || len(content.Body) > MaxShownBody {
				t.Errorf("the letter shows as %+v with %d bytes, truncated %v", letter, len(content.Body), content.Truncated)
			}
			if n := len(s.stored()); n != 3 || s.waiting() != 0 {
				t.Errorf("%d messages arrived, %d uploads wait; want 3 and 0", n, s.waiting())
			}
			if through := s.through(d.id); (through == 4) != test.genuine {
				t.Errorf("processed through %d; a forgery moves nothing of its victim, the rest does", through)
			}
			// The real messages with these numbers count in either case.
			s.put(d.upload(runA, 2, list...))
			s.dispatch()
			if n := len(s.stored()); n != 5 {
				t.Errorf("%d messages arrived in the end, want 5", n)
			}
			if test.genuine {
				s.put(test.make(s, d))
				s.dispatch()
			}
			if n := len(s.deadLetters()); n != 1 {
				t.Errorf("%d dead letters in the end, want 1", n)
			}
		})
	}
}

func TestLyingLabelDoesNoHarm(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	d := s.newDevice("device")
	one, two := d.upload(runA, 0, messages(runA, 1, 2)...), d.upload(runA, 2, messages(runA, 3, 3)...)
	one.Encoding, two.Encoding = EncodingPlain, EncodingZstd // the signature does not cover the label
	s.put(one)
	s.put(two)
	s.dispatch()
	if n := len(s.stored()); n != 3 {
		t.Errorf("%d messages arrived, want 3", n)
	}
}

func TestOneBadMessageIsBuriedAlone(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	d := s.newDevice("device")
	list := messages(runA, 1, 6)
	list[1].Type, list[2].Type, list[4].Type = "refuse", "panic", "never-heard-of"
	s.put(d.upload(runA, 0, list...))
	s.dispatch()
	if got, want := s.storedIDs(), ids([]wire.Message{list[0], list[3], list[5]}); got != want {
		t.Errorf("arrived %s, want %s", got, want)
	}
	dead := s.deadLetters()
	if len(dead) != 3 || dead[0].Number != 2 || dead[1].Number != 3 || dead[2].Number != 5 || dead[2].Type != "never-heard-of" {
		t.Fatalf("dead letters %+v", dead)
	}
	s.put(d.upload(runA, 0, list...))
	s.dispatch()
	if n := len(s.deadLetters()); n != 3 {
		t.Errorf("a repeat made %d dead letters, want 3", n)
	}
}

func TestReplay(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	d := s.newDevice("device")
	list := messages(runA, 1, 3)
	list[1].Type = "later"
	s.put(d.upload(runA, 0, list...))
	thief := device{d.id, s.newDevice("thief").key}
	s.put(thief.upload(runA, 3, messages(runA, 4, 5)...))
	lost := device{"lost", thief.key}
	lostList := messages(runB, 1, 2)
	s.put(lost.upload(runB, 0, lostList...))
	s.dispatch()
	replay := func(id int64) error {
		return s.db.Write(t.Context(), func(tx *sitedb.Tx) error { return Replay(t.Context(), tx, id, 77) })
	}
	dead := s.deadLetters()
	if len(dead) != 3 {
		t.Fatalf("dead letters %+v", dead)
	}

	for _, letter := range dead {
		if err := replay(letter.ID); err != nil {
			t.Fatal(err)
		}
	}
	s.dispatch()
	for _, letter := range s.deadLetters() {
		if letter.ReplayedAt != nil || letter.ReplayError == "" || letter.ReplayWantedAt != nil {
			t.Errorf("a letter whose reason still holds was replayed: %+v", letter)
		}
	}
	if n := len(s.stored()); n != 2 {
		t.Errorf("%d messages, want 2", n)
	}

	// The reasons are put right: the type is known now, and so is the device.
	s.dispatcher.config.Handlers["later"] = s.store
	s.mu.Lock()
	s.keys["lost"] = []*ecdsa.PublicKey{&thief.key.PublicKey}
	s.mu.Unlock()
	for _, letter := range dead {
		if err := replay(letter.ID); err != nil {
			t.Fatal(err)
		}
	}
	s.dispatch()
	var replayed []bool
	for _, letter := range s.deadLetters() {
		replayed = append(replayed, letter.ReplayedAt != nil)
	}
	if fmt.Sprint(replayed) != "[true false true]" {
		t.Errorf("replayed: %v; the middle one is forged and must stay", replayed)
	}
	if got, want := s.storedIDs(), ids([]wire.Message{list[0], list[2], list[1]})+" "+ids(lostList); got != want {
		t.Errorf("arrived\n%s\nwant\n%s", got, want)
	}
	s.put(lost.upload(runB, 0, lostList...)) // a management point keeps a copy
	s.dispatch()
	if err := replay(dead[0].ID); !fault.Is(err, fault.Conflict) {
		t.Errorf("a second replay: %v, want a conflict", err)
	}
	if err := replay(999); !fault.Is(err, fault.NotFound) {
		t.Errorf("replay of nothing: %v, want not found", err)
	}
}

func TestUnavailableKeepsTheMessage(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	d := s.newDevice("device")
	away := true
	s.dispatcher.config.Handlers["later"] = func(ctx context.Context, tx *sitedb.Tx, r Received) error {
		if away {
			return fault.New(fault.Unavailable, "away")
		}
		return s.store(ctx, tx, r)
	}
	list := messages(runA, 1, 3)
	list[1].Type = "refuse" // so that each is tried by itself
	list[2].Type = "later"
	list = append(list, message(runA, 4))
	s.put(d.upload(runA, 0, list...))
	if err := s.dispatcher.Pass(t.Context()); !fault.Is(err, fault.Unavailable) {
		t.Fatalf("pass: %v", err)
	}
	if s.waiting() != 1 || len(s.stored()) != 0 || len(s.deadLetters()) != 0 {
		t.Fatalf("%d wait, %d arrived, %d died; want only the first", s.waiting(), len(s.stored()), len(s.deadLetters()))
	}
	away = false
	s.dispatch()
	if got, want := s.storedIDs(), ids([]wire.Message{list[0], list[2], list[3]}); got != want {
		t.Errorf("arrived %s, want %s", got, want)
	}
	if n := len(s.deadLetters()); n != 1 {
		t.Errorf("%d dead letters, want 1", n)
	}
}

func TestReplacedServerMovesNothing(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.put(s.newDevice("device").upload(runA, 0, message(runA, 1)))
	if _, err := s.db.TakeTerm(t.Context(), "other", time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := s.dispatcher.Run(t.Context()); !fault.Is(err, fault.Stale) {
		t.Errorf("the dispatcher of a term that is over ended with %v, want stale", err)
	}
	if s.waiting() != 1 || len(s.stored()) != 0 {
		t.Error("it has moved a message")
	}
}

func TestDispatcherIsWoken(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := s.dispatcherConfig()
	c.Period = time.Hour
	arrived := make(chan string, 10)
	c.Handlers[wire.TypeStatusMessage] = func(_ context.Context, _ *sitedb.Tx, r Received) error {
		arrived <- r.Message.ID
		return nil
	}
	passed := make(chan bool, 10)
	c.Pass = func(ctx context.Context, pass func(context.Context) error) error {
		defer func() { passed <- true }()
		return pass(ctx)
	}
	dispatcher, err := NewDispatcher(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var runs sync.WaitGroup
	runs.Go(func() { dispatcher.Run(ctx) })
	runs.Go(func() { s.receiver.Run(ctx) })
	defer runs.Wait()
	defer cancel()
	<-passed // the first look at everything
	m := message(runA, 1)
	if err := s.receiver.Submit(ctx, s.newDevice("device").upload(runA, 0, m)); err != nil {
		t.Fatal(err)
	}
	if id := <-arrived; id != m.ID {
		t.Errorf("arrived %s, want %s", id, m.ID)
	}
}

func TestOldKeyCountsAsLongAsTheSourceSays(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	before := s.newDevice("device")
	s.put(before.upload(runA, 0, message(runA, 1)))
	after := s.newDevice("device") // renewed while the upload waits
	s.put(after.upload(runA, 1, message(runA, 2)))
	s.dispatch()
	if n := len(s.stored()); n != 2 {
		t.Errorf("%d messages arrived, want 2: %+v", n, s.deadLetters())
	}
}

func TestCleanKeepsWhatMayBeRepeated(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	day := func(n int) time.Time { return time.Unix(0, 0).AddDate(0, 0, n) }
	at := func(n int) {
		s.receiver.config.Now = func() time.Time { return day(n) }
		s.dispatcher.config.Now = func() time.Time { return day(n) }
	}
	clean := func(n int) {
		if err := Clean(t.Context(), s.db, day(n)); err != nil {
			t.Fatal(err)
		}
	}
	d, gone := s.newDevice("device"), s.newDevice("gone")
	first, left := messages(runA, 1, 2), messages(runA, 3, 4)
	at(0)
	s.put(gone.upload(runA, 0, first...), d.upload(runA, 0, first...))
	s.put(d.upload(runA, 2, left...)) // the answer is lost, and the machine sleeps
	s.dispatch()
	clean(200)
	at(200)
	s.put(d.upload(runB, 2, left...)) // it wakes, restarted, and repeats
	s.dispatch()
	s.put(d.upload(runB, 0, messages(runB, 1, 1)...))
	s.dispatch()
	if n := len(s.stored()); n != 5 {
		t.Errorf("%d messages, want 5", n)
	}
	clean(250)
	if n := s.marks("device"); n != 2 {
		t.Errorf("after 50 days %d marks, want 2", n)
	}
	clean(291)
	if n := s.marks("device"); n != 1 {
		t.Errorf("after 91 days %d marks, want that of the running incarnation", n)
	}
	if n := s.marks("gone"); n != 1 {
		t.Errorf("%d marks of a device that is silent, want 1", n)
	}
	if err := s.db.Write(t.Context(), func(tx *sitedb.Tx) error { return Forget(t.Context(), tx, "gone") }); err != nil || s.marks("gone") != 0 {
		t.Errorf("a deleted device is remembered: %v", err)
	}
}

func (s *site) show(id int64) (letter DeadLetter, content DeadLetterContent) {
	s.t.Helper()
	return read(s, func(tx *sitedb.Tx) (_ DeadLetter, err error) {
		letter, content, err = ShowDeadLetter(context.Background(), tx, id)
		return letter, err
	}), content
}

func (s *site) through(device string) int64 {
	s.t.Helper()
	return read(s, func(tx *sitedb.Tx) (int64, error) {
		rows, err := readProcessed.AllMany(context.Background(), tx, []processedRow{{Device: device, Incarnation: runA}})
		if len(rows) == 0 {
			return 0, err
		}
		return rows[0].ProcessedThrough, err
	})
}

func (s *site) marks(device string) int {
	s.t.Helper()
	return read(s, func(tx *sitedb.Tx) (int, error) {
		rows, err := readProcessed.AllMany(context.Background(), tx, []processedRow{
			{Device: device, Incarnation: runA}, {Device: device, Incarnation: runB},
		})
		return len(rows), err
	})
}

func TestBatchesAreBoundedAndComplete(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.dispatcher.config.MaxBatch, s.dispatcher.config.MaxBatchBytes = 7, 3000
	s.dispatcher.config.MaxTransaction = 1 // one upload each
	var want int
	for i := range 20 {
		d := s.newDevice(fmt.Sprintf("device-%d", i))
		s.put(d.upload(runA, 0, messages(runA, 1, int64(i+1))...))
		want += i + 1
	}
	s.dispatch()
	if n := len(s.stored()); n != want {
		t.Errorf("%d messages arrived, want %d", n, want)
	}
}

func TestHandlerErrorsHaveReasons(t *testing.T) {
	t.Parallel()
	if r := reasonOf(errors.New(strings.Repeat("x", 5000))); len(r) > 1000 {
		t.Errorf("a reason has %d bytes", len(r))
	}
}
