package inventory

import "mainstay/lib/sqldb"

type byDevice struct {
	Device string `db:"device"`
}

type byNumber struct {
	Device int64  `db:"device"`
	Class  string `db:"class"`
}

type deviceRow struct {
	Number     int64  `db:"number"`
	Device     string `db:"device"`
	Hash       string `db:"hash"`
	Time       int64  `db:"time"`
	ReceivedAt int64  `db:"received_at"`
}

type classRow struct {
	Device    int64  `db:"device"`
	Class     string `db:"class"`
	Items     int64  `db:"items"`
	Hash      []byte `db:"hash"`
	Counted   bool   `db:"counted"`
	ChangedAt int64  `db:"changed_at"`
}

type itemRow struct {
	ID    int64  `db:"id"`
	Class string `db:"class"`
	Hash  []byte `db:"hash"`
	Row   string `db:"row"`
}

type factRow struct {
	Device int64 `db:"device"`
	Item   int64 `db:"item"`
	Time   int64 `db:"time"`
}

type reportRow struct {
	Device     string `db:"device"`
	Time       int64  `db:"time"`
	ReceivedAt int64  `db:"received_at"`
	Kind       string `db:"kind"`
	Added      int64  `db:"added"`
	Removed    int64  `db:"removed"`
	Errors     string `db:"errors"`
}

var (
	readDevice = sqldb.Define[byDevice, deviceRow]("inventory.readDevice",
		`SELECT number, device, hash, time, received_at FROM inventory_device WHERE device = @device`)
	putDevice = sqldb.Define[deviceRow, byNumber]("inventory.putDevice",
		`INSERT INTO inventory_device (device, hash, time, received_at) VALUES (@device, @hash, @time, @received_at)
		 ON CONFLICT (device) DO UPDATE SET hash = excluded.hash, time = excluded.time, received_at = excluded.received_at
		 RETURNING number AS device`)
	readClasses = sqldb.Define[byNumber, classRow]("inventory.readClasses",
		`SELECT device, class, items, hash, counted, changed_at FROM inventory_class WHERE device = @device`)
	putClasses = sqldb.DefineMany[classRow]("inventory.putClasses",
		`INSERT INTO inventory_class (device, class, items, hash, counted, changed_at)
		 VALUES [[(@device, @class, @items, @hash, @counted, @changed_at)]]
		 ON CONFLICT (device, class) DO UPDATE SET
		   items = excluded.items, hash = excluded.hash, counted = excluded.counted, changed_at = excluded.changed_at`)
	deleteClass = sqldb.Define[classRow, sqldb.None]("inventory.deleteClass",
		`DELETE FROM inventory_class WHERE device = @device AND class = @class`)

	readItems = sqldb.Define[byNumber, itemRow]("inventory.readItems",
		`SELECT i.id, i.class, i.hash FROM inventory_fact f JOIN inventory_item i ON i.id = f.item
		 WHERE f.device = @device AND f.until = 0`)
	readClassItems = sqldb.Define[byNumber, itemRow]("inventory.readClassItems",
		`SELECT i.id, i.class, i.hash FROM inventory_fact f JOIN inventory_item i ON i.id = f.item
		 WHERE f.device = @device AND f.until = 0 AND i.class = @class`)
	findItems = sqldb.DefineManyOut[itemRow, itemRow]("inventory.findItems",
		`SELECT id, class, hash FROM inventory_item WHERE (class, hash) IN (VALUES [[(@class, @hash)]])`)
	insertItems = sqldb.DefineManyOut[itemRow, itemRow]("inventory.insertItems",
		`INSERT INTO inventory_item (class, hash, row) VALUES [[(@class, @hash, @row)]] RETURNING id, class, hash`)

	insertFacts = sqldb.DefineMany[factRow]("inventory.insertFacts",
		`INSERT INTO inventory_fact (device, item, since, until) VALUES [[(@device, @item, @time, 0)]]`)
	endFact = sqldb.Define[factRow, sqldb.None]("inventory.endFact",
		`UPDATE inventory_fact SET until = @time WHERE device = @device AND item = @item AND until = 0`)
	insertReport = sqldb.Define[reportRow, sqldb.None]("inventory.insertReport",
		`INSERT INTO inventory_report (device, time, received_at, kind, added, removed, errors)
		 VALUES (@device, @time, @received_at, @kind, @added, @removed, @errors)`)
)
