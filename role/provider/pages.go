package provider

import (
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strings"

	"mainstay/role/provider/apiv1"
)

//go:embed pages
var ownPages embed.FS

// strictPolicy lets nothing run, load or frame; pages widen it to themselves.
const strictPolicy = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"

// noncePlaceholder in the console's index.html is replaced by a random value
// for each answer, which style elements that scripts make must carry.
const noncePlaceholder = "MAINSTAY_CSP_NONCE"

// pagePolicy is what a page of ours may do: load its own files and talk to its
// own provider. Nothing inline runs.
func pagePolicy(nonce string) string {
	style := "'self'"
	if nonce != "" {
		style += " 'nonce-" + nonce + "'"
	}
	return "default-src 'none'; script-src 'self'; style-src " + style + "; img-src 'self' data:; font-src 'self'; connect-src 'self'; " +
		"manifest-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
}

// pages serves the sign-in page and the console, or the page that stands in for
// it. All files are in memory.
type pages struct {
	files   map[string]page
	console bool
}

type page struct {
	data []byte
	// zipped is data compressed once; nil where that is not worth it.
	zipped      []byte
	contentType string
	etag        string
	// forever: the name changes with the content.
	forever bool
	isPage  bool
}

// rootPath is where the site's root certificate is, for those who pin the site
// and for browsers that are to trust it. It is no secret.
const rootPath = "site-root.pem"

func newPages(console fs.FS, root []byte) (*pages, error) {
	p := &pages{files: map[string]page{}}
	p.put(rootPath, root)
	own, err := fs.Sub(ownPages, "pages")
	if err != nil {
		return nil, fmt.Errorf("cannot read own pages: %w", err)
	}
	if err := p.load(own); err != nil {
		return nil, err
	}
	if console == nil {
		return p, nil
	}
	if err := p.load(console); err != nil {
		return nil, err
	}
	_, p.console = p.files["/index.html"]
	if !p.console {
		return nil, errors.New("the console has no index.html; build it with 'make console'")
	}
	return p, nil
}

func (p *pages) load(from fs.FS) error {
	return fs.WalkDir(from, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := fs.ReadFile(from, name)
		if err != nil {
			return fmt.Errorf("cannot read page %s: %w", name, err)
		}
		p.put(name, data)
		return nil
	})
}

func (p *pages) put(name string, data []byte) {
	kind := contentTypes[path.Ext(name)]
	if kind == "" {
		kind = http.DetectContentType(data)
	}
	sum := sha256.Sum256(data)
	p.files["/"+name] = page{
		data: data, zipped: zipped(data, kind), contentType: kind, etag: `W/"` + hex.EncodeToString(sum[:12]) + `"`,
		forever: strings.HasPrefix(name, "assets/"), isPage: path.Ext(name) == ".html",
	}
}

// contentTypes are ours and not the machine's, which may know none.
var contentTypes = map[string]string{
	".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8",
	".json": "application/json", ".svg": "image/svg+xml", ".png": "image/png", ".ico": "image/x-icon", ".woff2": "font/woff2",
	".pem": "application/x-pem-file", ".webmanifest": "application/manifest+json", ".map": "application/json", ".txt": "text/plain; charset=utf-8",
}

// smallestZipped is the size in bytes from which a file is compressed.
const smallestZipped = 1 << 10

// zipped compresses what is text; nil for what is not, or saves too little.
// Pages stay as they are: they are small, and may get a new nonce each time.
func zipped(data []byte, kind string) []byte {
	kind, _, _ = strings.Cut(kind, ";")
	text := strings.HasPrefix(kind, "text/") || kind == "application/json" || kind == "image/svg+xml"
	if !text || kind == "text/html" || len(data) < smallestZipped {
		return nil
	}
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return nil // the level exists
	}
	// A buffer in memory takes everything.
	_, _ = w.Write(data)
	if w.Close() != nil || out.Len() > len(data)*9/10 {
		return nil
	}
	return out.Bytes()
}

// takesZipped tells whether the browser reads gzip.
func takesZipped(r *http.Request) bool {
	for _, offer := range strings.Split(r.Header.Get("Accept-Encoding"), ",") {
		name, weight, _ := strings.Cut(strings.ReplaceAll(offer, " ", ""), ";")
		if strings.EqualFold(name, "gzip") {
			return strings.TrimRight(weight, "0.") != "q="
		}
	}
	return false
}

// ServeHTTP implements http.Handler.
func (p *pages) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		apiv1.NewProblem(http.StatusMethodNotAllowed, "pages are read with GET").Write(w)
		return
	}
	file, ok := p.find(r)
	if !ok {
		apiv1.NewProblem(http.StatusNotFound, "there is no such page").Write(w)
		return
	}
	file.serve(w, r)
}

// find finds the file of a path. A path of the console that is no file is one
// of its views, which its script shows.
func (p *pages) find(r *http.Request) (page, bool) {
	name := path.Clean(r.URL.Path)
	switch {
	case name == "/sign-in":
		name = "/sign-in.html"
	case name == "/" && !p.console:
		name = "/no-console.html"
	case name == "/":
		name = "/index.html"
	}
	if file, ok := p.files[name]; ok {
		return file, true
	}
	view := p.console && path.Ext(name) == "" && strings.Contains(r.Header.Get("Accept"), "text/html")
	return p.files["/index.html"], view
}

func (f page) serve(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Content-Type", f.contentType)
	data := f.data
	switch {
	case f.isPage:
		nonce := ""
		if bytes.Contains(data, []byte(noncePlaceholder)) {
			random := make([]byte, 16)
			rand.Read(random)
			nonce = base64.RawStdEncoding.EncodeToString(random)
			data = bytes.ReplaceAll(data, []byte(noncePlaceholder), []byte(nonce))
		}
		header.Set("Content-Security-Policy", pagePolicy(nonce))
		// A page names its files by content, so it must always be the newest.
		header.Set("Cache-Control", "no-store")
	case f.forever:
		header.Set("Cache-Control", "public, max-age=31536000, immutable")
	default:
		header.Set("Cache-Control", "no-cache")
		header.Set("ETag", f.etag)
		if r.Header.Get("If-None-Match") == f.etag {
			w.WriteHeader(http.StatusNotModified)
			return
		}
	}
	if f.zipped != nil {
		header.Set("Vary", "Accept-Encoding")
		if takesZipped(r) {
			header.Set("Content-Encoding", "gzip")
			data = f.zipped
		}
	}
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodHead {
		return
	}
	// The browser may be gone; there is nobody to tell.
	_, _ = w.Write(data)
}
