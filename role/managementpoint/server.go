package managementpoint

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"mainstay/lib/fault"
	"mainstay/lib/httpserve"
	"mainstay/lib/lifecycle"
	"mainstay/lib/mtls"
	"mainstay/lib/ratelimit"
	"mainstay/site"
	"mainstay/site/device"
	"mainstay/site/inbox"
	"mainstay/site/policy"
	"mainstay/site/sitedb"
	"mainstay/site/status"
	"mainstay/wire"
)

// Config is what a management point needs.
type Config struct {
	DB interface {
		sitedb.Writer
		Subscribe(ctx context.Context, topics ...string) <-chan struct{}
	}
	Site site.Site
	// System is the identifier of the site system that it runs on.
	System string
	Now    func() time.Time
}

// ManagementPoint is the role.
type ManagementPoint struct {
	c         Config
	root      *x509.Certificate
	receiver  *inbox.Receiver
	directory *device.Directory
	policy    *policy.Cache
	strangers *ratelimit.Limiter
	contacts  *contacts
	decisions *decisions
}

// Limits of what one address may ask for without a certificate. A site behind
// one NAT address registers a hundred machines in a few seconds.
const (
	strangerBurst = 200
	strangerEvery = 200 * time.Millisecond
	strangerKeys  = 10000
)

// New makes the role.
func New(c Config) (*ManagementPoint, error) {
	root, err := c.Site.RootCertificate()
	if err != nil {
		return nil, err
	}
	strangers, err := ratelimit.New(ratelimit.Config{Burst: strangerBurst, Every: strangerEvery, Keys: strangerKeys})
	if err != nil {
		return nil, err
	}
	receiver := inbox.NewReceiver(inbox.ReceiverConfig{DB: c.DB, ManagementPoint: c.System, Now: c.Now, OnConflict: noteConflict(c.System)})
	return &ManagementPoint{
		c: c, root: root, receiver: receiver, strangers: strangers, contacts: newContacts(),
		directory: device.NewDirectory(c.DB), policy: policy.NewCache(c.DB), decisions: newDecisions(c.DB),
	}, nil
}

// noteConflict says, at the device and as a status message, that two running
// clients use its identity.
func noteConflict(system string) func(ctx context.Context, tx *sitedb.Tx, id string) error {
	return func(ctx context.Context, tx *sitedb.Tx, id string) error {
		if err := status.Report(ctx, tx, status.Message{ID: status.IdentityConflict, System: system, Device: id, Insertions: []string{id}}); err != nil {
			return err
		}
		return device.SetConflict(ctx, tx, id, "two running clients use this identity; the older one was told to register as another device")
	}
}

// Run keeps what the role knows up to date until ctx ends. It returns when
// everything it has accepted is settled.
func (m *ManagementPoint) Run(ctx context.Context) error {
	return lifecycle.Run(ctx,
		lifecycle.Task{Name: "device directory", Run: m.directory.Run},
		lifecycle.Task{Name: "policy cache", Run: m.policy.Run},
		lifecycle.Task{Name: "inbox receiver", Run: m.receiver.Run},
		lifecycle.Task{Name: "contacts", Run: m.recordContacts},
		lifecycle.Task{Name: "decisions", Run: m.decisions.Run},
	)
}

// TLS is the configuration of the port that clients use. Blocking is judged
// per request, so that an open connection ends with it.
func (m *ManagementPoint) TLS(own mtls.Host) *tls.Config {
	return mtls.ServerConfig(own, func(certs []*x509.Certificate) error {
		if len(certs) == 0 {
			return nil
		}
		return mtls.VerifyCertificates(certs, mtls.VerifyOptions{
			Root: m.root, SiteCode: m.c.Site.Code, Purpose: mtls.PurposeClient,
			// An ended certificate is good at the renewal door.
			IgnoreTime: true,
		})
	})
}

// Handler serves the doors of wire.
func (m *ManagementPoint) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+wire.DoorSite, m.open(m.describe))
	mux.HandleFunc("POST "+wire.DoorRegister, m.open(m.register))
	mux.HandleFunc("GET "+wire.DoorInstall, m.open(m.installScript))
	mux.HandleFunc("GET "+wire.DoorInstall+"/{file}", m.open(m.installPackage))
	mux.HandleFunc("POST "+wire.DoorRenew, m.known(m.renew, true))
	mux.HandleFunc("GET "+wire.DoorPolicy, m.known(m.servePolicy, false))
	mux.HandleFunc("GET "+wire.DoorPolicyBody+"{hash}", m.known(m.servePolicyBody, false))
	mux.HandleFunc("POST "+wire.DoorMessages, m.known(m.messages, false))
	mux.HandleFunc("/", m.open(func(w http.ResponseWriter, _ *http.Request) {
		refuse(w, http.StatusNotFound, wire.CodeRefused, "there is nothing here")
	}))
	return mux
}

// peer is the client at the other end of a connection.
type peer struct {
	DeviceID string
	// expired: the certificate has ended.
	expired bool
}

// open wraps a door that needs no certificate.
func (m *ManagementPoint) open(handle http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if allowed, wait := m.strangers.Allow(httpserve.Network(httpserve.Source(r)), m.c.Now()); !allowed {
			w.Header().Set("Connection", "close")
			comeBack(w, http.StatusTooManyRequests, wait, "this address asks too often")
			return
		}
		if len(r.TLS.PeerCertificates) == 0 {
			// Strangers do not keep a place that clients need.
			w.Header().Set("Connection", "close")
		}
		handle(w, r)
	}
}

// known wraps a door for devices of the site.
func (m *ManagementPoint) known(handle func(http.ResponseWriter, *http.Request, peer), expiredToo bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		p, ok := m.judge(w, r)
		if !ok {
			return
		}
		if p.expired && !expiredToo {
			refuse(w, http.StatusForbidden, wire.CodeExpired, "the certificate has ended; renew it")
			return
		}
		handle(w, r, p)
	}
}

// judge tells whose certificate was shown, or refuses.
func (m *ManagementPoint) judge(w http.ResponseWriter, r *http.Request) (peer, bool) {
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		refuse(w, http.StatusUnauthorized, wire.CodeRefused, "this door needs the certificate of a client of the site")
		return peer{}, false
	}
	cert := r.TLS.PeerCertificates[0]
	id, standing := m.directory.Judge(sha256.Sum256(cert.RawSubjectPublicKeyInfo))
	switch standing {
	case device.KeyGood:
		return peer{DeviceID: id, expired: m.c.Now().After(cert.NotAfter)}, true
	case device.KeyBlocked:
		refuse(w, http.StatusForbidden, wire.CodeBlocked, "an administrator has blocked this device")
	case device.KeyReplaced:
		refuse(w, http.StatusForbidden, wire.CodeReplaced, "this device has registered with a newer key")
	default:
		m.refuseUnknown(w)
	}
	return peer{}, false
}

// refuseUnknown tells a forgotten device to register again, unless the
// directory itself has not been read yet.
func (m *ManagementPoint) refuseUnknown(w http.ResponseWriter) {
	if m.directory.Age().IsZero() {
		comeBack(w, http.StatusServiceUnavailable, time.Second, "the management point is starting")
		return
	}
	refuse(w, http.StatusForbidden, wire.CodeUnknownDevice, "the site has no record of this device; register again")
}

// refuse answers with a problem.
func refuse(w http.ResponseWriter, status int, code, detail string) {
	body, err := json.Marshal(wire.Problem{Title: http.StatusText(status), Status: status, Code: code, Detail: detail})
	if err != nil {
		status = http.StatusInternalServerError
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	w.Write(body)
}

func comeBack(w http.ResponseWriter, status int, after time.Duration, detail string) {
	seconds := max(1, int((after+time.Second-1)/time.Second))
	w.Header().Set("Retry-After", strconv.Itoa(seconds))
	refuse(w, status, wire.CodeComeBack, detail)
}

// refuseError turns an error into the answer that its kind has on the wire.
func refuseError(w http.ResponseWriter, r *http.Request, err error) {
	text := "the management point could not do this"
	if f, ok := err.(*fault.Error); ok {
		text = f.Text
		if f.Field != "" {
			text = f.Field + ": " + text
		}
	}
	switch fault.KindOf(err) {
	case fault.Invalid:
		refuse(w, http.StatusBadRequest, wire.CodeRefused, text)
	case fault.Denied:
		refuse(w, http.StatusForbidden, wire.CodeRefused, text)
	case fault.NotFound:
		refuse(w, http.StatusNotFound, wire.CodeRefused, text)
	case fault.Conflict:
		refuse(w, http.StatusConflict, wire.CodeRefused, text)
	case fault.Unavailable, fault.Stale:
		comeBack(w, http.StatusServiceUnavailable, 2*time.Second, text)
	default:
		slog.ErrorContext(r.Context(), "request failed", "component", "management point", "path", r.URL.Path, "error", err)
		comeBack(w, http.StatusServiceUnavailable, 10*time.Second, "the management point could not do this")
	}
}

func answerJSON(w http.ResponseWriter, status int, value any) {
	body, err := json.Marshal(value)
	if err != nil {
		refuse(w, http.StatusInternalServerError, wire.CodeRefused, "the answer cannot be encoded")
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(body)
}
