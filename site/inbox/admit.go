package inbox

import (
	"context"
	"fmt"

	"mainstay/site/sitedb"
)

// store writes a group within its transaction: what is refused gets its
// refusal, everything else its row.
func (r *Receiver) store(ctx context.Context, tx *sitedb.Tx, group []*item) error {
	now := sitedb.Micros(r.config.Now())
	if err := r.admit(ctx, tx, group, now); err != nil {
		return err
	}
	rows := make([]inboxRow, 0, len(group))
	for _, it := range group {
		if it.refusal != nil {
			continue
		}
		rows = append(rows, inboxRow{
			Device: it.Upload.Device, Header: it.Header, Encoding: it.Encoding,
			Body: notNull(it.Body), Signature: notNull(it.Signature),
			ManagementPoint: r.config.ManagementPoint, ReceivedAt: now,
		})
	}
	if err := insertInbox.ExecMany(ctx, tx, rows); err != nil {
		return err
	}
	if len(rows) > 0 {
		tx.Announce(Topic)
	}
	_, err := insertGroup.Exec(ctx, tx, groupRow{r.config.ManagementPoint, now, int64(len(rows))})
	return err
}

// admit notes what the clients of a group say and refuses those that
// contradict what was said before. A client that goes on as it did, which is
// nearly every one, is done in its first statement.
func (r *Receiver) admit(ctx context.Context, tx *sitedb.Tx, group []*item, now int64) error {
	for _, it := range group {
		it.refusal = nil // of an attempt that was rolled back
		said := saidRow{it.Upload.Device, it.Upload.Born, it.Upload.Acknowledged, it.Upload.Running, now}
		goesOn, err := goOnSaying.Exec(ctx, tx, said)
		if err == nil && goesOn == 0 {
			it.refusal, err = r.judge(ctx, tx, said, now)
		}
		if err != nil {
			return fmt.Errorf("cannot judge an upload of device %s: %w", it.Upload.Device, err)
		}
	}
	return nil
}

// judge looks at everything that is known of a device.
func (r *Receiver) judge(ctx context.Context, tx *sitedb.Tx, said saidRow, now int64) (refusal, err error) {
	runs, err := readRunning.All(ctx, tx, byDevice{said.Device})
	if err != nil {
		return nil, err
	}
	var mine *runningRow
	newest := int64(0)
	for i, run := range runs {
		if run.Incarnation == said.Running {
			mine = &runs[i]
		}
		newest = max(newest, run.Seq)
	}
	// What runs before its own have left is stored all the same: it was born
	// before anybody could be told, and has its place in their incarnations.
	if mine != nil && mine.Seq < newest && said.Incarnation == said.Running {
		return ErrIdentityConflict, r.conflict(ctx, tx, *mine, now)
	}
	before, known, err := readSaid.One(ctx, tx, said)
	if err != nil {
		return nil, err
	}
	if known && said.Acknowledged < before.Acknowledged {
		if said.Incarnation == said.Running {
			return ErrNewIncarnation, nil
		}
		// What an ended incarnation has left comes from an older copy of the
		// disk. It has no new messages; the old ones will be recognized.
		said.Acknowledged = before.Acknowledged
	}
	if mine == nil {
		run := runningRow{Device: said.Device, Incarnation: said.Running, Seq: newest + 1, FirstAt: now}
		if _, err := insertRunning.Exec(ctx, tx, run); err != nil {
			return nil, err
		}
		// Those before must be looked at again when they speak.
		if _, err := forgetRunning.Exec(ctx, tx, byDevice{said.Device}); err != nil {
			return nil, err
		}
	}
	_, err = putSaid.Exec(ctx, tx, said)
	return nil, err
}

// conflict notes, once, that an incarnation speaks although a newer one runs.
func (r *Receiver) conflict(ctx context.Context, tx *sitedb.Tx, run runningRow, now int64) error {
	if run.ConflictAt != nil {
		return nil
	}
	run.ConflictAt = &now
	if _, err := markConflict.Exec(ctx, tx, run); err != nil {
		return err
	}
	if r.config.OnConflict == nil {
		return nil
	}
	return r.config.OnConflict(ctx, tx, run.Device)
}
