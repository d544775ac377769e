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
	// Database and Keys must not exist yet. The folder of the database is
	// where a backup is unpacked: putting the database in its place is then
	// one step, however large it is.
	Database, Keys string
	Now            time.Time
}

// besideDatabase are the files that the engine would take for a part of a
// database of this name.
var besideDatabase = []string{"-wal", "-shm", "-journal"}

// CheckTarget tells whether a site can be restored there: a Conflict where
// something is in the way.
func (c RestoreConfig) CheckTarget() error {
	paths := []string{c.Database, c.Keys}
	for _, suffix := range besideDatabase {
		paths = append(paths, c.Database+suffix)
	}
	for _, path := range paths {
		if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
			return fault.New(fault.Conflict, "%s exists already, and nothing was changed; restore into an empty folder, or move what is there away first", path)
		}
	}
	return nil
}

// Restore puts an unpacked backup in its place. The site that starts from it
// signs everything anew, so that clients that have seen more take it.
func Restore(ctx context.Context, u backup.Unpacked, c RestoreConfig) error {
	if err := c.CheckTarget(); err != nil {
		return err
	}
	if err := renewVersions(ctx, u.Database(), c.Now); err != nil {
		return err
	}
	// The database comes last: without it there is no site.
	if err := placeKeys(u.Keys(), c.Keys); err != nil {
		return errors.Join(err, os.RemoveAll(c.Keys))
	}
	if err := os.Rename(u.Database(), c.Database); err != nil {
		return errors.Join(fmt.Errorf("cannot put the database in its place: %w", err), os.RemoveAll(c.Keys))
	}
	return errors.Join(filesys.SyncDir(filepath.Dir(c.Database)), os.RemoveAll(u.Dir))
}

// placeKeys copies the files of keys, which may go to another disk.
func placeKeys(from, to string) error {
	if err := filesys.MakeDir(to, 0o700); err != nil {
		return err
	}
	entries, err := os.ReadDir(from)
	if err != nil {
		return fmt.Errorf("cannot read the keys of the backup: %w", err)
	}
	for _, entry := range entries {
		data, err := filesys.ReadFile(filepath.Join(from, entry.Name()), maxKeyFile)
		if err != nil {
			return err
		}
		if err := filesys.WriteFile(filepath.Join(to, entry.Name()), data, 0o600); err != nil {
			return err
		}
	}
	return nil
}

func renewVersions(ctx context.Context, path string, now time.Time) error {
	db, err := sitedb.Open(ctx, sitedb.Config{Path: path})
	if err != nil {
		return err
	}
	err = db.Write(ctx, func(tx *sitedb.Tx) error {
		return errors.Join(policy.Reissue(ctx, tx, now), publishing.Reissue(ctx, tx))
	})
	if err = errors.Join(err, db.Close()); err != nil {
		return err
	}
	// The file alone is moved, so everything must be in it.
	for _, suffix := range besideDatabase {
		if _, err := os.Lstat(path + suffix); !errors.Is(err, os.ErrNotExist) {
			return fault.New(fault.Internal, "the unpacked database is still in use; try again")
		}
	}
	return nil
}
