package machine

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// source is a place that the running system installs packages from.
type source struct {
	uri     string
	suites  []string
	keyring string // file; empty: the default
}

// readSources reads the sources of a system whose configuration of apt is in
// folder, normally /etc/apt.
func readSources(folder string) ([]source, error) {
	var found []source
	patterns := []struct {
		glob  string
		parse func(content string) []source
	}{
		{"sources.list", parseLines},
		{"sources.list.d/*.list", parseLines},
		{"sources.list.d/*.sources", parseStanzas},
	}
	for _, p := range patterns {
		files, err := filepath.Glob(filepath.Join(folder, p.glob))
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			content, err := os.ReadFile(file)
			if err != nil {
				return nil, err
			}
			found = append(found, p.parse(string(content))...)
		}
	}
	return found, nil
}

// parseLines reads the older form: deb [option=value ...] uri suite component...
func parseLines(content string) []source {
	var found []source
	for line := range strings.Lines(content) {
		line, _, _ = strings.Cut(line, "#")
		fields := strings.Fields(line)
		if len(fields) == 0 || fields[0] != "deb" {
			continue
		}
		fields = fields[1:]
		var s source
		if len(fields) > 0 && strings.HasPrefix(fields[0], "[") {
			end := slices.IndexFunc(fields, func(f string) bool { return strings.HasSuffix(f, "]") })
			if end < 0 {
				continue
			}
			s.keyring = signedBy(fields[:end+1])
			fields = fields[end+1:]
		}
		if len(fields) < 2 {
			continue
		}
		s.uri, s.suites = fields[0], fields[1:2]
		found = append(found, s)
	}
	return found
}

func signedBy(options []string) string {
	for _, option := range options {
		if value, ok := strings.CutPrefix(strings.Trim(option, "[]"), "signed-by="); ok {
			return value
		}
	}
	return ""
}

// parseStanzas reads the newer form: fields, stanzas separated by empty lines.
func parseStanzas(content string) []source {
	var found []source
	fields := map[string]string{}
	last := ""
	end := func() {
		if slices.Contains(strings.Fields(fields["types"]), "deb") && !strings.EqualFold(fields["enabled"], "no") {
			for _, uri := range strings.Fields(fields["uris"]) {
				s := source{uri: uri, suites: strings.Fields(fields["suites"])}
				// A key may also stand in the field itself.
				if key := fields["signed-by"]; strings.HasPrefix(key, "/") {
					s.keyring = strings.Fields(key)[0]
				}
				found = append(found, s)
			}
		}
		clear(fields)
	}
	scanner := bufio.NewScanner(strings.NewReader(content))
	for scanner.Scan() {
		line := scanner.Text()
		switch {
		case strings.HasPrefix(line, "#"):
		case strings.TrimSpace(line) == "":
			end()
		case line[0] == ' ' || line[0] == '\t':
			fields[last] += "\n" + strings.TrimSpace(line)
		default:
			name, value, _ := strings.Cut(line, ":")
			last = strings.ToLower(strings.TrimSpace(name))
			fields[last] = strings.TrimSpace(value)
		}
	}
	end()
	return found
}

// mirrorFor picks the source that has a suite's base packages.
func mirrorFor(sources []source, suite string) (source, error) {
	for _, s := range sources {
		if !slices.Contains(s.suites, suite) {
			continue
		}
		if list, ok := strings.CutPrefix(s.uri, "mirror+file:"); ok {
			uri, err := firstLine(list)
			if err != nil {
				return source{}, err
			}
			s.uri = uri
		}
		switch scheme, _, _ := strings.Cut(s.uri, ":"); scheme {
		case "http", "https", "file":
			return s, nil
		}
	}
	return source{}, fmt.Errorf("apt has no source for the suite %q that can be fetched from (http, https or file)", suite)
}

// firstLine reads a list of mirrors, best first.
func firstLine(file string) (string, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(content)) {
		if fields := strings.Fields(line); len(fields) > 0 && !strings.HasPrefix(line, "#") {
			return fields[0], nil
		}
	}
	return "", fmt.Errorf("%s lists no mirror", file)
}

// release reads a field of a system's description, normally /etc/os-release.
func release(file, field string) (string, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(content)) {
		if value, ok := strings.CutPrefix(line, field+"="); ok {
			if value = strings.Trim(strings.TrimSpace(value), `"'`); value != "" {
				return value, nil
			}
		}
	}
	return "", errors.New(file + " does not tell " + field)
}
