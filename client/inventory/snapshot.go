package inventory

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"mainstay/lib/rowhash"
	"mainstay/wire"
)

// Row is one row: its canonical form and its hash within its class.
type Row struct {
	Hash rowhash.Hash
	JSON []byte
}

// Snapshot is what one collection has found.
type Snapshot struct {
	// Classes holds the rows of every class that has any, by name, in the
	// order of their hashes, each once.
	Classes map[string][]Row
	// Unread names the classes that could not be read, sorted.
	Unread []string
	// Errors says what went wrong.
	Errors []wire.CollectorError
	// CollectedAt is when the collection began, in microseconds since 1970.
	CollectedAt int64

	held map[string]uint64
}

// Hash is the hash of the inventory as the wire defines it, over the classes
// that could be read.
func (s *Snapshot) Hash() string {
	next := Baseline{Classes: map[string][]rowhash.Hash{}}
	for class, rows := range s.Classes {
		next.Classes[class] = hashesOf(rows)
	}
	return next.Hash()
}

// take adds what a source has brought.
func (s *Snapshot) take(from source, result outcome) {
	if result.err != nil {
		for _, class := range from.classes {
			s.Unread = append(s.Unread, class)
			s.fail(class, result.err.Error())
		}
		return
	}
	for _, e := range result.run.out.errors {
		s.fail(e.Class, e.Text)
	}
	if s.Classes == nil {
		s.Classes = map[string][]Row{}
	}
	for class, rows := range result.run.out.classes {
		s.Classes[class] = append(s.Classes[class], rows...)
	}
}

func (s *Snapshot) fail(class, text string) {
	if len(s.Errors) < wire.MaxInventoryErrors {
		s.Errors = append(s.Errors, wire.CollectorError{Class: class, Text: clean(text, wire.MaxInventoryErrorText)})
	}
}

// finish sorts the rows and drops those that stand twice.
func (s *Snapshot) finish() {
	for class, rows := range s.Classes {
		slices.SortFunc(rows, func(a, b Row) int { return rowhash.Compare(a.Hash, b.Hash) })
		s.Classes[class] = slices.CompactFunc(rows, func(a, b Row) bool { return a.Hash == b.Hash })
	}
	s.fit()
	slices.Sort(s.Unread)
	s.Unread = slices.Compact(s.Unread)
	slices.SortStableFunc(s.Errors, func(a, b wire.CollectorError) int { return strings.Compare(a.Class, b.Class) })
}

// fit cuts the largest class where all rows together are more than a report may
// hold. One that was larger would be refused again and again, and everything
// behind it would wait.
func (s *Snapshot) fit() {
	total, largest, most := 0, "", 0
	for _, class := range slices.Sorted(maps.Keys(s.Classes)) {
		size := 0
		for _, row := range s.Classes[class] {
			size += len(row.JSON)
		}
		if total += size; size > most {
			largest, most = class, size
		}
	}
	if total <= wire.MaxInventoryBytes {
		return
	}
	rows := s.Classes[largest]
	kept := len(rows)
	for kept > 0 && total > wire.MaxInventoryBytes {
		kept--
		total -= len(rows[kept].JSON)
	}
	s.Classes[largest] = rows[:kept]
	s.fail(largest, fmt.Sprintf("%d of %d rows are left out, because all rows together would have more than %d bytes", len(rows)-kept, len(rows), wire.MaxInventoryBytes))
	s.fit()
}

func hashesOf(rows []Row) []rowhash.Hash {
	hashes := make([]rowhash.Hash, len(rows))
	for i, row := range rows {
		hashes[i] = row.Hash
	}
	return hashes
}

// Full makes a report of everything in the snapshot, and the baseline that
// holds once it is queued.
func Full(s *Snapshot) (wire.InventoryReport, Baseline) {
	report, next := Diff(Baseline{}, s)
	report.Kind, report.Base = wire.InventoryFull, ""
	return report, next
}

// Diff makes a report of what differs between a baseline and a snapshot, and
// the baseline that holds once it is queued. Classes that the snapshot could
// not read stay as the baseline has them. No difference is a report without
// classes, which need not be sent; the next baseline is worth keeping even then
// for the values that it holds.
func Diff(base Baseline, s *Snapshot) (wire.InventoryReport, Baseline) {
	report := wire.InventoryReport{
		Kind:        wire.InventoryDelta,
		Base:        base.Hash(),
		Classes:     map[string]wire.InventoryChange{},
		Unread:      s.Unread,
		CollectedAt: s.CollectedAt,
		Errors:      s.Errors,
	}
	next := Baseline{Classes: map[string][]rowhash.Hash{}, Held: maps.Clone(s.held)}
	for class, rows := range s.Classes {
		change := diffRows(base.Classes[class], rows)
		if len(change.Add) > 0 || len(change.Remove) > 0 {
			report.Classes[class] = change
		}
		if len(rows) > 0 {
			next.Classes[class] = hashesOf(rows)
		}
	}
	for class, hashes := range base.Classes {
		switch {
		case slices.Contains(s.Unread, class):
			next.Classes[class] = hashes
		case len(s.Classes[class]) == 0:
			report.Classes[class] = diffRows(hashes, nil)
		}
	}
	report.Result = next.Hash()
	return report, next
}

// diffRows walks through both sides in the order of the hashes.
func diffRows(old []rowhash.Hash, rows []Row) wire.InventoryChange {
	var change wire.InventoryChange
	for len(old) > 0 || len(rows) > 0 {
		order := 0
		switch {
		case len(old) == 0:
			order = 1
		case len(rows) == 0:
			order = -1
		default:
			order = rowhash.Compare(old[0], rows[0].Hash)
		}
		switch {
		case order < 0:
			change.Remove = append(change.Remove, old[0].String())
			old = old[1:]
		case order > 0:
			change.Add = append(change.Add, json.RawMessage(rows[0].JSON))
			rows = rows[1:]
		default:
			old, rows = old[1:], rows[1:]
		}
	}
	return change
}

// sink gathers the rows of one run. Rows lie one behind the other in large
// blocks, since there are thousands of a few hundred bytes.
type sink struct {
	classes map[string][]Row
	errors  []wire.CollectorError
	block   []byte
	scratch []byte
}

const sinkBlock = 64 << 10

func newSink() *sink { return &sink{classes: map[string][]Row{}} }

func (s *sink) add(class string, row any) {
	rows := s.classes[class]
	if len(rows) >= wire.MaxInventoryRows {
		s.warn(class, fmt.Sprintf("there are more than %d rows; the rest is left out", wire.MaxInventoryRows))
		return
	}
	var err error
	s.scratch, err = rowhash.Marshal(s.scratch[:0], row)
	if err != nil {
		s.warn(class, fmt.Sprintf("a row is left out: %v", err))
		return
	}
	if cap(s.block)-len(s.block) < len(s.scratch) {
		s.block = make([]byte, 0, max(sinkBlock, len(s.scratch)))
	}
	start := len(s.block)
	s.block = append(s.block, s.scratch...)
	text := s.block[start:len(s.block):len(s.block)]
	s.classes[class] = append(rows, Row{Hash: rowhash.Row(class, text), JSON: text})
}

// warn keeps one text of a kind, however many rows have the same trouble.
func (s *sink) warn(class, text string) {
	e := wire.CollectorError{Class: class, Text: text}
	if len(s.errors) < wire.MaxInventoryErrors && !slices.Contains(s.errors, e) {
		s.errors = append(s.errors, e)
	}
}
