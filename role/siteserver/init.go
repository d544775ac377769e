package siteserver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"filippo.io/age"
	"github.com/google/uuid"

	"mainstay/lib/fault"
	"mainstay/lib/filesys"
	"mainstay/site"
	"mainstay/site/policy"
	"mainstay/site/sitedb"
	"mainstay/site/trust"
)

// Files in the folder of a site server's keys.
const (
	identityFile = "site-server.key"
	systemFile   = "site-system"
	rootFile     = "root-key.age"
	hostCertFile = "host.pem"
)

// maxKeyFile bounds a key file.
const maxKeyFile = 64 << 10

// InitConfig says which site to make and where.
type InitConfig struct {
	Database string
	Keys     string
	SiteCode string
	// Name is the site's name for people.
	Name string
	Now  time.Time
}

// Made is what 'mainstay site init' has to show: once, and never again.
type Made struct {
	Site site.Site
	// RecoveryKey opens every secret of the site, the root key among them. It
	// is stored nowhere.
	RecoveryKey string
	// RootKey is the file with the root's private key, sealed to the recovery
	// key.
	RootKey string
}

// Init makes a site: its keys, its database, this machine as its site server.
// A database that holds a site already is a Conflict, and that site is
// returned. Killed half-way, it can
// be run again.
func Init(ctx context.Context, c InitConfig) (Made, error) {
	if err := site.CheckCode(c.SiteCode); err != nil {
		return Made{}, err
	}
	if err := filesys.MakeDir(c.Keys, 0o700); err != nil {
		return Made{}, err
	}
	db, err := sitedb.Open(ctx, sitedb.Config{Path: c.Database})
	if err != nil {
		return Made{}, err
	}
	defer db.Close()
	if s, err := site.Load(ctx, db); err == nil {
		return Made{Site: s}, fault.New(fault.Conflict, "%s holds site %s already; nothing was changed", c.Database, s.Code)
	}
	identity, system, err := ownIdentity(c.Keys)
	if err != nil {
		return Made{}, err
	}
	recovery, err := age.GenerateX25519Identity()
	if err != nil {
		return Made{}, fmt.Errorf("cannot make the recovery key: %w", err)
	}
	made := Made{RecoveryKey: recovery.String(), RootKey: filepath.Join(c.Keys, rootFile)}
	err = db.Write(ctx, func(tx *sitedb.Tx) error {
		made.Site, err = trust.Create(ctx, tx, trust.Genesis{
			SiteCode: c.SiteCode, Name: c.Name, SiteServer: identity.Recipient().String(), SiteSystem: system,
			Recovery: recovery.Recipient().String(), Now: c.Now,
		})
		if err != nil {
			return err
		}
		if err := policy.Found(ctx, tx, made.Site.Code, c.Now); err != nil {
			return err
		}
		sealed, err := trust.SealedRoot(ctx, tx)
		if err != nil {
			return err
		}
		return filesys.WriteFile(made.RootKey, sealed, 0o600)
	})
	return made, err
}

// ownIdentity reads the key of this site server and its identifier, or makes
// them.
func ownIdentity(dir string) (*age.X25519Identity, string, error) {
	identity, system, err := LoadIdentity(dir)
	if !errors.Is(err, os.ErrNotExist) {
		return identity, system, err
	}
	identity, err = age.GenerateX25519Identity()
	if err != nil {
		return nil, "", fmt.Errorf("cannot make the key of this site server: %w", err)
	}
	system = uuid.NewString()
	err = errors.Join(
		filesys.WriteFile(filepath.Join(dir, systemFile), []byte(system+"\n"), 0o600),
		filesys.WriteFile(filepath.Join(dir, identityFile), []byte(identity.String()+"\n"), 0o600),
	)
	return identity, system, err
}

// LoadIdentity reads the key of this site server, which opens the site's
// secrets, and the identifier of this site system. One that is not there
// satisfies errors.Is(err, os.ErrNotExist).
func LoadIdentity(dir string) (*age.X25519Identity, string, error) {
	system, err := filesys.ReadFile(filepath.Join(dir, systemFile), maxKeyFile)
	if err != nil {
		return nil, "", fmt.Errorf("cannot read the identifier of this site system: %w", err)
	}
	key, err := filesys.ReadFile(filepath.Join(dir, identityFile), maxKeyFile)
	if err != nil {
		return nil, "", fmt.Errorf("cannot read the key of this site server: %w", err)
	}
	identity, err := age.ParseX25519Identity(strings.TrimSpace(string(key)))
	if err != nil {
		return nil, "", fault.New(fault.Invalid, "%s holds no key; restore it from a backup with 'mainstay site restore'", filepath.Join(dir, identityFile))
	}
	return identity, strings.TrimSpace(string(system)), nil
}
