package inbox

import "mainstay/lib/sqldb"

// Topic is announced when uploads were stored.
const Topic = "inbox"

type byDevice struct {
	Device string `db:"device"`
}

type inboxRow struct {
	ID              int64  `db:"id"`
	Device          string `db:"device"`
	Header          string `db:"header"`
	Encoding        string `db:"encoding"`
	Body            []byte `db:"body"`
	Signature       []byte `db:"signature"`
	ManagementPoint string `db:"management_point"`
	ReceivedAt      int64  `db:"received_at"`
}

type groupRow struct {
	ManagementPoint string `db:"management_point"`
	CommittedAt     int64  `db:"committed_at"`
	Uploads         int64  `db:"uploads"`
}

// saidRow is what a client says with an upload.
type saidRow struct {
	Device       string `db:"device"`
	Incarnation  string `db:"incarnation"`
	Acknowledged int64  `db:"acknowledged"`
	Running      string `db:"running"`
	UpdatedAt    int64  `db:"updated_at"`
}

type runningRow struct {
	Device      string `db:"device"`
	Incarnation string `db:"incarnation"`
	Seq         int64  `db:"seq"`
	FirstAt     int64  `db:"first_at"`
	ConflictAt  *int64 `db:"conflict_at"`
}

var (
	insertInbox = sqldb.DefineMany[inboxRow]("inbox.insert",
		`INSERT INTO inbox (device, header, encoding, body, signature, management_point, received_at)
		 VALUES [[(@device, @header, @encoding, @body, @signature, @management_point, @received_at)]]`)
	insertGroup = sqldb.Define[groupRow, sqldb.None]("inbox.insertGroup",
		`INSERT INTO inbox_group (management_point, committed_at, uploads) VALUES (@management_point, @committed_at, @uploads)`)

	// goOnSaying changes a row when the client goes on as it did: the running
	// incarnation is still the newest, and no less is acknowledged. One by one
	// this costs SQLite less than half of one statement for all of a group.
	goOnSaying = sqldb.Define[saidRow, sqldb.None]("inbox.goOnSaying",
		`UPDATE inbox_said SET acknowledged = @acknowledged, updated_at = @updated_at
		 WHERE device = @device AND incarnation = @incarnation AND running = @running AND acknowledged <= @acknowledged`)
	readSaid = sqldb.Define[saidRow, saidRow]("inbox.readSaid",
		`SELECT device, incarnation, acknowledged, running, updated_at FROM inbox_said
		 WHERE device = @device AND incarnation = @incarnation`)
	putSaid = sqldb.Define[saidRow, sqldb.None]("inbox.putSaid",
		`INSERT INTO inbox_said (device, incarnation, acknowledged, running, updated_at)
		 VALUES (@device, @incarnation, @acknowledged, @running, @updated_at)
		 ON CONFLICT (device, incarnation) DO UPDATE SET
		   acknowledged = excluded.acknowledged, running = excluded.running, updated_at = excluded.updated_at`)
	forgetRunning = sqldb.Define[byDevice, sqldb.None]("inbox.forgetRunning",
		`UPDATE inbox_said SET running = '' WHERE device = @device`)

	readRunning = sqldb.Define[byDevice, runningRow]("inbox.readRunning",
		`SELECT device, incarnation, seq, first_at, conflict_at FROM inbox_running WHERE device = @device`)
	insertRunning = sqldb.Define[runningRow, sqldb.None]("inbox.insertRunning",
		`INSERT INTO inbox_running (device, incarnation, seq, first_at) VALUES (@device, @incarnation, @seq, @first_at)`)
	markConflict = sqldb.Define[runningRow, sqldb.None]("inbox.markConflict",
		`UPDATE inbox_running SET conflict_at = @conflict_at WHERE device = @device AND incarnation = @incarnation`)
)
