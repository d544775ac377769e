// Package httpserve runs an HTTPS server with the bounds that every door of
// the product has before it knows who calls: size of headers, time to send
// them, number of connections. It knows no route.
package httpserve

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// Options bound a server. Zero values take the defaults named.
type Options struct {
	// TLS is required unless Plain is set.
	TLS   *tls.Config
	Plain bool
	// MaxConnections bounds open connections (20,000), MaxPerSource those of
	// one address (all); more are closed at once.
	MaxConnections, MaxPerSource int
	// ReadTimeout bounds a whole request; 0 leaves bodies to their handlers.
	ReadTimeout time.Duration
	// IdleTimeout closes a connection that has been quiet (6 minutes, longer
	// than a client's polling interval).
	IdleTimeout time.Duration
	// MaxHeaderBytes bounds the header (16 KiB).
	MaxHeaderBytes int
	// ConnContext adds to the context of each connection.
	ConnContext func(context.Context, net.Conn) context.Context
}

// shutdownGrace is how long running requests may take to end.
const shutdownGrace = 5 * time.Second

// Serve answers requests on the listener until ctx ends; requests under way
// get a few seconds to finish. HTTP/1.1 only: it costs less per request and
// per connection than HTTP/2 for what a site serves.
func Serve(ctx context.Context, listener net.Listener, handler http.Handler, o Options) error {
	// Streams end with the server, not with their clients.
	base, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       o.ReadTimeout,
		IdleTimeout:       cmp.Or(o.IdleTimeout, 6*time.Minute),
		MaxHeaderBytes:    cmp.Or(o.MaxHeaderBytes, 16<<10),
		ErrorLog:          slog.NewLogLogger(slog.Default().Handler(), slog.LevelDebug),
		ConnContext:       o.ConnContext,
		BaseContext:       func(net.Listener) context.Context { return base },
	}
	total := cmp.Or(o.MaxConnections, 20000)
	listener = limitConnections(listener, total, cmp.Or(o.MaxPerSource, total))
	if !o.Plain {
		config := o.TLS.Clone()
		config.NextProtos = []string{"http/1.1"}
		listener = tls.NewListener(listener, config)
	}
	ended := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() {
		cut()
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownGrace)
		defer cancel()
		err := server.Shutdown(grace)
		if errors.Is(err, context.DeadlineExceeded) {
			err = server.Close()
		}
		ended <- err
	})
	err := server.Serve(listener)
	if !stop() {
		return <-ended
	}
	return fmt.Errorf("server at %s ended: %w", listener.Addr(), err)
}
