package device

import (
	"strings"
	"testing"
	"time"

	"mainstay/lib/fault"
	"mainstay/lib/listing"
	"mainstay/site/access"
	"mainstay/site/sitedb"
)

var administrator = access.Local("root", "local socket")

func (f *fixture) write(do func(tx *sitedb.Tx) error) error { return f.db.Write(f.Context(), do) }

// seen puts a device into the table that was heard of so long ago; a negative
// age is never.
func (f *fixture) seen(id, name string, age time.Duration) {
	f.Helper()
	d := Device{ID: id, SiteCode: "LAB", Name: name, MACs: "[]", PublicKey: []byte{}, KeyFingerprint: "key of " + id, OS: "linux", Addresses: "[]"}
	if age >= 0 {
		at := sitedb.Micros(now.Add(-age))
		d.PolicyAt = &at
	}
	if err := f.write(func(tx *sitedb.Tx) error {
		_, err := insertDevice.Exec(f.Context(), tx, d)
		return err
	}); err != nil {
		f.Fatal(err)
	}
}

func (f *fixture) list(filter string) string {
	f.Helper()
	var page listing.Page[Device]
	if err := f.db.Read(f.Context(), func(tx *sitedb.Tx) (err error) {
		page, err = List(f.Context(), tx, access.Everything(), listing.Request{Filter: filter}, now)
		return err
	}); err != nil {
		f.Fatal(err)
	}
	names := []string{}
	for _, d := range page.Items {
		names = append(names, d.Name+" "+d.Activity(now))
	}
	return strings.Join(names, ", ")
}

func TestDevicesAreListedByActivity(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.seen("1", "fresh", time.Minute)
	f.seen("2", "silent", 72*time.Hour)
	f.seen("3", "new", -1)
	f.seen("4", "thief", time.Minute)
	if err := f.write(func(tx *sitedb.Tx) error {
		_, err := Block(t.Context(), tx, administrator, "4", "stolen", now)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	for filter, want := range map[string]string{
		"":                                  "fresh active, new never, silent inactive, thief blocked",
		"blocked=true":                      "thief blocked",
		"seen_at>48h and blocked=false":     "fresh active",
		"policy_at=none":                    "new never",
		"name~S":                            "fresh active, silent inactive",
		"os=linux and name!=fresh,new":      "silent inactive, thief blocked",
		"registered_at<2026-01-01 and id=2": "silent inactive",
	} {
		if got := f.list(filter); got != want {
			t.Errorf("%q gives %s, want %s", filter, got, want)
		}
	}
	var counts Counts
	if err := f.db.Read(t.Context(), func(tx *sitedb.Tx) (err error) {
		counts, _, err = Count(t.Context(), tx, access.Everything(), now)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if want := (Counts{Total: 4, Active: 1, Inactive: 1, Never: 1, Blocked: 1}); counts != want {
		t.Errorf("counts are %+v, want %+v", counts, want)
	}
}

func TestScopeOfNothingShowsNoDevice(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.seen("1", "fresh", time.Minute)
	if err := f.db.Read(t.Context(), func(tx *sitedb.Tx) error {
		page, err := List(t.Context(), tx, access.Scope{}, listing.Request{Count: true}, now)
		if err != nil || len(page.Items) != 0 || *page.Total != 0 {
			t.Errorf("the zero scope lists %d devices of %d (%v)", len(page.Items), *page.Total, err)
		}
		if _, err := Show(t.Context(), tx, access.Scope{}, "1"); !fault.Is(err, fault.NotFound) {
			t.Errorf("the zero scope shows a device: %v", err)
		}
		counts, _, err := Count(t.Context(), tx, access.Scope{}, now)
		if err != nil || counts.Total != 0 {
			t.Errorf("the zero scope counts %d devices", counts.Total)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

func TestBlockingReachesTheDirectory(t *testing.T) {
	t.Parallel()
	f := setup(t)
	m := f.machine("web1")
	token := f.token(1)
	id := f.decide(f.ask(m, &token, nil)).Device
	directory := NewDirectory(f.db)
	standing := func() KeyStanding {
		if err := directory.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		_, is := directory.Judge(fingerprint(t, m.key))
		return is
	}
	if standing() != KeyGood {
		t.Fatal("a new device is not good")
	}
	for _, step := range []struct {
		name string
		do   func(tx *sitedb.Tx) error
		want KeyStanding
	}{
		{"blocked", func(tx *sitedb.Tx) error {
			_, err := Block(t.Context(), tx, administrator, id, "stolen", now)
			return err
		}, KeyBlocked},
		{"unblocked", func(tx *sitedb.Tx) error {
			_, err := Unblock(t.Context(), tx, administrator, id, now)
			return err
		}, KeyGood},
		{"deleted", func(tx *sitedb.Tx) error {
			_, err := Delete(t.Context(), tx, administrator, id, now)
			return err
		}, KeyUnknown},
	} {
		if err := f.write(step.do); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if got := standing(); got != step.want {
			t.Errorf("%s: the key stands at %v, want %v", step.name, got, step.want)
		}
	}
}

func TestRefusedChangesOfDevices(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.seen("1", "web1", time.Minute)
	analyst := access.Caller{Name: "ann", Roles: []string{access.ReadOnlyAnalyst}}
	for what, try := range map[string]struct {
		kind fault.Kind
		do   func(tx *sitedb.Tx) error
	}{
		"blocked by an analyst": {fault.Denied, func(tx *sitedb.Tx) error { _, err := Block(t.Context(), tx, analyst, "1", "x", now); return err }},
		"deleted by an analyst": {fault.Denied, func(tx *sitedb.Tx) error { _, err := Delete(t.Context(), tx, analyst, "1", now); return err }},
		"blocked by nobody": {fault.Denied, func(tx *sitedb.Tx) error {
			_, err := Block(t.Context(), tx, access.Caller{}, "1", "x", now)
			return err
		}},
		"without a reason": {fault.Invalid, func(tx *sitedb.Tx) error {
			_, err := Block(t.Context(), tx, administrator, "1", "  ", now)
			return err
		}},
		"a reason with a line feed": {fault.Invalid, func(tx *sitedb.Tx) error {
			_, err := Block(t.Context(), tx, administrator, "1", "a\nb", now)
			return err
		}},
		"unknown": {fault.NotFound, func(tx *sitedb.Tx) error {
			_, err := Block(t.Context(), tx, administrator, "2", "x", now)
			return err
		}},
		"not blocked": {fault.Conflict, func(tx *sitedb.Tx) error {
			_, err := Unblock(t.Context(), tx, administrator, "1", now)
			return err
		}},
	} {
		if err := f.write(try.do); !fault.Is(err, try.kind) {
			t.Errorf("%s: %v, want %s", what, err, try.kind)
		}
	}
	if got := f.list(""); got != "web1 active" {
		t.Errorf("the device is %s", got)
	}
}

func TestPendingRegistrations(t *testing.T) {
	t.Parallel()
	f := setup(t)
	pending := func(name string) Registration {
		return f.decide(f.ask(f.machine(name), nil, nil))
	}
	good, bad := pending("web1"), pending("web2")
	if good.State != StatePending || good.Claim().Name != "web1" {
		t.Fatalf("a registration without proof is %+v", good)
	}
	decide := func(do func(tx *sitedb.Tx) error) error {
		err := f.write(do)
		if err == nil {
			err = f.registrar.Pass(t.Context())
		}
		return err
	}
	if err := decide(func(tx *sitedb.Tx) error {
		_, err := Approve(t.Context(), tx, administrator, good.KeyFingerprint, now)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if err := decide(func(tx *sitedb.Tx) error {
		_, err := Deny(t.Context(), tx, administrator, bad.KeyFingerprint, "not ours", now)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	for fingerprint, want := range map[string]string{good.KeyFingerprint: StateDone, bad.KeyFingerprint: StateRefused} {
		got, err := Standing(t.Context(), f.db, fingerprint)
		if err != nil || got.State != want {
			t.Errorf("state %s (%v), want %s", got.State, err, want)
		}
	}
	if err := decide(func(tx *sitedb.Tx) error {
		_, err := Approve(t.Context(), tx, administrator, bad.KeyFingerprint, now)
		return err
	}); !fault.Is(err, fault.Conflict) {
		t.Errorf("a refused registration is approved: %v", err)
	}
	if got := f.list(""); got != "web1 never" {
		t.Errorf("devices are %s", got)
	}
}
