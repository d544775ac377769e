package inventory

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"mainstay/lib/fault"
	"mainstay/lib/rowhash"
	"mainstay/lib/sqldb"
	"mainstay/site/access"
	"mainstay/site/sitedb"
	"mainstay/wire"
)

// count counts the rows of a table.
func (s *server) count(table string) int64 {
	s.t.Helper()
	return read(s, func(tx *sitedb.Tx) (int64, error) {
		rows, err := tx.Query(context.Background(), "SELECT count(*) FROM "+table)
		if err != nil {
			return 0, err
		}
		var n int64
		return n, sqldb.ScanRows(rows, []any{&n}, func(struct{}) error { return nil })
	})
}

func TestRowsArePagedInTheOrderOfTheirKeys(t *testing.T) {
	t.Parallel()
	s, m := newServer(t), newMachine()
	for i := range 25 {
		m.put(wire.ClassListeningPort, map[string]any{"Protocol": "tcp", "LocalAddress": "::", "LocalPort": (i * 7919) % 65536})
	}
	s.must("d", m.full())
	var ports []string
	page := Page{Limit: 10}
	for pages := 1; ; pages++ {
		next := ""
		rows := read(s, func(tx *sitedb.Tx) (rows []Row, err error) {
			rows, next, err = Rows(t.Context(), tx, access.Everything(), "d", "port", 0, page)
			return rows, err
		})
		for _, row := range rows {
			eachColumn(row.Values, func(name, value []byte) {
				if string(name) == "LocalPort" {
					ports = append(ports, fmt.Sprintf("%05s", value))
				}
			})
		}
		if next == "" {
			if pages != 3 {
				t.Errorf("%d pages, want 3", pages)
			}
			break
		}
		// The row that the next page begins after goes away meanwhile.
		if pages == 1 {
			m.drop(wire.ClassListeningPort, rowhash.Row(wire.ClassListeningPort, rows[9].Values))
			s.must("d", m.delta())
		}
		page.Cursor = next
	}
	for i := 1; i < len(ports); i++ {
		if ports[i-1] >= ports[i] {
			t.Errorf("ports are out of order: %v", ports)
		}
	}
	if len(ports) != 25 {
		t.Errorf("%d ports, want 25", len(ports))
	}
	for _, cursor := range []string{"x", "999999"} {
		err := s.db.Read(t.Context(), func(tx *sitedb.Tx) error {
			_, _, err := Rows(t.Context(), tx, access.Everything(), "d", "port", 0, Page{Cursor: cursor})
			return err
		})
		if !fault.Is(err, fault.Invalid) {
			t.Errorf("cursor %q: %v, want invalid", cursor, err)
		}
	}
}

func TestNobodySeesNothing(t *testing.T) {
	t.Parallel()
	s, m := newServer(t), newMachine()
	m.put(wire.ClassService, service("ssh", "running"))
	s.must("d", m.full())
	for name, scope := range map[string]access.Scope{"nobody": {}, "everything": access.Everything()} {
		err := s.db.Read(t.Context(), func(tx *sitedb.Tx) error {
			rows, _, err := Rows(t.Context(), tx, scope, "d", "Service", 0, Page{})
			if err != nil {
				return err
			}
			changes, _, err := History(t.Context(), tx, scope, "d", HistoryQuery{})
			if err != nil {
				return err
			}
			summary, err := Summarize(t.Context(), tx, scope, "d")
			want := map[string]int{"nobody": 0, "everything": 1}[name]
			if len(rows) != want || len(changes) != want || len(summary.Classes) != want {
				t.Errorf("%s sees %d rows, %d changes, %d classes", name, len(rows), len(changes), len(summary.Classes))
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if list, _ := s.history("unknown", HistoryQuery{}); len(list) != 0 {
		t.Errorf("a device without inventory has a history: %v", list)
	}
}

func TestHistoryBoundsAndCursors(t *testing.T) {
	t.Parallel()
	s, m := newServer(t), newMachine()
	var times []int64
	for i := range 4 {
		m.put(wire.ClassService, service(fmt.Sprint("s", i), "running"))
		m.put("Other", map[string]any{"n": i})
		if i == 0 {
			s.must("d", m.full())
		} else {
			s.must("d", m.delta())
		}
		times = append(times, m.time)
	}
	for _, test := range []struct {
		name string
		q    HistoryQuery
		want int
	}{
		{"all", HistoryQuery{}, 8},
		{"one class", HistoryQuery{Class: "Services"}, 4},
		{"since", HistoryQuery{Since: times[2]}, 4},
		{"before", HistoryQuery{Before: times[2]}, 4},
		{"between", HistoryQuery{Since: times[1], Before: times[2]}, 2},
		{"class that does not exist", HistoryQuery{Class: "None"}, 0},
	} {
		if list, _ := s.history("d", test.q); len(list) != test.want {
			t.Errorf("%s: %d changes, want %d", test.name, len(list), test.want)
		}
	}
	for _, cursor := range []string{"x", "1", "-1.0", "1.-1", "9223372036854775807.0"} {
		err := s.db.Read(t.Context(), func(tx *sitedb.Tx) error {
			_, _, err := History(t.Context(), tx, access.Everything(), "d", HistoryQuery{Page: Page{Cursor: cursor}})
			return err
		})
		if !fault.Is(err, fault.Invalid) {
			t.Errorf("cursor %q: %v, want invalid", cursor, err)
		}
	}
}

func TestCleanEndsHistory(t *testing.T) {
	t.Parallel()
	s, m := newServer(t), newMachine()
	now := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	day := func(n int) int64 { return now.AddDate(0, 0, n).UnixMicro() }
	kept := m.put(wire.ClassService, service("kept", "running"))
	old := m.put(wire.ClassService, service("old", "running"))
	recent := m.put(wire.ClassService, service("recent", "running"))
	m.time = day(-200)
	s.must("d", m.full())
	m.drop(wire.ClassService, old)
	m.time = day(-91)
	s.must("d", m.delta())
	m.drop(wire.ClassService, recent)
	m.time = day(-89)
	s.must("d", m.delta())
	if err := Clean(t.Context(), s.db, now); err != nil {
		t.Fatal(err)
	}
	if rows := s.rows("d", "Service", 0); len(rows) != 1 || rows[0] != m.rows[wire.ClassService][kept] {
		t.Errorf("now: %v", rows)
	}
	if items, facts, reports := s.count("inventory_item"), s.count("inventory_fact"), s.count("inventory_report"); items != 2 || facts != 2 || reports != 1 {
		t.Errorf("%d items, %d facts and %d reports are left, want 2, 2 and 1", items, facts, reports)
	}
	list, _ := s.history("d", HistoryQuery{})
	if len(list) != 3 || list[0].Kind != Removed || !strings.Contains(string(list[0].Before), "recent") {
		t.Errorf("history %+v", list)
	}
	// What is left is still a base.
	m.put(wire.ClassService, service("new", "running"))
	m.time = now.UnixMicro()
	s.must("d", m.delta())
	if s.wanted != 0 {
		t.Error("cleaning broke the base of deltas")
	}
}
