// Package mtls issues and checks the certificates of a site and makes TLS
// configurations from them. A certificate carries who it is for as a URI,
// mainstay://SITE/PURPOSE/ID, and host names play no part between machines of
// a site. It knows no database and no role.
package mtls

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"strings"
	"time"

	"mainstay/lib/fault"
)

// Purpose is what a certificate is for.
type Purpose string

// The purposes.
const (
	PurposeRoot    Purpose = "root"
	PurposeIssuing Purpose = "issuing"
	PurposeSigning Purpose = "signing"
	PurposeSystem  Purpose = "system"
	PurposeClient  Purpose = "client"
)

// Lifetimes of certificates (design, section 7). Each is renewed from half.
const (
	RootLifetime    = 20 * 365 * 24 * time.Hour
	IssuingLifetime = 10 * 365 * 24 * time.Hour
	SigningLifetime = 10 * 365 * 24 * time.Hour
	ClientLifetime  = 13 * 30 * 24 * time.Hour
	SystemLifetime  = 90 * 24 * time.Hour
	// backdate keeps a new certificate good for peers whose clocks lag.
	backdate = time.Hour
)

// Subject says who a certificate is for.
type Subject struct {
	SiteCode string
	Purpose  Purpose
	ID       string
}

// String is the URI form.
func (s Subject) String() string {
	return "mainstay://" + s.SiteCode + "/" + string(s.Purpose) + "/" + s.ID
}

// SubjectOf reads the subject of a certificate.
func SubjectOf(cert *x509.Certificate) (Subject, error) {
	if len(cert.URIs) != 1 || cert.URIs[0].Scheme != "mainstay" {
		return Subject{}, fault.New(fault.Denied, "certificate carries no mainstay:// identity")
	}
	purpose, id, ok := strings.Cut(strings.TrimPrefix(cert.URIs[0].Path, "/"), "/")
	if !ok || id == "" {
		return Subject{}, fault.New(fault.Denied, "certificate identity %q is incomplete", cert.URIs[0])
	}
	return Subject{SiteCode: cert.URIs[0].Host, Purpose: Purpose(purpose), ID: id}, nil
}

// NewKey makes an ECDSA P-256 key.
func NewKey() (*ecdsa.PrivateKey, error) {
	return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
}

// Issuer is a key that issues certificates, with its chain (DER, own
// certificate first, root left out unless the issuer is the root itself).
type Issuer struct {
	Key         crypto.Signer
	Certificate *x509.Certificate
	Chain       [][]byte
}

// NewRoot makes the self-signed root certificate of a site.
func NewRoot(siteCode string, key crypto.Signer, now time.Time) (*Issuer, error) {
	template, err := template(Subject{siteCode, PurposeRoot, "root"}, now, RootLifetime)
	if err != nil {
		return nil, err
	}
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("cannot make the root certificate: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("cannot read the root certificate back: %w", err)
	}
	return &Issuer{Key: key, Certificate: cert}, nil
}

// Request is what a certificate is wanted for.
type Request struct {
	Subject  Subject
	Key      crypto.PublicKey
	Lifetime time.Duration
	// Hosts are names and addresses that browsers and commands use; only for
	// PurposeSystem.
	Hosts []string
}

// Issue makes a certificate and returns its chain, leaf first, root left out.
func (i *Issuer) Issue(r Request, now time.Time) (*x509.Certificate, [][]byte, error) {
	t, err := template(r.Subject, now, r.Lifetime)
	if err != nil {
		return nil, nil, err
	}
	if err := forPurpose(t, r); err != nil {
		return nil, nil, err
	}
	if t.NotAfter.After(i.Certificate.NotAfter) {
		t.NotAfter = i.Certificate.NotAfter
	}
	der, err := x509.CreateCertificate(rand.Reader, t, i.Certificate, r.Key, i.Key)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot issue certificate for %s: %w", r.Subject, err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot read certificate of %s back: %w", r.Subject, err)
	}
	return cert, append([][]byte{der}, i.Chain...), nil
}

func template(s Subject, now time.Time, lifetime time.Duration) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("cannot draw a serial number: %w", err)
	}
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: s.ID, Organization: []string{"Mainstay site " + s.SiteCode}, OrganizationalUnit: []string{string(s.Purpose)}},
		URIs:         []*url.URL{{Scheme: "mainstay", Host: s.SiteCode, Path: "/" + string(s.Purpose) + "/" + s.ID}},
		NotBefore:    now.Add(-backdate).UTC(),
		NotAfter:     now.Add(lifetime).UTC(),
		KeyUsage:     x509.KeyUsageDigitalSignature,
	}, nil
}

func forPurpose(t *x509.Certificate, r Request) error {
	switch r.Subject.Purpose {
	case PurposeIssuing:
		t.IsCA, t.BasicConstraintsValid, t.MaxPathLenZero = true, true, true
		t.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	case PurposeSigning:
	case PurposeClient:
		t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	case PurposeSystem:
		t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
		for _, host := range r.Hosts {
			if ip := net.ParseIP(host); ip != nil {
				t.IPAddresses = append(t.IPAddresses, ip)
			} else {
				t.DNSNames = append(t.DNSNames, host)
			}
		}
	default:
		return fault.New(fault.Internal, "no certificate is issued for purpose %q", r.Subject.Purpose)
	}
	return nil
}

// VerifyOptions say which certificate is acceptable.
type VerifyOptions struct {
	Root     *x509.Certificate
	SiteCode string
	Purpose  Purpose
	// Now is the time to judge by.
	Now time.Time
	// IgnoreTime accepts a certificate that has ended.
	IgnoreTime bool
}

// VerifyChain checks a chain (DER, leaf first) up to the root and that the
// leaf is of the site and for the purpose. A certificate that is right but for
// its time is a Stale error, any other a Denied one.
func VerifyChain(chain [][]byte, o VerifyOptions) (*x509.Certificate, error) {
	if len(chain) == 0 || len(chain) > 4 {
		return nil, fault.New(fault.Denied, "certificate chain has %d certificates, want 1 to 4", len(chain))
	}
	certs := make([]*x509.Certificate, len(chain))
	for i, der := range chain {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fault.Wrap(fault.Denied, err, "certificate %d of the chain cannot be read", i+1)
		}
		certs[i] = cert
	}
	return certs[0], VerifyCertificates(certs, o)
}

// VerifyCertificates is VerifyChain for certificates that are parsed already.
func VerifyCertificates(certs []*x509.Certificate, o VerifyOptions) error {
	leaf := certs[0]
	if o.Root == nil {
		return fault.New(fault.Denied, "no root certificate to trust")
	}
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(o.Root)
	for _, cert := range certs[1:] {
		between.AddCert(cert)
	}
	at := o.Now
	if o.IgnoreTime || at.After(leaf.NotAfter) {
		at = leaf.NotBefore.Add(backdate)
	}
	_, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	if err != nil {
		return fault.Wrap(fault.Denied, err, "certificate does not lead to the site's root")
	}
	subject, err := SubjectOf(leaf)
	if err != nil {
		return err
	}
	if subject.SiteCode != o.SiteCode || subject.Purpose != o.Purpose {
		return fault.New(fault.Denied, "certificate is for %s, want %s of site %s", subject, o.Purpose, o.SiteCode)
	}
	if !o.IgnoreTime && o.Now.After(leaf.NotAfter) {
		return fault.New(fault.Stale, "certificate of %s ended at %s", subject, leaf.NotAfter.Format(time.RFC3339))
	}
	return nil
}

// Fingerprint is the SHA-256 of a certificate, hex.
func Fingerprint(der []byte) string {
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:])
}

// KeyFingerprint is the SHA-256 of a public key in PKIX DER, hex.
func KeyFingerprint(key crypto.PublicKey) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return "", fmt.Errorf("cannot encode public key: %w", err)
	}
	return Fingerprint(der), nil
}

// ParsePublicKey reads an ECDSA P-256 key in PKIX DER and refuses any other.
func ParsePublicKey(der []byte) (*ecdsa.PublicKey, error) {
	key, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "public key cannot be read")
	}
	ec, ok := key.(*ecdsa.PublicKey)
	if !ok || ec.Curve != elliptic.P256() {
		return nil, fault.New(fault.Invalid, "public key is not ECDSA P-256")
	}
	return ec, nil
}

// EncodeKey gives a private key as PEM (PKCS #8).
func EncodeKey(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("cannot encode private key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// DecodeKey reads what EncodeKey wrote.
func DecodeKey(data []byte) (*ecdsa.PrivateKey, error) {
	block, _ := pem.Decode(data)
	if block == nil || block.Type != "PRIVATE KEY" {
		return nil, fault.New(fault.Invalid, "private key is not in PEM form")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "private key cannot be read")
	}
	ec, ok := key.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fault.New(fault.Invalid, "private key is not an ECDSA key")
	}
	return ec, nil
}

// EncodeChain gives certificates as PEM, in order.
func EncodeChain(chain [][]byte) []byte {
	var out []byte
	for _, der := range chain {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	return out
}

// DecodeChain reads what EncodeChain wrote.
func DecodeChain(data []byte) ([][]byte, error) {
	var chain [][]byte
	for {
		block, rest := pem.Decode(data)
		if block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return nil, fault.New(fault.Invalid, "PEM block %q where a certificate should be", block.Type)
		}
		chain = append(chain, block.Bytes)
		data = rest
	}
	if len(chain) == 0 {
		return nil, fault.New(fault.Invalid, "no certificate in PEM form found")
	}
	return chain, nil
}
