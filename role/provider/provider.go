package provider

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"time"

	"mainstay/lib/fault"
	"mainstay/lib/lifecycle"
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
	headerTimeout = 10 * time.Second
	readTimeout   = 30 * time.Second
	idleTimeout   = 2 * time.Minute
	maxHeader     = 32 << 10
	// requestBurst and requestEvery bound the requests of one address: 200 a
	// second, as in the original.
	requestBurst = 400
	requestEvery = 5 * time.Millisecond
	sources      = 10_000
	// stopGrace is how long requests may go on when the role ends.
	stopGrace = 5 * time.Second
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
	server := p.server(p.Handler())
	server.TLSConfig = mtls.BrowserConfig(own)
	limited := limitConnections(listener, p.c.MaxConnections, p.c.MaxConnectionsPerSource)
	return serve(ctx, server, func() error { return server.ServeTLS(limited, "", "") })
}

// ServeLocal serves the Unix socket until ctx ends. Who may connect to it is
// for its file's mode; who may administer is asked of the operating system.
func (p *Provider) ServeLocal(ctx context.Context, listener net.Listener) error {
	server := p.server(p.LocalHandler())
	server.ConnContext = ConnContext
	limited := limitConnections(listener, p.c.MaxConnections, p.c.MaxConnections)
	return serve(ctx, server, func() error { return server.Serve(limited) })
}

func (p *Provider) server(handler http.Handler) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       readTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		// Streams of events set a deadline for each write; handlers answer
		// when they are done.
		ErrorLog: slog.NewLogLogger(slog.Default().Handler(), slog.LevelDebug),
	}
}

// serve runs a server until ctx ends, then lets requests finish for a moment.
func serve(ctx context.Context, server *http.Server, run func() error) error {
	// Streams of events end with the role, not with their clients.
	base, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	server.BaseContext = func(net.Listener) context.Context { return base }
	return lifecycle.Run(ctx,
		lifecycle.Task{Name: "serve", Run: func(context.Context) error {
			if err := run(); !errors.Is(err, http.ErrServerClosed) {
				return err
			}
			return nil
		}},
		lifecycle.Task{Name: "stop serving", Run: func(ctx context.Context) error {
			<-ctx.Done()
			stop()
			grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopGrace)
			defer cancel()
			if err := server.Shutdown(grace); err != nil {
				return server.Close()
			}
			return nil
		}},
	)
}
