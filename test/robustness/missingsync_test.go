package robustness

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"mainstay/test/robustness/history"
	"mainstay/test/syncedcopy"
)

// attempts is how often a test looks for what a missing sync costs: a power cut
// between two moments may miss it.
const attempts = 5

// TestNemesisNoticesAMissingSync removes one sync from the product each time and
// wants the validator to find what that costs. A promise whose breaking nobody
// would notice is not tested by the tests above.
func TestNemesisNoticesAMissingSync(t *testing.T) {
	for name, test := range map[string]struct {
		server, client func(path string) bool
		run            func(*world)
		want           string
	}{
		"log of SQLite": {
			server: func(p string) bool { return strings.HasSuffix(p, "-wal") },
			run:    cutServer,
			want:   history.Lost,
		},
		"segment of the outbox": {
			client: func(p string) bool { return strings.HasSuffix(p, ".outbox") },
			run:    cutWithFullOutboxes,
			want:   history.Lost,
		},
		"folder of the outbox": {
			client: func(p string) bool { return path.Base(p) == "outbox" },
			run:    cutWithFullOutboxes,
			want:   history.Lost,
		},
		"file of the policy": {
			client: func(p string) bool { return strings.HasPrefix(path.Base(p), ".current.json.") },
			run:    cutAfterNewPolicy,
			want:   history.PolicyLost,
		},
		"body of the policy": {
			client: func(p string) bool { return path.Base(path.Dir(p)) == "bodies" },
			run:    cutAfterNewPolicy,
			want:   history.PolicyLost,
		},
		"folder of the policy": {
			client: func(p string) bool { return path.Base(p) == "policy" },
			run:    cutAfterNewPolicy,
			want:   history.PolicyLost,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			seed := seedOf(t)
			for attempt := range uint64(attempts) {
				s := shape{seed: seed + attempt, crews: 1, clients: 4, pause: 200 * time.Millisecond, powerFails: true}
				if noticed(t, s, test.server, test.client, test.run, test.want) {
					return
				}
			}
			t.Errorf("in %d runs without the sync nothing was found to be %s", attempts, test.want)
		})
	}
}

// noticed tells whether a run ends with a violation of a kind. Syncs are missing
// from the moment on at which every client works.
func noticed(t *testing.T, s shape, server, client func(string) bool, run func(*world), want string) bool {
	t.Helper()
	w := newWorld(t, s)
	c := w.crews[0]
	w.awaitIdentities(c, c.streams())
	if server != nil {
		w.disk.options = append(w.disk.options, syncedcopy.WithoutSync(server))
		w.cutServer(false)
		w.startServer()
	}
	if client != nil {
		c.disk.options = append(c.disk.options, syncedcopy.WithoutSync(client))
		w.cutCrew(c, false)
		c.start()
	}
	w.pass(w.between(500*time.Millisecond, time.Second))
	run(w)
	if err := w.rest(20 * time.Second); err != nil {
		// Who has lost so much may never come to rest.
		w.note("no rest: %v", err)
	}
	_, summary, violations := w.judge()
	t.Logf("seed %d: %s; %d violations", s.seed, summary, len(violations))
	return slices.ContainsFunc(violations, func(v history.Violation) bool { return v.Kind == want })
}

// cutServer takes the server's power away while messages come.
func cutServer(w *world) {
	w.cutServer(false)
	w.startServer()
}

// cutWithFullOutboxes takes the clients' power away while their messages have
// nowhere to go.
func cutWithFullOutboxes(w *world) {
	w.killServer()
	w.pass(w.between(500*time.Millisecond, time.Second))
	w.cutCrew(w.crews[0], false)
	w.crews[0].start()
	w.startServer()
}

// cutAfterNewPolicy takes the clients' power away when they have new policy.
func cutAfterNewPolicy(w *world) {
	w.t.Helper()
	c := w.crews[0]
	before := map[string]int64{}
	for name, version := range c.journal.policy {
		before[name] = version
	}
	w.edit()
	must(w.t, w.await(30*time.Second, func() error {
		c.journal.follow(w.t)
		for name, version := range c.journal.policy {
			if version == before[name] {
				return fmt.Errorf("%s has old policy", name)
			}
		}
		return nil
	}))
	w.cutCrew(c, false)
	c.start()
}
