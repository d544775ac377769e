package policy

import (
	"encoding/json"
	"path/filepath"
	"testing"
	"time"

	"filippo.io/age"

	"mainstay/lib/signed"
	"mainstay/site/access"
	"mainstay/site/sitedb"
	"mainstay/site/trust"
	"mainstay/wire"
)

type compilerFixture struct {
	*testing.T
	db       *sitedb.DB
	compiler *Compiler
	cache    *Cache
	now      time.Time
	root     *trust.Authority
}

func setupCompiler(t *testing.T) *compilerFixture {
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
	f := &compilerFixture{T: t, db: db, now: time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)}
	key := identity.Recipient().String()
	f.write(func(tx *sitedb.Tx) error {
		if _, err := trust.Create(t.Context(), tx, trust.Genesis{SiteCode: "LAB", SiteServer: key, Recovery: key, Now: f.now}); err != nil {
			return err
		}
		return Found(t.Context(), tx, "LAB", f.now)
	})
	if f.root, err = trust.OpenAuthority(t.Context(), db, identity); err != nil {
		t.Fatal(err)
	}
	f.compiler = NewCompiler(CompilerConfig{DB: db, Authority: f.root, Now: func() time.Time { return f.now }})
	f.cache = NewCache(db)
	return f
}

func (f *compilerFixture) write(do func(*sitedb.Tx) error) {
	f.Helper()
	if err := f.db.Write(f.Context(), do); err != nil {
		f.Fatal(err)
	}
}

func (f *compilerFixture) device(id string) {
	f.Helper()
	f.write(func(tx *sitedb.Tx) error {
		rows, err := tx.Query(f.Context(), `INSERT INTO device (id, site_code, name, product_uuid, serial, machine_id, macs, public_key, key_fingerprint,
			certificate_ends_at, os, os_version, arch, client_version, addresses, registered_at, registered_by, blocked_reason, copy_of, conflict,
			inventory_hash, policy_version, fresh_until, settings_hash, queued, resync, modified_at)
			VALUES ($1, 'LAB', $1, '', '', '', '[]', '', $1, 0, '', '', '', '', '[]', 0, '', '', '', '', '', 0, 0, '', 0, 0, 0) RETURNING id`, id)
		if err != nil {
			return err
		}
		for rows.Next() {
		}
		if err := rows.Close(); err != nil {
			return err
		}
		return Want(f.Context(), tx, id, f.now)
	})
}

func (f *compilerFixture) pass() int {
	f.Helper()
	n, err := f.compiler.Pass(f.Context())
	if err != nil {
		f.Fatal(err)
	}
	return n
}

// answer is what a device gets, checked as a client checks it.
func (f *compilerFixture) answer(device string) (wire.PolicyAssignments, wire.PolicyFreshness, string) {
	f.Helper()
	body, etag, err := f.cache.Answer(f.Context(), device)
	if err != nil {
		f.Fatal(err)
	}
	var a wire.PolicyAnswer
	if err := json.Unmarshal(body, &a); err != nil {
		f.Fatal(err)
	}
	var assignments wire.PolicyAssignments
	var freshness wire.PolicyFreshness
	want := signed.Expect{Kind: wire.KindPolicyAssignments, SiteCode: "LAB", Device: device, Root: f.root.Root(), Now: f.now}
	if err := signed.Open(a.Assignments, want, &assignments); err != nil {
		f.Fatal(err)
	}
	want.Kind = wire.KindPolicyFreshness
	if err := signed.Open(a.Freshness, want, &freshness); err != nil {
		f.Fatal(err)
	}
	return assignments, freshness, etag
}

func (f *compilerFixture) settings(device string) wire.ClientSettings {
	f.Helper()
	assignments, _, _ := f.answer(device)
	body, err := f.cache.Body(f.Context(), assignments.Assignments[0].Hash)
	if err != nil {
		f.Fatal(err)
	}
	var s wire.ClientSettings
	if err := json.Unmarshal(body, &s); err != nil {
		f.Fatal(err)
	}
	return s
}

func TestOnlyADifferenceMakesANewVersion(t *testing.T) {
	t.Parallel()
	f := setupCompiler(t)
	f.device("one")
	f.pass()
	first, _, etag := f.answer("one")
	f.now = f.now.Add(time.Minute)
	f.write(func(tx *sitedb.Tx) error { return WantEveryone(t.Context(), tx, f.now) })
	if n := f.pass(); n != 1 {
		t.Fatalf("looked at %d devices, want 1", n)
	}
	if second, _, again := f.answer("one"); second.Version != first.Version || again != etag {
		t.Errorf("nothing changed, and version went from %d to %d", first.Version, second.Version)
	}
}

func TestCustomSettingsReachTheirDevicesOnly(t *testing.T) {
	t.Parallel()
	f := setupCompiler(t)
	f.device("one")
	f.device("two")
	f.pass()
	before, _, _ := f.answer("one")
	f.now = f.now.Add(time.Minute)
	f.write(func(tx *sitedb.Tx) error {
		caller := access.Local("root", "test")
		s, err := CreateSetting(t.Context(), tx, caller, NewSetting{
			Name: "fast", Settings: map[string]any{"client_policy.polling_interval": "1m"},
		}, f.now)
		if err != nil {
			return err
		}
		_, err = Deploy(t.Context(), tx, caller, s.ID, To{Devices: []string{"one"}}, f.now)
		return err
	})
	f.pass()
	if got := f.settings("one").ClientPolicy.PollingIntervalSeconds; got != 60 {
		t.Errorf("device one polls every %d s, want 60", got)
	}
	if got := f.settings("two").ClientPolicy.PollingIntervalSeconds; got != 300 {
		t.Errorf("device two polls every %d s, want 300", got)
	}
	if after, freshness, _ := f.answer("one"); after.Version <= before.Version || freshness.PolicyVersion != after.Version {
		t.Errorf("versions: before %d, after %d, fresh %d", before.Version, after.Version, freshness.PolicyVersion)
	}
}

func TestFreshnessIsRenewedAfterAWeekWithoutNewPolicy(t *testing.T) {
	t.Parallel()
	f := setupCompiler(t)
	f.device("one")
	f.pass()
	first, fresh, etag := f.answer("one")
	if life := time.UnixMicro(fresh.Expires).Sub(f.now); life != 45*24*time.Hour {
		t.Errorf("freshness lives %s, want 45 days", life)
	}
	f.now = f.now.Add(6 * 24 * time.Hour)
	if n := f.pass(); n != 0 {
		t.Errorf("renewed after six days")
	}
	f.now = f.now.Add(2 * 24 * time.Hour)
	f.pass()
	second, renewed, changed := f.answer("one")
	if second.Version != first.Version || renewed.Expires <= fresh.Expires || changed == etag {
		t.Errorf("after a week: version %d → %d, expires %d → %d", first.Version, second.Version, fresh.Expires, renewed.Expires)
	}
}

func TestRestoredSiteIsAboveWhatClientsHaveSeen(t *testing.T) {
	t.Parallel()
	f := setupCompiler(t)
	f.device("one")
	f.pass()
	seen, _, _ := f.answer("one")
	f.now = f.now.Add(time.Hour)
	f.write(func(tx *sitedb.Tx) error { return Reissue(t.Context(), tx, f.now) })
	f.pass()
	if after, _, _ := f.answer("one"); after.Version <= seen.Version {
		t.Errorf("version %d is not above %d", after.Version, seen.Version)
	}
}

func TestCacheKnowsWhatIsUnchanged(t *testing.T) {
	t.Parallel()
	f := setupCompiler(t)
	f.device("one")
	f.device("two")
	f.pass()
	if err := f.cache.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, _, etag := f.answer("one")
	if !f.cache.Unchanged("one", etag) || f.cache.Unchanged("two", etag) || f.cache.Unchanged("one", "") || f.cache.Unchanged("nobody", "") {
		t.Error("the cache mistakes what a client has")
	}
	f.now = f.now.Add(time.Hour)
	f.write(func(tx *sitedb.Tx) error { return Reissue(t.Context(), tx, f.now) })
	f.pass()
	if err := f.cache.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if f.cache.Unchanged("one", etag) {
		t.Error("the cache holds back a new version")
	}
}
