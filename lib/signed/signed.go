// Package signed makes and checks the statements of a site: bytes of one kind,
// signed by a key whose certificate leads to the site's root. It knows the
// envelope and the shared head of every payload, and nothing of what a
// statement means.
package signed

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"time"

	"mainstay/lib/fault"
	"mainstay/lib/mtls"
	"mainstay/wire"
)

// Seal signs a payload of one kind. The chain begins with the certificate of
// the key and leaves the root out.
func Seal(kind string, payload any, key crypto.Signer, chain [][]byte) (wire.Signed, error) {
	data, err := json.Marshal(payload)
	if err != nil {
		return wire.Signed{}, fmt.Errorf("cannot encode %s: %w", kind, err)
	}
	signature, err := Sign(key, wire.SignStatement+kind+"\n", data)
	if err != nil {
		return wire.Signed{}, err
	}
	return wire.Signed{Kind: kind, Payload: data, Signature: signature, Chain: chain}, nil
}

// Expect says what a receiver is willing to accept.
type Expect struct {
	Kind     string
	SiteCode string
	// Device is this device; statements to everyone are accepted too unless
	// the kind is addressed.
	Device string
	// Root is the certificate that was given at installation.
	Root *x509.Certificate
	// Now is the receiver's best knowledge of the time.
	Now time.Time
	// AtLeast is the highest version of this kind accepted so far.
	AtLeast int64
}

// Open checks a statement against what is expected and decodes its payload
// into out. The error is Stale when the statement is genuine but older than
// AtLeast, or expired; Denied when it is not genuine or not for this receiver.
func Open(s wire.Signed, want Expect, out any) error {
	kind, err := kindOf(want.Kind)
	if err != nil {
		return err
	}
	if s.Kind != want.Kind {
		return fault.New(fault.Denied, "statement is a %q, want %q", s.Kind, want.Kind)
	}
	if err := verifySigner(s, want); err != nil {
		return err
	}
	var head wire.Statement
	if err := json.Unmarshal(s.Payload, &head); err != nil {
		return fault.Wrap(fault.Denied, err, "statement %s cannot be read", s.Kind)
	}
	if err := checkHead(head, kind, want); err != nil {
		return err
	}
	if err := json.Unmarshal(s.Payload, out); err != nil {
		return fault.Wrap(fault.Denied, err, "statement %s cannot be read", s.Kind)
	}
	return nil
}

func verifySigner(s wire.Signed, want Expect) error {
	leaf, err := mtls.VerifyChain(s.Chain, mtls.VerifyOptions{
		Root: want.Root, SiteCode: want.SiteCode, Purpose: mtls.PurposeSigning,
		// A signing certificate that has ended still proves what was signed:
		// obeying never expires, and freshness is a statement of its own.
		IgnoreTime: true,
	})
	if err != nil {
		return err
	}
	key, ok := leaf.PublicKey.(*ecdsa.PublicKey)
	if !ok || !Verify(key, wire.SignStatement+s.Kind+"\n", s.Payload, s.Signature) {
		return fault.New(fault.Denied, "signature of statement %s is wrong", s.Kind)
	}
	return nil
}

func checkHead(head wire.Statement, kind wire.StatementKind, want Expect) error {
	switch {
	case head.SiteCode != want.SiteCode:
		return fault.New(fault.Denied, "statement %s is of site %q, want %q", kind.Kind, head.SiteCode, want.SiteCode)
	case kind.Addressed && head.Device != want.Device:
		return fault.New(fault.Denied, "statement %s is for device %q, want %q", kind.Kind, head.Device, want.Device)
	case !kind.Addressed && head.Device != wire.Everyone:
		return fault.New(fault.Denied, "statement %s is for device %q, want everyone", kind.Kind, head.Device)
	case kind.Expiring && head.Expires <= 0:
		return fault.New(fault.Denied, "statement %s has no end", kind.Kind)
	case head.Expires > 0 && want.Now.UnixMicro() >= head.Expires:
		return fault.New(fault.Stale, "statement %s ended at %s", kind.Kind, time.UnixMicro(head.Expires).UTC().Format(time.RFC3339))
	case kind.Ordered && head.Version < want.AtLeast:
		return fault.New(fault.Stale, "statement %s has version %d, and %d was accepted before", kind.Kind, head.Version, want.AtLeast)
	}
	return nil
}

func kindOf(name string) (wire.StatementKind, error) {
	for _, kind := range wire.StatementKinds() {
		if kind.Kind == name {
			return kind, nil
		}
	}
	return wire.StatementKind{}, fault.New(fault.Internal, "statement kind %q is not in wire.StatementKinds", name)
}

// Sign signs prefix+data with an ECDSA key: ASN.1 over SHA-256. The prefix
// names the purpose, so that no signature serves two.
func Sign(key crypto.Signer, prefix string, data []byte) ([]byte, error) {
	signature, err := key.Sign(rand.Reader, digest(prefix, data), crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("cannot sign: %w", err)
	}
	return signature, nil
}

// Verify tells whether Sign made the signature.
func Verify(key *ecdsa.PublicKey, prefix string, data, signature []byte) bool {
	return ecdsa.VerifyASN1(key, digest(prefix, data), signature)
}

func digest(prefix string, data []byte) []byte {
	h := sha256.New()
	h.Write([]byte(prefix))
	h.Write(data)
	return h.Sum(nil)
}
