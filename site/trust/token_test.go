package trust

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"mainstay/lib/fault"
	"mainstay/lib/listing"
	"mainstay/lib/registrationtoken"
	"mainstay/site"
	"mainstay/site/access"
	"mainstay/site/sitedb"
)

type tokenFixture struct {
	*testing.T
	db   *sitedb.DB
	site site.Site
	now  time.Time
}

func setupTokens(t *testing.T) *tokenFixture {
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
	f := &tokenFixture{T: t, db: db, now: time.Date(2026, 11, 3, 9, 0, 0, 0, time.UTC)}
	key := identity.Recipient().String()
	f.write(func(tx *sitedb.Tx) (err error) {
		f.site, err = Create(t.Context(), tx, Genesis{SiteCode: "LAB", SiteServer: key, Recovery: key, Now: f.now})
		return err
	})
	return f
}

func (f *tokenFixture) write(do func(*sitedb.Tx) error) {
	f.Helper()
	if err := f.db.Write(f.Context(), do); err != nil {
		f.Fatal(err)
	}
}

var administrator = access.Local("root", "local socket")

func (f *tokenFixture) create(n NewToken) (registrationtoken.Token, Token, error) {
	var secret registrationtoken.Token
	var t Token
	err := f.db.Write(f.Context(), func(tx *sitedb.Tx) (err error) {
		secret, t, err = CreateToken(f.Context(), tx, administrator, f.site, n, f.now)
		return err
	})
	return secret, t, err
}

// use registers once with the token.
func (f *tokenFixture) use(secret registrationtoken.Token, registration string) error {
	return f.db.Write(f.Context(), func(tx *sitedb.Tx) error {
		_, err := UseToken(f.Context(), tx, secret.ID(), []byte(registration), secret.Sign([]byte(registration)), f.now)
		return err
	})
}

func (f *tokenFixture) states() string {
	f.Helper()
	var page listing.Page[Token]
	if err := f.db.Read(f.Context(), func(tx *sitedb.Tx) (err error) {
		page, err = ListTokens(f.Context(), tx, access.Everything(), listing.Request{Sort: "name"}, f.now)
		return err
	}); err != nil {
		f.Fatal(err)
	}
	states := []string{}
	for _, t := range page.Items {
		states = append(states, t.Name+" "+t.State(f.now))
	}
	return strings.Join(states, ", ")
}

func TestTokenIsGoodForWhatItSays(t *testing.T) {
	t.Parallel()
	f := setupTokens(t)
	once, row, err := f.create(NewToken{Name: "once", MaxUses: 1})
	if err != nil {
		t.Fatal(err)
	}
	if row.ExpiresAt != sitedb.Micros(f.now.Add(TokenLifetime)) || row.CreatedBy != "local:root" {
		t.Errorf("the token is %+v", row)
	}
	if !once.TrustsRoot(f.site.Root) {
		t.Error("the token does not carry the site's root")
	}
	bulk, _, err := f.create(NewToken{Name: "bulk", Lifetime: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	gone, _, err := f.create(NewToken{Name: "gone"})
	if err != nil {
		t.Fatal(err)
	}
	f.write(func(tx *sitedb.Tx) error {
		_, err := RevokeToken(t.Context(), tx, administrator, gone.ID(), f.now)
		return err
	})
	for _, step := range []struct {
		name string
		use  registrationtoken.Token
		ok   bool
	}{{"first use", once, true}, {"second use of one", once, false}, {"bulk", bulk, true}, {"bulk again", bulk, true}, {"revoked", gone, false}} {
		if err := f.use(step.use, step.name); (err == nil) != step.ok || err != nil && !fault.Is(err, fault.Denied) {
			t.Errorf("%s: %v", step.name, err)
		}
	}
	f.now = f.now.Add(time.Hour)
	if err := f.use(bulk, "late"); !fault.Is(err, fault.Denied) {
		t.Errorf("after its end: %v", err)
	}
	if got, want := f.states(), "bulk ended, gone revoked, once used up"; got != want {
		t.Errorf("states are %s, want %s", got, want)
	}
}

func TestBadTokensAreRefused(t *testing.T) {
	t.Parallel()
	f := setupTokens(t)
	for _, n := range []NewToken{
		{Name: strings.Repeat("x", 101)}, {Name: "a\nb"}, {Lifetime: time.Second}, {Lifetime: -time.Hour}, {Lifetime: 400 * 24 * time.Hour},
		{MaxUses: -1}, {MaxUses: MaxTokenUses + 1},
	} {
		if _, _, err := f.create(n); !fault.Is(err, fault.Invalid) {
			t.Errorf("%+v: %v", n, err)
		}
	}
	analyst := access.Caller{Name: "ann", Roles: []string{access.ReadOnlyAnalyst}}
	_, row, err := f.create(NewToken{})
	if err != nil {
		t.Fatal(err)
	}
	for what, try := range map[string]struct {
		kind fault.Kind
		do   func(tx *sitedb.Tx) error
	}{
		"created by an analyst": {fault.Denied, func(tx *sitedb.Tx) error {
			_, _, err := CreateToken(t.Context(), tx, analyst, f.site, NewToken{}, f.now)
			return err
		}},
		"revoked by an analyst": {fault.Denied, func(tx *sitedb.Tx) error {
			_, err := RevokeToken(t.Context(), tx, analyst, row.ID, f.now)
			return err
		}},
		"unknown": {fault.NotFound, func(tx *sitedb.Tx) error {
			_, err := RevokeToken(t.Context(), tx, administrator, "nothing", f.now)
			return err
		}},
	} {
		if err := f.db.Write(t.Context(), try.do); !fault.Is(err, try.kind) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if f.states() != row.ID+" usable" {
		t.Errorf("tokens are %q", f.states())
	}
}
