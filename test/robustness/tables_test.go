package robustness

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strconv"
	"testing"

	"mainstay/lib/sqldb"
	"mainstay/site/sitedb"
	"mainstay/test/robustness/history"
	"mainstay/test/robustness/numbered"
)

type messageRow struct {
	UID        string `db:"uid"`
	Device     string `db:"device"`
	Insertions string `db:"insertions"`
}

type deviceRow struct {
	ID       string `db:"id"`
	Name     string `db:"name"`
	CopyOf   string `db:"copy_of"`
	Conflict string `db:"conflict"`
}

type reportRow struct {
	MessageID int64  `db:"message_id"`
	Device    string `db:"device"`
}

type deadRow struct {
	Device string `db:"device"`
	Type   string `db:"type"`
	Reason string `db:"reason"`
}

type numberRow struct {
	N int64 `db:"n"`
}

type messageID struct {
	MessageID int64 `db:"message_id"`
}

var (
	numberedMessages = sqldb.Define[messageID, messageRow]("robustness.numbered",
		`SELECT uid, device, insertions FROM status_message WHERE message_id = @message_id`)
	otherMessages = sqldb.Define[messageID, reportRow]("robustness.reports",
		`SELECT message_id, device FROM status_message WHERE message_id <> @message_id`)
	allDevices = sqldb.Define[sqldb.None, deviceRow]("robustness.devices",
		`SELECT id, name, copy_of, conflict FROM device`)
	allDead = sqldb.Define[sqldb.None, deadRow]("robustness.dead",
		`SELECT device, type, reason FROM dead_letter`)
	countInbox = sqldb.Define[sqldb.None, numberRow]("robustness.inbox", `SELECT count(*) AS n FROM inbox`)
)

// tables are the parts of the site database that a test looks at.
type tables struct {
	found   []history.Found
	reports []reportRow
	devices []deviceRow
	dead    []deadRow
	waiting int64
}

// readTables reads the database of a site whose server does not run.
func readTables(t testing.TB, data string) tables {
	t.Helper()
	ctx := context.Background()
	db, err := sitedb.Open(ctx, sitedb.Config{Path: filepath.Join(data, "site.db")})
	must(t, err)
	defer db.Close()
	var all tables
	must(t, db.Read(ctx, func(tx *sitedb.Tx) error {
		messages, err := numberedMessages.All(ctx, tx, messageID{numbered.MessageID})
		if err != nil {
			return err
		}
		for _, m := range messages {
			f, err := m.found()
			if err != nil {
				return err
			}
			all.found = append(all.found, f)
		}
		if all.reports, err = otherMessages.All(ctx, tx, messageID{numbered.MessageID}); err != nil {
			return err
		}
		if all.devices, err = allDevices.All(ctx, tx, sqldb.None{}); err != nil {
			return err
		}
		if all.dead, err = allDead.All(ctx, tx, sqldb.None{}); err != nil {
			return err
		}
		waiting, _, err := countInbox.One(ctx, tx, sqldb.None{})
		all.waiting = waiting.N
		return err
	}))
	return all
}

func (m messageRow) found() (history.Found, error) {
	var insertions []string
	if err := json.Unmarshal([]byte(m.Insertions), &insertions); err != nil || len(insertions) != 2 {
		return history.Found{}, fmt.Errorf("insertions %q are not those of a numbered message: %v", m.Insertions, err)
	}
	number, err := strconv.ParseInt(insertions[1], 10, 64)
	return history.Found{Device: m.Device, Stream: insertions[0], Number: number, ID: m.UID}, err
}

// reported counts the status messages of a kind about a device, "" for any.
func (a tables) reported(id int64, device string) int {
	n := 0
	for _, r := range a.reports {
		if r.MessageID == id && (device == "" || r.Device == device) {
			n++
		}
	}
	return n
}

func (a tables) device(id string) deviceRow {
	for _, d := range a.devices {
		if d.ID == id {
			return d
		}
	}
	return deviceRow{}
}
