package inbox

import (
	"context"
	"encoding/json"
	"log/slog"

	"mainstay/lib/fault"
	"mainstay/lib/listing"
	"mainstay/lib/sqldb"
	"mainstay/site/sitedb"
	"mainstay/wire"
)

// TopicDeadLetter is announced when dead letters came or changed.
const TopicDeadLetter = "dead-letter"

// topicReplay wakes the Dispatcher.
const topicReplay = "dead-letter-replay"

// DeadLetter is a message, or a whole upload, that could not be processed.
type DeadLetter struct {
	ID int64 `db:"id"`
	// Device is whom it claims to be from. Of a whole upload nothing is proven.
	Device      string `db:"device"`
	Incarnation string `db:"incarnation"`
	// Number is 0 for a whole upload.
	Number int64 `db:"number"`
	// Type of the message; empty for a whole upload.
	Type   string `db:"type"`
	Reason string `db:"reason"`
	// ManagementPoint is the site system that received it.
	ManagementPoint string `db:"management_point"`
	// Size is that of the stored body in bytes.
	Size       int64 `db:"size"`
	ReceivedAt int64 `db:"received_at"`
	DiedAt     int64 `db:"died_at"`
	// ReplayWantedAt is set from Replay until the site server has done it.
	ReplayWantedAt *int64 `db:"replay_wanted_at"`
	// ReplayError says why the last replay failed.
	ReplayError string `db:"replay_error"`
	ReplayedAt  *int64 `db:"replayed_at"`
}

// DeadLetterTable describes the list of dead letters.
func DeadLetterTable() listing.Table {
	return listing.Table{
		Columns: []listing.Column{
			{Name: "id", SQL: "id", Kind: listing.Integer},
			{Name: "device", SQL: "device", Kind: listing.Text},
			{Name: "incarnation", SQL: "incarnation", Kind: listing.Text},
			{Name: "number", SQL: "number", Kind: listing.Integer},
			{Name: "type", SQL: "type", Kind: listing.Text},
			{Name: "reason", SQL: "reason", Kind: listing.Text},
			{Name: "management_point", SQL: "management_point", Kind: listing.Text},
			{Name: "received_at", SQL: "received_at", Kind: listing.Time},
			{Name: "died_at", SQL: "died_at", Kind: listing.Time},
			{Name: "replayed_at", SQL: "replayed_at", Kind: listing.Time, Nullable: true},
		},
		Key: "id", Sort: "-died_at",
	}
}

// DeadLetters lists dead letters. Who may see them is for the caller to judge.
func DeadLetters(ctx context.Context, tx *sitedb.Tx, p *listing.Plan) (listing.Page[DeadLetter], error) {
	return listing.List[DeadLetter](ctx, tx, p, listing.Source{
		Columns: `id, device, incarnation, number, type, reason, management_point, length(body) AS size,
			received_at, died_at, replay_wanted_at, replay_error, replayed_at`,
		From: "dead_letter",
	})
}

// Replay asks the active site server to process a dead letter once more,
// without regard to its number. It answers at once; the letter shows what came
// of it (ReplayedAt, ReplayError). What the device has not signed is refused
// then, as it was the first time. NotFound for an unknown letter, Conflict for
// one that was replayed.
func Replay(ctx context.Context, tx *sitedb.Tx, id, now int64) error {
	letter, ok, err := readDead.One(ctx, tx, rowID{id})
	switch {
	case err != nil:
		return err
	case !ok:
		return fault.New(fault.NotFound, "there is no dead letter %d", id)
	case letter.ReplayedAt != nil:
		return fault.New(fault.Conflict, "dead letter %d was replayed already", id)
	}
	_, err = wantReplay.Exec(ctx, tx, replayRow{ID: id, Time: &now})
	tx.Announce(topicReplay, TopicDeadLetter)
	return err
}

// bury collects a dead letter: one message of an upload that the device has
// signed, or with no message the upload as it came.
func (t *transaction) bury(w *work, m wire.Message, reason string) {
	row := deadRow{inboxRow: w.row, Reason: reason, DiedAt: t.now}
	if w.genuine {
		row.Incarnation = w.upload.Born
	}
	if m.Number > 0 {
		row.Number, row.Type, row.Encoding = m.Number, m.Type, EncodingPlain
		row.Body, _ = json.Marshal(m) // the message was valid JSON
	}
	row.Body, row.Signature = notNull(row.Body), notNull(row.Signature)
	t.dead = append(t.dead, row)
}

// notNull keeps empty bytes from becoming NULL on their way through a driver.
func notNull(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// replayWanted replays what administrators have asked for.
func (d *Dispatcher) replayWanted(ctx context.Context) error {
	var wanted []rowID
	err := d.config.DB.Read(ctx, func(tx *sitedb.Tx) (err error) {
		wanted, err = readWanted.All(ctx, tx, limit{100})
		return err
	})
	for _, row := range wanted {
		if err != nil {
			return err
		}
		err = d.replay(ctx, row.ID)
	}
	return err
}

func (d *Dispatcher) replay(ctx context.Context, id int64) error {
	var w *work
	var letter deadRow
	err := d.config.DB.Read(ctx, func(tx *sitedb.Tx) error {
		row, ok, err := readDead.One(ctx, tx, rowID{id})
		if err != nil || !ok {
			return err
		}
		letter, w = row, &work{row: row.inboxRow}
		return d.findKeys(ctx, tx, []*work{w})
	})
	if err != nil || w == nil {
		return err
	}
	if letter.Number > 0 {
		// Its upload was proven before the message was buried alone.
		w.genuine, w.upload = true, wire.Upload{Device: letter.Device, Born: letter.Incarnation}
		var m wire.Message
		if err := json.Unmarshal(letter.Body, &m); err != nil {
			w.reason = "the message cannot be read"
		}
		w.messages = []wire.Message{m}
	} else {
		d.check(w)
	}
	return d.config.DB.Write(ctx, func(tx *sitedb.Tx) error {
		t := &transaction{d: d, tx: tx, now: sitedb.Micros(d.config.Now()), marks: map[markKey]*mark{}}
		done := replayRow{ID: id, Time: &t.now, Error: w.reason}
		if w.reason == "" {
			if err := t.replayMessages(ctx, w, letter, &done); err != nil {
				return err
			}
		}
		if done.Error != "" {
			done.Time = nil
		}
		tx.Announce(TopicDeadLetter)
		if _, err := putReplayed.Exec(ctx, tx, done); err != nil {
			return err
		}
		slog.InfoContext(ctx, "dead letter replayed", "id", id, "device", letter.Device, "error", done.Error)
		return t.finish(ctx)
	})
}

// replayMessages applies what a letter holds. Messages of a whole upload that
// fail get letters of their own.
func (t *transaction) replayMessages(ctx context.Context, w *work, letter deadRow, done *replayRow) error {
	if letter.Number > 0 {
		err := t.tx.Try(ctx, func() error { return t.d.handle(ctx, t.tx, w.received(w.messages[0])) })
		if err != nil && endsPass(ctx, err) {
			return err
		}
		if err != nil {
			done.Error = reasonOf(err)
		}
		return nil
	}
	if err := t.load(ctx, []*work{w}); err != nil {
		return err
	}
	if err := t.applyMessages(ctx, w, w.messages); err != nil {
		return err
	}
	// So that the same upload, should it come once more, does nothing.
	t.marks[markKey{w.upload.Device, w.upload.Born}].move(w.upload, w.messages)
	return nil
}

type deadRow struct {
	inboxRow
	Incarnation string `db:"incarnation"`
	Number      int64  `db:"number"`
	Type        string `db:"type"`
	Reason      string `db:"reason"`
	DiedAt      int64  `db:"died_at"`
	ReplayedAt  *int64 `db:"replayed_at"`
}

type replayRow struct {
	ID    int64  `db:"id"`
	Time  *int64 `db:"time"`
	Error string `db:"error"`
}

var (
	insertDead = sqldb.DefineMany[deadRow]("inbox.insertDead",
		`INSERT INTO dead_letter (device, incarnation, number, type, reason, header, encoding, body, signature,
		   management_point, received_at, died_at, replay_error)
		 VALUES [[(@device, @incarnation, @number, @type, @reason, @header, @encoding, @body, @signature,
		   @management_point, @received_at, @died_at, '')]]`)
	readDead = sqldb.Define[rowID, deadRow]("inbox.readDead",
		`SELECT id, device, incarnation, number, type, reason, header, encoding, body, signature,
		   management_point, received_at, died_at, replayed_at FROM dead_letter WHERE id = @id`)
	readWanted = sqldb.Define[limit, rowID]("inbox.readWanted",
		`SELECT id FROM dead_letter WHERE replay_wanted_at IS NOT NULL ORDER BY replay_wanted_at, id LIMIT @limit`)
	wantReplay = sqldb.Define[replayRow, sqldb.None]("inbox.wantReplay",
		`UPDATE dead_letter SET replay_wanted_at = @time, replay_error = '' WHERE id = @id`)
	putReplayed = sqldb.Define[replayRow, sqldb.None]("inbox.putReplayed",
		`UPDATE dead_letter SET replay_wanted_at = NULL, replayed_at = @time, replay_error = @error WHERE id = @id`)
)
