package status

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"mainstay/lib/fault"
	"mainstay/lib/listing"
	"mainstay/site"
	"mainstay/site/sitedb"
	"mainstay/wire"
)

func setup(t testing.TB) *sitedb.DB {
	t.Helper()
	db, err := sitedb.Open(t.Context(), sitedb.Config{Path: filepath.Join(t.TempDir(), "site.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	err = db.Write(t.Context(), func(tx *sitedb.Tx) error {
		return site.Create(t.Context(), tx, site.Site{Code: "LAB", Root: []byte{1}})
	})
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func write(t testing.TB, db *sitedb.DB, f func(*sitedb.Tx) error) error {
	t.Helper()
	return db.Write(context.Background(), f)
}

func list(t testing.TB, db *sitedb.DB, r listing.Request) []Record {
	t.Helper()
	var page listing.Page[Record]
	err := db.Read(context.Background(), func(tx *sitedb.Tx) error {
		plan, err := Table().Plan(r, time.UnixMicro(10_000))
		if err != nil {
			return err
		}
		page, err = List(context.Background(), tx, plan)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return page.Items
}

func body(s wire.StatusMessage) json.RawMessage {
	b, _ := json.Marshal(s)
	return b
}

func TestCatalogueIsInOrderAndWhole(t *testing.T) {
	t.Parallel()
	before := 0
	for _, e := range Catalogue() {
		if e.ID <= before {
			t.Errorf("entry %d comes after %d", e.ID, before)
		}
		before = e.ID
		if !slices.Contains([]string{wire.Informational, wire.Warning, wire.Error}, e.Severity) || e.Text == "" || strings.Contains(e.Text, "?") {
			t.Errorf("entry %d is %+v", e.ID, e)
		}
		found, ok := Find(e.ID)
		if !ok || found != e {
			t.Errorf("entry %d is not found", e.ID)
		}
	}
	if _, ok := Find(1); ok {
		t.Error("found an entry that does not exist")
	}
}

func TestFill(t *testing.T) {
	t.Parallel()
	ten := strings.Split("a b c d e f g h i j", " ")
	for _, test := range []struct{ text, want string }{
		{"plain", "plain"},
		{"%1 and %2, %10", "a and b, j"},
		{"%1%1", "aa"},
		{"100 % of %3 %", "100 % of c %"},
		{"%11 %0 %99999999999999999999", "  %"},
	} {
		if got := fill(test.text, ten); got != test.want {
			t.Errorf("%q became %q, want %q", test.text, got, test.want)
		}
	}
	if got := Render(77, []string{"x", "y"}); got != "Message 77: x; y" {
		t.Errorf("an unknown message reads %q", got)
	}
	if got := Render(ComponentStopped, nil); got != "This component stopped." {
		t.Errorf("a known message reads %q", got)
	}
}

func TestMessageOfClientIsStoredOnce(t *testing.T) {
	t.Parallel()
	db := setup(t)
	m := wire.Message{
		ID: "0123456789abcdef0123456789abcdef", Incarnation: "a", Number: 1, Time: 500,
		Body: body(wire.StatusMessage{MessageID: wire.StatusPolicySettings, Component: "policy", Severity: wire.Informational, Insertions: []string{"42"}}),
	}
	again := m
	again.Incarnation, again.Number = "b", 7
	for _, m := range []wire.Message{m, again} {
		if err := write(t, db, func(tx *sitedb.Tx) error { return Process(t.Context(), tx, "device", m, 600) }); err != nil {
			t.Fatal(err)
		}
	}
	records := list(t, db, listing.Request{})
	if len(records) != 1 {
		t.Fatalf("%d records, want 1", len(records))
	}
	r := records[0]
	if r.Text != "A client setting is outside of what is possible: 42" || r.Device != "device" || r.SiteCode != "LAB" || r.Time != 500 || r.ReceivedAt != 600 || r.System != "" {
		t.Errorf("record %+v", r)
	}
}

func TestBadMessages(t *testing.T) {
	t.Parallel()
	db := setup(t)
	good := wire.StatusMessage{MessageID: 1, Component: "policy", Severity: wire.Warning}
	for name, change := range map[string]func(*wire.StatusMessage){
		"identifier":      func(s *wire.StatusMessage) { s.MessageID = 0 },
		"no component":    func(s *wire.StatusMessage) { s.Component = "" },
		"long component":  func(s *wire.StatusMessage) { s.Component = strings.Repeat("x", 65) },
		"component":       func(s *wire.StatusMessage) { s.Component = "a\nb" },
		"severity":        func(s *wire.StatusMessage) { s.Severity = "fatal" },
		"many insertions": func(s *wire.StatusMessage) { s.Insertions = make([]string, 11) },
		"long insertion":  func(s *wire.StatusMessage) { s.Insertions = []string{strings.Repeat("x", 2049)} },
	} {
		s := good
		change(&s)
		err := write(t, db, func(tx *sitedb.Tx) error {
			return Process(t.Context(), tx, "device", wire.Message{ID: name, Body: body(s)}, 1)
		})
		if !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v, want invalid", name, err)
		}
	}
	if err := write(t, db, func(tx *sitedb.Tx) error {
		return Process(t.Context(), tx, "device", wire.Message{Body: json.RawMessage(`[]`)}, 1)
	}); !fault.Is(err, fault.Invalid) {
		t.Errorf("an array: %v, want invalid", err)
	}
	if n := len(list(t, db, listing.Request{})); n != 0 {
		t.Errorf("%d messages were stored", n)
	}
}

func TestReport(t *testing.T) {
	t.Parallel()
	db := setup(t)
	long := strings.Repeat("é", 2000)
	err := write(t, db, func(tx *sitedb.Tx) error {
		return Report(t.Context(), tx, Message{ID: DeviceBlocked, System: "system", Device: "device", Insertions: []string{"pc1", "anna", long + "\x00\xff"}, Time: time.UnixMicro(9)})
	})
	if err != nil {
		t.Fatal(err)
	}
	r := list(t, db, listing.Request{})[0]
	if r.Severity != wire.Warning || r.Component != "device" || !strings.HasPrefix(r.Text, "pc1 was blocked by anna: éé") {
		t.Errorf("record %+v", r)
	}
	if cut := r.Insertions[2]; len(cut) > MaxInsertion || !utf8.ValidString(cut) || !strings.HasSuffix(cut, "…") {
		t.Errorf("a long insertion became %d bytes", len(cut))
	}
	if err := write(t, db, func(tx *sitedb.Tx) error { return Report(t.Context(), tx, Message{ID: 1}) }); err == nil {
		t.Error("a message that is not in the catalogue was reported")
	}
}

func TestListFiltersAndPages(t *testing.T) {
	t.Parallel()
	db := setup(t)
	for i := range 10 {
		m := Message{ID: ComponentFailed, System: "s1", Component: "dispatcher", Insertions: []string{fmt.Sprint("no 'disk' ", i)}, Time: time.UnixMicro(int64(100 + i))}
		if i%2 == 0 {
			m = Message{ID: DeviceRegistered, System: "s2", Device: "d", Insertions: []string{"pc", "token"}, Time: time.UnixMicro(int64(100 + i))}
		}
		if err := write(t, db, func(tx *sitedb.Tx) error { return Report(t.Context(), tx, m) }); err != nil {
			t.Fatal(err)
		}
	}
	for filter, want := range map[string]int{
		"":                                10,
		"severity=error":                  5,
		"device=d":                        5,
		"component=dispatcher":            5,
		"message_id=3000":                 5,
		"text~registered":                 5, // words of the catalogue
		`text~"no 'disk' 3"`:              1, // words of an insertion
		"time>=1970-01-01 and time<7d":    0,
		"severity=error,informational":    10,
		"severity=error and device!=\"\"": 0,
	} {
		if got := len(list(t, db, listing.Request{Filter: filter})); got != want {
			t.Errorf("filter %q shows %d, want %d", filter, got, want)
		}
	}
	records := list(t, db, listing.Request{Limit: 3})
	if len(records) != 3 || records[0].Time != 109 || records[2].Time != 107 {
		t.Errorf("the first page is %+v", records)
	}
}

func TestCleanGoesByReceipt(t *testing.T) {
	t.Parallel()
	db := setup(t)
	now := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	send := func(id string, when, received time.Time) {
		m := wire.Message{ID: id, Time: when.UnixMicro(), Body: body(wire.StatusMessage{MessageID: 1, Component: "c", Severity: wire.Error})}
		if err := write(t, db, func(tx *sitedb.Tx) error { return Process(t.Context(), tx, "d", m, received.UnixMicro()) }); err != nil {
			t.Fatal(err)
		}
	}
	send("old", now.Add(-31*24*time.Hour), now.Add(-31*24*time.Hour))
	send("long on its way", now.Add(-60*24*time.Hour), now.Add(-time.Hour))
	if err := Clean(t.Context(), db, now); err != nil {
		t.Fatal(err)
	}
	if records := list(t, db, listing.Request{}); len(records) != 1 || records[0].UID != "long on its way" {
		t.Errorf("left: %+v", records)
	}
	if err := write(t, db, func(tx *sitedb.Tx) error { return Forget(t.Context(), tx, "d") }); err != nil || len(list(t, db, listing.Request{})) != 0 {
		t.Errorf("messages of a deleted device are left: %v", err)
	}
}

func TestReporterKeepsBooks(t *testing.T) {
	t.Parallel()
	db := setup(t)
	now := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	r := NewReporter(ReporterConfig{DB: db, System: "s1", Now: func() time.Time { return now }})
	broken := errors.New("disk is gone")
	pass := func(after time.Duration, err error) Component {
		t.Helper()
		now = now.Add(after)
		if got := r.Pass(t.Context(), "dispatcher", func(context.Context) error { return err }); got != err {
			t.Fatalf("pass returned %v", got)
		}
		var list []Component
		if err := db.Read(t.Context(), func(tx *sitedb.Tx) (err error) {
			list, err = Components(t.Context(), tx)
			return err
		}); err != nil || len(list) != 1 {
			t.Fatalf("components %+v: %v", list, err)
		}
		return list[0]
	}
	messages := func() int { return len(list(t, db, listing.Request{})) }

	if c := pass(0, nil); c.State != site.StateOK || c.Passes != 1 || c.System != "s1" {
		t.Errorf("after the first pass: %+v", c)
	}
	if c := pass(time.Second, nil); c.Passes != 1 {
		t.Errorf("a pass that changes nothing was written at once: %+v", c)
	}
	c := pass(time.Second, broken)
	if c.State != site.StateFailed || c.Passes != 3 || c.Failures != 1 || c.Detail != "disk is gone" || c.StateSince != now.UnixMicro() {
		t.Errorf("after a failure: %+v", c)
	}
	since := c.StateSince
	if messages() != 1 {
		t.Errorf("%d messages after a failure, want 1", messages())
	}
	if c = pass(time.Minute, broken); c.StateSince != since || c.Failures != 2 {
		t.Errorf("after the second failure: %+v", c)
	}
	if c = pass(time.Second, nil); c.State != site.StateOK || c.Detail != "" || messages() != 2 {
		t.Errorf("after recovery: %+v, %d messages", c, messages())
	}
	// It flaps: its state is shown, but it does not fill the list.
	for range 5 {
		pass(time.Second, broken)
		c = pass(time.Second, nil)
	}
	if messages() != 2 || c.State != site.StateOK || c.Failures != 7 {
		t.Errorf("after flapping %d messages, %+v", messages(), c)
	}
	// The end of a term is no failure.
	stale := fault.New(fault.Stale, "over")
	if c = pass(time.Hour, stale); c.State != site.StateOK {
		t.Errorf("after the end of a term: %+v", c)
	}
}
