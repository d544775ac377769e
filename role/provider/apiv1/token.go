package apiv1

import (
	"context"
	"net/http"
	"time"

	"mainstay/lib/fault"
	"mainstay/site"
	"mainstay/site/access"
	"mainstay/site/policy"
	"mainstay/site/sitedb"
	"mainstay/site/trust"
)

// Token is a registration token without its secret.
type Token struct {
	ID        string     `json:"id"`
	Name      string     `json:"name"`
	State     string     `json:"state" enum:"usable,used up,ended,revoked"`
	CreatedBy string     `json:"created_by"`
	CreatedAt time.Time  `json:"created_at"`
	ExpiresAt time.Time  `json:"expires_at"`
	MaxUses   int64      `json:"max_uses" doc:"0 for any number"`
	Uses      int64      `json:"uses"`
	RevokedAt *time.Time `json:"revoked_at,omitempty"`
}

// NewToken is what a registration token is made from.
type NewToken struct {
	Name     string `json:"name,omitempty" maxLength:"100" doc:"what it is for; its identifier when nothing is given"`
	Lifetime string `json:"lifetime,omitempty" maxLength:"20" default:"1d" doc:"how long it is good: 90m, 12h, 7d; a year at most"`
	MaxUses  *int64 `json:"max_uses,omitempty" minimum:"0" maximum:"1000000" doc:"how many machines may register with it; 0 is any number, 1 when nothing is given"`
	Install  bool   `json:"install,omitempty" doc:"whether to make the line that installs a client on another machine"`
}

// CreatedToken is a registration token with its secret.
type CreatedToken struct {
	Token   Token  `json:"token"`
	Text    string `json:"text" doc:"the token with its secret: shown once and kept nowhere"`
	Install string `json:"install,omitempty" doc:"one line for a shell on another machine"`
}

type newTokenInput struct{ Body NewToken }

func (n *newTokenInput) object() string { return n.Body.Name }

func registerTokens(a *API) {
	table := trust.TokenTable()
	register(a, operation{
		method: http.MethodGet, path: "/tokens", id: "list-tokens", tag: "token", permission: access.RegistrationTokenRead,
		summary: "List registration tokens", list: &table,
	}, a.listTokens)
	register(a, operation{
		method: http.MethodPost, path: "/tokens", id: "create-token", tag: "token", permission: access.RegistrationTokenCreate,
		summary: "Create a registration token", status: http.StatusCreated,
	}, a.createToken)
	register(a, operation{
		method: http.MethodPost, path: "/tokens/{id}/revoke", id: "revoke-token", tag: "token", permission: access.RegistrationTokenDelete,
		summary: "End a registration token at once", description: "Devices that registered with it stay.",
	}, a.revokeToken)
}

func tokenOf(now time.Time) func(trust.Token) Token {
	return func(t trust.Token) Token {
		return Token{
			ID: t.ID, Name: t.Name, State: t.State(now), CreatedBy: t.CreatedBy, CreatedAt: at(t.CreatedAt),
			ExpiresAt: at(t.ExpiresAt), MaxUses: t.MaxUses, Uses: t.Uses, RevokedAt: maybeAt(t.RevokedAt),
		}
	}
}

func (a *API) listTokens(ctx context.Context, caller access.Caller, in *ListInput) (*output[Page[Token]], error) {
	page, err := read(ctx, a, func(tx *sitedb.Tx) (page[trust.Token], error) {
		return trust.ListTokens(ctx, tx, caller.Scope(access.RegistrationTokenRead), in.request(), a.c.Now())
	})
	return pageOf(page, tokenOf(a.c.Now())), err
}

func (a *API) createToken(ctx context.Context, caller access.Caller, in *newTokenInput) (*output[CreatedToken], error) {
	n := trust.NewToken{Name: in.Body.Name, MaxUses: 1}
	if in.Body.MaxUses != nil {
		n.MaxUses = *in.Body.MaxUses
	}
	if in.Body.Lifetime != "" {
		lifetime, err := policy.ParseDuration(in.Body.Lifetime)
		if err != nil {
			return nil, fault.InvalidField("lifetime", "%q is no duration; write 90m, 12h or 7d", in.Body.Lifetime)
		}
		n.Lifetime = lifetime
	}
	s, err := site.Load(ctx, a.c.DB)
	if err != nil {
		return nil, err
	}
	if in.Body.Install && a.c.InstallLine == nil {
		return nil, fault.New(fault.Unavailable, "this provider cannot make the line that installs a client")
	}
	body, err := write(ctx, a, func(tx *sitedb.Tx) (CreatedToken, error) {
		secret, row, err := trust.CreateToken(ctx, tx, caller, s, n, a.c.Now())
		created := CreatedToken{Token: tokenOf(a.c.Now())(row), Text: secret.Reveal()}
		if err == nil && in.Body.Install {
			// In the transaction, so that no token is left when it fails.
			created.Install, err = a.c.InstallLine(ctx, created.Text)
		}
		return created, err
	})
	return answer(body), err
}

func (a *API) revokeToken(ctx context.Context, caller access.Caller, in *ByID) (*output[Token], error) {
	row, err := write(ctx, a, func(tx *sitedb.Tx) (trust.Token, error) {
		return trust.RevokeToken(ctx, tx, caller, in.ID, a.c.Now())
	})
	return answer(tokenOf(a.c.Now())(row)), err
}
