package mtls

import (
	"crypto/tls"
	"crypto/x509"
	"time"

	"mainstay/lib/fault"
)

// Host is the certificate with which a process proves who it is; it may change
// while the process runs.
type Host interface {
	// Current returns the certificate in force.
	Current() (*tls.Certificate, error)
}

// Fixed is a Host that never changes.
type Fixed struct{ Certificate tls.Certificate }

// Current returns the certificate.
func (f Fixed) Current() (*tls.Certificate, error) { return &f.Certificate, nil }

// ClientConfig is the TLS configuration towards a management point: the peer
// must be a site system of the site, whatever name it was reached by. The
// client's own certificate is optional.
func ClientConfig(root *x509.Certificate, siteCode string, own Host, now func() time.Time) *tls.Config {
	config := &tls.Config{
		MinVersion: tls.VersionTLS13,
		// Names play no part: VerifyConnection checks chain, site and purpose.
		InsecureSkipVerify: true,
		ClientSessionCache: tls.NewLRUClientSessionCache(8),
		VerifyConnection: func(state tls.ConnectionState) error {
			if len(state.PeerCertificates) == 0 {
				return fault.New(fault.Denied, "peer showed no certificate")
			}
			return VerifyCertificates(state.PeerCertificates, VerifyOptions{
				Root: root, SiteCode: siteCode, Purpose: PurposeSystem, Now: now(),
			})
		},
	}
	if own != nil {
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return own.Current() }
	}
	return config
}

// ServerConfig is the TLS configuration of the client port: a certificate is
// asked for, and verify judges it on each connection, resumed ones included.
// verify is called with no certificates when the peer showed none.
func ServerConfig(own Host, verify func([]*x509.Certificate) error) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		// The chain is judged in VerifyConnection, because an expired
		// certificate is good at the renewal door and resumption skips
		// VerifyPeerCertificate.
		ClientAuth:       tls.RequestClientCert,
		GetCertificate:   func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return own.Current() },
		VerifyConnection: func(state tls.ConnectionState) error { return verify(state.PeerCertificates) },
	}
}

// BrowserConfig is the TLS configuration of the administrators' port: nobody
// is asked for a certificate.
func BrowserConfig(own Host) *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS13,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return own.Current() },
	}
}
