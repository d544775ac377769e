package inventory

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"mainstay/lib/fault"
	"mainstay/lib/sqldb"
	"mainstay/site/access"
	"mainstay/site/sitedb"
	"mainstay/wire"
)

// Kinds of changes.
const (
	Added   = "added"
	Removed = "removed"
	Changed = "changed"
)

// Change is what happened to one row of a device.
type Change struct {
	// Time is when the report that showed it was collected.
	Time  int64
	Class string
	// Kind is Added, Removed or Changed.
	Kind string
	// Values is the row that came, Before the one that went; both when a row
	// with the same key columns has other values now.
	Values, Before json.RawMessage
	// Columns are the names of the columns that differ, when both are there.
	Columns []string
}

// HistoryQuery selects changes.
type HistoryQuery struct {
	// Class is a name or an alias of a class; empty for all.
	Class string
	// Since and Before bound the time (microseconds): at or after Since, before
	// Before; 0 for no bound.
	Since, Before int64
	Page
}

// History lists what has changed on a device, the newest first, and the cursor
// of the next page, empty on the last.
func History(ctx context.Context, tx *sitedb.Tx, scope access.Scope, device string, q HistoryQuery) ([]Change, string, error) {
	out := []Change{}
	d, ok, err := visible(ctx, tx, scope, device)
	if err != nil || !ok {
		return out, "", err
	}
	before, skip, err := parseMark(q)
	if err != nil {
		return out, "", err
	}
	name := ""
	if q.Class != "" {
		name, _ = nameOf(q.Class)
	}
	events, err := readEvents(ctx, tx, eventsQuery{d.Number, name, q.Since, before})
	if err != nil {
		return out, "", err
	}
	for len(events) > 0 {
		// All of one moment belongs together, because a row that went and one
		// that came may be the same thing.
		n := 1
		for n < len(events) && events[n].time == events[0].time {
			n++
		}
		changes, err := pair(ctx, tx, events[:n], skip, room(q.Limit, len(out)))
		if err != nil {
			return out, "", err
		}
		out = append(out, changes.list...)
		if changes.more {
			return out, fmt.Sprintf("%d.%d", events[0].time, skip+len(changes.list)), nil
		}
		events, skip = events[n:], 0
		if q.Limit > 0 && len(out) == q.Limit && len(events) > 0 {
			return out, fmt.Sprintf("%d.0", events[0].time), nil
		}
	}
	return out, "", nil
}

func room(limit, taken int) int {
	if limit == 0 {
		return int(^uint(0) >> 1)
	}
	return limit - taken
}

// parseMark reads a cursor: a moment, and how much of it was shown.
func parseMark(q HistoryQuery) (before int64, skip int, err error) {
	before = q.Before
	if before == 0 {
		before = 1<<63 - 1
	}
	if q.Cursor == "" {
		return before, 0, nil
	}
	var time int64
	n, err := fmt.Sscanf(q.Cursor, "%d.%d", &time, &skip)
	if err != nil || n != 2 || time < 0 || skip < 0 || time == 1<<63-1 {
		return 0, 0, fault.InvalidField("cursor", "%.40q is not one that this list has given", q.Cursor)
	}
	return min(before, time+1), skip, nil
}

// event is a row that came or went.
type event struct {
	time  int64
	class string
	item  int64
	came  bool
}

// readEvents reads what came and went, without the rows, the newest first.
func readEvents(ctx context.Context, tx *sitedb.Tx, q eventsQuery) ([]event, error) {
	statement := readFacts
	if q.Class != "" {
		statement = readClassFacts
	}
	var events []event
	err := statement.Each(ctx, tx, q, func(f storedRow) error {
		if f.Since >= q.Since && f.Since < q.Before {
			events = append(events, event{f.Since, f.Class, f.Item, true})
		}
		if f.Until > 0 && f.Until >= q.Since && f.Until < q.Before {
			events = append(events, event{f.Until, f.Class, f.Item, false})
		}
		return nil
	})
	slices.SortFunc(events, func(a, b event) int {
		return cmp.Or(cmp.Compare(b.time, a.time), strings.Compare(a.class, b.class), cmp.Compare(a.item, b.item))
	})
	return events, err
}

// changes is a part of what happened at one moment.
type changes struct {
	list []Change
	// more tells that there are others.
	more bool
}

// pair makes changes of the events of one moment and returns those after skip,
// at most limit.
func pair(ctx context.Context, tx *sitedb.Tx, events []event, skip, limit int) (changes, error) {
	if skip >= len(events) {
		return changes{}, nil
	}
	both := map[string][2]bool{}
	for _, e := range events {
		seen := both[e.class]
		seen[map[bool]int{true: 1}[e.came]] = true
		both[e.class] = seen
	}
	slots := make([]slot, 0, len(events))
	for len(events) > 0 {
		n := 1
		for n < len(events) && events[n].class == events[0].class {
			n++
		}
		ofClass, err := pairClass(ctx, tx, events[:n], both[events[0].class] == [2]bool{true, true})
		if err != nil {
			return changes{}, err
		}
		slots = append(slots, ofClass...)
		events = events[n:]
	}
	slots = slots[min(skip, len(slots)):]
	c := changes{more: len(slots) > limit}
	if c.more {
		slots = slots[:limit]
	}
	for _, s := range slots {
		change, err := s.change(ctx, tx)
		if err != nil {
			return c, err
		}
		c.list = append(c.list, change)
	}
	return c, nil
}

// slot is a change whose rows are read when it is shown.
type slot struct {
	time       int64
	class      string
	came, went int64 // items; 0 for none
}

// sameThing names, for classes in which several versions of one thing may stand
// side by side, the columns that tell that one replaced the other.
var sameThing = map[string][]string{
	wire.ClassInstalledSoftware: {"Name", "Architecture", "Source"},
}

// pairClass puts together what went and what came with the same key columns.
func pairClass(ctx context.Context, tx *sitedb.Tx, events []event, mayPair bool) ([]slot, error) {
	class := events[0].class
	var came, went []int64
	for _, e := range events {
		if e.came {
			came = append(came, e.item)
		} else {
			went = append(went, e.item)
		}
	}
	pairs := map[int64]int64{} // came → went
	if mayPair {
		_, keys := nameOf(class)
		for _, by := range [][]string{keys, sameThing[class]} {
			if by == nil && keys != nil {
				continue
			}
			if err := pairBy(ctx, tx, by, came, went, pairs); err != nil {
				return nil, err
			}
		}
	}
	slots := make([]slot, 0, len(events))
	paired := map[int64]bool{}
	for _, item := range came {
		slots = append(slots, slot{events[0].time, class, item, pairs[item]})
		paired[pairs[item]] = true
	}
	for _, item := range went {
		if !paired[item] {
			slots = append(slots, slot{time: events[0].time, class: class, went: item})
		}
	}
	return slots, nil
}

// pairBy pairs what is left by the given columns.
func pairBy(ctx context.Context, tx *sitedb.Tx, columns []string, came, went []int64, pairs map[int64]int64) error {
	paired := map[int64]bool{}
	for _, item := range pairs {
		paired[item] = true
	}
	gone := map[string][]int64{}
	for _, item := range went {
		if paired[item] {
			continue
		}
		key, err := itemKey(ctx, tx, item, columns)
		if err != nil {
			return err
		}
		gone[key] = append(gone[key], item)
	}
	for _, item := range came {
		if pairs[item] != 0 {
			continue
		}
		key, err := itemKey(ctx, tx, item, columns)
		if err != nil {
			return err
		}
		if left := gone[key]; len(left) > 0 {
			pairs[item], gone[key] = left[0], left[1:]
		}
	}
	return nil
}

func itemKey(ctx context.Context, tx *sitedb.Tx, id int64, keys []string) (string, error) {
	row, _, err := readItem.One(ctx, tx, itemRow{ID: id})
	return keyOf(row.Row, keys), err
}

func (s slot) change(ctx context.Context, tx *sitedb.Tx) (Change, error) {
	c := Change{Time: s.time, Class: s.class, Kind: Added}
	for _, part := range []struct {
		id int64
		to *json.RawMessage
	}{{s.came, &c.Values}, {s.went, &c.Before}} {
		if part.id == 0 {
			continue
		}
		row, _, err := readItem.One(ctx, tx, itemRow{ID: part.id})
		if err != nil {
			return c, err
		}
		*part.to = json.RawMessage(row.Row)
	}
	switch {
	case s.came == 0:
		c.Kind = Removed
	case s.went != 0:
		c.Kind = Changed
		c.Columns = differing(c.Before, c.Values)
	}
	return c, nil
}

// differing names the columns in which two rows differ, sorted.
func differing(a, b []byte) []string {
	values := map[string]string{}
	eachColumn(a, func(name, value []byte) { values[string(name)] = string(value) })
	columns := []string{}
	eachColumn(b, func(name, value []byte) {
		if before, had := values[string(name)]; !had || before != string(value) {
			columns = append(columns, string(name))
		}
		delete(values, string(name))
	})
	for name := range values {
		columns = append(columns, name)
	}
	slices.Sort(columns)
	return columns
}

type eventsQuery struct {
	Device int64  `db:"device"`
	Class  string `db:"class"`
	Since  int64  `db:"since"`
	Before int64  `db:"before"`
}

var (
	readFacts = sqldb.Define[eventsQuery, storedRow]("inventory.readFacts",
		`SELECT f.item, i.class, f.since, f.until FROM inventory_fact f JOIN inventory_item i ON i.id = f.item
		 WHERE f.device = @device AND (f.since >= @since OR f.until >= @since) AND f.since < @before`)
	readClassFacts = sqldb.Define[eventsQuery, storedRow]("inventory.readClassFacts",
		`SELECT f.item, i.class, f.since, f.until FROM inventory_fact f JOIN inventory_item i ON i.id = f.item
		 WHERE f.device = @device AND (f.since >= @since OR f.until >= @since) AND f.since < @before AND i.class = @class`)
)
