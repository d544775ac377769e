package inventory

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"mainstay/lib/fault"
	"mainstay/lib/sqldb"
	"mainstay/site/access"
	"mainstay/site/sitedb"
	"mainstay/wire"
)

// Summary says what is known of a device.
type Summary struct {
	// CollectedAt is when the newest report was collected, held to the order of
	// time; ReceivedAt when the site got it. Both 0 before the first.
	CollectedAt, ReceivedAt int64
	// Hash is the result of the newest report.
	Hash string
	// Classes are those with rows, in the order of wire.InventoryClasses, then
	// unknown ones by name.
	Classes []ClassSummary
	// Errors is what the client could not read for the newest report.
	Errors []wire.CollectorError
}

// ClassSummary says how much is known of one class.
type ClassSummary struct {
	Class string
	Rows  int64
	// ChangedAt is when a row was last added or removed.
	ChangedAt int64
	// Unread tells that the client could not read the class for its last full
	// report: the rows are those of before.
	Unread bool
}

// Summarize says what is known of a device. A device that has not reported has
// an empty summary.
func Summarize(ctx context.Context, tx *sitedb.Tx, scope access.Scope, device string) (Summary, error) {
	s := Summary{Classes: []ClassSummary{}, Errors: []wire.CollectorError{}}
	row, ok, err := visible(ctx, tx, scope, device)
	if err != nil || !ok {
		return s, err
	}
	s.CollectedAt, s.ReceivedAt, s.Hash = row.Time, row.ReceivedAt, row.Hash
	classes, err := readClasses.All(ctx, tx, byNumber{Device: row.Number})
	if err != nil {
		return s, err
	}
	for _, c := range classes {
		s.Classes = append(s.Classes, ClassSummary{c.Class, c.Items, c.ChangedAt, !c.Counted})
	}
	rank := map[string]int{}
	for i, class := range wire.InventoryClasses() {
		rank[class.Name] = i + 1
	}
	place := func(class string) int { return cmp.Or(rank[class], len(rank)+1) }
	slices.SortFunc(s.Classes, func(a, b ClassSummary) int {
		return cmp.Or(place(a.Class)-place(b.Class), strings.Compare(a.Class, b.Class))
	})
	newest, _, err := newestReport.One(ctx, tx, byDevice{device})
	if err == nil && newest.Errors != "" {
		err = json.Unmarshal([]byte(newest.Errors), &s.Errors)
	}
	return s, err
}

// visible reads a device's row if the scope shows it.
func visible(ctx context.Context, tx *sitedb.Tx, scope access.Scope, device string) (deviceRow, bool, error) {
	if !scope.SeesAll() {
		return deviceRow{}, false, nil
	}
	return readDevice.One(ctx, tx, byDevice{device})
}

// Row is a row of a device's inventory.
type Row struct {
	// Since is when it came; Until when it went, 0 if it is still there.
	Since, Until int64
	// Values is the row as the client reported it: a JSON object by column.
	Values json.RawMessage
}

// Page asks for a part of a list.
type Page struct {
	// Cursor is what the page before returned; empty for the first.
	Cursor string
	// Limit is the number of rows; 0 means all.
	Limit int
}

// Rows lists the rows of one class of a device, sorted by their key columns, as
// they are or, with at (microseconds), as they were then, and the cursor of the
// next page, empty on the last. Class is a name or an alias of it.
func Rows(ctx context.Context, tx *sitedb.Tx, scope access.Scope, device, class string, at int64, page Page) ([]Row, string, error) {
	out := []Row{}
	d, ok, err := visible(ctx, tx, scope, device)
	if err != nil || !ok {
		return out, "", err
	}
	name, keys := nameOf(class)
	statement := readRows
	if at > 0 {
		statement = readRowsAt
	}
	found, err := statement.All(ctx, tx, rowsQuery{d.Number, name, at})
	if err != nil {
		return out, "", err
	}
	for i := range found {
		found[i].key = keyOf(found[i].Row, keys)
	}
	slices.SortFunc(found, func(a, b storedRow) int { return cmp.Or(strings.Compare(a.key, b.key), cmp.Compare(a.Item, b.Item)) })
	start, err := after(ctx, tx, found, page.Cursor, keys)
	if err != nil {
		return out, "", err
	}
	next := ""
	for _, row := range found[start:] {
		if page.Limit > 0 && len(out) == page.Limit {
			next = strconv.FormatInt(found[start+len(out)-1].Item, 10)
			break
		}
		out = append(out, Row{row.Since, row.Until, json.RawMessage(row.Row)})
	}
	return out, next, nil
}

// after is where the page after a cursor begins. The cursor is the item of the
// last row shown; if the device has it no more, its key tells the place.
func after(ctx context.Context, tx *sitedb.Tx, rows []storedRow, cursor string, keys []string) (int, error) {
	if cursor == "" {
		return 0, nil
	}
	id, err := strconv.ParseInt(cursor, 10, 64)
	if err != nil {
		return 0, fault.InvalidField("cursor", "%.40q is not one that this list has given", cursor)
	}
	last := storedRow{Item: id}
	found, ok, err := readItem.One(ctx, tx, itemRow{ID: id})
	if err != nil {
		return 0, err
	}
	if !ok {
		return 0, fault.InvalidField("cursor", "the list has changed too much since the page before; begin again")
	}
	last.key = keyOf(found.Row, keys)
	start, _ := slices.BinarySearchFunc(rows, last, func(a, b storedRow) int {
		return cmp.Or(strings.Compare(a.key, b.key), cmp.Compare(a.Item, b.Item+1))
	})
	return start, nil
}

// nameOf is the name of a class and its key columns. A class that is not known
// has its own name and no keys.
func nameOf(class string) (string, []string) {
	if known, ok := wire.InventoryClassNamed(class); ok {
		return known.Name, known.KeyColumns
	}
	return class, nil
}

// keyOf is the text by which a row is sorted and found again when it changes.
// Numbers get the same width.
func keyOf(row string, keys []string) string {
	if len(keys) == 0 {
		return ""
	}
	values := make([]string, len(keys))
	eachColumn([]byte(row), func(name, value []byte) {
		for i, key := range keys {
			if string(name) == key {
				values[i] = sortable(value)
			}
		}
	})
	return strings.Join(values, "\x00")
}

func sortable(value []byte) string {
	text := string(value)
	if value[0] != '"' && len(text) < 20 {
		return strings.Repeat("0", 20-len(text)) + text
	}
	return strings.ToLower(text) + "\x01" + text
}

type rowsQuery struct {
	Device int64  `db:"device"`
	Class  string `db:"class"`
	At     int64  `db:"at"`
}

type storedRow struct {
	Item  int64  `db:"item"`
	Class string `db:"class"`
	Since int64  `db:"since"`
	Until int64  `db:"until"`
	Row   string `db:"row"`
	key   string
}

var (
	newestReport = sqldb.Define[byDevice, reportRow]("inventory.newestReport",
		`SELECT device, time, received_at, kind, added, removed, errors FROM inventory_report
		 WHERE device = @device ORDER BY time DESC LIMIT 1`)
	readRows = sqldb.Define[rowsQuery, storedRow]("inventory.readRows",
		`SELECT f.item, i.class, f.since, f.until, i.row FROM inventory_fact f JOIN inventory_item i ON i.id = f.item
		 WHERE f.device = @device AND f.until = 0 AND i.class = @class`)
	readRowsAt = sqldb.Define[rowsQuery, storedRow]("inventory.readRowsAt",
		`SELECT f.item, i.class, f.since, f.until, i.row FROM inventory_fact f JOIN inventory_item i ON i.id = f.item
		 WHERE f.device = @device AND f.since <= @at AND (f.until = 0 OR f.until > @at) AND i.class = @class`)
	readItem = sqldb.Define[itemRow, itemRow]("inventory.readItem",
		`SELECT id, class, row FROM inventory_item WHERE id = @id`)
)
