package api_test

import (
	"bytes"
	"flag"
	"os"
	"testing"

	"deltaledger/api"
)

var update = flag.Bool("update", false, "write openapi.json instead of comparing it")

// TestOpenAPIIsCurrent keeps openapi.json what the routes make. A difference is one that clients notice.
func TestOpenAPIIsCurrent(t *testing.T) {
	t.Parallel()
	made, err := api.OpenAPI("1")
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile("openapi.json", made, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	committed, err := os.ReadFile("openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(made, committed) {
		t.Error("openapi.json isn't what the routes make: run make generate, read the difference, and commit it")
	}
}
