package publishing

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"mainstay/lib/fault"
	"mainstay/lib/sqldb"
	"mainstay/site"
	"mainstay/site/sitedb"
	"mainstay/site/trust"
	"mainstay/wire"
)

type statementRow struct {
	Kind      string `db:"kind"`
	Version   int64  `db:"version"`
	Content   string `db:"content"`
	Statement []byte `db:"statement"`
}

type byKind struct {
	Kind string `db:"kind"`
}

var (
	readStatement = sqldb.Define[byKind, statementRow]("publishing.readStatement",
		`SELECT kind, version, content, statement FROM site_statement WHERE kind = @kind`)
	putStatement = sqldb.Define[statementRow, sqldb.None]("publishing.putStatement",
		`INSERT INTO site_statement (kind, version, content, statement) VALUES (@kind, @version, @content, @statement)
		 ON CONFLICT (kind) DO UPDATE SET version = excluded.version, content = excluded.content, statement = excluded.statement`)
	forgetContent = sqldb.Define[sqldb.None, sqldb.None]("publishing.forgetContent",
		`UPDATE site_statement SET content = ''`)
)

// Statement is the JSON of the signed statement of a kind; NotFound before it
// was made for the first time.
func Statement(ctx context.Context, db sitedb.Reader, kind string) ([]byte, error) {
	var out []byte
	err := db.Read(ctx, func(tx *sitedb.Tx) error {
		row, ok, err := readStatement.One(ctx, tx, byKind{kind})
		if err == nil && !ok {
			return fault.New(fault.NotFound, "the site has not made its %s yet", kind)
		}
		out = row.Statement
		return err
	})
	return out, err
}

// Reissue makes the next pass sign every statement anew, above every version
// that clients may have seen: for a site that was restored.
func Reissue(ctx context.Context, tx *sitedb.Tx) error {
	_, err := forgetContent.Exec(ctx, tx, sqldb.None{})
	return err
}

// Config is what a Publisher needs.
type Config struct {
	// DB is bound to the term.
	DB        sitedb.Writer
	Authority *trust.Authority
	// Packages is the folder of the client's packages; empty for none.
	Packages string
	Now      func() time.Time
}

// Publisher is the component that keeps the site's statements up to date.
type Publisher struct{ c Config }

// New makes the component.
func New(c Config) *Publisher { return &Publisher{c} }

// Pass brings packages and statements up to date.
func (p *Publisher) Pass(ctx context.Context) error {
	if err := p.importPackages(ctx); err != nil {
		return err
	}
	return p.c.DB.Write(ctx, func(tx *sitedb.Tx) error {
		if err := p.describeSite(ctx, tx); err != nil {
			return err
		}
		return p.listPackages(ctx, tx)
	})
}

func (p *Publisher) describeSite(ctx context.Context, tx *sitedb.Tx) error {
	points, err := site.ManagementPoints(ctx, tx)
	if err != nil {
		return err
	}
	s := p.c.Authority.Site()
	return p.publish(ctx, tx, wire.KindSiteDescription, points, func(head wire.Statement) any {
		return wire.SiteDescription{Statement: head, Root: s.Root, ManagementPoints: points}
	})
}

func (p *Publisher) listPackages(ctx context.Context, tx *sitedb.Tx) error {
	packages, err := Packages(ctx, tx)
	if err != nil {
		return err
	}
	return p.publish(ctx, tx, wire.KindClientPackages, packages, func(head wire.Statement) any {
		return wire.ClientPackages{Statement: head, Packages: packages}
	})
}

// publish signs a statement when its content is not what was published.
func (p *Publisher) publish(ctx context.Context, tx *sitedb.Tx, kind string, content any, build func(wire.Statement) any) error {
	plain, err := json.Marshal(content)
	if err != nil {
		return fmt.Errorf("cannot encode %s: %w", kind, err)
	}
	sum := sha256.Sum256(plain)
	hash := hex.EncodeToString(sum[:])
	before, _, err := readStatement.One(ctx, tx, byKind{kind})
	if err != nil || before.Content == hash {
		return err
	}
	now := sitedb.Micros(p.c.Now())
	head := wire.Statement{SiteCode: p.c.Authority.Site().Code, Device: wire.Everyone, Version: max(before.Version+1, now), Issued: now}
	statement, err := p.c.Authority.Sign(kind, build(head))
	if err != nil {
		return err
	}
	data, err := json.Marshal(statement)
	if err != nil {
		return fmt.Errorf("cannot encode %s: %w", kind, err)
	}
	tx.Announce("site-statement")
	_, err = putStatement.Exec(ctx, tx, statementRow{Kind: kind, Version: head.Version, Content: hash, Statement: data})
	return err
}
