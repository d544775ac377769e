package siteserver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"mainstay/lib/fault"
	"mainstay/lib/filesys"
	"mainstay/site/backup"
	"mainstay/site/policy"
	"mainstay/site/publishing"
	"mainstay/site/sitedb"
)

// RestoreConfig says where a site is restored to.
type RestoreConfig struct {
	// Database and Keys must not exist yet.
	Database, Keys string
	Now            time.Time
}

// Restore puts an unpacked backup in its place. The site that starts from it
// signs everything anew, so that clients that have seen more take it.
func Restore(ctx context.Context, u backup.Unpacked, c RestoreConfig) error {
	for _, path := range []string{c.Database, c.Keys} {
		if _, err := os.Lstat(path); err == nil {
			return fault.New(fault.Conflict, "%s exists already; restore into an empty folder", path)
		}
		if err := filesys.MakeDir(filepath.Dir(path), 0o700); err != nil {
			return err
		}
	}
	if err := renewVersions(ctx, u.Database(), c.Now); err != nil {
		return err
	}
	// The database comes last: without it there is no site, and the restore
	// can be run again.
	if err := os.Rename(u.Keys(), c.Keys); err != nil {
		return fmt.Errorf("cannot put the keys in their place: %w", err)
	}
	if err := os.Rename(u.Database(), c.Database); err != nil {
		return errors.Join(fmt.Errorf("cannot put the database in its place: %w", err), os.Rename(c.Keys, u.Keys()))
	}
	return errors.Join(filesys.SyncDir(filepath.Dir(c.Keys)), filesys.SyncDir(filepath.Dir(c.Database)), os.RemoveAll(u.Dir))
}

func renewVersions(ctx context.Context, path string, now time.Time) error {
	db, err := sitedb.Open(ctx, sitedb.Config{Path: path})
	if err != nil {
		return err
	}
	err = db.Write(ctx, func(tx *sitedb.Tx) error {
		return errors.Join(policy.Reissue(ctx, tx, now), publishing.Reissue(ctx, tx))
	})
	return errors.Join(err, db.Close())
}
