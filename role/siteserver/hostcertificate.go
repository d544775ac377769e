package siteserver

import (
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"mainstay/lib/filesys"
	"mainstay/lib/lifecycle"
	"mainstay/lib/mtls"
	"mainstay/site/trust"
)

// HostCertificate is the certificate of this site system, kept on disk so that
// its roles start when nothing else does, and renewed from half of its life.
// It is a mtls.Host.
type HostCertificate struct {
	dir       string
	system    string
	hosts     []string
	authority *trust.Authority
	now       func() time.Time
	current   atomic.Pointer[tls.Certificate]
}

// hostCertificatePeriod is how often the age of the certificate is looked at.
const hostCertificatePeriod = time.Hour

// LoadHostCertificate reads the certificate, or has it issued when there is
// none, it is past half of its life, or it lacks one of the hosts.
func LoadHostCertificate(dir, system string, hosts []string, authority *trust.Authority, now func() time.Time) (*HostCertificate, error) {
	h := &HostCertificate{dir: dir, system: system, hosts: hosts, authority: authority, now: now}
	if err := h.read(); err != nil && !errors.Is(err, os.ErrNotExist) {
		slog.Warn("host certificate is issued anew, because it cannot be used", "error", err)
	}
	return h, h.renewIfDue()
}

// Current implements mtls.Host.
func (h *HostCertificate) Current() (*tls.Certificate, error) {
	return h.current.Load(), nil
}

// Run renews the certificate when its time has come.
func (h *HostCertificate) Run(ctx context.Context) error {
	return lifecycle.Reconciler{
		Name: "host certificate", Period: hostCertificatePeriod, Pass: func(context.Context) error { return h.renewIfDue() },
	}.Run(ctx)
}

func (h *HostCertificate) renewIfDue() error {
	if cert := h.current.Load(); cert != nil && h.good(cert.Leaf) {
		return nil
	}
	key, err := mtls.NewKey()
	if err != nil {
		return err
	}
	leaf, chain, err := h.authority.IssueSystem(h.system, &key.PublicKey, h.hosts, h.now())
	if err != nil {
		return err
	}
	encoded, err := mtls.EncodeKey(key)
	if err != nil {
		return err
	}
	// Key and certificate in one file, so that a crash leaves a pair.
	pair := append(encoded, mtls.EncodeChain(chain)...)
	if err := filesys.WriteFile(filepath.Join(h.dir, hostCertFile), pair, 0o600); err != nil {
		return err
	}
	h.current.Store(certificate(key, leaf, chain))
	return nil
}

func (h *HostCertificate) good(leaf *x509.Certificate) bool {
	half := leaf.NotBefore.Add(leaf.NotAfter.Sub(leaf.NotBefore) / 2)
	if h.now().After(half) || h.now().Before(leaf.NotBefore) {
		return false
	}
	for _, host := range h.hosts {
		if leaf.VerifyHostname(host) != nil {
			return false
		}
	}
	return true
}

func (h *HostCertificate) read() error {
	data, err := filesys.ReadFile(filepath.Join(h.dir, hostCertFile), maxKeyFile)
	if err != nil {
		return err
	}
	pair, err := tls.X509KeyPair(data, data)
	if err != nil {
		return fmt.Errorf("%s: %w", hostCertFile, err)
	}
	s := h.authority.Site()
	if _, err := mtls.VerifyChain(pair.Certificate, mtls.VerifyOptions{
		Root: h.authority.Root(), SiteCode: s.Code, Purpose: mtls.PurposeSystem, IgnoreTime: true,
	}); err != nil {
		return err
	}
	h.current.Store(&pair)
	return nil
}

func certificate(key *ecdsa.PrivateKey, leaf *x509.Certificate, chain [][]byte) *tls.Certificate {
	return &tls.Certificate{Certificate: chain, PrivateKey: key, Leaf: leaf}
}
