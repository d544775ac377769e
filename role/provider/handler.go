package provider

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"

	"mainstay/lib/fault"
	"mainstay/lib/httpserve"
	"mainstay/role/provider/apiv1"
	"mainstay/site/access"
)

// guard gives every request an identifier, every answer the headers that
// browsers need to be careful, and turns a panic into a problem.
func (p *Provider) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := make([]byte, 8)
		rand.Read(id)
		r = r.WithContext(apiv1.WithRequestID(r.Context(), hex.EncodeToString(id)))
		header := w.Header()
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Referrer-Policy", "no-referrer")
		header.Set("X-Frame-Options", "DENY")
		header.Set("Cross-Origin-Opener-Policy", "same-origin")
		header.Set("Cross-Origin-Resource-Policy", "same-origin")
		header.Set("Content-Security-Policy", strictPolicy)
		// No Strict-Transport-Security: the site's own root is unknown to most
		// browsers, and with it they would not let anybody past.
		answered := &answerWatch{ResponseWriter: w}
		defer func() {
			problem := recover()
			if problem == nil {
				return
			}
			slog.ErrorContext(r.Context(), "request panicked", "component", "provider", "panic", fmt.Sprint(problem), "stack", string(debug.Stack()))
			if answered.started {
				panic(http.ErrAbortHandler) // net/http ends the connection: half an answer is none
			}
			apiv1.ProblemOf(r.Context(), fault.New(fault.Internal, "panic")).Write(w)
		}()
		if !apiv1.IsClean(r) {
			apiv1.NewProblem(http.StatusNotFound, "there is no such path").Write(answered)
			return
		}
		next.ServeHTTP(answered, r)
	})
}

// answerWatch notices that an answer has begun.
type answerWatch struct {
	http.ResponseWriter
	started bool
}

func (a *answerWatch) WriteHeader(status int) {
	a.started = true
	a.ResponseWriter.WriteHeader(status)
}

func (a *answerWatch) Write(b []byte) (int, error) {
	a.started = true
	return a.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController find the connection.
func (a *answerWatch) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// limitRate bounds the requests of one address.
func (p *Provider) limitRate(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if ok, wait := p.requests.Allow(httpserve.Network(httpserve.Source(r)), p.c.Now()); !ok {
			w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
			apiv1.NewProblem(http.StatusTooManyRequests, "this address asks more than 200 times a second").Write(w)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// sameOrigin refuses what another site makes a browser send.
func (p *Provider) sameOrigin(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := p.crossing.Check(r); err != nil {
			apiv1.NewProblem(http.StatusForbidden, "the request comes from a page of another site").Write(w)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// remoteAPI finds the caller behind a session and serves the API.
func (p *Provider) remoteAPI(w http.ResponseWriter, r *http.Request) {
	caller := access.Caller{Source: httpserve.Source(r)}
	if !apiv1.IsOpen(r) {
		var err error
		if caller, err = p.signedIn(r.Context(), r); err != nil {
			p.refuse(w, r, err)
			return
		}
	}
	p.api.ServeHTTP(w, r.WithContext(apiv1.WithCaller(r.Context(), caller)))
}

func (p *Provider) signedIn(ctx context.Context, r *http.Request) (access.Caller, error) {
	secret, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		cookie, err := r.Cookie(apiv1.CookieName)
		if err != nil {
			return access.Caller{}, fault.New(fault.Denied, "not signed in")
		}
		secret = cookie.Value
	}
	caller, _, err := p.door.Caller(ctx, secret, httpserve.Source(r))
	return caller, err
}

// refuse answers whoever is not signed in, always alike; a database that is
// away is another matter.
func (p *Provider) refuse(w http.ResponseWriter, r *http.Request, err error) {
	if fault.Is(err, fault.Denied) {
		apiv1.Unauthorized().Write(w)
		return
	}
	apiv1.ProblemOf(r.Context(), err).Write(w)
}

// localAPI serves the API to the user that the operating system names.
func (p *Provider) localAPI(w http.ResponseWriter, r *http.Request) {
	user, err := p.localUser(r.Context())
	if err == nil {
		var caller access.Caller
		if caller, err = p.door.Local(r.Context(), user, "local socket"); err == nil {
			p.api.ServeHTTP(w, r.WithContext(apiv1.WithCaller(r.Context(), caller)))
			return
		}
	}
	apiv1.ProblemOf(r.Context(), err).Write(w)
}
