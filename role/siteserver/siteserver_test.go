package siteserver

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"filippo.io/age"

	"mainstay/lib/fault"
	"mainstay/lib/mtls"
	"mainstay/site"
	"mainstay/site/backup"
	"mainstay/site/sitedb"
	"mainstay/site/trust"
)

const passphrase = "correct horse battery"

// made is a site that Init made in a folder of the test.
type made struct {
	Made
	dir, database, keys string
}

func makeSite(t *testing.T) made {
	t.Helper()
	dir := t.TempDir()
	m := made{dir: dir, database: filepath.Join(dir, "site.db"), keys: filepath.Join(dir, "keys")}
	var err error
	m.Made, err = Init(t.Context(), InitConfig{Database: m.database, Keys: m.keys, SiteCode: "LAB", Name: "Lab", Now: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func (m made) open(t *testing.T) *sitedb.DB {
	t.Helper()
	db, err := sitedb.Open(t.Context(), sitedb.Config{Path: m.database})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func (m made) authority(t *testing.T) *trust.Authority {
	t.Helper()
	identity, system, err := LoadIdentity(m.keys)
	if err != nil {
		t.Fatal(err)
	}
	server, err := New(t.Context(), Config{DB: m.open(t), Identity: identity, System: system, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	return server.Authority()
}

func TestRootOpensWithTheRecoveryKeyAlone(t *testing.T) {
	t.Parallel()
	m := makeSite(t)
	sealed, err := os.ReadFile(m.RootKey)
	if err != nil {
		t.Fatal(err)
	}
	recovery, err := age.ParseX25519Identity(m.RecoveryKey)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := age.Decrypt(bytes.NewReader(sealed), recovery); err != nil {
		t.Errorf("the recovery key does not open the root: %v", err)
	}
	server, _, err := LoadIdentity(m.keys)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := age.Decrypt(bytes.NewReader(sealed), server); err == nil {
		t.Error("the site server can open the root")
	}
}

func TestNobodyElseReadsWhatASiteKeeps(t *testing.T) {
	t.Parallel()
	m := makeSite(t)
	err := filepath.WalkDir(m.dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || path == m.dir {
			return err
		}
		info, err := entry.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %s", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestSecondInitChangesNothing(t *testing.T) {
	t.Parallel()
	m := makeSite(t)
	before, err := os.ReadFile(filepath.Join(m.keys, identityFile))
	if err != nil {
		t.Fatal(err)
	}
	_, err = Init(t.Context(), InitConfig{Database: m.database, Keys: m.keys, SiteCode: "ABC", Now: time.Now()})
	if !fault.Is(err, fault.Conflict) {
		t.Errorf("a second site was made: %v", err)
	}
	after, err := os.ReadFile(filepath.Join(m.keys, identityFile))
	if err != nil || !bytes.Equal(before, after) {
		t.Errorf("the key of the site server changed (%v)", err)
	}
	if s, err := site.Load(t.Context(), m.open(t)); err != nil || s.Code != "LAB" {
		t.Errorf("the site is now %q (%v)", s.Code, err)
	}
}

func TestAnotherSiteServersKeyOpensNothing(t *testing.T) {
	t.Parallel()
	m, other := makeSite(t), makeSite(t)
	identity, system, err := LoadIdentity(other.keys)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := New(t.Context(), Config{DB: m.open(t), Identity: identity, System: system, Now: time.Now}); !fault.Is(err, fault.Denied) {
		t.Errorf("opened: %v", err)
	}
}

func TestHostCertificateIsKeptAndRenewedFromHalfOfItsLife(t *testing.T) {
	t.Parallel()
	m := makeSite(t)
	authority := m.authority(t)
	now := time.Now()
	load := func(at time.Time, hosts ...string) string {
		t.Helper()
		host, err := LoadHostCertificate(m.keys, "system", hosts, authority, func() time.Time { return at })
		if err != nil {
			t.Fatal(err)
		}
		cert, err := host.Current()
		if err != nil {
			t.Fatal(err)
		}
		return mtls.Fingerprint(cert.Certificate[0])
	}
	first := load(now, "a.example")
	if load(now.Add(mtls.SystemLifetime/2-24*time.Hour), "a.example") != first {
		t.Error("renewed before half of its life")
	}
	renewed := load(now.Add(mtls.SystemLifetime/2+24*time.Hour), "a.example")
	if renewed == first {
		t.Error("not renewed after half of its life")
	}
	if load(now.Add(mtls.SystemLifetime/2+24*time.Hour), "a.example", "b.example") == renewed {
		t.Error("not issued anew for another name")
	}
	if err := os.WriteFile(filepath.Join(m.keys, hostCertFile), []byte("garbage"), 0o600); err != nil {
		t.Fatal(err)
	}
	if load(now, "a.example") == "" {
		t.Error("a damaged certificate stops the site system")
	}
}

// backUp writes a backup and returns its path.
func (m made) backUp(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "LAB.mainstay")
	_, err := backup.Write(t.Context(), backup.Source{
		DB: m.open(t), Keys: m.keys, Scratch: t.TempDir(), Now: time.Now(),
	}, path, passphrase)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// into is a place to unpack to.
func into(dir string) backup.Place {
	return func(backup.Manifest, []byte) (string, error) { return dir, nil }
}

func TestRestoredSiteOpensItsSecrets(t *testing.T) {
	t.Parallel()
	m := makeSite(t)
	target := t.TempDir()
	u, err := backup.Unpack(m.backUp(t), passphrase, into(target))
	if err != nil {
		t.Fatal(err)
	}
	restored := made{dir: target, database: filepath.Join(target, "data", "site.db"), keys: filepath.Join(target, "data", "keys")}
	if err := Restore(t.Context(), u, RestoreConfig{Database: restored.database, Keys: restored.keys, Now: time.Now()}); err != nil {
		t.Fatal(err)
	}
	if got := restored.authority(t).Site(); got.Code != "LAB" || !bytes.Equal(got.Root, m.Site.Root) {
		t.Errorf("restored %s with another root", got.Code)
	}
}

func TestDamagedBackupLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	m := makeSite(t)
	whole, err := os.ReadFile(m.backUp(t))
	if err != nil {
		t.Fatal(err)
	}
	flip := func(at int) []byte {
		damaged := bytes.Clone(whole)
		damaged[at] ^= 1
		return damaged
	}
	for name, test := range map[string]struct {
		data       []byte
		passphrase string
		want       fault.Kind
	}{
		"another passphrase": {whole, "wrong horse battery", fault.Denied},
		"empty":              {nil, passphrase, fault.Invalid},
		"cut off":            {whole[:len(whole)*2/3], passphrase, fault.Invalid},
		"last byte missing":  {whole[:len(whole)-1], passphrase, fault.Invalid},
		// It cannot be told from another passphrase.
		"a bit in the head": {flip(40), passphrase, fault.Denied},
		"a bit in the body": {flip(len(whole) / 2), passphrase, fault.Invalid},
		"no backup":         {[]byte("hello"), passphrase, fault.Invalid},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, target := t.TempDir(), t.TempDir()
			path := filepath.Join(dir, "backup")
			if err := os.WriteFile(path, test.data, 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := backup.Unpack(path, test.passphrase, into(target)); fault.KindOf(err) != test.want {
				t.Errorf("error %v is %s, want %s", err, fault.KindOf(err), test.want)
			}
			if left, err := os.ReadDir(target); err != nil || len(left) > 0 {
				t.Errorf("left behind: %v (%v)", left, err)
			}
		})
	}
}

func TestShortPassphraseIsRefused(t *testing.T) {
	t.Parallel()
	m := makeSite(t)
	path := filepath.Join(t.TempDir(), "b")
	_, err := backup.Write(t.Context(), backup.Source{DB: m.open(t), Keys: m.keys, Scratch: t.TempDir(), Now: time.Now()}, path, "short")
	if !fault.Is(err, fault.Invalid) {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("a file was written")
	}
}
