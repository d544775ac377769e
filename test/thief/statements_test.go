package thief

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"mainstay/lib/fault"
	"mainstay/lib/mtls"
	"mainstay/lib/signed"
	"mainstay/site"
	"mainstay/site/sitedb"
	"mainstay/wire"
)

// carrier is how a kind of statement reaches a client, and what the thief would
// gain by it.
type carrier struct {
	// evil is what the thief would like a payload to say.
	evil func(payload map[string]any)
	// show answers with the genuine statement after change.
	show func(l *lab, change func(wire.Signed) wire.Signed) http.HandlerFunc
	// ask makes the client ask for it; nil: no client does.
	ask func(m *machine)
	// obeys tells that the client does what the thief would like.
	obeys func(m *machine) bool
	// state is what the client follows, as text.
	state func(m *machine) string
	// renew makes the site say something new.
	renew func(l *lab, n int)
	// reported is what the site hears of a forgery by another way.
	reported int
}

// evilBody is a policy body that the thief would like to be obeyed.
const (
	evilPolling = 77
	evilPoint   = "evil:8443"
)

// carriers has an entry for every kind in wire.StatementKinds.
func carriers() map[string]carrier {
	pollPolicy := func(m *machine) { m.client.PollPolicyNow() }
	policyState := func(m *machine) string {
		return fmt.Sprintf("version %d, polls every %d s", m.client.Status().PolicyVersion, polling(m))
	}
	newPolicy := func(l *lab, n int) { l.setPolling(fmt.Sprintf("%ds", 400+n)) }
	return map[string]carrier{
		wire.KindSiteDescription: {
			evil: func(p map[string]any) { p["management_points"] = []string{evilPoint} },
			show: showDescription,
			// It is asked for at each start, and then once a day.
			ask:      func(m *machine) { m.end(); m.start() },
			obeys:    func(m *machine) bool { return slices.Contains(m.client.Status().ManagementPoints, evilPoint) },
			state:    func(m *machine) string { return fmt.Sprint(m.client.Status().ManagementPoints) },
			renew:    func(l *lab, n int) { l.addSystem(n) },
			reported: wire.StatusSiteForged,
		},
		wire.KindPolicyAssignments: {
			evil:     func(p map[string]any) { p["assignments"] = []any{assignmentOf(evilSettings())} },
			show:     showPolicy(func(a *wire.PolicyAnswer) *wire.Signed { return &a.Assignments }),
			ask:      pollPolicy,
			obeys:    func(m *machine) bool { return polling(m) == evilPolling },
			state:    policyState,
			renew:    newPolicy,
			reported: wire.StatusPolicyForged,
		},
		wire.KindPolicyFreshness: {
			evil: func(p map[string]any) {
				if p["expires"] != 0 {
					p["expires"] = time.Now().Add(10 * 365 * 24 * time.Hour).UnixMicro()
				}
				p["policy_version"] = 1
			},
			show: showPolicy(func(a *wire.PolicyAnswer) *wire.Signed { return &a.Freshness }),
			ask:  pollPolicy,
			obeys: func(m *machine) bool {
				return m.client.Status().PolicyFreshUntil.After(time.Now().Add(wire.FreshnessDays*24*time.Hour + time.Minute))
			},
			state:    policyState,
			renew:    newPolicy,
			reported: wire.StatusPolicyForged,
		},
		wire.KindClientPackages: {
			// A machine that is to become a client compares each package with a
			// fingerprint that came with the install line; no client asks.
			evil: func(p map[string]any) { p["packages"] = []any{} },
		},
	}
}

// forgery is one way to make a statement that the site did not make for this
// client, now.
type forgery struct {
	name string
	// applies tells for which kinds it is one; nil: for all.
	applies func(wire.StatementKind) bool
	// make makes it of a genuine one for a device.
	make func(f *forge, s wire.Signed) wire.Signed
}

// forge is what the thief has, and the site's own key for what the site would
// have said to others or at other times.
type forge struct {
	l      *lab
	kind   wire.StatementKind
	device string
	// evil is what he would like the payload to say.
	evil func(map[string]any)
}

func forgeries() []forgery {
	list := []forgery{
		{name: "altered", make: func(f *forge, s wire.Signed) wire.Signed {
			s.Payload = f.altered(s, nil)
			return s
		}},
		{name: "altered: far ahead", make: func(f *forge, s wire.Signed) wire.Signed {
			s.Payload = f.altered(s, map[string]any{"version": int64(1) << 62})
			return s
		}},
		{name: "signed by the management point", make: func(f *forge, s wire.Signed) wire.Signed {
			key, chain := f.l.thiefsKey()
			out, err := signed.Seal(f.kind.Kind, json.RawMessage(f.altered(s, nil)), key, chain)
			must(f.l.t, err)
			return out
		}},
		{name: "signed by the management point under the site's chain", make: func(f *forge, s wire.Signed) wire.Signed {
			key, _ := f.l.thiefsKey()
			out, err := signed.Seal(f.kind.Kind, json.RawMessage(f.altered(s, nil)), key, s.Chain)
			must(f.l.t, err)
			return out
		}},
		{name: "signed by a client", make: func(f *forge, s wire.Signed) wire.Signed {
			own := f.l.machines[0].identityOf()
			out, err := signed.Seal(f.kind.Kind, json.RawMessage(f.altered(s, nil)), own.Key, own.Chain)
			must(f.l.t, err)
			return out
		}},
		{name: "signed by a site of the same code", make: func(f *forge, s wire.Signed) wire.Signed {
			key, chain := madeUpSite(f.l.t)
			out, err := signed.Seal(f.kind.Kind, json.RawMessage(f.altered(s, nil)), key, chain)
			must(f.l.t, err)
			return out
		}},
		{name: "not signed", make: func(f *forge, s wire.Signed) wire.Signed {
			s.Payload, s.Signature = f.altered(s, nil), nil
			return s
		}},
		{name: "without chain", make: func(f *forge, s wire.Signed) wire.Signed {
			s.Chain = nil
			return s
		}},
		{name: "of another site", make: func(f *forge, s wire.Signed) wire.Signed {
			return f.genuine(f.kind.Kind, s, map[string]any{"site_code": "XXX"})
		}},
		{name: "older", applies: func(k wire.StatementKind) bool { return k.Ordered }, make: func(f *forge, s wire.Signed) wire.Signed {
			return f.genuine(f.kind.Kind, s, map[string]any{"version": 1})
		}},
		{name: "ended", applies: func(k wire.StatementKind) bool { return k.Expiring }, make: func(f *forge, s wire.Signed) wire.Signed {
			return f.genuine(f.kind.Kind, s, map[string]any{"expires": time.Now().Add(-time.Second).UnixMicro()})
		}},
		{name: "without end", applies: func(k wire.StatementKind) bool { return k.Expiring }, make: func(f *forge, s wire.Signed) wire.Signed {
			return f.genuine(f.kind.Kind, s, map[string]any{"expires": 0})
		}},
		{name: "for another device", applies: func(k wire.StatementKind) bool { return k.Addressed }, make: func(f *forge, s wire.Signed) wire.Signed {
			return f.genuine(f.kind.Kind, s, map[string]any{"device": f.l.machines[0].device()})
		}},
		{name: "for everyone", applies: func(k wire.StatementKind) bool { return k.Addressed }, make: func(f *forge, s wire.Signed) wire.Signed {
			return f.genuine(f.kind.Kind, s, map[string]any{"device": wire.Everyone})
		}},
		{name: "for one device", applies: func(k wire.StatementKind) bool { return !k.Addressed }, make: func(f *forge, s wire.Signed) wire.Signed {
			return f.genuine(f.kind.Kind, s, map[string]any{"device": f.device})
		}},
	}
	for _, other := range wire.StatementKinds() {
		isAnother := func(k wire.StatementKind) bool { return k.Kind != other.Kind }
		list = append(list,
			forgery{name: "a " + other.Kind + " that says it is this", applies: isAnother, make: func(f *forge, s wire.Signed) wire.Signed {
				out := f.genuine(other.Kind, s, nil)
				out.Kind = f.kind.Kind
				return out
			}},
			forgery{name: "a " + other.Kind, applies: isAnother, make: func(f *forge, s wire.Signed) wire.Signed {
				return f.genuine(other.Kind, s, nil)
			}},
		)
	}
	return list
}

// altered is the payload as the thief would like it.
func (f *forge) altered(s wire.Signed, also map[string]any) []byte {
	f.l.t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(s.Payload))
	decoder.UseNumber()
	payload := map[string]any{}
	must(f.l.t, decoder.Decode(&payload))
	payload["version"] = time.Now().UnixMicro() + 1
	f.evil(payload)
	maps.Copy(payload, also)
	data, err := json.Marshal(payload)
	must(f.l.t, err)
	return data
}

// genuine is what the site itself would have signed: the thief has kept it from
// another time or another device.
func (f *forge) genuine(kind string, s wire.Signed, with map[string]any) wire.Signed {
	f.l.t.Helper()
	out, err := f.l.authority.Sign(kind, json.RawMessage(f.altered(s, with)))
	must(f.l.t, err)
	return out
}

// TestEveryKindOfStatementHasItsCarrier makes who adds a kind say how a client
// gets it.
func TestEveryKindOfStatementHasItsCarrier(t *testing.T) {
	t.Parallel()
	var kinds []string
	for _, k := range wire.StatementKinds() {
		kinds = append(kinds, k.Kind)
	}
	slices.Sort(kinds)
	if have := slices.Sorted(maps.Keys(carriers())); !slices.Equal(have, kinds) {
		t.Errorf("there are carriers for %v, and wire.StatementKinds has %v: add what is missing to carriers", have, kinds)
	}
}

// TestForgedStatementsAreRefused checks each forgery of each kind where a
// statement is opened.
func TestForgedStatementsAreRefused(t *testing.T) {
	inLab(t, func(l *lab) {
		l.newMachine("bystander").registered()
		for _, kind := range wire.StatementKinds() {
			f := &forge{l: l, kind: kind, device: "victim", evil: carriers()[kind.Kind].evil}
			device := wire.Everyone
			if kind.Addressed {
				device = f.device
			}
			head := wire.Statement{SiteCode: "LAB", Device: device, Version: 1000, Issued: time.Now().UnixMicro()}
			if kind.Expiring {
				head.Expires = time.Now().Add(time.Hour).UnixMicro()
			}
			genuine, err := l.authority.Sign(kind.Kind, head)
			must(l.t, err)
			want := signed.Expect{Kind: kind.Kind, SiteCode: "LAB", Device: f.device, Root: l.authority.Root(), Now: time.Now(), AtLeast: 1000}
			if err := signed.Open(genuine, want, kind.New()); err != nil {
				t.Fatalf("%s: the genuine one is refused: %v", kind.Kind, err)
			}
			for _, forgery := range forgeries() {
				if forgery.applies != nil && !forgery.applies(kind) {
					continue
				}
				err := signed.Open(forgery.make(f, genuine), want, kind.New())
				if !fault.Is(err, fault.Denied) && !fault.Is(err, fault.Stale) {
					t.Errorf("%s, %s: opened with error %v", kind.Kind, forgery.name, err)
				}
			}
		}
	})
}

// TestClientsRefuseForgedStatements shows each forgery of each kind to clients:
// one that is alone with the thief keeps what it has and says so; one that can
// reach another management point follows the site at once.
func TestClientsRefuseForgedStatements(t *testing.T) {
	for _, kind := range wire.StatementKinds() {
		c := carriers()[kind.Kind]
		if c.ask == nil {
			continue
		}
		t.Run(kind.Kind, func(t *testing.T) {
			inLab(t, func(l *lab) {
				l.newMachine("bystander").registered()
				alone, other := l.newMachine("alone").isAlone(true).registered(), l.newMachine("other").registered()
				for n, forgery := range forgeries() {
					if forgery.applies == nil || forgery.applies(kind) {
						l.meet(kind, c, forgery, n, alone, other)
					}
				}
				for _, m := range []*machine{alone, other} {
					// Who starts asks any of them for the description.
					met := m == alone || kind.Addressed
					if met && m.told(c.reported) == 0 {
						t.Errorf("the site has not heard from %s of any forgery", m.name)
					}
					if s := m.strangers(); len(s) > 0 {
						t.Errorf("%s went to %v", m.name, s)
					}
				}
			})
		})
	}
}

// meet lets two clients meet one forgery.
func (l *lab) meet(kind wire.StatementKind, c carrier, forgery forgery, n int, alone, other *machine) {
	l.t.Helper()
	before, otherBefore := c.state(alone), c.state(other)
	// Before the site has something new: the clients also ask by themselves.
	l.thief(c.show(l, func(s wire.Signed) wire.Signed {
		return forgery.make(&forge{l: l, kind: kind, device: alone.device(), evil: c.evil}, s)
	}))
	c.renew(l, n)
	for _, m := range []*machine{alone, other} {
		c.ask(m)
	}
	l.pass(2 * time.Minute)
	for _, m := range []*machine{alone, other} {
		if c.obeys(m) {
			l.t.Errorf("%s: %s obeys: %s", forgery.name, m.name, c.state(m))
		}
	}
	if l.askedInAll() == 0 {
		l.t.Errorf("%s: the thief was not asked", forgery.name)
	}
	if after := c.state(alone); after != before {
		l.t.Errorf("%s: alone with the thief it follows %s, want %s as before", forgery.name, after, before)
	}
	if alone.client.Status().Problem == "" {
		l.t.Errorf("%s: alone with the thief it shows no problem", forgery.name)
	}
	if after := c.state(other); after == otherBefore {
		l.t.Errorf("%s: who can reach another management point still follows %s; problem %q", forgery.name, after, other.client.Status().Problem)
	}
	// The thief lets the genuine one through, and everybody recovers.
	l.thief(nil)
	c.ask(alone)
	l.pass(2 * time.Minute)
	if after := c.state(alone); after == before {
		l.t.Errorf("%s: once the thief is gone it still follows %s; problem %q", forgery.name, after, alone.client.Status().Problem)
	}
}

// showDescription answers with the description of the site.
func showDescription(l *lab, change func(wire.Signed) wire.Signed) http.HandlerFunc {
	return at(wire.DoorSite, func(w http.ResponseWriter, r *http.Request) {
		var s wire.Signed
		l.askGenuine(r, &s)
		says(change(s))(w, r)
	})
}

// showPolicy answers with one of the statements of a policy answer changed, and
// serves what evil assignments name.
func showPolicy(which func(*wire.PolicyAnswer) *wire.Signed) func(*lab, func(wire.Signed) wire.Signed) http.HandlerFunc {
	return func(l *lab, change func(wire.Signed) wire.Signed) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case wire.DoorPolicy:
				var answer wire.PolicyAnswer
				r.Header.Del("If-None-Match")
				l.askGenuine(r, &answer)
				s := which(&answer)
				*s = change(*s)
				w.Header().Set("ETag", `"thief"`)
				says(answer)(w, r)
			case wire.DoorPolicyBody + hashOf(evilSettings()):
				_, _ = w.Write(evilSettings())
			}
		}
	}
}

// askGenuine hands a request to the genuine management point and decodes what
// it says.
func (l *lab) askGenuine(r *http.Request, into any) {
	recorder := httptest.NewRecorder()
	l.genuine.ServeHTTP(recorder, r)
	if err := json.Unmarshal(recorder.Body.Bytes(), into); err != nil {
		l.t.Errorf("the genuine management point answered %d: %s", recorder.Code, recorder.Body)
	}
}

// addSystem gives the site another management point.
func (l *lab) addSystem(n int) {
	l.t.Helper()
	ctx := l.t.Context()
	must(l.t, l.db.Write(ctx, func(tx *sitedb.Tx) error {
		now := sitedb.Micros(time.Now())
		name := fmt.Sprintf("system%d", n)
		s := site.System{ID: name, SiteCode: "LAB", Name: name, Address: "127.0.0.1", ClientPort: int64(1000 + n), AdminPort: 1, CreatedAt: now, SeenAt: now}
		return errors.Join(site.PutSystem(ctx, tx, s), site.PutRole(ctx, tx, name, site.RoleManagementPoint, site.StateOK, "", time.Now()))
	}))
	l.pass(2 * time.Minute)
}

// madeUpSite is the signing key of a site that has the code of the real one.
func madeUpSite(t testing.TB) (key keyOf, chain [][]byte) {
	t.Helper()
	now := time.Now()
	rootKey, err := mtls.NewKey()
	must(t, err)
	root, err := mtls.NewRoot("LAB", rootKey, now)
	must(t, err)
	key, err = mtls.NewKey()
	must(t, err)
	_, chain, err = root.Issue(mtls.Request{
		Subject: mtls.Subject{SiteCode: "LAB", Purpose: mtls.PurposeSigning, ID: "1"}, Key: key.Public(), Lifetime: mtls.SigningLifetime,
	}, now)
	must(t, err)
	return key, chain
}
