package config

import (
	"flag"
	"os"
	"strings"
	"testing"

	"mainstay/lib/fault"
)

func TestDefaultsAreTheDefaults(t *testing.T) {
	t.Parallel()
	documented, err := Parse("defaults.yaml", []byte(Defaults()))
	if err != nil {
		t.Fatal(err)
	}
	empty, err := Parse("empty.yaml", nil)
	if err != nil {
		t.Fatal(err)
	}
	documented.keys, documented.file, empty.keys, empty.file = nil, "", nil, ""
	if documented != empty {
		t.Errorf("documented defaults differ from those in force:\n%+v\n%+v", documented, empty)
	}
	for _, key := range keys() {
		if !strings.Contains(Defaults(), key+":") {
			t.Errorf("key %q is not documented", key)
		}
	}
}

var update = flag.Bool("update", false, "write the reference again")

func TestReferenceIsTheDefaults(t *testing.T) {
	t.Parallel()
	const path = "../../../docs/reference/configuration.md"
	want := "# Configuration of a site system\n\nOne YAML file, `/etc/mainstay/mainstay.yaml` by default. Unknown keys and bad values\n" +
		"are refused with file, line, key and remedy; `mainstay config check` does only that.\n\n```yaml\n" + Defaults() + "```\n"
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != want {
		t.Errorf("docs/reference/configuration.md is not what the program knows; run go test ./cmd/mainstay/config -update (%v)", err)
	}
}

func TestBadConfigurationsAreRefused(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		text string
		want []string
	}{
		"unknown key":     {"data: /d\ncolour: red\n", []string{"c.yaml", "colour", "2", "known keys"}},
		"twice":           {"data: /d\ndata: /e\n", []string{"c.yaml", "data"}},
		"relative folder": {"\ndata: var\n", []string{"c.yaml:2", "data", `"var"`, "absolute"}},
		"wrong type":      {"client_listen: [1]\n", []string{"c.yaml", "client_listen"}},
		"no port":         {"client_listen: localhost\n", []string{"c.yaml:1", "client_listen", "localhost", ":8443"}},
		"port too large":  {"admin_listen: :70000\n", []string{"admin_listen", "65535"}},
		"same ports":      {"client_listen: :1\nadmin_listen: :1\n", []string{"c.yaml:2", "admin_listen", "client_listen"}},
		"database":        {"database: mysql://x\n", []string{"database", "sqlite:"}},
		"long socket":     {"socket: /" + strings.Repeat("s", 107) + "\n", []string{"c.yaml:1", "socket", "108 characters", "107"}},
		"log level":       {"log_level: loud\n", []string{"log_level", "loud", "debug"}},
		"not yaml":        {"data: {\n", []string{"c.yaml"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Parse("c.yaml", []byte(test.text))
			if !fault.Is(err, fault.Invalid) {
				t.Fatalf("accepted: %v", err)
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error does not say %q:\n%s", want, err)
				}
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(Defaults()))
	f.Add([]byte("data: /d\nx: &a [*a]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := Parse("fuzz.yaml", data)
		if err == nil && (c.Data == "" || c.Database == "") {
			t.Errorf("accepted without data or database: %q", data)
		}
	})
}
