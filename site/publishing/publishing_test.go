package publishing

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"mainstay/lib/fault"
	"mainstay/lib/signed"
	"mainstay/site"
	"mainstay/site/sitedb"
	"mainstay/site/trust"
	"mainstay/wire"
)

type fixture struct {
	*testing.T
	db        *sitedb.DB
	authority *trust.Authority
	publisher *Publisher
	packages  string
	now       time.Time
}

func setup(t *testing.T) *fixture {
	t.Helper()
	db, err := sitedb.Open(t.Context(), sitedb.Config{Path: filepath.Join(t.TempDir(), "site.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{T: t, db: db, packages: t.TempDir(), now: time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)}
	key := identity.Recipient().String()
	f.write(func(tx *sitedb.Tx) error {
		_, err := trust.Create(t.Context(), tx, trust.Genesis{SiteCode: "LAB", SiteServer: key, Recovery: key, Now: f.now})
		return err
	})
	if f.authority, err = trust.OpenAuthority(t.Context(), db, identity); err != nil {
		t.Fatal(err)
	}
	f.publisher = New(Config{DB: db, Authority: f.authority, Packages: f.packages, Now: func() time.Time { return f.now }})
	return f
}

func (f *fixture) write(do func(*sitedb.Tx) error) {
	f.Helper()
	if err := f.db.Write(f.Context(), do); err != nil {
		f.Fatal(err)
	}
}

// point makes a management point of the site.
func (f *fixture) point(id, address string) {
	f.Helper()
	f.write(func(tx *sitedb.Tx) error {
		if err := site.PutSystem(f.Context(), tx, site.System{ID: id, SiteCode: "LAB", Name: id, Address: address, ClientPort: 8443}); err != nil {
			return err
		}
		return site.PutRole(f.Context(), tx, id, site.RoleManagementPoint, site.StateOK, "", f.now)
	})
}

// lay puts a package into the folder, as old as age.
func (f *fixture) lay(name, content string, age time.Duration) {
	f.Helper()
	path := filepath.Join(f.packages, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		f.Fatal(err)
	}
	when := f.now.Add(-age)
	if err := os.Chtimes(path, when, when); err != nil {
		f.Fatal(err)
	}
}

func (f *fixture) pass() {
	f.Helper()
	if err := f.publisher.Pass(f.Context()); err != nil {
		f.Fatal(err)
	}
}

// open reads a statement as a client does.
func (f *fixture) open(kind string, out any) {
	f.Helper()
	data, err := Statement(f.Context(), f.db, kind)
	if err != nil {
		f.Fatal(err)
	}
	var s wire.Signed
	if err := json.Unmarshal(data, &s); err != nil {
		f.Fatal(err)
	}
	if err := signed.Open(s, signed.Expect{Kind: kind, SiteCode: "LAB", Root: f.authority.Root(), Now: f.now}, out); err != nil {
		f.Fatal(err)
	}
}

func TestDescriptionChangesWithTheManagementPointsAlone(t *testing.T) {
	t.Parallel()
	f := setup(t)
	if _, err := Statement(t.Context(), f.db, wire.KindSiteDescription); !fault.Is(err, fault.NotFound) {
		t.Fatalf("before the first pass: %v", err)
	}
	f.point("one", "one.example")
	f.pass()
	var first, second, third wire.SiteDescription
	f.open(wire.KindSiteDescription, &first)
	f.now = f.now.Add(time.Hour)
	f.pass()
	f.open(wire.KindSiteDescription, &second)
	if first.Version != second.Version || len(first.ManagementPoints) != 1 || first.ManagementPoints[0] != "one.example:8443" {
		t.Errorf("nothing changed: %+v, then %+v", first.Statement, second.Statement)
	}
	f.point("two", "2001:db8::2")
	f.pass()
	f.open(wire.KindSiteDescription, &third)
	if third.Version <= second.Version || len(third.ManagementPoints) != 2 || third.ManagementPoints[1] != "[2001:db8::2]:8443" {
		t.Errorf("after another management point: %+v", third)
	}
}

func TestNewestPackageOfEachKindIsPublished(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.lay("mainstay-client_1.0.0_amd64.deb", "old", time.Hour)
	f.lay("mainstay-client_1.1.0_amd64.deb", "new", 0)
	f.lay("mainstay-client-1.1.0-1.aarch64.rpm", "arm", 0)
	f.lay("mainstay_1.1.0_amd64.deb", "the server's", 0)
	f.lay("notes.txt", "nothing", 0)
	f.pass()
	f.pass()
	var list wire.ClientPackages
	f.open(wire.KindClientPackages, &list)
	if len(list.Packages) != 2 {
		t.Fatalf("published: %+v", list.Packages)
	}
	sum := sha256.Sum256([]byte("new"))
	want := wire.ClientPackage{File: "mainstay-client_1.1.0_amd64.deb", Arch: "amd64", Format: "deb", ClientVersion: "1.1.0", Size: 3, SHA256: hex.EncodeToString(sum[:])}
	if list.Packages[1] != want || list.Packages[0].Arch != "arm64" {
		t.Errorf("published: %+v", list.Packages)
	}
	if data, err := Package(t.Context(), f.db, want.File); err != nil || string(data) != "new" {
		t.Errorf("served %q, %v", data, err)
	}
	if _, err := Package(t.Context(), f.db, "mainstay-client_1.0.0_amd64.deb"); !fault.Is(err, fault.NotFound) {
		t.Errorf("the old package is still there: %v", err)
	}
}

func TestInstallLineNeedsPackagesAndAManagementPoint(t *testing.T) {
	t.Parallel()
	f := setup(t)
	if _, err := InstallLine(t.Context(), f.db, "T"); !fault.Is(err, fault.Unavailable) {
		t.Errorf("without a management point: %v", err)
	}
	f.point("one", "one.example")
	if _, err := InstallLine(t.Context(), f.db, "T"); !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "make package") {
		t.Errorf("without packages: %v", err)
	}
	f.lay("mainstay-client_1.0.0_amd64.deb", "new", 0)
	f.pass()
	line, err := InstallLine(t.Context(), f.db, "T")
	if err != nil {
		t.Fatal(err)
	}
	script, err := InstallScript(t.Context(), f.db)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(script))
	if !strings.Contains(line, hex.EncodeToString(sum[:])) || strings.Contains(line, "\n") {
		t.Errorf("the line does not hold the fingerprint of the script, or is no line: %s", line)
	}
}

func TestInstallScriptIsAShellScript(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.lay("mainstay-client_1.0.0_amd64.deb", "new", 0)
	f.pass()
	script, err := InstallScript(t.Context(), f.db)
	if err != nil {
		t.Fatal(err)
	}
	check := exec.Command("sh", "-n")
	check.Stdin = strings.NewReader(script)
	if output, err := check.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, output)
	}
	if strings.Contains(script, "@SITE@") || strings.Contains(script, "@PACKAGES@") || strings.Contains(script, "@DOOR@") {
		t.Errorf("the script was not filled in:\n%s", script)
	}
}

func TestReissueSignsAnew(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.pass()
	var before, after wire.SiteDescription
	f.open(wire.KindSiteDescription, &before)
	f.now = f.now.Add(time.Minute)
	f.write(func(tx *sitedb.Tx) error { return Reissue(t.Context(), tx) })
	f.pass()
	f.open(wire.KindSiteDescription, &after)
	if after.Version <= before.Version {
		t.Errorf("version %d after %d", after.Version, before.Version)
	}
}
