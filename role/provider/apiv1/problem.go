package apiv1

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"mainstay/lib/fault"
	"mainstay/site/access"
)

// Codes of problems. They never change their meaning.
const (
	CodeInvalid      = "invalid"
	CodeUnauthorized = "unauthorized"
	CodeDenied       = "denied"
	CodeNotFound     = "not_found"
	CodeMethod       = "method_not_allowed"
	CodeConflict     = "conflict"
	CodeStale        = "stale"
	CodeTooLarge     = "too_large"
	CodeMediaType    = "media_type"
	CodeTooMany      = "too_many"
	CodeUnavailable  = "unavailable"
	CodeInternal     = "internal"
)

// Problem is every error of the API (RFC 9457).
type Problem struct {
	Type   string `json:"type" format:"uri" doc:"urn:mainstay:problem: and the code"`
	Title  string `json:"title" doc:"what went wrong, the same for every problem of this code"`
	Status int    `json:"status" doc:"HTTP status"`
	Code   string `json:"code" enum:"invalid,unauthorized,denied,not_found,method_not_allowed,conflict,stale,too_large,media_type,too_many,unavailable,internal" doc:"stable code to decide by"`
	Detail string `json:"detail,omitempty" doc:"what went wrong here and what to do"`
	// Errors says which fields are wrong.
	Errors []FieldProblem `json:"errors,omitempty" nullable:"false" doc:"fields that are wrong"`
	// Request finds an internal problem in the log of the provider.
	Request string `json:"request,omitempty" doc:"identifier of the request in the provider's log, for internal problems"`

	header http.Header
}

// FieldProblem says what is wrong with one field.
type FieldProblem struct {
	Field   string `json:"field" doc:"the field, with its place: body.name, query.limit"`
	Message string `json:"message"`
}

type kindOfProblem struct {
	status      int
	code, title string
}

// problemKinds is the one mapping from kinds of errors to HTTP.
var problemKinds = map[fault.Kind]kindOfProblem{
	fault.Invalid:     {http.StatusUnprocessableEntity, CodeInvalid, "The input is not valid"},
	fault.Denied:      {http.StatusForbidden, CodeDenied, "You may not do this"},
	fault.NotFound:    {http.StatusNotFound, CodeNotFound, "There is no such thing"},
	fault.Conflict:    {http.StatusConflict, CodeConflict, "It does not fit the present state"},
	fault.Unavailable: {http.StatusServiceUnavailable, CodeUnavailable, "Something that is needed is away; try again"},
	fault.Stale:       {http.StatusConflict, CodeStale, "It is out of date; read it again"},
	fault.Internal:    {http.StatusInternalServerError, CodeInternal, "The provider failed"},
}

// statusCodes are the codes of problems that are found before a handler runs.
var statusCodes = map[int]kindOfProblem{
	http.StatusBadRequest:                  {0, CodeInvalid, "The input is not valid"},
	http.StatusUnprocessableEntity:         {0, CodeInvalid, "The input is not valid"},
	http.StatusUnauthorized:                {0, CodeUnauthorized, "Sign in first"},
	http.StatusForbidden:                   {0, CodeDenied, "You may not do this"},
	http.StatusNotFound:                    {0, CodeNotFound, "There is no such thing"},
	http.StatusMethodNotAllowed:            {0, CodeMethod, "This method does nothing here"},
	http.StatusNotAcceptable:               {0, CodeMediaType, "The answer has no such form"},
	http.StatusUnsupportedMediaType:        {0, CodeMediaType, "The body must be JSON"},
	http.StatusRequestEntityTooLarge:       {0, CodeTooLarge, "The body is too large"},
	http.StatusRequestHeaderFieldsTooLarge: {0, CodeTooLarge, "The header is too large"},
	http.StatusRequestTimeout:              {0, CodeUnavailable, "The request took too long"},
	http.StatusTooManyRequests:             {0, CodeTooMany, "Too many requests"},
}

// NewProblem makes a problem of an HTTP status, with a detail fit for users.
func NewProblem(status int, detail string) *Problem {
	kind, ok := statusCodes[status]
	if !ok {
		kind = problemKinds[fault.Internal]
		status = kind.status
	}
	return newProblem(kindOfProblem{status, kind.code, kind.title}, detail)
}

func newProblem(kind kindOfProblem, detail string) *Problem {
	return &Problem{
		Type: "urn:mainstay:problem:" + kind.code, Title: kind.title, Status: kind.status, Code: kind.code, Detail: detail,
	}
}

// ProblemOf turns any error into a problem. What was not made for users is
// logged under an identifier and not told.
func ProblemOf(ctx context.Context, err error) *Problem {
	var problem *Problem
	if errors.As(err, &problem) {
		return problem
	}
	var tooMany *access.TooMany
	if errors.As(err, &tooMany) {
		p := NewProblem(http.StatusTooManyRequests, tooMany.Error())
		p.header = http.Header{"Retry-After": {strconv.Itoa(int(math.Ceil(tooMany.Wait.Seconds())))}}
		return p
	}
	var known *fault.Error
	if !errors.As(err, &known) || known.Kind == fault.Internal {
		return internalProblem(ctx, err)
	}
	p := newProblem(problemKinds[known.Kind], known.Text)
	if known.Field != "" {
		p.Errors = []FieldProblem{{Field: known.Field, Message: known.Text}}
		p.Detail = known.Field + ": " + known.Text
	}
	if known.Kind == fault.Unavailable {
		p.header = http.Header{"Retry-After": {"1"}}
		slog.WarnContext(ctx, "request failed for now", "component", "provider", "error", err)
	}
	return p
}

func internalProblem(ctx context.Context, err error) *Problem {
	p := newProblem(problemKinds[fault.Internal], "look for the request in the log of the provider")
	p.Request = RequestID(ctx)
	slog.ErrorContext(ctx, "request failed", "component", "provider", "request", p.Request, "error", err)
	return p
}

// Error implements error.
func (p *Problem) Error() string { return p.Detail }

// GetStatus implements huma.StatusError.
func (p *Problem) GetStatus() int { return p.Status }

// GetHeaders implements huma.HeadersError.
func (p *Problem) GetHeaders() http.Header { return p.header }

// ContentType implements huma.ContentTypeFilter.
func (p *Problem) ContentType(string) string { return problemType }

const problemType = "application/problem+json"

// Write answers a request with the problem.
func (p *Problem) Write(w http.ResponseWriter) {
	for name, values := range p.header {
		w.Header()[name] = values
	}
	w.Header().Set("Content-Type", problemType)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(p.Status)
	// The client may be gone; there is nobody to tell.
	_ = json.NewEncoder(w).Encode(p)
}

// ownProblems turns the errors that huma makes itself into problems. What a
// caller sent is not sent back: it may be a password.
func ownProblems(ctx huma.Context, _ string, v any) (any, error) {
	model, ok := v.(*huma.ErrorModel)
	if !ok {
		return v, nil
	}
	p := NewProblem(model.Status, model.Detail)
	if p.Status != model.Status {
		return internalProblem(ctx.Context(), errors.New(model.Detail)), nil
	}
	for _, e := range model.Errors {
		if e == nil {
			continue
		}
		message := e.Message
		if e.Location == "body" && model.Status == http.StatusBadRequest {
			message = "is not valid JSON"
		}
		p.Errors = append(p.Errors, FieldProblem{Field: strings.TrimSuffix(e.Location, "."), Message: message})
	}
	if len(p.Errors) > 0 {
		p.Detail = fmt.Sprintf("%s: %s", p.Errors[0].Field, p.Errors[0].Message)
	}
	return p, nil
}
