package apiv1

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"
)

const referenceHead = `<!-- Written by 'go test ./role/provider/apiv1 -run Reference -update'. -->
# The administration API

Every provider serves it over TLS at ` + "`https://HOST:9443/api/v1`" + `, and on the local socket of its machine. The whole of it, with every type, is in
[role/provider/apiv1/openapi.json](../../role/provider/apiv1/openapi.json) (OpenAPI 3.1), which the provider also shows at ` + "`/api/v1/openapi.json`" + ` to those who have signed in.

## Signing in

` + "`POST /session`" + ` with name and password, or with a one-time code, gives a token to be sent as ` + "`Authorization: Bearer …`" + `, or to browsers (kind ` + "`browser`" + `) a cookie. A session
ends after eight hours without use and after seven days in any case. On the local socket the operating system says who calls. Whoever is not signed in gets 401 everywhere.

## Problems

Every error is ` + "`application/problem+json`" + ` with a ` + "`code`" + ` that never changes its meaning:

| Code | Status | Meaning |
|---|---|---|
`

const referenceRest = `
## Lists

Lists take ` + "`filter`, `sort`, `cursor`, `limit`" + ` (1 to 1000, 100 when nothing is said) and ` + "`count`" + `; they answer ` + "`items`" + `, ` + "`next`" + ` (the cursor of the next page) and, where count was
asked for, ` + "`total`" + `. A filter is a list of conditions joined by ` + "`and`" + `: ` + "`name~web and blocked=false and seen_at<7d`" + `. Operators are ` + "`= != ~ !~ < <= > >=`" + `, where ` + "`~`" + ` means
contains; several values with commas mean any of them; values with spaces stand in quotation marks; a time is a date, an RFC 3339 time, or an age, which means that long
ago; ` + "`none`" + ` is an empty column.

## Changes

` + "`GET /events`" + ` is a stream of server-sent events that names what changed, so that a page that shows something reads it again. Nothing is told of what happened while the stream
was away: read everything again after each ` + "`ready`" + `.

## Operations
`

// TestReference compares docs/reference/api.md with the operations.
func TestReference(t *testing.T) {
	t.Parallel()
	api, _ := newAPI(t)
	var b bytes.Buffer
	b.WriteString(referenceHead)
	codes := []string{}
	for status, kind := range statusCodes {
		codes = append(codes, fmt.Sprintf("| `%s` | %d | %s |\n", kind.code, status, kind.title))
	}
	for _, kind := range problemKinds {
		codes = append(codes, fmt.Sprintf("| `%s` | %d | %s |\n", kind.code, kind.status, kind.title))
	}
	sort.Strings(codes)
	for i, line := range codes {
		if i == 0 || line != codes[i-1] {
			b.WriteString(line)
		}
	}
	b.WriteString(referenceRest)
	byTag := map[string][]string{}
	for path, item := range api.huma.OpenAPI().Paths {
		for _, op := range []*huma.Operation{item.Get, item.Post, item.Put, item.Patch, item.Delete} {
			if op == nil {
				continue
			}
			line := fmt.Sprintf("| `%s` | `%s` | %s | %s |\n", path, op.Method, op.Summary, op.Extensions["x-permission"])
			byTag[op.Tags[0]] = append(byTag[op.Tags[0]], line)
		}
	}
	tags := []string{}
	for tag := range byTag {
		tags = append(tags, tag)
	}
	sort.Strings(tags)
	for _, tag := range tags {
		sort.Strings(byTag[tag])
		fmt.Fprintf(&b, "\n### %s\n\n| Path | Method | What it does | Permission |\n|---|---|---|---|\n%s", tag, strings.Join(byTag[tag], ""))
	}
	file := filepath.Join("..", "..", "..", "docs", "reference", "api.md")
	if *update {
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
		t.Error("docs/reference/api.md is not what the operations say; run 'go test ./role/provider/apiv1 -run Reference -update' and look at the difference")
	}
}
