package provider

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/fstest"
)

// TestFilesTravelCompressed asks as a browser does; Go's own client would
// unpack without a word.
func TestFilesTravelCompressed(t *testing.T) {
	t.Parallel()
	script := []byte(strings.Repeat("export const answer = 42;\n", 200))
	picture := bytes.Repeat([]byte{0x89, 'P', 'N', 'G'}, 1000)
	index := bytes.Repeat([]byte("<p>"), 1000)
	f := setup(t, func(c *Config) {
		c.Console = fstest.MapFS{
			"index.html":          {Data: index},
			"assets/app-1a2b.js":  {Data: script},
			"assets/tiny-3c4d.js": {Data: []byte("run()")},
			"assets/a-5e6f.png":   {Data: picture},
		}
	})
	for _, c := range []struct {
		name, path, accept string
		zipped             bool
		want               []byte
	}{
		{"a script", "/assets/app-1a2b.js", "br, gzip", true, script},
		{"with a weight", "/assets/app-1a2b.js", "gzip; q=0.8, *;q=0.1", true, script},
		{"refused", "/assets/app-1a2b.js", "gzip; q=0.0, identity", false, script},
		{"not asked for", "/assets/app-1a2b.js", "identity", false, script},
		{"too small", "/assets/tiny-3c4d.js", "gzip", false, []byte("run()")},
		{"a picture", "/assets/a-5e6f.png", "gzip", false, picture},
		{"a page", "/", "gzip", false, index},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			answer := f.send(http.MethodGet, c.path, http.Header{"Accept-Encoding": {c.accept}}, nil)
			body := answer.body
			if zipped := answer.header.Get("Content-Encoding") == "gzip"; zipped != c.zipped {
				t.Fatalf("compressed: %v, want %v", zipped, c.zipped)
			}
			if c.zipped {
				unzip, err := gzip.NewReader(bytes.NewReader(body))
				if err != nil {
					t.Fatal(err)
				}
				if body, err = io.ReadAll(unzip); err != nil {
					t.Fatal(err)
				}
				if answer.header.Get("Vary") != "Accept-Encoding" || len(answer.body) >= len(c.want) {
					t.Errorf("%d bytes of %d, Vary %q", len(answer.body), len(c.want), answer.header.Get("Vary"))
				}
			}
			if !bytes.Equal(body, c.want) {
				t.Errorf("got %d bytes, want %d", len(body), len(c.want))
			}
		})
	}
}
