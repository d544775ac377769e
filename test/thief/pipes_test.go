package thief

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// pipes is a network without sockets, so that time in a bubble can pass while
// somebody waits for an answer.
type pipes struct {
	mu        sync.Mutex // guards listeners
	listeners map[string]*pipeListener
}

func newPipes() *pipes { return &pipes{listeners: map[string]*pipeListener{}} }

func (n *pipes) listen(address string) *pipeListener {
	n.mu.Lock()
	defer n.mu.Unlock()
	l := &pipeListener{address: address, conns: make(chan net.Conn), closed: make(chan struct{})}
	n.listeners[address] = l
	return l
}

func (n *pipes) dial(ctx context.Context, _, address string) (net.Conn, error) {
	n.mu.Lock()
	l := n.listeners[address]
	n.mu.Unlock()
	if l == nil {
		return nil, fmt.Errorf("dial %s: connection refused", address)
	}
	up, down := newStream(), newStream()
	far := &pipe{read: up, write: down, address: address}
	select {
	case l.conns <- far:
		l.remember(far)
		return &pipe{read: down, write: up, address: address}, nil
	case <-l.closed:
		return nil, fmt.Errorf("dial %s: connection refused", address)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

type pipeListener struct {
	address string
	conns   chan net.Conn
	closed  chan struct{}
	once    sync.Once

	mu   sync.Mutex // guards open
	open []net.Conn
}

func (l *pipeListener) remember(c net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open = append(l.open, c)
}

func (l *pipeListener) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.open {
		c.Close()
	}
	l.open = nil
}

// Accept, Close and Addr make it a net.Listener.
func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	l.cut()
	return nil
}

func (l *pipeListener) Addr() net.Addr { return pipeAddress(l.address) }

type pipeAddress string

func (a pipeAddress) Network() string { return "pipe" }
func (a pipeAddress) String() string  { return string(a) }

// pipe is one end of a connection. Writing never waits for the reader, because
// both ends of TLS write before they read.
type pipe struct {
	read, write *stream
	address     string
}

func (p *pipe) Read(b []byte) (int, error)  { return p.read.take(b) }
func (p *pipe) Write(b []byte) (int, error) { return p.write.put(b) }

func (p *pipe) Close() error {
	p.read.close()
	p.write.close()
	return nil
}

func (p *pipe) LocalAddr() net.Addr                { return pipeAddress(p.address) }
func (p *pipe) RemoteAddr() net.Addr               { return pipeAddress(p.address) }
func (p *pipe) SetDeadline(at time.Time) error     { return p.SetReadDeadline(at) }
func (p *pipe) SetWriteDeadline(time.Time) error   { return nil }
func (p *pipe) SetReadDeadline(at time.Time) error { p.read.until(at); return nil }

// mostBuffered bounds what is written ahead, so that endless answers end in
// waiting and not in memory.
const mostBuffered = 256 << 10

// stream is one direction.
type stream struct {
	mu       sync.Mutex // guards everything below
	changed  *sync.Cond
	data     []byte
	closed   bool
	deadline time.Time
	timer    *time.Timer
}

func newStream() *stream {
	s := &stream{}
	s.changed = sync.NewCond(&s.mu)
	return s
}

func (s *stream) put(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.data) > mostBuffered && !s.closed {
		s.changed.Wait()
	}
	if s.closed {
		return 0, io.ErrClosedPipe
	}
	s.data = append(s.data, b...)
	s.changed.Broadcast()
	return len(b), nil
}

func (s *stream) take(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case len(s.data) > 0:
			n := copy(b, s.data)
			s.data = s.data[n:]
			s.changed.Broadcast()
			return n, nil
		case s.closed:
			return 0, io.EOF
		case !s.deadline.IsZero() && !time.Now().Before(s.deadline):
			return 0, os.ErrDeadlineExceeded
		}
		s.changed.Wait()
	}
}

func (s *stream) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.timer != nil {
		s.timer.Stop()
	}
	s.changed.Broadcast()
}

func (s *stream) until(at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.deadline = at
	if s.timer != nil {
		s.timer.Stop()
		s.timer = nil
	}
	if !at.IsZero() && !s.closed {
		s.timer = time.AfterFunc(time.Until(at), s.changed.Broadcast)
	}
	s.changed.Broadcast()
}
