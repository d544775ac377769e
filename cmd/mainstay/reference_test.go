package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// TestReference compares docs/reference/cli.md with the commands.
func TestReference(t *testing.T) {
	t.Parallel()
	root := testRoot()
	var b bytes.Buffer
	b.WriteString("<!-- Written by 'go test ./cmd/mainstay -run Reference -update'. -->\n# The command `mainstay`\n\n")
	b.WriteString("`mainstay --help` and `mainstay NOUN VERB --help` show the same. Flags that every command has stand at the end.\n\n## Exit codes\n\n| Code | Meaning |\n|---|---|\n")
	for _, line := range strings.Split(exitCodes, "\n")[1:] {
		code, meaning, _ := strings.Cut(strings.TrimSpace(line), "  ")
		fmt.Fprintf(&b, "| %s | %s |\n", code, meaning)
	}
	describe(&b, root)
	b.WriteString("\n## Flags of every command\n\n")
	flagTable(&b, root.PersistentFlags())
	file := filepath.Join("..", "..", "docs", "reference", "cli.md")
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(b.Bytes(), want) {
		t.Error("docs/reference/cli.md is not what the commands say; run 'go test ./cmd/mainstay -run Reference -update' and look at the difference")
	}
}

func testRoot() *cobra.Command {
	env := &environment{in: strings.NewReader(""), out: &bytes.Buffer{}, errOut: &bytes.Buffer{}, getenv: func(string) string { return "" }, now: time.Now, zone: time.UTC}
	root := (&program{env: env}).newRoot()
	root.InitDefaultCompletionCmd()
	return root
}

func describe(b *bytes.Buffer, parent *cobra.Command) {
	for _, cmd := range parent.Commands() {
		if cmd.Hidden || cmd.Name() == "help" {
			continue
		}
		if cmd.HasSubCommands() {
			fmt.Fprintf(b, "\n## %s\n\n%s\n", cmd.CommandPath(), sentence(cmd))
			describe(b, cmd)
			continue
		}
		fmt.Fprintf(b, "\n### %s\n\n%s\n", cmd.UseLine(), sentence(cmd))
		if cmd.Example != "" {
			fmt.Fprintf(b, "\n```sh\n%s\n```\n", strings.TrimRight(unindent(cmd.Example), "\n"))
		}
		if cmd.HasAvailableLocalFlags() {
			b.WriteByte('\n')
			flagTable(b, cmd.LocalNonPersistentFlags())
		}
	}
}

func sentence(cmd *cobra.Command) string {
	if cmd.Long == "" {
		return cmd.Short + "."
	}
	return strings.TrimSpace(cmd.Long)
}

func unindent(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = strings.TrimPrefix(line, "  ")
	}
	return strings.Join(lines, "\n")
}

func flagTable(b *bytes.Buffer, flags *pflag.FlagSet) {
	rows := []string{}
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		name := "`--" + f.Name + "`"
		if f.Shorthand != "" {
			name = "`-" + f.Shorthand + "`, " + name
		}
		standard := ""
		if f.DefValue != "" && f.DefValue != "false" && f.DefValue != "[]" {
			standard = "`" + f.DefValue + "`"
		}
		rows = append(rows, fmt.Sprintf("| %s | %s | %s |\n", name, strings.ReplaceAll(f.Usage, "|", `\|`), standard))
	})
	if len(rows) > 0 {
		b.WriteString("| Flag | Meaning | Default |\n|---|---|---|\n" + strings.Join(rows, ""))
	}
}

// TestEveryCommandHelps: what people read when they are stuck is there.
func TestEveryCommandHelps(t *testing.T) {
	t.Parallel()
	var visit func(cmd *cobra.Command)
	visit = func(cmd *cobra.Command) {
		for _, sub := range cmd.Commands() {
			visit(sub)
		}
		generated := cmd.Name() == "completion" || cmd.HasParent() && cmd.Parent().Name() == "completion" || cmd.Name() == "help"
		if generated {
			return
		}
		if cmd.Short == "" || strings.HasSuffix(cmd.Short, ".") {
			t.Errorf("%s has the summary %q", cmd.CommandPath(), cmd.Short)
		}
		if !cmd.HasSubCommands() && cmd.Example == "" {
			t.Errorf("%s has no example", cmd.CommandPath())
		}
		for _, line := range strings.Split(cmd.Long, "\n") {
			if len(line) > 90 && !strings.HasPrefix(line, "Columns:") {
				t.Errorf("%s: a line of its help is %d characters long: %s", cmd.CommandPath(), len(line), line)
			}
		}
	}
	visit(testRoot())
}

// TestCompletion asks as a shell does, for values of the site too.
func TestCompletion(t *testing.T) {
	t.Parallel()
	f := setup(t)
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if out, errOut, code := f.call("completion", shell); code != 0 || len(out) < 1000 {
			t.Errorf("completion for %s: %d bytes, exit %d, %s", shell, len(out), code, errOut)
		}
	}
	for line, want := range map[string]string{
		"device show we":                                "web1\tlinux Debian 12 active",
		"device show web1 --class Inst":                 "InstalledSoftware\t",
		"client-setting edit Def":                       "Default client settings\tdefault",
		"client-setting edit default --set heartbeat.i": "heartbeat.interval=\t",
		"administrator create x --role read":            "read-only-analyst\t",
		"device list --sort se":                         "seen_at",
		"device list -o js":                             "json",
		"de":                                            "device\t",
	} {
		out, errOut, code := f.call(append([]string{"__complete"}, strings.Fields(line)...)...)
		if code != 0 || !strings.Contains("\n"+out, "\n"+want) {
			t.Errorf("%q completes to %q (%s), want %q among them", line, out, errOut, want)
		}
	}
}
