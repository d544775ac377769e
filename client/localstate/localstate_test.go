package localstate

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func setup(t testing.TB, c Config) *Store {
	t.Helper()
	if c.Dir == "" {
		c.Dir = filepath.Join(t.TempDir(), "state")
	}
	s, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestFactsSurviveARestart(t *testing.T) {
	t.Parallel()
	s := setup(t, Config{})
	err := s.Update(func(f *Facts) {
		f.Versions["policy"] = 7
		f.Schedule["heartbeat"] = Occurrence{Base: 1, Due: 2}
		f.Flags["registered"] = true
		f.ResyncHandled = 3
	})
	if err != nil {
		t.Fatal(err)
	}
	got := setup(t, Config{Dir: s.dir}).Facts()
	if got.Versions["policy"] != 7 || got.Schedule["heartbeat"].Due != 2 || !got.Flags["registered"] || got.ResyncHandled != 3 {
		t.Errorf("facts are %+v", got)
	}
}

func TestFailedUpdateChangesNothing(t *testing.T) {
	t.Parallel()
	s := setup(t, Config{})
	if err := os.RemoveAll(s.dir); err != nil {
		t.Fatal(err)
	}
	if err := s.Update(func(f *Facts) { f.Versions["x"] = 1 }); err == nil {
		t.Fatal("an update that cannot be stored is no error")
	}
	if s.Facts().Versions["x"] != 0 {
		t.Error("a fact is believed that is not on disk")
	}
}

func TestDamagedFactsArePutAside(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "state.json"), []byte(`{"versions":`), 0o600); err != nil {
		t.Fatal(err)
	}
	s := setup(t, Config{Dir: dir})
	if !s.Damaged() {
		t.Error("damage is not told")
	}
	if err := s.Update(func(f *Facts) { f.ResyncSeen = 1 }); err != nil {
		t.Fatal(err)
	}
	if again := setup(t, Config{Dir: dir}); again.Damaged() || again.Facts().ResyncSeen != 1 {
		t.Error("the client does not recover from damage")
	}
}

func TestTimeIsTheLatestThatIsKnown(t *testing.T) {
	t.Parallel()
	at := func(day int) time.Time { return time.Date(2030, 1, day, 0, 0, 0, 0, time.UTC) }
	for _, test := range []struct {
		name                 string
		clock, built, signed int
		want                 int
	}{
		{"clock", 3, 1, 2, 3},
		{"build", 1, 3, 2, 3},
		{"signed", 1, 2, 3, 3},
	} {
		dir := t.TempDir()
		config := Config{Dir: dir, Clock: func() time.Time { return at(test.clock) }, Built: at(test.built)}
		s := setup(t, config)
		if err := s.SawSignedTime(at(test.signed).UnixMicro()); err != nil {
			t.Fatal(err)
		}
		if err := s.SawSignedTime(at(1).UnixMicro()); err != nil {
			t.Fatal(err)
		}
		for _, s := range []*Store{s, setup(t, config)} {
			if got := s.Now(); !got.Equal(at(test.want)) {
				t.Errorf("%s: now is %v, want %v", test.name, got, at(test.want))
			}
		}
	}
}

func TestSmallStepsOfSignedTimeCountAtOnce(t *testing.T) {
	t.Parallel()
	start := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	s := setup(t, Config{Clock: func() time.Time { return start.Add(-time.Hour * 100) }})
	for _, step := range []time.Duration{0, time.Second, time.Minute} {
		if err := s.SawSignedTime(start.Add(step).UnixMicro()); err != nil {
			t.Fatal(err)
		}
		if got := s.Now(); !got.Equal(start.Add(step)) {
			t.Errorf("now is %v, want %v", got, start.Add(step))
		}
	}
}

func TestBaseline(t *testing.T) {
	t.Parallel()
	s := setup(t, Config{})
	if b, err := s.Baseline(); err != nil || b.Data != nil {
		t.Errorf("a new client has baseline %+v, error %v", b, err)
	}
	first := Baseline{MessageID: "m1", Result: "r1", Data: []byte("one\ntwo")}
	if err := s.PrepareBaseline(first); err != nil {
		t.Fatal(err)
	}
	if b, _ := s.Baseline(); b.Data != nil {
		t.Error("a prepared baseline counts as reported")
	}
	if b, _ := s.PreparedBaseline(); b.MessageID != "m1" {
		t.Errorf("prepared is %+v", b)
	}
	if err := s.CommitBaseline(); err != nil {
		t.Fatal(err)
	}
	b, err := setup(t, Config{Dir: s.dir}).Baseline()
	if err != nil || b.Result != "r1" || !bytes.Equal(b.Data, first.Data) {
		t.Errorf("baseline is %+v, error %v", b, err)
	}
	if b, _ := s.PreparedBaseline(); b.MessageID != "" {
		t.Errorf("after the commit %+v is prepared", b)
	}

	// Damage and removal both lead to a full report.
	path := filepath.Join(s.dir, "inventory.baseline")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)-1] ^= 1
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if b, err := s.Baseline(); err != nil || b.Data != nil {
		t.Errorf("a damaged baseline gives %+v, error %v", b, err)
	}
	if err := s.DropBaseline(); err != nil {
		t.Fatal(err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"versions":{"a":1},"schedule":{"x":{"base":1,"due":2}}}`))
	data, _ := Baseline{MessageID: "m", Result: "r", Data: []byte("x")}.encode()
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		_, _ = decode(data)
		if b, err := decodeBaseline(data); err == nil {
			again, err := b.encode()
			if err != nil {
				t.Fatal(err)
			}
			if got, err := decodeBaseline(again); err != nil || !bytes.Equal(got.Data, b.Data) {
				t.Fatalf("baseline %+v became %+v, error %v", b, got, err)
			}
		}
	})
}
