package inbox

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"mainstay/lib/fault"
	"mainstay/lib/sqldb"
	"mainstay/site/sitedb"
)

const (
	runA = "aaaaaaaaaaaaaaaa"
	runB = "bbbbbbbbbbbbbbbb"
	runC = "cccccccccccccccc"
)

func TestReceiverStoresWhatItAnswers(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	ctx, cancel := context.WithCancel(t.Context())
	var runs sync.WaitGroup
	runs.Go(func() { s.receiver.Run(ctx) })
	defer runs.Wait()
	defer cancel()

	const clients, uploads = 40, 5
	var wait sync.WaitGroup
	for c := range clients {
		d := s.newDevice(fmt.Sprintf("device-%02d", c))
		wait.Go(func() {
			for n := range int64(uploads) {
				if err := s.receiver.Submit(ctx, d.upload(runA, n, message(runA, n+1))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wait.Wait()
	if n := s.waiting(); n != clients*uploads {
		t.Errorf("%d uploads are stored, want %d", n, clients*uploads)
	}
	s.dispatch()
	if n := len(s.stored()); n != clients*uploads {
		t.Errorf("%d messages arrived, want %d", n, clients*uploads)
	}
	cancel()
	runs.Wait()
	if err := s.receiver.Submit(t.Context(), s.newDevice("x").upload(runA, 0, message(runA, 1))); !fault.Is(err, fault.Unavailable) {
		t.Errorf("a receiver that has ended answers %v, want unavailable", err)
	}
}

// TestJudging plays what clients say, one upload after the other.
func TestJudging(t *testing.T) {
	t.Parallel()
	type say struct {
		running, born string
		acknowledged  int64
		want          error
	}
	for _, test := range []struct {
		name      string
		says      []say
		conflicts int
	}{
		{"goes on", []say{{runA, runA, 0, nil}, {runA, runA, 1, nil}, {runA, runA, 7, nil}}, 0},
		{"repeats", []say{{runA, runA, 3, nil}, {runA, runA, 3, nil}}, 0},
		{"set back with its memory", []say{{runA, runA, 0, nil}, {runA, runA, 5, nil}, {runA, runA, 4, ErrNewIncarnation}, {runA, runA, 0, ErrNewIncarnation}, {runB, runB, 0, nil}, {runB, runB, 1, nil}}, 0},
		{"restarts with messages left", []say{{runA, runA, 5, nil}, {runB, runA, 5, nil}, {runB, runA, 6, nil}, {runB, runB, 0, nil}, {runC, runB, 2, nil}}, 0},
		{"set back to an older disk", []say{{runA, runA, 5, nil}, {runB, runB, 9, nil}, {runC, runA, 5, nil}}, 0},
		{"an older disk that says less of an ended incarnation", []say{{runA, runA, 5, nil}, {runB, runA, 3, nil}, {runB, runA, 4, nil}, {runB, runA, 6, nil}}, 0},
		{"two copies", []say{{runA, runA, 1, nil}, {runB, runA, 1, nil}, {runA, runA, 1, ErrIdentityConflict}, {runA, runA, 2, ErrIdentityConflict}, {runB, runB, 1, nil}}, 1},
		{"two copies, and what an earlier run has left", []say{{runA, runA, 1, nil}, {runB, runA, 1, nil}, {runC, runC, 0, nil}, {runB, runA, 2, nil}, {runB, runA, 3, nil}, {runB, runB, 0, ErrIdentityConflict}}, 1},
		{"two copies, both restarted", []say{{runA, runA, 1, nil}, {runB, runB, 1, nil}, {runC, runC, 0, nil}, {runB, runB, 2, ErrIdentityConflict}, {runA, runA, 2, ErrIdentityConflict}, {runC, runC, 1, nil}}, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			d := s.newDevice("device")
			stored := int64(0)
			for i, say := range test.says {
				got := s.put(d.upload(say.running, say.acknowledged, message(say.born, say.acknowledged+1)))[0]
				if !errors.Is(got, say.want) {
					t.Fatalf("upload %d got %v, want %v", i+1, got, say.want)
				}
				if say.want == nil {
					stored++
				}
				if n := s.waiting(); n != stored {
					t.Fatalf("after upload %d there are %d rows, want %d", i+1, n, stored)
				}
			}
			if len(s.conflicts) != test.conflicts {
				t.Errorf("the site was told of %d conflicts, want %d", len(s.conflicts), test.conflicts)
			}
		})
	}
}

func TestGroupOfRepeatsStillWrites(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	d := s.newDevice("device")
	count := sqldb.Define[sqldb.None, struct {
		N int64 `db:"n"`
	}]("count", `SELECT count(*) AS n FROM inbox_group`)
	groups := func() int64 {
		return read(s, func(tx *sitedb.Tx) (int64, error) {
			row, _, err := count.One(t.Context(), tx, sqldb.None{})
			return row.N, err
		})
	}
	first := d.upload(runA, 0, message(runA, 1))
	s.put(first)
	s.put(first)
	s.put(d.upload(runB, 0, message(runB, 1)))
	if err := s.put(first)[0]; !errors.Is(err, ErrIdentityConflict) {
		t.Fatal(err)
	}
	if groups() != 4 {
		t.Errorf("%d groups are recorded, want 4: one each time", groups())
	}
}

func TestBadUploadFailsAlone(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.receiver.config.OnConflict = func(_ context.Context, _ *sitedb.Tx, device string) error {
		return fault.New(fault.Internal, "broken for %s", device)
	}
	bad := s.newDevice("bad")
	s.put(bad.upload(runA, 0, message(runA, 1)))
	s.put(bad.upload(runB, 0, message(runB, 1)))
	var group []Delivery
	for i := range 9 {
		group = append(group, s.newDevice(fmt.Sprintf("device-%d", i)).upload(runA, 0, message(runA, 1)))
	}
	group = append(group, bad.upload(runA, 1, message(runA, 2)))
	for i, err := range s.put(group...) {
		if wrong := i == 9; wrong != (err != nil) {
			t.Errorf("upload %d got %v", i, err)
		}
	}
	if n := s.waiting(); n != 11 {
		t.Errorf("%d uploads are stored, want 11", n)
	}
}

func TestQueueIsBounded(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, test := range []struct {
		name   string
		config ReceiverConfig
	}{
		{"count", ReceiverConfig{DB: s.db, MaxQueued: 3}},
		{"bytes", ReceiverConfig{DB: s.db, MaxQueuedBytes: 3 * 1700}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := NewReceiver(test.config)
			d := device{id: "device", key: s.newDevice("key-" + test.name).key}
			m := message(runA, 1)
			m.Body = []byte(`"` + strings.Repeat("x", 1000) + `"`)
			for range 3 {
				if err := r.enqueue(&item{Delivery: d.upload(runA, 0, m), ctx: t.Context(), done: make(chan error, 1)}); err != nil {
					t.Fatal(err)
				}
			}
			err := r.Submit(t.Context(), d.upload(runA, 0, m))
			if !fault.Is(err, fault.Unavailable) || ComeBack(err) < time.Second || ComeBack(err) > time.Minute {
				t.Errorf("a full queue answers %v, come back after %v", err, ComeBack(err))
			}
		})
	}
}

func TestGivenUpUploadIsNotStored(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	d := s.newDevice("device")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.receiver.Submit(ctx, d.upload(runA, 0, message(runA, 1))); !fault.Is(err, fault.Unavailable) {
		t.Fatalf("got %v, want unavailable", err)
	}
	s.put(d.upload(runA, 0, message(runA, 2)))
	if n := s.waiting(); n != 1 {
		t.Errorf("%d uploads are stored, want 1", n)
	}
	if n, bytes := s.receiver.Queued(); n != 0 || bytes != 0 {
		t.Errorf("%d uploads and %d bytes are still counted as waiting", n, bytes)
	}
}

func TestOneDeviceTwiceInOneGroupIsJudgedInOrder(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	d := s.newDevice("device")
	s.put(d.upload(runA, 0, message(runA, 1))) // so that all of them could be done at once
	answers := s.put(d.upload(runA, 1, message(runA, 2)), d.upload(runA, 2, message(runA, 3)), d.upload(runA, 0, message(runA, 1)))
	if answers[0] != nil || answers[1] != nil || !errors.Is(answers[2], ErrNewIncarnation) {
		t.Errorf("answers are %v", answers)
	}
}
