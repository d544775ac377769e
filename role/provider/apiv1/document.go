package apiv1

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"mainstay/site/access"
)

func registerDocument(a *API) {
	register(a, operation{
		method: http.MethodGet, path: "/openapi.json", id: "get-openapi", tag: "api", permission: permissionSignedIn,
		summary: "Show the OpenAPI document of this API",
	}, a.document)
}

func (a *API) document(context.Context, access.Caller, *Empty) (*huma.StreamResponse, error) {
	data, err := a.Document()
	return &huma.StreamResponse{Body: func(ctx huma.Context) {
		ctx.SetHeader("Content-Type", "application/json")
		// The client may be gone; there is nobody to tell.
		_, _ = ctx.BodyWriter().Write(data)
	}}, err
}
