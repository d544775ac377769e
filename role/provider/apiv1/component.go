package apiv1

import (
	"context"
	"net/http"
	"time"

	"mainstay/site/access"
	"mainstay/site/sitedb"
	"mainstay/site/status"
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
	body, err := read(ctx, a, func(tx *sitedb.Tx) (Page[Component], error) {
		items, err := components(ctx, tx, caller.Scope(access.SiteRead))
		return Page[Component]{Items: items}, err
	})
	return answer(body), err
}

func components(ctx context.Context, tx *sitedb.Tx, scope access.Scope) ([]Component, error) {
	items := []Component{}
	if !scope.SeesAll() {
		return items, nil
	}
	rows, err := status.Components(ctx, tx)
	for _, c := range rows {
		items = append(items, Component{
			Name: c.Name, System: c.System, State: c.State, StateSince: at(c.StateSince), Detail: c.Detail,
			PassAt: known(c.PassAt), PassMillis: float64(c.PassMicros) / 1000, Passes: c.Passes, Failures: c.Failures,
		})
	}
	return items, err
}
