package access

import (
	"database/sql"
	"os"
	"path/filepath"
	"testing"

	_ "modernc.org/sqlite"
)

func readFile(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// plainCopy is a copy of the database, opened without sitedb, to prepare
// statements on.
func plainCopy(s *site) *sql.DB {
	s.t.Helper()
	path := filepath.Join(s.t.TempDir(), "plain.db")
	s.must(s.db.Snapshot(s.t.Context(), path))
	db, err := sql.Open("sqlite", path)
	s.must(err)
	s.t.Cleanup(func() { db.Close() })
	return db
}
