package thief

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"mainstay/wire"
)

// hostile is something that a management point may answer at any door.
type hostile struct {
	name   string
	answer http.HandlerFunc
	// changes: somebody alone with the thief may have to register again.
	changes bool
	// drops: messages are lost to somebody alone with the thief, who might as
	// well have taken and dropped them. The client tells of it.
	drops bool
}

func hostiles() []hostile {
	long := "315360000" // ten years
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
	}
	text := func(s string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, s) }
	}
	header := func(name, value string, then http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set(name, value)
			then(w, r)
		}
	}
	return []hostile{
		{name: "new incarnation", answer: refuses(409, wire.CodeNewIncarnation)},
		{name: "identity conflict", answer: refuses(409, wire.CodeIdentityConflict), changes: true},
		{name: "unknown device", answer: refuses(403, wire.CodeUnknownDevice), changes: true},
		{name: "replaced", answer: refuses(403, wire.CodeReplaced), changes: true},
		{name: "blocked", answer: refuses(403, wire.CodeBlocked)},
		{name: "certificate has ended", answer: refuses(403, wire.CodeExpired)},
		{name: "token refused", answer: refuses(403, wire.CodeTokenRefused)},
		{name: "refused", answer: refuses(400, wire.CodeRefused), drops: true},
		{name: "pending", answer: header("Retry-After", long, refuses(202, wire.CodePending))},
		{name: "come back in ten years", answer: header("Retry-After", long, refuses(503, wire.CodeComeBack))},
		{name: "too many requests for ten years", answer: header("Retry-After", long, status(429))},
		{name: "come back at once", answer: header("Retry-After", "0", refuses(503, wire.CodeComeBack))},
		{name: "come back before now", answer: header("Retry-After", "-99999999999999999999", refuses(503, wire.CodeComeBack))},
		{name: "a code of tomorrow", answer: refuses(418, "teapot")},
		{name: "broken", answer: status(500)},
		{name: "nothing there", answer: status(404)},
		{name: "moved", answer: header("Location", "https://evil:8443/", status(301))},
		{name: "moved, method and body too", answer: header("Location", "https://evil:8443/", status(307))},
		{name: "unchanged", answer: status(304)},
		{name: "empty", answer: status(200)},
		{name: "null", answer: text("null")},
		{name: "an object of nothing", answer: text("{}")},
		{name: "no JSON", answer: text("<html>welcome</html>")},
		{name: "deep", answer: text(strings.Repeat("[", 1<<19))},
		{name: "another protocol version", answer: header(wire.HeaderVersion, "0", text("{}"))},
		{name: "an encoding that nobody knows", answer: header("Content-Encoding", "br", text("{}"))},
		{name: "hung up", answer: func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }},
		{name: "half", answer: header("Content-Length", "1000", text(`{"kind":`))},
		{name: "huge headers", answer: header("X-Header", strings.Repeat("x", 1<<20), text("{}"))},
		{name: "endless", answer: endless([]byte(`{"a":"` + strings.Repeat("a", 32<<10)))},
		{name: "endless refusal", answer: func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(403)
			endless([]byte(strings.Repeat(" ", 32<<10)))(w, r)
		}},
		{name: "a bomb", answer: header("Content-Encoding", "zstd", bomb())},
		{name: "drop by drop", answer: drops},
		{name: "silence", answer: func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done(); panic(http.ErrAbortHandler) }},
	}
}

// endless repeats data for as long as somebody listens.
func endless(data []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := w.Write(data); err != nil {
				return
			}
		}
	}
}

// bomb is small and becomes a gigabyte.
func bomb() http.HandlerFunc {
	var small bytes.Buffer
	encoder, err := zstd.NewWriter(&small, zstd.WithEncoderConcurrency(1))
	if err != nil {
		panic(err) // only wrong options get here
	}
	zeros := make([]byte, 1<<20)
	for range 1 << 10 {
		_, _ = encoder.Write(zeros) // to memory
	}
	_ = encoder.Close()
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(small.Bytes()) }
}

// drops sends a byte now and then, always in time for the next read.
func drops(w http.ResponseWriter, r *http.Request) {
	tick := time.NewTicker(5 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-r.Context().Done():
			return
		case <-tick.C:
			if _, err := w.Write([]byte(" ")); err != nil || http.NewResponseController(w).Flush() != nil {
				return
			}
		}
	}
}

// mostAsked bounds how often one client asks a thief in half an hour, whatever he
// answers.
const mostAsked = 120

// TestHostileAnswersAtEveryDoor lets the thief answer everything with one and
// the same thing for half an hour. A client that is alone with him keeps what it
// has and does not hammer; a client that can reach another management point
// goes on as if nothing were; and once the thief is gone everything arrives.
func TestHostileAnswersAtEveryDoor(t *testing.T) {
	for _, h := range hostiles() {
		t.Run(h.name, func(t *testing.T) {
			inLab(t, func(l *lab) {
				alone, other := l.newMachine("alone").isAlone(true).registered(), l.newMachine("other").registered()
				aloneIs, otherIs := alone.device(), other.device()
				before := alone.client.Status().PolicyVersion
				l.setPolling("7m")
				l.thief(h.answer)
				for _, m := range []*machine{alone, other} {
					m.send()
					m.client.PollPolicyNow()
				}
				l.pass(15 * time.Minute)
				if got := polling(other); got != 420 {
					t.Errorf("15 minutes later the other polls every %d s, want 420", got)
				}
				other.arrived()
				l.pass(40 * time.Minute)

				if s := alone.client.Status(); s.PolicyVersion != before && !h.changes {
					t.Errorf("alone with the thief it has policy %d, want %d as before; problem %q", s.PolicyVersion, before, s.Problem)
				}
				if s := alone.client.Status(); s.Problem == "" {
					t.Error("alone with the thief it shows no problem")
				}
				if got := polling(alone); got != 300 {
					t.Errorf("alone with the thief it polls every %d s, want 300", got)
				}
				if n := l.askedInAll(); n > 2*mostAsked {
					t.Errorf("the thief was asked %d times in half an hour, want at most %d", n, 2*mostAsked)
				}
				if is := other.device(); is != otherIs {
					t.Errorf("the other became device %s because the thief said so", is)
				}

				alone.isAlone(false)
				alone.client.PollPolicyNow()
				alone.client.ReportInventoryNow()
				l.pass(5 * time.Minute)
				alone.send()
				alone.client.ReportInventoryNow()
				l.pass(10 * time.Minute)
				if got := polling(alone); got != 420 {
					t.Errorf("15 minutes after it can reach another it polls every %d s, want 420; status is %+v", got, alone.client.Status())
				}
				if is := alone.device(); is != aloneIs && !h.changes {
					t.Errorf("it became device %q", is)
				}
				if h.drops {
					if alone.told(wire.StatusMessageGiven) == 0 {
						t.Error("it did not tell of the message that it gave up")
					}
				} else {
					alone.arrived()
				}
				for _, m := range []*machine{alone, other} {
					if s := m.strangers(); len(s) > 0 {
						t.Errorf("%s went to %v", m.name, s)
					}
				}
			})
		})
	}
}

// polling is the interval in force, in seconds.
func polling(m *machine) int64 { return m.client.Settings().ClientPolicy.PollingIntervalSeconds }

// askedInAll is how often the thief was asked since he began.
func (l *lab) askedInAll() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, asked := range l.asked {
		n += asked
	}
	return n
}
