package trust

import (
	"context"
	"crypto/ecdsa"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"filippo.io/age"

	"mainstay/lib/fault"
	"mainstay/lib/mtls"
	"mainstay/lib/signed"
	"mainstay/lib/sqldb"
	"mainstay/site"
	"mainstay/site/sitedb"
	"mainstay/wire"
)

// Names of the secrets of this slice.
const (
	secretRoot    = "root key"
	secretIssuing = "issuing key"
	secretSigning = "signing key"
)

type authorityRow struct {
	Purpose   string `db:"purpose"`
	Version   int64  `db:"version"`
	Chain     []byte `db:"chain"`
	CreatedAt int64  `db:"created_at"`
}

var (
	insertAuthority = sqldb.Define[authorityRow, sqldb.None]("trust.insertAuthority",
		`INSERT INTO authority (purpose, version, chain, created_at) VALUES (@purpose, @version, @chain, @created_at)`)
	newestAuthority = sqldb.Define[struct {
		Purpose string `db:"purpose"`
	}, authorityRow]("trust.newestAuthority",
		`SELECT purpose, version, chain, created_at FROM authority WHERE purpose = @purpose ORDER BY version DESC LIMIT 1`)
)

// Genesis is what a new site is made from.
type Genesis struct {
	SiteCode string
	Name     string
	// SiteServer is the public key of the first site server, SiteSystem its
	// identifier.
	SiteServer string
	SiteSystem string
	// Recovery is the public half of the recovery key.
	Recovery string
	Now      time.Time
}

// Create makes the keys of a new site and stores them sealed, in the
// transaction that makes the site itself. It returns the site.
func Create(ctx context.Context, tx *sitedb.Tx, g Genesis) (site.Site, error) {
	if err := site.CheckCode(g.SiteCode); err != nil {
		return site.Site{}, err
	}
	rootKey, err := mtls.NewKey()
	if err != nil {
		return site.Site{}, err
	}
	root, err := mtls.NewRoot(g.SiteCode, rootKey, g.Now)
	if err != nil {
		return site.Site{}, err
	}
	s := site.Site{Code: g.SiteCode, Name: g.Name, Root: root.Certificate.Raw, CreatedAt: sitedb.Micros(g.Now)}
	if err := site.Create(ctx, tx, s); err != nil {
		return site.Site{}, err
	}
	if err := putKey(ctx, tx, secretRoot, rootKey, g.Now, g.Recovery); err != nil {
		return site.Site{}, err
	}
	for _, r := range []Recipient{
		{Key: g.SiteServer, Kind: RecipientSiteServer, SiteSystem: g.SiteSystem, AddedAt: sitedb.Micros(g.Now)},
		{Key: g.Recovery, Kind: RecipientRecovery, AddedAt: sitedb.Micros(g.Now)},
	} {
		if _, err := insertRecipient.Exec(ctx, tx, r); err != nil {
			return site.Site{}, err
		}
	}
	issuing := createAuthority(ctx, tx, root, g, mtls.PurposeIssuing, secretIssuing, mtls.IssuingLifetime)
	signing := createAuthority(ctx, tx, root, g, mtls.PurposeSigning, secretSigning, mtls.SigningLifetime)
	return s, errors.Join(issuing, signing)
}

func createAuthority(ctx context.Context, tx *sitedb.Tx, root *mtls.Issuer, g Genesis, purpose mtls.Purpose, secret string, lifetime time.Duration) error {
	key, err := mtls.NewKey()
	if err != nil {
		return err
	}
	_, chain, err := root.Issue(mtls.Request{
		Subject: mtls.Subject{SiteCode: g.SiteCode, Purpose: purpose, ID: "1"}, Key: key.Public(), Lifetime: lifetime,
	}, g.Now)
	if err != nil {
		return err
	}
	if err := putKey(ctx, tx, secret, key, g.Now, g.SiteServer, g.Recovery); err != nil {
		return err
	}
	_, err = insertAuthority.Exec(ctx, tx, authorityRow{
		Purpose: string(purpose), Version: 1, Chain: mtls.EncodeChain(chain), CreatedAt: sitedb.Micros(g.Now),
	})
	return err
}

func putKey(ctx context.Context, tx *sitedb.Tx, name string, key *ecdsa.PrivateKey, now time.Time, recipients ...string) error {
	data, err := mtls.EncodeKey(key)
	if err != nil {
		return err
	}
	return PutSecret(ctx, tx, name, data, now, recipients...)
}

// Authority holds the opened keys of the site. Only a site server has one.
type Authority struct {
	site    site.Site
	root    *x509.Certificate
	issuing *mtls.Issuer
	signing *mtls.Issuer
}

// OpenAuthority opens the site's keys with the key of a site server.
func OpenAuthority(ctx context.Context, db sitedb.Reader, identity age.Identity) (*Authority, error) {
	s, err := site.Load(ctx, db)
	if err != nil {
		return nil, err
	}
	root, err := s.RootCertificate()
	if err != nil {
		return nil, err
	}
	a := &Authority{site: s, root: root}
	err = db.Read(ctx, func(tx *sitedb.Tx) error {
		var errs [2]error
		a.issuing, errs[0] = openIssuer(ctx, tx, mtls.PurposeIssuing, secretIssuing, identity)
		a.signing, errs[1] = openIssuer(ctx, tx, mtls.PurposeSigning, secretSigning, identity)
		return errors.Join(errs[:]...)
	})
	if err != nil {
		return nil, err
	}
	return a, nil
}

func openIssuer(ctx context.Context, tx *sitedb.Tx, purpose mtls.Purpose, secret string, identity age.Identity) (*mtls.Issuer, error) {
	data, err := OpenSecret(ctx, tx, secret, identity)
	if err != nil {
		return nil, err
	}
	key, err := mtls.DecodeKey(data)
	if err != nil {
		return nil, fmt.Errorf("secret %q: %w", secret, err)
	}
	row, ok, err := newestAuthority.One(ctx, tx, struct {
		Purpose string `db:"purpose"`
	}{string(purpose)})
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, fault.New(fault.NotFound, "the site has no %s certificate", purpose)
	}
	chain, err := mtls.DecodeChain(row.Chain)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(chain[0])
	if err != nil {
		return nil, fmt.Errorf("%s certificate cannot be read: %w", purpose, err)
	}
	return &mtls.Issuer{Key: key, Certificate: cert, Chain: chain}, nil
}

// Site is the site whose keys these are.
func (a *Authority) Site() site.Site { return a.site }

// Root is the site's root certificate.
func (a *Authority) Root() *x509.Certificate { return a.root }

// IssueClient issues a certificate for a device's key: 13 months.
func (a *Authority) IssueClient(device string, key *ecdsa.PublicKey, now time.Time) (*x509.Certificate, [][]byte, error) {
	return a.issuing.Issue(mtls.Request{
		Subject: mtls.Subject{SiteCode: a.site.Code, Purpose: mtls.PurposeClient, ID: device}, Key: key, Lifetime: mtls.ClientLifetime,
	}, now)
}

// IssueSystem issues a certificate for a site system's key: 90 days. Hosts are
// the names and addresses by which browsers and commands reach it.
func (a *Authority) IssueSystem(system string, key *ecdsa.PublicKey, hosts []string, now time.Time) (*x509.Certificate, [][]byte, error) {
	return a.issuing.Issue(mtls.Request{
		Subject: mtls.Subject{SiteCode: a.site.Code, Purpose: mtls.PurposeSystem, ID: system}, Key: key, Lifetime: mtls.SystemLifetime, Hosts: hosts,
	}, now)
}

// Sign signs a statement of the site.
func (a *Authority) Sign(kind string, payload any) (wire.Signed, error) {
	return signed.Seal(kind, payload, a.signing.Key, a.signing.Chain)
}
