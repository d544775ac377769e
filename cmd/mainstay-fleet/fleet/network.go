package fleet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"time"

	"mainstay/client/transport"
	"mainstay/cmd/mainstay-fleet/measure"
	"mainstay/lib/fault"
	"mainstay/wire"
)

// The operations that are measured, as reports name them.
const (
	opRegister = "register"
	opPoll     = "poll"
	opBody     = "policy body"
	opUpload   = "upload"
	opSite     = "site"
	opRenew    = "renew"
	opOther    = "other"
)

func operations() []string {
	return []string{opSite, opRegister, opPoll, opBody, opUpload, opRenew, opOther}
}

func newRecorder() *measure.Recorder { return measure.NewRecorder(operations()...) }

func operationOf(door string) (name string, bit uint32) {
	names := map[string]string{
		wire.DoorSite: opSite, wire.DoorRegister: opRegister, wire.DoorRenew: opRenew,
		wire.DoorPolicy: opPoll, wire.DoorPolicyBody: opBody, wire.DoorMessages: opUpload,
	}
	name = opOther
	if known, ok := names[door]; ok {
		name = known
	}
	for i, o := range operations() {
		if o == name {
			bit = 1 << i
		}
	}
	return name, bit
}

// observe counts an exchange of the member's client.
func (m *member) observe(e transport.Exchange) {
	name, bit := operationOf(e.Door)
	o := measure.Operation{Name: name, Took: e.Took, Messages: e.Messages, Again: m.failing.Load()&bit != 0}
	if e.Failure != nil {
		if e.Failure.Advice == transport.Stop {
			return // switched off in the middle of it
		}
		o.Problem, o.Example = problemOf(e.Failure), e.Failure.Text
		m.failing.Or(bit)
	} else {
		m.failing.And(^bit)
		if name == opRegister && !m.registered.Swap(true) {
			m.fleet.registered.Add(1)
		}
	}
	m.fleet.recorder.Record(o)
}

// problemOf is the kind of a failure, few enough to be counted by.
func problemOf(f *transport.Failure) string {
	if f.Status != 0 {
		return fmt.Sprintf("status %d: %s", f.Status, f.Advice)
	}
	var timeout net.Error
	switch err := f.Cause; {
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		return "too many open files in this process or machine"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return "no free port left on this machine"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "connection lost"
	case errors.As(err, &timeout) && timeout.Timeout():
		return "timeout"
	case transport.IsUntrusted(err):
		return "not a site system of the site"
	}
	return f.Advice.String()
}

// dial connects like the real client. Where the management point is on this
// machine each client comes from an address of its own, as it would in a real
// network, because sites count strangers by address.
func (m *member) dial(ctx context.Context, network, address string) (net.Conn, error) {
	d := net.Dialer{Timeout: 5 * time.Second, KeepAlive: time.Minute}
	if host, _, err := net.SplitHostPort(address); err == nil && isLoopback(host) {
		n := m.number + 1
		d.LocalAddr = &net.TCPAddr{IP: net.IPv4(127, byte(1+n>>16&0x7f), byte(n>>8), byte(n))}
	}
	c, err := d.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return counted{c, m.fleet.recorder}, nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.To4() != nil && ip.IsLoopback()
}

// counted counts the bytes of a connection.
type counted struct {
	net.Conn
	recorder *measure.Recorder
}

func (c counted) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.recorder.Received(n)
	return n, err
}

func (c counted) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.recorder.Sent(n)
	return n, err
}

// spareFiles are open files beside one connection for each client: folders
// that are written to, connections that are being replaced.
const spareFiles = 500

// checkOpenFiles refuses more clients than this process may have connections.
func checkOpenFiles(clients int) error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("cannot learn how many files may be open: %w", err)
	}
	// The soft limit is no limit: the runtime raises it to the hard one.
	if need := uint64(clients + spareFiles); need > limit.Max {
		return fault.InvalidField("clients", "%d clients need about %d open files, one for each connection, and this process may have %d: "+
			"run at most %d here and the others in further processes with --first, or raise the limit (ulimit -Hn, LimitNOFILE=)",
			clients, need, limit.Max, max(0, int64(limit.Max)-spareFiles))
	}
	return nil
}
