package provider

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"filippo.io/age"

	"mainstay/role/provider/apiv1"
	"mainstay/site"
	"mainstay/site/access"
	"mainstay/site/policy"
	"mainstay/site/sitedb"
	"mainstay/site/trust"
)

// fixture is a provider over a real database, reached over TLS.
type fixture struct {
	*testing.T
	db       *sitedb.DB
	site     site.Site
	provider *Provider
	server   *httptest.Server

	mu  sync.Mutex
	now time.Time
}

const password = "correct horse battery"

func setup(t *testing.T, change ...func(*Config)) *fixture {
	t.Helper()
	db, err := sitedb.Open(t.Context(), sitedb.Config{Path: filepath.Join(t.TempDir(), "site.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	f := &fixture{T: t, db: db, now: time.Date(2026, 11, 3, 9, 0, 0, 0, time.UTC)}
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	key := identity.Recipient().String()
	f.write(func(tx *sitedb.Tx) (err error) {
		if f.site, err = trust.Create(t.Context(), tx, trust.Genesis{SiteCode: "LAB", Name: "Laboratory", SiteServer: key, Recovery: key, Now: f.now}); err != nil {
			return err
		}
		return policy.Found(t.Context(), tx, "LAB", f.now)
	})
	c := Config{
		DB: db, Site: f.site, Now: f.clock,
		InstallLine: func(_ context.Context, token string) (string, error) { return "install " + token, nil },
	}
	for _, f := range change {
		f(&c)
	}
	if f.provider, err = New(c); err != nil {
		t.Fatal(err)
	}
	f.server = httptest.NewTLSServer(f.provider.Handler())
	t.Cleanup(f.server.Close)
	return f
}

func (f *fixture) clock() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now
}

func (f *fixture) pass(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = f.now.Add(d)
}

func (f *fixture) write(do func(*sitedb.Tx) error) {
	f.Helper()
	if err := f.db.Write(f.Context(), do); err != nil {
		f.Fatal(err)
	}
}

// signedIn makes an administrator with the roles and returns a bearer token.
func (f *fixture) signedIn(name string, roles ...string) string {
	f.Helper()
	hash, err := f.provider.door.HashPassword(f.Context(), name, password)
	if err != nil {
		f.Fatal(err)
	}
	f.write(func(tx *sitedb.Tx) error {
		_, err := access.CreateAdministrator(f.Context(), tx, access.Local("root", "test"), access.NewAdministrator{SiteCode: "LAB", Name: name, Password: hash, Roles: roles}, f.clock())
		return err
	})
	answer := f.ask(http.MethodPost, "/session", "", apiv1.SignIn{Name: name, Password: password, Kind: "command"})
	var in apiv1.SignedIn
	answer.into(f, http.StatusOK, &in)
	return in.Token
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// into reads the body of an answer that must have the status.
func (a answer) into(f *fixture, status int, to any) {
	f.Helper()
	if a.status != status {
		f.Fatalf("status %d, want %d: %s", a.status, status, a.body)
	}
	if to == nil {
		return
	}
	if err := json.Unmarshal(a.body, to); err != nil {
		f.Fatalf("%v: %s", err, a.body)
	}
}

// problem checks that the answer is a problem and returns it.
func (a answer) problem(f *fixture) apiv1.Problem {
	f.Helper()
	var p apiv1.Problem
	if got := a.header.Get("Content-Type"); got != "application/problem+json" {
		f.Errorf("status %d has the content type %q: %s", a.status, got, a.body)
		return p
	}
	if err := json.Unmarshal(a.body, &p); err != nil {
		f.Errorf("%v: %s", err, a.body)
	}
	if p.Status != a.status || p.Code == "" || p.Title == "" || p.Type != "urn:mainstay:problem:"+p.Code {
		f.Errorf("status %d has the problem %+v", a.status, p)
	}
	return p
}

// ask sends a request to the API; body may be text or anything that is JSON.
func (f *fixture) ask(method, path, token string, body any) answer {
	f.Helper()
	header := http.Header{}
	if token != "" {
		header.Set("Authorization", "Bearer "+token)
	}
	return f.send(method, apiv1.Prefix+path, header, body)
}

func (f *fixture) send(method, path string, header http.Header, body any) answer {
	f.Helper()
	var reader io.Reader
	switch body := body.(type) {
	case nil:
	case string:
		reader = strings.NewReader(body)
	default:
		data, err := json.Marshal(body)
		if err != nil {
			f.Fatal(err)
		}
		reader = bytes.NewReader(data)
	}
	request, err := http.NewRequestWithContext(f.Context(), method, f.server.URL+path, reader)
	if err != nil {
		f.Fatal(err)
	}
	request.Header = header
	if body != nil && header.Get("Content-Type") == "" {
		header.Set("Content-Type", "application/json")
	}
	response, err := f.server.Client().Do(request)
	if err != nil {
		f.Fatal(err)
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		f.Fatal(err)
	}
	return answer{response.StatusCode, response.Header, data}
}

func consoleFiles() fstest.MapFS {
	return fstest.MapFS{
		"index.html":         {Data: []byte(`<meta name="csp-nonce" content="MAINSTAY_CSP_NONCE">`)},
		"assets/app-1a2b.js": {Data: []byte("run()")},
		"favicon.svg":        {Data: []byte("<svg/>")},
	}
}
