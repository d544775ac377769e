package client

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"mainstay/client/clienttest"
	"mainstay/wire"
)

func TestNothingIsSentToAnotherSite(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		// A false site with the right code answers at the address.
		other := clienttest.NewSite(t, "LAB")
		w.start(func(c *Config) { c.Token = other.Token })
		w.pass(10 * time.Minute)
		for _, request := range w.points[0].Requests() {
			if request != "GET "+wire.DoorSite {
				t.Errorf("the false site was asked %s", request)
			}
		}
		if problem := w.client.Status().Problem; !strings.Contains(problem, "token") {
			t.Errorf("status says %q, want that the token does not agree", problem)
		}
	})
}

func TestManInTheMiddleOfRegistration(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		// The thief repeats the true description under a certificate of his
		// own site.
		thief := clienttest.NewSite(t, "LAB")
		w.points[0].StartWith(t, thief.System(t, "mp0:8443"))
		w.start()
		w.pass(10 * time.Minute)
		for _, request := range w.points[0].Requests() {
			if request != "GET "+wire.DoorSite {
				t.Errorf("the thief was asked %s", request)
			}
		}
	})
}

func TestRootKeyAndFirstContact(t *testing.T) {
	t.Run("root key", func(t *testing.T) {
		inWorld(t, 1, func(t *testing.T, w *world) {
			w.start(func(c *Config) { c.Token, c.RootKey = noToken, w.site.RootDER() })
			w.pass(10 * time.Second)
			if r := w.site.Registrations(); len(r) != 1 || r[0].Proof != wire.ProofNone {
				t.Errorf("registrations are %+v", r)
			}
			if ids := told(w, w.device()); slices.Contains(ids, wire.StatusPinned) {
				t.Error("first contact is told although the root key was given")
			}
		})
	})
	t.Run("first contact", func(t *testing.T) {
		inWorld(t, 1, func(t *testing.T, w *world) {
			var said []string
			w.start(func(c *Config) {
				c.Token = noToken
				c.Progress = func(s string) { said = append(said, s) }
			})
			w.pass(10 * time.Second)
			if ids := told(w, w.device()); !slices.Contains(ids, wire.StatusPinned) {
				t.Error("trust at first contact is not reported")
			}
			if !strings.Contains(strings.Join(said, "\n"), "WARNING") || !w.client.Status().RootTrustedAtFirstContact {
				t.Errorf("trust at first contact is not told: %q", said)
			}
		})
	})
	t.Run("pinned", func(t *testing.T) {
		inWorld(t, 1, func(t *testing.T, w *world) {
			w.site.SetPending(true)
			w.start(func(c *Config) { c.Token = noToken })
			w.pass(time.Minute)
			w.shut()
			before := len(w.points[0].Requests())
			thief := clienttest.NewSite(t, "LAB")
			w.points[0].StartWith(t, thief.System(t, "mp0:8443"))
			w.points[0].Intercept(func(rw http.ResponseWriter, r *http.Request) {
				if r.URL.Path == wire.DoorSite {
					rw.Header().Set("Content-Type", "application/json")
					_ = json.NewEncoder(rw).Encode(thief.Description())
				}
			})
			w.start(func(c *Config) { c.Token = noToken })
			w.pass(10 * time.Minute)
			for _, request := range w.points[0].Requests()[before:] {
				if request != "GET "+wire.DoorSite {
					t.Errorf("after the first contact another site was asked %s", request)
				}
			}
		})
	})
}

func TestApproval(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		w.site.SetPending(true)
		w.start()
		w.pass(5 * time.Minute)
		if phase := w.client.Status().Phase; phase != phasePending {
			t.Errorf("phase is %q, want %q", phase, phasePending)
		}
		// The same key asks all the time, even after a restart.
		w.shut()
		w.start()
		w.pass(time.Hour)
		r := w.site.Registrations()
		for _, other := range r[1:] {
			if string(other.PublicKey) != string(r[0].PublicKey) {
				t.Fatal("another key asked")
			}
		}
		if len(r) > 60 {
			t.Errorf("asked %d times in an hour", len(r))
		}
		w.site.SetPending(false)
		w.pass(10 * time.Minute)
		if phase := w.client.Status().Phase; phase != phaseRegistered {
			t.Errorf("after approval the phase is %q", phase)
		}
	})
}

func TestRefusedTokenIsAskedForSlowlyAndForEver(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		w.site.RefuseToken(true)
		w.start()
		w.pass(24 * time.Hour)
		if s := w.client.Status(); s.Phase != phaseTokenRefused || !strings.Contains(s.Problem, "used up") {
			t.Errorf("status is %q, %q", s.Phase, s.Problem)
		}
		n := len(w.site.Registrations())
		if n < 24 || n > 300 {
			t.Errorf("asked %d times in a day", n)
		}
		w.site.RefuseToken(false)
		w.pass(time.Hour)
		if phase := w.client.Status().Phase; phase != phaseRegistered {
			t.Errorf("after the token became good the phase is %q", phase)
		}
	})
}

func TestForgottenDeviceRegistersWithItsCertificate(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		w.start()
		w.pass(time.Minute)
		w.site.Forget(w.device())
		if err := w.client.Send(true, numbered(7)); err != nil {
			t.Fatal(err)
		}
		w.pass(10 * time.Minute)
		r := w.site.Registrations()
		if len(r) != 2 || r[1].Proof != wire.ProofCertificate || r[1].CopyOf != "" || string(r[1].PublicKey) != string(r[0].PublicKey) {
			t.Fatalf("registrations are %+v", r)
		}
		if got := numbers(w, w.device()); len(got) != 1 {
			t.Errorf("what waited did not arrive: %v", got)
		}
		if n := len(w.site.Messages(w.device(), wire.TypeHardwareInventory)); n != 1 {
			t.Errorf("%d full reports to the new record, want 1", n)
		}
	})
}

func TestCopyRegistersForItself(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		w.start()
		w.pass(time.Minute)
		original := w.device()
		w.network.SetDown("mp0:8443", true)
		if err := w.client.Send(true, numbered(1)); err != nil {
			t.Fatal(err)
		}
		w.pass(time.Minute)
		w.shut()
		w.network.SetDown("mp0:8443", false)

		w.machine.hardware.ProductUUID = "bbbbbbbb-0000-0000-0000-000000000002"
		w.start()
		if err := w.client.Send(true, numbered(2)); err != nil {
			t.Fatal(err)
		}
		w.pass(10 * time.Minute)
		r := w.site.Registrations()
		if len(r) != 2 || r[1].Proof != wire.ProofCertificate || r[1].CopyOf != original || string(r[1].PublicKey) == string(r[0].PublicKey) {
			t.Fatalf("registrations are %+v", r)
		}
		devices := w.site.Devices()
		if len(devices) != 2 {
			t.Fatalf("devices are %v", devices)
		}
		copied := devices[0]
		if copied == original {
			copied = devices[1]
		}
		if got := numbers(w, copied); !slices.Equal(got, []string{"2"}) {
			t.Errorf("the copy sent %v, want only its own message", got)
		}
		if ids := told(w, copied); !slices.Contains(ids, wire.StatusCopy) {
			t.Errorf("the copy is not reported: %v", ids)
		}
		reports := bodies[wire.InventoryReport](w, copied, wire.TypeHardwareInventory)
		if len(reports) != 1 || reports[0].Kind != wire.InventoryFull {
			t.Errorf("the copy's inventory reports are %+v", reports)
		}
	})
}

func TestSharedIdentityIsGivenUpOnceAnHour(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		w.start()
		w.pass(time.Minute)
		original := w.device()
		w.points[0].Intercept(func(rw http.ResponseWriter, r *http.Request) {
			if r.URL.Path == wire.DoorMessages {
				clienttest.Refuse(rw, http.StatusConflict, wire.CodeIdentityConflict, "two clients")
			}
		})
		if err := w.client.Send(true, numbered(1)); err != nil {
			t.Fatal(err)
		}
		w.pass(50 * time.Minute)
		if r := w.site.Registrations(); len(r) != 2 || r[1].CopyOf != original {
			t.Fatalf("%d registrations in an hour of a lying management point: %+v", len(r), r)
		}
		w.points[0].Intercept(nil)
		w.pass(10 * time.Minute)
		for _, device := range w.site.Devices() {
			if got := numbers(w, device); device != original && !slices.Equal(got, []string{"1"}) {
				t.Errorf("device %s sent %v", device, got)
			}
		}
	})
}

func TestReplacedKeyRegistersWithTheToken(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		w.start()
		w.pass(time.Minute)
		device := w.device()
		w.site.Refuse(device, &wire.Problem{Status: 403, Code: wire.CodeReplaced, Title: "replaced"})
		w.points[0].Intercept(func(rw http.ResponseWriter, r *http.Request) {
			if r.URL.Path == wire.DoorRegister && len(w.site.Registrations()) < 2 {
				clienttest.Refuse(rw, http.StatusForbidden, wire.CodeReplaced, "replaced")
				w.points[0].Intercept(nil)
			}
		})
		w.pass(20 * time.Minute)
		r := w.site.Registrations()
		if len(r) != 2 || r[1].Proof != wire.ProofToken || string(r[1].PublicKey) == string(r[0].PublicKey) {
			t.Fatalf("registrations are %+v", r)
		}
	})
}

func TestBlockedClientComesBack(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		w.start()
		w.pass(time.Minute)
		device := w.device()
		w.site.Refuse(device, &wire.Problem{Status: 403, Code: wire.CodeBlocked, Title: "blocked by an administrator"})
		w.pass(time.Hour)
		if s := w.client.Status(); s.Phase != phaseBlocked || !strings.Contains(s.Problem, "blocked") {
			t.Errorf("status is %q, %q", s.Phase, s.Problem)
		}
		w.site.Refuse(device, nil)
		w.pass(time.Hour)
		if s := w.client.Status(); s.Phase != phaseRegistered || s.Problem != "" {
			t.Errorf("after unblocking the status is %q, %q", s.Phase, s.Problem)
		}
	})
}

func TestCertificateIsRenewed(t *testing.T) {
	inWorld(t, 1, func(t *testing.T, w *world) {
		w.start()
		w.pass(time.Minute)
		device, first := w.device(), w.client.Status().CertificateEnds
		// Seven months of polls every five minutes would take long.
		seldom := wire.ClientSettings{ClientPolicy: wire.ClientPolicySettings{PollingIntervalSeconds: 24 * 60 * 60}}
		w.site.SetPolicy(device, clienttest.Policy{Kind: wire.PolicyClientSettings, ID: "resultant", Body: seldom})
		w.pass(8 * 30 * 24 * time.Hour)
		second := w.client.Status().CertificateEnds
		if !second.After(*first) {
			t.Fatalf("after eight of thirteen months it ends at %v, as before", second)
		}
		if n := len(w.site.Registrations()); n != 1 {
			t.Errorf("%d registrations, want 1", n)
		}

		// Off for years: the certificate has ended, and is good for one thing.
		w.shut()
		w.site.Refuse(device, &wire.Problem{Status: 403, Code: wire.CodeExpired, Title: "ended"})
		w.points[0].StartWith(t, w.site.System(t, "mp0:8443"))
		w.start()
		w.pass(15 * time.Minute)
		if third := w.client.Status().CertificateEnds; !third.After(*second) {
			t.Errorf("an ended certificate was not renewed")
		}
		if s := w.client.Status(); s.Problem != "" {
			t.Errorf("problem is %q", s.Problem)
		}
	})
}
