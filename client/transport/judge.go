package transport

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"mainstay/lib/fault"
	"mainstay/wire"
)

// Advice is what to do after an exchange that did not succeed.
type Advice int

// The kinds of advice.
const (
	// Stop: the caller's context has ended.
	Stop Advice = iota
	// TryAnother: this management point does not serve; no other did either.
	// Come back After.
	TryAnother
	// ComeBack: nothing was done; the same again After.
	ComeBack
	// Pending: the registration waits for an administrator; ask After.
	Pending
	// Blocked: an administrator has blocked this client; ask again slowly.
	Blocked
	// RegisterAgain: the site has no record of this device.
	RegisterAgain
	// Replaced: the machine has registered with a newer key; this key is of
	// no use any more.
	Replaced
	// Renew: the certificate has ended.
	Renew
	// NewIncarnation: the outbox must draw a new one.
	NewIncarnation
	// OwnIdentity: another running client uses this identity.
	OwnIdentity
	// TokenRefused: the registration token is of no use; ask again slowly,
	// because it may be made good.
	TokenRefused
	// GiveUp: the request is wrong, and repeating it is useless.
	GiveUp
)

// String is the advice's name, as it stands in logs and status.
func (a Advice) String() string {
	names := [...]string{"stop", "try another", "come back", "pending", "blocked", "register again", "replaced",
		"renew", "new incarnation", "own identity", "token refused", "give up"}
	if a < 0 || int(a) >= len(names) {
		return "unknown"
	}
	return names[a]
}

// Failure is an exchange that did not succeed.
type Failure struct {
	Advice Advice
	// After is how long to wait at least; at most wire.MaxComeBack.
	After time.Duration
	// ManagementPoint is the one that was asked, host:port.
	ManagementPoint string
	// Status is the HTTP status, 0 when there was no answer.
	Status int
	// Text says what happened, for people; it may hold words of the
	// management point.
	Text  string
	Cause error
}

// Error says what happened and with whom.
func (f *Failure) Error() string {
	if f.ManagementPoint == "" {
		return f.Text
	}
	return "management point " + f.ManagementPoint + ": " + f.Text
}

// Unwrap gives the cause, where there is one.
func (f *Failure) Unwrap() error { return f.Cause }

// AdviceOf gives the failure in an error; other errors are none of the
// network's and give nil.
func AdviceOf(err error) *Failure {
	var f *Failure
	if errors.As(err, &f) {
		return f
	}
	return nil
}

// outcome is what one exchange with one management point led to.
type outcome struct {
	err     error // no answer
	status  int
	header  http.Header
	problem wire.Problem
}

// judge is the one place that says what answers ask of the client. It returns
// nil for success.
func judge(ctx context.Context, o outcome) *Failure {
	text := o.text()
	fail := func(a Advice) *Failure { return &Failure{Advice: a, Status: o.status, Text: text, Cause: o.err} }
	wait := func(a Advice, usual time.Duration) *Failure {
		f := fail(a)
		f.After = retryAfter(o.header, usual)
		return f
	}
	switch {
	case ctx.Err() != nil:
		return &Failure{Advice: Stop, Text: "stopped", Cause: context.Cause(ctx)}
	case o.err != nil:
		return fail(TryAnother)
	case o.status == http.StatusOK, o.status == http.StatusNotModified:
		return nil

	case o.status == http.StatusAccepted && o.problem.Code == wire.CodePending:
		return wait(Pending, 30*time.Second)
	case o.problem.Code == wire.CodeComeBack && o.status == http.StatusServiceUnavailable,
		o.status == http.StatusTooManyRequests:
		return wait(ComeBack, 10*time.Second)

	case o.status == http.StatusForbidden && o.problem.Code == wire.CodeBlocked:
		return fail(Blocked)
	case o.status == http.StatusForbidden && o.problem.Code == wire.CodeUnknownDevice:
		return fail(RegisterAgain)
	case o.status == http.StatusForbidden && o.problem.Code == wire.CodeReplaced:
		return fail(Replaced)
	case o.status == http.StatusForbidden && o.problem.Code == wire.CodeExpired:
		return fail(Renew)
	case o.status == http.StatusForbidden && o.problem.Code == wire.CodeTokenRefused:
		return fail(TokenRefused)
	case o.status == http.StatusConflict && o.problem.Code == wire.CodeNewIncarnation:
		return fail(NewIncarnation)
	case o.status == http.StatusConflict && o.problem.Code == wire.CodeIdentityConflict:
		return fail(OwnIdentity)
	case o.status >= 400 && o.status < 500 && o.problem.Code == wire.CodeRefused:
		return fail(GiveUp)
	}
	// Redirects, broken gateways, other servers on the port, newer codes.
	return fail(TryAnother)
}

func (o outcome) text() string {
	switch {
	case o.err != nil:
		return reason(o.err)
	case o.problem.Detail != "" && o.problem.Code != "":
		// Ours says all; "Accepted" before it would be read as its meaning.
		return o.problem.Detail
	case o.problem.Detail != "":
		return o.problem.Title + ": " + o.problem.Detail
	case o.problem.Title != "":
		return o.problem.Title
	}
	return fmt.Sprintf("answered with HTTP status %d", o.status)
}

// reason leaves out what people cannot use of a network error.
func reason(err error) string {
	var f *fault.Error
	if errors.As(err, &f) {
		return f.Error()
	}
	text := err.Error()
	if _, after, ok := strings.Cut(text, ": "); ok && strings.HasPrefix(text, "Get ") || strings.HasPrefix(text, "Post ") {
		text = after
	}
	return text
}

// retryAfter reads the wish of a management point, in seconds, and bounds it.
func retryAfter(header http.Header, usual time.Duration) time.Duration {
	seconds, err := strconv.ParseInt(header.Get("Retry-After"), 10, 64)
	if err != nil || seconds < 0 {
		return usual
	}
	if seconds > int64(wire.MaxComeBack/time.Second) {
		return wire.MaxComeBack
	}
	return max(time.Duration(seconds)*time.Second, time.Second)
}

// decodeProblem reads a problem document; anything else is the empty problem.
// Its words come from a stranger: they are cut and cleaned for logs.
func decodeProblem(data []byte) wire.Problem {
	var p wire.Problem
	if checkDepth(data) != nil || json.Unmarshal(data, &p) != nil {
		return wire.Problem{}
	}
	p.Title, p.Detail, p.Field, p.Code = clean(p.Title), clean(p.Detail), clean(p.Field), clean(p.Code)
	return p
}

// clean makes a stranger's words fit for one line of a log.
func clean(text string) string {
	const most = 300
	if len(text) > most {
		text = text[:most] + "…"
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7F || r == '\u2028' || r == '\u2029' || (r >= 0x80 && r < 0xA0) || r == '\u202E' {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
}
