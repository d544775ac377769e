package thief

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"mainstay/lib/mtls"
	"mainstay/lib/signed"
	"mainstay/site/device"
	"mainstay/wire"
)

// certificates are answers of the thief to somebody who registers or renews.
func certificates(l *lab, mallory *machine) map[string]func(genuine wire.RegisterAnswer) wire.RegisterAnswer {
	own := mallory.identityOf()
	return map[string]func(wire.RegisterAnswer) wire.RegisterAnswer{
		"nothing": func(wire.RegisterAnswer) wire.RegisterAnswer { return wire.RegisterAnswer{} },
		"no certificate": func(a wire.RegisterAnswer) wire.RegisterAnswer {
			a.Chain = [][]byte{[]byte("no certificate")}
			return a
		},
		"that of another device": func(wire.RegisterAnswer) wire.RegisterAnswer {
			return wire.RegisterAnswer{DeviceID: own.DeviceID, Chain: own.Chain}
		},
		"that of another device under this name": func(a wire.RegisterAnswer) wire.RegisterAnswer {
			a.Chain = own.Chain
			return a
		},
		"this under another name": func(a wire.RegisterAnswer) wire.RegisterAnswer {
			a.DeviceID = own.DeviceID
			return a
		},
		"that of the management point": func(a wire.RegisterAnswer) wire.RegisterAnswer {
			_, chain := l.thiefsKey()
			a.Chain = chain
			return a
		},
		"without its issuer": func(a wire.RegisterAnswer) wire.RegisterAnswer {
			a.Chain = a.Chain[:min(1, len(a.Chain))]
			return a
		},
	}
}

// answersWith hands a request to the genuine management point and changes what
// it says.
func (l *lab) answersWith(change func(wire.RegisterAnswer) wire.RegisterAnswer) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		recorder := httptest.NewRecorder()
		l.genuine.ServeHTTP(recorder, r)
		var genuine wire.RegisterAnswer
		// A refusal leaves it empty, and the thief makes of it what he can.
		_ = json.Unmarshal(recorder.Body.Bytes(), &genuine)
		says(change(genuine))(w, r)
	}
}

// TestCertificatesOfTheThief answers registrations with certificates that are
// not those of who registers.
func TestCertificatesOfTheThief(t *testing.T) {
	inLab(t, func(l *lab) {
		mallory := l.newMachine("mallory").registered()
		for name, change := range certificates(l, mallory) {
			l.thief(at(wire.DoorRegister, l.answersWith(change)))
			alone, other := l.newMachine("alone "+name).isAlone(true), l.newMachine("other "+name)
			l.pass(2 * time.Minute)
			if id := alone.identityOf(); id != nil {
				t.Errorf("%s: alone with the thief it took the identity %s", name, id.DeviceID)
			}
			if s := alone.client.Status(); s.Phase == "registered" || s.Problem == "" {
				t.Errorf("%s: alone with the thief it is in phase %q and shows the problem %q", name, s.Phase, s.Problem)
			}
			if s := other.client.Status(); s.Phase != "registered" || s.PolicyVersion == 0 {
				t.Errorf("%s: who can reach another management point is in phase %q: %s", name, s.Phase, s.Problem)
			}
			alone.isAlone(false)
			alone.client.PollPolicyNow()
			l.pass(10 * time.Minute)
			if s := alone.client.Status(); s.Phase != "registered" {
				t.Errorf("%s: once it can reach another management point it is in phase %q: %s", name, s.Phase, s.Problem)
			}
			alone.end()
			other.end()
		}
	})
}

// TestRenewalsOfTheThief lets the thief say that certificates have ended, and
// answer renewals with others.
func TestRenewalsOfTheThief(t *testing.T) {
	inLab(t, func(l *lab) {
		mallory := l.newMachine("mallory").registered()
		m := l.newMachine("alone").isAlone(true).registered()
		before := m.identityOf()
		for name, change := range certificates(l, mallory) {
			forged := l.answersWith(change)
			l.thief(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == wire.DoorRenew {
					forged(w, r)
					return
				}
				refuses(403, wire.CodeExpired)(w, r)
			})
			m.client.PollPolicyNow()
			l.pass(10 * time.Minute)
			if l.askedThief(wire.DoorRenew) == 0 {
				t.Errorf("%s: the thief was not asked", name)
			}
			if after := m.identityOf(); after.DeviceID != before.DeviceID || !bytes.Equal(after.Chain[0], before.Chain[0]) {
				t.Errorf("%s: the client took it", name)
			}
		}
		l.thief(nil)
		m.client.PollPolicyNow()
		l.pass(10 * time.Minute)
		m.send()
		l.pass(10 * time.Minute)
		m.arrived()
	})
}

// overhear makes the thief keep the registrations that go through his hands.
func (l *lab) overhear() func() wire.RegisterRequest {
	var mu sync.Mutex
	var last wire.RegisterRequest
	l.thief(at(wire.DoorRegister, func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // the client has hung up
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		mu.Lock()
		defer mu.Unlock()
		_ = json.Unmarshal(body, &last) // the genuine handler says what is wrong with it
	}))
	return func() wire.RegisterRequest {
		mu.Lock()
		defer mu.Unlock()
		return last
	}
}

// TestStolenRegistrations uses what goes through a management point's hands to
// become the victim, or anybody.
func TestStolenRegistrations(t *testing.T) {
	inLab(t, func(l *lab) {
		heard := l.overhear()
		victim := l.newMachine("victim").registered()
		request := heard()
		var claim wire.Registration
		must(t, json.Unmarshal(request.Registration, &claim))
		key, err := mtls.NewKey()
		must(t, err)
		public := mustPublic(t, key)
		victimsChain := victim.identityOf().Chain

		for name, change := range map[string]func(*wire.Registration, *wire.RegisterRequest){
			"another key under the token's signature": func(*wire.Registration, *wire.RegisterRequest) {},
			"no proof":                  func(r *wire.Registration, _ *wire.RegisterRequest) { r.Proof, r.TokenID = wire.ProofNone, "" },
			"a proof that nobody knows": func(r *wire.Registration, _ *wire.RegisterRequest) { r.Proof = "friend" },
			"a token that nobody made":  func(r *wire.Registration, _ *wire.RegisterRequest) { r.TokenID = strings.Repeat("0", 16) },
			"the victim's certificate and the thief's signature":       withCertificate(victimsChain, key, ""),
			"the victim's certificate, as a copy":                      withCertificate(victimsChain, key, victim.device()),
			"the management point's certificate":                       func(r *wire.Registration, q *wire.RegisterRequest) { l.withOwn(r, q) },
			"the management point's certificate, as the victim's copy": func(r *wire.Registration, q *wire.RegisterRequest) { r.CopyOf = victim.device(); l.withOwn(r, q) },
		} {
			before, devices := l.dump(victim.device()), l.count(`SELECT count(*) FROM device`)
			forged, r := request, claim
			r.PublicKey = public
			change(&r, &forged)
			forged.Registration, err = json.Marshal(r)
			must(t, err)
			forged.Signature, err = signed.Sign(key, wire.SignRegister, forged.Registration)
			must(t, err)
			if len(forged.CertificateSignature) > 0 {
				// Its first byte says whose key signs it.
				signer := key
				if forged.CertificateSignature[0] == 'm' {
					signer, _ = l.thiefsKey()
				}
				forged.CertificateSignature, err = signed.Sign(signer, wire.SignRegister, forged.Registration)
				must(t, err)
			}
			body, err := json.Marshal(forged)
			must(t, err)
			row, err := device.Submit(l.t.Context(), l.db, "LAB", body, "thief", time.Now())
			must(t, err)
			l.pass(15 * time.Second)
			row, err = device.Standing(l.t.Context(), l.db, row.KeyFingerprint)
			must(t, err)
			if row.State != device.StateRefused && row.State != device.StatePending {
				t.Errorf("%s: the registration is %s: %s", name, row.State, row.Detail)
			}
			if after := l.dump(victim.device()); after != before || l.count(`SELECT count(*) FROM device`) != devices {
				t.Errorf("%s: the victim's rows have changed from\n%s\nto\n%s", name, before, after)
			}
		}

		// The same request once more gives the victim's certificate again, which
		// is worth nothing without the victim's key.
		body, err := json.Marshal(request)
		must(t, err)
		row, err := device.Submit(l.t.Context(), l.db, "LAB", body, "thief", time.Now())
		must(t, err)
		answer, err := row.Answer()
		must(t, err)
		if leaf := answer.Chain[0]; !bytes.Equal(leaf, victimsChain[0]) {
			t.Error("a repeated registration has brought another certificate")
		}
		victim.send()
		l.pass(time.Minute)
		victim.arrived()
	})
}

// TestStolenRenewals asks for certificates of the victim's device for the
// thief's key, with the rights of a management point.
func TestStolenRenewals(t *testing.T) {
	inLab(t, func(l *lab) {
		victim := l.newMachine("victim").registered()
		id := victim.identityOf()
		key, err := mtls.NewKey()
		must(t, err)
		public, victims := mustPublic(t, key), mustPublic(t, id.Key)
		sign := func(with keyOf, data []byte) []byte {
			signature, err := signed.Sign(with, wire.SignRenew, data)
			must(t, err)
			return signature
		}
		for name, r := range map[string]wire.RenewRequest{
			"his key":                                {PublicKey: public, Signature: sign(key, public)},
			"his key, signed by himself twice":       {PublicKey: public, Signature: sign(key, public), CurrentSignature: sign(key, public)},
			"his key, and what the victim once sent": {PublicKey: public, Signature: sign(key, public), CurrentSignature: sign(id.Key, victims)},
			"the victim's key, signed by himself":    {PublicKey: victims, Signature: sign(key, victims)},
		} {
			before := l.dump(victim.device())
			body, err := json.Marshal(r)
			must(t, err)
			row, err := device.SubmitRenewal(l.t.Context(), l.db, victim.device(), body, "thief", time.Now())
			if err == nil {
				l.pass(15 * time.Second)
				row, err = device.Standing(l.t.Context(), l.db, row.KeyFingerprint)
				must(t, err)
				if row.State != device.StateRefused {
					t.Errorf("%s: the renewal is %s: %s", name, row.State, row.Detail)
				}
			}
			if after := l.dump(victim.device()); after != before {
				t.Errorf("%s: the victim's rows have changed from\n%s\nto\n%s", name, before, after)
			}
		}
		victim.client.PollPolicyNow()
		victim.send()
		l.pass(time.Minute)
		victim.arrived()
	})
}

// TestRenewalTakesNoRegistrationAway lets a client of the thief renew for a key
// that waits for an administrator: the registration goes on waiting.
func TestRenewalTakesNoRegistrationAway(t *testing.T) {
	inLab(t, func(l *lab) {
		mallory := l.newMachine("mallory").registered()
		key, err := mtls.NewKey()
		must(t, err)
		public := mustPublic(t, key)
		data, err := json.Marshal(wire.Registration{
			Version: wire.Version, SiteCode: "LAB", PublicKey: public, Name: "newcomer", OS: "linux", Arch: "amd64", ClientVersion: "1", Proof: wire.ProofNone,
		})
		must(t, err)
		signature, err := signed.Sign(key, wire.SignRegister, data)
		must(t, err)
		body, err := json.Marshal(wire.RegisterRequest{Registration: data, Signature: signature})
		must(t, err)
		row, err := device.Submit(l.t.Context(), l.db, "LAB", body, "newcomer", time.Now())
		must(t, err)
		l.pass(15 * time.Second)

		renewal, err := json.Marshal(wire.RenewRequest{PublicKey: public, Signature: []byte("no signature")})
		must(t, err)
		response, err := l.as(mallory.identityOf()).Post("https://"+honest+wire.DoorRenew, "application/json", bytes.NewReader(renewal))
		must(t, err)
		response.Body.Close()
		if response.StatusCode < 400 {
			t.Errorf("it was answered with %d", response.StatusCode)
		}
		l.pass(15 * time.Second)
		row, err = device.Standing(l.t.Context(), l.db, row.KeyFingerprint)
		must(t, err)
		if row.State != device.StatePending || row.Kind != "register" {
			t.Errorf("the registration is a %s that is %s, want one that waits for an administrator", row.Kind, row.State)
		}
	})
}

func withCertificate(chain [][]byte, _ keyOf, copyOf string) func(*wire.Registration, *wire.RegisterRequest) {
	return func(r *wire.Registration, q *wire.RegisterRequest) {
		r.Proof, r.Certificate, r.CopyOf = wire.ProofCertificate, chain, copyOf
		q.CertificateSignature = []byte("thief")
	}
}

func (l *lab) withOwn(r *wire.Registration, q *wire.RegisterRequest) {
	_, chain := l.thiefsKey()
	r.Proof, r.Certificate = wire.ProofCertificate, chain
	q.CertificateSignature = []byte("management point")
}

func mustPublic(t testing.TB, key keyOf) []byte {
	t.Helper()
	data, err := x509.MarshalPKIXPublicKey(key.Public())
	must(t, err)
	return data
}
