package inventory

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"mainstay/lib/fault"
	"mainstay/lib/rowhash"
	"mainstay/site/sitedb"
	"mainstay/wire"
)

func TestFullThenDeltas(t *testing.T) {
	t.Parallel()
	s, m := newServer(t), newMachine()
	bash := m.put(wire.ClassInstalledSoftware, software("bash", "5.1"))
	m.put(wire.ClassInstalledSoftware, software("zsh", "5.9"))
	m.put(wire.ClassService, service("ssh", "running"))
	s.must("d", m.full())
	if s.hash != sumOf(m.rows) {
		t.Errorf("the site has %s, want %s", s.hash, sumOf(m.rows))
	}
	m.drop(wire.ClassInstalledSoftware, bash)
	m.put(wire.ClassInstalledSoftware, software("bash", "5.2"))
	m.put("Unknown_Class", map[string]any{"x": 1})
	s.must("d", m.delta())
	for class := range m.rows {
		if got, want := s.rows("d", class, 0), texts(m.rows[class]); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", class, got, want)
		}
	}
	summary := s.summary("d")
	if len(summary.Classes) != 3 || summary.Classes[0].Class != wire.ClassInstalledSoftware || summary.Classes[2].Class != "Unknown_Class" || summary.Classes[0].Rows != 2 {
		t.Errorf("summary %+v", summary)
	}
	if summary.CollectedAt != m.time || summary.ReceivedAt != m.time+10 || summary.Hash != s.hash || s.wanted != 0 {
		t.Errorf("summary %+v, %d full reports wanted", summary, s.wanted)
	}

	list, next := s.history("d", HistoryQuery{Since: m.time})
	if next != "" || len(list) != 2 || list[0].Kind != Changed || !slices.Equal(list[0].Columns, []string{"Version"}) ||
		!strings.Contains(string(list[0].Before), "5.1") || !strings.Contains(string(list[0].Values), "5.2") || list[1].Kind != Added {
		t.Errorf("history %+v", list)
	}
	if rows := s.rows("d", "installedsoftware", m.time-1); !strings.Contains(strings.Join(rows, ""), "5.1") {
		t.Errorf("as it was before: %v", rows)
	}
}

func TestReportsThatDoNotFit(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		change func(r *wire.InventoryReport)
		wanted int
		kind   fault.Kind // Internal: no error
	}{
		{"another base", func(r *wire.InventoryReport) { r.Base = strings.Repeat("0", 64) }, 1, fault.Internal},
		{"another result", func(r *wire.InventoryReport) { r.Result = strings.Repeat("0", 64) }, 1, fault.Internal},
		{"removes what is not there", func(r *wire.InventoryReport) {
			c := r.Classes[wire.ClassService]
			c.Remove = append(c.Remove, strings.Repeat("0", 32))
			r.Classes[wire.ClassService] = c
		}, 1, fault.Internal},
		{"full that contradicts itself", func(r *wire.InventoryReport) { r.Kind, r.Base = wire.InventoryFull, "" }, 0, fault.Invalid},
		{"kind", func(r *wire.InventoryReport) { r.Kind = "half" }, 0, fault.Invalid},
		{"no base", func(r *wire.InventoryReport) { r.Base = "" }, 0, fault.Invalid},
		{"result", func(r *wire.InventoryReport) { r.Result = strings.ToUpper(r.Result) }, 0, fault.Invalid},
		{"class", func(r *wire.InventoryReport) { r.Classes["a b"] = wire.InventoryChange{} }, 0, fault.Invalid},
		{"unread and told", func(r *wire.InventoryReport) { r.Unread = []string{wire.ClassService} }, 0, fault.Invalid},
		{"removed hash", func(r *wire.InventoryReport) {
			r.Classes["X"] = wire.InventoryChange{Remove: []string{"zz"}}
		}, 0, fault.Invalid},
		{"row with a fraction", func(r *wire.InventoryReport) {
			r.Classes["X"] = wire.InventoryChange{Add: []json.RawMessage{json.RawMessage(`{"a":1.5}`)}}
		}, 0, fault.Invalid},
		{"row too large", func(r *wire.InventoryReport) {
			r.Classes["X"] = wire.InventoryChange{Add: []json.RawMessage{json.RawMessage(`{"a":"` + strings.Repeat("x", wire.MaxInventoryRow) + `"}`)}}
		}, 0, fault.Invalid},
		{"column of another type", func(r *wire.InventoryReport) {
			r.Classes[wire.ClassListeningPort] = wire.InventoryChange{Add: []json.RawMessage{json.RawMessage(`{"LocalPort":"22"}`)}}
		}, 0, fault.Invalid},
		{"too many classes", func(r *wire.InventoryReport) {
			for i := range wire.MaxInventoryClasses + 1 {
				r.Classes[fmt.Sprintf("C%d", i)] = wire.InventoryChange{}
			}
		}, 0, fault.Invalid},
		{"too many errors", func(r *wire.InventoryReport) {
			r.Errors = make([]wire.CollectorError, wire.MaxInventoryErrors+1)
		}, 0, fault.Invalid},
		{"long error", func(r *wire.InventoryReport) {
			r.Errors = []wire.CollectorError{{Text: strings.Repeat("x", wire.MaxInventoryErrorText+1)}}
		}, 0, fault.Invalid},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s, m := newServer(t), newMachine()
			m.put(wire.ClassService, service("ssh", "running"))
			s.must("d", m.full())
			before, hash := s.rows("d", wire.ClassService, 0), s.hash
			m.put(wire.ClassService, service("cron", "running"))
			r := m.delta()
			test.change(&r)
			err := s.process("d", r)
			if fault.KindOf(err) != test.kind || (err != nil) != (test.kind != fault.Internal) {
				t.Errorf("error %v, want kind %s", err, test.kind)
			}
			if s.wanted != test.wanted {
				t.Errorf("%d full reports are wanted, want %d", s.wanted, test.wanted)
			}
			if got := s.rows("d", wire.ClassService, 0); !slices.Equal(got, before) || s.hash != hash || s.summary("d").Hash != hash {
				t.Errorf("something of it was applied: %v", got)
			}
			// The full report that was asked for puts it right.
			s.must("d", m.full())
			if got := s.rows("d", wire.ClassService, 0); len(got) != 2 || s.hash != sumOf(m.rows) {
				t.Errorf("after a full report: %v", got)
			}
		})
	}
}

func TestUnreadClassStaysAsItWas(t *testing.T) {
	t.Parallel()
	s, m := newServer(t), newMachine()
	m.put(wire.ClassService, service("ssh", "running"))
	m.put(wire.ClassInstalledSoftware, software("bash", "5.1"))
	s.must("d", m.full())
	m.unread[wire.ClassService] = true
	m.put(wire.ClassInstalledSoftware, software("zsh", "5.9"))
	s.must("d", m.delta())
	s.must("d", m.full()) // the client knows no services now, and says so
	if got := s.rows("d", wire.ClassService, 0); len(got) != 1 || !s.summary("d").Classes[1].Unread {
		t.Errorf("services %v, %+v", got, s.summary("d"))
	}
	m.put(wire.ClassInstalledSoftware, software("fish", "4"))
	s.must("d", m.delta())
	if got := s.rows("d", wire.ClassService, 0); len(got) != 1 {
		t.Errorf("services after a delta: %v", got)
	}

	delete(m.unread, wire.ClassService) // read again, with another service
	m.put(wire.ClassService, service("cron", "running"))
	s.must("d", m.delta())
	if got := s.rows("d", wire.ClassService, 0); len(got) != 2 || s.summary("d").Classes[1].Unread {
		t.Errorf("services %v, %+v", got, s.summary("d"))
	}
	list, _ := s.history("d", HistoryQuery{Class: wire.ClassService})
	if len(list) != 2 || list[1].Time == list[0].Time {
		t.Errorf("the service that was there all the time came and went: %+v", list)
	}

	m.unread[wire.ClassService] = true
	s.must("d", m.full())
	delete(m.unread, wire.ClassService) // read again, and there is none
	m.rows[wire.ClassService] = nil
	s.must("d", m.delta())
	if got := s.rows("d", wire.ClassService, 0); len(got) != 0 || s.wanted != 0 {
		t.Errorf("services %v, %d full reports wanted", got, s.wanted)
	}
}

func TestFullThatSaysWhatIsKnownChangesNothing(t *testing.T) {
	t.Parallel()
	s, m := newServer(t), newMachine()
	m.put(wire.ClassService, service("ssh", "running"))
	s.must("d", m.full())
	r := m.full()
	r.Errors = []wire.CollectorError{{Class: "File", Text: "no such folder"}}
	s.must("d", r)
	list, _ := s.history("d", HistoryQuery{})
	summary := s.summary("d")
	if len(list) != 1 || summary.CollectedAt != m.time || len(summary.Errors) != 1 || summary.Classes[0].ChangedAt == m.time {
		t.Errorf("history %+v, summary %+v", list, summary)
	}
}

func TestClocksDoNotDisturbTheOrder(t *testing.T) {
	t.Parallel()
	s, m := newServer(t), newMachine()
	m.put(wire.ClassService, service("a", "running"))
	s.must("d", m.full())
	for i, collected := range []int64{1 << 50, 5, 0, -7} {
		m.put(wire.ClassService, service(fmt.Sprint("s", i), "running"))
		r := m.delta()
		r.CollectedAt = collected
		body, _ := json.Marshal(r)
		if err := s.processBody("d", body, 100_000+int64(i)); err != nil {
			t.Fatal(err)
		}
	}
	list, _ := s.history("d", HistoryQuery{})
	var order []string
	for i, c := range list {
		order = append(order, keyOf(string(c.Values), []string{"Name"})[:3])
		if c.Time > 100_010 || i > 0 && c.Time >= list[i-1].Time {
			t.Errorf("change %d is at %d", i, c.Time)
		}
	}
	if got := strings.Join(order, " "); got != `"s3 "s2 "s1 "s0 "a"` {
		t.Errorf("the newest first: %s", got)
	}
}

func TestRowsAreStoredOnceAndForgotten(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	m := newMachine()
	for i := range 50 {
		m.put(wire.ClassInstalledSoftware, software(fmt.Sprint("p", i), "1"))
	}
	for d := range 5 {
		s.must(fmt.Sprint("d", d), m.full())
	}
	if items := s.count("inventory_item"); items != 50 {
		t.Errorf("%d items for five equal machines, want 50", items)
	}
	if err := s.db.Write(t.Context(), func(tx *sitedb.Tx) error { return Forget(t.Context(), tx, "d0") }); err != nil {
		t.Fatal(err)
	}
	if facts := s.count("inventory_fact"); facts != 200 || len(s.rows("d0", wire.ClassInstalledSoftware, 0)) != 0 {
		t.Errorf("%d facts after one of five was forgotten, want 200", facts)
	}
}

func TestRowMayBeWrittenInAnotherWay(t *testing.T) {
	t.Parallel()
	s, m := newServer(t), newMachine()
	m.put("X", map[string]any{"a": "<&>", "b": 1})
	r := m.full()
	r.Classes["X"] = wire.InventoryChange{Add: []json.RawMessage{json.RawMessage(`{ "b":1, "a":"\u003c&\u003e" }`)}}
	s.must("d", r)
	if got := s.rows("d", "X", 0); !slices.Equal(got, texts(m.rows["X"])) || s.wanted != 0 {
		t.Errorf("rows %v, want %v", got, texts(m.rows["X"]))
	}
}

// TestModel plays a machine whose inventory changes, whose reports are lost and
// repeated and whose classes cannot be read at times. What the site shows is
// what the machine had when it last got through, now and at every time before.
func TestModel(t *testing.T) {
	t.Parallel()
	classes := []string{wire.ClassInstalledSoftware, wire.ClassService, "Other", wire.ClassBios}
	s, machines := newServer(t), 0
	rapid.Check(t, func(r *rapid.T) {
		m := newMachine()
		machines++
		device := fmt.Sprint("d", machines)
		type moment struct {
			time int64
			rows map[string]map[rowhash.Hash]string
		}
		var moments []moment
		shown := map[string]map[rowhash.Hash]string{} // what the site should show
		var last wire.InventoryReport
		get := func(report wire.InventoryReport) {
			wanted := s.wanted
			if err := s.process(device, report); err != nil {
				r.Fatalf("report was refused: %v", err)
			}
			if s.wanted > wanted {
				return
			}
			for _, class := range classes {
				if !m.unread[class] {
					shown[class] = maps.Clone(m.rows[class])
				}
			}
			moments = append(moments, moment{s.summary(device).CollectedAt, maps.Clone(shown)})
		}
		r.Repeat(map[string]func(*rapid.T){
			"change": func(r *rapid.T) {
				class := rapid.SampledFrom(classes).Draw(r, "class")
				for range rapid.IntRange(1, 4).Draw(r, "n") {
					row := software(fmt.Sprint("n", rapid.IntRange(0, 6).Draw(r, "name")), fmt.Sprint(rapid.IntRange(0, 3).Draw(r, "version")))
					switch class {
					case wire.ClassService:
						row = service(fmt.Sprint("s", rapid.IntRange(0, 4).Draw(r, "name")), rapid.SampledFrom([]string{"running", "failed"}).Draw(r, "state"))
					case wire.ClassBios:
						row = map[string]any{"Version": fmt.Sprint(rapid.IntRange(0, 3).Draw(r, "version")), "SecureBoot": true}
					}
					text, _ := rowhash.Marshal(nil, row)
					hash := rowhash.Row(class, text)
					if _, has := m.rows[class][hash]; has {
						m.drop(class, hash)
					} else {
						m.put(class, row)
					}
				}
			},
			"read": func(r *rapid.T) {
				class := rapid.SampledFrom(classes).Draw(r, "class")
				if m.unread[class] {
					delete(m.unread, class)
				} else {
					m.unread[class] = true
				}
			},
			"delta": func(*rapid.T) { last = m.delta(); get(last) },
			"full":  func(*rapid.T) { last = m.full(); get(last) },
			"lost":  func(*rapid.T) { m.delta() },
			"repeated": func(r *rapid.T) {
				// Under another key, after a new incarnation: the base fits no
				// more, or nothing changes, or an older full comes again.
				if last.Kind != wire.InventoryDelta || last.Base == last.Result {
					r.Skip("nothing to repeat")
				}
				wanted := s.wanted
				if err := s.process(device, last); err != nil || s.wanted != wanted+1 {
					r.Fatalf("a repeated delta: %v", err)
				}
			},
			"": func(r *rapid.T) {
				for _, class := range classes {
					if got, want := s.rows(device, class, 0), texts(shown[class]); !slices.Equal(got, want) {
						r.Fatalf("%s shows\n%v\nwant\n%v", class, got, want)
					}
				}
				if len(moments) == 0 {
					return
				}
				at := rapid.SampledFrom(moments).Draw(r, "moment")
				for _, class := range classes {
					if got, want := s.rows(device, class, at.time), texts(at.rows[class]); !slices.Equal(got, want) {
						r.Fatalf("%s at %d shows\n%v\nwant\n%v", class, at.time, got, want)
					}
				}
			},
		})
		s.checkHistory(r, device, shown, classes)
	})
}

// checkHistory undoes the history from now on, page by page, and comes to
// nothing.
func (s *server) checkHistory(t interface{ Fatalf(string, ...any) }, device string, shown map[string]map[rowhash.Hash]string, classes []string) {
	now := map[string][]string{}
	for _, class := range classes {
		now[class] = texts(shown[class])
	}
	var all []Change
	for q := (HistoryQuery{Page: Page{Limit: 3}}); ; {
		page, next := s.history(device, q)
		if len(page) > 3 || next != "" && len(page) == 0 {
			t.Fatalf("a page of %d changes", len(page))
		}
		all = append(all, page...)
		if next == "" {
			break
		}
		q.Cursor = next
	}
	whole, _ := s.history(device, HistoryQuery{})
	if !reflect.DeepEqual(append([]Change{}, all...), append([]Change{}, whole...)) {
		t.Fatalf("pages give\n%+v\nand one page\n%+v", all, whole)
	}
	for _, c := range all {
		if c.Values != nil {
			i := slices.Index(now[c.Class], string(c.Values))
			if i < 0 {
				t.Fatalf("history adds %s, which is not there", c.Values)
			}
			now[c.Class] = slices.Delete(now[c.Class], i, i+1)
		}
		if c.Before != nil {
			now[c.Class] = append(now[c.Class], string(c.Before))
		}
	}
	for class, left := range now {
		if len(left) > 0 {
			t.Fatalf("%s is left with %v when history is undone", class, left)
		}
	}
}
