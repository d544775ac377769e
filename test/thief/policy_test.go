package thief

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"mainstay/site/device"
	"mainstay/site/policy"
	"mainstay/site/sitedb"
	"mainstay/wire"
)

type keyOf = *ecdsa.PrivateKey

// evilSettings are client settings of the thief.
func evilSettings() []byte {
	data, err := json.Marshal(wire.ClientSettings{ClientPolicy: wire.ClientPolicySettings{PollingIntervalSeconds: evilPolling}})
	if err != nil {
		panic(err) // a struct of numbers
	}
	return data
}

func hashOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

func assignmentOf(body []byte) wire.Assignment {
	return wire.Assignment{Kind: wire.PolicyClientSettings, ID: wire.PolicyClientSettings, Hash: hashOf(body), Size: int64(len(body))}
}

// policyCase is how a kind of policy is made and seen to be obeyed.
type policyCase struct {
	// renew makes the site want something new of every device by this kind.
	renew func(l *lab, n int)
	// state is what the client follows of it, as text.
	state func(m *machine) string
	// evil is a body that the thief would like; obeys tells that it is obeyed.
	evil  any
	obeys func(m *machine) bool
	// within is the time in which it is followed.
	within time.Duration
}

// policyCases has an entry for every kind in wire.PolicyKinds.
func policyCases() map[string]policyCase {
	return map[string]policyCase{
		wire.PolicyClientSettings: {
			renew:  func(l *lab, n int) { l.setPolling(fmt.Sprintf("%ds", 400+n)) },
			state:  func(m *machine) string { return fmt.Sprintf("polls every %d s", polling(m)) },
			evil:   wire.ClientSettings{ClientPolicy: wire.ClientPolicySettings{PollingIntervalSeconds: evilPolling}},
			obeys:  func(m *machine) bool { return polling(m) == evilPolling },
			within: time.Minute,
		},
		wire.PolicyResync: {
			renew: func(l *lab, _ int) { l.wantInventories() },
			state: func(m *machine) string { return fmt.Sprintf("%d full reports", m.inventory.full.Load()) },
			evil:  wire.Resync{HardwareInventory: 1 << 60},
			obeys: func(m *machine) bool { return m.inventory.full.Load() > 40 },
			// Full inventories are spread over ten minutes.
			within: 11 * time.Minute,
		},
	}
}

// TestEveryKindOfPolicyHasItsCase makes who adds a kind say how it is obeyed.
func TestEveryKindOfPolicyHasItsCase(t *testing.T) {
	t.Parallel()
	have, kinds := slices.Sorted(maps.Keys(policyCases())), slices.Sorted(maps.Keys(wire.PolicyKinds()))
	if !slices.Equal(have, kinds) {
		t.Errorf("there are cases for %v, and wire.PolicyKinds has %v: add what is missing to policyCases", have, kinds)
	}
}

// wantInventories asks every device for a full inventory.
func (l *lab) wantInventories() {
	l.t.Helper()
	ctx := l.t.Context()
	must(l.t, l.db.Write(ctx, func(tx *sitedb.Tx) error {
		for _, m := range l.machines {
			if err := device.WantInventory(ctx, tx, m.device(), time.Now()); err != nil {
				return err
			}
		}
		return policy.WantEveryone(ctx, tx, time.Now())
	}))
	l.pass(15 * time.Second)
}

// bodies are ways to answer the question for a policy body: genuine is the right
// answer, before the body of the same kind that the client has.
type badBody struct {
	name   string
	answer func(genuine, before []byte, evil any) http.HandlerFunc
}

func badBodies() []badBody {
	write := func(data []byte) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(data) }
	}
	encoded := func(v any) []byte {
		data, err := json.Marshal(v)
		if err != nil {
			panic(err) // wire types can be encoded
		}
		return data
	}
	return []badBody{
		{"the thief's", func(_, _ []byte, evil any) http.HandlerFunc { return write(encoded(evil)) }},
		{"the thief's, of the right size", func(genuine, _ []byte, evil any) http.HandlerFunc {
			data := encoded(evil)
			if len(data) < len(genuine) {
				data = append(data, []byte(strings.Repeat(" ", len(genuine)-len(data)))...)
			}
			return write(data[:len(genuine)])
		}},
		{"that of the version before", func(_, before []byte, _ any) http.HandlerFunc { return write(before) }},
		{"more than it should be", func(genuine, _ []byte, _ any) http.HandlerFunc { return write(append(slices.Clone(genuine), ' ')) }},
		{"cut", func(genuine, _ []byte, _ any) http.HandlerFunc { return write(genuine[:len(genuine)/2]) }},
		{"cut on the way", func(genuine, _ []byte, _ any) http.HandlerFunc {
			return func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Length", strconv.Itoa(len(genuine)))
				_, _ = w.Write(genuine[:len(genuine)/2])
				panic(http.ErrAbortHandler)
			}
		}},
		{"endless", func(genuine, _ []byte, _ any) http.HandlerFunc { return endless(genuine) }},
		{"a bomb", func(_, _ []byte, _ any) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Encoding", "zstd")
				bomb()(w, r)
			}
		}},
		{"empty", func(_, _ []byte, _ any) http.HandlerFunc { return write(nil) }},
		{"nothing there", func(_, _ []byte, _ any) http.HandlerFunc {
			return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) }
		}},
		{"elsewhere", func(_, _ []byte, _ any) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, "https://"+evilPoint+r.URL.Path, http.StatusFound)
			}
		}},
	}
}

// TestWrongPolicyBodies answers with other bodies than the site signed: genuine
// assignments with anything else in them, the bodies of the version before
// included, are no policy.
func TestWrongPolicyBodies(t *testing.T) {
	for kind, c := range policyCases() {
		t.Run(kind, func(t *testing.T) {
			inLab(t, func(l *lab) {
				alone, other := l.newMachine("alone").isAlone(true).registered(), l.newMachine("other").registered()
				c.renew(l, 99)
				for _, m := range []*machine{alone, other} {
					m.client.PollPolicyNow()
				}
				l.pass(15 * time.Minute)
				for n, bad := range badBodies() {
					if c.within > time.Minute && n%3 > 0 {
						continue // the answers differ, and not by what is in them
					}
					l.badBody(kind, c, bad, n, alone, other)
				}
				if alone.told(wire.StatusPolicyForged) == 0 {
					t.Error("the site has not heard of any forgery")
				}
				if s := append(alone.strangers(), other.strangers()...); len(s) > 0 {
					t.Errorf("clients went to %v", s)
				}
			})
		})
	}
}

// badBody lets two clients meet one wrong body.
func (l *lab) badBody(kind string, c policyCase, bad badBody, n int, alone, other *machine) {
	l.t.Helper()
	before, otherBefore, version := c.state(alone), c.state(other), alone.client.Status().PolicyVersion
	last := l.newestBodies(kind)[0]
	// Nobody is to ask before the thief has his answer.
	l.thief(at(wire.DoorPolicy, refuses(503, wire.CodeComeBack)))
	other.isAlone(true)
	c.renew(l, n)
	other.isAlone(false)
	genuine := l.newestBodies(kind)[0]
	l.thief(at(wire.DoorPolicyBody+hashOf(genuine), bad.answer(genuine, last, c.evil)))
	for _, m := range []*machine{alone, other} {
		m.client.PollPolicyNow()
	}
	l.pass(c.within)
	if after := c.state(alone); after != before || alone.client.Status().PolicyVersion != version {
		l.t.Errorf("%s: alone with the thief it follows %s of version %d, want %s of %d as before", bad.name, after, alone.client.Status().PolicyVersion, before, version)
	}
	if alone.client.Status().Problem == "" {
		l.t.Errorf("%s: alone with the thief it shows no problem", bad.name)
	}
	if after := c.state(other); after == otherBefore {
		l.t.Errorf("%s: who can reach another management point still follows %s; problem %q", bad.name, after, other.client.Status().Problem)
	}
	l.thief(nil)
	alone.client.PollPolicyNow()
	l.pass(c.within)
	if after := c.state(alone); after == before {
		l.t.Errorf("%s: once the thief is gone it still follows %s; problem %q", bad.name, after, alone.client.Status().Problem)
	}
	for _, m := range []*machine{alone, other} {
		if c.obeys(m) {
			l.t.Errorf("%s: %s obeys the thief: %s", bad.name, m.name, c.state(m))
		}
	}
}

// newestBodies are the policy bodies of a kind, the newest first.
func (l *lab) newestBodies(kind string) (bodies [][]byte) {
	l.t.Helper()
	rows, err := l.raw.Query(`SELECT body FROM policy_body WHERE kind = ? ORDER BY created_at DESC, rowid DESC`, kind)
	must(l.t, err)
	defer rows.Close()
	for rows.Next() {
		var body []byte
		must(l.t, rows.Scan(&body))
		bodies = append(bodies, body)
	}
	must(l.t, rows.Err())
	return bodies
}
