//go:build !console

package console_test

import (
	"testing"

	"mainstay/console"
)

func TestNoFiles(t *testing.T) {
	t.Parallel()
	if files, ok := console.Files(); ok || files != nil {
		t.Error("a program that was built without the console has one")
	}
}
