package mainstay_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write "+dependenciesFile+" again")

// dependenciesFile is the reviewed list of what each program carries.
const dependenciesFile = "docs/reference/dependencies.txt"

// programs are the programs with the build tags that they are released with.
var programs = []struct{ name, tags string }{
	{"mainstay", "console"},
	{"mainstay-client", ""},
	{"mainstay-fleet", ""},
}

// allowedLicences are those that may be linked into a program.
var allowedLicences = []string{"Apache-2.0", "BSD", "ISC", "MIT"}

// TestDependencies compares the third-party modules of each program with the
// list in dependenciesFile, so that a new one is seen in review, and looks at
// the licence of each.
func TestDependencies(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	text.WriteString("# Third-party modules in each program, with their licences. Written by\n" +
		"#   go test -run TestDependencies -update .\n" +
		"# A new line needs a reason: what it saves, what it drags in, what happens if it is given up.\n")
	for _, program := range programs {
		if _, err := os.Stat("cmd/" + program.name); errors.Is(err, os.ErrNotExist) {
			t.Errorf("cmd/%s does not exist", program.name)
			continue
		}
		modules, err := linkedModules("./cmd/"+program.name, program.tags)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&text, "\n%s\n", program.name)
		for _, linked := range modules {
			licences, err := licencesIn(linked.Dir)
			if err != nil {
				t.Fatalf("cannot read the licence of %s: %v", linked.Path, err)
			}
			if len(licences) == 0 || !slices.ContainsFunc(licences, func(l string) bool { return slices.Contains(allowedLicences, l) }) {
				t.Errorf("%s carries %s under the licence %q\n\twhy: our programs may be passed on under Apache-2.0, so only %s may be linked in",
					program.name, linked.Path, licences, strings.Join(allowedLicences, ", "))
			}
			fmt.Fprintf(&text, "  %-48s %s\n", linked.Path, strings.Join(licences, ", "))
		}
	}

	if *update {
		if err := os.MkdirAll(filepath.Dir(dependenciesFile), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(dependenciesFile, []byte(text.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(dependenciesFile)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range missingLines(text.String(), string(want)) {
		t.Errorf("a program carries a module that is not in %s: %s\n\twhy: each one is code that we answer for; when it is wanted, run 'go test -run TestDependencies -update .' and say why in the commit", dependenciesFile, line)
	}
	for _, line := range missingLines(string(want), text.String()) {
		t.Errorf("%s names a module that is not carried: %s\n\twhy: a list that is not true is not read; run 'go test -run TestDependencies -update .'", dependenciesFile, line)
	}
}

// missingLines are the lines of one text, each under its program's name, that
// the other does not have.
func missingLines(has, lacks string) []string {
	known := map[string]bool{}
	for _, line := range underHeadings(lacks) {
		known[line] = true
	}
	return slices.DeleteFunc(underHeadings(has), func(line string) bool { return known[line] })
}

// underHeadings is each indented line with the heading above it.
func underHeadings(text string) []string {
	var lines []string
	heading := ""
	for line := range strings.Lines(text) {
		switch line = strings.TrimRight(line, "\n"); {
		case strings.HasPrefix(line, "  "):
			lines = append(lines, heading+": "+strings.Join(strings.Fields(line), " "))
		case line != "" && !strings.HasPrefix(line, "#"):
			heading = line
		}
	}
	return lines
}

// linkedModule is what the go command tells about a module.
type linkedModule struct{ Path, Dir string }

// linkedModules are the third-party modules of a program, in the order of
// their paths. It looks at the platform that the program is released for, and
// not at that of the test.
func linkedModules(program, tags string) ([]linkedModule, error) {
	list := exec.Command("go", "list", "-deps", "-tags", tags, "-json=Module", program)
	list.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
	var stderr bytes.Buffer
	list.Stderr = &stderr
	out, err := list.Output()
	if err != nil {
		return nil, fmt.Errorf("cannot list what %s carries: %w\n%s", program, err, stderr.String())
	}

	seen := map[string]linkedModule{}
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var pkg struct{ Module *linkedModule }
		if err := decoder.Decode(&pkg); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, fmt.Errorf("cannot read what go list says about %s: %w", program, err)
		}
		if pkg.Module != nil && pkg.Module.Path != module {
			seen[pkg.Module.Path] = *pkg.Module
		}
	}
	modules := make([]linkedModule, 0, len(seen))
	for _, m := range seen {
		modules = append(modules, m)
	}
	sort.Slice(modules, func(i, j int) bool { return modules[i].Path < modules[j].Path })
	return modules, nil
}

// licenceMarks are sentences by which a licence is known. Licences that we do
// not allow are named too, so that the failing test can say what it found.
var licenceMarks = []struct{ name, sentence string }{
	{"AGPL", "GNU AFFERO GENERAL PUBLIC LICENSE"},
	{"GPL", "GNU GENERAL PUBLIC LICENSE"},
	{"LGPL", "GNU LESSER GENERAL PUBLIC LICENSE"},
	{"MPL", "Mozilla Public License"},
	{"BUSL", "Business Source License"},
	{"Unlicense", "This is free and unencumbered software released into the public domain"},
	{"Apache-2.0", "Apache License Version 2.0"},
	{"Apache-2.0", "Licensed under the Apache License, Version 2.0"},
	{"MIT", "Permission is hereby granted, free of charge, to any person obtaining a copy"},
	{"ISC", "Permission to use, copy, modify, and/or distribute this software for any purpose"},
	{"ISC", "Permission to use, copy, modify, and distribute this software for any purpose"},
	{"BSD", "Redistribution and use in source and binary forms, with or without modification"},
}

// licencesIn are the licences that the files of a module's folder state for
// the module itself, not for what it was made from.
func licencesIn(folder string) ([]string, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, err
	}
	var found []string
	for _, entry := range entries {
		name := strings.ToUpper(entry.Name())
		isLicence := strings.Contains(name, "LICENSE") || strings.Contains(name, "LICENCE") || strings.HasPrefix(name, "COPYING")
		if entry.IsDir() || !isLicence || strings.Contains(name, "3RD-PARTY") {
			continue
		}
		text, err := os.ReadFile(filepath.Join(folder, entry.Name()))
		if err != nil {
			return nil, err
		}
		plain := strings.ToLower(strings.Join(strings.Fields(string(text)), " "))
		for _, mark := range licenceMarks {
			if strings.Contains(plain, strings.ToLower(mark.sentence)) && !slices.Contains(found, mark.name) {
				found = append(found, mark.name)
			}
		}
	}
	slices.Sort(found)
	return found, nil
}

func TestMissingLines(t *testing.T) {
	t.Parallel()
	const list = "# words\n\nmainstay\n  example.org/a   MIT\n  example.org/b   BSD\n\nmainstay-client\n  example.org/a   MIT\n"
	for _, test := range []struct {
		name, has, lacks string
		want             []string
	}{
		{"the same", list, list, nil},
		{"other spaces", strings.ReplaceAll(list, "   ", " "), list, nil},
		{"one more", list + "  example.org/b BSD\n", list, []string{"mainstay-client: example.org/b BSD"}},
		{"another licence", strings.Replace(list, "BSD", "GPL", 1), list, []string{"mainstay: example.org/b GPL"}},
		{"all", list, "", []string{"mainstay: example.org/a MIT", "mainstay: example.org/b BSD", "mainstay-client: example.org/a MIT"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := missingLines(test.has, test.lacks); !slices.Equal(got, test.want) {
				t.Errorf("missingLines() = %q, want %q", got, test.want)
			}
		})
	}
}

func TestLicences(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, file, text string
		want             []string
	}{
		{"ours", "LICENSE", "Apache License\n     Version 2.0, January 2004", []string{"Apache-2.0"}},
		{"broken lines", "LICENSE.md", "Permission is hereby granted,\nfree of charge, to any person obtaining\na copy", []string{"MIT"}},
		{"not allowed", "COPYING", "GNU General Public License", []string{"GPL"}},
		{"two", "licence.txt", "Mozilla Public License ... Redistribution and use in source and binary forms, with or without modification", []string{"BSD", "MPL"}},
		{"of what it was made from", "LICENSE-3RD-PARTY.md", "GNU General Public License", nil},
		{"no licence", "README", "Mozilla Public License", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			folder := t.TempDir()
			if err := os.WriteFile(filepath.Join(folder, test.file), []byte(test.text), 0o600); err != nil {
				t.Fatal(err)
			}
			got, err := licencesIn(folder)
			if err != nil || !slices.Equal(got, test.want) {
				t.Errorf("licencesIn() = %q, %v, want %q", got, err, test.want)
			}
		})
	}
}
