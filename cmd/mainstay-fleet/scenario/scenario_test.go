package scenario

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestDefault(t *testing.T) {
	t.Parallel()
	s, err := Default()
	if err != nil {
		t.Fatal(err)
	}
	if s.Clients != 5000 || len(s.Steps) != 2 || s.Steps[1].Every != time.Hour || s.Steps[1].Actions[0] != (Action{Do: ChangePackages, Count: 3}) {
		t.Errorf("got %+v", s)
	}
	if end, forever := s.End(); end != 2*time.Minute || !forever {
		t.Errorf("ends at %s, forever %t", end, forever)
	}
}

func TestDefaultsOfActions(t *testing.T) {
	t.Parallel()
	s, err := Parse("f", []byte("steps:\n- name: a\n  actions:\n  - do: inventory\n  - do: status-messages\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := []Action{{Do: Inventory, Kind: Delta}, {Do: StatusMessages, Count: 1}}
	if !slices.Equal(s.Steps[0].Actions, want) || s.Steps[0].Clients != "all" || s.Settle != 30*time.Second {
		t.Errorf("got %+v", s)
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	step := "steps:\n- name: a\n  actions:\n  - do: poll\n"
	for name, c := range map[string]struct {
		text string
		want []string // each stands in the error
	}{
		"no YAML":                 {"steps: [", []string{"f.yaml"}},
		"empty":                   {"", []string{"f.yaml", "steps"}},
		"unknown key":             {step + "color: red\n", []string{"color", "5"}},
		"unknown key of a step":   {step + "  colour: red\n", []string{"colour"}},
		"unknown key of action":   {step + "    often: 3\n", []string{"often", "5"}},
		"no steps":                {"clients: 5\n", []string{"f.yaml:1", "steps"}},
		"no action":               {"steps:\n- name: a\n", []string{"f.yaml:2", "actions"}},
		"no such action":          {"steps:\n- name: a\n  actions:\n  - do: dance\n", []string{"f.yaml:4", "do", "dance", "register"}},
		"key of another action":   {step + "    count: 3\n", []string{"f.yaml:5", "count", "poll", "remove it"}},
		"kind of nothing":         {"steps:\n- name: a\n  actions:\n  - do: inventory\n    kind: half\n", []string{"f.yaml:5", "half", "full or delta"}},
		"count of zero":           {"steps:\n- name: a\n  actions:\n  - do: status-messages\n    count: 0\n", []string{"f.yaml:5", "count", "0"}},
		"too many bytes":          {"steps:\n- name: a\n  actions:\n  - do: status-messages\n    bytes: 9999999\n", []string{"f.yaml:5", "bytes"}},
		"time without a unit":     {step + "  at: 5\n", []string{"5"}},
		"negative time":           {step + "  at: -5s\n", []string{"f.yaml:5", "at", "-5s"}},
		"rhythm too fast":         {step + "  every: 1ms\n", []string{"f.yaml:5", "every"}},
		"no such clients":         {step + "  clients: some\n", []string{"f.yaml:5", "clients", "some", "20%"}},
		"share of nothing":        {step + "  clients: 0%\n", []string{"f.yaml:5", "clients"}},
		"range backwards":         {step + "  clients: 9-3\n", []string{"f.yaml:5", "clients"}},
		"negative number":         {"clients: -3\n" + step, []string{"f.yaml:1", "clients", "-3"}},
		"same name twice":         {step + "- name: a\n  actions:\n  - do: poll\n", []string{"f.yaml:5", "name", "a"}},
		"step without name":       {"steps:\n- actions:\n  - do: poll\n", []string{"f.yaml:2", "name"}},
		"a list where a map goes": {"steps:\n- [1, 2]\n", []string{"f.yaml"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Parse("f.yaml", []byte(c.text))
			if err == nil {
				t.Fatal("accepted")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error does not say %q: %v", want, err)
				}
			}
		})
	}
}

func TestSelect(t *testing.T) {
	t.Parallel()
	for clients, want := range map[string]int{"all": 50, "7": 7, "20%": 10, "1%": 1, "10-19": 10, "40-99": 10, "70": 50} {
		s := Scenario{Steps: []Step{{Clients: clients}}}
		got := s.Select(0, 50, 3)
		if len(got) != want {
			t.Errorf("%s selects %d of 50, want %d", clients, len(got), want)
		}
		if again := s.Select(0, 50, 3); !slices.Equal(got, again) {
			t.Errorf("%s selects %v and then %v", clients, got, again)
		}
		slices.Sort(got)
		if len(slices.Compact(got)) != want || got[0] < 0 || got[len(got)-1] > 49 {
			t.Errorf("%s selects %v", clients, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(DefaultText()))
	f.Add([]byte("steps:\n- name: a\n  actions:\n  - do: poll\n  clients: 5-9\n"))
	f.Add([]byte("steps: [{name: a, every: 1h, actions: [{do: inventory, kind: full}]}]"))
	f.Add([]byte("? [a]: &x *x"))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := Parse("f", data)
		if err != nil {
			return
		}
		for i, step := range s.Steps {
			if len(step.Actions) == 0 || step.At < 0 || step.Duration < 0 || step.Every < 0 {
				t.Errorf("accepted %+v", step)
			}
			s.Select(i, 10, 1)
		}
	})
}
