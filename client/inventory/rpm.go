package inventory

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"

	"mainstay/wire"

	// The driver that reads rpm's present form of database.
	_ "modernc.org/sqlite"
)

// rpmDatabases are the places and forms of rpm's database, the newest first:
// SQLite since 2020 (Red Hat 9), ndb (SUSE), Berkeley DB before (Red Hat 8).
// Where an old form was converted, its file may be left behind.
var rpmDatabases = []struct {
	file string
	read func(ctx context.Context, file string, emit func(blob []byte) error) error
}{
	{"/usr/lib/sysimage/rpm/rpmdb.sqlite", readRPMSQLite},
	{"/var/lib/rpm/rpmdb.sqlite", readRPMSQLite},
	{"/usr/lib/sysimage/rpm/Packages.db", readRPMNDB},
	{"/var/lib/rpm/Packages.db", readRPMNDB},
	{"/usr/lib/sysimage/rpm/Packages", readRPMBerkeley},
	{"/var/lib/rpm/Packages", readRPMBerkeley},
}

// maxRPMHeader bounds one header; the largest (kernels with all their files)
// have some megabytes.
const maxRPMHeader = 64 << 20

// rpmPackages reads rpm's database. It uses readers of its own and not a
// library, because it wants eleven fields of headers that hold every file of a
// package, and because a database that is being written must give an error and
// never more than that.
func (r *run) rpmPackages(ctx context.Context) error {
	for _, database := range rpmDatabases {
		if !r.machine.exists(database.file) {
			continue
		}
		return database.read(ctx, r.machine.path(database.file), func(blob []byte) error {
			row, ok, err := rpmPackage(blob)
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
func readRPMSQLite(ctx context.Context, file string, emit func([]byte) error) (err error) {
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
	rows, err := db.QueryContext(ctx, "SELECT blob FROM Packages")
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	defer rows.Close()
	for rows.Next() {
		var blob sql.RawBytes
		if err := rows.Scan(&blob); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		if err := emit(blob); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	return rows.Err()
}
