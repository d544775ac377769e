// Package registrationtoken is the secret that lets a machine register with a
// site without an administrator at the keyboard. Its text form carries all that
// a machine needs to tell the right site from a false one: the site code, the
// hash of the site's root certificate, and the seed of an Ed25519 key. The seed
// never leaves the machine that was given the text: it signs the registration,
// and the site, which keeps only the public key, checks that. Whoever carries
// or overhears a registration cannot use the token again.
//
// The package knows neither how a token is stored nor how long it is good.
package registrationtoken

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"log/slog"
	"strings"

	"mainstay/lib/fault"
	"mainstay/wire"
)

// prefix is the first part of the text form; a token of another form gets
// another one.
const prefix = "mst1"

// maxText bounds the text that Parse looks at, in bytes.
const maxText = 256

// Token is a registration token with its secret. Printed, logged or encoded it
// shows its identifier and hides the seed; only Reveal gives the whole text.
// The zero value is no token.
type Token struct {
	siteCode string
	id       string
	seed     [ed25519.SeedSize]byte
	rootHash [sha256.Size]byte
}

// New draws a token for the site whose root certificate is given in DER.
func New(siteCode string, rootDER []byte) (Token, error) {
	if !isSiteCode(siteCode) {
		return Token{}, fault.InvalidField("site_code", "%q is no site code: give three capital letters or digits", siteCode)
	}
	if len(rootDER) == 0 {
		return Token{}, fault.New(fault.Invalid, "a registration token needs the site's root certificate")
	}
	t := Token{siteCode: siteCode, rootHash: sha256.Sum256(rootDER)}
	var id [8]byte
	rand.Read(id[:])
	rand.Read(t.seed[:])
	t.id = hex.EncodeToString(id[:])
	return t, nil
}

// Parse reads the text form. White space around it is ignored, because people
// paste it. The error names the part that is wrong and never shows the text.
func Parse(text string) (Token, error) {
	text = strings.TrimSpace(text)
	if len(text) > maxText {
		return Token{}, invalid("is longer than %d characters", maxText)
	}
	parts := strings.Split(text, ".")
	if parts[0] != prefix {
		return Token{}, invalid("does not begin with %q", prefix+".")
	}
	if len(parts) != 5 {
		return Token{}, invalid("has %d parts between dots, want 5: it was cut or has something at its end", len(parts))
	}
	t := Token{siteCode: parts[1], id: parts[2]}
	if !isSiteCode(t.siteCode) {
		return Token{}, invalid("names no site: its second part must be three capital letters or digits")
	}
	if len(t.id) != 16 || strings.Trim(t.id, "0123456789abcdef") != "" {
		return Token{}, invalid("has no identifier: its third part must be 16 hexadecimal digits")
	}
	if err := decode(t.seed[:], parts[3]); err != nil {
		return Token{}, invalid("is damaged in its fourth part")
	}
	if err := decode(t.rootHash[:], parts[4]); err != nil {
		return Token{}, invalid("is damaged in its fifth part")
	}
	return t, nil
}

func invalid(format string, args ...any) error {
	return fault.InvalidField("token", "the registration token "+format+"; copy it again from where it was created", args...)
}

func isSiteCode(s string) bool {
	return len(s) == 3 && strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") == ""
}

// decode fills target from canonical base64url, so that a token has one text.
func decode(target []byte, text string) error {
	data, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return err
	}
	if len(data) != len(target) || base64.RawURLEncoding.EncodeToString(data) != text {
		return fmt.Errorf("%d bytes, want %d", len(data), len(target))
	}
	copy(target, data)
	return nil
}

// IsZero tells that there is no token.
func (t Token) IsZero() bool { return t.id == "" }

// SiteCode is the site that made the token.
func (t Token) SiteCode() string { return t.siteCode }

// ID names the token in the site; it is no secret.
func (t Token) ID() string { return t.id }

// RootHash is the SHA-256 of the site's root certificate (DER).
func (t Token) RootHash() [sha256.Size]byte { return t.rootHash }

// TrustsRoot tells whether a root certificate (DER) is the one of the site
// that made the token.
func (t Token) TrustsRoot(rootDER []byte) bool {
	return !t.IsZero() && sha256.Sum256(rootDER) == t.rootHash
}

// PublicKey is what the site keeps of the secret.
func (t Token) PublicKey() ed25519.PublicKey {
	return ed25519.NewKeyFromSeed(t.seed[:]).Public().(ed25519.PublicKey)
}

// Sign makes the token signature of a registration (its exact bytes).
func (t Token) Sign(registration []byte) []byte {
	return ed25519.Sign(ed25519.NewKeyFromSeed(t.seed[:]), signed(registration))
}

// Verify tells whether the token with this public key signed the registration.
// A key of another length verifies nothing.
func Verify(key ed25519.PublicKey, registration, signature []byte) bool {
	return len(key) == ed25519.PublicKeySize && ed25519.Verify(key, signed(registration), signature)
}

func signed(registration []byte) []byte {
	return append([]byte(wire.SignRegister), registration...)
}

// Reveal is the whole text with its secret, to be shown once to the one who
// installs a client and to be kept nowhere else.
func (t Token) Reveal() string {
	encode := base64.RawURLEncoding.EncodeToString
	return strings.Join([]string{prefix, t.siteCode, t.id, encode(t.seed[:]), encode(t.rootHash[:])}, ".")
}

// String names the token without its secret.
func (t Token) String() string {
	if t.IsZero() {
		return "no registration token"
	}
	return prefix + "." + t.siteCode + "." + t.id + ".(hidden)"
}

// Format prints String for every verb, so that no %+v or %#v shows the seed.
func (t Token) Format(f fmt.State, _ rune) { fmt.Fprint(f, t.String()) }

// LogValue gives String to loggers.
func (t Token) LogValue() slog.Value { return slog.StringValue(t.String()) }

// MarshalText gives String to encoders: a token that is encoded by accident
// cannot be read back.
func (t Token) MarshalText() ([]byte, error) { return []byte(t.String()), nil }
