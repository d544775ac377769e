//go:build console

package console_test

import (
	"io/fs"
	"regexp"
	"strings"
	"testing"

	"mainstay/console"
)

var address = regexp.MustCompile(`(?:src|href)="/([^"]+)"`)

// TestFiles checks that what is embedded is a whole console: both pages, and
// every file that they name.
func TestFiles(t *testing.T) {
	t.Parallel()
	files, ok := console.Files()
	if !ok {
		t.Fatal("built with the tag console and without a console")
	}
	for _, page := range []string{"index.html", "sign-in.html"} {
		text, err := fs.ReadFile(files, page)
		if err != nil {
			t.Fatal(err)
		}
		named := address.FindAllStringSubmatch(string(text), -1)
		if len(named) < 3 {
			t.Errorf("%s names %d files; a page needs a script, a style sheet and an icon", page, len(named))
		}
		for _, name := range named {
			if _, err := fs.Stat(files, strings.TrimPrefix(name[1], "/")); err != nil {
				t.Errorf("%s names a file that is not embedded: %v", page, err)
			}
		}
	}
	if _, err := fs.Stat(files, "third-party-licenses.txt"); err != nil {
		t.Error(err)
	}
}
