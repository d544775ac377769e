package adminapi

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestClientIsMadeFromTheDocument makes the client once more and compares.
func TestClientIsMadeFromTheDocument(t *testing.T) {
	t.Parallel()
	config, err := os.ReadFile("oapi-codegen.yaml")
	if err != nil {
		t.Fatal(err)
	}
	const file = "adminapi.gen.go"
	again := filepath.Join(t.TempDir(), file)
	elsewhere := strings.Replace(string(config), "output: "+file, "output: "+again, 1)
	if elsewhere == string(config) {
		t.Fatalf("oapi-codegen.yaml does not name %s", file)
	}
	path := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(path, []byte(elsewhere), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), "go", "tool", "oapi-codegen", "-config", path, "../role/provider/apiv1/openapi.json").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	want, err := os.ReadFile(again)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not what the committed document gives; run 'go generate ./adminapi'", file)
	}
}
