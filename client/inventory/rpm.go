package inventory

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"

	"mainstay/wire"

	// The driver that reads rpm's present form of database.
	_ "modernc.org/sqlite"
)

// emitHeader takes one header, which is valid during the call.
type emitHeader func(blob io.ReaderAt, size int64) error

// rpmDatabases are the places and forms of rpm's database, the newest first:
// SQLite since 2020 (Red Hat 9), ndb (SUSE), Berkeley DB before (Red Hat 8).
// Where an old form was converted, its file may be left behind.
var rpmDatabases = []struct {
	file string
	read func(ctx context.Context, file string, emit emitHeader) error
}{
	{"/usr/lib/sysimage/rpm/rpmdb.sqlite", readRPMSQLite},
	{"/var/lib/rpm/rpmdb.sqlite", readRPMSQLite},
	{"/usr/lib/sysimage/rpm/Packages.db", readRPMNDB},
	{"/var/lib/rpm/Packages.db", readRPMNDB},
	{"/usr/lib/sysimage/rpm/Packages", readRPMBerkeley},
	{"/var/lib/rpm/Packages", readRPMBerkeley},
}

// maxRPMHeader bounds one header; the largest (sources of kernels with all
// their files) have some ten megabytes.
const maxRPMHeader = 256 << 20

// rpmPackages reads rpm's database. It uses readers of its own and not a
// library, because it wants eleven fields of headers that hold every file of a
// package, and because a database that is being written must give an error and
// never more than that.
func (r *run) rpmPackages(ctx context.Context) error {
	for _, database := range rpmDatabases {
		if !r.machine.exists(database.file) {
			continue
		}
		return database.read(ctx, r.machine.path(database.file), func(blob io.ReaderAt, size int64) error {
			row, ok, err := rpmPackage(blob, size)
			if ok {
				r.add(wire.ClassInstalledSoftware, &row)
			}
			return err
		})
	}
	return nil
}

// readRPMSQLite reads the form that has a table of headers. While there is a
// log of writes, it is read too; without one the file is opened as never
// changing, which needs no right to write beside it.
func readRPMSQLite(ctx context.Context, file string, emit emitHeader) (err error) {
	how := "mode=ro&immutable=1"
	if info, err := os.Stat(file + "-wal"); err == nil && info.Size() > 0 {
		how = "mode=ro"
	}
	// 256 KiB of pages are enough to go through a table once.
	source := (&url.URL{Scheme: "file", OmitHost: true, Path: file, RawQuery: how + "&_pragma=cache_size(-256)&_pragma=busy_timeout(2000)"}).String()
	db, err := sql.Open("sqlite", source)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	db.SetMaxOpenConns(1)
	// One transaction, so that all statements see one state.
	tx, err := db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	// It wrote nothing; its end can only fail with the connection.
	defer func() { _ = tx.Rollback() }()
	if err := readRPMTable(ctx, tx, emit); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return nil
}

func readRPMTable(ctx context.Context, tx *sql.Tx, emit emitHeader) error {
	numbers, err := rpmHeaderNumbers(ctx, tx)
	if err != nil {
		return err
	}
	head, err := tx.PrepareContext(ctx, fmt.Sprintf("SELECT length(blob), substr(blob, 1, %d) FROM Packages WHERE hnum = $1", rpmHead))
	if err != nil {
		return err
	}
	defer head.Close()
	part, err := tx.PrepareContext(ctx, "SELECT substr(blob, $1, $2) FROM Packages WHERE hnum = $3")
	if err != nil {
		return err
	}
	defer part.Close()
	for _, number := range numbers {
		blob := rpmBlobRow{ctx: ctx, part: part, number: number}
		var size int64
		if err := head.QueryRowContext(ctx, number).Scan(&size, &blob.head); err != nil {
			return err
		}
		if err := emit(&blob, size); err != nil {
			return err
		}
	}
	return nil
}

func rpmHeaderNumbers(ctx context.Context, tx *sql.Tx) ([]int64, error) {
	rows, err := tx.QueryContext(ctx, "SELECT hnum FROM Packages")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var numbers []int64
	for rows.Next() {
		var number int64
		if err := rows.Scan(&number); err != nil {
			return nil, err
		}
		numbers = append(numbers, number)
	}
	return numbers, rows.Err()
}

// rpmHead is how much of a header is read at once; most have no more.
const rpmHead = 16 << 10

// rpmBlobRow reads parts of a header, so that those of many megabytes are not
// copied as a whole.
type rpmBlobRow struct {
	ctx    context.Context
	part   *sql.Stmt
	number int64
	head   []byte
}

// ReadAt implements io.ReaderAt.
func (b *rpmBlobRow) ReadAt(p []byte, from int64) (int, error) {
	if from+int64(len(p)) <= int64(len(b.head)) {
		return copy(p, b.head[from:]), nil
	}
	var data []byte
	if err := b.part.QueryRowContext(b.ctx, from+1, len(p), b.number).Scan(&data); err != nil {
		return 0, err
	}
	n := copy(p, data)
	if n < len(p) {
		return n, io.ErrUnexpectedEOF
	}
	return n, nil
}
