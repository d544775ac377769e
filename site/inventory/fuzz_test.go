package inventory

import (
	"context"
	"encoding/json"
	"errors"
	"testing"

	"mainstay/lib/fault"
	"mainstay/lib/rowhash"
	"mainstay/site/sitedb"
	"mainstay/wire"
)

var errUndo = errors.New("undo")

// FuzzReports gives a device any two reports, one after the other. Whatever
// they say, nothing panics, what is refused is Invalid, and what the site has
// afterwards has the hash that it says.
func FuzzReports(f *testing.F) {
	m := newMachine()
	m.put(wire.ClassService, service("ssh", "running"))
	m.put("X", map[string]any{"a": map[string]any{"b": []int{1, 2}}, "c": "é\"\\\n"})
	full, _ := json.Marshal(m.full())
	m.put(wire.ClassService, service("cron", "failed"))
	m.unread["X"] = true
	delta, _ := json.Marshal(m.delta())
	again, _ := json.Marshal(m.full())
	f.Add(full, delta)
	f.Add(full, again)
	f.Add(delta, full)
	f.Add([]byte(`{"kind":"full","result":"`+rowhash.Tables(nil).String()+`"}`), delta)
	f.Add([]byte(`{}`), []byte(`null`))
	s := newServer(f)
	f.Fuzz(func(t *testing.T, one, two []byte) {
		ctx := context.Background()
		err := s.db.Write(ctx, func(tx *sitedb.Tx) error {
			for i, body := range [][]byte{one, two} {
				err := tx.Try(ctx, func() error {
					return s.p.Process(ctx, tx, "d", wire.Message{Body: body}, int64(i+1)*1000)
				})
				if err != nil && !fault.Is(err, fault.Invalid) {
					t.Errorf("a report ended with %v", err)
				}
				s.checkHash(ctx, t, tx)
			}
			return errUndo
		})
		if !errors.Is(err, errUndo) {
			t.Errorf("the transaction ended with %v", err)
		}
	})
}

// checkHash computes the hash of what is stored from its rows.
func (s *server) checkHash(ctx context.Context, t *testing.T, tx *sitedb.Tx) {
	t.Helper()
	d, ok, err := readDevice.One(ctx, tx, byDevice{"d"})
	if err != nil {
		t.Fatal(err)
	}
	if !ok {
		return
	}
	classes, err := readClasses.All(ctx, tx, byNumber{Device: d.Number})
	if err != nil {
		t.Fatal(err)
	}
	sets := map[string]rowhash.Sum{}
	for _, c := range classes {
		rows, err := readRows.All(ctx, tx, rowsQuery{Device: d.Number, Class: c.Class})
		if err != nil {
			t.Fatal(err)
		}
		hashes := make([]rowhash.Hash, 0, len(rows))
		for _, row := range rows {
			hashes = append(hashes, rowhash.Row(c.Class, []byte(row.Row)))
			columns := 0
			eachColumn([]byte(row.Row), func(name, value []byte) {
				columns++
				if len(value) == 0 || !json.Valid(value) {
					t.Errorf("column %s of %s is read as %q", name, row.Row, value)
				}
			})
			var object map[string]any
			if json.Unmarshal([]byte(row.Row), &object) != nil || len(object) != columns {
				t.Errorf("%d columns are read of %s", columns, row.Row)
			}
		}
		if int64(len(rows)) != c.Items || rowhash.Set(hashes) != rowhash.Sum(c.Hash) {
			t.Errorf("class %s has %d rows and says %d, or another hash", c.Class, len(rows), c.Items)
		}
		if c.Counted {
			sets[c.Class] = rowhash.Sum(c.Hash)
		}
	}
	if sum := rowhash.Tables(sets).String(); sum != d.Hash {
		t.Errorf("the site has %s and says %s", sum, d.Hash)
	}
}

// FuzzDecodeReport holds the decoder to its limits: what it takes has rows in
// canonical form under their hashes, in order, each once.
func FuzzDecodeReport(f *testing.F) {
	m := newMachine()
	m.put(wire.ClassService, service("ssh", "running"))
	m.put("X", map[string]any{"a": map[string]any{"b": []int{1, 2}}, "c": "é\"\\\n"})
	full, _ := json.Marshal(m.full())
	m.rows["X"] = nil
	delta, _ := json.Marshal(m.delta())
	f.Add(full)
	f.Add(delta)
	f.Add([]byte(`{"kind":"full","base":"","classes":{"X":{"add":[{"a":1},{"a":1}]}},"unread":["Y"],"errors":[{"class":"c","text":"t"}],"result":"` + rowhash.Tables(nil).String() + `"}`))
	classes := NewProcessor(ProcessorConfig{}).classes
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := decodeReport(body, classes)
		if err != nil {
			if !fault.Is(err, fault.Invalid) {
				t.Errorf("refused with %v", err)
			}
			return
		}
		if len(r.changes) > wire.MaxInventoryClasses || !isSum(r.result) || !json.Valid([]byte(r.errors)) {
			t.Errorf("accepted %+v", r)
		}
		for class, c := range r.changes {
			for i, added := range c.add {
				canonical, err := rowhash.Canonical(nil, added.json)
				if err != nil || string(canonical) != string(added.json) || rowhash.Row(class, added.json) != added.hash {
					t.Errorf("%s: row %s under %s: %v", class, added.json, added.hash, err)
				}
				if i > 0 && rowhash.Compare(c.add[i-1].hash, added.hash) >= 0 {
					t.Errorf("%s: rows are out of order", class)
				}
				var object map[string]json.RawMessage
				if err := json.Unmarshal(added.json, &object); err != nil {
					t.Errorf("row %s: %v", added.json, err)
				}
				columns := 0
				eachColumn(added.json, func(_, value []byte) {
					if columns++; len(value) == 0 || !json.Valid(value) {
						t.Errorf("value %q of %s", value, added.json)
					}
				})
				if columns != len(object) {
					t.Errorf("%d columns are read of %s", columns, added.json)
				}
			}
			if r.full && len(c.remove) > 0 {
				t.Error("a full report removes rows")
			}
		}
	})
}
