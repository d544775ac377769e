package provider

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"mainstay/role/provider/apiv1"
	"mainstay/site/access"
	"mainstay/site/sitedb"
)

// route is an operation of the committed document.
type route struct {
	method, path, id string
	permission       access.Permission
	hasBody          bool
}

func routes(t *testing.T) []route {
	t.Helper()
	data, err := os.ReadFile("apiv1/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	var document struct {
		Paths map[string]map[string]struct {
			OperationID string            `json:"operationId"`
			Permission  access.Permission `json:"x-permission"`
			RequestBody any               `json:"requestBody"`
		}
	}
	if err := json.Unmarshal(data, &document); err != nil {
		t.Fatal(err)
	}
	found := []route{}
	for path, methods := range document.Paths {
		for method, o := range methods {
			found = append(found, route{strings.ToUpper(method), path, o.OperationID, o.Permission, o.RequestBody != nil})
		}
	}
	if len(found) < 40 {
		t.Fatalf("only %d operations found", len(found))
	}
	return found
}

// at is the path with something in place of its parameters.
func (r route) at(value string) string {
	path := strings.ReplaceAll(r.path, "{id}", value)
	return strings.ReplaceAll(path, "{class}", value)
}

func TestEveryOperationDeclaresItsPermission(t *testing.T) {
	t.Parallel()
	for _, r := range routes(t) {
		known := slices.Contains(access.Permissions(), r.permission) || r.permission == "signed-in"
		open := r.permission == "open" && r.id == "create-session"
		if !known && !open {
			t.Errorf("%s %s needs the permission %q, which does not exist", r.method, r.path, r.permission)
		}
		if verb := r.permission.Verb(); r.method != http.MethodGet && verb == "Read" {
			t.Errorf("%s %s changes something with the permission %s", r.method, r.path, r.permission)
		}
	}
}

// TestNobodyGetsIn walks every route without a session: the answer is always
// the same, also for paths that do not exist.
func TestNobodyGetsIn(t *testing.T) {
	t.Parallel()
	f := setup(t)
	want := f.ask(http.MethodGet, "/devices", "", nil)
	if p := want.problem(f); want.status != http.StatusUnauthorized || p.Code != apiv1.CodeUnauthorized {
		t.Fatalf("without a session: %d %s", want.status, want.body)
	}
	for _, r := range append(routes(t), route{method: "GET", path: "/nothing"}, route{method: "DELETE", path: "/"}, route{method: "PATCH", path: "/devices"}) {
		if r.permission == "open" {
			continue
		}
		for _, token := range []string{"", "mss1_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", strings.Repeat("x", 3000)} {
			got := f.ask(r.method, r.at("1"), token, "{}")
			if got.status != want.status || string(got.body) != string(want.body) {
				t.Errorf("%s %s with the token %.10q: %d %s", r.method, r.path, token, got.status, got.body)
			}
		}
	}
	for name := range want.header {
		if strings.EqualFold(name, "Server") {
			t.Error("the answer names the server")
		}
	}
}

// TestPermissionsAreNeeded walks every route with a session that lacks its
// permission; each refusal is in the audit trail.
func TestPermissionsAreNeeded(t *testing.T) {
	t.Parallel()
	f := setup(t)
	sessions := map[string]string{}
	for _, role := range []string{access.SecurityAdministrator, access.ApplicationAdministrator, access.AssetManager} {
		sessions[role] = f.signedIn(role, role)
	}
	refused := 0
	for _, r := range routes(t) {
		if !slices.Contains(access.Permissions(), r.permission) {
			continue
		}
		for role, token := range sessions {
			if (access.Caller{Name: "x", Roles: []string{role}}).May(r.permission) {
				continue
			}
			got := f.ask(r.method, r.at("1"), token, "{}")
			if p := got.problem(f); got.status != http.StatusForbidden || p.Code != apiv1.CodeDenied || !strings.Contains(p.Detail, string(r.permission)) {
				t.Errorf("%s %s as %s: %d %s", r.method, r.path, role, got.status, got.body)
			}
			refused++
		}
	}
	full := f.signedIn("full", access.FullAdministrator)
	var page apiv1.Page[apiv1.AuditEntry]
	f.ask(http.MethodGet, "/audit?filter=outcome%3Ddenied&count=true&limit=1", full, nil).into(f, http.StatusOK, &page)
	if *page.Total != int64(refused) || refused < 40 {
		t.Errorf("%d of %d refusals are in the audit trail", *page.Total, refused)
	}
}

// TestEveryErrorIsAProblem sends nonsense to every route as somebody who may do
// everything.
func TestEveryErrorIsAProblem(t *testing.T) {
	t.Parallel()
	f := setup(t)
	token := f.signedIn("full", access.FullAdministrator)
	bodies := []any{nil, "", "{", "[]", "null", `{"unknown":1}`, `{"name":"` + strings.Repeat("x", 300<<10) + `"}`, "\x00\xff", `{"reason":5}`, `{}{}`,
		strings.Repeat(`{"settings":`, 20000) + "1" + strings.Repeat("}", 20000)}
	for _, r := range routes(t) {
		if r.id == "delete-session" || r.id == "get-events" {
			continue
		}
		for _, id := range []string{"nothing", "0", "-1", "%00", strings.Repeat("x", 200), "999999999999999999999", "'; DROP TABLE device; --", "..%2f..%2fetc"} {
			f.pass(1e10) // so that the rate of requests is no matter
			tried := bodies
			if !r.hasBody {
				tried = bodies[:1]
			}
			for _, body := range tried {
				got := f.ask(r.method, r.at(strings.ReplaceAll(id, " ", "%20")), token, body)
				if got.status >= 500 {
					t.Errorf("%s %s with %.30q and %.30v: %d %s", r.method, r.path, id, body, got.status, got.body)
				}
				if got.status >= 400 {
					got.problem(f)
				}
			}
		}
		for _, query := range []string{"?nonsense=1", "?limit=0", "?limit=x", "?limit=1001", "?filter=%22", "?cursor=x", "?sort=%27", "?at=yesterday", "?since=1", "?known_id=-5"} {
			f.pass(1e10)
			got := f.ask(r.method, r.at("1")+query, token, nil)
			if got.status < 400 || got.status >= 500 {
				t.Errorf("%s %s%s: %d %.200s", r.method, r.path, query, got.status, got.body)
				continue
			}
			got.problem(f)
		}
	}
	for _, path := range []string{"/", "/nothing", "/devices/", "/devices/1/nothing", "//devices", "/devices/../devices", "/devices/."} {
		got := f.ask(http.MethodGet, path, token, nil)
		if p := got.problem(f); got.status != http.StatusNotFound || p.Code != apiv1.CodeNotFound {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
	got := f.ask(http.MethodPatch, "/devices", token, nil)
	if p := got.problem(f); p.Code != apiv1.CodeMethod || !strings.Contains(got.header.Get("Allow"), "GET") {
		t.Errorf("a method that does nothing: %d %s", got.status, got.body)
	}
}

// failing is a database that breaks with an error that says too much.
type failing struct {
	apiv1.Database
	err error
}

const tooMuch = "password=hunter2 in /var/lib/mainstay/site.db"

func (b *failing) Read(ctx context.Context, f func(*sitedb.Tx) error) error {
	if b.err != nil {
		return b.err
	}
	return b.Database.Read(ctx, f)
}

// TestErrorsDoNotLeak: the text of an error that was not made for users stays
// in the process.
func TestErrorsDoNotLeak(t *testing.T) {
	t.Parallel()
	broken := &failing{}
	f := setup(t, func(c *Config) {
		broken.Database = c.DB
		c.DB = broken
	})
	token := f.signedIn("full", access.FullAdministrator)
	broken.err = errors.New(tooMuch)
	for _, r := range routes(t) {
		got := f.ask(r.method, r.at("1"), token, "{}")
		p := got.problem(f)
		if strings.Contains(string(got.body), "hunter2") {
			t.Errorf("%s %s tells too much: %s", r.method, r.path, got.body)
		}
		if r.id != "create-session" && (p.Code != apiv1.CodeInternal || p.Request == "") {
			t.Errorf("%s %s: %s", r.method, r.path, got.body)
		}
	}
}

func TestWhatWasSentIsNotSentBack(t *testing.T) {
	t.Parallel()
	f := setup(t)
	for _, body := range []string{
		`{"name":"alice","passwrd":"hunter2hunter2"}`, `{"name":"alice","password":["hunter2hunter2"]}`, `{"name":"alice","password":"hunter2hunter2","kind":"x"}`,
		`{"name":"alice","password":"` + strings.Repeat("hunter2", 50) + `"}`, `{"password":"hunter2hunter2`,
	} {
		got := f.ask(http.MethodPost, "/session", "", body)
		got.problem(f)
		if strings.Contains(string(got.body), "hunter2") || got.status < 400 {
			t.Errorf("%s gives %d %s", body, got.status, got.body)
		}
	}
}
