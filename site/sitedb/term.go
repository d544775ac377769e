package sitedb

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"time"

	"mainstay/lib/fault"
	"mainstay/lib/sqldb"
)

// Term is the fencing number of the active site server. It is compared as a
// whole: two terms with one number but different nonces are different.
type Term struct {
	Number int64  `db:"number"`
	Holder string `db:"holder"` // site system identifier
	Nonce  string `db:"nonce"`
}

type termRow struct {
	Term
	TakenAt int64 `db:"taken_at"`
}

var (
	readTerm = sqldb.Define[sqldb.None, Term]("sitedb.readTerm",
		`SELECT number, holder, nonce FROM term WHERE id = 1`)
	firstTerm = sqldb.Define[termRow, sqldb.None]("sitedb.firstTerm",
		`INSERT INTO term (id, number, holder, nonce, taken_at) VALUES (1, @number, @holder, @nonce, @taken_at)
		 ON CONFLICT (id) DO NOTHING`)
	swapTerm = sqldb.Define[struct {
		termRow
		OldNumber int64  `db:"old_number"`
		OldNonce  string `db:"old_nonce"`
	}, sqldb.None]("sitedb.swapTerm",
		`UPDATE term SET number = @number, holder = @holder, nonce = @nonce, taken_at = @taken_at
		 WHERE id = 1 AND number = @old_number AND nonce = @old_nonce`)
	recordTerm = sqldb.Define[termRow, sqldb.None]("sitedb.recordTerm",
		`INSERT INTO term_history (number, holder, nonce, taken_at) VALUES (@number, @holder, @nonce, @taken_at)`)
)

// TakeTerm makes holder the active site server in a new term, above every term
// before. Of several that try at once, one wins and the others get a Conflict.
func (db *DB) TakeTerm(ctx context.Context, holder string, now time.Time) (Term, error) {
	var before Term
	err := db.Read(ctx, func(tx *Tx) (err error) {
		before, _, err = readTerm.One(ctx, tx, sqldb.None{})
		return err
	})
	if err != nil {
		return Term{}, err
	}
	nonce := make([]byte, 16)
	rand.Read(nonce)
	row := termRow{Term: Term{Number: before.Number + 1, Holder: holder, Nonce: hex.EncodeToString(nonce)}, TakenAt: Micros(now)}
	err = db.Write(ctx, func(tx *Tx) error { return swap(ctx, tx, before, row) })
	return row.Term, err
}

func swap(ctx context.Context, tx *Tx, before Term, row termRow) error {
	var changed int64
	var err error
	if before.Number == 0 {
		changed, err = firstTerm.Exec(ctx, tx, row)
	} else {
		changed, err = swapTerm.Exec(ctx, tx, struct {
			termRow
			OldNumber int64  `db:"old_number"`
			OldNonce  string `db:"old_nonce"`
		}{row, before.Number, before.Nonce})
	}
	if err != nil {
		return fmt.Errorf("cannot take term %d: %w", row.Number, err)
	}
	if changed != 1 {
		return fault.New(fault.Conflict, "another site server took term %d first", row.Number)
	}
	_, err = recordTerm.Exec(ctx, tx, row)
	return err
}

// Fenced is the database as the components of the site server of one term see
// it: each writing transaction fails with Stale when the term is over.
type Fenced struct {
	db   *DB
	term Term
}

// Fence binds the database to a term.
func (db *DB) Fence(term Term) *Fenced { return &Fenced{db: db, term: term} }

// Term is the term that the transactions are bound to.
func (f *Fenced) Term() Term { return f.term }

// Read implements Reader.
func (f *Fenced) Read(ctx context.Context, g func(*Tx) error) error { return f.db.Read(ctx, g) }

// Write implements Writer. The check comes first: on SQLite a writing
// transaction excludes every other, so the term cannot change until its end.
func (f *Fenced) Write(ctx context.Context, g func(*Tx) error) error {
	return f.db.Write(ctx, func(tx *Tx) error {
		now, ok, err := readTerm.One(ctx, tx, sqldb.None{})
		if err != nil {
			return err
		}
		if !ok || now != f.term {
			return fault.New(fault.Stale, "term %d of site server %s is over", f.term.Number, f.term.Holder)
		}
		return g(tx)
	})
}

// Subscribe is DB.Subscribe.
func (f *Fenced) Subscribe(ctx context.Context, topics ...string) <-chan struct{} {
	return f.db.Subscribe(ctx, topics...)
}
