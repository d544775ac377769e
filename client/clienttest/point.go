package clienttest

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/klauspost/compress/zstd"

	"mainstay/lib/mtls"
	"mainstay/lib/registrationtoken"
	"mainstay/lib/signed"
	"mainstay/wire"
)

// Point is a management point of a site.
type Point struct {
	Address string
	site    *Site
	network *Network

	mu        sync.Mutex // guards everything below
	intercept http.HandlerFunc
	requests  []string
}

// NewPoint starts a management point on a network. It ends with the test.
func NewPoint(t testing.TB, s *Site, n *Network, address string) *Point {
	t.Helper()
	p := &Point{Address: address, site: s, network: n}
	p.StartWith(t, s.System(t, address))
	s.change(func() { s.points = append(s.points, address) })
	return p
}

// StartWith serves under a certificate.
func (p *Point) StartWith(t testing.TB, host mtls.Host) {
	t.Helper()
	config := mtls.ServerConfig(host, func([]*x509.Certificate) error { return nil })
	server := &http.Server{Handler: p, TLSConfig: config, ErrorLog: log.New(io.Discard, "", 0)}
	listener := p.network.listen(p.Address)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.ServeTLS(listener, "", "")
	}()
	t.Cleanup(func() {
		server.Close()
		<-done
	})
}

// Intercept answers all requests instead; nil ends that. Where it writes
// nothing the point answers as usual.
func (p *Point) Intercept(h http.HandlerFunc) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.intercept = h
}

// Requests lists method and path of the requests that came.
func (p *Point) Requests() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.requests...)
}

// recorder tells whether an interceptor answered.
type recorder struct {
	http.ResponseWriter
	wrote bool
}

func (r *recorder) WriteHeader(code int) { r.wrote = true; r.ResponseWriter.WriteHeader(code) }
func (r *recorder) Write(b []byte) (int, error) {
	r.wrote = true
	return r.ResponseWriter.Write(b)
}

// ServeHTTP answers as wire says.
func (p *Point) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.requests = append(p.requests, r.Method+" "+r.URL.Path)
	intercept := p.intercept
	p.mu.Unlock()
	w.Header().Set(wire.HeaderVersion, strconv.Itoa(wire.Version))
	if intercept != nil {
		recorder := &recorder{ResponseWriter: w}
		if intercept(recorder, r); recorder.wrote {
			return
		}
	}
	s := p.site
	switch path := r.URL.Path; {
	case path == wire.DoorSite:
		reply(w, s.Description())
	case path == wire.DoorRegister:
		s.register(w, r)
	case path == wire.DoorRenew:
		s.withDevice(w, r, s.renew)
	case path == wire.DoorPolicy:
		s.withDevice(w, r, s.policy)
	case strings.HasPrefix(path, wire.DoorPolicyBody):
		s.withDevice(w, r, s.body)
	case path == wire.DoorMessages:
		s.withDevice(w, r, s.messages)
	default:
		http.NotFound(w, r)
	}
}

func reply(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(value)
}

// Refuse answers with a problem document.
func Refuse(w http.ResponseWriter, status int, code, text string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(wire.Problem{Title: text, Status: status, Code: code})
}

func (s *Site) withDevice(w http.ResponseWriter, r *http.Request, serve func(http.ResponseWriter, *http.Request, *Device)) {
	if len(r.TLS.PeerCertificates) == 0 {
		Refuse(w, 401, wire.CodeRefused, "no certificate")
		return
	}
	subject, err := mtls.SubjectOf(r.TLS.PeerCertificates[0])
	if err != nil {
		Refuse(w, 403, wire.CodeRefused, err.Error())
		return
	}
	s.mu.Lock()
	d := s.devices[subject.ID]
	var refusal *wire.Problem
	if d != nil {
		refusal = d.refusal
	}
	s.mu.Unlock()
	switch {
	case d == nil:
		Refuse(w, 403, wire.CodeUnknownDevice, "no such device")
	case refusal != nil && !(refusal.Code == wire.CodeExpired && r.URL.Path == wire.DoorRenew):
		Refuse(w, refusal.Status, refusal.Code, refusal.Title)
	case !d.Key.Equal(r.TLS.PeerCertificates[0].PublicKey):
		Refuse(w, 403, wire.CodeReplaced, "replaced")
	default:
		serve(w, r, d)
	}
}

func (s *Site) register(w http.ResponseWriter, r *http.Request) {
	var request wire.RegisterRequest
	if err := json.NewDecoder(io.LimitReader(r.Body, wire.MaxRegisterBytes)).Decode(&request); err != nil {
		Refuse(w, 400, wire.CodeRefused, err.Error())
		return
	}
	var registration wire.Registration
	if err := json.Unmarshal(request.Registration, &registration); err != nil {
		Refuse(w, 400, wire.CodeRefused, err.Error())
		return
	}
	public, err := s.checkRegistration(request, registration)
	if err != nil {
		Refuse(w, 400, wire.CodeRefused, err.Error())
		return
	}
	s.mu.Lock()
	pending, refused := s.pending, s.tokenRefused
	s.mu.Unlock()
	s.change(func() { s.registrations = append(s.registrations, registration) })
	switch {
	case refused && registration.Proof == wire.ProofToken:
		Refuse(w, 403, wire.CodeTokenRefused, "the token is used up")
	case pending:
		Refuse(w, 202, wire.CodePending, "waits for an administrator")
	default:
		s.accept(w, registration, public)
	}
}

func (s *Site) checkRegistration(request wire.RegisterRequest, r wire.Registration) (*ecdsa.PublicKey, error) {
	public, err := mtls.ParsePublicKey(r.PublicKey)
	if err != nil {
		return nil, err
	}
	if r.SiteCode != s.Code || !signed.Verify(public, wire.SignRegister, request.Registration, request.Signature) {
		return nil, errors.New("registration is not signed by its key")
	}
	switch r.Proof {
	case wire.ProofToken:
		if r.TokenID != s.Token.ID() || !registrationtoken.Verify(s.Token.PublicKey(), request.Registration, request.TokenSignature) {
			return nil, errors.New("registration is not signed by the token")
		}
	case wire.ProofCertificate:
		leaf, err := mtls.VerifyChain(r.Certificate, mtls.VerifyOptions{Root: s.Root(), SiteCode: s.Code, Purpose: mtls.PurposeClient, IgnoreTime: true})
		if err != nil {
			return nil, err
		}
		if !signed.Verify(leaf.PublicKey.(*ecdsa.PublicKey), wire.SignRegister, request.Registration, request.CertificateSignature) {
			return nil, errors.New("registration is not signed by the earlier key")
		}
	}
	return public, nil
}

func (s *Site) accept(w http.ResponseWriter, r wire.Registration, public *ecdsa.PublicKey) {
	var id string
	s.change(func() {
		for _, d := range s.devices {
			same := d.Key.Equal(public) || r.CopyOf == "" && r.Hardware.ProductUUID != "" && d.Hardware.ProductUUID == r.Hardware.ProductUUID
			if same {
				id, d.Key = d.ID, public
			}
		}
		if id != "" {
			return
		}
		// Those who register at the same time get different ones.
		for n := len(s.registrations); id == "" || s.devices[id] != nil; n++ {
			id = fmt.Sprintf("device-%d", n)
		}
		d := &Device{ID: id, Key: public, Hardware: r.Hardware, Messages: map[string]wire.Message{}, Acknowledged: map[string]int64{}}
		d.setPolicy(s, nil)
		s.devices[id] = d
	})
	chain, err := s.Certify(id, public, mtls.ClientLifetime)
	if err != nil {
		Refuse(w, 500, "", err.Error())
		return
	}
	reply(w, wire.RegisterAnswer{DeviceID: id, Chain: chain})
}

func (s *Site) renew(w http.ResponseWriter, r *http.Request, d *Device) {
	var request wire.RenewRequest
	if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
		Refuse(w, 400, wire.CodeRefused, err.Error())
		return
	}
	public, err := mtls.ParsePublicKey(request.PublicKey)
	if err != nil || !signed.Verify(public, wire.SignRenew, request.PublicKey, request.Signature) {
		Refuse(w, 400, wire.CodeRefused, "not signed")
		return
	}
	chain, err := s.Certify(d.ID, public, mtls.ClientLifetime)
	if err != nil {
		Refuse(w, 500, "", err.Error())
		return
	}
	s.change(func() { d.refusal = nil })
	reply(w, wire.RegisterAnswer{DeviceID: d.ID, Chain: chain})
}

func (s *Site) policy(w http.ResponseWriter, r *http.Request, d *Device) {
	answer, tag := s.PolicyAnswer(d.ID)
	w.Header().Set("ETag", tag)
	if r.Header.Get("If-None-Match") == tag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	reply(w, answer)
}

func (s *Site) body(w http.ResponseWriter, r *http.Request, d *Device) {
	s.mu.Lock()
	body, ok := d.bodies[strings.TrimPrefix(r.URL.Path, wire.DoorPolicyBody)]
	s.mu.Unlock()
	if !ok {
		http.NotFound(w, r)
		return
	}
	_, _ = w.Write(body)
}

func (s *Site) messages(w http.ResponseWriter, r *http.Request, d *Device) {
	upload, list, err := readUpload(r, d)
	if err != nil {
		Refuse(w, 400, wire.CodeRefused, err.Error())
		return
	}
	behind := false
	s.change(func() {
		if upload.Running == upload.Born && upload.Acknowledged < d.Acknowledged[upload.Born] {
			behind = true
			return
		}
		d.Acknowledged[upload.Born] = upload.Acknowledged
		for _, m := range list {
			key := fmt.Sprint(m.Incarnation, "/", m.Number)
			if _, ok := d.Messages[key]; !ok {
				d.Messages[key] = m
				d.Order = append(d.Order, m)
			}
		}
	})
	if behind {
		Refuse(w, 409, wire.CodeNewIncarnation, "memory of an earlier moment")
		return
	}
	reply(w, wire.UploadAnswer{Incarnation: upload.Born, Last: upload.Last})
}

// readUpload checks an upload as a management point and a processor would.
func readUpload(r *http.Request, d *Device) (wire.Upload, []wire.Message, error) {
	header := r.Header.Get(wire.HeaderUpload)
	upload, err := wire.ParseUpload(header)
	if err != nil {
		return upload, nil, err
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, wire.MaxUploadBytes+1))
	if err != nil {
		return upload, nil, err
	}
	signature, err := base64.StdEncoding.DecodeString(r.Header.Get(wire.HeaderSignature))
	sum := sha256.Sum256(body)
	switch {
	case err != nil:
		return upload, nil, err
	case len(body) > wire.MaxUploadBytes:
		return upload, nil, errors.New("too large")
	case !signed.Verify(d.Key, wire.SignUpload, []byte(header), signature):
		return upload, nil, errors.New("signature is wrong")
	case upload.Device != d.ID || upload.Hash != hex.EncodeToString(sum[:]):
		return upload, nil, errors.New("header is of another body or device")
	}
	if r.Header.Get("Content-Encoding") == "zstd" {
		decoder, err := zstd.NewReader(bytes.NewReader(body), zstd.WithDecoderConcurrency(1))
		if err != nil {
			return upload, nil, err
		}
		defer decoder.Close()
		if body, err = io.ReadAll(io.LimitReader(decoder, wire.MaxUploadPlainBytes+1)); err != nil {
			return upload, nil, err
		}
	}
	var list []wire.Message
	if err := json.Unmarshal(body, &list); err != nil {
		return upload, nil, err
	}
	return upload, list, checkMessages(upload, list)
}

func checkMessages(upload wire.Upload, list []wire.Message) error {
	if len(list) != upload.Count || list[0].Number != upload.First || list[len(list)-1].Number != upload.Last {
		return errors.New("header does not fit the messages")
	}
	for i, m := range list {
		body, ok := wire.MessageTypes()[m.Type]
		switch {
		case m.Incarnation != upload.Born || i > 0 && m.Number <= list[i-1].Number:
			return errors.New("messages are not of one incarnation in order")
		case !ok:
			return fmt.Errorf("message type %q is unknown", m.Type)
		}
		if err := json.Unmarshal(m.Body, body()); err != nil {
			return err
		}
	}
	return nil
}

// Network connects clients to management points without sockets, so that it
// works in a synctest bubble too.
type Network struct {
	mu        sync.Mutex // guards everything below
	listeners map[string]*listener
	down      map[string]bool
	dials     int
}

// NewNetwork makes an empty network.
func NewNetwork() *Network {
	return &Network{listeners: map[string]*listener{}, down: map[string]bool{}}
}

// SetDown makes an address unreachable, or reachable again.
func (n *Network) SetDown(address string, down bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.down[address] = down
	if down && n.listeners[address] != nil {
		n.listeners[address].cut()
	}
}

// Dials is the number of connections that were tried.
func (n *Network) Dials() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.dials
}

// Dial connects to a management point.
func (n *Network) Dial(ctx context.Context, _, address string) (net.Conn, error) {
	n.mu.Lock()
	l, down := n.listeners[address], n.down[address]
	n.dials++
	n.mu.Unlock()
	if l == nil || down {
		return nil, fmt.Errorf("dial %s: connection refused", address)
	}
	return l.dial(ctx)
}

func (n *Network) listen(address string) *listener {
	n.mu.Lock()
	defer n.mu.Unlock()
	l := &listener{address: address, conns: make(chan net.Conn), closed: make(chan struct{})}
	n.listeners[address] = l
	return l
}

type listener struct {
	address string
	conns   chan net.Conn
	closed  chan struct{}
	once    sync.Once

	mu   sync.Mutex // guards open
	open []net.Conn
}

func (l *listener) dial(ctx context.Context) (net.Conn, error) {
	near, far := newPipe(l.address)
	select {
	case l.conns <- far:
		l.mu.Lock()
		l.open = append(l.open, far)
		l.mu.Unlock()
		return near, nil
	case <-l.closed:
		return nil, errors.New("connection refused")
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// cut ends all connections.
func (l *listener) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.open {
		c.Close()
	}
	l.open = nil
}

// Accept, Close and Addr make it a net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *listener) Addr() net.Addr { return address(l.address) }

type address string

func (a address) Network() string { return "pipe" }
func (a address) String() string  { return string(a) }
