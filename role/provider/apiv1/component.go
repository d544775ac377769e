package apiv1

import (
	"context"
	"net/http"
	"time"

	"mainstay/lib/fault"
	"mainstay/site/access"
)

// Component is a part of the site server, as its last pass left it.
type Component struct {
	Name       string     `json:"name"`
	System     string     `json:"system" doc:"identifier of the site system where it runs"`
	State      string     `json:"state"`
	StateSince time.Time  `json:"state_since"`
	Detail     string     `json:"detail,omitempty" doc:"what it did, or why it failed"`
	PassAt     *time.Time `json:"pass_at,omitempty" doc:"when its last pass ended"`
	PassMillis float64    `json:"pass_ms" doc:"how long that took, in milliseconds"`
	Passes     int64      `json:"passes"`
	Failures   int64      `json:"failures"`
}

func registerComponents(a *API) {
	register(a, operation{
		method: http.MethodGet, path: "/components", id: "list-components", tag: "component", permission: access.SiteRead,
		summary: "List the components of the site server with their last pass",
	}, a.listComponents)
}

func (a *API) listComponents(ctx context.Context, caller access.Caller, _ *Empty) (*output[Page[Component]], error) {
	return nil, fault.New(fault.Unavailable, "not yet")
}
