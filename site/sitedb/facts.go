package sitedb

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// Facts are what an operator may want to know of the database.
type Facts struct {
	// Engine and Version of it: "SQLite", "3.50.4".
	Engine, Version string
	// Schema is the number of the newest migration that was applied.
	Schema int64
	// Size of the database in bytes, Log of the write-ahead log beside it.
	Size, Log int64
	// Free space on the file system, in bytes, for a process without special
	// rights.
	Free int64
}

// Facts reads them.
func (db *DB) Facts(ctx context.Context) (Facts, error) {
	facts := Facts{Engine: "SQLite"}
	var path string
	err := db.Read(ctx, func(tx *Tx) error {
		for _, fact := range []struct {
			query string
			to    any
		}{
			{`SELECT sqlite_version()`, &facts.Version},
			{`SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()`, &facts.Size},
			{`SELECT file FROM pragma_database_list WHERE name = 'main'`, &path},
			{`SELECT max(version_id) FROM goose_db_version WHERE is_applied`, &facts.Schema},
		} {
			if err := tx.conn.QueryRowContext(ctx, fact.query).Scan(fact.to); err != nil {
				return fmt.Errorf("cannot read facts of the site database: %w", err)
			}
		}
		return nil
	})
	if err != nil {
		return facts, err
	}
	// A log that is not there has been folded into the database.
	if info, err := os.Stat(path + "-wal"); err == nil {
		facts.Log = info.Size()
	}
	var fs syscall.Statfs_t
	if err := syscall.Statfs(filepath.Dir(path), &fs); err != nil {
		return facts, fmt.Errorf("cannot ask for free space beside the site database: %w", err)
	}
	facts.Free = int64(fs.Bavail) * fs.Bsize
	return facts, nil
}
