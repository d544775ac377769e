package sitedb

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"mainstay/lib/fault"
	"mainstay/lib/sqldb"
)

func open(t *testing.T) *DB {
	t.Helper()
	db, err := Open(t.Context(), Config{Path: filepath.Join(t.TempDir(), "site.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func TestOnlyTheNewestTermWrites(t *testing.T) {
	t.Parallel()
	db := open(t)
	first, err := db.TakeTerm(t.Context(), "one", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	second, err := db.TakeTerm(t.Context(), "two", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	nothing := func(*Tx) error { return nil }
	if err := db.Fence(first).Write(t.Context(), nothing); !fault.Is(err, fault.Stale) {
		t.Errorf("replaced server wrote: %v", err)
	}
	if err := db.Fence(second).Write(t.Context(), nothing); err != nil {
		t.Errorf("active server cannot write: %v", err)
	}
}

func TestFailedTransactionLeavesNothing(t *testing.T) {
	t.Parallel()
	db := open(t)
	insert := sqldb.Define[struct {
		Name string `db:"name"`
	}, sqldb.None]("insert", `INSERT INTO change_counter (name, value) VALUES (@name, 1)`)
	count := sqldb.Define[sqldb.None, struct {
		N int64 `db:"n"`
	}]("count", `SELECT count(*) AS n FROM change_counter`)
	rows := func() int64 {
		var n int64
		err := db.Read(t.Context(), func(tx *Tx) error {
			row, _, err := count.One(t.Context(), tx, sqldb.None{})
			n = row.N
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	before := rows()
	type in = struct {
		Name string `db:"name"`
	}
	err := db.Write(t.Context(), func(tx *Tx) error {
		if _, err := insert.Exec(t.Context(), tx, in{"x"}); err != nil {
			return err
		}
		return fault.New(fault.Conflict, "changed my mind")
	})
	if !fault.Is(err, fault.Conflict) || rows() != before {
		t.Errorf("rows %d → %d, error %v", before, rows(), err)
	}
	err = db.Read(t.Context(), func(tx *Tx) error {
		_, err := insert.Exec(t.Context(), tx, in{"y"})
		return err
	})
	if err == nil || rows() != before {
		t.Errorf("a reading transaction wrote")
	}
	if err := db.Write(t.Context(), func(tx *Tx) error {
		_, err := insert.Exec(t.Context(), tx, in{"z"})
		return err
	}); err != nil || rows() != before+1 {
		t.Errorf("writing after a failure: %v", err)
	}
}

func TestClosingLeavesOneFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "site.db")
	db, err := Open(t.Context(), Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	// Statements stay prepared, which must not keep the database open.
	if _, err := db.TakeTerm(t.Context(), "one", time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	for _, suffix := range []string{"-wal", "-shm"} {
		if _, err := os.Stat(path + suffix); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is left: whoever moves the file alone loses what was committed last (%v)", suffix, err)
		}
	}
}

func TestSubscribersHearOfCommitsOnly(t *testing.T) {
	t.Parallel()
	db := open(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	heard := db.Subscribe(ctx, "inbox")
	db.Write(ctx, func(tx *Tx) error {
		tx.Announce("inbox")
		return fault.New(fault.Conflict, "no")
	})
	select {
	case <-heard:
		t.Fatal("heard of a transaction that failed")
	default:
	}
	if err := db.Write(ctx, func(tx *Tx) error { tx.Announce("inbox"); return nil }); err != nil {
		t.Fatal(err)
	}
	<-heard
}

func TestSnapshotIsWhole(t *testing.T) {
	t.Parallel()
	db := open(t)
	if _, err := db.TakeTerm(t.Context(), "one", time.Now()); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "copy.db")
	if err := db.Snapshot(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	again, err := Open(t.Context(), Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	term, err := again.TakeTerm(t.Context(), "two", time.Now())
	if err != nil || term.Number != 2 {
		t.Errorf("term after the copy is %d (%v), want 2", term.Number, err)
	}
}

func TestTryUndoesOnePartOnly(t *testing.T) {
	t.Parallel()
	db := open(t)
	type in = struct {
		Name string `db:"name"`
	}
	insert := sqldb.Define[in, sqldb.None]("insert", `INSERT INTO change_counter (name, value) VALUES (@name, 1)`)
	names := sqldb.Define[sqldb.None, in]("names", `SELECT name FROM change_counter WHERE value = 1 ORDER BY name`)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	lost := db.Subscribe(ctx, "lost")
	err := db.Write(ctx, func(tx *Tx) error {
		put := func(name string, then error) error {
			return tx.Try(ctx, func() error {
				_, err := insert.Exec(ctx, tx, in{name})
				tx.Announce(map[bool]string{true: "kept", false: "lost"}[then == nil])
				return errors.Join(err, then)
			})
		}
		if err := put("a", nil); err != nil {
			return err
		}
		if err := put("b", fault.InvalidField("x", "no")); !fault.Is(err, fault.Invalid) {
			t.Errorf("error of the part is %v", err)
		}
		if err := put("a", nil); !fault.Is(err, fault.Conflict) {
			t.Errorf("a broken constraint is %v, want a conflict", err)
		}
		return put("c", nil)
	})
	if err != nil {
		t.Fatal(err)
	}
	err = db.Read(ctx, func(tx *Tx) error {
		rows, err := names.All(ctx, tx, sqldb.None{})
		if len(rows) != 2 || rows[0].Name != "a" || rows[1].Name != "c" {
			t.Errorf("rows %v, want a and c", rows)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-lost:
		t.Error("heard of a part that was undone")
	default:
	}
}
