package transport

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"mainstay/lib/fault"
	"mainstay/lib/signed"
	"mainstay/wire"
)

// FirstContact asks one management point after another for the description of
// the site, before its root is known. Nothing secret is sent, and the answer
// proves nothing: trusts decides by the root certificate in it, which the
// description is then checked against, and so must be the one that answered.
// The description that is returned is signed by that root's site, of the right
// site code, and came from a site system of it.
func (t *Transport) FirstContact(ctx context.Context, trusts func(rootDER []byte) error) (wire.Signed, wire.SiteDescription, error) {
	var problems []error
	denied := 0
	for _, p := range t.order() {
		s, description, err := t.firstContact(ctx, p.address, trusts)
		if err == nil {
			t.served(ctx, p)
			return s, description, nil
		}
		problems = append(problems, fmt.Errorf("management point %s: %w", p.address, err))
		if fault.Is(err, fault.Denied) {
			denied++
		}
		if ctx.Err() != nil {
			break
		}
		t.mu.Lock()
		t.restLocked(p, 0)
		t.mu.Unlock()
	}
	if len(problems) == 0 {
		return wire.Signed{}, wire.SiteDescription{}, t.allRest()
	}
	slices.SortFunc(problems, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	err := errors.Join(problems...)
	advice := TryAnother
	if denied == len(problems) {
		advice = GiveUp // every one of them belongs to another site
	}
	return wire.Signed{}, wire.SiteDescription{}, &Failure{Advice: advice, After: t.untilAwake(), Text: err.Error(), Cause: err}
}

func (t *Transport) firstContact(ctx context.Context, address string, trusts func([]byte) error) (wire.Signed, wire.SiteDescription, error) {
	var peer []*x509.Certificate
	h := t.httpTransport(func(state tls.ConnectionState) error {
		peer = state.PeerCertificates
		return nil
	})
	// Nobody unknown learns who we are.
	h.TLSClientConfig.GetClientCertificate = nil
	defer h.CloseIdleConnections()
	began := time.Now()
	c := call{method: http.MethodGet, path: wire.DoorSite, limit: wire.MaxAnswerBytes}
	a, o := exchange(ctx, httpClient(h), address, c)
	f := judge(ctx, o)
	t.observe(began, address, c, a, f)
	if f != nil {
		return wire.Signed{}, wire.SiteDescription{}, f
	}
	s, unchecked, err := decodeSite(a.body)
	if err != nil {
		return wire.Signed{}, wire.SiteDescription{}, err
	}
	if err := trusts(unchecked.Root); err != nil {
		return wire.Signed{}, wire.SiteDescription{}, err
	}
	root, err := x509.ParseCertificate(unchecked.Root)
	if err != nil {
		return wire.Signed{}, wire.SiteDescription{}, fault.Wrap(fault.Denied, err, "root certificate cannot be read")
	}
	description, err := OpenSite(s, t.siteCode, root, 0)
	if err != nil {
		return wire.Signed{}, wire.SiteDescription{}, err
	}
	checker := &Transport{siteCode: t.siteCode, now: t.now, root: root}
	if err := checker.verifyPeer(tls.ConnectionState{PeerCertificates: peer}); err != nil {
		return wire.Signed{}, wire.SiteDescription{}, err
	}
	return s, description, nil
}

func decodeSite(body []byte) (wire.Signed, wire.SiteDescription, error) {
	var s wire.Signed
	if err := DecodeJSON(body, &s); err != nil {
		return s, wire.SiteDescription{}, err
	}
	var description wire.SiteDescription
	return s, description, DecodeJSON(s.Payload, &description)
}

// OpenSite checks a signed description of the site against its root. atLeast
// is the highest version accepted before.
func OpenSite(s wire.Signed, siteCode string, root *x509.Certificate, atLeast int64) (wire.SiteDescription, error) {
	var description wire.SiteDescription
	// A description does not expire, so the time plays no part.
	err := signed.Open(s, signed.Expect{Kind: wire.KindSiteDescription, SiteCode: siteCode, Root: root, AtLeast: atLeast}, &description)
	if err != nil {
		return wire.SiteDescription{}, err
	}
	if !bytes.Equal(description.Root, root.Raw) {
		return wire.SiteDescription{}, fault.New(fault.Denied, "description of site %s names another root certificate", siteCode)
	}
	return description, nil
}

// Site asks for the description of the site. The caller checks it.
func (t *Transport) Site(ctx context.Context) (wire.Signed, string, error) {
	a, err := t.do(ctx, call{method: http.MethodGet, path: wire.DoorSite, limit: wire.MaxAnswerBytes})
	if err != nil {
		return wire.Signed{}, "", err
	}
	s, _, err := decodeSite(a.body)
	return s, a.point, t.believe(a, err)
}

// believe turns an answer that makes no sense into the failure of who gave it.
func (t *Transport) believe(a answer, err error) error {
	if err == nil {
		return nil
	}
	t.Distrust(a.point)
	return &Failure{Advice: TryAnother, After: t.untilAwake(), ManagementPoint: a.point, Status: a.status, Text: err.Error(), Cause: err}
}

// Register sends a registration. The caller checks the certificate.
func (t *Transport) Register(ctx context.Context, r wire.RegisterRequest) (wire.RegisterAnswer, error) {
	return t.certify(ctx, wire.DoorRegister, r)
}

// Renew asks for a new certificate for the client's own key.
func (t *Transport) Renew(ctx context.Context, key *ecdsa.PrivateKey) (wire.RegisterAnswer, error) {
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return wire.RegisterAnswer{}, fmt.Errorf("cannot encode public key: %w", err)
	}
	signature, err := signed.Sign(key, wire.SignRenew, public)
	if err != nil {
		return wire.RegisterAnswer{}, err
	}
	return t.certify(ctx, wire.DoorRenew, wire.RenewRequest{PublicKey: public, Signature: signature})
}

func (t *Transport) certify(ctx context.Context, door string, request any) (wire.RegisterAnswer, error) {
	var result wire.RegisterAnswer
	body, err := EncodeJSON(request)
	if err != nil {
		return result, err
	}
	a, err := t.do(ctx, call{
		method: http.MethodPost, path: door, body: body, limit: wire.MaxAnswerBytes,
		header: http.Header{"Content-Type": {"application/json"}},
	})
	if err != nil {
		return result, err
	}
	return result, t.believe(a, DecodeJSON(a.body, &result))
}

// PolicyReply is the answer of a policy poll.
type PolicyReply struct {
	// ManagementPoint is who answered.
	ManagementPoint string
	// Unchanged: what the given tag names is still the answer.
	Unchanged bool
	Tag       string
	Answer    wire.PolicyAnswer
}

// Policy polls. tag is that of the last answer, or "". The caller checks the
// statements.
func (t *Transport) Policy(ctx context.Context, tag string) (PolicyReply, error) {
	header := http.Header{}
	if tag != "" {
		header.Set("If-None-Match", tag)
	}
	a, err := t.do(ctx, call{method: http.MethodGet, path: wire.DoorPolicy, header: header, limit: wire.MaxAnswerBytes})
	if err != nil {
		return PolicyReply{}, err
	}
	reply := PolicyReply{ManagementPoint: a.point, Tag: a.header.Get("ETag")}
	if a.status == http.StatusNotModified {
		reply.Unchanged, reply.Tag = true, tag
		if tag == "" {
			return reply, t.believe(a, fault.New(fault.Denied, "says that nothing changed although nothing is known"))
		}
		return reply, nil
	}
	if len(reply.Tag) > 256 {
		reply.Tag = ""
	}
	return reply, t.believe(a, DecodeJSON(a.body, &reply.Answer))
}

// PolicyBody fetches a policy body and checks that it is the one with this
// hash (hex) and size; a management point that has another is given a rest and
// the next is asked.
func (t *Transport) PolicyBody(ctx context.Context, hash string, size int64) ([]byte, error) {
	if size < 0 || size > wire.MaxPolicyBodyBytes {
		return nil, fault.New(fault.Denied, "policy body has %d bytes, want at most %d", size, wire.MaxPolicyBodyBytes)
	}
	for {
		a, err := t.do(ctx, call{method: http.MethodGet, path: wire.DoorPolicyBody + hash, limit: wire.MaxPolicyBodyBytes})
		if err != nil {
			return nil, err
		}
		sum := sha256.Sum256(a.body)
		if int64(len(a.body)) == size && hex.EncodeToString(sum[:]) == hash {
			return a.body, nil
		}
		err = t.believe(a, fault.New(fault.Denied, "policy body %.12s… is not what the site signed", hash))
		if len(t.order()) == 0 {
			return nil, err
		}
	}
}

// Upload is one upload: messages of one incarnation, in order.
type Upload struct {
	// Device, Running, Born, First, Last, Acknowledged as in wire.Upload.
	Device, Running, Born     string
	First, Last, Acknowledged int64
	Messages                  []wire.Message
	// Key is the device's.
	Key *ecdsa.PrivateKey
}

// ErrTooLarge says that an upload exceeds what a site takes at once: send
// fewer messages.
var ErrTooLarge = fault.New(fault.Invalid, "upload is larger than a site takes at once")

// Upload sends messages and returns up to which number they are committed in
// the site database.
func (t *Transport) Upload(ctx context.Context, u Upload) (int64, error) {
	body, err := EncodeJSON(u.Messages)
	if err != nil {
		return 0, fmt.Errorf("cannot encode messages: %w", err)
	}
	if len(body) > wire.MaxUploadPlainBytes {
		return 0, ErrTooLarge
	}
	header := http.Header{"Content-Type": {"application/json"}}
	if len(body) > compressFrom {
		if body, err = t.compressor.compress(body); err != nil {
			return 0, err
		}
		header.Set("Content-Encoding", "zstd")
	}
	if len(body) > wire.MaxUploadBytes {
		return 0, ErrTooLarge
	}
	if err := sign(header, u, body); err != nil {
		return 0, err
	}
	a, err := t.do(ctx, call{method: http.MethodPost, path: wire.DoorMessages, header: header, body: body, limit: wire.MaxAnswerBytes, messages: u.Messages})
	if err != nil {
		return 0, err
	}
	var result wire.UploadAnswer
	err = DecodeJSON(a.body, &result)
	if err == nil && (result.Incarnation != u.Born || result.Last < u.First || result.Last > u.Last) {
		err = fault.New(fault.Denied, "acknowledged %q up to %d, which is not what was sent", clean(result.Incarnation), result.Last)
	}
	return result.Last, t.believe(a, err)
}

// sign adds the headers that describe the body, and the client's signature of
// them.
func sign(header http.Header, u Upload, body []byte) error {
	sum := sha256.Sum256(body)
	text := wire.Upload{
		Device: u.Device, Running: u.Running, Born: u.Born, First: u.First, Last: u.Last,
		Acknowledged: u.Acknowledged, Count: len(u.Messages), Hash: hex.EncodeToString(sum[:]),
	}.String()
	if _, err := wire.ParseUpload(text); err != nil {
		return fmt.Errorf("cannot describe the upload: %w", err)
	}
	signature, err := signed.Sign(u.Key, wire.SignUpload, []byte(text))
	if err != nil {
		return err
	}
	header.Set(wire.HeaderUpload, text)
	header.Set(wire.HeaderSignature, base64.StdEncoding.EncodeToString(signature))
	return nil
}
