package httpserve

import (
	"net"
	"net/http"
	"sync"
)

// limitConnections closes connections that are too many, in all or of one
// address, at once. Closing costs less than making them wait, and strangers
// cannot keep others out by holding connections from one place.
func limitConnections(listener net.Listener, total, perSource int) net.Listener {
	return &limitedListener{Listener: listener, total: total, perSource: perSource, open: map[string]int{}}
}

type limitedListener struct {
	net.Listener
	total, perSource int

	mu   sync.Mutex // guards everything below
	open map[string]int
	all  int
}

func (l *limitedListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		from := addressOf(conn)
		if l.enter(from) {
			return &countedConn{Conn: conn, leave: sync.OnceFunc(func() { l.leave(from) })}, nil
		}
		conn.Close()
	}
}

func addressOf(conn net.Conn) string { return Network(hostOf(conn.RemoteAddr().String())) }

func hostOf(address string) string {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	return host
}

// Source is the address that a request comes from, without its port.
func Source(r *http.Request) string { return hostOf(r.RemoteAddr) }

// Network is what counts of an address: of IPv6 the first 64 bits, because a
// stranger has the others for free.
func Network(address string) string {
	ip := net.ParseIP(address)
	if ip == nil || ip.To4() != nil {
		return address
	}
	return ip.Mask(net.CIDRMask(64, 128)).String()
}

func (l *limitedListener) enter(from string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.all >= l.total || l.open[from] >= l.perSource {
		return false
	}
	l.open[from]++
	l.all++
	return true
}

func (l *limitedListener) leave(from string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all--
	if l.open[from]--; l.open[from] == 0 {
		delete(l.open, from)
	}
}

// countedConn gives its place back when it is closed.
type countedConn struct {
	net.Conn
	leave func()
}

func (c *countedConn) Close() error {
	c.leave()
	return c.Conn.Close()
}

// NetConn is the connection below.
func (c *countedConn) NetConn() net.Conn { return c.Conn }
