package provider

import (
	"context"
	"io/fs"
	"net"
	"net/http"
	"time"

	"mainstay/lib/fault"
	"mainstay/lib/httpserve"
	"mainstay/lib/mtls"
	"mainstay/lib/ratelimit"
	"mainstay/role/provider/apiv1"
	"mainstay/site"
	"mainstay/site/access"
)

// Config is what a provider needs.
type Config struct {
	// DB is the site database.
	DB apiv1.Database
	// Site is the site that is administered.
	Site site.Site
	// System is the identifier of the site system that the provider runs on,
	// for status messages; may be empty.
	System string
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// Console holds the files of the console, index.html at its top; nil when
	// the program was built without.
	Console fs.FS
	// InstallLine makes the line that installs a client on another machine.
	InstallLine func(ctx context.Context, token string) (string, error)
	// MaxConnections bounds the connections of the administrators' port in all,
	// MaxConnectionsPerSource those of one address; 0 is 2,000 and 200.
	MaxConnections, MaxConnectionsPerSource int
	// Group is the operating system's group whose members administer the site
	// through the local socket; empty is "mainstay".
	Group string
}

// Limits of a connection and a request.
const (
	readTimeout = 30 * time.Second
	idleTimeout = 2 * time.Minute
	maxHeader   = 32 << 10
	// requestBurst and requestEvery bound the requests of one address: 200 a
	// second, as in the original.
	requestBurst = 400
	requestEvery = 5 * time.Millisecond
	sources      = 10_000
)

// Provider is the role.
type Provider struct {
	c        Config
	door     *access.Door
	api      *apiv1.API
	pages    *pages
	requests *ratelimit.Limiter
	crossing *http.CrossOriginProtection
}

// New makes the role.
func New(c Config) (*Provider, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.MaxConnections == 0 {
		c.MaxConnections = 2000
	}
	if c.MaxConnectionsPerSource == 0 {
		c.MaxConnectionsPerSource = 200
	}
	if c.Group == "" {
		c.Group = "mainstay"
	}
	if c.MaxConnections < 1 || c.MaxConnectionsPerSource < 1 {
		return nil, fault.InvalidField("max_connections", "%d and %d per source are out of range; give 1 or more", c.MaxConnections, c.MaxConnectionsPerSource)
	}
	door, err := access.NewDoor(access.DoorConfig{DB: c.DB, Now: c.Now})
	if err != nil {
		return nil, err
	}
	api, err := apiv1.New(apiv1.Config{DB: c.DB, Door: door, SiteCode: c.Site.Code, System: c.System, Now: c.Now, InstallLine: c.InstallLine})
	if err != nil {
		return nil, err
	}
	requests, err := ratelimit.New(ratelimit.Config{Burst: requestBurst, Every: requestEvery, Keys: sources})
	if err != nil {
		return nil, err
	}
	pages, err := newPages(c.Console, mtls.EncodeChain([][]byte{c.Site.Root}))
	if err != nil {
		return nil, err
	}
	return &Provider{
		c: c, door: door, api: api, pages: pages, requests: requests, crossing: http.NewCrossOriginProtection(),
	}, nil
}

// Handler serves the administrators' port: API, sign-in page and console. It
// is for TLS connections; Serve adds the limits of connections.
func (p *Provider) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/api/", p.limitRate(p.sameOrigin(http.HandlerFunc(p.remoteAPI))))
	mux.Handle("/", p.limitRate(p.pages))
	return p.guard(mux)
}

// LocalHandler serves the Unix socket. Its server must use ConnContext.
func (p *Provider) LocalHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/api/", p.localAPI)
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		apiv1.NewProblem(http.StatusNotFound, "the local socket has the API alone").Write(w)
	})
	return p.guard(mux)
}

// Serve serves the administrators' port until ctx ends, with the certificate of
// the site system. The listener gives TCP connections, not yet TLS.
func (p *Provider) Serve(ctx context.Context, listener net.Listener, own mtls.Host) error {
	options := p.options()
	options.TLS = mtls.BrowserConfig(own)
	options.MaxPerSource = p.c.MaxConnectionsPerSource
	return httpserve.Serve(ctx, listener, p.Handler(), options)
}

// ServeLocal serves the Unix socket until ctx ends. Who may connect to it is
// for its file's mode; who may administer is asked of the operating system.
func (p *Provider) ServeLocal(ctx context.Context, listener net.Listener) error {
	options := p.options()
	options.Plain, options.ConnContext = true, ConnContext
	return httpserve.Serve(ctx, listener, p.LocalHandler(), options)
}

// options are the bounds of both doors. Streams of events set a deadline for
// each write; other handlers answer when they are done.
func (p *Provider) options() httpserve.Options {
	return httpserve.Options{
		MaxConnections: p.c.MaxConnections, ReadTimeout: readTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
	}
}
