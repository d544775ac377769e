// Package clienttest is the other side of the wire for tests of the client: a
// site of a few maps, and management points that follow wire to the letter and
// can be told to misbehave. It is no model of a real site; whole-site tests use
// the real one.
package clienttest

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"mainstay/lib/mtls"
	"mainstay/lib/registrationtoken"
	"mainstay/lib/signed"
	"mainstay/wire"
)

// Site is what all management points of a test share.
type Site struct {
	Code  string
	Token registrationtoken.Token

	root    *mtls.Issuer
	issuing *mtls.Issuer
	signing *ecdsa.PrivateKey
	chain   [][]byte

	mu            sync.Mutex // guards everything below
	devices       map[string]*Device
	registrations []wire.Registration
	pending       bool
	tokenRefused  bool
	points        []string
	changed       chan struct{}
}

// Device is what the site knows of a client.
type Device struct {
	ID       string
	Key      *ecdsa.PublicKey
	Hardware wire.HardwareIdentity
	// Messages are those that were committed, by incarnation and number.
	Messages map[string]wire.Message
	// Order holds the same in order of arrival.
	Order []wire.Message
	// Acknowledged is the highest number said to be, by incarnation.
	Acknowledged map[string]int64

	assignments wire.PolicyAssignments
	freshness   wire.PolicyFreshness
	bodies      map[string][]byte
	refusal     *wire.Problem
}

// NewSite makes a site with keys and certificates of its own.
func NewSite(t testing.TB, code string) *Site {
	t.Helper()
	now := time.Now()
	root, err := mtls.NewRoot(code, key(t), now)
	check(t, err)
	s := &Site{Code: code, root: root, devices: map[string]*Device{}, changed: make(chan struct{})}
	s.issuing = &mtls.Issuer{Key: key(t)}
	s.issuing.Certificate, s.issuing.Chain, err = root.Issue(mtls.Request{
		Subject: mtls.Subject{SiteCode: code, Purpose: mtls.PurposeIssuing, ID: "issuing"}, Key: s.issuing.Key.Public(), Lifetime: mtls.IssuingLifetime,
	}, now)
	check(t, err)
	s.signing = key(t)
	_, s.chain, err = s.issuing.Issue(mtls.Request{
		Subject: mtls.Subject{SiteCode: code, Purpose: mtls.PurposeSigning, ID: "signing"}, Key: s.signing.Public(), Lifetime: mtls.SigningLifetime,
	}, now)
	check(t, err)
	s.Token, err = registrationtoken.New(code, s.RootDER())
	check(t, err)
	return s
}

func key(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	k, err := mtls.NewKey()
	check(t, err)
	return k
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Root is the root certificate, RootDER the same in DER.
func (s *Site) Root() *x509.Certificate { return s.root.Certificate }

// RootDER is the root certificate in DER.
func (s *Site) RootDER() []byte { return s.root.Certificate.Raw }

// System makes the certificate of a site system.
func (s *Site) System(t testing.TB, id string) mtls.Host {
	t.Helper()
	k := key(t)
	cert, chain, err := s.issuing.Issue(mtls.Request{
		Subject: mtls.Subject{SiteCode: s.Code, Purpose: mtls.PurposeSystem, ID: id}, Key: k.Public(),
		// Longer than real ones: nothing here renews them.
		Lifetime: mtls.IssuingLifetime,
	}, time.Now())
	check(t, err)
	return mtls.Fixed{Certificate: tls.Certificate{Certificate: chain, PrivateKey: k, Leaf: cert}}
}

// Certify makes a client certificate.
func (s *Site) Certify(device string, public any, lifetime time.Duration) ([][]byte, error) {
	_, chain, err := s.issuing.Issue(mtls.Request{
		Subject: mtls.Subject{SiteCode: s.Code, Purpose: mtls.PurposeClient, ID: device}, Key: public, Lifetime: lifetime,
	}, time.Now())
	return chain, err
}

// Sign signs a statement as the site would.
func (s *Site) Sign(kind string, payload any) wire.Signed {
	statement, err := signed.Seal(kind, payload, s.signing, s.chain)
	if err != nil {
		panic(err) // only test data gets here
	}
	return statement
}

// Description is the signed description of the site.
func (s *Site) Description() wire.Signed {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Sign(wire.KindSiteDescription, wire.SiteDescription{
		Statement: s.statement(wire.Everyone, int64(len(s.points)+1)), Root: s.RootDER(), ManagementPoints: slices.Clone(s.points),
	})
}

func (s *Site) statement(device string, version int64) wire.Statement {
	return wire.Statement{SiteCode: s.Code, Device: device, Version: version, Issued: time.Now().UnixMicro()}
}

// SetPending makes registrations wait for an administrator, or not any more.
func (s *Site) SetPending(pending bool) { s.change(func() { s.pending = pending }) }

// RefuseToken makes the token useless, or good again.
func (s *Site) RefuseToken(refuse bool) { s.change(func() { s.tokenRefused = refuse }) }

// Forget removes a device, as a restore of an older backup would.
func (s *Site) Forget(device string) { s.change(func() { delete(s.devices, device) }) }

// Refuse makes the site answer a device with a problem; nil ends that.
func (s *Site) Refuse(device string, p *wire.Problem) {
	s.change(func() { s.devices[device].refusal = p })
}

func (s *Site) change(do func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	do()
	close(s.changed)
	s.changed = make(chan struct{})
}

// Await waits until the condition holds; it is asked again after each request
// that changes the site.
func (s *Site) Await(t testing.TB, what string, condition func() bool) {
	t.Helper()
	for {
		s.mu.Lock()
		changed := s.changed
		s.mu.Unlock()
		if condition() {
			return
		}
		select {
		case <-changed:
		case <-t.Context().Done():
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// Devices lists the registered devices by identifier.
func (s *Site) Devices() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.devices))
}

// Registrations lists what clients said of themselves when they registered.
func (s *Site) Registrations() []wire.Registration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.registrations)
}

// Messages lists the committed messages of a device in order of arrival, of
// one type or of all ("").
func (s *Site) Messages(device, typ string) []wire.Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.devices[device]
	if d == nil {
		return nil
	}
	var list []wire.Message
	for _, m := range d.Order {
		if typ == "" || m.Type == typ {
			list = append(list, m)
		}
	}
	return list
}

// Policy is one policy of a device.
type Policy struct {
	Kind, ID string
	Body     any
}

// SetPolicy gives a device a new list of policies.
func (s *Site) SetPolicy(device string, policies ...Policy) {
	s.change(func() { s.devices[device].setPolicy(s, policies) })
}

func (d *Device) setPolicy(s *Site, policies []Policy) {
	version := d.assignments.Version + 1
	d.bodies = map[string][]byte{}
	d.assignments = wire.PolicyAssignments{Statement: s.statement(d.ID, version), Assignments: []wire.Assignment{}}
	for _, p := range policies {
		body, err := json.Marshal(p.Body)
		if err != nil {
			panic(err) // only test data gets here
		}
		sum := sha256.Sum256(body)
		hash := hex.EncodeToString(sum[:])
		d.bodies[hash] = body
		d.assignments.Assignments = append(d.assignments.Assignments, wire.Assignment{Kind: p.Kind, ID: p.ID, Hash: hash, Size: int64(len(body))})
	}
	d.freshness = wire.PolicyFreshness{Statement: s.statement(d.ID, version), PolicyVersion: version}
	d.freshness.Expires = time.Now().Add(wire.FreshnessDays * 24 * time.Hour).UnixMicro()
}

// PolicyAnswer is what a management point answers a device, and its tag.
func (s *Site) PolicyAnswer(device string) (wire.PolicyAnswer, string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.devices[device]
	// A site renews freshness long before it ends.
	if until := time.UnixMicro(d.freshness.Expires); time.Until(until) < wire.FreshnessDays*12*time.Hour {
		d.freshness.Statement = s.statement(device, d.freshness.Version+1)
		d.freshness.Expires = time.Now().Add(wire.FreshnessDays * 24 * time.Hour).UnixMicro()
	}
	return wire.PolicyAnswer{
		Assignments: s.Sign(wire.KindPolicyAssignments, d.assignments),
		Freshness:   s.Sign(wire.KindPolicyFreshness, d.freshness),
	}, strconv.Quote(fmt.Sprintf("%d-%d", d.assignments.Version, d.freshness.Version))
}

// Statements are the unsigned statements of a device, to be changed and signed
// by a thief.
func (s *Site) Statements(device string) (wire.PolicyAssignments, wire.PolicyFreshness) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.devices[device]
	return d.assignments, d.freshness
}
