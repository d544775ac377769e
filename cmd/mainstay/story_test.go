package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestStories runs the commands in testdata/*.txt, each file in a site of its
// own, and compares what they print. Lines of a file:
//
//	# a remark
//	$ mainstay device list   a command; what it printed follows: lines of the
//	                         output, "! " before those of the error output,
//	                         and the exit code in brackets unless it is 0
//	> yes                    right after a command: what the user answers
func TestStories(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no stories: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := setup(t).tell(string(want))
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			compareStories(t, got, string(want))
		})
	}
}

// tell runs the commands of a story and writes it anew.
func (f *fixture) tell(story string) string {
	f.Helper()
	var b strings.Builder
	lines := strings.Split(story, "\n")
	for i, line := range lines {
		switch {
		case strings.HasPrefix(line, "#"):
			fmt.Fprintln(&b, line)
		case strings.HasPrefix(line, "$ mainstay"):
			fmt.Fprintln(&b, line)
			f.answers = nil
			for _, answer := range lines[i+1:] {
				if !strings.HasPrefix(answer, "> ") {
					break
				}
				f.answers = append(f.answers, strings.TrimPrefix(answer, "> "))
				fmt.Fprintln(&b, answer)
			}
			command := strings.ReplaceAll(strings.TrimPrefix(line, "$ mainstay"), "https://127.0.0.1:PORT", f.address)
			out, errOut, code := f.call(words(f.T, command)...)
			b.WriteString(f.settled(out))
			for _, line := range strings.Split(strings.TrimSuffix(errOut, "\n"), "\n") {
				if errOut != "" {
					fmt.Fprintln(&b, strings.TrimRight("! "+f.settled(line), " "))
				}
			}
			if code != 0 {
				fmt.Fprintf(&b, "[%d]\n", code)
			}
			b.WriteByte('\n')
		}
	}
	return strings.TrimRight(b.String(), "\n") + "\n"
}

// words splits a command line; a word with spaces stands in single quotation
// marks.
func words(t *testing.T, line string) []string {
	t.Helper()
	found := []string{}
	for i, part := range strings.Split(line, "'") {
		if i%2 == 1 {
			found = append(found, part)
			continue
		}
		found = append(found, strings.Fields(part)...)
	}
	if strings.Count(line, "'")%2 == 1 {
		t.Fatalf("a quotation mark is never closed: %s", line)
	}
	return found
}

func compareStories(t *testing.T, got, want string) {
	t.Helper()
	a, b := strings.Split(got, "\n"), strings.Split(want, "\n")
	command := ""
	for i := range max(len(a), len(b)) {
		var have, expect string
		if i < len(a) {
			have = a[i]
		}
		if i < len(b) {
			expect = b[i]
		}
		if strings.HasPrefix(expect, "$ ") {
			command = expect
		}
		if have != expect {
			t.Errorf("line %d, after %s\n got: %s\nwant: %s\n(after a wanted change: go test ./cmd/mainstay -run Stories -update)", i+1, command, have, expect)
			return
		}
	}
}
