package machine

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTheMirrorIsThatOfApt(t *testing.T) {
	t.Parallel()
	mirrors := filepath.Join(t.TempDir(), "mirrors")
	if err := os.WriteFile(mirrors, []byte("# best first\nhttps://mirror.test/debian\thttps\nhttps://second.test/debian\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		name  string
		files map[string]string
		want  source // with the suite bookworm alone; empty: refused
	}{
		{"one line", map[string]string{"sources.list": `
# deb http://commented.test/debian bookworm main
deb-src http://sources.test/debian bookworm main
deb cdrom:[Debian 12] bookworm main
deb http://security.test/debian bookworm-security main
deb http://mirror.test/debian bookworm main contrib # the one
`}, source{uri: "http://mirror.test/debian"}},
		{"one line with options", map[string]string{"sources.list.d/debian.list": `deb [ arch=amd64 signed-by=/usr/share/keyrings/k.gpg ] http://mirror.test/debian bookworm main`},
			source{uri: "http://mirror.test/debian", keyring: "/usr/share/keyrings/k.gpg"}},
		{"one line with tight options", map[string]string{"sources.list": `deb [signed-by=/k.gpg] https://mirror.test/debian bookworm main`},
			source{uri: "https://mirror.test/debian", keyring: "/k.gpg"}},
		{"stanzas", map[string]string{"sources.list.d/debian.sources": `Types: deb
URIs: http://security.test/debian
Suites: bookworm-security
Components: main

Types: deb-src
URIs: http://sources.test/debian
Suites: bookworm

Enabled: no
Types: deb
URIs: http://disabled.test/debian
Suites: bookworm

# a comment
Types: deb deb-src
URIs: http://mirror.test/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/k.gpg
`}, source{uri: "http://mirror.test/debian", keyring: "/usr/share/keyrings/k.gpg"}},
		{"a key in the stanza", map[string]string{"sources.list.d/debian.sources": `Types: deb
URIs: http://mirror.test/debian
Suites: bookworm
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 -----END PGP PUBLIC KEY BLOCK-----
`}, source{uri: "http://mirror.test/debian"}},
		{"a list of mirrors", map[string]string{"sources.list": "deb mirror+file:" + mirrors + " bookworm main"},
			source{uri: "https://mirror.test/debian"}},
		{"another release only", map[string]string{"sources.list": "deb http://mirror.test/debian trixie main"}, source{}},
		{"nothing", nil, source{}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			folder := t.TempDir()
			for name, content := range c.files {
				path := filepath.Join(folder, name)
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			sources, err := readSources(folder)
			if err != nil {
				t.Fatal(err)
			}
			got, err := mirrorFor(sources, "bookworm")
			if (err == nil) != (c.want.uri != "") {
				t.Fatalf("got %+v and the error %v, want %+v", got, err, c.want)
			}
			got.suites = nil
			if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(source{})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
