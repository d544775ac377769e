package inventory

import (
	"context"
	"encoding/hex"
	"slices"

	"mainstay/lib/fault"
	"mainstay/lib/rowhash"
	"mainstay/site/sitedb"
	"mainstay/wire"
)

// Topic is announced when an inventory was reported.
const Topic = "inventory"

// ProcessorConfig says whom a Processor tells.
type ProcessorConfig struct {
	// WantFull asks the device for a full report.
	WantFull func(ctx context.Context, tx *sitedb.Tx, device string) error
	// OnInventory is called with the hash of what the site has now, and when it
	// was received, in microseconds since 1970, UTC. May be nil.
	OnInventory func(ctx context.Context, tx *sitedb.Tx, device, hash string, at int64) error
}

// Processor applies inventory reports.
type Processor struct {
	config  ProcessorConfig
	classes map[string]wire.InventoryClass
}

// NewProcessor makes a Processor.
func NewProcessor(c ProcessorConfig) *Processor {
	p := &Processor{config: c, classes: map[string]wire.InventoryClass{}}
	for _, class := range wire.InventoryClasses() {
		p.classes[class.Name] = class
	}
	return p
}

// Process applies a report. One that does not fit what the site has asks for a
// full one and is done; one that contradicts itself is Invalid.
func (p *Processor) Process(ctx context.Context, tx *sitedb.Tx, device string, m wire.Message, receivedAt int64) error {
	r, err := decodeReport(m.Body, p.classes)
	if err != nil {
		return err
	}
	u := &update{tx: tx, report: r, receivedAt: receivedAt}
	if err := u.load(ctx, device); err != nil {
		return err
	}
	if !r.full && r.base != u.device.Hash {
		return p.config.WantFull(ctx, tx, device)
	}
	if !u.changesNothing() {
		fits, err := u.plan(ctx)
		if err != nil {
			return err
		}
		if !fits && r.full {
			return fault.InvalidField("result", "the rows of a full report have another hash")
		}
		if !fits {
			return p.config.WantFull(ctx, tx, device)
		}
	}
	if err := u.write(ctx); err != nil {
		return err
	}
	tx.Announce(Topic)
	if p.config.OnInventory == nil {
		return nil
	}
	return p.config.OnInventory(ctx, tx, device, r.result, receivedAt)
}

// update is the application of one report.
type update struct {
	tx         *sitedb.Tx
	report     *report
	receivedAt int64

	device  deviceRow
	classes map[string]classRow
	// time is when facts begin and end.
	time int64

	// What plan finds out.
	touched []classRow
	added   []newFact
	ended   []int64 // items
}

// newFact is a row that the device has now and had not before.
type newFact struct {
	class string
	row
}

func (u *update) load(ctx context.Context, device string) error {
	row, ok, err := readDevice.One(ctx, u.tx, byDevice{device})
	if err != nil {
		return err
	}
	u.device, u.classes = row, map[string]classRow{}
	u.time = u.report.collectedAt
	if u.time <= 0 || u.time > u.receivedAt {
		u.time = u.receivedAt
	}
	u.time = max(u.time, row.Time+1)
	if !ok {
		u.device = deviceRow{Device: device}
		return nil
	}
	rows, err := readClasses.All(ctx, u.tx, byNumber{Device: row.Number})
	for _, c := range rows {
		u.classes[c.Class] = c
	}
	return err
}

// changesNothing tells that the report says what is known.
func (u *update) changesNothing() bool {
	for class, c := range u.classes {
		if !c.Counted && !u.report.unread[class] {
			return false // read again
		}
	}
	if u.report.full {
		return u.device.Hash == u.report.result
	}
	return len(u.report.changes) == 0 && u.device.Hash == u.report.result
}

// plan finds out what is added and ended, and tells whether what comes out has
// the hash that the report says. It writes nothing.
func (u *update) plan(ctx context.Context) (fits bool, err error) {
	replaced := u.replaced()
	current, err := u.current(ctx, replaced)
	if err != nil {
		return false, err
	}
	sums := map[string]rowhash.Sum{}
	total := int64(0)
	for class, c := range u.classes {
		total += c.Items
		if c.Counted && !(u.report.full && u.report.unread[class]) {
			sums[class] = rowhash.Sum(c.Hash)
		}
	}
	for class, whole := range replaced {
		after, ok := u.apply(class, whole, current[class])
		if !ok {
			return false, nil
		}
		before := u.classes[class]
		total += after.Items - before.Items
		delete(sums, class)
		if after.Items > 0 {
			sums[class] = rowhash.Sum(after.Hash)
		}
		u.touched = append(u.touched, after)
	}
	if u.report.full {
		u.keepUnread()
	}
	if total > MaxRows {
		return false, fault.InvalidField("classes", "the device has %d rows, at most %d are kept; let it report less", total, MaxRows)
	}
	return rowhash.Tables(sums).String() == u.report.result, nil
}

// replaced is the classes that the report touches, and whether it says all
// their rows rather than what has changed.
func (u *update) replaced() map[string]bool {
	replaced := map[string]bool{}
	for class := range u.report.changes {
		before, known := u.classes[class]
		// The client believes that the site has no row of an uncounted class.
		replaced[class] = u.report.full || known && !before.Counted
	}
	for class, c := range u.classes {
		_, told := u.report.changes[class]
		if !told && !u.report.unread[class] && (u.report.full || !c.Counted) {
			replaced[class] = true // read, and without rows
		}
	}
	return replaced
}

// keepUnread takes the classes that could not be read for a full report out of
// the hash and leaves their rows.
func (u *update) keepUnread() {
	for class, c := range u.classes {
		if u.report.unread[class] && c.Counted {
			c.Counted = false
			u.touched = append(u.touched, c)
		}
	}
}

// item is a row that the device has.
type item struct {
	id   int64
	hash rowhash.Hash
}

// current reads which rows the device has of the classes. It reads hashes, not
// rows.
func (u *update) current(ctx context.Context, classes map[string]bool) (map[string][]item, error) {
	current := map[string][]item{}
	put := func(row itemRow) error {
		if len(row.Hash) == len(rowhash.Hash{}) {
			current[row.Class] = append(current[row.Class], item{row.ID, rowhash.Hash(row.Hash)})
		}
		return nil
	}
	if len(u.classes) == 0 {
		return current, nil
	}
	const few = 3
	if len(classes) > few {
		return current, readItems.Each(ctx, u.tx, byNumber{Device: u.device.Number}, put)
	}
	for class := range classes {
		if _, known := u.classes[class]; !known {
			continue
		}
		if err := readClassItems.Each(ctx, u.tx, byNumber{u.device.Number, class}, put); err != nil {
			return nil, err
		}
	}
	return current, nil
}

// apply works out the rows of one class. It is not ok when the change does not
// fit what is there.
func (u *update) apply(class string, whole bool, current []item) (after classRow, ok bool) {
	change := u.report.changes[class]
	has := make(map[rowhash.Hash]int64, len(current))
	for _, it := range current {
		has[it.hash] = it.id
	}
	if whole && len(change.remove) > 0 {
		return after, false
	}
	keep := make(map[rowhash.Hash]bool, len(change.add))
	hashes := make([]rowhash.Hash, 0, len(current)+len(change.add))
	changed := false
	for _, hash := range change.remove {
		id, there := has[hash]
		if !there {
			return after, false
		}
		delete(has, hash)
		u.ended = append(u.ended, id)
		changed = true
	}
	for _, r := range change.add {
		keep[r.hash] = true
		hashes = append(hashes, r.hash)
		if _, there := has[r.hash]; !there {
			u.added = append(u.added, newFact{class, r})
			changed = true
		}
	}
	for hash, id := range has {
		switch {
		case keep[hash]: // counted already
		case whole:
			u.ended = append(u.ended, id)
			changed = true
		default:
			hashes = append(hashes, hash)
		}
	}
	sum := rowhash.Set(hashes)
	after = classRow{Class: class, Items: int64(len(hashes)), Hash: sum[:], Counted: true, ChangedAt: u.classes[class].ChangedAt}
	if changed {
		after.ChangedAt = u.time
	}
	return after, true
}

// write writes what plan has found out.
func (u *update) write(ctx context.Context) error {
	u.device.Hash, u.device.Time, u.device.ReceivedAt = u.report.result, u.time, u.receivedAt
	number, _, err := putDevice.One(ctx, u.tx, u.device)
	if err != nil {
		return err
	}
	u.device.Number = number.Device
	ids, err := u.intern(ctx)
	if err != nil {
		return err
	}
	// First the ends: a row that is removed and added begins anew.
	for _, id := range u.ended {
		if _, err := endFact.Exec(ctx, u.tx, factRow{Device: u.device.Number, Item: id, Time: u.time}); err != nil {
			return err
		}
	}
	facts := make([]factRow, len(ids))
	for i, id := range ids {
		facts[i] = factRow{Device: u.device.Number, Item: id, Time: u.time}
	}
	if err := insertFacts.ExecMany(ctx, u.tx, facts); err != nil {
		return err
	}
	if err := u.writeClasses(ctx); err != nil {
		return err
	}
	kind := wire.InventoryDelta
	if u.report.full {
		kind = wire.InventoryFull
	}
	_, err = insertReport.Exec(ctx, u.tx, reportRow{
		Device: u.device.Device, Time: u.time, ReceivedAt: u.receivedAt, Kind: kind,
		Added: int64(len(u.added)), Removed: int64(len(u.ended)), Errors: u.report.errors,
	})
	return err
}

func (u *update) writeClasses(ctx context.Context) error {
	put := make([]classRow, 0, len(u.touched))
	for _, c := range u.touched {
		c.Device = u.device.Number
		if c.Items > 0 {
			put = append(put, c)
			continue
		}
		if _, err := deleteClass.Exec(ctx, u.tx, c); err != nil {
			return err
		}
	}
	return putClasses.ExecMany(ctx, u.tx, put)
}

// intern finds the items of the added rows and makes those that are new.
func (u *update) intern(ctx context.Context) ([]int64, error) {
	keys := make([]itemRow, len(u.added))
	for i := range u.added {
		keys[i] = itemRow{Class: u.added[i].class, Hash: u.added[i].hash[:]}
	}
	found, err := findItems.AllMany(ctx, u.tx, keys)
	if err != nil {
		return nil, err
	}
	known := make(map[rowhash.Hash]int64, len(u.added))
	for _, row := range found {
		known[rowhash.Hash(row.Hash)] = row.ID
	}
	fresh := keys[:0]
	for i, key := range keys {
		if _, ok := known[rowhash.Hash(key.Hash)]; !ok {
			key.Row = string(u.added[i].json)
			fresh = append(fresh, key)
		}
	}
	made, err := insertItems.AllMany(ctx, u.tx, fresh)
	if err != nil {
		return nil, err
	}
	for _, row := range made {
		known[rowhash.Hash(row.Hash)] = row.ID
	}
	ids := make([]int64, len(u.added))
	for i := range u.added {
		id, ok := known[u.added[i].hash]
		if !ok {
			return nil, fault.New(fault.Internal, "row %s was not kept", hex.EncodeToString(u.added[i].hash[:]))
		}
		ids[i] = id
	}
	slices.Sort(ids) // the order of the table
	return ids, nil
}
