package inbox

import (
	"context"
	"time"

	"mainstay/lib/sqldb"
	"mainstay/site/sitedb"
)

// KeepMarks is how long what is known of an incarnation that ended is kept.
const KeepMarks = 90 * 24 * time.Hour

// KeepDeadLetters is how long dead letters are kept.
const KeepDeadLetters = 90 * 24 * time.Hour

// MaxDeadLetters bounds the dead letters; the oldest go first.
const MaxDeadLetters = 100_000

// keepGroups is how long rows of groups are kept: they only have to be written.
const keepGroups = 24 * time.Hour

// cleanAtOnce bounds what one transaction deletes.
const cleanAtOnce = 2000

// Clean removes what has had its time: marks of ended incarnations, dead
// letters, rows of groups. A device's newest incarnation, and the mark that it
// has moved last, stay for ever: the machine may come back with what it has not
// sent, however late.
func Clean(ctx context.Context, db sitedb.Writer, now time.Time) error {
	old := sitedb.Micros(now.Add(-KeepMarks))
	for _, step := range []struct {
		statement *sqldb.Statement[cleanRow, sqldb.None]
		in        cleanRow
	}{
		{cleanProcessed, cleanRow{Before: old}},
		{cleanSaid, cleanRow{Before: old}},
		{cleanRunning, cleanRow{Before: old}},
		{cleanGroups, cleanRow{Before: sitedb.Micros(now.Add(-keepGroups))}},
		{cleanDead, cleanRow{Before: sitedb.Micros(now.Add(-KeepDeadLetters))}},
		{cleanManyDead, cleanRow{Keep: MaxDeadLetters}},
	} {
		step.in.Limit = cleanAtOnce
		for {
			n := int64(0)
			err := db.Write(ctx, func(tx *sitedb.Tx) (err error) {
				n, err = step.statement.Exec(ctx, tx, step.in)
				return err
			})
			if err != nil {
				return err
			}
			if n < cleanAtOnce {
				break
			}
		}
	}
	return nil
}

// Forget removes what is known of a device that the site has deleted. Its
// uploads that still wait become dead letters of an unknown device.
func Forget(ctx context.Context, tx *sitedb.Tx, device string) error {
	for _, statement := range []*sqldb.Statement[byDevice, sqldb.None]{forgetSaid, forgetRuns, forgetProcessed} {
		if _, err := statement.Exec(ctx, tx, byDevice{device}); err != nil {
			return err
		}
	}
	return nil
}

// Statistics says how much waits.
type Statistics struct {
	// Waiting is the number of uploads in the inbox, counted to MaxCounted.
	Waiting int64 `db:"waiting"`
	// OldestAt is when the oldest of them was received; nil when none waits.
	OldestAt *int64 `db:"oldest_at"`
	// DeadLetters is the number of dead letters that were not replayed.
	DeadLetters int64 `db:"dead_letters"`
}

// MaxCounted is how far Statistics counts.
const MaxCounted = 100_000

// ReadStatistics reads how much waits.
func ReadStatistics(ctx context.Context, tx *sitedb.Tx) (Statistics, error) {
	s, _, err := readStatistics.One(ctx, tx, limit{MaxCounted})
	return s, err
}

type cleanRow struct {
	Before int64 `db:"before"`
	Keep   int64 `db:"keep"`
	Limit  int64 `db:"limit"`
}

var (
	cleanProcessed = sqldb.Define[cleanRow, sqldb.None]("inbox.cleanProcessed",
		`DELETE FROM inbox_processed WHERE (device, incarnation) IN (
		   SELECT p.device, p.incarnation FROM inbox_processed p WHERE p.updated_at < @before
		     AND EXISTS (SELECT 1 FROM inbox_processed later WHERE later.device = p.device AND later.updated_at > p.updated_at)
		     AND NOT EXISTS (SELECT 1 FROM inbox_running r WHERE r.device = p.device AND r.incarnation = p.incarnation
		       AND NOT EXISTS (SELECT 1 FROM inbox_running n WHERE n.device = r.device AND n.seq > r.seq AND n.first_at < @before))
		   LIMIT @limit)`)
	cleanSaid = sqldb.Define[cleanRow, sqldb.None]("inbox.cleanSaid",
		`DELETE FROM inbox_said WHERE (device, incarnation) IN (
		   SELECT s.device, s.incarnation FROM inbox_said s WHERE s.updated_at < @before
		     AND EXISTS (SELECT 1 FROM inbox_said later WHERE later.device = s.device AND later.updated_at > s.updated_at)
		     AND NOT EXISTS (SELECT 1 FROM inbox_running r WHERE r.device = s.device AND r.incarnation = s.incarnation
		       AND NOT EXISTS (SELECT 1 FROM inbox_running n WHERE n.device = r.device AND n.seq > r.seq AND n.first_at < @before))
		   LIMIT @limit)`)
	// Ended is an incarnation since the next one came.
	cleanRunning = sqldb.Define[cleanRow, sqldb.None]("inbox.cleanRunning",
		`DELETE FROM inbox_running WHERE (device, incarnation) IN (
		   SELECT r.device, r.incarnation FROM inbox_running r
		   WHERE EXISTS (SELECT 1 FROM inbox_running n WHERE n.device = r.device AND n.seq > r.seq AND n.first_at < @before)
		   LIMIT @limit)`)
	cleanGroups = sqldb.Define[cleanRow, sqldb.None]("inbox.cleanGroups",
		`DELETE FROM inbox_group WHERE id IN (SELECT id FROM inbox_group WHERE committed_at < @before ORDER BY id LIMIT @limit)`)
	cleanDead = sqldb.Define[cleanRow, sqldb.None]("inbox.cleanDead",
		`DELETE FROM dead_letter WHERE id IN (SELECT id FROM dead_letter WHERE died_at < @before LIMIT @limit)`)
	cleanManyDead = sqldb.Define[cleanRow, sqldb.None]("inbox.cleanManyDead",
		`DELETE FROM dead_letter WHERE id IN (
		   SELECT id FROM dead_letter WHERE id <= (SELECT id FROM dead_letter ORDER BY id DESC LIMIT 1 OFFSET @keep) LIMIT @limit)`)

	forgetSaid = sqldb.Define[byDevice, sqldb.None]("inbox.forgetSaid",
		`DELETE FROM inbox_said WHERE device = @device`)
	forgetRuns = sqldb.Define[byDevice, sqldb.None]("inbox.forgetRuns",
		`DELETE FROM inbox_running WHERE device = @device`)
	forgetProcessed = sqldb.Define[byDevice, sqldb.None]("inbox.forgetProcessed",
		`DELETE FROM inbox_processed WHERE device = @device`)

	readStatistics = sqldb.Define[limit, Statistics]("inbox.readStatistics",
		`SELECT (SELECT count(*) FROM (SELECT id FROM inbox LIMIT @limit) AS counted) AS waiting,
		   (SELECT received_at FROM inbox ORDER BY id LIMIT 1) AS oldest_at,
		   (SELECT count(*) FROM dead_letter WHERE replayed_at IS NULL) AS dead_letters`)
)
