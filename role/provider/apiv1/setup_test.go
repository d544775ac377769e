package apiv1

import (
	"flag"
	"path/filepath"
	"testing"
	"time"

	"mainstay/site/access"
	"mainstay/site/sitedb"
)

var update = flag.Bool("update", false, "write openapi.json again")

// start is when the clock of every test begins.
var start = time.Date(2026, 11, 3, 9, 30, 0, 0, time.UTC)

func newAPI(t testing.TB) (*API, *sitedb.DB) {
	t.Helper()
	db, err := sitedb.Open(t.Context(), sitedb.Config{Path: filepath.Join(t.TempDir(), "site.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	now := func() time.Time { return start }
	door, err := access.NewDoor(access.DoorConfig{DB: db, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	api, err := New(Config{DB: db, Door: door, SiteCode: "LAB", Now: now})
	if err != nil {
		t.Fatal(err)
	}
	return api, db
}
