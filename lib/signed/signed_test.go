package signed

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"mainstay/lib/fault"
	"mainstay/lib/mtls"
	"mainstay/wire"
)

var now = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

type authority struct {
	root, signing *mtls.Issuer
}

func newAuthority(t *testing.T, siteCode string) authority {
	t.Helper()
	key, err := mtls.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	root, err := mtls.NewRoot(siteCode, key, now)
	if err != nil {
		t.Fatal(err)
	}
	return authority{root: root, signing: issue(t, root, siteCode, mtls.PurposeSigning)}
}

func issue(t *testing.T, by *mtls.Issuer, siteCode string, purpose mtls.Purpose) *mtls.Issuer {
	t.Helper()
	key, err := mtls.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	cert, chain, err := by.Issue(mtls.Request{
		Subject: mtls.Subject{SiteCode: siteCode, Purpose: purpose, ID: "x"}, Key: key.Public(), Lifetime: 24 * time.Hour,
	}, now)
	if err != nil {
		t.Fatal(err)
	}
	return &mtls.Issuer{Key: key, Certificate: cert, Chain: chain}
}

func assignments(device string, version int64) wire.PolicyAssignments {
	return wire.PolicyAssignments{
		Statement:   wire.Statement{SiteCode: "LAB", Device: device, Version: version, Issued: now.UnixMicro()},
		Assignments: []wire.Assignment{{Kind: "k", ID: "i", Hash: "h"}},
	}
}

func TestOpen(t *testing.T) {
	t.Parallel()
	site, other := newAuthority(t, "LAB"), newAuthority(t, "LAB")
	seal := func(payload any, by *mtls.Issuer) wire.Signed {
		s, err := Seal(wire.KindPolicyAssignments, payload, by.Key, by.Chain)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	genuine := seal(assignments("me", 5), site.signing)
	changed := genuine
	changed.Payload = bytes.Replace(genuine.Payload, []byte(`"version":5`), []byte(`"version":6`), 1)
	relabelled := genuine
	relabelled.Kind = wire.KindPolicyFreshness
	fresh := func(expires time.Time) wire.Signed {
		s, err := Seal(wire.KindPolicyFreshness, wire.PolicyFreshness{Statement: wire.Statement{
			SiteCode: "LAB", Device: "me", Version: 9, Expires: expires.UnixMicro(),
		}}, site.signing.Key, site.signing.Chain)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	eternal := fresh(time.UnixMicro(0))
	for name, test := range map[string]struct {
		statement wire.Signed
		kind      string
		atLeast   int64
		ok        bool
		want      fault.Kind
	}{
		"genuine":                {genuine, wire.KindPolicyAssignments, 5, true, 0},
		"changed after signing":  {changed, wire.KindPolicyAssignments, 0, false, fault.Denied},
		"of another kind":        {relabelled, wire.KindPolicyFreshness, 0, false, fault.Denied},
		"where another is asked": {genuine, wire.KindPolicyFreshness, 0, false, fault.Denied},
		"older than accepted":    {genuine, wire.KindPolicyAssignments, 6, false, fault.Stale},
		"for another device":     {seal(assignments("you", 5), site.signing), wire.KindPolicyAssignments, 0, false, fault.Denied},
		"for everyone":           {seal(assignments("*", 5), site.signing), wire.KindPolicyAssignments, 0, false, fault.Denied},
		"of another root":        {seal(assignments("me", 5), other.signing), wire.KindPolicyAssignments, 0, false, fault.Denied},
		"by a site system":       {seal(assignments("me", 5), issue(t, site.root, "LAB", mtls.PurposeSystem)), wire.KindPolicyAssignments, 0, false, fault.Denied},
		"by another site's key":  {seal(assignments("me", 5), issue(t, site.root, "ABC", mtls.PurposeSigning)), wire.KindPolicyAssignments, 0, false, fault.Denied},
		"empty":                  {wire.Signed{Kind: wire.KindPolicyAssignments}, wire.KindPolicyAssignments, 0, false, fault.Denied},
		"fresh":                  {fresh(now.Add(time.Second)), wire.KindPolicyFreshness, 0, true, 0},
		"expired":                {fresh(now), wire.KindPolicyFreshness, 0, false, fault.Stale},
		"fresh for ever":         {eternal, wire.KindPolicyFreshness, 0, false, fault.Denied},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out map[string]any
			err := Open(test.statement, Expect{
				Kind: test.kind, SiteCode: "LAB", Device: "me", Root: site.root.Certificate, Now: now, AtLeast: test.atLeast,
			}, &out)
			if test.ok != (err == nil) || err != nil && fault.KindOf(err) != test.want {
				t.Errorf("error %v (%s), want ok %v kind %s", err, fault.KindOf(err), test.ok, test.want)
			}
			if err != nil && out != nil {
				t.Error("a refused statement was decoded")
			}
		})
	}
}

func FuzzOpen(f *testing.F) {
	key, err := mtls.NewKey()
	if err != nil {
		f.Fatal(err)
	}
	root, err := mtls.NewRoot("LAB", key, now)
	if err != nil {
		f.Fatal(err)
	}
	signer, chain, err := root.Issue(mtls.Request{
		Subject: mtls.Subject{SiteCode: "LAB", Purpose: mtls.PurposeSigning, ID: "1"}, Key: key.Public(), Lifetime: time.Hour,
	}, now)
	if err != nil {
		f.Fatal(err)
	}
	s, err := Seal(wire.KindPolicyAssignments, assignments("me", 5), key, chain)
	if err != nil {
		f.Fatal(err)
	}
	seed, err := json.Marshal(s)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Add([]byte(`{"kind":"policy-assignments","chain":[""]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var s wire.Signed
		if json.Unmarshal(data, &s) != nil {
			return
		}
		var out wire.PolicyAssignments
		err := Open(s, Expect{Kind: wire.KindPolicyAssignments, SiteCode: "LAB", Device: "me", Root: root.Certificate, Now: now}, &out)
		if err == nil && (!bytes.Equal(s.Chain[0], signer.Raw) || out.Version != 5) {
			t.Errorf("accepted what the site did not sign: %s", data)
		}
	})
}
