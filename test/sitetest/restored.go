package sitetest

import (
	"os"
	"path/filepath"
	"testing"
)

// Restored restores a backup into a new folder on other ports: the client port
// is clients, the others are free ones. It does not start the site.
func Restored(t testing.TB, backup, clients string) *Site {
	t.Helper()
	dir := t.TempDir()
	run, err := os.MkdirTemp("", "ms-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(run) })
	s := &Site{
		t: t, Dir: dir, Config: filepath.Join(dir, "mainstay.yaml"), Clients: clients, Admin: FreePort(t), Socket: filepath.Join(run, "s"),
	}
	s.mustRun("site", "restore", backup, "--config", s.Config, "--data", filepath.Join(dir, "data"),
		"--client-listen", s.Clients, "--admin-listen", s.Admin, "--socket", s.Socket)
	return s
}
