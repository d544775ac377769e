package identity

import (
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"time"

	"mainstay/lib/fault"
	"mainstay/lib/mtls"
	"mainstay/wire"
)

// maxFile bounds an identity file in bytes.
const maxFile = 256 << 10

// Identity is a registered machine.
type Identity struct {
	// DeviceID is the device's identifier in the site.
	DeviceID string
	SiteCode string
	Key      *ecdsa.PrivateKey
	// Chain is the certificate and its issuers without the root, DER.
	Chain [][]byte
	// Certificate is Chain[0].
	Certificate *x509.Certificate
	// Root is the site's root certificate, DER; RootCertificate the same.
	Root            []byte
	RootCertificate *x509.Certificate
	// Hardware is that of the machine when it registered.
	Hardware wire.HardwareIdentity
}

// Pending is a machine that registers: its key is on disk before the site
// hears of it, so that the same key asks again after a crash.
type Pending struct {
	Key *ecdsa.PrivateKey
	// CopyOf is the device whose identity this machine found on its disk.
	CopyOf string
	// Cleared: what belongs to CopyOf has been removed from this machine.
	Cleared bool
	// Reason says why the machine registers, for people.
	Reason string
	// replaces is the fingerprint of the certificate that was in force when
	// the registration began, empty for none. Once another is in force the
	// registration is over, whatever a crash left behind.
	replaces string
}

// New checks what a site answered and makes an identity of it: the chain must
// lead to the root, be of the site, name the device and carry the key.
func New(siteCode string, root []byte, key *ecdsa.PrivateKey, answer wire.RegisterAnswer, hardware wire.HardwareIdentity) (*Identity, error) {
	id := &Identity{DeviceID: answer.DeviceID, SiteCode: siteCode, Key: key, Chain: answer.Chain, Root: root, Hardware: hardware}
	return id, id.check()
}

func (id *Identity) check() error {
	root, err := x509.ParseCertificate(id.Root)
	if err != nil {
		return fault.Wrap(fault.Invalid, err, "root certificate cannot be read")
	}
	// An ended certificate still proves who the machine is when it renews.
	leaf, err := mtls.VerifyChain(id.Chain, mtls.VerifyOptions{
		Root: root, SiteCode: id.SiteCode, Purpose: mtls.PurposeClient, IgnoreTime: true,
	})
	if err != nil {
		return err
	}
	subject, err := mtls.SubjectOf(leaf)
	if err != nil {
		return err
	}
	if subject.ID != id.DeviceID || !validDeviceID(id.DeviceID) {
		return fault.New(fault.Denied, "certificate is for device %q, want %q", subject.ID, id.DeviceID)
	}
	if id.Key == nil || !id.Key.PublicKey.Equal(leaf.PublicKey) {
		return fault.New(fault.Denied, "certificate of device %s carries another key than ours", id.DeviceID)
	}
	id.Certificate, id.RootCertificate = leaf, root
	return nil
}

// validDeviceID accepts what an upload header can carry.
func validDeviceID(id string) bool {
	for _, c := range []byte(id) {
		if c <= ' ' || c > '~' {
			return false
		}
	}
	return len(id) >= 1 && len(id) <= 64
}

// Renewed is the identity with a new certificate for the same device.
func (id *Identity) Renewed(answer wire.RegisterAnswer) (*Identity, error) {
	if answer.DeviceID != id.DeviceID {
		return nil, fault.New(fault.Denied, "certificate was renewed for device %q, want %q", answer.DeviceID, id.DeviceID)
	}
	return New(id.SiteCode, id.Root, id.Key, answer, id.Hardware)
}

// RenewAt is when the certificate should be renewed: at half of its life.
func (id *Identity) RenewAt() time.Time {
	life := id.Certificate.NotAfter.Sub(id.Certificate.NotBefore)
	return id.Certificate.NotBefore.Add(life / 2)
}

// Current makes the identity a host of TLS connections.
func (id *Identity) Current() (*tls.Certificate, error) {
	return &tls.Certificate{Certificate: id.Chain, PrivateKey: id.Key, Leaf: id.Certificate}, nil
}

// file is the form of identity.json and pending.json.
type file struct {
	Format   int                    `json:"format"`
	DeviceID string                 `json:"device_id,omitempty"`
	SiteCode string                 `json:"site_code,omitempty"`
	Key      string                 `json:"key"`
	Chain    [][]byte               `json:"chain,omitempty"`
	Root     []byte                 `json:"root,omitempty"`
	Hardware *wire.HardwareIdentity `json:"hardware,omitempty"`
	CopyOf   string                 `json:"copy_of,omitempty"`
	Cleared  bool                   `json:"cleared,omitempty"`
	Reason   string                 `json:"reason,omitempty"`
	Replaces string                 `json:"replaces,omitempty"`
}

const format = 1

// Encode gives the bytes of identity.json.
func (id *Identity) Encode() ([]byte, error) {
	key, err := mtls.EncodeKey(id.Key)
	if err != nil {
		return nil, err
	}
	return json.MarshalIndent(file{
		Format: format, DeviceID: id.DeviceID, SiteCode: id.SiteCode, Key: string(key),
		Chain: id.Chain, Root: id.Root, Hardware: &id.Hardware,
	}, "", "  ")
}

// Decode reads what Encode wrote and checks that its parts fit together.
func Decode(data []byte) (*Identity, error) {
	f, key, err := decode(data)
	if err != nil {
		return nil, err
	}
	id := &Identity{DeviceID: f.DeviceID, SiteCode: f.SiteCode, Key: key, Chain: f.Chain, Root: f.Root}
	if f.Hardware != nil {
		id.Hardware = *f.Hardware
	}
	return id, id.check()
}

func (p *Pending) encode() ([]byte, error) {
	key, err := mtls.EncodeKey(p.Key)
	if err != nil {
		return nil, err
	}
	return json.MarshalIndent(file{Format: format, Key: string(key), CopyOf: p.CopyOf, Cleared: p.Cleared, Reason: p.Reason, Replaces: p.replaces}, "", "  ")
}

func decodePending(data []byte) (*Pending, error) {
	f, key, err := decode(data)
	if err != nil {
		return nil, err
	}
	return &Pending{Key: key, CopyOf: f.CopyOf, Cleared: f.Cleared, Reason: f.Reason, replaces: f.Replaces}, nil
}

func decode(data []byte) (file, *ecdsa.PrivateKey, error) {
	var f file
	if err := json.Unmarshal(data, &f); err != nil {
		return file{}, nil, fault.Wrap(fault.Invalid, err, "not an identity file")
	}
	if f.Format != format {
		return file{}, nil, fault.New(fault.Invalid, "identity file has format %d, want %d", f.Format, format)
	}
	key, err := mtls.DecodeKey([]byte(f.Key))
	if err != nil {
		return file{}, nil, err
	}
	if _, err := mtls.KeyFingerprint(key.Public()); err != nil {
		return file{}, nil, fmt.Errorf("key of the identity file: %w", err)
	}
	return f, key, nil
}
