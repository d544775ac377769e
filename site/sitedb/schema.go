package sitedb

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"strings"

	"github.com/pressly/goose/v3"

	"mainstay/lib/fault"
)

//go:embed migrations/*.sql
var migrations embed.FS

// prepareSchema applies the migrations that the database does not have yet,
// each in a transaction, and refuses a database that is newer than this
// program.
func (db *DB) prepareSchema(ctx context.Context) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return fmt.Errorf("cannot read migrations: %w", err)
	}
	provider, err := goose.NewProvider(goose.DialectSQLite3, db.writer.db, dialectFS{files},
		goose.WithDisableGlobalRegistry(true), goose.WithSlog(quiet()))
	if err != nil {
		return fmt.Errorf("cannot read migrations: %w", err)
	}
	current, target, err := provider.GetVersions(ctx)
	if err != nil {
		return fault.Wrap(fault.Unavailable, err, "cannot read the schema version of the site database; is it a site database?")
	}
	if current > target {
		return fault.New(fault.Conflict, "the site database has schema %d and this program knows %d; install the newer program", current, target)
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("cannot bring the site database up to date: %w", kindOf(err))
	}
	return nil
}

// dialectFS replaces the macros in which the engines differ while the
// migrations are read: ${ID} an identity column, ${JSON} a JSON column,
// ${BYTES} a column of bytes, ${ROWLESS} a table kept in the order of its key.
type dialectFS struct{ fs.FS }

var sqliteMacros = strings.NewReplacer(
	"${ID}", "INTEGER PRIMARY KEY AUTOINCREMENT",
	"${JSON}", "TEXT",
	"${BYTES}", "BLOB",
	"${ROWLESS}", "WITHOUT ROWID",
)

// Open implements fs.FS.
func (d dialectFS) Open(name string) (fs.File, error) {
	if !strings.HasSuffix(name, ".sql") {
		return d.FS.Open(name)
	}
	data, err := fs.ReadFile(d.FS, name)
	if err != nil {
		return nil, err
	}
	return newMemoryFile(name, sqliteMacros.Replace(string(data))), nil
}
