//go:build console

package console

import (
	"embed"
	"io/fs"
)

//go:embed all:dist
var dist embed.FS

// Files returns the console's files with index.html at the root, and true.
// Every path that is no file is a page: it gets index.html, whose script reads
// the path. Files below assets/ have a hash in their name and never change.
func Files() (fs.FS, bool) {
	files, err := fs.Sub(dist, "dist")
	return files, err == nil
}
