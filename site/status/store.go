package status

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"mainstay/lib/listing"
	"mainstay/lib/sqldb"
	"mainstay/site/sitedb"
	"mainstay/wire"
)

type messageRow struct {
	ID         int64  `db:"id"`
	UID        string `db:"uid"`
	Time       int64  `db:"time"`
	ReceivedAt int64  `db:"received_at"`
	SiteCode   string `db:"site_code"`
	Device     string `db:"device"`
	System     string `db:"system"`
	Component  string `db:"component"`
	MessageID  int64  `db:"message_id"`
	Severity   string `db:"severity"`
	Insertions string `db:"insertions"`
}

var (
	insertMessage = sqldb.Define[messageRow, sqldb.None]("status.insert",
		`INSERT INTO status_message (uid, time, received_at, site_code, device, system, component, message_id, severity, insertions)
		 VALUES (@uid, @time, @received_at, coalesce((SELECT code FROM site WHERE id = 1), ''),
		   @device, @system, @component, @message_id, @severity, @insertions)
		 ON CONFLICT (uid) DO NOTHING`)
	cleanMessages = sqldb.Define[cleanRow, sqldb.None]("status.clean",
		`DELETE FROM status_message WHERE id IN
		   (SELECT id FROM status_message WHERE received_at < @before ORDER BY received_at LIMIT @limit)`)
	forgetMessages = sqldb.Define[forgetRow, sqldb.None]("status.forget",
		`DELETE FROM status_message WHERE device = @device AND device <> ''`)
)

type cleanRow struct {
	Before int64 `db:"before"`
	Limit  int64 `db:"limit"`
}

type forgetRow struct {
	Device string `db:"device"`
}

func store(ctx context.Context, tx *sitedb.Tx, row messageRow) error {
	n, err := insertMessage.Exec(ctx, tx, row)
	if n > 0 {
		tx.Announce(Topic)
	}
	return err
}

// Record is a stored status message.
type Record struct {
	// ID grows with every message that is stored.
	ID int64
	// UID is unique in the world.
	UID string
	// Time is when it happened, ReceivedAt when the site heard of it, in
	// microseconds since 1970, UTC.
	Time, ReceivedAt int64
	SiteCode         string
	// Device is who sent it, or whom it is about; empty for neither.
	Device string
	// System is the site system that reported it; empty for a client.
	System     string
	Component  string
	MessageID  int64
	Severity   string
	Insertions []string
	// Text is what a reader wants.
	Text string
}

// Table describes the list of status messages. text searches the texts of the
// catalogue and the insertions.
func Table() listing.Table {
	return listing.Table{
		Columns: []listing.Column{
			{Name: "id", SQL: "id", Kind: listing.Integer},
			{Name: "time", SQL: "time", Kind: listing.Time},
			{Name: "received_at", SQL: "received_at", Kind: listing.Time},
			{Name: "device", SQL: "device", Kind: listing.Text},
			{Name: "system", SQL: "system", Kind: listing.Text},
			{Name: "component", SQL: "component", Kind: listing.Text},
			{Name: "message_id", SQL: "message_id", Kind: listing.Integer},
			{Name: "severity", SQL: "severity", Kind: listing.Text, Values: []string{wire.Informational, wire.Warning, wire.Error}},
			{Name: "text", SQL: searchedText(), Kind: listing.Text},
		},
		Key: "id", Sort: "-time",
	}
}

// searchedText is the SQL of what the filter on text looks at.
func searchedText() string {
	quote := strings.NewReplacer("'", "''", "?", "")
	var b strings.Builder
	b.WriteString("(CASE message_id")
	for _, entry := range Catalogue() {
		b.WriteString(" WHEN " + strconv.Itoa(entry.ID) + " THEN '" + quote.Replace(entry.Text) + "'")
	}
	b.WriteString(" ELSE '' END || ' ' || insertions)")
	return b.String()
}

// List reads one page of status messages. Who may see them is for the caller
// to judge.
func List(ctx context.Context, tx *sitedb.Tx, p *listing.Plan) (listing.Page[Record], error) {
	rows, err := listing.List[messageRow](ctx, tx, p, listing.Source{
		Columns: "id, uid, time, received_at, site_code, device, system, component, message_id, severity, insertions",
		From:    "status_message",
	})
	page := listing.Page[Record]{Items: make([]Record, 0, len(rows.Items)), Next: rows.Next, Total: rows.Total}
	for _, row := range rows.Items {
		r := Record{
			ID: row.ID, UID: row.UID, Time: row.Time, ReceivedAt: row.ReceivedAt, SiteCode: row.SiteCode, Device: row.Device,
			System: row.System, Component: row.Component, MessageID: row.MessageID, Severity: row.Severity, Insertions: []string{},
		}
		if json.Unmarshal([]byte(row.Insertions), &r.Insertions) != nil {
			r.Insertions = []string{row.Insertions}
		}
		r.Text = Render(int(row.MessageID), r.Insertions)
		page.Items = append(page.Items, r)
	}
	return page, err
}

// Keep is how long status messages are kept after they were received.
const Keep = 30 * 24 * time.Hour

// Clean deletes messages that are older than Keep.
func Clean(ctx context.Context, db sitedb.Writer, now time.Time) error {
	const atOnce = 2000
	for {
		n := int64(0)
		err := db.Write(ctx, func(tx *sitedb.Tx) (err error) {
			n, err = cleanMessages.Exec(ctx, tx, cleanRow{sitedb.Micros(now.Add(-Keep)), atOnce})
			return err
		})
		if err != nil || n < atOnce {
			return err
		}
	}
}

// Forget deletes the messages of a device that the site has deleted.
func Forget(ctx context.Context, tx *sitedb.Tx, device string) error {
	_, err := forgetMessages.Exec(ctx, tx, forgetRow{device})
	return err
}
