package main

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mainstay/client/clienttest"
	"mainstay/client/localapi"
	"mainstay/lib/mtls"
)

// fakeServices is a service manager that writes down what it was asked.
type fakeServices struct {
	there bool
	done  *[]string
}

func (f fakeServices) Available() bool { return f.there }
func (f fakeServices) note(what string) error {
	*f.done = append(*f.done, what)
	return nil
}
func (f fakeServices) Enable(context.Context) error  { return f.note("enable") }
func (f fakeServices) Stop(context.Context) error    { return f.note("stop") }
func (f fakeServices) Disable(context.Context) error { return f.note("disable") }

// command runs the program as a user would, in a folder of its own.
type command struct {
	t   *testing.T
	dir string
	env map[string]string
	in  string
	out bytes.Buffer
}

func setup(t *testing.T) *command {
	t.Helper()
	// A socket's path is short, and test folders are long.
	dir, err := os.MkdirTemp("", "client")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return &command{t: t, dir: dir, env: map[string]string{}}
}

// run returns the exit code; what was printed is in out.
func (c *command) run(ctx context.Context, args ...string) int {
	c.out.Reset()
	var done []string
	return run(ctx, environment{
		in: strings.NewReader(c.in), out: &c.out, errOut: &c.out, root: true,
		getenv: func(name string) string { return c.env[name] }, services: fakeServices{done: &done},
	}, append(args, "--state-dir", c.dir))
}

func (c *command) want(code int, args ...string) string {
	c.t.Helper()
	if got := c.run(c.t.Context(), args...); got != code {
		c.t.Fatalf("%v: exit code is %d, want %d\n%s", args, got, code, &c.out)
	}
	return c.out.String()
}

// serve starts a management point on loopback and returns its address.
func serve(t *testing.T, site *clienttest.Site) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	point := clienttest.NewPoint(t, site, clienttest.NewNetwork(), listener.Addr().String())
	server := &http.Server{Handler: point, TLSConfig: mtls.ServerConfig(site.System(t, "mp"), func([]*x509.Certificate) error { return nil })}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = server.ServeTLS(listener, "", "")
	}()
	t.Cleanup(func() { server.Close(); <-ended })
	return listener.Addr().String()
}

func TestInstallRunLookUninstall(t *testing.T) {
	t.Parallel()
	c, site := setup(t), clienttest.NewSite(t, "LAB")
	address := serve(t, site)
	c.in = site.Token.Reveal() + "\n"
	out := c.want(exitOK, "install", "--mp", address, "--token-file", "-")
	for _, part := range []string{"Registered as device", "site LAB", "mainstay-client run --state-dir " + c.dir} {
		if !strings.Contains(out, part) {
			t.Errorf("install does not say %q:\n%s", part, out)
		}
	}
	if strings.Contains(out, c.in[20:60]) {
		t.Error("install shows the token")
	}
	if _, err := os.Stat(filepath.Join(c.dir, "token")); !os.IsNotExist(err) {
		t.Errorf("the token is kept although the machine is registered: %v", err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan int, 1)
	running := &command{t: t, dir: c.dir, env: map[string]string{"GOGC": "100"}}
	go func() { ended <- running.run(ctx, "run") }()
	door := localapi.NewDoor(filepath.Join(c.dir, "client.sock"))
	device := site.Devices()[0]
	site.Await(t, "a heartbeat", func() bool { return len(site.Messages(device, "heartbeat")) > 0 })
	if s, err := door.Status(t.Context()); err != nil || s.DeviceID != device {
		t.Errorf("status is %+v, %v", s, err)
	}

	if out := c.want(exitOK, "status"); !strings.Contains(out, device) || !strings.Contains(out, "registered") {
		t.Errorf("status is\n%s", out)
	}
	var s localapi.Status
	if err := json.Unmarshal([]byte(c.want(exitOK, "status", "-o", "json")), &s); err != nil || s.SiteCode != "LAB" {
		t.Errorf("status as JSON: %+v, %v", s, err)
	}
	if out := c.want(exitOK, "policy"); !strings.Contains(out, "Hardware inventory") {
		t.Errorf("policy is\n%s", out)
	}
	c.want(exitOK, "policy", "--now")
	c.want(exitOK, "inventory", "--now")
	c.want(exitUsage, "status", "-o", "xml")
	c.want(exitConflict, "uninstall", "--purge")
	c.want(exitConflict, "run")

	cancel()
	if code := <-ended; code != exitOK {
		t.Errorf("run ended with %d:\n%s", code, &running.out)
	}
	c.want(exitUnavailable, "status")
	// Again, with less to say: the same device.
	c.want(exitOK, "install")
	if n := len(site.Devices()); n != 1 {
		t.Errorf("%d devices after a second installation", n)
	}
	c.want(exitOK, "uninstall")
	c.want(exitOK, "uninstall", "--purge")
	if _, err := os.Stat(c.dir); !os.IsNotExist(err) {
		t.Errorf("the folder is still there: %v", err)
	}
	c.want(exitOK, "uninstall", "--purge")
}

func TestInstallWithTokenInTheEnvironmentAndRootKey(t *testing.T) {
	t.Parallel()
	c, site := setup(t), clienttest.NewSite(t, "LAB")
	root := filepath.Join(t.TempDir(), "root.pem")
	if err := os.WriteFile(root, mtls.EncodeChain([][]byte{site.RootDER()}), 0o600); err != nil {
		t.Fatal(err)
	}
	c.env["MAINSTAY_TOKEN"] = site.Token.Reveal()
	c.want(exitOK, "install", "/mp:"+serve(t, site), "SMSSITECODE=lab", "FSP=fsp1", "SMSROOTKEYPATH="+root)
	got, err := readConfig(filepath.Join(c.dir, configName))
	if err != nil {
		t.Fatal(err)
	}
	if got.Site != "LAB" || !slices.Equal(got.FallbackStatusPoints, []string{"fsp1"}) || got.RootKeyFile != filepath.Join(c.dir, "root.pem") {
		t.Errorf("configuration is %+v", got)
	}
}

func TestInstallAgainstAnotherSite(t *testing.T) {
	t.Parallel()
	c, site, other := setup(t), clienttest.NewSite(t, "LAB"), clienttest.NewSite(t, "LAB")
	out := c.want(exitDenied, "install", "--mp", serve(t, other), "--token", site.Token.Reveal(), "--wait", "200ms")
	if !strings.Contains(out, "does not agree") {
		t.Errorf("install says\n%s", out)
	}
	if n := len(other.Registrations()); n != 0 {
		t.Errorf("%d registrations were sent to the false site", n)
	}
	if _, err := os.Stat(filepath.Join(c.dir, "token")); err != nil {
		t.Errorf("the token is gone although the machine is not registered: %v", err)
	}
}

func TestInstallRefuses(t *testing.T) {
	t.Parallel()
	token := clienttest.NewSite(t, "LAB").Token.Reveal()
	for name, test := range map[string]struct {
		args []string
		say  string
	}{
		"nothing":               {nil, "--site"},
		"no management point":   {[]string{"--site", "LAB"}, "--mp"},
		"bad site":              {[]string{"--site", "lab!", "--mp", "h"}, "three capital letters"},
		"bad address":           {[]string{"--site", "LAB", "--mp", "https://h/"}, "HOST:PORT"},
		"bad token":             {[]string{"--mp", "h", "--token", "mst1.LAB.x"}, "copy it again"},
		"token of another":      {[]string{"--mp", "h", "--site", "XXX", "--token", token}, "for site LAB"},
		"two tokens":            {[]string{"--mp", "h", "--token", token, "--token-file", "x"}, "exclude"},
		"no such token file":    {[]string{"--mp", "h", "--token-file", "/no/such/file"}, "/no/such/file"},
		"no such root key":      {[]string{"--site", "LAB", "--mp", "h", "--root-key", "/no/such/file"}, "root certificate"},
		"root key that is none": {[]string{"--site", "LAB", "--mp", "h", "--root-key", os.Args[0]}, "root_key_file"},
		"unknown flag":          {[]string{"--what"}, "unknown flag"},
		"an argument":           {[]string{"host"}, "unknown command"},
		"original, unknown":     {[]string{"/source:x"}, "/source"},
		"original, automatic":   {[]string{"SMSSITECODE=AUTO"}, "SMSSITECODE"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := setup(t)
			out := c.want(exitUsage, append([]string{"install"}, test.args...)...)
			if !strings.Contains(out, test.say) {
				t.Errorf("says %q, want something with %q", out, test.say)
			}
			if _, err := os.Stat(filepath.Join(c.dir, configName)); !os.IsNotExist(err) {
				t.Error("a configuration was written all the same")
			}
			if strings.Contains(out, token[30:]) {
				t.Error("the token is shown")
			}
		})
	}
}

func TestNeedsRoot(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"install"}, {"run"}, {"uninstall"}} {
		var out bytes.Buffer
		var done []string
		code := run(t.Context(), environment{out: &out, errOut: &out, getenv: func(string) string { return "" }, services: fakeServices{done: &done}}, args)
		if code != exitDenied || !strings.Contains(out.String(), "needs root") || len(done) > 0 {
			t.Errorf("%v: exit code %d, %s, services %v", args, code, &out, done)
		}
	}
}

func TestTranslate(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ in, want string }{
		{"install --mp h", "install --mp h"},
		{"install /mp:a;b SMSSITECODE=lab FSP=f", "install --mp a --mp b --site LAB --fsp f"},
		{"install /MP:https://a:443/", "install --mp a:443"},
		{"install /regtoken:T /config:c.yaml SMSROOTKEYPATH=/a/b", "install --token T --config c.yaml --root-key /a/b"},
		{"install --root-key /mp:x --no-service /mp:y", "install --root-key /mp:x --no-service --mp y"},
		{"install --config /etc/x.yaml", "install --config /etc/x.yaml"},
		{"install --site=LAB /mp:a", "install --site=LAB --mp a"},
		{"status /mp:a", "status /mp:a"},
		{"", ""},
	} {
		got, err := translate(strings.Fields(test.in))
		if err != nil || strings.Join(got, " ") != test.want {
			t.Errorf("translate(%q) = %q, %v; want %q", test.in, got, err, test.want)
		}
	}
}

func TestConfigurationIsChecked(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ text, say string }{
		"unknown key":   {"site: LAB\nmanagement_points: [h]\nsight: LAB\n", "sight"},
		"duplicate key": {"site: LAB\nsite: LAB\nmanagement_points: [h]\n", "site"},
		"wrong type":    {"site: LAB\nmanagement_points: h\n", "management_points"},
		"no site":       {"management_points: [h]\n", "site"},
		"bad point":     {"site: LAB\nmanagement_points:\n- https://h\n", "line 2"},
		"bad fsp":       {"site: LAB\nmanagement_points: [h]\nfallback_status_points: ['a b']\n", "line 3"},
		"bad size":      {"site: LAB\nmanagement_points: [h]\noutbox_megabytes: -1\n", "line 3"},
		"bad level":     {"site: LAB\nmanagement_points: [h]\nlog_level: loud\n", "line 3"},
		"a tag":         {"site: LAB\nmanagement_points: !x #\n", ""},
		"no YAML":       {"\x00", ""},
	} {
		c := setup(t)
		if err := os.WriteFile(filepath.Join(c.dir, configName), []byte(test.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if out := c.want(exitUsage, "run"); !strings.Contains(out, test.say) || !strings.Contains(out, configName) {
			t.Errorf("%s: says %q, want the file and %q", name, out, test.say)
		}
	}
	if out := setup(t).want(exitNotFound, "run"); !strings.Contains(out, "install") {
		t.Errorf("without configuration run says %q", out)
	}
}

func TestShowInventory(t *testing.T) {
	t.Parallel()
	c := setup(t)
	if out := c.want(exitOK, "inventory", "--show"); !strings.Contains(out, "Processor") {
		t.Errorf("classes are\n%s", out)
	}
	var rows []map[string]any
	if err := json.Unmarshal([]byte(c.want(exitOK, "inventory", "--show", "os", "-o", "json")), &rows); err != nil || len(rows) != 1 {
		t.Errorf("rows are %v, %v", rows, err)
	}
	c.want(exitOK, "inventory", "--show", "OS")
	c.want(exitNotFound, "inventory", "--show", "NoSuchClass")
	c.want(exitUsage, "inventory")
	c.want(exitUsage, "inventory", "--now", "OS")
	c.want(exitUnavailable, "inventory", "--now")
	c.want(exitOK, "version")
	c.want(exitOK, "completion", "bash")
}

func FuzzConfig(f *testing.F) {
	f.Add([]byte("site: LAB\nmanagement_points: [h]\nhardware: {product_uuid: x}\n"))
	f.Add([]byte("a: &a [*a]\n"))
	f.Add([]byte("<<: {}\n"))
	f.Add([]byte("site: LAB\nmanagement_points: !x #\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := decodeConfig(data)
		if err != nil {
			return
		}
		// What is accepted can be written and is read back the same.
		path := filepath.Join(t.TempDir(), configName)
		if err := c.write(path); err != nil {
			t.Fatal(err)
		}
		if _, err := readConfig(path); err != nil {
			t.Fatalf("%+v was written and is refused: %v", c, err)
		}
	})
}

func FuzzTranslate(f *testing.F) {
	f.Add("install /mp:a;b SMSSITECODE=LAB")
	f.Add("install --mp /mp:")
	f.Fuzz(func(_ *testing.T, line string) { _, _ = translate(strings.Fields(line)) })
}
