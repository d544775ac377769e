package transport

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode"

	"mainstay/wire"
)

func TestJudge(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		status int
		code   string
		after  string
		err    error
		want   Advice
		wait   time.Duration
		good   bool
	}{
		{name: "success", status: 200, good: true},
		{name: "unchanged", status: 304, good: true},
		{name: "nobody there", err: errors.New("connection refused"), want: TryAnother},
		{name: "come back", status: 503, code: wire.CodeComeBack, after: "42", want: ComeBack, wait: 42 * time.Second},
		{name: "come back without a time", status: 503, code: wire.CodeComeBack, want: ComeBack, wait: 10 * time.Second},
		{name: "come back next year", status: 503, code: wire.CodeComeBack, after: "31536000", want: ComeBack, wait: wire.MaxComeBack},
		{name: "come back at no time", status: 503, code: wire.CodeComeBack, after: "soon", want: ComeBack, wait: 10 * time.Second},
		{name: "come back before now", status: 503, code: wire.CodeComeBack, after: "-5", want: ComeBack, wait: 10 * time.Second},
		{name: "come back at once", status: 503, code: wire.CodeComeBack, after: "0", want: ComeBack, wait: time.Second},
		{name: "too many requests", status: 429, after: "3", want: ComeBack, wait: 3 * time.Second},
		{name: "broken gateway", status: 503, want: TryAnother},
		{name: "server error", status: 500, want: TryAnother},
		{name: "pending", status: 202, code: wire.CodePending, want: Pending, wait: 30 * time.Second},
		{name: "accepted for nothing", status: 202, want: TryAnother},
		{name: "blocked", status: 403, code: wire.CodeBlocked, want: Blocked},
		{name: "unknown device", status: 403, code: wire.CodeUnknownDevice, want: RegisterAgain},
		{name: "replaced", status: 403, code: wire.CodeReplaced, want: Replaced},
		{name: "ended", status: 403, code: wire.CodeExpired, want: Renew},
		{name: "token", status: 403, code: wire.CodeTokenRefused, want: TokenRefused},
		{name: "incarnation", status: 409, code: wire.CodeNewIncarnation, want: NewIncarnation},
		{name: "conflict", status: 409, code: wire.CodeIdentityConflict, want: OwnIdentity},
		{name: "refused", status: 400, code: wire.CodeRefused, want: GiveUp},
		{name: "refused by a broken server", status: 500, code: wire.CodeRefused, want: TryAnother},
		{name: "right code under a wrong status", status: 500, code: wire.CodeIdentityConflict, want: TryAnother},
		{name: "forbidden by somebody else", status: 403, want: TryAnother},
		{name: "not found", status: 404, want: TryAnother},
		{name: "redirect", status: 302, want: TryAnother},
		{name: "a newer code", status: 403, code: "later", want: TryAnother},
	} {
		header := http.Header{}
		if test.after != "" {
			header.Set("Retry-After", test.after)
		}
		f := judge(t.Context(), outcome{err: test.err, status: test.status, header: header, problem: wire.Problem{Code: test.code}})
		switch {
		case test.good != (f == nil):
			t.Errorf("%s: %+v", test.name, f)
		case f != nil && (f.Advice != test.want || f.After != test.wait):
			t.Errorf("%s: advice is %v after %v, want %v after %v", test.name, f.Advice, f.After, test.want, test.wait)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if f := judge(ended, outcome{err: errors.New("x")}); f.Advice != Stop {
		t.Errorf("after the end of the context advice is %v", f.Advice)
	}
}

func FuzzProblem(f *testing.F) {
	f.Add([]byte(`{"title":"no","status":403,"code":"blocked","detail":"\u001b[2J"}`))
	f.Add([]byte(strings.Repeat("[", 10000)))
	f.Add([]byte("{}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		p := decodeProblem(data)
		for _, text := range []string{p.Title, p.Detail, p.Code, p.Field} {
			if len(text) > 1000 || strings.ContainsFunc(text, unicode.IsControl) {
				t.Fatalf("a stranger's words %q are not fit for a log", text)
			}
		}
	})
}

func FuzzDecodeJSON(f *testing.F) {
	f.Add([]byte(`{"assignments":{"kind":"x","payload":"AA=="}}`))
	f.Add([]byte(`"\"[[[["`))
	f.Add([]byte(strings.Repeat(`{"a":`, 40) + "1" + strings.Repeat("}", 40)))
	f.Fuzz(func(t *testing.T, data []byte) {
		var any any
		if err := DecodeJSON(data, &any); err == nil && depth(any) > wire.MaxDepth {
			t.Fatalf("accepted with depth %d", depth(any))
		}
		var answer wire.PolicyAnswer
		_ = DecodeJSON(data, &answer)
	})
}

func depth(value any) int {
	most := 0
	switch v := value.(type) {
	case []any:
		for _, inner := range v {
			most = max(most, depth(inner))
		}
		return most + 1
	case map[string]any:
		for _, inner := range v {
			most = max(most, depth(inner))
		}
		return most + 1
	}
	return 0
}
