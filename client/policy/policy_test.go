package policy

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	"mainstay/client/clienttest"
	"mainstay/client/transport"
	"mainstay/lib/fault"
	"mainstay/lib/mtls"
	"mainstay/wire"
)

// source is management points without a network: each answers from a list.
type source struct {
	answers []answer
	bodies  map[string][]byte
	asked   []string // tags
	gone    []string // distrusted
}

type answer struct {
	point string
	reply wire.PolicyAnswer
	tag   string
	same  bool
	err   error
}

func (s *source) Policy(_ context.Context, tag string) (transport.PolicyReply, error) {
	s.asked = append(s.asked, tag)
	for _, a := range s.answers {
		if slices.Contains(s.gone, a.point) {
			continue
		}
		if a.err != nil {
			return transport.PolicyReply{}, a.err
		}
		return transport.PolicyReply{ManagementPoint: a.point, Answer: a.reply, Tag: a.tag, Unchanged: a.same}, nil
	}
	return transport.PolicyReply{}, &transport.Failure{Advice: transport.TryAnother, Text: "all rest"}
}

func (s *source) PolicyBody(_ context.Context, hash string, _ int64) ([]byte, error) {
	if body, ok := s.bodies[hash]; ok {
		return body, nil
	}
	return nil, &transport.Failure{Advice: transport.TryAnother, Text: "no such body"}
}

func (s *source) Distrust(point string) { s.gone = append(s.gone, point) }

// fixture is a site with one device and the keeper of its policy.
type fixture struct {
	t      *testing.T
	site   *clienttest.Site
	dir    string
	now    time.Time
	keeper *Keeper
	floors map[string]int64
}

const device = "device-1"

func setup(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{t: t, site: clienttest.NewSite(t, "LAB"), dir: t.TempDir(), now: time.Now(), floors: map[string]int64{}}
	f.keeper = f.open()
	return f
}

func (f *fixture) open() *Keeper {
	f.t.Helper()
	k, err := Open(Config{
		Dir: f.dir, SiteCode: "LAB", Now: func() time.Time { return f.now },
		Floor:    func(kind, device string) int64 { return f.floors[kind+device] },
		SetFloor: func(kind, device string, v int64) error { f.floors[kind+device] = v; return nil },
	})
	if err != nil {
		f.t.Fatal(err)
	}
	if err := k.Load(device, f.site.Root()); err != nil {
		f.t.Fatal(err)
	}
	return k
}

// policy makes an answer of the site and the bodies in it.
func (f *fixture) policy(version int64, policies ...clienttest.Policy) (wire.PolicyAnswer, map[string][]byte) {
	f.t.Helper()
	a := wire.PolicyAssignments{Statement: f.statement(version), Assignments: []wire.Assignment{}}
	bodies := map[string][]byte{}
	for _, p := range policies {
		body, err := json.Marshal(p.Body)
		if err != nil {
			f.t.Fatal(err)
		}
		hash := mtls.Fingerprint(body)
		bodies[hash] = body
		a.Assignments = append(a.Assignments, wire.Assignment{Kind: p.Kind, ID: p.ID, Hash: hash, Size: int64(len(body))})
	}
	return wire.PolicyAnswer{
		Assignments: f.site.Sign(wire.KindPolicyAssignments, a),
		Freshness:   f.site.Sign(wire.KindPolicyFreshness, f.fresh(version, version)),
	}, bodies
}

func (f *fixture) statement(version int64) wire.Statement {
	return wire.Statement{SiteCode: "LAB", Device: device, Version: version, Issued: f.now.UnixMicro()}
}

func (f *fixture) fresh(version, policyVersion int64) wire.PolicyFreshness {
	fresh := wire.PolicyFreshness{Statement: f.statement(version), PolicyVersion: policyVersion}
	fresh.Expires = f.now.Add(45 * 24 * time.Hour).UnixMicro()
	return fresh
}

func heartbeatEvery(seconds int64) clienttest.Policy {
	return clienttest.Policy{Kind: wire.PolicyClientSettings, ID: "resultant", Body: wire.ClientSettings{Heartbeat: wire.HeartbeatSettings{IntervalSeconds: seconds}}}
}

func kinds(problems []Problem) (list []ProblemKind) {
	for _, p := range problems {
		list = append(list, p.Kind)
	}
	return list
}

func TestBuiltinSettingsHoldUntilThePolicyComes(t *testing.T) {
	t.Parallel()
	f := setup(t)
	if set := f.keeper.Current(); set.Version != 0 || set.Settings.ClientPolicy.PollingIntervalSeconds != 300 || set.SettingsHash != "" {
		t.Errorf("built-in set is %+v", set)
	}
}

func TestPolicyIsAcceptedKeptAndFoundAgain(t *testing.T) {
	t.Parallel()
	f := setup(t)
	answered, bodies := f.policy(7, heartbeatEvery(3600), clienttest.Policy{Kind: "later", ID: "x", Body: 1},
		clienttest.Policy{Kind: wire.PolicyResync, ID: "r", Body: wire.Resync{HardwareInventory: 3, SpreadSeconds: 10}})
	src := &source{answers: []answer{{point: "mp", reply: answered, tag: `"7"`}}, bodies: bodies}
	changed, err := f.keeper.Poll(t.Context(), src)
	if err != nil || !changed {
		t.Fatalf("poll: %v, %v", changed, err)
	}
	check := func(set *Set) {
		t.Helper()
		if set.Version != 7 || set.Settings.Heartbeat.IntervalSeconds != 3600 || set.SettingsHash == "" || set.Resync.HardwareInventory != 3 || len(set.Assignments) != 3 {
			t.Errorf("set is %+v", set)
		}
	}
	check(f.keeper.Current())
	if got := kinds(f.keeper.TakeProblems()); !slices.Equal(got, []ProblemKind{UnknownKind}) {
		t.Errorf("problems are %v", got)
	}

	// After a restart: without asking anybody, and long after freshness ended.
	f.now = f.now.Add(10 * 365 * 24 * time.Hour)
	again := f.open()
	check(again.Current())
	src.answers = []answer{{err: errors.New("nobody")}}
	if _, err := again.Poll(t.Context(), src); err == nil || src.asked[len(src.asked)-1] != `"7"` {
		t.Errorf("poll with nobody there: %v; asked with tag %q", err, src.asked)
	}
	check(again.Current())
}

func TestUnchanged(t *testing.T) {
	t.Parallel()
	f := setup(t)
	answered, bodies := f.policy(7, heartbeatEvery(3600))
	src := &source{answers: []answer{{point: "mp", reply: answered, tag: `"7"`}}, bodies: bodies}
	if _, err := f.keeper.Poll(t.Context(), src); err != nil {
		t.Fatal(err)
	}
	f.now = f.now.Add(time.Hour)
	src.answers = []answer{{point: "mp", same: true}}
	if changed, err := f.keeper.Poll(t.Context(), src); err != nil || changed {
		t.Fatalf("poll: %v, %v", changed, err)
	}
	if at := f.keeper.Current().AcceptedAt; !at.Equal(f.now) {
		t.Errorf("confirmed at %v, want %v", at, f.now)
	}

	// Once freshness has ended, 'unchanged' proves nothing.
	f.now = f.now.Add(46 * 24 * time.Hour)
	if _, err := f.keeper.Poll(t.Context(), src); !fault.Is(err, fault.Stale) {
		t.Errorf("unchanged without freshness: %v", err)
	}
	if got := kinds(f.keeper.TakeProblems()); !slices.Equal(got, []ProblemKind{Outdated}) {
		t.Errorf("problems are %v", got)
	}
}

// TestThief plays every trick with the statements; the set in force must stay,
// and a management point that is honest must still be heard.
func TestThief(t *testing.T) {
	t.Parallel()
	other := clienttest.NewSite(t, "LAB")
	for _, test := range []struct {
		name  string
		trick func(f *fixture, good wire.PolicyAnswer) wire.PolicyAnswer
		kind  fault.Kind
		told  ProblemKind
	}{
		{"other root", func(f *fixture, good wire.PolicyAnswer) wire.PolicyAnswer {
			good.Assignments = other.Sign(wire.KindPolicyAssignments, wire.PolicyAssignments{Statement: f.statement(9)})
			return good
		}, fault.Denied, Forged},
		{"changed payload", func(_ *fixture, good wire.PolicyAnswer) wire.PolicyAnswer {
			good.Assignments.Payload = append([]byte(" "), good.Assignments.Payload...)
			return good
		}, fault.Denied, Forged},
		{"no signature", func(_ *fixture, good wire.PolicyAnswer) wire.PolicyAnswer {
			good.Freshness.Signature = nil
			return good
		}, fault.Denied, Forged},
		{"empty", func(*fixture, wire.PolicyAnswer) wire.PolicyAnswer { return wire.PolicyAnswer{} }, fault.Denied, Forged},
		{"statements exchanged", func(_ *fixture, good wire.PolicyAnswer) wire.PolicyAnswer {
			good.Assignments, good.Freshness = good.Freshness, good.Assignments
			return good
		}, fault.Denied, Forged},
		{"another device's assignments", func(f *fixture, good wire.PolicyAnswer) wire.PolicyAnswer {
			a := wire.PolicyAssignments{Statement: f.statement(9)}
			a.Device = "device-2"
			good.Assignments = f.site.Sign(wire.KindPolicyAssignments, a)
			return good
		}, fault.Denied, Forged},
		{"another device's freshness", func(f *fixture, good wire.PolicyAnswer) wire.PolicyAnswer {
			fresh := f.fresh(9, 9)
			fresh.Device = "device-2"
			good.Freshness = f.site.Sign(wire.KindPolicyFreshness, fresh)
			return good
		}, fault.Denied, Forged},
		{"everyone's", func(f *fixture, good wire.PolicyAnswer) wire.PolicyAnswer {
			a := wire.PolicyAssignments{Statement: f.statement(9)}
			a.Device = wire.Everyone
			good.Assignments = f.site.Sign(wire.KindPolicyAssignments, a)
			return good
		}, fault.Denied, Forged},
		{"another site's", func(f *fixture, good wire.PolicyAnswer) wire.PolicyAnswer {
			a := wire.PolicyAssignments{Statement: f.statement(9)}
			a.SiteCode = "XXX"
			good.Assignments = f.site.Sign(wire.KindPolicyAssignments, a)
			return good
		}, fault.Denied, Forged},
		{"freshness without end", func(f *fixture, good wire.PolicyAnswer) wire.PolicyAnswer {
			fresh := f.fresh(9, 9)
			fresh.Expires = 0
			good.Freshness = f.site.Sign(wire.KindPolicyFreshness, fresh)
			return good
		}, fault.Denied, Forged},
		{"a policy twice", func(f *fixture, good wire.PolicyAnswer) wire.PolicyAnswer {
			one := wire.Assignment{Kind: "k", ID: "1", Hash: mtls.Fingerprint(nil)}
			good.Assignments = f.site.Sign(wire.KindPolicyAssignments, wire.PolicyAssignments{Statement: f.statement(9), Assignments: []wire.Assignment{one, one}})
			return good
		}, fault.Denied, Forged},
		{"a body of a terabyte", func(f *fixture, good wire.PolicyAnswer) wire.PolicyAnswer {
			one := wire.Assignment{Kind: "k", ID: "1", Hash: mtls.Fingerprint(nil), Size: 1 << 40}
			good.Assignments = f.site.Sign(wire.KindPolicyAssignments, wire.PolicyAssignments{Statement: f.statement(9), Assignments: []wire.Assignment{one}})
			return good
		}, fault.Denied, Forged},
		{"a hash that is a path", func(f *fixture, good wire.PolicyAnswer) wire.PolicyAnswer {
			one := wire.Assignment{Kind: wire.PolicyResync, ID: "1", Hash: "../../../../../../etc/passwd"}
			good.Assignments = f.site.Sign(wire.KindPolicyAssignments, wire.PolicyAssignments{Statement: f.statement(9), Assignments: []wire.Assignment{one}})
			return good
		}, fault.Denied, Forged},

		{"older assignments", func(f *fixture, good wire.PolicyAnswer) wire.PolicyAnswer {
			good.Assignments = f.site.Sign(wire.KindPolicyAssignments, wire.PolicyAssignments{Statement: f.statement(4)})
			return good
		}, fault.Stale, Outdated},
		{"older freshness", func(f *fixture, good wire.PolicyAnswer) wire.PolicyAnswer {
			good.Freshness = f.site.Sign(wire.KindPolicyFreshness, f.fresh(4, 4))
			return good
		}, fault.Stale, Outdated},
		{"freshness that has ended", func(f *fixture, good wire.PolicyAnswer) wire.PolicyAnswer {
			fresh := f.fresh(9, 9)
			fresh.Expires = f.now.UnixMicro()
			good.Freshness = f.site.Sign(wire.KindPolicyFreshness, fresh)
			return good
		}, fault.Stale, Outdated},
		{"newer freshness beside held-back assignments", func(f *fixture, good wire.PolicyAnswer) wire.PolicyAnswer {
			good.Freshness = f.site.Sign(wire.KindPolicyFreshness, f.fresh(12, 12))
			return good
		}, fault.Stale, Outdated},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f := setup(t)
			answered, bodies := f.policy(5, heartbeatEvery(3600))
			src := &source{answers: []answer{{point: "mp1", reply: answered}}, bodies: bodies}
			if _, err := f.keeper.Poll(t.Context(), src); err != nil {
				t.Fatal(err)
			}
			before := f.keeper.Current()

			good, more := f.policy(9, heartbeatEvery(7200))
			false1 := test.trick(f, good)
			src = &source{answers: []answer{{point: "thief", reply: false1}}, bodies: more}
			changed, err := f.keeper.Poll(t.Context(), src)
			if changed || !fault.Is(err, test.kind) {
				t.Fatalf("poll: %v, %v; want an error of kind %v", changed, err, test.kind)
			}
			if !reflect.DeepEqual(f.keeper.Current(), before) || !reflect.DeepEqual(f.open().Current(), before) {
				t.Error("the set in force has changed, in memory or on disk")
			}
			if !slices.Equal(src.gone, []string{"thief"}) {
				t.Errorf("distrusted are %v", src.gone)
			}
			if got := kinds(f.keeper.TakeProblems()); !slices.Equal(got, []ProblemKind{test.told}) {
				t.Errorf("problems are %v, want %v", got, test.told)
			}

			// It is told once, however often it happens.
			for range 20 {
				src.gone = nil
				if _, err := f.keeper.Poll(t.Context(), src); err == nil {
					t.Fatal("accepted at last")
				}
			}
			if got := f.keeper.TakeProblems(); len(got) != 0 {
				t.Errorf("told again: %v", got)
			}

			// Another management point is asked in the same poll.
			src = &source{answers: []answer{{point: "thief", reply: false1}, {point: "honest", reply: good}}, bodies: more}
			if changed, err := f.keeper.Poll(t.Context(), src); err != nil || !changed || f.keeper.Current().Version != 9 {
				t.Errorf("with an honest one beside the thief: %v, %v, version %d", changed, err, f.keeper.Current().Version)
			}
		})
	}
}

func TestFloorOutlivesTheStore(t *testing.T) {
	t.Parallel()
	f := setup(t)
	newer, bodies := f.policy(9, heartbeatEvery(3600))
	if _, err := f.keeper.Poll(t.Context(), &source{answers: []answer{{point: "mp", reply: newer}}, bodies: bodies}); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(f.dir); err != nil {
		t.Fatal(err)
	}
	older, bodies := f.policy(5, heartbeatEvery(60))
	if _, err := f.open().Poll(t.Context(), &source{answers: []answer{{point: "mp", reply: older}}, bodies: bodies}); !fault.Is(err, fault.Stale) {
		t.Errorf("older policy after the store was lost: %v", err)
	}
}

func TestMissingBodyLeavesTheOldSetWhole(t *testing.T) {
	t.Parallel()
	f := setup(t)
	answered, bodies := f.policy(5, heartbeatEvery(3600))
	if _, err := f.keeper.Poll(t.Context(), &source{answers: []answer{{point: "mp", reply: answered}}, bodies: bodies}); err != nil {
		t.Fatal(err)
	}
	next, _ := f.policy(6, heartbeatEvery(7200))
	if _, err := f.keeper.Poll(t.Context(), &source{answers: []answer{{point: "mp", reply: next}}}); err == nil {
		t.Error("a set was accepted without its body")
	}
	for _, k := range []*Keeper{f.keeper, f.open()} {
		if set := k.Current(); set.Version != 5 || set.Settings.Heartbeat.IntervalSeconds != 3600 {
			t.Errorf("set is %+v", set)
		}
	}
}

// TestCrashAtAnyFile takes every combination of files that a crash between the
// steps of an acceptance can leave.
func TestCrashAtAnyFile(t *testing.T) {
	t.Parallel()
	f := setup(t)
	first, bodies := f.policy(5, heartbeatEvery(3600))
	if _, err := f.keeper.Poll(t.Context(), &source{answers: []answer{{point: "mp", reply: first}}, bodies: bodies}); err != nil {
		t.Fatal(err)
	}
	old := folder(t, f.dir)
	second, bodies := f.policy(6, heartbeatEvery(7200))
	if _, err := f.keeper.Poll(t.Context(), &source{answers: []answer{{point: "mp", reply: second}}, bodies: bodies}); err != nil {
		t.Fatal(err)
	}
	new := folder(t, f.dir)

	both := map[string]string{}
	for name, data := range old {
		both[name] = data
	}
	for name, data := range new {
		if name != "current.json" {
			both[name] = data
		}
	}
	after := map[string]string{}
	for name, data := range both {
		after[name] = data
	}
	after["current.json"] = new["current.json"]
	half := map[string]string{".current.json.123": new["current.json"][:50], "bodies/.x.tmp": "half"}
	for name, data := range both {
		half[name] = data
	}
	for name, test := range map[string]struct {
		files map[string]string
		want  int64
	}{
		"before": {old, 5}, "body stored": {both, 5}, "half written": {half, 5}, "accepted, not cleaned": {after, 6}, "done": {new, 6},
	} {
		dir := t.TempDir()
		for file, data := range test.files {
			path := filepath.Join(dir, file)
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		f.dir = dir
		k := f.open()
		if set := k.Current(); set.Version != test.want {
			t.Errorf("%s: version is %d, want %d", name, set.Version, test.want)
		}
		if got := k.TakeProblems(); len(got) != 0 {
			t.Errorf("%s: problems are %v", name, got)
		}
	}
}

func folder(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		name, _ := filepath.Rel(dir, path)
		files[name] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestDamageOnDiskIsToldAndMended(t *testing.T) {
	t.Parallel()
	for _, what := range []string{"current.json", "bodies"} {
		f := setup(t)
		answered, bodies := f.policy(5, heartbeatEvery(3600))
		src := &source{answers: []answer{{point: "mp", reply: answered, tag: `"5"`}}, bodies: bodies}
		if _, err := f.keeper.Poll(t.Context(), src); err != nil {
			t.Fatal(err)
		}
		for name, data := range folder(t, f.dir) {
			if filepath.Dir(name) == what || name == what {
				if err := os.WriteFile(filepath.Join(f.dir, name), []byte("x"+data[1:]), 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
		k := f.open()
		if got := kinds(k.TakeProblems()); !slices.Equal(got, []ProblemKind{Damaged}) || k.Current().Version != 0 {
			t.Errorf("%s: problems are %v, version is %d", what, got, k.Current().Version)
		}
		if _, err := k.Poll(t.Context(), src); err != nil || k.Current().Version != 5 || src.asked[len(src.asked)-1] != "" {
			t.Errorf("%s: not mended: %v, version %d, asked %q", what, err, k.Current().Version, src.asked)
		}
	}
}

func TestEarlierIdentitysPolicyIsObeyedUntilThereIsAnother(t *testing.T) {
	t.Parallel()
	f := setup(t)
	answered, bodies := f.policy(5, heartbeatEvery(3600))
	if _, err := f.keeper.Poll(t.Context(), &source{answers: []answer{{point: "mp", reply: answered, tag: `"5"`}}, bodies: bodies}); err != nil {
		t.Fatal(err)
	}
	k := f.open()
	if err := k.Load("device-2", f.site.Root()); err != nil {
		t.Fatal(err)
	}
	if k.Current().Settings.Heartbeat.IntervalSeconds != 3600 {
		t.Error("the policy is gone with the identity")
	}
	// The new device's versions begin anew, and the old tag is not its own.
	a := wire.PolicyAssignments{Statement: f.statement(1)}
	a.Device = "device-2"
	fresh := f.fresh(1, 1)
	fresh.Device = "device-2"
	src := &source{answers: []answer{{point: "mp", reply: wire.PolicyAnswer{
		Assignments: f.site.Sign(wire.KindPolicyAssignments, a), Freshness: f.site.Sign(wire.KindPolicyFreshness, fresh),
	}}}}
	if changed, err := k.Poll(t.Context(), src); err != nil || !changed || src.asked[0] != "" {
		t.Errorf("poll: %v, %v, asked %q", changed, err, src.asked)
	}
	if err := k.Clear(); err != nil {
		t.Fatal(err)
	}
	if k.Current().Version != 0 || f.open().Current().Version != 0 {
		t.Error("after Clear there is policy")
	}
}

func TestSettingsAreMadeSane(t *testing.T) {
	t.Parallel()
	in := wire.ClientSettings{
		ClientPolicy:      wire.ClientPolicySettings{PollingIntervalSeconds: 1},
		StateMessaging:    wire.StateMessagingSettings{ReportIntervalSeconds: -5},
		Heartbeat:         wire.HeartbeatSettings{IntervalSeconds: 1 << 60, RandomDelaySeconds: -1},
		HardwareInventory: wire.HardwareInventorySettings{IntervalSeconds: 0, RandomDelaySeconds: 1 << 60},
		SoftwareInventory: wire.SoftwareInventorySettings{Files: make([]wire.FileRule, 5000)},
	}
	out, changes := sane(in)
	if out.ClientPolicy.PollingIntervalSeconds != 10 || out.StateMessaging.ReportIntervalSeconds != 1 ||
		out.Heartbeat.IntervalSeconds != 31*24*60*60 || out.Heartbeat.RandomDelaySeconds != 0 ||
		out.HardwareInventory.IntervalSeconds != 24*60*60 || out.HardwareInventory.RandomDelaySeconds != 24*60*60 ||
		len(out.SoftwareInventory.Files) != maxFileRules {
		t.Errorf("settings are %+v", out)
	}
	if len(changes) != 6 {
		t.Errorf("changes are %q", changes)
	}
	if again, more := sane(Defaults()); len(more) != 0 || !reflect.DeepEqual(again, Defaults()) {
		t.Errorf("the defaults are changed: %q", more)
	}
}

func FuzzStored(f *testing.F) {
	site := clienttest.NewSite(f, "LAB")
	a := wire.PolicyAssignments{Statement: wire.Statement{SiteCode: "LAB", Device: device, Version: 1, Issued: 1},
		Assignments: []wire.Assignment{{Kind: "x", ID: "y", Hash: mtls.Fingerprint(nil)}}}
	fresh := wire.PolicyFreshness{Statement: a.Statement, PolicyVersion: 1}
	fresh.Expires = 2
	good, err := json.Marshal(current{
		Format: currentFormat, Device: device,
		Assignments: site.Sign(wire.KindPolicyAssignments, a), Freshness: site.Sign(wire.KindPolicyFreshness, fresh),
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{"format":1}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := decodeCurrent(data)
		if err != nil {
			return
		}
		k := &Keeper{config: Config{SiteCode: "LAB"}, root: site.Root(), store: store{t.TempDir()}}
		if err := k.loadLocked(c); err == nil && k.set.Version != 1 {
			t.Fatalf("obeys what the site did not sign: %+v", k.set)
		}
	})
}

func FuzzBody(f *testing.F) {
	f.Add([]byte(`{"heartbeat":{"interval_seconds":60}}`), true)
	f.Add([]byte(`{"hardware_inventory":9223372036854775807,"spread_seconds":-1}`), false)
	f.Fuzz(func(t *testing.T, body []byte, settings bool) {
		kind := wire.PolicyResync
		if settings {
			kind = wire.PolicyClientSettings
		}
		list := []wire.Assignment{{Kind: kind, ID: "1", Hash: "h"}}
		set, _, err := build(wire.PolicyAssignments{Assignments: list}, wire.PolicyFreshness{}, map[string][]byte{"h": body})
		if err != nil {
			return
		}
		if s := set.Settings; s.ClientPolicy.PollingIntervalSeconds < 10 || s.Heartbeat.IntervalSeconds < 60 || s.HardwareInventory.IntervalSeconds < 60 ||
			set.Resync.SpreadSeconds < 0 || set.Resync.SpreadSeconds > 31*24*60*60 {
			t.Fatalf("set is %+v", set)
		}
	})
}
