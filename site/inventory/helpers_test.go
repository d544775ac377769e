package inventory

import (
	"context"
	"encoding/json"
	"maps"
	"path/filepath"
	"slices"
	"testing"

	"mainstay/lib/rowhash"
	"mainstay/site/access"
	"mainstay/site/sitedb"
	"mainstay/wire"
)

// machine is a client's side: what it has, and what it believes the site to
// have.
type machine struct {
	rows   map[string]map[rowhash.Hash]string // class → rows
	base   map[string]map[rowhash.Hash]string
	unread map[string]bool
	time   int64
}

func newMachine() *machine {
	return &machine{rows: map[string]map[rowhash.Hash]string{}, base: map[string]map[rowhash.Hash]string{}, unread: map[string]bool{}, time: 1000}
}

func (m *machine) put(class string, row map[string]any) rowhash.Hash {
	text, err := rowhash.Marshal(nil, row)
	if err != nil {
		panic(err)
	}
	hash := rowhash.Row(class, text)
	if m.rows[class] == nil {
		m.rows[class] = map[rowhash.Hash]string{}
	}
	m.rows[class][hash] = string(text)
	return hash
}

func (m *machine) drop(class string, hash rowhash.Hash) { delete(m.rows[class], hash) }

func sumOf(rows map[string]map[rowhash.Hash]string) string {
	sets := map[string]rowhash.Sum{}
	for class, set := range rows {
		if len(set) > 0 {
			sets[class] = rowhash.Set(slices.Collect(maps.Keys(set)))
		}
	}
	return rowhash.Tables(sets).String()
}

// full reports everything that can be read.
func (m *machine) full() wire.InventoryReport {
	m.base = map[string]map[rowhash.Hash]string{}
	r := m.delta()
	r.Kind, r.Base = wire.InventoryFull, ""
	return r
}

// delta reports what differs from the base.
func (m *machine) delta() wire.InventoryReport {
	m.time += 1000
	r := wire.InventoryReport{Kind: wire.InventoryDelta, Base: sumOf(m.base), Classes: map[string]wire.InventoryChange{}, CollectedAt: m.time}
	next := map[string]map[rowhash.Hash]string{}
	classes := map[string]bool{}
	for class := range m.rows {
		classes[class] = true
	}
	for class := range m.base {
		classes[class] = true
	}
	for class := range m.unread {
		r.Unread = append(r.Unread, class)
	}
	slices.Sort(r.Unread)
	for class := range classes {
		if m.unread[class] {
			if len(m.base[class]) > 0 {
				next[class] = m.base[class]
			}
			continue
		}
		next[class] = maps.Clone(m.rows[class])
		var change wire.InventoryChange
		for hash, row := range m.rows[class] {
			if _, had := m.base[class][hash]; !had {
				change.Add = append(change.Add, json.RawMessage(row))
			}
		}
		for hash := range m.base[class] {
			if _, has := m.rows[class][hash]; !has {
				change.Remove = append(change.Remove, hash.String())
			}
		}
		if len(change.Add)+len(change.Remove) > 0 {
			r.Classes[class] = change
		}
	}
	m.base = next
	r.Result = sumOf(next)
	return r
}

// server is the site's side.
type server struct {
	t      testing.TB
	db     *sitedb.DB
	p      *Processor
	wanted int
	hash   string
}

func newServer(t testing.TB) *server {
	t.Helper()
	db, err := sitedb.Open(context.Background(), sitedb.Config{Path: filepath.Join(t.TempDir(), "site.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	s := &server{t: t, db: db}
	s.p = NewProcessor(ProcessorConfig{
		WantFull:    func(context.Context, *sitedb.Tx, string) error { s.wanted++; return nil },
		OnInventory: func(_ context.Context, _ *sitedb.Tx, _, hash string, _ int64) error { s.hash = hash; return nil },
	})
	return s
}

func (s *server) process(device string, r wire.InventoryReport) error {
	body, err := json.Marshal(r)
	if err != nil {
		s.t.Fatal(err)
	}
	return s.processBody(device, body, r.CollectedAt+10)
}

func (s *server) processBody(device string, body []byte, receivedAt int64) error {
	return s.db.Write(context.Background(), func(tx *sitedb.Tx) error {
		return s.p.Process(context.Background(), tx, device, wire.Message{Body: body}, receivedAt)
	})
}

func (s *server) must(device string, r wire.InventoryReport) {
	s.t.Helper()
	if err := s.process(device, r); err != nil {
		s.t.Fatal(err)
	}
}

func read[T any](s *server, f func(tx *sitedb.Tx) (T, error)) T {
	s.t.Helper()
	var out T
	err := s.db.Read(context.Background(), func(tx *sitedb.Tx) (err error) {
		out, err = f(tx)
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return out
}

// rows are the rows of a class as texts, sorted.
func (s *server) rows(device, class string, at int64) []string {
	s.t.Helper()
	rows := read(s, func(tx *sitedb.Tx) ([]Row, error) {
		rows, _, err := Rows(context.Background(), tx, access.Everything(), device, class, at, Page{})
		return rows, err
	})
	texts := []string{}
	for _, row := range rows {
		texts = append(texts, string(row.Values))
	}
	slices.Sort(texts)
	return texts
}

func (s *server) summary(device string) Summary {
	s.t.Helper()
	return read(s, func(tx *sitedb.Tx) (Summary, error) {
		return Summarize(context.Background(), tx, access.Everything(), device)
	})
}

func (s *server) history(device string, q HistoryQuery) ([]Change, string) {
	s.t.Helper()
	next := ""
	return read(s, func(tx *sitedb.Tx) (list []Change, err error) {
		list, next, err = History(context.Background(), tx, access.Everything(), device, q)
		return list, err
	}), next
}

// texts are the rows of a set, sorted.
func texts(set map[rowhash.Hash]string) []string {
	return append([]string{}, slices.Sorted(maps.Values(set))...)
}

func software(name, version string) map[string]any {
	return map[string]any{"Name": name, "Version": version, "Architecture": "amd64", "Source": "dpkg", "Status": "installed", "Held": false}
}

func service(name, state string) map[string]any {
	return map[string]any{"Name": name, "StartMode": "enabled", "State": state}
}
