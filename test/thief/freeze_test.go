package thief

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"mainstay/wire"
)

// policyOf is what the genuine management point answers a machine now.
func (l *lab) policyOf(m *machine) wire.PolicyAnswer {
	l.t.Helper()
	response, err := l.as(m.identityOf()).Get("https://" + honest + wire.DoorPolicy)
	must(l.t, err)
	defer response.Body.Close()
	var answer wire.PolicyAnswer
	must(l.t, json.NewDecoder(response.Body).Decode(&answer))
	return answer
}

// TestMixedPolicy puts genuine statements of different moments together.
func TestMixedPolicy(t *testing.T) {
	for name, mix := range map[string]func(v []wire.PolicyAnswer) wire.PolicyAnswer{
		"old assignments, new freshness": func(v []wire.PolicyAnswer) wire.PolicyAnswer {
			return wire.PolicyAnswer{Assignments: v[0].Assignments, Freshness: v[3].Freshness}
		},
		"new assignments, old freshness": func(v []wire.PolicyAnswer) wire.PolicyAnswer {
			return wire.PolicyAnswer{Assignments: v[3].Assignments, Freshness: v[0].Freshness}
		},
		"newer assignments, freshness of still newer ones": func(v []wire.PolicyAnswer) wire.PolicyAnswer {
			return wire.PolicyAnswer{Assignments: v[2].Assignments, Freshness: v[3].Freshness}
		},
		"the version before the last": func(v []wire.PolicyAnswer) wire.PolicyAnswer { return v[0] },
		"one statement twice": func(v []wire.PolicyAnswer) wire.PolicyAnswer {
			return wire.PolicyAnswer{Assignments: v[3].Assignments, Freshness: v[3].Assignments}
		},
	} {
		t.Run(name, func(t *testing.T) {
			inLab(t, func(l *lab) {
				alone, other := l.newMachine("alone").isAlone(true).registered(), l.newMachine("other").registered()
				versions := map[*machine][]wire.PolicyAnswer{}
				for n, interval := range []string{"401s", "402s", "403s", "404s"} {
					if n == 2 {
						// The clients have the first two, and not the others.
						alone.client.PollPolicyNow()
						other.client.PollPolicyNow()
						l.pass(time.Minute)
						l.thief(at(wire.DoorPolicy, refuses(503, wire.CodeComeBack)))
						other.isAlone(true)
					}
					l.setPolling(interval)
					for _, m := range l.machines {
						versions[m] = append(versions[m], l.policyOf(m))
					}
				}
				l.thief(at(wire.DoorPolicy, func(w http.ResponseWriter, r *http.Request) {
					for _, m := range l.machines {
						if strings.Contains(r.TLS.PeerCertificates[0].URIs[0].Path, m.device()) {
							says(mix(versions[m]))(w, r)
						}
					}
				}))
				other.isAlone(false)
				alone.client.PollPolicyNow()
				other.client.PollPolicyNow()
				l.pass(5 * time.Minute)
				if got := polling(alone); got != 402 || alone.client.Status().Problem == "" {
					t.Errorf("alone with the thief it polls every %d s, want 402 as before, and a problem; problem %q", got, alone.client.Status().Problem)
				}
				if got := polling(other); got != 404 {
					t.Errorf("who can reach another management point polls every %d s, want 404; problem %q", got, other.client.Status().Problem)
				}
				if n := other.told(wire.StatusPolicyForged) + other.told(wire.StatusPolicyOutdated); n == 0 && name != "the version before the last" && strings.HasPrefix(name, "one") {
					t.Error("the site has not heard of it")
				}
			})
		})
	}
}

// TestFreeze holds everything new back from a client, for weeks. It works on
// what it has and shows its age; when proof of freshness has ended it says so,
// and follows the site as soon as it can reach another management point.
func TestFreeze(t *testing.T) {
	inLab(t, func(l *lab) {
		l.setPolling("24h")
		m := l.newMachine("alone").isAlone(true).registered()
		frozen := l.policyOf(m)
		l.setPolling("23h")
		fresh := *m.client.Status().PolicyFreshUntil
		l.thief(func(w http.ResponseWriter, r *http.Request) {
			switch {
			case r.URL.Path == wire.DoorPolicy && r.Header.Get("If-None-Match") != "":
				w.WriteHeader(http.StatusNotModified)
			case r.URL.Path == wire.DoorPolicy:
				says(frozen)(w, r)
			default:
				w.Header().Set("Retry-After", "900")
				refuses(503, wire.CodeComeBack)(w, r)
			}
		})
		// The thief needs no site behind him, and weeks of it take long.
		l.stop()
		l.runAlone()

		l.pass(44 * 24 * time.Hour)
		if s := m.client.Status(); !s.PolicyFreshUntil.Equal(fresh) || polling(m) != 86400 {
			t.Errorf("after 44 days policy is fresh until %v, want %v; it polls every %d s", s.PolicyFreshUntil, fresh, polling(m))
		}
		l.pass(3 * 24 * time.Hour)
		s := m.client.Status()
		if !s.PolicyFreshUntil.Equal(fresh) || polling(m) != 86400 {
			t.Errorf("after 47 days policy is fresh until %v, want %v; it polls every %d s", s.PolicyFreshUntil, fresh, polling(m))
		}
		if s.Problem == "" {
			t.Error("after 47 days without proof of freshness it shows no problem")
		}

		l.stop()
		l.run()
		l.thief(nil)
		m.isAlone(false)
		l.pass(3 * time.Minute)
		m.client.PollPolicyNow()
		l.pass(time.Hour)
		if got := polling(m); got != 23*3600 {
			t.Errorf("once it can reach another management point it polls every %d s, want %d; problem %q", got, 23*3600, m.client.Status().Problem)
		}
		if m.told(wire.StatusPolicyOutdated) == 0 {
			t.Error("the site has not heard that policy was held back")
		}
	})
}
