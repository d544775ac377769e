package device

import (
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"mainstay/lib/fault"
	"mainstay/lib/mtls"
	"mainstay/lib/registrationtoken"
	"mainstay/lib/signed"
	"mainstay/site/access"
	"mainstay/site/sitedb"
	"mainstay/site/trust"
	"mainstay/wire"
)

var now = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

type fixture struct {
	*testing.T
	db        *sitedb.DB
	registrar *Registrar
	authority *trust.Authority
	events    []Event
}

func setup(t *testing.T) *fixture {
	t.Helper()
	db, err := sitedb.Open(t.Context(), sitedb.Config{Path: filepath.Join(t.TempDir(), "site.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	err = db.Write(t.Context(), func(tx *sitedb.Tx) error {
		_, err := trust.Create(t.Context(), tx, trust.Genesis{
			SiteCode: "LAB", SiteServer: identity.Recipient().String(), Recovery: identity.Recipient().String(), Now: now,
		})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	authority, err := trust.OpenAuthority(t.Context(), db, identity)
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{T: t, db: db, authority: authority}
	f.registrar = NewRegistrar(RegistrarConfig{
		DB: db, Authority: authority, Now: func() time.Time { return now },
		OnDevice: func(context.Context, *sitedb.Tx, string) error { return nil },
		Report: func(_ context.Context, _ *sitedb.Tx, e Event, _ string, _ ...string) error {
			f.events = append(f.events, e)
			return nil
		},
	})
	return f
}

// machine is a client as the registrar sees it.
type machine struct {
	key      *ecdsa.PrivateKey
	hardware wire.HardwareIdentity
	name     string
}

func (f *fixture) machine(name string) machine {
	f.Helper()
	key, err := mtls.NewKey()
	if err != nil {
		f.Fatal(err)
	}
	return machine{key: key, name: name, hardware: wire.HardwareIdentity{ProductUUID: "uuid-" + name, MachineID: "id-" + name, MACs: []string{"02:" + name}}}
}

// rekeyed is the same machine after a reinstall.
func (f *fixture) rekeyed(m machine) machine {
	m.key = f.machine(m.name).key
	return m
}

func (f *fixture) token(uses int64) registrationtoken.Token {
	f.Helper()
	token, err := registrationtoken.New("LAB", f.authority.Site().Root)
	if err != nil {
		f.Fatal(err)
	}
	err = f.db.Write(f.Context(), func(tx *sitedb.Tx) error {
		rows, err := tx.Query(f.Context(), `INSERT INTO registration_token (id, name, public_key, created_by, created_at, expires_at, max_uses, uses)
			VALUES ($1, 'test', $2, 'me', 0, $3, $4, 0) RETURNING id`, token.ID(), []byte(token.PublicKey()), now.Add(time.Hour).UnixMicro(), uses)
		if err != nil {
			return err
		}
		for rows.Next() {
		}
		return rows.Close()
	})
	if err != nil {
		f.Fatal(err)
	}
	return token
}

// ask makes the body of a registration; change may spoil it before it is
// signed.
func (f *fixture) ask(m machine, token *registrationtoken.Token, change func(*wire.Registration)) []byte {
	f.Helper()
	der, err := publicDER(m.key)
	if err != nil {
		f.Fatal(err)
	}
	r := wire.Registration{
		Version: wire.Version, SiteCode: "LAB", PublicKey: der, Name: m.name, Hardware: m.hardware,
		OS: "linux", Arch: "amd64", ClientVersion: "1", Proof: wire.ProofNone,
	}
	if token != nil {
		r.Proof, r.TokenID = wire.ProofToken, token.ID()
	}
	if change != nil {
		change(&r)
	}
	data, err := json.Marshal(r)
	if err != nil {
		f.Fatal(err)
	}
	request := wire.RegisterRequest{Registration: data}
	if request.Signature, err = signed.Sign(m.key, wire.SignRegister, data); err != nil {
		f.Fatal(err)
	}
	if token != nil {
		request.TokenSignature = token.Sign(data)
	}
	return encode(f.T, request)
}

func encode(t *testing.T, v any) []byte {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func publicDER(key *ecdsa.PrivateKey) ([]byte, error) {
	return x509.MarshalPKIXPublicKey(&key.PublicKey)
}

func fingerprint(t *testing.T, key *ecdsa.PrivateKey) [32]byte {
	t.Helper()
	der, err := publicDER(key)
	if err != nil {
		t.Fatal(err)
	}
	return sha256.Sum256(der)
}

// decide submits a body, lets the registrar decide and returns the outcome.
func (f *fixture) decide(body []byte) Registration {
	f.Helper()
	row, err := Submit(f.Context(), f.db, "LAB", body, "10.0.0.1", now)
	if err != nil {
		f.Fatal(err)
	}
	return f.settle(row)
}

func (f *fixture) settle(row Registration) Registration {
	f.Helper()
	if err := f.registrar.Pass(f.Context()); err != nil {
		f.Fatal(err)
	}
	row, err := Standing(f.Context(), f.db, row.KeyFingerprint)
	if err != nil {
		f.Fatal(err)
	}
	return row
}

func (f *fixture) load(id string) Device {
	f.Helper()
	var d Device
	err := f.db.Read(f.Context(), func(tx *sitedb.Tx) (err error) {
		d, _, err = Load(f.Context(), tx, id)
		return err
	})
	if err != nil {
		f.Fatal(err)
	}
	return d
}

func TestTokenMakesADeviceAsOftenAsItMayBeUsed(t *testing.T) {
	t.Parallel()
	f := setup(t)
	token := f.token(1)
	first := f.decide(f.ask(f.machine("one"), &token, nil))
	if first.State != StateDone || f.load(first.Device).Name != "one" {
		t.Fatalf("first use: %+v", first)
	}
	if second := f.decide(f.ask(f.machine("two"), &token, nil)); second.State != StateRefused || second.Code != wire.CodeTokenRefused {
		t.Errorf("second use: %+v", second)
	}
}

func TestSameKeyAskingAgainGetsTheSameAnswer(t *testing.T) {
	t.Parallel()
	f := setup(t)
	token := f.token(1)
	body := f.ask(f.machine("one"), &token, nil)
	first, second := f.decide(body), f.decide(body)
	if first.Device != second.Device || string(first.Chain) != string(second.Chain) || second.State != StateDone {
		t.Errorf("answers differ: %s, %s (%s)", first.Device, second.Device, second.State)
	}
}

func TestReinstalledMachineKeepsItsRecord(t *testing.T) {
	t.Parallel()
	f := setup(t)
	token := f.token(0)
	m := f.machine("one")
	first := f.decide(f.ask(m, &token, nil))
	second := f.decide(f.ask(f.rekeyed(m), &token, nil))
	if first.Device != second.Device {
		t.Errorf("a reinstall made another record")
	}
	if f.load(first.Device).Resync < now.UnixMicro() {
		t.Errorf("the site did not ask for a full inventory")
	}
	directory := NewDirectory(f.db)
	if err := directory.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, is := directory.Judge(fingerprint(t, m.key)); is != KeyReplaced {
		t.Errorf("the key from before stands as %d", is)
	}
}

func TestCopyOfAMachineIsTold(t *testing.T) {
	t.Parallel()
	f := setup(t)
	token := f.token(0)
	m := f.machine("one")
	original := f.decide(f.ask(m, &token, nil))
	chain, err := mtls.DecodeChain(original.Chain)
	if err != nil {
		t.Fatal(err)
	}
	clone := f.machine("two")
	body := f.proveByCertificate(clone, m.key, chain, original.Device)
	copied := f.decide(body)
	if copied.State != StateDone || copied.Device == original.Device || f.load(copied.Device).CopyOf != original.Device {
		t.Errorf("copy: %+v", copied)
	}
	if f.events[len(f.events)-1] != EventCopy {
		t.Errorf("nobody was told: %v", f.events)
	}
}

func (f *fixture) proveByCertificate(m machine, old *ecdsa.PrivateKey, chain [][]byte, copyOf string) []byte {
	f.Helper()
	var request wire.RegisterRequest
	body := f.ask(m, nil, func(r *wire.Registration) {
		r.Proof, r.Certificate, r.CopyOf = wire.ProofCertificate, chain, copyOf
	})
	if err := json.Unmarshal(body, &request); err != nil {
		f.Fatal(err)
	}
	var err error
	if request.CertificateSignature, err = signed.Sign(old, wire.SignRegister, request.Registration); err != nil {
		f.Fatal(err)
	}
	return encode(f.T, request)
}

func TestForgottenDeviceComesBackWithItsCertificate(t *testing.T) {
	t.Parallel()
	f := setup(t)
	token := f.token(0)
	m := f.machine("one")
	first := f.decide(f.ask(m, &token, nil))
	chain, err := mtls.DecodeChain(first.Chain)
	if err != nil {
		t.Fatal(err)
	}
	err = f.db.Write(t.Context(), func(tx *sitedb.Tx) error {
		_, err := Delete(t.Context(), tx, access.Local("root", "test"), first.Device, now)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	back := f.decide(f.proveByCertificate(m, m.key, chain, ""))
	if back.State != StateDone || back.Device != first.Device {
		t.Errorf("came back as %s (%s %s), was %s", back.Device, back.State, back.Detail, first.Device)
	}
}

// After a restore the record is older than the certificate; otherwise a key
// that is not the device's is one that it had before.
func TestCertificateNewerThanTheRecordComesBack(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		issued time.Time
		state  string
		code   string
	}{
		"issued after the record":    {now.Add(time.Hour), StateDone, ""},
		"issued before the record":   {now.Add(-time.Hour), StateRefused, wire.CodeReplaced},
		"as old as the record's own": {now, StateRefused, wire.CodeReplaced},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := setup(t)
			token := f.token(0)
			m := f.machine("one")
			first := f.decide(f.ask(m, &token, nil))
			other := f.rekeyed(m)
			_, chain, err := f.authority.IssueClient(first.Device, &other.key.PublicKey, test.issued)
			if err != nil {
				t.Fatal(err)
			}
			got := f.decide(f.proveByCertificate(other, other.key, chain, ""))
			if got.State != test.state || got.Code != test.code || got.Device != first.Device {
				t.Errorf("it is %s (%s %s) as device %s, want %s %s as %s", got.State, got.Code, got.Detail, got.Device, test.state, test.code, first.Device)
			}
		})
	}
}

func TestAskingForInventoryGoesBeyondWhatWasAsked(t *testing.T) {
	t.Parallel()
	f := setup(t)
	token := f.token(0)
	device := f.decide(f.ask(f.machine("one"), &token, nil)).Device
	last := f.load(device).Resync
	for _, at := range []time.Time{now, now, now.Add(-time.Hour), now.Add(time.Hour)} {
		if err := f.write(func(tx *sitedb.Tx) error { return WantInventory(t.Context(), tx, device, at) }); err != nil {
			t.Fatal(err)
		}
		next := f.load(device).Resync
		if next <= last || next < at.UnixMicro() {
			t.Errorf("asked at %s: %d after %d", at, next, last)
		}
		last = next
	}
}

func TestBlockedMachineStaysOut(t *testing.T) {
	t.Parallel()
	f := setup(t)
	token := f.token(0)
	m := f.machine("one")
	first := f.decide(f.ask(m, &token, nil))
	err := f.db.Write(t.Context(), func(tx *sitedb.Tx) error {
		_, err := Block(t.Context(), tx, access.Local("root", "test"), first.Device, "stolen", now)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if again := f.decide(f.ask(f.rekeyed(m), &token, nil)); again.State != StateRefused || again.Code != wire.CodeBlocked {
		t.Errorf("a blocked machine registered anew: %+v", again)
	}
	directory := NewDirectory(f.db)
	if err := directory.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, is := directory.Judge(fingerprint(t, m.key)); is != KeyBlocked {
		t.Errorf("its key stands as %d", is)
	}
}

func TestHostileRegistrations(t *testing.T) {
	t.Parallel()
	f := setup(t)
	token, other := f.token(0), f.token(0)
	m := f.machine("one")
	swap := func(body []byte, change func(*wire.RegisterRequest)) []byte {
		var r wire.RegisterRequest
		if err := json.Unmarshal(body, &r); err != nil {
			t.Fatal(err)
		}
		change(&r)
		return encode(t, r)
	}
	good := f.ask(m, &token, nil)
	for name, body := range map[string][]byte{
		"nothing":              nil,
		"not JSON":             []byte("hello"),
		"truncated":            good[:len(good)/2],
		"another site":         f.ask(m, &token, func(r *wire.Registration) { r.SiteCode = "ABC" }),
		"no name":              f.ask(m, &token, func(r *wire.Registration) { r.Name = "" }),
		"a name with an ESC":   f.ask(m, &token, func(r *wire.Registration) { r.Name = "a\x1b[2J" }),
		"an endless name":      f.ask(m, &token, func(r *wire.Registration) { r.Name = strings.Repeat("a", 300) }),
		"another one's key":    f.ask(m, &token, func(r *wire.Registration) { r.PublicKey, _ = publicDER(f.machine("x").key) }),
		"no key":               f.ask(m, &token, func(r *wire.Registration) { r.PublicKey = nil }),
		"too old a version":    f.ask(m, &token, func(r *wire.Registration) { r.Version = 0 }),
		"changed after signed": swap(good, func(r *wire.RegisterRequest) { r.Registration = append(r.Registration, ' ') }),
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Submit(t.Context(), f.db, "LAB", body, "10.0.0.1", now); !fault.Is(err, fault.Invalid) {
				t.Errorf("accepted: %v", err)
			}
		})
	}
	for name, body := range map[string][]byte{
		"signed with another token": swap(good, func(r *wire.RegisterRequest) { r.TokenSignature = other.Sign(r.Registration) }),
		"token not signed":          swap(f.ask(f.machine("b"), &token, nil), func(r *wire.RegisterRequest) { r.TokenSignature = nil }),
		"unknown token":             f.ask(f.machine("c"), &token, func(r *wire.Registration) { r.TokenID = "0000" }),
		"unknown proof":             f.ask(f.machine("d"), nil, func(r *wire.Registration) { r.Proof = "please" }),
		"certificate of nobody":     f.ask(f.machine("e"), nil, func(r *wire.Registration) { r.Proof = wire.ProofCertificate }),
		"somebody's certificate":    f.proveByCertificate(f.machine("g"), f.machine("h").key, f.authorityChain(), ""),
	} {
		t.Run(name, func(t *testing.T) {
			if row := f.decide(body); row.State != StateRefused || row.Detail == "" {
				t.Errorf("decided %q: %s", row.State, row.Detail)
			}
		})
	}
}

// authorityChain is a genuine chain of the site that is no client's.
func (f *fixture) authorityChain() [][]byte {
	s, err := f.authority.Sign(wire.KindClientPackages, wire.ClientPackages{})
	if err != nil {
		f.Fatal(err)
	}
	return s.Chain
}

func TestRenewalNeedsTheDevicesKey(t *testing.T) {
	t.Parallel()
	f := setup(t)
	token := f.token(0)
	m := f.machine("one")
	d := f.decide(f.ask(m, &token, nil))
	renew := func(key *ecdsa.PrivateKey, current *ecdsa.PrivateKey) Registration {
		der, err := publicDER(key)
		if err != nil {
			t.Fatal(err)
		}
		r := wire.RenewRequest{PublicKey: der}
		if r.Signature, err = signed.Sign(key, wire.SignRenew, der); err != nil {
			t.Fatal(err)
		}
		if current != nil {
			if r.CurrentSignature, err = signed.Sign(current, wire.SignRenew, der); err != nil {
				t.Fatal(err)
			}
		}
		row, err := SubmitRenewal(t.Context(), f.db, d.Device, encode(t, r), "10.0.0.1", now)
		if err != nil {
			t.Fatal(err)
		}
		return f.settle(row)
	}
	if row := renew(m.key, nil); row.State != StateDone || row.Device != d.Device {
		t.Errorf("same key: %+v", row)
	}
	thief := f.machine("thief")
	if row := renew(thief.key, nil); row.State != StateRefused {
		t.Errorf("a management point got a certificate for somebody's device")
	}
	if row := renew(thief.key, thief.key); row.State != StateRefused {
		t.Errorf("a management point got a certificate for somebody's device")
	}
	if row := renew(f.machine("new").key, m.key); row.State != StateDone || row.Device != d.Device {
		t.Errorf("new key: %+v", row)
	}
}

func TestApprovalIsNeededWithoutProof(t *testing.T) {
	t.Parallel()
	f := setup(t)
	row := f.decide(f.ask(f.machine("one"), nil, nil))
	if row.State != StatePending {
		t.Fatalf("state is %q", row.State)
	}
	err := f.db.Write(t.Context(), func(tx *sitedb.Tx) error {
		_, err := Approve(t.Context(), tx, access.Local("root", "test"), row.KeyFingerprint, now)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if row = f.settle(row); row.State != StateDone {
		t.Errorf("after approval the state is %q: %s", row.State, row.Detail)
	}
}

// A client that asks again says the same at another time.
func TestTheClientHearsOfTheDecision(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		settle func(f *fixture, key string) error
		want   string
	}{
		"approved": {func(f *fixture, key string) error {
			return f.write(func(tx *sitedb.Tx) error {
				_, err := Approve(f.Context(), tx, access.Local("root", "test"), key, now)
				return err
			})
		}, StateDone},
		"denied": {func(f *fixture, key string) error {
			return f.write(func(tx *sitedb.Tx) error {
				_, err := Deny(f.Context(), tx, access.Local("root", "test"), key, "not ours", now)
				return err
			})
		}, StateRefused},
		"neither": {func(*fixture, string) error { return nil }, StatePending},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := setup(t)
			m, token := f.machine("one"), f.token(1)
			at := int64(0)
			ask := func(token *registrationtoken.Token) []byte {
				at++
				return f.ask(m, token, func(r *wire.Registration) { r.Time = at })
			}
			row := f.decide(ask(nil))
			if err := test.settle(f, row.KeyFingerprint); err != nil {
				t.Fatal(err)
			}
			f.settle(row)
			told := len(f.events)
			for range 3 {
				if row = f.decide(ask(nil)); row.State != test.want {
					t.Fatalf("it is told %q (%s), want %q", row.State, row.Detail, test.want)
				}
			}
			if len(f.events) != told {
				t.Errorf("asking again was reported: %v", f.events)
			}
			if row = f.decide(ask(&token)); row.State != StateDone {
				t.Errorf("with a token it is %q: %s", row.State, row.Detail)
			}
		})
	}
}

func TestSameMachine(t *testing.T) {
	t.Parallel()
	full := wire.HardwareIdentity{ProductUUID: "u", MachineID: "m", MACs: []string{"a"}}
	for name, test := range map[string]struct {
		b    wire.HardwareIdentity
		want bool
	}{
		"itself":               {full, true},
		"reinstalled":          {wire.HardwareIdentity{ProductUUID: "u", MachineID: "n", MACs: []string{"a", "b"}}, true},
		"copied to other iron": {wire.HardwareIdentity{ProductUUID: "v", MachineID: "m", MACs: []string{"a"}}, false},
		"container beside it":  {wire.HardwareIdentity{ProductUUID: "u", MachineID: "n", MACs: []string{"c"}}, false},
		"without firmware":     {wire.HardwareIdentity{MachineID: "m"}, false},
		"empty":                {wire.HardwareIdentity{}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := sameMachine(full, test.b); got != test.want {
				t.Errorf("got %v", got)
			}
		})
	}
	if sameMachine(wire.HardwareIdentity{}, wire.HardwareIdentity{}) {
		t.Error("two machines about which nothing is known are one")
	}
}

func FuzzSubmit(f *testing.F) {
	f.Add([]byte(`{"registration":"e30=","signature":""}`))
	f.Add([]byte(`{"registration":"eyJzaXRlX2NvZGUiOiJMQUIiLCJ2ZXJzaW9uIjoxLCJuYW1lIjoiYSJ9"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if r, err := parseRequest(data, "LAB"); err == nil && (r.key == nil || r.Name == "") {
			t.Errorf("accepted without key or name: %s", data)
		}
	})
}
