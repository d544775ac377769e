package trust

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"mainstay/lib/fault"
	"mainstay/lib/listing"
	"mainstay/lib/registrationtoken"
	"mainstay/lib/sqldb"
	"mainstay/site"
	"mainstay/site/access"
	"mainstay/site/sitedb"
)

// Limits of a registration token.
const (
	// TokenLifetime is how long a token is good when nobody says otherwise.
	TokenLifetime = 24 * time.Hour
	// MaxTokenLifetime is the longest that may be asked for.
	MaxTokenLifetime = 366 * 24 * time.Hour
	// MaxTokenUses is the largest number of uses that may be asked for.
	MaxTokenUses = 1_000_000
	maxTokenName = 100
)

// Token is what the site keeps of a registration token.
type Token struct {
	ID        string `db:"id"`
	Name      string `db:"name"`
	CreatedBy string `db:"created_by"`
	CreatedAt int64  `db:"created_at"`
	ExpiresAt int64  `db:"expires_at"`
	// MaxUses is 0 for any number.
	MaxUses   int64  `db:"max_uses"`
	Uses      int64  `db:"uses"`
	RevokedAt *int64 `db:"revoked_at"`
}

// States of a token.
const (
	TokenUsable  = "usable"
	TokenUsedUp  = "used up"
	TokenEnded   = "ended"
	TokenRevoked = "revoked"
)

// State tells whether the token can be used.
func (t Token) State(now time.Time) string {
	switch {
	case t.RevokedAt != nil:
		return TokenRevoked
	case sitedb.Micros(now) >= t.ExpiresAt:
		return TokenEnded
	case t.MaxUses > 0 && t.Uses >= t.MaxUses:
		return TokenUsedUp
	}
	return TokenUsable
}

type tokenRow struct {
	Token
	PublicKey []byte `db:"public_key"`
}

const tokenColumns = `id, name, created_by, created_at, expires_at, max_uses, uses, revoked_at`

var (
	insertToken = sqldb.Define[tokenRow, sqldb.None]("trust.insertToken",
		`INSERT INTO registration_token (id, name, public_key, created_by, created_at, expires_at, max_uses, uses, revoked_at)
		 VALUES (@id, @name, @public_key, @created_by, @created_at, @expires_at, @max_uses, @uses, @revoked_at)`)
	readToken = sqldb.Define[tokenID, Token]("trust.readToken",
		`SELECT `+tokenColumns+` FROM registration_token WHERE id = @id`)
	revokeToken = sqldb.Define[Token, sqldb.None]("trust.revokeToken",
		`UPDATE registration_token SET revoked_at = @revoked_at WHERE id = @id`)
)

// TokenTable describes the list of registration tokens.
func TokenTable() listing.Table {
	return listing.Table{
		Columns: []listing.Column{
			{Name: "id", SQL: "id"},
			{Name: "name", SQL: "name"},
			{Name: "created_by", SQL: "created_by"},
			{Name: "created_at", SQL: "created_at", Kind: listing.Time},
			{Name: "expires_at", SQL: "expires_at", Kind: listing.Time},
			{Name: "uses", SQL: "uses", Kind: listing.Integer},
			{Name: "max_uses", SQL: "max_uses", Kind: listing.Integer},
			{Name: "revoked", SQL: "revoked_at IS NOT NULL", Kind: listing.Bool},
		},
		Key: "id", Sort: "-created_at",
	}
}

// NewToken is what a registration token is made from.
type NewToken struct {
	// Name tells people what it is for; empty for its identifier.
	Name string
	// Lifetime is how long it is good; 0 is TokenLifetime.
	Lifetime time.Duration
	// MaxUses is how many machines may register with it; 0 is any number.
	MaxUses int64
}

func (n NewToken) check() error {
	switch {
	case len(n.Name) > maxTokenName || strings.ContainsFunc(n.Name, func(r rune) bool { return r < 0x20 || r == 0x7f }):
		return fault.InvalidField("name", "is longer than %d bytes or holds characters that cannot be printed", maxTokenName)
	case n.Lifetime < time.Minute || n.Lifetime > MaxTokenLifetime:
		return fault.InvalidField("lifetime", "%s is out of range; give 1m to %dh", n.Lifetime, int(MaxTokenLifetime.Hours()))
	case n.MaxUses < 0 || n.MaxUses > MaxTokenUses:
		return fault.InvalidField("max_uses", "%d is out of range; give 1 to %d, or 0 for any number", n.MaxUses, MaxTokenUses)
	}
	return nil
}

// CreateToken makes a registration token. The secret in what it returns is kept
// nowhere else: the site stores the public key alone.
func CreateToken(ctx context.Context, tx *sitedb.Tx, caller access.Caller, s site.Site, n NewToken, now time.Time) (registrationtoken.Token, Token, error) {
	var none registrationtoken.Token
	if err := caller.Require(access.RegistrationTokenCreate); err != nil {
		return none, Token{}, err
	}
	if n.Lifetime == 0 {
		n.Lifetime = TokenLifetime
	}
	if err := n.check(); err != nil {
		return none, Token{}, err
	}
	secret, err := registrationtoken.New(s.Code, s.Root)
	if err != nil {
		return none, Token{}, err
	}
	if n.Name == "" {
		n.Name = secret.ID()
	}
	t := Token{
		ID: secret.ID(), Name: n.Name, CreatedBy: caller.Name, CreatedAt: sitedb.Micros(now),
		ExpiresAt: sitedb.Micros(now.Add(n.Lifetime)), MaxUses: n.MaxUses,
	}
	if _, err := insertToken.Exec(ctx, tx, tokenRow{t, secret.PublicKey()}); err != nil {
		return none, t, fmt.Errorf("cannot store registration token %s: %w", t.ID, err)
	}
	tx.Announce("token")
	return secret, t, access.Record(ctx, tx, caller, access.Entry{
		Action: "token.create", ObjectType: "token", ObjectID: t.ID,
		Detail: map[string]string{"name": t.Name, "max_uses": strconv.FormatInt(t.MaxUses, 10), "lifetime": n.Lifetime.String()},
	}, now)
}

// ListTokens reads one page of the registration tokens.
func ListTokens(ctx context.Context, tx *sitedb.Tx, scope access.Scope, r listing.Request, now time.Time) (listing.Page[Token], error) {
	plan, err := TokenTable().Plan(r, now)
	if err != nil {
		return listing.Page[Token]{}, err
	}
	return listing.List[Token](ctx, tx, plan, listing.Source{Columns: tokenColumns, From: "registration_token", Where: scope.SQL()})
}

// RevokeToken ends a token at once. Devices that registered with it stay.
func RevokeToken(ctx context.Context, tx *sitedb.Tx, caller access.Caller, id string, now time.Time) (Token, error) {
	if err := caller.Require(access.RegistrationTokenDelete); err != nil {
		return Token{}, err
	}
	t, ok, err := readToken.One(ctx, tx, tokenID{id})
	switch {
	case err != nil:
		return t, err
	case !ok:
		return t, fault.New(fault.NotFound, "no registration token has the identifier %q; list them to see all", id)
	case t.RevokedAt != nil:
		return t, fault.New(fault.Conflict, "registration token %s was revoked already", id)
	}
	at := sitedb.Micros(now)
	t.RevokedAt = &at
	if _, err := revokeToken.Exec(ctx, tx, t); err != nil {
		return t, err
	}
	tx.Announce("token")
	return t, access.Record(ctx, tx, caller, access.Entry{
		Action: "token.revoke", ObjectType: "token", ObjectID: id, Detail: map[string]string{"name": t.Name},
	}, now)
}
