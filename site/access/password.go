package access

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"

	"mainstay/lib/fault"
)

// Parameters of argon2id: 19 MiB and two passes, about 20 ms. They stand in
// each hash, so that they can grow later.
const (
	argonMemory  = 19 << 10 // KiB
	argonTime    = 2
	argonThreads = 1
	argonKey     = 32
	argonSalt    = 16
)

// Limits of a password, in characters and bytes.
const (
	MinPassword = 12
	MaxPassword = 256
)

// PasswordHash is a password as it is kept; empty for none.
type PasswordHash string

// CheckPassword tells whether a password may be used by the administrator.
func CheckPassword(name, password string) error {
	switch n := utf8.RuneCountInString(password); {
	case n < MinPassword:
		return fault.InvalidField("password", "has %d characters; use at least %d, a sentence does well", n, MinPassword)
	case len(password) > MaxPassword:
		return fault.InvalidField("password", "has %d bytes; at most %d are allowed", len(password), MaxPassword)
	case strings.EqualFold(password, name):
		return fault.InvalidField("password", "is the administrator's name; use something that others cannot guess")
	}
	return nil
}

// hasher computes password hashes, a few at a time: each takes memory, and
// whoever is not signed in yet can ask for them.
type hasher struct{ slots chan struct{} }

func newHasher() hasher { return hasher{make(chan struct{}, 2)} }

func (h hasher) hash(ctx context.Context, password string) (PasswordHash, error) {
	salt := make([]byte, argonSalt)
	rand.Read(salt)
	key, err := h.key(ctx, password, salt, argonMemory, argonTime)
	if err != nil {
		return "", err
	}
	encode := base64.RawStdEncoding.EncodeToString
	return PasswordHash(fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, argonMemory, argonTime, argonThreads, encode(salt), encode(key))), nil
}

// matches tells whether the hash is that of the password. An empty hash takes
// as long as any other and matches nothing.
func (h hasher) matches(ctx context.Context, hash PasswordHash, password string) (bool, error) {
	salt, want := make([]byte, argonSalt), make([]byte, argonKey)
	memory, passes := uint32(argonMemory), uint32(argonTime)
	if hash != "" {
		var err error
		if memory, passes, salt, want, err = parseHash(hash); err != nil {
			return false, err
		}
	}
	key, err := h.key(ctx, password, salt, memory, passes)
	if err != nil {
		return false, err
	}
	return subtle.ConstantTimeCompare(key, want) == 1 && hash != "", nil
}

func (h hasher) key(ctx context.Context, password string, salt []byte, memory, passes uint32) ([]byte, error) {
	select {
	case h.slots <- struct{}{}:
		defer func() { <-h.slots }()
	case <-ctx.Done():
		return nil, fault.Wrap(fault.Unavailable, ctx.Err(), "too many sign in at the moment; try again")
	}
	return argon2.IDKey([]byte(password), salt, passes, memory, argonThreads, argonKey), nil
}

func parseHash(hash PasswordHash) (memory, passes uint32, salt, key []byte, err error) {
	var version, threads int
	parts := strings.Split(string(hash), "$")
	if len(parts) == 6 && parts[1] == "argon2id" {
		_, err = fmt.Sscanf(parts[2]+" "+parts[3], "v=%d m=%d,t=%d,p=%d", &version, &memory, &passes, &threads)
	}
	if err != nil || version != argon2.Version || threads != argonThreads || memory > 1<<20 || passes == 0 || passes > 100 {
		return 0, 0, nil, nil, fault.New(fault.Internal, "a stored password has a form that this program does not know")
	}
	decode := base64.RawStdEncoding.DecodeString
	if salt, err = decode(parts[4]); err == nil {
		key, err = decode(parts[5])
	}
	if err != nil || len(key) != argonKey {
		return 0, 0, nil, nil, fault.New(fault.Internal, "a stored password is damaged")
	}
	return memory, passes, salt, key, nil
}
