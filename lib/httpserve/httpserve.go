// Package httpserve runs an HTTPS server with the bounds that every door of
// the product has before it knows who calls: size of headers, time to send
// them, number of connections. It knows no route.
package httpserve

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// Options bound a server. Zero values take the defaults named.
type Options struct {
	// TLS is required unless Plain is set.
	TLS   *tls.Config
	Plain bool
	// MaxConnections bounds open connections (20,000); more wait in the
	// listener's queue.
	MaxConnections int
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
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       orDefault(o.IdleTimeout, 6*time.Minute),
		MaxHeaderBytes:    int(orDefault(time.Duration(o.MaxHeaderBytes), 16<<10)),
		ErrorLog:          slog.NewLogLogger(slog.Default().Handler(), slog.LevelDebug),
		ConnContext:       o.ConnContext,
		BaseContext:       func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
	}
	listener = limit(listener, o.MaxConnections)
	if !o.Plain {
		config := o.TLS.Clone()
		config.NextProtos = []string{"http/1.1"}
		listener = tls.NewListener(listener, config)
	}
	ended := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() {
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownGrace)
		defer cancel()
		err := server.Shutdown(grace)
		if errors.Is(err, context.DeadlineExceeded) {
			// Streams that never end are cut here.
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

func orDefault(value, fallback time.Duration) time.Duration {
	if value == 0 {
		return fallback
	}
	return value
}

// limited is a listener that holds back new connections at a bound.
type limited struct {
	net.Listener
	slots chan struct{}
	done  chan struct{}
	once  sync.Once
}

func limit(l net.Listener, connections int) net.Listener {
	if connections == 0 {
		connections = 20000
	}
	return &limited{Listener: l, slots: make(chan struct{}, connections), done: make(chan struct{})}
}

// Accept waits for a free place, then for a connection.
func (l *limited) Accept() (net.Conn, error) {
	select {
	case l.slots <- struct{}{}:
	case <-l.done:
		return nil, net.ErrClosed
	}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.slots
		return nil, err
	}
	return &slotConn{Conn: c, release: sync.OnceFunc(func() { <-l.slots })}, nil
}

// Close also wakes an Accept that waits for a place.
func (l *limited) Close() error {
	l.once.Do(func() { close(l.done) })
	return l.Listener.Close()
}

type slotConn struct {
	net.Conn
	release func()
}

// Close gives the place back.
func (c *slotConn) Close() error {
	c.release()
	return c.Conn.Close()
}

// NetConn gives the connection below, for callers that need its kind.
func (c *slotConn) NetConn() net.Conn { return c.Conn }
