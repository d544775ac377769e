package acceptance

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"mainstay/test/sitetest"
)

// trial is a folder in which somebody tries Mainstay out.
type trial struct {
	t              testing.TB
	dir            string
	clients, admin string // ports
}

// newTrial is an empty folder with free ports.
func newTrial(t testing.TB) *trial {
	t.Helper()
	// Both programs are expected beside each other.
	sitetest.Program(t, "mainstay-client")
	port := func() string {
		_, port, err := net.SplitHostPort(sitetest.FreePort(t))
		must(t, err)
		return port
	}
	return &trial{t: t, dir: t.TempDir(), clients: port(), admin: port()}
}

func (r *trial) command(args ...string) *exec.Cmd {
	cmd := exec.Command(sitetest.Program(r.t, "mainstay"), append([]string{"dev", "--client-port", r.clients, "--admin-port", r.admin}, args...)...)
	cmd.Dir = r.dir
	return cmd
}

// lastLine is how 'mainstay dev' ends what it prints.
const lastLine = "Ctrl-C stops everything; the next run finds it as it was.\n"

// run starts 'mainstay dev' and waits until it has said everything. The bound
// is the promise of the quick start: a minute after the build.
func (r *trial) run() *process {
	r.t.Helper()
	p := start(r.t, r.command())
	p.await(lastLine, time.Minute)
	return p
}

// commands are the lines to try and the link that a trial ends with.
func commands(t testing.TB, said string) (lines []string, link string) {
	t.Helper()
	_, rest, found := strings.Cut(said, "\nTry:\n")
	if !found || !strings.HasSuffix(said, lastLine) {
		t.Fatalf("it does not end with what to try:\n%s", said)
	}
	for line := range strings.Lines(rest) {
		line = strings.TrimRight(line, "\n")
		switch text, indented := strings.CutPrefix(line, "    "); {
		case indented && strings.HasPrefix(text, "https://"):
			link = text
		case indented:
			lines = append(lines, text)
		}
	}
	return lines, link
}

// shell runs a line as a user types it, in the folder of the trial.
func (r *trial) shell(line string) string {
	r.t.Helper()
	cmd := exec.Command("sh", "-c", line)
	cmd.Dir = r.dir
	out, problem, code := run(r.t, cmd)
	if code != 0 {
		r.t.Fatalf("%s: exit code %d:\n%s%s", line, code, out, problem)
	}
	return out
}

// mainstay runs the command in the folder of the trial.
func (r *trial) mainstay(args string) string {
	r.t.Helper()
	return r.shell(sitetest.Program(r.t, "mainstay") + " " + args)
}

func TestQuickStart(t *testing.T) {
	t.Parallel()
	r := newTrial(t)
	p := r.run()
	host, err := os.Hostname()
	must(t, err)

	lines, link := commands(t, p.out.String())
	if len(lines) != 3 || link == "" {
		t.Fatalf("want three commands and a link:\n%s", p.everything())
	}
	for i, want := range []string{"Site:", host, "InstalledSoftware"} {
		if out := r.shell(lines[i]); !strings.Contains(out, want) {
			t.Errorf("%s does not show %q:\n%s", lines[i], want, out)
		}
	}
	var before deviceView
	decode(t, r.mainstay("device show "+host+" -o json"), &before)
	if len(before.Inventory) < 10 || before.Device.Activity != "active" {
		t.Errorf("this machine is %q with %d classes of inventory", before.Device.Activity, len(before.Inventory))
	}
	t.Run("the link signs in once", func(t *testing.T) { r.signsInOnce(t, link) })
	t.Run("nothing outside of the folder", func(t *testing.T) {
		for _, path := range []string{"/var/lib/mainstay-client", "/run/mainstay-client"} {
			if _, err := os.Stat(path); err == nil {
				t.Skipf("%s was there before: this machine is a client of another site", path)
			}
		}
		entries, err := os.ReadDir(r.dir)
		must(t, err)
		if len(entries) != 1 || entries[0].Name() != "var" {
			t.Errorf("it made %v, want var alone", entries)
		}
	})
	t.Run("a second one in the same folder", func(t *testing.T) {
		other := *r
		other.clients, other.admin = newTrial(t).clients, newTrial(t).admin
		out, problem, code := run(t, other.command())
		if code != 6 || !strings.Contains(problem, "another 'mainstay dev' runs in "+filepath.Join(r.dir, "var")) || !strings.Contains(problem, "--dir") {
			t.Errorf("exit code %d, want 6 and an explanation:\n%s%s", code, out, problem)
		}
	})

	if code := p.end(syscall.SIGINT, 30*time.Second); code != 0 {
		t.Errorf("Ctrl-C: exit code %d:\n%s", code, p.everything())
	}
	if left := running(t, r.dir); len(left) > 0 {
		t.Errorf("processes %v are left", left)
	}
	if said := p.errOut.String(); strings.Contains(said, "level=ERROR") || strings.Contains(said, "level=WARN") || strings.Contains(said, "panic") {
		t.Errorf("the logs of a quiet run are not quiet:\n%s", said)
	}

	// The second run, and one after the power has failed.
	p = r.run()
	r.isAsBefore(before, "a second run")
	must(t, p.command.Process.Kill())
	p.exit(10 * time.Second)
	p = r.run()
	r.isAsBefore(before, "a run after SIGKILL")

	// Other ports: the client is told.
	if code := p.end(syscall.SIGTERM, 30*time.Second); code != 0 {
		t.Errorf("SIGTERM: exit code %d:\n%s", code, p.everything())
	}
	moved := newTrial(t)
	r.clients, r.admin = moved.clients, moved.admin
	r.run()
	r.isAsBefore(before, "a run on other ports")
	sitetest.Eventually(t, 30*time.Second, "the client speaks on the new port", func() error {
		out, _, _ := run(t, exec.Command(sitetest.Program(t, "mainstay-client"), "status", "--state-dir", filepath.Join(r.dir, "var", "client")))
		if !strings.Contains(out, "localhost:"+r.clients) || strings.Contains(out, "none serves") {
			return fmt.Errorf("its status is\n%s", out)
		}
		return nil
	})
}

// isAsBefore tells whether the site has the same device with its history, and
// registered nothing anew.
func (r *trial) isAsBefore(before deviceView, what string) {
	r.t.Helper()
	var devices []map[string]any
	decode(r.t, r.mainstay("device list -o json"), &devices)
	if len(devices) != 1 || devices[0]["id"] != before.Device.ID || devices[0]["registered_at"] != before.Device.RegisteredAt {
		r.t.Errorf("%s: the devices are %v, want the one with identifier %s of %s", what, devices, before.Device.ID, before.Device.RegisteredAt)
	}
	var tokens []map[string]any
	decode(r.t, r.mainstay("token list -o json"), &tokens)
	if len(tokens) != 1 {
		r.t.Errorf("%s: there are %d registration tokens, want the one of the first run", what, len(tokens))
	}
	var messages []struct {
		MessageID int `json:"message_id"`
	}
	decode(r.t, r.mainstay("status-message list --filter message_id=3000 -o json"), &messages)
	if len(messages) != 1 {
		r.t.Errorf("%s: %d registrations are on record, want 1", what, len(messages))
	}
	var rows []map[string]any
	decode(r.t, r.mainstay("device history "+before.Device.Name+" -o json"), &rows)
	if len(rows) == 0 {
		r.t.Errorf("%s: the history of the inventory is empty", what)
	}
}

// signsInOnce opens the link as the page behind it does, over TLS that is
// checked against the fingerprint that the command shows.
func (r *trial) signsInOnce(t *testing.T, link string) {
	address, err := url.Parse(link)
	must(t, err)
	fragment, err := url.ParseQuery(address.Fragment)
	must(t, err)
	code := fragment.Get("code")
	if address.Path != "/sign-in" || code == "" {
		t.Fatalf("link %s has no code for the sign-in page", link)
	}
	origin := address.Scheme + "://" + address.Host
	browser := r.browser(t, origin)

	page, err := browser.Get(origin + address.Path)
	must(t, err)
	if body := readAll(t, page.Body); page.StatusCode != http.StatusOK || !strings.Contains(body, "<html") {
		t.Errorf("the sign-in page answers %d:\n%s", page.StatusCode, body)
	}
	signIn := func() (*http.Response, string) {
		body, err := json.Marshal(map[string]string{"code": code, "kind": "browser"})
		must(t, err)
		request, err := http.NewRequest(http.MethodPost, origin+"/api/v1/session", bytes.NewReader(body))
		must(t, err)
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("Origin", origin)
		answer, err := browser.Do(request)
		must(t, err)
		return answer, readAll(t, answer.Body)
	}
	first, said := signIn()
	if first.StatusCode != http.StatusCreated && first.StatusCode != http.StatusOK {
		t.Fatalf("signing in with the link: %d: %s", first.StatusCode, said)
	}
	cookies := first.Cookies()
	if len(cookies) != 1 || !cookies[0].HttpOnly || !cookies[0].Secure || cookies[0].SameSite != http.SameSiteStrictMode {
		t.Fatalf("the session's cookie is %+v", cookies)
	}
	if strings.Contains(said, cookies[0].Value) {
		t.Error("a script on the page could read the session")
	}
	for _, signedIn := range []bool{true, false} {
		request, err := http.NewRequest(http.MethodGet, origin+"/api/v1/devices", nil)
		must(t, err)
		want := http.StatusUnauthorized
		if signedIn {
			request.AddCookie(cookies[0])
			want = http.StatusOK
		}
		answer, err := browser.Do(request)
		must(t, err)
		if body := readAll(t, answer.Body); answer.StatusCode != want {
			t.Errorf("devices, signed in %v: %d, want %d: %s", signedIn, answer.StatusCode, want, body)
		}
	}
	if again, said := signIn(); again.StatusCode != http.StatusUnauthorized || len(again.Cookies()) > 0 {
		t.Errorf("the link signs in a second time: %d: %s", again.StatusCode, said)
	}
}

// browser trusts the site's root, which it compares with what the command says.
func (r *trial) browser(t *testing.T, origin string) *http.Client {
	t.Helper()
	careless := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true,
	}}
	answer, err := careless.Get(origin + "/site-root.pem")
	must(t, err)
	block, _ := pem.Decode([]byte(readAll(t, answer.Body)))
	if block == nil {
		t.Fatal("the provider shows no root certificate")
	}
	sum := sha256.Sum256(block.Bytes)
	status := strings.ReplaceAll(r.mainstay("site status"), ":", "")
	if !strings.Contains(status, hex.EncodeToString(sum[:])) {
		t.Fatalf("the root is not the one that the command shows:\n%s", status)
	}
	root, err := x509.ParseCertificate(block.Bytes)
	must(t, err)
	roots := x509.NewCertPool()
	roots.AddCert(root)
	return &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13}, DisableKeepAlives: true,
	}}
}

func TestQuickStartNamesWhoHoldsAPort(t *testing.T) {
	t.Parallel()
	for _, flag := range []string{"--client-port", "--admin-port"} {
		t.Run(flag, func(t *testing.T) {
			t.Parallel()
			r := newTrial(t)
			taken, err := net.Listen("tcp", "127.0.0.1:0")
			must(t, err)
			defer taken.Close()
			_, port, err := net.SplitHostPort(taken.Addr().String())
			must(t, err)
			out, problem, code := run(t, r.command(flag, port))
			for _, want := range []string{port, "(process " + fmt.Sprint(os.Getpid()) + ")", flag} {
				if !strings.Contains(problem, want) {
					t.Errorf("the message does not say %q", want)
				}
			}
			if code != 6 || out != "" {
				t.Errorf("exit code %d, want 6 before anything is made", code)
			}
			if _, err := os.Stat(filepath.Join(r.dir, "var", "site")); err == nil {
				t.Error("a site was made whose recovery key nobody saw")
			}
			if t.Failed() {
				t.Logf("it said:\n%s%s", out, problem)
			}
		})
	}
}

func TestQuickStartRefuses(t *testing.T) {
	t.Parallel()
	r := newTrial(t)
	for name, test := range map[string]struct {
		args []string
		want []string
	}{
		"a long folder":     {[]string{"--dir", strings.Repeat("long/", 25)}, []string{"socket", "107", "shorter"}},
		"equal ports":       {[]string{"--admin-port", r.clients}, []string{"--admin-port", "another"}},
		"a port too large":  {[]string{"--client-port", "70000"}, []string{"--client-port", "70000", "65535"}},
		"a bad site code":   {[]string{"--site-code", "L"}, []string{"three"}},
		"an argument":       {[]string{"now"}, []string{"now"}},
		"an unknown option": {[]string{"--colour"}, []string{"--colour", "mainstay --help"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			own := *r
			own.dir = t.TempDir()
			out, problem, code := run(t, own.command(test.args...))
			for _, want := range test.want {
				if !strings.Contains(problem, want) {
					t.Errorf("the message does not say %q", want)
				}
			}
			if code != 2 || t.Failed() {
				t.Errorf("exit code %d, want 2; it said:\n%s%s", code, out, problem)
			}
		})
	}
}
