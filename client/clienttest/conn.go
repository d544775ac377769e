package clienttest

import (
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// newPipe is net.Pipe with buffers: TLS sends session tickets while the other
// side writes too, and would wait for ever without.
func newPipe(address string) (near, far *conn) {
	up, down := newStream(), newStream()
	return &conn{read: down, write: up, address: address}, &conn{read: up, write: down, address: address}
}

// conn is one end.
type conn struct {
	read, write *stream
	address     string
}

func (c *conn) Read(p []byte) (int, error)  { return c.read.read(p) }
func (c *conn) Write(p []byte) (int, error) { return c.write.put(p) }

// Close ends both directions; what was written before can still be read.
func (c *conn) Close() error {
	c.read.close()
	c.write.close()
	return nil
}

func (c *conn) LocalAddr() net.Addr  { return address(c.address) }
func (c *conn) RemoteAddr() net.Addr { return address(c.address) }

func (c *conn) SetDeadline(at time.Time) error     { return c.SetReadDeadline(at) }
func (c *conn) SetWriteDeadline(time.Time) error   { return nil } // writing never waits
func (c *conn) SetReadDeadline(at time.Time) error { c.read.setDeadline(at); return nil }

// stream is one direction.
type stream struct {
	mu       sync.Mutex // guards everything below
	cond     *sync.Cond
	data     []byte
	closed   bool
	deadline time.Time
	timer    *time.Timer
}

func newStream() *stream {
	s := &stream{}
	s.cond = sync.NewCond(&s.mu)
	return s
}

func (s *stream) put(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return 0, io.ErrClosedPipe
	}
	s.data = append(s.data, p...)
	s.cond.Broadcast()
	return len(p), nil
}

func (s *stream) read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case len(s.data) > 0:
			n := copy(p, s.data)
			s.data = s.data[n:]
			return n, nil
		case s.closed:
			return 0, io.EOF
		case !s.deadline.IsZero() && !time.Now().Before(s.deadline):
			return 0, os.ErrDeadlineExceeded
		}
		s.cond.Wait()
	}
}

func (s *stream) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.timer != nil {
		s.timer.Stop()
	}
	s.cond.Broadcast()
}

func (s *stream) setDeadline(at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.deadline = at
	if s.timer != nil {
		s.timer.Stop()
		s.timer = nil
	}
	if !at.IsZero() && !s.closed {
		s.timer = time.AfterFunc(time.Until(at), s.cond.Broadcast)
	}
	s.cond.Broadcast()
}
