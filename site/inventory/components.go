package inventory

import (
	"context"
	"time"

	"mainstay/lib/sqldb"
	"mainstay/site/sitedb"
)

// Keep is how long what is no longer so is kept.
const Keep = 90 * 24 * time.Hour

// cleanAtOnce bounds what one transaction deletes or looks at.
const cleanAtOnce = 2000

// Clean deletes facts that ended and reports that came longer ago than Keep,
// and rows that no device has or had within that time.
func Clean(ctx context.Context, db sitedb.Writer, now time.Time) error {
	before := sitedb.Micros(now.Add(-Keep))
	for _, statement := range []*sqldb.Statement[cleanRow, sqldb.None]{cleanFacts, cleanReports} {
		for {
			n, err := clean(ctx, db, statement, cleanRow{Before: before, Limit: cleanAtOnce})
			if err != nil {
				return err
			}
			if n < cleanAtOnce {
				break
			}
		}
	}
	return cleanOrphans(ctx, db)
}

func clean(ctx context.Context, db sitedb.Writer, statement *sqldb.Statement[cleanRow, sqldb.None], in cleanRow) (n int64, err error) {
	err = db.Write(ctx, func(tx *sitedb.Tx) (err error) {
		n, err = statement.Exec(ctx, tx, in)
		return err
	})
	return n, err
}

// cleanOrphans walks over all items in steps. It writes only where there is
// something to delete.
func cleanOrphans(ctx context.Context, db sitedb.Writer) error {
	var last struct {
		ID int64 `db:"id"`
	}
	step := cleanRow{Limit: cleanAtOnce}
	for {
		var orphans int64
		err := db.Read(ctx, func(tx *sitedb.Tx) error {
			row, ok, err := itemStep.One(ctx, tx, step)
			if err != nil || !ok {
				return err
			}
			last.ID = row.ID
			count, _, err := countOrphans.One(ctx, tx, cleanRow{After: step.After, Before: last.ID})
			orphans = count.ID
			return err
		})
		if err != nil || last.ID <= step.After {
			return err
		}
		if orphans > 0 {
			if _, err := clean(ctx, db, deleteOrphans, cleanRow{After: step.After, Before: last.ID}); err != nil {
				return err
			}
		}
		step.After = last.ID
	}
}

// Forget deletes the inventory of a device that the site has deleted. Rows that
// nobody else has go with the next Clean.
func Forget(ctx context.Context, tx *sitedb.Tx, device string) error {
	row, ok, err := readDevice.One(ctx, tx, byDevice{device})
	if err != nil || !ok {
		return err
	}
	for _, statement := range []*sqldb.Statement[byNumber, sqldb.None]{forgetFacts, forgetClasses, forgetDevice} {
		if _, err := statement.Exec(ctx, tx, byNumber{Device: row.Number}); err != nil {
			return err
		}
	}
	_, err = forgetReports.Exec(ctx, tx, byDevice{device})
	tx.Announce(Topic)
	return err
}

type cleanRow struct {
	After  int64 `db:"after"`
	Before int64 `db:"before"`
	Limit  int64 `db:"limit"`
}

type idRow struct {
	ID int64 `db:"id"`
}

var (
	cleanFacts = sqldb.Define[cleanRow, sqldb.None]("inventory.cleanFacts",
		`DELETE FROM inventory_fact WHERE (device, item, since) IN
		   (SELECT device, item, since FROM inventory_fact WHERE until > 0 AND until < @before LIMIT @limit)`)
	// The newest report of a device stays: it says what could not be read.
	cleanReports = sqldb.Define[cleanRow, sqldb.None]("inventory.cleanReports",
		`DELETE FROM inventory_report WHERE (device, time) IN
		   (SELECT r.device, r.time FROM inventory_report r WHERE r.received_at < @before
		      AND EXISTS (SELECT 1 FROM inventory_report n WHERE n.device = r.device AND n.time > r.time) LIMIT @limit)`)
	itemStep = sqldb.Define[cleanRow, idRow]("inventory.itemStep",
		`SELECT coalesce(max(id), 0) AS id FROM (SELECT id FROM inventory_item WHERE id > @after ORDER BY id LIMIT @limit) AS step`)
	countOrphans = sqldb.Define[cleanRow, idRow]("inventory.countOrphans",
		`SELECT count(*) AS id FROM inventory_item i WHERE i.id > @after AND i.id <= @before
		   AND NOT EXISTS (SELECT 1 FROM inventory_fact f WHERE f.item = i.id)`)
	deleteOrphans = sqldb.Define[cleanRow, sqldb.None]("inventory.deleteOrphans",
		`DELETE FROM inventory_item WHERE id > @after AND id <= @before
		   AND NOT EXISTS (SELECT 1 FROM inventory_fact f WHERE f.item = inventory_item.id)`)

	forgetFacts = sqldb.Define[byNumber, sqldb.None]("inventory.forgetFacts",
		`DELETE FROM inventory_fact WHERE device = @device`)
	forgetClasses = sqldb.Define[byNumber, sqldb.None]("inventory.forgetClasses",
		`DELETE FROM inventory_class WHERE device = @device`)
	forgetDevice = sqldb.Define[byNumber, sqldb.None]("inventory.forgetDevice",
		`DELETE FROM inventory_device WHERE number = @device`)
	forgetReports = sqldb.Define[byDevice, sqldb.None]("inventory.forgetReports",
		`DELETE FROM inventory_report WHERE device = @device`)
)
