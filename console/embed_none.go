//go:build !console

package console

import "io/fs"

// Files returns false: this program was built without the console. Build with
// -tags console, after 'npm run build', to have it.
func Files() (fs.FS, bool) { return nil, false }
