package device

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"mainstay/lib/fault"
	"mainstay/lib/mtls"
	"mainstay/lib/signed"
	"mainstay/lib/sqldb"
	"mainstay/site/sitedb"
	"mainstay/wire"
)

// States of a registration.
const (
	StateWaiting  = "waiting"
	StatePending  = "pending"
	StateApproved = "approved"
	StateDone     = "done"
	StateRefused  = "refused"
)

// Kinds of a registration.
const (
	kindRegister = "register"
	kindRenew    = "renew"
)

// maxUndecided bounds the registrations that wait for anybody, so that
// strangers cannot fill the database.
const maxUndecided = 20000

// Registration is a request of a key to be a device, and what became of it.
type Registration struct {
	KeyFingerprint string `db:"key_fingerprint"`
	Kind           string `db:"kind"`
	// Request is the JSON of a wire.RegisterRequest or wire.RenewRequest.
	Request    []byte `db:"request"`
	Source     string `db:"source"`
	ReceivedAt int64  `db:"received_at"`
	State      string `db:"state"`
	// Code and Detail say why, for a refused one.
	Code      string `db:"code"`
	Detail    string `db:"detail"`
	Device    string `db:"device"`
	Chain     []byte `db:"chain"`
	DecidedAt *int64 `db:"decided_at"`
}

type byKey struct {
	KeyFingerprint string `db:"key_fingerprint"`
}

const registrationColumns = `key_fingerprint, kind, request, source, received_at, state, code, detail, device, chain, decided_at`

var (
	readRegistration = sqldb.Define[byKey, Registration]("device.readRegistration",
		`SELECT `+registrationColumns+` FROM registration WHERE key_fingerprint = @key_fingerprint`)
	putRegistration = sqldb.Define[Registration, sqldb.None]("device.putRegistration",
		`INSERT INTO registration (`+registrationColumns+`)
		 VALUES (@key_fingerprint, @kind, @request, @source, @received_at, @state, @code, @detail, @device, @chain, @decided_at)
		 ON CONFLICT (key_fingerprint) DO UPDATE SET kind = excluded.kind, request = excluded.request, source = excluded.source,
		   received_at = excluded.received_at, state = excluded.state, code = excluded.code, detail = excluded.detail,
		   device = excluded.device, chain = excluded.chain, decided_at = excluded.decided_at`)
	readDecided = sqldb.DefineManyOut[byKey, Registration]("device.readDecided",
		`SELECT `+registrationColumns+` FROM registration
		 WHERE key_fingerprint IN (VALUES [[(@key_fingerprint)]]) AND state NOT IN ('waiting', 'approved')`)
	countUndecided = sqldb.Define[sqldb.None, struct {
		N int64 `db:"n"`
	}]("device.countUndecided",
		`SELECT count(*) AS n FROM registration WHERE state IN ('waiting', 'pending', 'approved')`)
	nextUndecided = sqldb.Define[struct {
		Limit int64 `db:"limit"`
	}, Registration]("device.nextUndecided",
		`SELECT `+registrationColumns+` FROM registration WHERE state IN ('waiting', 'approved') ORDER BY received_at, key_fingerprint LIMIT @limit`)
	forgetRegistrations = sqldb.Define[struct {
		Before int64 `db:"before"`
	}, sqldb.None]("device.forgetRegistrations",
		`DELETE FROM registration WHERE received_at < @before AND state IN ('done', 'refused', 'pending')`)
)

// request is a registration whose proof of possession has been checked.
type request struct {
	wire.RegisterRequest
	wire.Registration
	key         *ecdsa.PublicKey
	fingerprint string
}

// parseRequest reads a registration and checks everything that needs no
// database: form, site, key, the new key's signature.
func parseRequest(data []byte, siteCode string) (request, error) {
	var r request
	if err := json.Unmarshal(data, &r.RegisterRequest); err != nil {
		return r, fault.Wrap(fault.Invalid, err, "registration is not valid JSON")
	}
	if err := json.Unmarshal(r.RegisterRequest.Registration, &r.Registration); err != nil {
		return r, fault.Wrap(fault.Invalid, err, "field registration is not valid JSON")
	}
	if r.SiteCode != siteCode {
		return r, fault.InvalidField("site_code", "is %q and this is site %s; install the client with --site %s", clip(r.SiteCode), siteCode, siteCode)
	}
	if r.Version < wire.OldestVersion {
		return r, fault.InvalidField("version", "is %d and the oldest that this site serves is %d; install a newer client", r.Version, wire.OldestVersion)
	}
	if err := checkFields(r.Registration); err != nil {
		return r, err
	}
	key, err := mtls.ParsePublicKey(r.PublicKey)
	if err != nil {
		return r, err
	}
	if !signed.Verify(key, wire.SignRegister, r.RegisterRequest.Registration, r.Signature) {
		return r, fault.InvalidField("signature", "was not made by the key that registers")
	}
	r.key = key
	r.fingerprint, err = mtls.KeyFingerprint(key)
	return r, err
}

func checkFields(r wire.Registration) error {
	for _, f := range []struct {
		name, value string
		max         int
	}{
		{"name", r.Name, 255}, {"os", r.OS, 32}, {"arch", r.Arch, 32}, {"client_version", r.ClientVersion, 64},
		{"hardware.product_uuid", r.Hardware.ProductUUID, 64}, {"hardware.serial", r.Hardware.Serial, 128},
		{"hardware.machine_id", r.Hardware.MachineID, 64}, {"token_id", r.TokenID, 64}, {"copy_of", r.CopyOf, 64},
	} {
		if len(f.value) > f.max {
			return fault.InvalidField(f.name, "has %d bytes, at most %d are allowed", len(f.value), f.max)
		}
		if !printable(f.value) {
			return fault.InvalidField(f.name, "holds characters that cannot be printed")
		}
	}
	if r.Name == "" {
		return fault.InvalidField("name", "is empty; a device needs a host name")
	}
	if len(r.Hardware.MACs) > 64 {
		return fault.InvalidField("hardware.macs", "holds %d addresses, at most 64 are allowed", len(r.Hardware.MACs))
	}
	for _, mac := range r.Hardware.MACs {
		if len(mac) > 64 || !printable(mac) {
			return fault.InvalidField("hardware.macs", "holds %q, which is no address", clip(mac))
		}
	}
	return nil
}

func printable(s string) bool {
	for _, r := range s {
		if r < 0x20 || r == 0x7f || r == 0xfffd {
			return false
		}
	}
	return true
}

func clip(s string) string {
	if len(s) > 64 {
		return s[:64] + "…"
	}
	return s
}

// Submit stores what a client asked at the registration door and returns how
// it stands: the same key asking again gets the same answer, unless it brings
// another proof after it was refused. Bad input is Invalid; too many that wait
// is Unavailable.
func Submit(ctx context.Context, db sitedb.Writer, siteCode string, body []byte, source string, now time.Time) (Registration, error) {
	r, err := parseRequest(body, siteCode)
	if err != nil {
		return Registration{}, err
	}
	// Clients that wait ask again and again, and those that are to be decided
	// must not queue behind them for the right to write.
	var row Registration
	answered := false
	err = db.Read(ctx, func(tx *sitedb.Tx) (err error) {
		known := false
		if row, known, err = readRegistration.One(ctx, tx, byKey{r.fingerprint}); err != nil {
			return err
		}
		if !known {
			return roomForMore(ctx, tx)
		}
		again, err := worthAsking(ctx, tx, row, r.Registration)
		answered = !again
		return err
	})
	if err != nil || answered {
		return row, err
	}
	err = db.Write(ctx, func(tx *sitedb.Tx) error {
		before, ok, err := readRegistration.One(ctx, tx, byKey{r.fingerprint})
		if err != nil {
			return err
		}
		if row = before; ok {
			if again, err := worthAsking(ctx, tx, before, r.Registration); err != nil || !again {
				return err
			}
		}
		row = Registration{
			KeyFingerprint: r.fingerprint, Kind: kindRegister, Request: body, Source: source,
			ReceivedAt: sitedb.Micros(now), State: StateWaiting,
		}
		_, err = putRegistration.Exec(ctx, tx, row)
		tx.Announce(TopicRegistration)
		return err
	})
	return row, err
}

// denied begins the detail of a registration that an administrator refused.
const denied = "denied by "

// worthAsking tells whether a repeated request deserves a new decision. Every
// request has another time, so one that says nothing else anew is answered as
// before: the approved machine is let in, and the denied one stays out until it
// has another proof. One that was done is asked anew when the site has
// forgotten the device since, or given it another key.
func worthAsking(ctx context.Context, tx *sitedb.Tx, before Registration, now wire.Registration) (bool, error) {
	was := before.Claim()
	switch before.State {
	case StateRefused:
		if strings.HasPrefix(before.Detail, denied) {
			return !sameProof(was, now), nil
		}
		return before.Code == wire.CodeBlocked || !sameClaim(was, now), nil
	case StatePending:
		return !sameClaim(was, now), nil
	case StateDone:
		d, exists, err := Load(ctx, tx, before.Device)
		return !exists || d.KeyFingerprint != before.KeyFingerprint || d.BlockedAt != nil, err
	}
	return false, nil
}

func sameClaim(a, b wire.Registration) bool {
	a.Time, b.Time = 0, 0
	return reflect.DeepEqual(a, b)
}

func sameProof(a, b wire.Registration) bool {
	return a.Proof == b.Proof && a.TokenID == b.TokenID && slices.EqualFunc(a.Certificate, b.Certificate, bytes.Equal)
}

func roomForMore(ctx context.Context, tx *sitedb.Tx) error {
	count, _, err := countUndecided.One(ctx, tx, sqldb.None{})
	if err != nil {
		return err
	}
	if count.N >= maxUndecided {
		return fault.New(fault.Unavailable, "%d registrations wait already", count.N)
	}
	return nil
}

// SubmitRenewal stores a request for a new certificate of a device.
func SubmitRenewal(ctx context.Context, db sitedb.Writer, device string, body []byte, source string, now time.Time) (Registration, error) {
	var r wire.RenewRequest
	if err := json.Unmarshal(body, &r); err != nil {
		return Registration{}, fault.Wrap(fault.Invalid, err, "renewal is not valid JSON")
	}
	key, err := mtls.ParsePublicKey(r.PublicKey)
	if err != nil {
		return Registration{}, err
	}
	// Whoever does not hold the key must not take the place of its registration.
	if !signed.Verify(key, wire.SignRenew, r.PublicKey, r.Signature) {
		return Registration{}, fault.InvalidField("signature", "was not made by the key that is to be certified")
	}
	fingerprint, err := mtls.KeyFingerprint(key)
	if err != nil {
		return Registration{}, err
	}
	row := Registration{
		KeyFingerprint: fingerprint, Kind: kindRenew, Request: body, Source: source,
		ReceivedAt: sitedb.Micros(now), State: StateWaiting, Device: device,
	}
	err = db.Write(ctx, func(tx *sitedb.Tx) error {
		tx.Announce(TopicRegistration)
		_, err := putRegistration.Exec(ctx, tx, row)
		return err
	})
	return row, err
}

// Standing tells how the registration of a key stands.
func Standing(ctx context.Context, db sitedb.Reader, fingerprint string) (Registration, error) {
	var row Registration
	err := db.Read(ctx, func(tx *sitedb.Tx) error {
		found, ok, err := readRegistration.One(ctx, tx, byKey{fingerprint})
		if err == nil && !ok {
			return fault.New(fault.NotFound, "no registration of this key")
		}
		row = found
		return err
	})
	return row, err
}

// Decided returns the registrations of the keys (fingerprints) that wait for
// the site server no more.
func Decided(ctx context.Context, db sitedb.Reader, fingerprints []string) ([]Registration, error) {
	keys := make([]byKey, len(fingerprints))
	for i, f := range fingerprints {
		keys[i] = byKey{f}
	}
	var rows []Registration
	err := db.Read(ctx, func(tx *sitedb.Tx) (err error) {
		rows, err = readDecided.AllMany(ctx, tx, keys)
		return err
	})
	return rows, err
}

// Answer is what the client of a registration that is done gets.
func (r Registration) Answer() (wire.RegisterAnswer, error) {
	chain, err := mtls.DecodeChain(r.Chain)
	if err != nil {
		return wire.RegisterAnswer{}, fmt.Errorf("stored certificate of device %s: %w", r.Device, err)
	}
	return wire.RegisterAnswer{DeviceID: r.Device, Chain: chain}, nil
}

// ForgetRegistrations removes decided registrations, and those that nobody
// approved, received before the time.
func ForgetRegistrations(ctx context.Context, db sitedb.Writer, before time.Time) error {
	return db.Write(ctx, func(tx *sitedb.Tx) error {
		_, err := forgetRegistrations.Exec(ctx, tx, struct {
			Before int64 `db:"before"`
		}{sitedb.Micros(before)})
		return err
	})
}
