package provider

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/user"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"mainstay/lib/mtls"
	"mainstay/role/provider/apiv1"
	"mainstay/site/access"
	"mainstay/site/sitedb"
)

func TestBrowserSession(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.signedIn("alice", access.ReadOnlyAnalyst)
	got := f.ask(http.MethodPost, "/session", "", apiv1.SignIn{Name: "alice", Password: password, Kind: "browser"})
	var in apiv1.SignedIn
	got.into(f, http.StatusOK, &in)
	if in.Token != "" || in.Session.Administrator != "alice" {
		t.Errorf("a browser gets %+v", in)
	}
	cookie := got.header.Get("Set-Cookie")
	for _, part := range []string{apiv1.CookieName + "=mss1_", "Path=/", "HttpOnly", "Secure", "SameSite=Strict"} {
		if !strings.Contains(cookie, part) {
			t.Errorf("the cookie %q lacks %s", cookie, part)
		}
	}
	if strings.Contains(cookie, "Domain") {
		t.Errorf("the cookie %q is for more than this host", cookie)
	}
	value, _, _ := strings.Cut(cookie, ";")
	with := func(extra ...string) http.Header {
		header := http.Header{"Cookie": {value}}
		for i := 0; i < len(extra); i += 2 {
			header.Set(extra[i], extra[i+1])
		}
		return header
	}
	var me apiv1.Myself
	f.send(http.MethodGet, "/api/v1/session", with(), nil).into(f, http.StatusOK, &me)
	if me.Name != "alice" || me.SiteCode != "LAB" || me.ExpiresAt == nil || len(me.Permissions) == 0 {
		t.Errorf("the session is %+v", me)
	}
	// Another site makes the browser send a request.
	for _, header := range []http.Header{with("Sec-Fetch-Site", "cross-site"), with("Origin", "https://evil.example"), with("Sec-Fetch-Site", "same-site")} {
		got := f.send(http.MethodDelete, "/api/v1/session", header, nil)
		if p := got.problem(f); got.status != http.StatusForbidden || p.Code != apiv1.CodeDenied {
			t.Errorf("a request of another site: %d %s", got.status, got.body)
		}
	}
	got = f.send(http.MethodDelete, "/api/v1/session", with("Sec-Fetch-Site", "same-origin"), nil)
	got.into(f, http.StatusNoContent, nil)
	if gone := got.header.Get("Set-Cookie"); !strings.Contains(gone, "Max-Age=0") {
		t.Errorf("signing out leaves the cookie: %q", gone)
	}
	if got := f.send(http.MethodGet, "/api/v1/session", with(), nil); got.status != http.StatusUnauthorized {
		t.Errorf("after signing out: %d", got.status)
	}
}

func TestSignInByLink(t *testing.T) {
	t.Parallel()
	f := setup(t)
	full := f.signedIn("full", access.FullAdministrator)
	var alice apiv1.Administrator
	f.ask(http.MethodPost, "/administrators", full, apiv1.NewAdministrator{Name: "alice", Roles: []string{access.ReadOnlyAnalyst}}).into(f, http.StatusCreated, &alice)
	var code apiv1.SignInCode
	f.ask(http.MethodPost, "/administrators/"+alice.ID+"/sign-in-code", full, nil).into(f, http.StatusCreated, &code)
	if code.URL != "" {
		t.Errorf("the site has no provider yet and the link is %s", code.URL)
	}
	if link := apiv1.SignInURL("https://mp1:9443", code.Code); !strings.HasPrefix(link, "https://mp1:9443/sign-in#code=msc1_") {
		t.Errorf("the link %s has its code where servers and logs see it", link)
	}
	var in apiv1.SignedIn
	f.ask(http.MethodPost, "/session", "", apiv1.SignIn{Code: code.Code}).into(f, http.StatusOK, &in)
	if in.Session.Administrator != "alice" || in.Token == "" {
		t.Errorf("the code gives %+v", in)
	}
	if got := f.ask(http.MethodPost, "/session", "", apiv1.SignIn{Code: code.Code}); got.problem(f).Code != apiv1.CodeUnauthorized {
		t.Errorf("the code a second time: %d %s", got.status, got.body)
	}
	// The administrator who came by a code sets a password without having one.
	f.ask(http.MethodPut, "/administrators/self/password", in.Token, apiv1.NewPassword{Password: password}).into(f, http.StatusNoContent, nil)
	f.ask(http.MethodPost, "/session", "", apiv1.SignIn{Name: "alice", Password: password}).into(f, http.StatusOK, nil)
	got := f.ask(http.MethodPut, "/administrators/self/password", in.Token, apiv1.NewPassword{Password: "yet another password"})
	if got.problem(f).Code != apiv1.CodeDenied {
		t.Errorf("a password is changed without the present one: %d %s", got.status, got.body)
	}
	for _, both := range []apiv1.SignIn{{}, {Name: "alice", Password: password, Code: "msc1_x"}} {
		if got := f.ask(http.MethodPost, "/session", "", both); got.problem(f).Code != apiv1.CodeInvalid {
			t.Errorf("%+v: %d %s", both, got.status, got.body)
		}
	}
}

func TestTooManySignInsWait(t *testing.T) {
	t.Parallel()
	f := setup(t)
	var last answer
	for range 10 {
		last = f.ask(http.MethodPost, "/session", "", apiv1.SignIn{Name: "alice", Password: "wrong wrong wrong"})
	}
	if p := last.problem(f); p.Code != apiv1.CodeTooMany || last.header.Get("Retry-After") == "" {
		t.Errorf("the tenth attempt: %d %s, Retry-After %q", last.status, last.body, last.header.Get("Retry-After"))
	}
}

func TestTooManyRequestsWait(t *testing.T) {
	t.Parallel()
	f := setup(t)
	var last answer
	for range requestBurst + 1 {
		last = f.ask(http.MethodGet, "/devices", "", nil)
	}
	if p := last.problem(f); p.Code != apiv1.CodeTooMany || last.header.Get("Retry-After") == "" {
		t.Errorf("request %d: %d %s", requestBurst+1, last.status, last.body)
	}
	f.pass(time.Second)
	if got := f.ask(http.MethodGet, "/devices", "", nil); got.status != http.StatusUnauthorized {
		t.Errorf("a second later: %d", got.status)
	}
}

func TestChangesAreInTheAuditTrail(t *testing.T) {
	t.Parallel()
	f := setup(t)
	full := f.signedIn("full", access.FullAdministrator)
	var created apiv1.CreatedToken
	f.ask(http.MethodPost, "/tokens", full, apiv1.NewToken{Name: "rollout", Lifetime: "7d", Install: true}).into(f, http.StatusCreated, &created)
	if created.Install != "install "+created.Text || created.Token.MaxUses != 1 || created.Token.State != "usable" {
		t.Errorf("the token is %+v", created)
	}
	f.ask(http.MethodPost, "/tokens/"+created.Token.ID+"/revoke", full, nil).into(f, http.StatusOK, nil)
	if got := f.ask(http.MethodPost, "/tokens/"+created.Token.ID+"/revoke", full, nil); got.problem(f).Code != apiv1.CodeConflict {
		t.Errorf("revoked twice: %d %s", got.status, got.body)
	}
	var page apiv1.Page[apiv1.AuditEntry]
	f.ask(http.MethodGet, "/audit?filter=object_type=token&sort=id", full, nil).into(f, http.StatusOK, &page)
	want := []string{"token.create done", "token.revoke done", "token.revoke failed"}
	for i, entry := range page.Items {
		if i >= len(want) || entry.Action+" "+entry.Outcome != want[i] || entry.Administrator != "full" || entry.Source != "127.0.0.1" {
			t.Errorf("entry %d is %+v", i, entry)
		}
		if strings.Contains(fmt.Sprint(entry.Detail), created.Text[20:]) {
			t.Errorf("the secret is in the audit trail: %+v", entry)
		}
	}
	if len(page.Items) != len(want) {
		t.Errorf("%d entries, want %d", len(page.Items), len(want))
	}
	var v apiv1.AuditVerification
	f.ask(http.MethodGet, "/audit/verification", full, nil).into(f, http.StatusOK, &v)
	if !v.OK || v.Entries < 4 {
		t.Errorf("the audit trail is %+v", v)
	}
}

// TestFailedInstallLineLeavesNoToken: nothing is half-done.
func TestFailedInstallLineLeavesNoToken(t *testing.T) {
	t.Parallel()
	f := setup(t, func(c *Config) {
		c.InstallLine = func(context.Context, string) (string, error) { return "", io.ErrUnexpectedEOF }
	})
	full := f.signedIn("full", access.FullAdministrator)
	if got := f.ask(http.MethodPost, "/tokens", full, apiv1.NewToken{Install: true}); got.problem(f).Code != apiv1.CodeInternal {
		t.Errorf("got %d %s", got.status, got.body)
	}
	var page apiv1.Page[apiv1.Token]
	f.ask(http.MethodGet, "/tokens", full, nil).into(f, http.StatusOK, &page)
	if len(page.Items) != 0 {
		t.Errorf("a token was left: %+v", page.Items)
	}
}

func TestConsole(t *testing.T) {
	t.Parallel()
	f := setup(t, func(c *Config) { c.Console = consoleFiles() })
	nonce := regexp.MustCompile(`content="([^"]{20,})"`)
	seen := map[string]bool{}
	for range 2 {
		got := f.send(http.MethodGet, "/", http.Header{}, nil)
		found := nonce.FindSubmatch(got.body)
		policy := got.header.Get("Content-Security-Policy")
		if got.status != http.StatusOK || found == nil || !strings.Contains(policy, "style-src 'self' 'nonce-"+string(found[1])+"'") {
			t.Fatalf("the console's page: %d %s with the policy %s", got.status, got.body, policy)
		}
		if strings.Contains(policy, "unsafe") || got.header.Get("Cache-Control") != "no-store" {
			t.Errorf("policy %q, cache %q", policy, got.header.Get("Cache-Control"))
		}
		seen[string(found[1])] = true
	}
	if len(seen) != 2 {
		t.Error("the nonce is the same twice")
	}
	asset := f.send(http.MethodGet, "/assets/app-1a2b.js", http.Header{}, nil)
	if asset.status != http.StatusOK || !strings.Contains(asset.header.Get("Cache-Control"), "immutable") || asset.header.Get("Content-Type") != "text/javascript; charset=utf-8" {
		t.Errorf("an asset: %d %v", asset.status, asset.header)
	}
	icon := f.send(http.MethodGet, "/favicon.svg", http.Header{}, nil)
	again := f.send(http.MethodGet, "/favicon.svg", http.Header{"If-None-Match": {icon.header.Get("ETag")}}, nil)
	if icon.status != http.StatusOK || again.status != http.StatusNotModified {
		t.Errorf("an icon: %d, then %d", icon.status, again.status)
	}
	html := http.Header{"Accept": {"text/html"}}
	if got := f.send(http.MethodGet, "/devices/1", html, nil); got.status != http.StatusOK {
		t.Errorf("a view of the console: %d", got.status)
	}
	for _, path := range []string{"/assets/nothing.js", "/../../etc/passwd", "/%2e%2e/index.html.go", "/pages/sign-in.html"} {
		if got := f.send(http.MethodGet, path, http.Header{}, nil); got.status != http.StatusNotFound {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
	for path, want := range map[string]string{"/sign-in": "sign-in.js", "/sign-in.js": "replaceState", "/site-root.pem": "BEGIN CERTIFICATE"} {
		if got := f.send(http.MethodGet, path, http.Header{}, nil); got.status != http.StatusOK || !strings.Contains(string(got.body), want) {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
	if inline := regexp.MustCompile(`(?i)<script>|<style|\son[a-z]+=|style=`); inline.Match(f.send(http.MethodGet, "/sign-in", http.Header{}, nil).body) {
		t.Error("the sign-in page has something inline, which its policy forbids")
	}
}

func TestWithoutConsoleThePageExplains(t *testing.T) {
	t.Parallel()
	f := setup(t)
	if got := f.send(http.MethodGet, "/", http.Header{}, nil); got.status != http.StatusOK || !strings.Contains(string(got.body), "make build") {
		t.Errorf("got %d %s", got.status, got.body)
	}
	if got := f.send(http.MethodPost, "/", http.Header{}, nil); got.status != http.StatusMethodNotAllowed {
		t.Errorf("a POST: %d", got.status)
	}
}

// stream opens a stream of events and returns its lines.
func (f *fixture) stream(ctx context.Context, token, query string) (<-chan string, *http.Response) {
	f.Helper()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, f.server.URL+"/api/v1/events"+query, nil)
	if err != nil {
		f.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := f.server.Client().Do(request)
	if err != nil {
		f.Fatal(err)
	}
	lines := make(chan string)
	go func() {
		defer close(lines)
		defer response.Body.Close()
		for scan := bufio.NewScanner(response.Body); scan.Scan(); {
			select {
			case lines <- scan.Text():
			case <-ctx.Done():
				return
			}
		}
	}()
	return lines, response
}

func next(lines <-chan string, prefix string) string {
	for line := range lines {
		if strings.HasPrefix(line, prefix) {
			return line
		}
	}
	return ""
}

func TestEventsTellWhatChanged(t *testing.T) {
	t.Parallel()
	f := setup(t)
	full := f.signedIn("full", access.FullAdministrator)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	lines, response := f.stream(ctx, full, "?topics=token,client-setting")
	if kind := response.Header.Get("Content-Type"); kind != "text/event-stream" {
		t.Fatalf("the stream has the content type %q", kind)
	}
	if got := next(lines, "data:"); got != `data: {"topics":["client-setting","token"]}` {
		t.Fatalf("the stream begins with %s", got)
	}
	f.ask(http.MethodPost, "/tokens", full, apiv1.NewToken{}).into(f, http.StatusCreated, nil)
	if got := next(lines, "data:"); got != `data: {"topics":["token"]}` {
		t.Errorf("after a new token the stream says %s", got)
	}
}

func TestEventsAreForThoseWhoMay(t *testing.T) {
	t.Parallel()
	f := setup(t)
	manager := f.signedIn("manager", access.AssetManager)
	if got := f.ask(http.MethodGet, "/events?topics=audit", manager, nil); got.problem(f).Code != apiv1.CodeDenied {
		t.Errorf("audit for an asset manager: %d %s", got.status, got.body)
	}
	if got := f.ask(http.MethodGet, "/events?topics=weather", manager, nil); got.problem(f).Code != apiv1.CodeInvalid {
		t.Errorf("an unknown topic: %d %s", got.status, got.body)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	lines, _ := f.stream(ctx, manager, "")
	if got := next(lines, "data:"); strings.Contains(got, "audit") || !strings.Contains(got, "device") {
		t.Errorf("without topics an asset manager gets %s", got)
	}
}

func TestStreamsAreBounded(t *testing.T) {
	t.Parallel()
	f := setup(t)
	full := f.signedIn("full", access.FullAdministrator)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	for range 10 {
		lines, _ := f.stream(ctx, full, "")
		if next(lines, "data:") == "" {
			t.Fatal("a stream does not begin")
		}
	}
	if got := f.ask(http.MethodGet, "/events", full, nil); got.problem(f).Code != apiv1.CodeTooMany {
		t.Errorf("the eleventh stream: %d %s", got.status, got.body)
	}
}

// local starts the Unix socket and returns a client for it.
func (f *fixture) local() *http.Client {
	f.Helper()
	dir, err := os.MkdirTemp("", "provider") // a socket's path must be short
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "provider.sock")
	listener, err := net.Listen("unix", path)
	if err != nil {
		f.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- f.provider.ServeLocal(ctx, listener) }()
	f.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			f.Errorf("the local socket ended with %v", err)
		}
	})
	return &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}}}
}

func TestLocalSocketKnowsItsPeer(t *testing.T) {
	t.Parallel()
	f := setup(t)
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	client := f.local()
	response, err := client.Get("http://local/api/v1/session")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK || !strings.Contains(string(body), `"name":"local:`+me.Username+`"`) || !strings.Contains(string(body), "Administrator.Create") {
		t.Errorf("got %d %s (%v)", response.StatusCode, body, err)
	}
	// A header cannot make anybody local where no socket says so.
	if got := f.send(http.MethodGet, "/api/v1/session", http.Header{"X-Forwarded-For": {"local socket"}}, nil); got.status != http.StatusUnauthorized {
		t.Errorf("over TLS: %d", got.status)
	}
	recorder := httptest.NewRecorder()
	f.provider.LocalHandler().ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/api/v1/session", nil))
	if recorder.Code != http.StatusForbidden {
		t.Errorf("a connection whose peer is not known: %d %s", recorder.Code, recorder.Body)
	}
}

func TestDisabledLocalAdministratorIsShutOut(t *testing.T) {
	t.Parallel()
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	if me.Username == "root" {
		// Root cannot be shut out, so the row is disabled by hand here.
		t.Log("running as root")
	}
	f := setup(t)
	client := f.local()
	code, err := client.Post("http://local/api/v1/administrators/self/sign-in-code", "application/json", nil)
	if err != nil || code.StatusCode != http.StatusCreated {
		t.Fatalf("a code for oneself: %v %v", code, err)
	}
	code.Body.Close()
	f.write(func(tx *sitedb.Tx) error {
		rows, err := tx.Query(t.Context(), `UPDATE administrator SET disabled_at = 1 WHERE name = $1 RETURNING id`, "local:"+me.Username)
		if err != nil {
			return err
		}
		for rows.Next() {
		}
		return rows.Close()
	})
	response, err := client.Get("http://local/api/v1/session")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusForbidden {
		t.Errorf("a disabled local administrator: %d", response.StatusCode)
	}
}

// TestServeBoundsConnectionsAndStops uses the role's own server over TLS.
func TestServeBoundsConnectionsAndStops(t *testing.T) {
	t.Parallel()
	f := setup(t, func(c *Config) { c.MaxConnections, c.MaxConnectionsPerSource = 5, 3 })
	full := f.signedIn("full", access.FullAdministrator)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	certificate := f.server.TLS.Certificates[0]
	ended := make(chan error, 1)
	go func() { ended <- f.provider.Serve(ctx, listener, mtls.Fixed{Certificate: certificate}) }()
	config := &tls.Config{InsecureSkipVerify: true}
	dial := func() (*tls.Conn, error) { return tls.Dial("tcp", listener.Addr().String(), config) }
	var open []*tls.Conn
	for range 3 {
		conn, err := dial()
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, conn)
	}
	if conn, err := dial(); err == nil {
		t.Errorf("a fourth connection of one address is open: %v", conn.RemoteAddr())
	}
	for _, conn := range open {
		conn.Close()
	}
	old := &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12}
	for { // until the server has noticed that the others are gone
		conn, err := tls.Dial("tcp", listener.Addr().String(), old)
		if err == nil {
			t.Errorf("TLS 1.2 is spoken: %v", conn.RemoteAddr())
			break
		}
		if strings.Contains(err.Error(), "protocol version") {
			break
		}
	}
	// An open stream of events does not hold the end up.
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: config}}
	request, err := http.NewRequest(http.MethodGet, "https://"+listener.Addr().String()+"/api/v1/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+full)
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	stop()
	if err := <-ended; err != nil {
		t.Errorf("the server ended with %v", err)
	}
	if _, err := io.ReadAll(response.Body); err != nil && !strings.Contains(err.Error(), "EOF") {
		t.Logf("the stream ended with %v", err)
	}
}

func TestPanicsBecomeProblems(t *testing.T) {
	t.Parallel()
	f := setup(t)
	recorder := httptest.NewRecorder()
	f.provider.guard(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("hunter2") })).ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/", nil))
	if recorder.Code != http.StatusInternalServerError || strings.Contains(recorder.Body.String(), "hunter2") || recorder.Header().Get("Content-Type") != "application/problem+json" {
		t.Errorf("got %d %s", recorder.Code, recorder.Body)
	}
}
