package inventory

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"mainstay/lib/rowhash"
	"mainstay/wire"
)

// stub is a source that a test plays.
func stub(name string, collect func(context.Context, *run) error) source {
	return source{name: name, classes: []string{name}, collect: collect}
}

// rows is a source of rows that may change between collections.
func rows(name string, current *[]string) source {
	return stub(name, func(_ context.Context, r *run) error {
		for _, v := range *current {
			r.add(name, map[string]string{"Name": v})
		}
		return nil
	})
}

// siteCopy is what a site makes of reports: rows by class and hash.
type siteCopy map[string]map[string]string

func (s siteCopy) apply(t *testing.T, report wire.InventoryReport) {
	t.Helper()
	// The report travels as JSON, and so do its rows.
	text, err := json.Marshal(report)
	if err != nil {
		t.Fatal(err)
	}
	report = wire.InventoryReport{}
	if err := json.Unmarshal(text, &report); err != nil {
		t.Fatal(err)
	}
	switch {
	case report.Kind == wire.InventoryFull:
		clear(s)
	case report.Base != s.hash():
		t.Fatalf("the delta starts from %s, the site has %s", report.Base, s.hash())
	}
	for class, change := range report.Classes {
		if s[class] == nil {
			s[class] = map[string]string{}
		}
		for _, hash := range change.Remove {
			if _, ok := s[class][hash]; !ok {
				t.Errorf("%s: row %s is removed and was never there", class, hash)
			}
			delete(s[class], hash)
		}
		for _, row := range change.Add {
			canonical, err := rowhash.Canonical(nil, row)
			if err != nil || string(canonical) != string(row) {
				t.Errorf("%s: row %s is not canonical: %v", class, row, err)
			}
			s[class][rowhash.Row(class, row).String()] = string(row)
		}
	}
	if report.Result != s.hash() {
		t.Errorf("the report promises %s, the site has %s", report.Result, s.hash())
	}
}

func (s siteCopy) hash() string {
	sets := map[string]rowhash.Sum{}
	for class, rows := range s {
		var hashes []rowhash.Hash
		for text := range rows {
			h, err := rowhash.Parse(text)
			if err != nil {
				panic(err)
			}
			hashes = append(hashes, h)
		}
		if len(hashes) > 0 {
			sets[class] = rowhash.Set(hashes)
		}
	}
	return rowhash.Tables(sets).String()
}

func (s siteCopy) names(class string) []string {
	var names []string
	for _, row := range s[class] {
		names = append(names, strings.TrimSuffix(strings.TrimPrefix(row, `{"Name":"`), `"}`))
	}
	slices.Sort(names)
	return names
}

func newCollector(t *testing.T, config Config) *Collector {
	t.Helper()
	config.Root = t.TempDir()
	c, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func mustCollect(t *testing.T, c *Collector) *Snapshot {
	t.Helper()
	s, err := c.Collect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestDeltasRebuildWhatIsOnTheMachine(t *testing.T) {
	t.Parallel()
	a, b := []string{"one", "two", "two"}, []string{"x"}
	c := newCollector(t, Config{sources: []source{rows("A", &a), rows("B", &b)}})
	site := siteCopy{}
	report, base := Full(mustCollect(t, c))
	if report.Kind != wire.InventoryFull || report.Base != "" {
		t.Errorf("kind %q, base %q", report.Kind, report.Base)
	}
	site.apply(t, report)

	for step, change := range []func(){
		func() { a = []string{"two", "three"} },
		func() { b = nil },
		func() { a, b = nil, []string{"y", "z"} },
		func() { a = []string{"one"} },
	} {
		change()
		// The baseline goes to disk between two collections.
		stored, err := DecodeBaseline(base.Encode())
		if err != nil {
			t.Fatal(err)
		}
		report, base = Diff(stored, mustCollect(t, c))
		site.apply(t, report)
		if base.Hash() != report.Result {
			t.Errorf("step %d: next baseline %s, report %s", step, base.Hash(), report.Result)
		}
		for class, want := range map[string][]string{"A": a, "B": b} {
			if got := site.names(class); !slices.Equal(got, slices.Sorted(slices.Values(want))) {
				t.Errorf("step %d: the site has %s %q, want %q", step, class, got, want)
			}
		}
	}
}

func TestNothingNewIsAnEmptyDelta(t *testing.T) {
	t.Parallel()
	a := []string{"one"}
	c := newCollector(t, Config{sources: []source{rows("A", &a)}})
	s := mustCollect(t, c)
	full, base := Full(s)
	if s.Hash() != full.Result {
		t.Errorf("snapshot %s, report %s", s.Hash(), full.Result)
	}
	report, next := Diff(base, mustCollect(t, c))
	if len(report.Classes) != 0 || report.Result != report.Base || next.Hash() != base.Hash() {
		t.Errorf("got %+v", report)
	}
}

func TestWhatCouldNotBeReadIsNotRemoved(t *testing.T) {
	t.Parallel()
	a, b := []string{"one", "two"}, []string{"x"}
	var trouble func() error
	flaky := stub("A", func(ctx context.Context, r *run) error {
		// It fails with half of its rows brought.
		if err := rows("A", &a).collect(ctx, r); err != nil || trouble == nil {
			return err
		}
		return trouble()
	})
	for name, play := range map[string]func() error{
		"error": func() error { return errors.New("the disk does not answer") },
		"panic": func() error { panic("index out of range") },
	} {
		// The cases share the rows and run one after another.
		t.Run(name, func(t *testing.T) {
			a, b = []string{"one", "two"}, []string{"x"}
			c := newCollector(t, Config{sources: []source{flaky, rows("B", &b)}})
			site := siteCopy{}
			trouble = nil
			report, base := Full(mustCollect(t, c))
			site.apply(t, report)

			trouble = play
			a, b = []string{"three"}, []string{"y"}
			s := mustCollect(t, c)
			if !slices.Equal(s.Unread, []string{"A"}) || len(s.Errors) != 1 || s.Errors[0].Class != "A" {
				t.Fatalf("unread %q, errors %+v", s.Unread, s.Errors)
			}
			report, base = Diff(base, s)
			site.apply(t, report)
			if got := site.names("A"); !slices.Equal(got, []string{"one", "two"}) {
				t.Errorf("while A cannot be read the site has %q", got)
			}
			if got := site.names("B"); !slices.Equal(got, []string{"y"}) {
				t.Errorf("beside it the site has B %q", got)
			}
			// A full report in this state knows nothing of A, and says so.
			full, _ := Full(s)
			if _, ok := full.Classes["A"]; ok || !slices.Equal(full.Unread, []string{"A"}) {
				t.Errorf("full report: %+v", full)
			}

			trouble = nil
			report, _ = Diff(base, mustCollect(t, c))
			site.apply(t, report)
			if got := site.names("A"); !slices.Equal(got, []string{"three"}) {
				t.Errorf("afterwards the site has %q", got)
			}
		})
	}
}

func TestHangingSourceCostsItsOwnClassOnly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := []string{"x"}
		release := make(chan struct{})
		var started atomic.Int32
		hanging := stub("A", func(context.Context, *run) error {
			started.Add(1)
			<-release
			return nil
		})
		c, err := New(Config{Root: "/", kernel: &kernel{}, sources: []source{hanging, rows("B", &b)}})
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			s := mustCollect(t, c)
			if !slices.Equal(s.Unread, []string{"A"}) || len(s.Classes["B"]) != 1 {
				t.Fatalf("unread %q, B has %d rows", s.Unread, len(s.Classes["B"]))
			}
		}
		if n := started.Load(); n != 1 {
			t.Errorf("a source that hangs was started %d times", n)
		}
		close(release)
		synctest.Wait()
		for round := range 2 {
			if s := mustCollect(t, c); len(s.Unread) != 0 || started.Load() != int32(2+round) {
				t.Errorf("after it came back: unread %q, started %d times", s.Unread, started.Load())
			}
		}
	})
}

func TestEndOfContextEndsTheCollection(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	c := newCollector(t, Config{sources: []source{stub("A", func(ctx context.Context, _ *run) error {
		cancel()
		<-ctx.Done()
		return ctx.Err()
	})}})
	if s, err := c.Collect(ctx); s != nil || !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, %v", s, err)
	}
}

func TestDisabledClassesAreLeftOut(t *testing.T) {
	t.Parallel()
	both := source{name: "both", classes: []string{"A", "B"}, collect: func(_ context.Context, r *run) error {
		r.add("A", struct{ X int }{1})
		r.add("B", struct{ X int }{2})
		return nil
	}}
	never := stub("C", func(context.Context, *run) error { panic("it was run") })
	s := mustCollect(t, newCollector(t, Config{sources: []source{both, never}, Disabled: []string{"A", "C", "Unheard"}}))
	if got := slices.Collect(maps.Keys(s.Classes)); !slices.Equal(got, []string{"B"}) || len(s.Unread) != 0 {
		t.Errorf("classes %q, unread %q", got, s.Unread)
	}
}

func TestBadRowsDoNotTakeTheOthersAlong(t *testing.T) {
	t.Parallel()
	s := mustCollect(t, newCollector(t, Config{sources: []source{stub("A", func(_ context.Context, r *run) error {
		r.add("A", map[string]string{"Name": "good"})
		r.add("A", map[string]string{"Name": strings.Repeat("x", wire.MaxInventoryRow)})
		r.add("A", map[string]float64{"Name": 0.5})
		return nil
	})}}))
	if len(s.Classes["A"]) != 1 || len(s.Errors) != 2 || len(s.Unread) != 0 {
		t.Errorf("%d rows, errors %+v, unread %q", len(s.Classes["A"]), s.Errors, s.Unread)
	}
}

func TestTooManyRowsAreCutAndSaidOnce(t *testing.T) {
	t.Parallel()
	s := mustCollect(t, newCollector(t, Config{sources: []source{stub("A", func(_ context.Context, r *run) error {
		for i := range wire.MaxInventoryRows + 10 {
			r.add("A", struct{ N int }{i})
		}
		return nil
	})}}))
	if len(s.Classes["A"]) != wire.MaxInventoryRows || len(s.Errors) != 1 {
		t.Errorf("%d rows, errors %+v", len(s.Classes["A"]), s.Errors)
	}
	_, base := Full(s)
	if _, err := DecodeBaseline(base.Encode()); err != nil {
		t.Errorf("the baseline of the largest class is refused: %v", err)
	}
}

func TestReportsFitIntoAMessage(t *testing.T) {
	t.Parallel()
	fill := func(class string, count int) source {
		return stub(class, func(_ context.Context, r *run) error {
			for i := range count {
				r.add(class, map[string]string{"Name": fmt.Sprint(i), "Text": strings.Repeat("x", 50_000)})
			}
			return nil
		})
	}
	s := mustCollect(t, newCollector(t, Config{sources: []source{fill("A", 70), fill("B", 60), fill("C", 2)}}))
	report, _ := Full(s)
	text, err := json.Marshal(report)
	if err != nil {
		t.Fatal(err)
	}
	if len(text) > wire.MaxMessageBytes/2+1<<20 {
		t.Errorf("the report has %d bytes", len(text))
	}
	if len(s.Classes["C"]) != 2 || len(s.Classes["B"]) == 0 || len(s.Errors) == 0 || s.Errors[0].Class != "A" {
		t.Errorf("A %d, B %d, C %d rows, errors %+v", len(s.Classes["A"]), len(s.Classes["B"]), len(s.Classes["C"]), s.Errors)
	}
}

func TestHeldValuesStayUntilTheyHaveMoved(t *testing.T) {
	t.Parallel()
	const step = 10
	value := uint64(105)
	steady := stub("A", func(_ context.Context, r *run) error {
		r.add("A", struct{ Free uint64 }{r.steady("free", value, step)})
		return nil
	})
	base := Baseline{}
	for _, test := range []struct{ value, want uint64 }{
		{105, 100}, {109, 100}, {112, 100}, {96, 100}, {114, 100}, {115, 110}, {106, 110}, {104, 100}, {94, 90}, {0, 0}, {1000, 1000},
	} {
		value = test.value
		// Every collection is made by a client that has just been started.
		c := newCollector(t, Config{sources: []source{steady}, Previous: base})
		s := mustCollect(t, c)
		if got, want := string(s.Classes["A"][0].JSON), fmt.Sprintf(`{"Free":%d}`, test.want); got != want {
			t.Fatalf("value %d: got %s, want %s", test.value, got, want)
		}
		_, next := Diff(base, s)
		var err error
		if base, err = DecodeBaseline(next.Encode()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestHeldValuesSurviveAFailure(t *testing.T) {
	t.Parallel()
	fail := false
	value := uint64(104)
	steady := stub("A", func(_ context.Context, r *run) error {
		if fail {
			return errors.New("not now")
		}
		r.add("A", struct{ Free uint64 }{r.steady("free", value, 10)})
		return nil
	})
	c := newCollector(t, Config{sources: []source{steady}})
	before := mustCollect(t, c)
	fail = true
	mustCollect(t, c)
	fail, value = false, 98
	if after := mustCollect(t, c); after.Hash() != before.Hash() {
		t.Errorf("after a failure the value was no longer held: %s", after.Classes["A"][0].JSON)
	}
}

func TestNewRefusesWhatCannotBeMeant(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		config Config
		want   string
	}{
		{Config{Root: "relative"}, "absolute"},
		{Config{Root: "/nowhere/at/all"}, "not a folder"},
		{Config{Deadline: -time.Second}, "negative"},
	} {
		if _, err := New(test.config); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%+v: got %v, want an error with %q", test.config, err, test.want)
		}
	}
}

func TestLimitsOfRowsAreThoseOfTheWire(t *testing.T) {
	t.Parallel()
	if rowhash.MaxRow != wire.MaxInventoryRow || rowhash.MaxDepth != wire.MaxInventoryDepth {
		t.Error("lib/rowhash and wire name different limits")
	}
}

func TestDecodeBaselineRefusesDamage(t *testing.T) {
	t.Parallel()
	hash := func(s string) rowhash.Hash { return rowhash.Row("T", []byte(s)) }
	b := Baseline{Classes: map[string][]rowhash.Hash{"OS": {hash("a")}, "Disk": {hash("b")}}, Held: map[string]uint64{"free /": 7}}
	good := b.Encode()
	if got, err := DecodeBaseline(good); err != nil || got.Hash() != b.Hash() || got.Held["free /"] != 7 {
		t.Fatalf("got %+v, %v", got, err)
	}
	for i := range good {
		bad := slices.Clone(good)
		bad[i] ^= 1
		if _, err := DecodeBaseline(bad); err == nil {
			t.Errorf("byte %d of %d was changed and nobody noticed", i, len(good))
		}
	}
	for i := range good {
		if _, err := DecodeBaseline(good[:i]); err == nil {
			t.Errorf("cut off after %d of %d bytes and nobody noticed", i, len(good))
		}
	}
	wrongOrder := Baseline{Classes: map[string][]rowhash.Hash{"OS": {{2}, {1}}}}
	if _, err := DecodeBaseline(wrongOrder.Encode()); err == nil {
		t.Error("hashes out of order were accepted")
	}
}

// FuzzDecodeBaseline holds that what is accepted has one encoding, and that a
// right checksum does not open the door to wrong content.
func FuzzDecodeBaseline(f *testing.F) {
	b := Baseline{Classes: map[string][]rowhash.Hash{"OS": {{1}, {2}}, "A": {}}, Held: map[string]uint64{"x": 1 << 60}}
	encoded := b.Encode()
	f.Add(encoded[len(baselineHeader) : len(encoded)-32])
	f.Add([]byte{0, 0})
	f.Add([]byte{1, 1, 'A', 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, body []byte) {
		data := signBaseline(body)
		got, err := DecodeBaseline(data)
		if err != nil {
			return
		}
		if again := got.Encode(); string(again) != string(data) {
			t.Errorf("%x was read and written as %x", data, again)
		}
	})
}

// signBaseline puts header and checksum around a body.
func signBaseline(body []byte) []byte {
	data := append([]byte(baselineHeader), body...)
	sum := sha256.Sum256(data)
	return append(data, sum[:]...)
}
