package trust

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"time"

	"mainstay/lib/fault"
	"mainstay/lib/sqldb"
	"mainstay/site/sitedb"
	"mainstay/wire"
)

type usableToken struct {
	Name      string `db:"name"`
	PublicKey []byte `db:"public_key"`
	ExpiresAt int64  `db:"expires_at"`
	MaxUses   int64  `db:"max_uses"`
	Uses      int64  `db:"uses"`
	RevokedAt *int64 `db:"revoked_at"`
}

type tokenID struct {
	ID string `db:"id"`
}

var (
	tokenToUse = sqldb.Define[tokenID, usableToken]("trust.tokenToUse",
		`SELECT name, public_key, expires_at, max_uses, uses, revoked_at FROM registration_token WHERE id = @id`)
	countUse = sqldb.Define[tokenID, sqldb.None]("trust.countUse",
		`UPDATE registration_token SET uses = uses + 1 WHERE id = @id`)
)

// UseToken checks that a registration was signed with a token's key, that the
// token may still be used, and counts the use. It returns the token's name, or its identifier where it has none. A
// refusal is Denied and says why.
func UseToken(ctx context.Context, tx *sitedb.Tx, id string, registration, signature []byte, now time.Time) (string, error) {
	token, ok, err := tokenToUse.One(ctx, tx, tokenID{id})
	if err != nil {
		return "", err
	}
	// The signature comes first: without it nobody learns anything of a token.
	if !ok || len(token.PublicKey) != ed25519.PublicKeySize ||
		!ed25519.Verify(token.PublicKey, append([]byte(wire.SignRegister), registration...), signature) {
		return "", fault.New(fault.Denied, "the registration token is unknown to this site")
	}
	switch {
	case token.RevokedAt != nil:
		return "", fault.New(fault.Denied, "registration token %q was revoked; ask for a new one", token.Name)
	case token.ExpiresAt > 0 && sitedb.Micros(now) >= token.ExpiresAt:
		return "", fault.New(fault.Denied, "registration token %q ended at %s; ask for a new one", token.Name,
			time.UnixMicro(token.ExpiresAt).UTC().Format(time.RFC3339))
	case token.MaxUses > 0 && token.Uses >= token.MaxUses:
		return "", fault.New(fault.Denied, "registration token %q has been used %d of %d times; ask for a new one", token.Name, token.Uses, token.MaxUses)
	}
	_, err = countUse.Exec(ctx, tx, tokenID{id})
	return cmp.Or(token.Name, id), err
}
