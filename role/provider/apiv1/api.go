package apiv1

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"mainstay/lib/fault"
	"mainstay/lib/listing"
	"mainstay/site/access"
	"mainstay/site/sitedb"
)

// Prefix is the path below which the API lives.
const Prefix = "/api/v1"

// maxBody is the largest request body in bytes.
const maxBody = 256 << 10

// Database is what the API needs of the site database.
type Database interface {
	sitedb.Writer
	Subscribe(ctx context.Context, topics ...string) <-chan struct{}
	Facts(ctx context.Context) (sitedb.Facts, error)
}

// Config is what the API needs.
type Config struct {
	DB   Database
	Door *access.Door
	// SiteCode is the site that this provider serves.
	SiteCode string
	// System is the identifier of the site system that the provider runs on.
	System string
	// Now is the clock.
	Now func() time.Time
	// InstallLine makes the line that installs a client on another machine
	// with a registration token.
	InstallLine func(ctx context.Context, token string) (string, error)
}

// API is the administration API.
type API struct {
	c       Config
	mux     *http.ServeMux
	huma    huma.API
	streams *streams
}

// New makes the API with all its operations.
func New(c Config) (*API, error) {
	if c.DB == nil || c.Door == nil || c.Now == nil || c.SiteCode == "" {
		return nil, fault.New(fault.Invalid, "the administration API needs a database, a door, a clock and a site code")
	}
	a := &API{c: c, mux: http.NewServeMux(), streams: newStreams()}
	a.huma = humago.NewWithPrefix(a.mux, Prefix, a.config())
	a.huma.UseMiddleware(a.authorize)
	for _, noun := range []func(*API){
		registerSessions, registerAdministrators, registerRoles, registerAudit,
		registerSite, registerComponents, registerStatusMessages, registerDeadLetters,
		registerDevices, registerInventory, registerRegistrations, registerTokens, registerClientSettings,
		registerEvents, registerDocument,
	} {
		noun(a)
	}
	// huma's own error type never leaves this package (ownProblems).
	for _, name := range []string{"ErrorModel", "ErrorDetail"} {
		delete(a.huma.OpenAPI().Components.Schemas.Map(), name)
	}
	return a, nil
}

func (a *API) config() huma.Config {
	config := huma.DefaultConfig("Mainstay administration API", "1")
	config.Info.Description = "Everything that an administrator can do. The command and the console use nothing else."
	config.Info.License = &huma.License{Name: "Apache-2.0", Identifier: "Apache-2.0"}
	// No documentation pages and no links to schemas: they would be open doors
	// without a permission.
	config.OpenAPIPath, config.DocsPath, config.SchemasPath = "", "", ""
	config.CreateHooks = nil
	config.Transformers = []huma.Transformer{ownProblems}
	config.RejectUnknownQueryParameters = true
	ours := huma.Format{Marshal: marshalJSON, Unmarshal: unmarshalJSON}
	// huma looks "application/problem+json" up as "json".
	config.Formats = map[string]huma.Format{"application/json": ours, "json": ours}
	config.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"session": {Type: "http", Scheme: "bearer", Description: "The token of a session, for commands."},
		"cookie":  {Type: "apiKey", In: "cookie", Name: CookieName, Description: "The cookie of a session, for browsers."},
	}
	config.Security = []map[string][]string{{"session": {}}, {"cookie": {}}}
	return config
}

func marshalJSON(w io.Writer, v any) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(v)
}

func unmarshalJSON(data []byte, v any) error {
	decoder := json.NewDecoder(bytes.NewReader(data))
	if err := decoder.Decode(v); err != nil {
		return fmt.Errorf("is not valid JSON")
	}
	if _, err := decoder.Token(); err != io.EOF {
		return fmt.Errorf("has something after its end")
	}
	return nil
}

// ServeHTTP answers a request below Prefix; the caller is in its context.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	if !IsClean(r) {
		NewProblem(http.StatusNotFound, "the API has no such path").Write(w)
		return
	}
	handler, pattern := a.mux.Handler(r)
	if pattern == "" {
		notThere(handler, r).Write(w)
		return
	}
	a.mux.ServeHTTP(w, r)
}

// IsClean tells that the path of a request is in its shortest form. The
// multiplexer would send others elsewhere, with an answer that is no problem.
func IsClean(r *http.Request) bool {
	p := r.URL.Path
	clean := path.Clean(p)
	return p == clean || p == clean+"/"
}

// notThere asks the multiplexer whether it is the path or the method that it
// does not know.
func notThere(handler http.Handler, r *http.Request) *Problem {
	probe := &statusProbe{header: http.Header{}}
	handler.ServeHTTP(probe, r)
	if probe.status == http.StatusMethodNotAllowed {
		p := NewProblem(http.StatusMethodNotAllowed, "allowed here: "+probe.header.Get("Allow"))
		p.header = http.Header{"Allow": probe.header.Values("Allow")}
		return p
	}
	return NewProblem(http.StatusNotFound, "the API has no such path")
}

// statusProbe keeps status and header of an answer and drops the rest.
type statusProbe struct {
	header http.Header
	status int
}

func (p *statusProbe) Header() http.Header         { return p.header }
func (p *statusProbe) WriteHeader(status int)      { p.status = status }
func (p *statusProbe) Write(b []byte) (int, error) { return len(b), nil }

// Document is the OpenAPI document as JSON, indented.
func (a *API) Document() ([]byte, error) {
	data, err := json.MarshalIndent(a.huma.OpenAPI(), "", "  ")
	if err != nil {
		return nil, fmt.Errorf("cannot write the OpenAPI document: %w", err)
	}
	return append(data, '\n'), nil
}

// Who may call an operation that needs no permission of a role.
const (
	// permissionOpen: anybody, signed in or not.
	permissionOpen access.Permission = "open"
	// permissionSignedIn: every administrator.
	permissionSignedIn access.Permission = "signed-in"
)

const metadataPermission, metadataAction = "permission", "action"

// operation is what each operation says of itself.
type operation struct {
	method, path, id string
	tag              string
	summary          string
	description      string
	// permission that a caller needs.
	permission access.Permission
	// status of success where it is not 200, or 204 without a body.
	status int
	// list is the table behind a list, for its documentation.
	list *listing.Table
	// audited is the verb in the audit trail, where it is not that of the path
	// or of the identifier.
	audited string
}

// action is the name in the audit trail: noun and verb, "device.block".
func (o operation) action() string {
	if o.audited != "" {
		return o.tag + "." + o.audited
	}
	verb, _, _ := strings.Cut(o.id, "-")
	if at := strings.Index(o.path, "}/"); at > 0 && o.method != http.MethodGet {
		verb = o.path[at+2:]
	}
	return o.tag + "." + verb
}

// object is an input that names the object it is about.
type object interface{ object() string }

// Empty is the input of an operation that has none.
type Empty struct{}

// output is an answer with a body.
type output[T any] struct{ Body T }

func answer[T any](body T) *output[T] { return &output[T]{body} }

// register adds an operation. Its errors become problems here, and nowhere
// else.
func register[I, O any](a *API, o operation, handle func(ctx context.Context, caller access.Caller, in *I) (*O, error)) {
	description := o.description
	if o.list != nil {
		description = strings.TrimSpace(description + "\n\n" + o.list.Describe())
	}
	op := huma.Operation{
		OperationID: o.id, Method: o.method, Path: o.path, Tags: []string{o.tag},
		Summary: o.summary, Description: description, DefaultStatus: o.status,
		MaxBodyBytes: maxBody, BodyReadTimeout: 10 * time.Second,
		Metadata:   map[string]any{metadataPermission: o.permission, metadataAction: o.action()},
		Extensions: map[string]any{"x-permission": string(o.permission)},
		Responses:  map[string]*huma.Response{"default": a.problemResponse()},
	}
	if o.permission == permissionOpen {
		op.Security = []map[string][]string{}
	}
	huma.Register(a.huma, op, func(ctx context.Context, in *I) (*O, error) {
		caller := CallerOf(ctx)
		out, err := handle(ctx, caller, in)
		if err == nil {
			return out, nil
		}
		id := ""
		if named, ok := any(in).(object); ok {
			id = named.object()
		}
		if o.method != http.MethodGet {
			err = a.recordRefusal(ctx, caller, o.action(), o.tag, id, err)
		}
		return nil, ProblemOf(ctx, err)
	})
}

func (a *API) problemResponse() *huma.Response {
	schema := a.huma.OpenAPI().Components.Schemas.Schema(typeOfProblem, true, "Problem")
	return &huma.Response{
		Description: "Problem",
		Content:     map[string]*huma.MediaType{problemType: {Schema: schema}},
	}
}

// recordRefusal puts a change that was refused into the audit trail. Bad input
// and unknown objects changed nothing and are not worth it.
func (a *API) recordRefusal(ctx context.Context, caller access.Caller, action, noun, id string, refusal error) error {
	outcome := access.OutcomeFailed
	switch fault.KindOf(refusal) {
	case fault.Denied:
		outcome = access.OutcomeDenied
	case fault.Conflict, fault.Stale:
	default:
		return refusal
	}
	if caller.IsZero() {
		return refusal // the door has recorded it
	}
	err := a.c.DB.Write(ctx, func(tx *sitedb.Tx) error {
		return access.Record(ctx, tx, caller, access.Entry{
			Action: action, ObjectType: noun, ObjectID: id, Outcome: outcome,
			Detail: map[string]string{"why": ProblemOf(ctx, refusal).Detail},
		}, a.c.Now())
	})
	if err != nil {
		return err
	}
	return refusal
}

// read runs a query; write a change.
func read[T any](ctx context.Context, a *API, f func(tx *sitedb.Tx) (T, error)) (out T, err error) {
	err = a.c.DB.Read(ctx, func(tx *sitedb.Tx) (err error) {
		out, err = f(tx)
		return err
	})
	return out, err
}

func write[T any](ctx context.Context, a *API, f func(tx *sitedb.Tx) (T, error)) (out T, err error) {
	err = a.c.DB.Write(ctx, func(tx *sitedb.Tx) (err error) {
		out, err = f(tx)
		return err
	})
	return out, err
}
