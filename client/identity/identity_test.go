package identity

import (
	"bytes"
	"crypto/ecdsa"
	"os"
	"path/filepath"
	"testing"
	"time"

	"mainstay/lib/fault"
	"mainstay/lib/mtls"
	"mainstay/wire"
)

// site is a certificate authority for tests.
type site struct {
	root    []byte
	issuing *mtls.Issuer
}

func newSite(t testing.TB, code string) site {
	t.Helper()
	now := time.Now()
	rootKey, err := mtls.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	root, err := mtls.NewRoot(code, rootKey, now)
	if err != nil {
		t.Fatal(err)
	}
	issuingKey, err := mtls.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	cert, chain, err := root.Issue(mtls.Request{
		Subject: mtls.Subject{SiteCode: code, Purpose: mtls.PurposeIssuing, ID: "issuing"},
		Key:     issuingKey.Public(), Lifetime: mtls.IssuingLifetime,
	}, now)
	if err != nil {
		t.Fatal(err)
	}
	return site{root: root.Certificate.Raw, issuing: &mtls.Issuer{Key: issuingKey, Certificate: cert, Chain: chain}}
}

func (s site) answer(t testing.TB, code, device string, purpose mtls.Purpose, key *ecdsa.PrivateKey, now time.Time) wire.RegisterAnswer {
	t.Helper()
	_, chain, err := s.issuing.Issue(mtls.Request{
		Subject: mtls.Subject{SiteCode: code, Purpose: purpose, ID: device},
		Key:     key.Public(), Lifetime: mtls.ClientLifetime,
	}, now)
	if err != nil {
		t.Fatal(err)
	}
	return wire.RegisterAnswer{DeviceID: device, Chain: chain}
}

var hardware = wire.HardwareIdentity{ProductUUID: "4c4c4544-0051-3510-8052-b4c04f564433", MachineID: "0f0e0d0c0b0a09080706050403020100", MACs: []string{"00:16:3e:00:00:01"}}

func registered(t testing.TB, s site, key *ecdsa.PrivateKey) *Identity {
	t.Helper()
	id, err := New("LAB", s.root, key, s.answer(t, "LAB", "device-1", mtls.PurposeClient, key, time.Now()), hardware)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := mtls.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestNewChecksWhatTheSiteAnswered(t *testing.T) {
	t.Parallel()
	s, other := newSite(t, "LAB"), newSite(t, "LAB")
	key, otherKey, now := newKey(t), newKey(t), time.Now()

	for _, test := range []struct {
		name   string
		root   []byte
		answer wire.RegisterAnswer
		good   bool
	}{
		{"right", s.root, s.answer(t, "LAB", "device-1", mtls.PurposeClient, key, now), true},
		{"other root", other.root, s.answer(t, "LAB", "device-1", mtls.PurposeClient, key, now), false},
		{"other site", s.root, s.answer(t, "XXX", "device-1", mtls.PurposeClient, key, now), false},
		{"other purpose", s.root, s.answer(t, "LAB", "device-1", mtls.PurposeSystem, key, now), false},
		{"other key", s.root, s.answer(t, "LAB", "device-1", mtls.PurposeClient, otherKey, now), false},
		{"name that no header can carry", s.root, s.answer(t, "LAB", "device 1", mtls.PurposeClient, key, now), false},
		{"no chain", s.root, wire.RegisterAnswer{DeviceID: "device-1"}, false},
		{"no root", nil, s.answer(t, "LAB", "device-1", mtls.PurposeClient, key, now), false},
	} {
		_, err := New("LAB", test.root, key, test.answer, hardware)
		if (err == nil) != test.good {
			t.Errorf("%s: error is %v", test.name, err)
		}
	}
	wrong := s.answer(t, "LAB", "device-1", mtls.PurposeClient, key, now)
	wrong.DeviceID = "device-2"
	if _, err := New("LAB", s.root, key, wrong, hardware); !fault.Is(err, fault.Denied) {
		t.Errorf("a certificate of another device: error is %v, want a denied one", err)
	}
}

func TestIdentitySurvivesARestart(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "a", "identity")
	store, err := OpenStore(dir)
	if err != nil {
		t.Fatal(err)
	}
	id := registered(t, newSite(t, "LAB"), newKey(t))
	if err := store.Save(id); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir, store.identityPath()} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v: others can read it", path, info.Mode())
		}
	}

	got, pending, err := store.Load()
	if err != nil {
		t.Fatal(err)
	}
	if pending != nil {
		t.Error("a registration is under way that nobody began")
	}
	if got.DeviceID != "device-1" || !got.Key.Equal(id.Key) || got.Hardware.ProductUUID != hardware.ProductUUID || !bytes.Equal(got.Root, id.Root) {
		t.Errorf("another identity came back: %+v", got)
	}
	if half := got.RenewAt(); half.Before(time.Now().Add(5*30*24*time.Hour)) || half.After(time.Now().Add(8*30*24*time.Hour)) {
		t.Errorf("renewal is at %v, want about half of 13 months from now", half)
	}
}

func TestRegistrationSurvivesACrash(t *testing.T) {
	t.Parallel()
	s := newSite(t, "LAB")
	old := registered(t, s, newKey(t))
	for _, test := range []struct {
		name string
		old  *Identity
		key  *ecdsa.PrivateKey
	}{
		{"first", nil, newKey(t)},
		{"copy", old, newKey(t)},
		{"forgotten, same key", old, old.Key},
	} {
		t.Run(test.name, func(t *testing.T) {
			store, err := OpenStore(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			if test.old != nil {
				if err := store.Save(test.old); err != nil {
					t.Fatal(err)
				}
			}
			begun := &Pending{Key: test.key, CopyOf: "device-0", Reason: "why not"}
			if err := store.Begin(begun, test.old); err != nil {
				t.Fatal(err)
			}
			id, pending, err := store.Load()
			if err != nil {
				t.Fatal(err)
			}
			if pending == nil || !pending.Key.Equal(test.key) || pending.CopyOf != "device-0" || (id != nil) != (test.old != nil) {
				t.Fatalf("after a crash while registering: identity %v, registration %+v", id, pending)
			}

			// The answer came and was stored, and the crash left the
			// registration's file behind.
			left, err := os.ReadFile(store.pendingPath())
			if err != nil {
				t.Fatal(err)
			}
			if err := store.Save(registered(t, s, test.key)); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(store.pendingPath(), left, 0o600); err != nil {
				t.Fatal(err)
			}
			id, pending, err = store.Load()
			if err != nil || pending != nil || !id.Key.Equal(test.key) {
				t.Fatalf("after a crash at the end: identity %v, registration %+v, error %v", id, pending, err)
			}
		})
	}
}

func TestDamagedIdentityIsRefused(t *testing.T) {
	t.Parallel()
	store, err := OpenStore(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(store.identityPath(), []byte(`{"format":1}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if id, _, err := store.Load(); err == nil || id != nil {
		t.Errorf("a damaged file gave identity %v, error %v", id, err)
	}
}

func TestRenewalKeepsTheDevice(t *testing.T) {
	t.Parallel()
	s := newSite(t, "LAB")
	id := registered(t, s, newKey(t))
	later := time.Now().Add(time.Hour)
	renewed, err := id.Renewed(s.answer(t, "LAB", "device-1", mtls.PurposeClient, id.Key, later))
	if err != nil {
		t.Fatal(err)
	}
	if !renewed.Certificate.NotAfter.After(id.Certificate.NotAfter) || renewed.Hardware.ProductUUID != hardware.ProductUUID {
		t.Error("the renewed identity is not the old one with a later end")
	}
	if _, err := id.Renewed(s.answer(t, "LAB", "device-2", mtls.PurposeClient, id.Key, later)); !fault.Is(err, fault.Denied) {
		t.Errorf("renewal for another device: error is %v, want a denied one", err)
	}
}

func FuzzDecode(f *testing.F) {
	s := newSite(f, "LAB")
	data, err := registered(f, s, newKey(f)).Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte(`{"format":1,"key":"x"}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if id, err := Decode(data); err == nil {
			if _, err := id.Encode(); err != nil {
				t.Fatalf("accepted and cannot be written again: %v", err)
			}
			id.RenewAt()
		}
		_, _ = decodePending(data)
	})
}
