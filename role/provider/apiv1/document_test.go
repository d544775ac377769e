package apiv1

import (
	"bytes"
	"os"
	"testing"
)

// TestDocumentIsCommitted compares the OpenAPI document with the committed one,
// from which command and console are generated.
func TestDocumentIsCommitted(t *testing.T) {
	t.Parallel()
	api, _ := newAPI(t)
	got, err := api.Document()
	if err != nil {
		t.Fatal(err)
	}
	const file = "openapi.json"
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("the API is not what %s says; look at 'git diff' after 'go test ./role/provider/apiv1 -run Document -update' and then 'go generate ./adminapi'", file)
	}
}
