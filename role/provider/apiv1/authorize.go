package apiv1

import (
	"context"
	"encoding/json"
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"mainstay/site/access"
	"mainstay/site/sitedb"
)

var typeOfProblem = reflect.TypeFor[Problem]()

type contextKey int

const (
	callerKey contextKey = iota
	requestKey
)

// WithCaller gives a request its caller, whom the provider has identified.
func WithCaller(ctx context.Context, caller access.Caller) context.Context {
	return context.WithValue(ctx, callerKey, caller)
}

// CallerOf is the caller of a request; nobody when it has none.
func CallerOf(ctx context.Context) access.Caller {
	caller, _ := ctx.Value(callerKey).(access.Caller)
	return caller
}

// WithRequestID gives a request an identifier for the log.
func WithRequestID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, requestKey, id)
}

// RequestID is the identifier of a request.
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestKey).(string)
	return id
}

// IsOpen tells whether a request needs no session: signing in alone.
func IsOpen(r *http.Request) bool {
	return r.Method == http.MethodPost && r.URL.Path == Prefix+"/session"
}

// authorize lets a request through only when its caller has the permission
// that the operation declares. Nothing was read of the body yet.
func (a *API) authorize(ctx huma.Context, next func(huma.Context)) {
	op := ctx.Operation()
	permission, _ := op.Metadata[metadataPermission].(access.Permission)
	caller := CallerOf(ctx.Context())
	switch {
	case permission == permissionOpen:
	case caller.IsZero():
		writeProblem(ctx, Unauthorized())
		return
	case permission == permissionSignedIn:
	default:
		if err := caller.Require(permission); err != nil {
			action, _ := op.Metadata[metadataAction].(string)
			a.denied(ctx, caller, action, err)
			return
		}
	}
	next(ctx)
}

// Unauthorized is the answer to everybody who is not signed in, whatever they
// ask for.
func Unauthorized() *Problem {
	return NewProblem(http.StatusUnauthorized, "sign in, or sign in again: there is no session or it has ended")
}

// denied answers a caller without the permission, and records the attempt.
func (a *API) denied(ctx huma.Context, caller access.Caller, action string, refusal error) {
	err := a.c.DB.Write(ctx.Context(), func(tx *sitedb.Tx) error {
		return access.Record(ctx.Context(), tx, caller, access.Entry{
			Action: action, ObjectType: ctx.Operation().Tags[0], ObjectID: ctx.Param("id"), Outcome: access.OutcomeDenied,
		}, a.c.Now())
	})
	if err == nil {
		err = refusal
	}
	writeProblem(ctx, ProblemOf(ctx.Context(), err))
}

func writeProblem(ctx huma.Context, p *Problem) {
	for name, values := range p.header {
		for _, value := range values {
			ctx.AppendHeader(name, value)
		}
	}
	ctx.SetHeader("Content-Type", problemType)
	ctx.SetStatus(p.Status)
	// The client may be gone; there is nobody to tell.
	_ = json.NewEncoder(ctx.BodyWriter()).Encode(p)
}
