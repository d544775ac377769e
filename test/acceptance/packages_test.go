package acceptance

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// buildPackages makes the client's packages, .deb and .rpm for this machine's
// architecture, in a folder, with the program as it is released.
func buildPackages(t testing.TB, out string) {
	t.Helper()
	module, err := exec.Command("go", "env", "GOMOD").Output()
	must(t, err)
	root, programs := filepath.Dir(strings.TrimSpace(string(module))), t.TempDir()
	for _, step := range [][]string{
		{"go", "build", "-trimpath", "-ldflags", "-s -w", "-o", programs + "/", "./cmd/mainstay-client"},
		{"go", "-C", "packaging", "run", "./build", "-what", "client", "-arch", runtime.GOARCH, "-format", "deb,rpm",
			"-version", "1.0.0", "-mtime", "1700000000", "-binaries", programs, "-out", out},
	} {
		cmd := exec.Command(step[0], step[1:]...)
		cmd.Dir, cmd.Env = root, append(os.Environ(), "CGO_ENABLED=0")
		if output, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", strings.Join(step, " "), err, output)
		}
	}
}
