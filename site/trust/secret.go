package trust

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"filippo.io/age"

	"mainstay/lib/fault"
	"mainstay/lib/sqldb"
	"mainstay/site/sitedb"
)

// Kinds of secret recipients.
const (
	RecipientSiteServer = "site server"
	RecipientRecovery   = "recovery"
)

// Recipient can open secrets.
type Recipient struct {
	// Key is the public half, in age's form.
	Key        string `db:"recipient"`
	Kind       string `db:"kind"`
	SiteSystem string `db:"site_system"`
	AddedAt    int64  `db:"added_at"`
}

type secretRow struct {
	Name       string `db:"name"`
	Version    int64  `db:"version"`
	Sealed     []byte `db:"sealed"`
	Recipients string `db:"recipients"`
	CreatedAt  int64  `db:"created_at"`
}

type byName struct {
	Name string `db:"name"`
}

var (
	insertSecret = sqldb.Define[secretRow, sqldb.None]("trust.insertSecret",
		`INSERT INTO secret (name, version, sealed, recipients, created_at) VALUES (@name, @version, @sealed, @recipients, @created_at)`)
	newestSecret = sqldb.Define[byName, secretRow]("trust.newestSecret",
		`SELECT name, version, sealed, recipients, created_at FROM secret WHERE name = @name ORDER BY version DESC LIMIT 1`)
	insertRecipient = sqldb.Define[Recipient, sqldb.None]("trust.insertRecipient",
		`INSERT INTO secret_recipient (recipient, kind, site_system, added_at) VALUES (@recipient, @kind, @site_system, @added_at)
		 ON CONFLICT (recipient) DO NOTHING`)
)

// PutSecret seals a secret to the recipients and stores it as a new version.
func PutSecret(ctx context.Context, tx *sitedb.Tx, name string, data []byte, now time.Time, recipients ...string) error {
	sealed, err := seal(data, recipients)
	if err != nil {
		return fmt.Errorf("cannot seal secret %s: %w", name, err)
	}
	before, _, err := newestSecret.One(ctx, tx, byName{name})
	if err != nil {
		return err
	}
	_, err = insertSecret.Exec(ctx, tx, secretRow{
		Name: name, Version: before.Version + 1, Sealed: sealed,
		Recipients: strings.Join(recipients, " "), CreatedAt: sitedb.Micros(now),
	})
	return err
}

// OpenSecret reads the newest version of a secret with a site server's key.
func OpenSecret(ctx context.Context, tx *sitedb.Tx, name string, identity age.Identity) ([]byte, error) {
	row, ok, err := newestSecret.One(ctx, tx, byName{name})
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, fault.New(fault.NotFound, "the site has no secret %q", name)
	}
	data, err := unseal(row.Sealed, identity)
	if err != nil {
		return nil, fault.Wrap(fault.Denied, err, "secret %q cannot be opened with the key of this site server", name)
	}
	return data, nil
}

// SealedRoot is the root's private key as it is kept: sealed to the recovery
// key alone.
func SealedRoot(ctx context.Context, tx *sitedb.Tx) ([]byte, error) {
	row, ok, err := newestSecret.One(ctx, tx, byName{secretRoot})
	if err == nil && !ok {
		err = fault.New(fault.NotFound, "the site has no root key")
	}
	return row.Sealed, err
}

func seal(data []byte, recipients []string) ([]byte, error) {
	parsed := make([]age.Recipient, len(recipients))
	for i, text := range recipients {
		r, err := age.ParseX25519Recipient(text)
		if err != nil {
			return nil, fmt.Errorf("recipient %d: %w", i+1, err)
		}
		parsed[i] = r
	}
	var out bytes.Buffer
	w, err := age.Encrypt(&out, parsed...)
	if err != nil {
		return nil, err
	}
	_, err = w.Write(data)
	if err := errors.Join(err, w.Close()); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func unseal(sealed []byte, identity age.Identity) ([]byte, error) {
	r, err := age.Decrypt(bytes.NewReader(sealed), identity)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}
