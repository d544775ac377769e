package acceptance

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"mainstay/test/sitetest"
)

// verb is one command with the help that it gives.
type verb struct {
	// words are the program and the words after it.
	words []string
	short string
	help  string
	below []verb
}

// titles are the parts of a help that list no commands.
var titles = []string{"Usage:", "Examples:", "Flags:", "Global Flags:", "Exit codes:", "Aliases:"}

// explore asks a program for the help of a command and of all below it.
func explore(t *testing.T, short string, words ...string) verb {
	t.Helper()
	cmd := exec.Command(sitetest.Program(t, words[0]), append(slices.Clone(words[1:]), "--help")...)
	out, problem, code := run(t, cmd)
	if code != 0 || problem != "" {
		t.Fatalf("%s --help: %d %s", strings.Join(words, " "), code, problem)
	}
	v := verb{words: words, short: short, help: out}
	listing := false
	for line := range strings.Lines(out) {
		line = strings.TrimRight(line, "\n")
		switch {
		case strings.HasPrefix(line, "  ") && listing:
			name, text, _ := strings.Cut(strings.TrimSpace(line), " ")
			if name != "help" {
				v.below = append(v.below, explore(t, strings.TrimSpace(text), append(slices.Clone(words), name)...))
			}
		case strings.HasSuffix(line, ":"):
			listing = !slices.Contains(titles, line) && !strings.HasPrefix(line, " ") && strings.Contains(out, "[command]")
		default:
			listing = false
		}
	}
	return v
}

// leaves calls f for each command that does something.
func (v verb) leaves(f func(verb)) {
	if len(v.below) == 0 {
		f(v)
	}
	for _, b := range v.below {
		b.leaves(f)
	}
}

// TestEveryCommandIsExplained asks the programs, as they are built, for the help
// of everything that they can do.
func TestEveryCommandIsExplained(t *testing.T) {
	t.Parallel()
	reference, err := os.ReadFile("../../docs/reference/cli.md")
	must(t, err)
	for program, least := range map[string]int{"mainstay": 40, "mainstay-client": 6} {
		count := 0
		explore(t, "", program).leaves(func(v verb) {
			name := strings.Join(v.words, " ")
			if v.short == "" {
				t.Errorf("%s: the list of commands does not say what it is for", name)
			}
			if v.words[1] == "completion" {
				return // explains itself at length, and is not ours
			}
			count++
			_, examples, _ := strings.Cut(v.help, "\nExamples:\n")
			examples, _, _ = strings.Cut(examples, "\n\n")
			if !strings.Contains(examples, name) {
				t.Errorf("the examples of %s do not show it: %q", name, examples)
			}
			if program == "mainstay" && !strings.Contains(string(reference), "## "+name+" ") && !strings.Contains(string(reference), "## "+name+"\n") {
				t.Errorf("docs/reference/cli.md has no %s", name)
			}
		})
		if count < least {
			t.Errorf("found %d commands of %s, want at least %d", count, program, least)
		}
	}
}
