package strictyaml

import (
	"strings"
	"testing"

	"mainstay/lib/fault"
)

type settings struct {
	Name  string   `yaml:"name"`
	Steps []string `yaml:"steps"`
}

func TestDecode(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		text string
		want string // part of the error; empty for none
	}{
		"whole":            {"name: a\nsteps: [x, y]\n", ""},
		"empty":            {"", ""},
		"comments only":    {"# nothing\n", ""},
		"unknown key":      {"name: a\ncolour: red\n", "colour"},
		"twice":            {"name: a\nname: b\n", "name"},
		"wrong type":       {"name: [a]\n", "1"},
		"no YAML":          {"name: {\n", ""},
		"tag of nothing":   {"steps: !x #", "YAML"},
		"alias of nothing": {"name: *a\n", "a"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out := settings{Name: "default"}
			_, err := Decode([]byte(test.text), &out)
			if name == "no YAML" {
				if !fault.Is(err, fault.Invalid) {
					t.Errorf("accepted: %v", err)
				}
				return
			}
			if (test.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
			if name == "empty" && out.Name != "default" {
				t.Error("nothing undid the default")
			}
		})
	}
}

func TestLine(t *testing.T) {
	t.Parallel()
	var out settings
	f, err := Decode([]byte("# a comment\nname: a\nsteps:\n  - x\n  - y\n"), &out)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]int{"name": 2, "steps": 3, "steps[1]": 5, "steps[1].absent": 5, "absent": 1} {
		if got := f.Line(path); got != want {
			t.Errorf("%s stands in line %d, want %d", path, got, want)
		}
	}
	if !f.Has("name") || f.Has("absent") {
		t.Error("mistakes what the file has")
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte("name: a\nsteps: [x]\n"))
	f.Add([]byte("a: !x #"))
	f.Add([]byte("x: &a [*a]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var out settings
		if file, err := Decode(data, &out); err == nil && file.Line("name") < 1 {
			t.Errorf("no line in %q", data)
		}
	})
}
