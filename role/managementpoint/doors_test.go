package managementpoint

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"filippo.io/age"

	"mainstay/lib/mtls"
	"mainstay/lib/signed"
	"mainstay/site"
	"mainstay/site/access"
	"mainstay/site/device"
	"mainstay/site/policy"
	"mainstay/site/publishing"
	"mainstay/site/sitedb"
	"mainstay/site/trust"
	"mainstay/wire"
)

// point is a management point on real TLS, with the site server's components
// run by hand.
type point struct {
	*testing.T
	db        *sitedb.DB
	authority *trust.Authority
	m         *ManagementPoint
	url       string
	clock     time.Time
	registrar *device.Registrar
	compiler  *policy.Compiler
}

func startPoint(t *testing.T) *point {
	t.Helper()
	db, err := sitedb.Open(t.Context(), sitedb.Config{Path: filepath.Join(t.TempDir(), "site.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	p := &point{T: t, db: db, clock: time.Now()}
	p.found()
	if p.m, err = New(Config{DB: db, Site: p.authority.Site(), System: "mp", Now: p.now}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { p.m.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
	server := httptest.NewUnstartedServer(p.m.Handler())
	host := p.host()
	server.TLS = p.m.TLS(mtls.Fixed{Certificate: host})
	// httptest would put a certificate of its own here.
	server.TLS.Certificates = []tls.Certificate{host}
	server.StartTLS()
	t.Cleanup(server.Close)
	p.url = server.URL
	return p
}

func (p *point) now() time.Time { return p.clock }

func (p *point) found() {
	p.Helper()
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		p.Fatal(err)
	}
	key := identity.Recipient().String()
	p.write(func(tx *sitedb.Tx) error {
		if _, err := trust.Create(p.Context(), tx, trust.Genesis{SiteCode: "LAB", SiteServer: key, Recovery: key, Now: p.clock}); err != nil {
			return err
		}
		if err := policy.Found(p.Context(), tx, "LAB", p.clock); err != nil {
			return err
		}
		if err := site.PutSystem(p.Context(), tx, site.System{ID: "mp", Address: "mp.example", ClientPort: 8443}); err != nil {
			return err
		}
		return site.PutRole(p.Context(), tx, "mp", site.RoleManagementPoint, site.StateOK, "", p.clock)
	})
	if p.authority, err = trust.OpenAuthority(p.Context(), p.db, identity); err != nil {
		p.Fatal(err)
	}
	p.registrar = device.NewRegistrar(device.RegistrarConfig{
		DB: p.db, Authority: p.authority, Now: p.now,
		OnDevice: func(ctx context.Context, tx *sitedb.Tx, id string) error { return policy.Want(ctx, tx, id, p.clock) },
		Report:   func(context.Context, *sitedb.Tx, device.Event, string, ...string) error { return nil },
	})
	p.compiler = policy.NewCompiler(policy.CompilerConfig{DB: p.db, Authority: p.authority, Now: p.now})
}

func (p *point) write(do func(*sitedb.Tx) error) {
	p.Helper()
	if err := p.db.Write(p.Context(), do); err != nil {
		p.Fatal(err)
	}
}

func (p *point) host() tls.Certificate {
	p.Helper()
	key, err := mtls.NewKey()
	if err != nil {
		p.Fatal(err)
	}
	_, chain, err := p.authority.IssueSystem("mp", &key.PublicKey, []string{"127.0.0.1"}, p.clock)
	if err != nil {
		p.Fatal(err)
	}
	return tls.Certificate{Certificate: chain, PrivateKey: key}
}

// client registers a machine by hand and gives it an HTTP client.
func (p *point) client() (*http.Client, *ecdsa.PrivateKey, string) {
	p.Helper()
	key, err := mtls.NewKey()
	if err != nil {
		p.Fatal(err)
	}
	row, err := device.Submit(p.Context(), p.db, "LAB", p.registration(key), "test", p.clock)
	if err != nil {
		p.Fatal(err)
	}
	p.settle()
	p.write(func(tx *sitedb.Tx) error {
		_, err := device.Approve(p.Context(), tx, access.Local("root", "test"), row.KeyFingerprint, p.clock)
		return err
	})
	p.settle()
	if row, err = device.Standing(p.Context(), p.db, row.KeyFingerprint); err != nil {
		p.Fatal(err)
	}
	answer, err := row.Answer()
	if err != nil {
		p.Fatal(err)
	}
	return p.with(answer.Chain, key), key, answer.DeviceID
}

// settle lets the site server do what waits, and the management point see it.
func (p *point) settle() {
	p.Helper()
	if err := p.registrar.Pass(p.Context()); err != nil {
		p.Fatal(err)
	}
	if _, err := p.compiler.Pass(p.Context()); err != nil {
		p.Fatal(err)
	}
	if err := p.m.directory.Refresh(p.Context()); err != nil {
		p.Fatal(err)
	}
	if err := p.m.policy.Refresh(p.Context()); err != nil {
		p.Fatal(err)
	}
}

func (p *point) registration(key *ecdsa.PrivateKey) []byte {
	p.Helper()
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		p.Fatal(err)
	}
	data, err := json.Marshal(wire.Registration{
		Version: wire.Version, SiteCode: "LAB", PublicKey: der, Name: "one", Proof: wire.ProofNone, OS: "linux", Arch: "amd64",
	})
	if err != nil {
		p.Fatal(err)
	}
	request := wire.RegisterRequest{Registration: data}
	if request.Signature, err = signed.Sign(key, wire.SignRegister, data); err != nil {
		p.Fatal(err)
	}
	body, err := json.Marshal(request)
	if err != nil {
		p.Fatal(err)
	}
	return body
}

// with is an HTTP client that shows a certificate; chain nil shows none.
func (p *point) with(chain [][]byte, key *ecdsa.PrivateKey) *http.Client {
	p.Helper()
	var own mtls.Host
	if chain != nil {
		own = mtls.Fixed{Certificate: tls.Certificate{Certificate: chain, PrivateKey: key}}
	}
	config := mtls.ClientConfig(p.authority.Root(), "LAB", own, p.now)
	return &http.Client{Transport: &http.Transport{TLSClientConfig: config}}
}

// do makes a request and returns status, problem code and body.
func (p *point) do(client *http.Client, method, door string, body []byte, header ...string) (int, string, []byte, http.Header) {
	p.Helper()
	request, err := http.NewRequest(method, p.url+door, bytes.NewReader(body))
	if err != nil {
		p.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := client.Do(request)
	if err != nil {
		p.Fatal(err)
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		p.Fatal(err)
	}
	var problem wire.Problem
	if strings.Contains(response.Header.Get("Content-Type"), "problem") {
		if err := json.Unmarshal(data, &problem); err != nil {
			p.Fatal(err)
		}
	}
	return response.StatusCode, problem.Code, data, response.Header
}

func (p *point) expect(client *http.Client, method, door string, body []byte, status int, code string) {
	p.Helper()
	if gotStatus, gotCode, data, _ := p.do(client, method, door, body); gotStatus != status || gotCode != code {
		p.Errorf("%s %s: %d %q, want %d %q: %s", method, door, gotStatus, gotCode, status, code, data)
	}
}

func TestPolicyIsServedOnceAndThenUnchanged(t *testing.T) {
	t.Parallel()
	p := startPoint(t)
	client, _, id := p.client()
	status, _, body, header := p.do(client, "GET", wire.DoorPolicy, nil)
	if status != http.StatusOK {
		t.Fatalf("status %d: %s", status, body)
	}
	var answer wire.PolicyAnswer
	if err := json.Unmarshal(body, &answer); err != nil {
		t.Fatal(err)
	}
	var assignments wire.PolicyAssignments
	err := signed.Open(answer.Assignments, signed.Expect{
		Kind: wire.KindPolicyAssignments, SiteCode: "LAB", Device: id, Root: p.authority.Root(), Now: p.clock,
	}, &assignments)
	if err != nil {
		t.Fatal(err)
	}
	status, _, body, _ = p.do(client, "GET", wire.DoorPolicy, nil, "If-None-Match", header.Get("ETag"))
	if status != http.StatusNotModified || len(body) != 0 {
		t.Errorf("unchanged poll: status %d, %d bytes", status, len(body))
	}
	p.expect(client, "GET", wire.DoorPolicyBody+assignments.Assignments[0].Hash, nil, http.StatusOK, "")
	p.expect(client, "GET", wire.DoorPolicyBody+"no-such-hash", nil, http.StatusNotFound, wire.CodeRefused)
}

func TestStrangersGetNothingButTheOpenDoors(t *testing.T) {
	t.Parallel()
	p := startPoint(t)
	stranger := p.with(nil, nil)
	for _, door := range []string{wire.DoorPolicy, wire.DoorPolicyBody + "x"} {
		p.expect(stranger, "GET", door, nil, http.StatusUnauthorized, wire.CodeRefused)
	}
	for _, door := range []string{wire.DoorMessages, wire.DoorRenew} {
		p.expect(stranger, "POST", door, nil, http.StatusUnauthorized, wire.CodeRefused)
	}
	p.expect(stranger, "GET", "/", nil, http.StatusNotFound, wire.CodeRefused)
	p.expect(stranger, "GET", wire.DoorSite, nil, http.StatusServiceUnavailable, wire.CodeComeBack)
	publisher := publishing.New(publishing.Config{DB: p.db, Authority: p.authority, Now: p.now})
	if err := publisher.Pass(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.expect(stranger, "GET", wire.DoorSite, nil, http.StatusOK, "")
	response, err := stranger.Get(p.url + wire.DoorSite)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if !response.Close {
		t.Error("a stranger keeps its connection")
	}
}

func TestCertificateOfAnotherSiteIsNoCertificate(t *testing.T) {
	t.Parallel()
	p := startPoint(t)
	key, err := mtls.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	root, err := mtls.NewRoot("LAB", key, p.clock)
	if err != nil {
		t.Fatal(err)
	}
	_, chain, err := root.Issue(mtls.Request{Subject: mtls.Subject{SiteCode: "LAB", Purpose: mtls.PurposeClient, ID: "x"}, Key: key.Public(), Lifetime: time.Hour}, p.clock)
	if err != nil {
		t.Fatal(err)
	}
	if response, err := p.with(chain, key).Get(p.url + wire.DoorPolicy); err == nil {
		response.Body.Close()
		t.Errorf("a certificate of somebody else's root was let in: %d", response.StatusCode)
	}
}

func TestBlockingEndsServiceOnAnOpenConnection(t *testing.T) {
	t.Parallel()
	p := startPoint(t)
	client, _, id := p.client()
	p.expect(client, "GET", wire.DoorPolicy, nil, http.StatusOK, "")
	p.write(func(tx *sitedb.Tx) error {
		_, err := device.Block(t.Context(), tx, access.Local("root", "test"), id, "stolen", p.clock)
		return err
	})
	p.settle()
	for _, door := range []string{wire.DoorPolicy, wire.DoorPolicyBody + "x"} {
		p.expect(client, "GET", door, nil, http.StatusForbidden, wire.CodeBlocked)
	}
	p.expect(client, "POST", wire.DoorMessages, nil, http.StatusForbidden, wire.CodeBlocked)
	p.expect(client, "POST", wire.DoorRenew, nil, http.StatusForbidden, wire.CodeBlocked)
}

func TestForgottenDeviceIsToldToRegister(t *testing.T) {
	t.Parallel()
	p := startPoint(t)
	client, _, id := p.client()
	p.write(func(tx *sitedb.Tx) error {
		_, err := device.Delete(t.Context(), tx, access.Local("root", "test"), id, p.clock)
		return err
	})
	p.settle()
	p.expect(client, "GET", wire.DoorPolicy, nil, http.StatusForbidden, wire.CodeUnknownDevice)
}

func TestEndedCertificateIsGoodAtTheRenewalDoorAlone(t *testing.T) {
	t.Parallel()
	p := startPoint(t)
	client, key, _ := p.client()
	_, _, chain, _ := p.renewal(client, key)
	ended := p.with(chain, key)
	p.m.c.Now = func() time.Time { return p.clock.Add(mtls.ClientLifetime + time.Hour) }
	p.expect(ended, "GET", wire.DoorPolicy, nil, http.StatusForbidden, wire.CodeExpired)
	p.expect(ended, "POST", wire.DoorMessages, nil, http.StatusForbidden, wire.CodeExpired)
	if status, code, _, _ := p.renewal(ended, key); status != http.StatusOK {
		t.Errorf("renewal: %d %s", status, code)
	}
}

// renewal asks for a new certificate while the site server decides.
func (p *point) renewal(client *http.Client, key *ecdsa.PrivateKey) (int, string, [][]byte, http.Header) {
	p.Helper()
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		p.Fatal(err)
	}
	signature, err := signed.Sign(key, wire.SignRenew, der)
	if err != nil {
		p.Fatal(err)
	}
	body, err := json.Marshal(wire.RenewRequest{PublicKey: der, Signature: signature})
	if err != nil {
		p.Fatal(err)
	}
	ctx, cancel := context.WithCancel(p.Context())
	defer cancel()
	asked := p.db.Subscribe(ctx, device.TopicRegistration)
	var deciding sync.WaitGroup
	deciding.Go(func() {
		select {
		case <-asked:
			// Not ctx: the answer may come before the pass ends.
			if err := p.registrar.Pass(p.Context()); err != nil {
				p.Error(err)
			}
		case <-ctx.Done():
		}
	})
	status, code, data, header := p.do(client, "POST", wire.DoorRenew, body)
	cancel()
	deciding.Wait()
	var answer wire.RegisterAnswer
	if status == http.StatusOK {
		if err := json.Unmarshal(data, &answer); err != nil {
			p.Fatal(err)
		}
	}
	return status, code, answer.Chain, header
}

func TestRegistrationDoorRefusesWhatIsWrong(t *testing.T) {
	t.Parallel()
	p := startPoint(t)
	stranger := p.with(nil, nil)
	p.expect(stranger, "POST", wire.DoorRegister, []byte("{"), http.StatusBadRequest, wire.CodeRefused)
	p.expect(stranger, "POST", wire.DoorRegister, bytes.Repeat([]byte("a"), wire.MaxRegisterBytes+1), http.StatusRequestEntityTooLarge, wire.CodeRefused)
	p.expect(stranger, "GET", wire.DoorRegister, nil, http.StatusNotFound, wire.CodeRefused)
}

func TestOneAddressCannotAskForEver(t *testing.T) {
	t.Parallel()
	p := startPoint(t)
	stranger := p.with(nil, nil)
	for range strangerBurst {
		p.do(stranger, "GET", "/", nil)
	}
	status, code, _, header := p.do(stranger, "GET", "/", nil)
	if status != http.StatusTooManyRequests || code != wire.CodeComeBack || header.Get("Retry-After") == "" {
		t.Errorf("got %d %s, Retry-After %q", status, code, header.Get("Retry-After"))
	}
	client, _, _ := p.client()
	p.expect(client, "GET", wire.DoorPolicy, nil, http.StatusOK, "")
}
