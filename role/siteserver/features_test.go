package siteserver

import (
	"testing"
	"time"

	"mainstay/wire"
)

func TestEveryMessageTypeHasAFeature(t *testing.T) {
	t.Parallel()
	handlers := (&SiteServer{c: Config{Now: time.Now}}).handlers()
	types := wire.MessageTypes()
	for name := range types {
		if handlers[name] == nil {
			t.Errorf("no feature takes messages of type %q", name)
		}
	}
	for name := range handlers {
		if types[name] == nil {
			t.Errorf("wire knows no messages of type %q", name)
		}
	}
}
