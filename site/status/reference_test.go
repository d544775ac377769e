package status

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var updateReference = flag.Bool("update", false, "write the reference again")

func TestReferenceListsTheCatalogue(t *testing.T) {
	t.Parallel()
	const path = "../../docs/reference/status-messages.md"
	var want strings.Builder
	want.WriteString("# Status messages\n\nAn identifier never changes its meaning. `mainstay status-message list` shows what was reported.\n\n| Id | Severity | Component | Text |\n|---|---|---|---|\n")
	for _, e := range Catalogue() {
		fmt.Fprintf(&want, "| %d | %s | %s | %s |\n", e.ID, e.Severity, e.Component, e.Text)
	}
	if *updateReference {
		if err := os.WriteFile(path, []byte(want.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != want.String() {
		t.Errorf("docs/reference/status-messages.md is not the catalogue; run go test ./site/status -run Reference -update (%v)", err)
	}
}
