package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mainstay/cmd/mainstay-fleet/fleet"
	"mainstay/cmd/mainstay-fleet/measure"
)

// call runs the command.
func call(t *testing.T, env map[string]string, args ...string) (code int, out, errOut string) {
	t.Helper()
	var o, e bytes.Buffer
	code = run(t.Context(), environment{out: &o, errOut: &e, getenv: func(name string) string { return env[name] }}, args)
	return code, o.String(), e.String()
}

func TestCommand(t *testing.T) {
	t.Parallel()
	bad := filepath.Join(t.TempDir(), "bad.yaml")
	if err := os.WriteFile(bad, []byte("steps:\n- name: a\n  actions:\n  - do: dance\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		args []string
		code int
		want string // stands in what is printed
	}{
		"help":             {nil, exitOK, "mainstay-fleet run"},
		"unknown command":  {[]string{"walk"}, exitUsage, "walk"},
		"unknown flag":     {[]string{"run", "--fast"}, exitUsage, "--fast"},
		"no point":         {[]string{"run"}, exitUsage, "mp"},
		"bad token":        {[]string{"run", "--mp", "localhost", "--token", "secret"}, exitUsage, "registration token"},
		"bad output":       {[]string{"run", "--mp", "localhost", "-o", "xml"}, exitUsage, "xml"},
		"bad interval":     {[]string{"run", "--mp", "localhost", "--interval", "1ms"}, exitUsage, "interval"},
		"bad level":        {[]string{"run", "--mp", "localhost", "--log-level", "loud"}, exitUsage, "loud"},
		"no site":          {[]string{"run", "--mp", "localhost", "--clients", "3"}, exitUsage, "site"},
		"no such scenario": {[]string{"run", "--mp", "localhost", "--scenario", "/nowhere.yaml"}, exitNotFound, "/nowhere.yaml"},
		"bad scenario":     {[]string{"run", "--mp", "localhost", "--scenario", bad}, exitUsage, "bad.yaml:4"},
		"check":            {[]string{"scenario", "check", bad}, exitUsage, "dance"},
		"show":             {[]string{"scenario", "show"}, exitOK, "do: register"},
		"version":          {[]string{"version"}, exitOK, "mainstay-fleet "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, out, errOut := call(t, nil, c.args...)
			if code != c.code || !strings.Contains(out+errOut, c.want) {
				t.Errorf("exit code %d, want %d, and %q in:\n%s%s", code, c.code, c.want, out, errOut)
			}
		})
	}
}

func TestTokenIsNotPrinted(t *testing.T) {
	t.Parallel()
	secret := "mst1.LAB.00112233445566.c2VjcmV0.c2VjcmV0"
	_, out, errOut := call(t, map[string]string{"MAINSTAY_TOKEN": secret}, "run", "--mp", "localhost")
	if strings.Contains(out+errOut, "c2VjcmV0") || !strings.Contains(errOut, "token") {
		t.Errorf("printed: %s%s", out, errOut)
	}
}

func summary() fleet.Summary {
	r := measure.NewRecorder("poll", "upload", "other")
	start := r.State(time.Unix(0, 0))
	r.Record(measure.Operation{Name: "poll", Took: 1488 * time.Microsecond})
	r.Record(measure.Operation{Name: "upload", Took: 20 * time.Millisecond, Messages: 3})
	r.Record(measure.Operation{Name: "upload", Problem: "timeout", Example: "dial \"mp\"\n\ttoo <slow> é"})
	return fleet.Summary{Seed: 1, Clients: 2, Registered: 2, Figures: r.Figures(start, r.State(time.Unix(10, 0)))}
}

func TestJSON(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	p := &program{environment: environment{out: &out}}
	if err := p.printSummary(formatJSON, summary()); err != nil {
		t.Fatal(err)
	}
	var got struct {
		Registered int
		Figures    struct {
			Messages          int64
			MessagesPerSecond float64 `json:"messages_per_second"`
			Operations        []struct {
				Name string
				Done int
				P50  float64 `json:"p50_ms"`
			}
			Problems []struct{ Kind, Example string }
		}
	}
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatalf("%v in %s", err, out.String())
	}
	f := got.Figures
	if got.Registered != 2 || f.Messages != 3 || f.MessagesPerSecond != 0.3 || len(f.Operations) != 2 || f.Operations[0].P50 != 1.488 ||
		f.Problems[0].Example != "dial \"mp\"\n\ttoo <slow> é" {
		t.Errorf("got %+v from %s", got, out.String())
	}
}

func TestTable(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	p := &program{environment: environment{out: &out}}
	if err := p.printSummary(formatPretty, summary()); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"2 registered", "3 messages delivered (0.3/s)", "upload", "1 × upload: timeout, such as: dial \"mp\" too <slow> é"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
}

func TestStoppedBeforeAnybodyRegisteredIsNoError(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out, errOut bytes.Buffer
	code := run(ctx, environment{out: &out, errOut: &errOut, getenv: func(string) string { return "" }},
		[]string{"run", "--mp", "127.0.0.1:1", "--site", "LAB", "--clients", "2", "--state", t.TempDir()})
	if code != exitOK || !strings.Contains(out.String(), "0 registered") {
		t.Errorf("exit code %d: %s%s", code, out.String(), errOut.String())
	}
}
