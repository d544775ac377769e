package main

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
	"time"

	"mainstay/adminapi"
	"mainstay/lib/fault"
	"mainstay/lib/mtls"
)

const (
	apiPath        = "/api/v1"
	dialTimeout    = 3 * time.Second
	requestTimeout = 60 * time.Second
)

// connect finds the site and returns a client of its API.
func (p *program) connect() (*adminapi.ClientWithResponses, error) {
	if err := p.checkFormat(); err != nil {
		return nil, err
	}
	if socket := p.chosenSocket(); socket != "" {
		return newLocalClient(socket)
	}
	profiles, err := p.loadProfiles()
	if err != nil {
		return nil, err
	}
	name := p.chosenProfile()
	if name == "" {
		for _, socket := range p.env.sockets {
			switch err := tryDial(socket); {
			case err == nil:
				return newLocalClient(socket)
			case errors.Is(err, syscall.EACCES) && profiles.Current == "":
				return nil, fault.New(fault.Denied, "you may not use the local socket %s; join the group mainstay ('usermod -aG mainstay USER', then sign in again), use sudo, or sign in with 'mainstay login'", socket)
			}
		}
		name = profiles.Current
	}
	if name == "" {
		return nil, fault.New(fault.Unavailable, "no site is known here: there is no local socket and nobody has signed in. Start one with 'mainstay dev', or sign in with 'mainstay login https://HOST:9443'")
	}
	profile, err := profiles.named(name)
	if err != nil {
		return nil, err
	}
	return profile.client()
}

func (p *program) chosenSocket() string {
	if p.socket != "" {
		return p.socket
	}
	if p.profile == "" {
		return p.env.getenv("MAINSTAY_SOCKET")
	}
	return ""
}

func (p *program) chosenProfile() string {
	if p.profile != "" {
		return p.profile
	}
	return p.env.getenv("MAINSTAY_PROFILE")
}

func tryDial(socket string) error {
	conn, err := net.DialTimeout("unix", socket, dialTimeout)
	if err != nil {
		return err
	}
	return conn.Close()
}

// newLocalClient is a client over the local socket.
func newLocalClient(socket string) (*adminapi.ClientWithResponses, error) {
	dialer := net.Dialer{Timeout: dialTimeout}
	transport := &http.Transport{ResponseHeaderTimeout: requestTimeout, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return dialer.DialContext(ctx, "unix", socket)
	}}
	return adminapi.NewClientWithResponses("http://local"+apiPath, adminapi.WithHTTPClient(&http.Client{Transport: localTransport{transport, socket}}))
}

// localTransport says in errors which socket it was.
type localTransport struct {
	http.RoundTripper
	socket string
}

func (t localTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := t.RoundTripper.RoundTrip(r)
	switch {
	case errors.Is(err, os.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return nil, fault.New(fault.Unavailable, "nothing serves the local socket %s; start the server ('systemctl start mainstay', or 'mainstay dev')", t.socket)
	case errors.Is(err, os.ErrPermission):
		return nil, fault.New(fault.Denied, "you may not use the local socket %s; join the group mainstay or use sudo", t.socket)
	}
	return answer, err
}

// client is a client of the API over the providers of a profile.
func (p *profile) client() (*adminapi.ClientWithResponses, error) {
	root, err := p.rootCertificate()
	if err != nil {
		return nil, err
	}
	bearer := func(_ context.Context, r *http.Request) error {
		r.Header.Set("Authorization", "Bearer "+p.Token)
		return nil
	}
	return adminapi.NewClientWithResponses(p.Providers[0]+apiPath,
		adminapi.WithHTTPClient(&http.Client{Transport: newProviders(p.Providers, root, p.SiteCode)}), adminapi.WithRequestEditorFn(bearer))
}

// providers sends a request to the first provider that can be reached.
type providers struct {
	addresses []string
	transport http.RoundTripper
}

func newProviders(addresses []string, root *x509.Certificate, siteCode string) *providers {
	dialer := &net.Dialer{Timeout: dialTimeout}
	return &providers{addresses, &http.Transport{
		DialContext:           dialer.DialContext,
		TLSClientConfig:       mtls.ClientConfig(root, siteCode, nil, time.Now),
		TLSHandshakeTimeout:   10 * time.Second,
		ResponseHeaderTimeout: requestTimeout,
		ForceAttemptHTTP2:     true,
		Proxy:                 http.ProxyFromEnvironment,
	}}
}

// RoundTrip implements http.RoundTripper. Only a request that was certainly not
// received, or changes nothing, goes to the next provider.
func (t *providers) RoundTrip(r *http.Request) (*http.Response, error) {
	var errs []error
	for i, address := range t.addresses {
		attempt, err := redirected(r, address)
		if err != nil {
			return nil, err
		}
		answer, err := t.transport.RoundTrip(attempt)
		if err == nil {
			return answer, nil
		}
		errs = append(errs, fmt.Errorf("%s: %w", address, err))
		var dial *net.OpError
		unsent := errors.As(err, &dial) && dial.Op == "dial"
		if r.Context().Err() != nil || !unsent && r.Method != http.MethodGet || i == len(t.addresses)-1 {
			break
		}
	}
	return nil, unreachable(errs)
}

func redirected(r *http.Request, address string) (*http.Request, error) {
	base, err := url.Parse(address)
	if err != nil {
		return nil, fault.New(fault.Invalid, "%q is no address of a provider", address)
	}
	attempt := r.Clone(r.Context())
	attempt.URL.Scheme, attempt.URL.Host, attempt.Host = base.Scheme, base.Host, base.Host
	if r.GetBody != nil {
		if attempt.Body, err = r.GetBody(); err != nil {
			return nil, err
		}
	}
	return attempt, nil
}

func unreachable(errs []error) error {
	var refused *fault.Error
	for _, err := range errs {
		if errors.As(err, &refused) && refused.Kind == fault.Denied {
			return fault.Wrap(fault.Denied, err, "the provider is not one of the site that this profile is for; somebody may be in between")
		}
	}
	texts := make([]string, len(errs))
	for i, err := range errs {
		texts[i] = first(err.Error())
	}
	return fault.New(fault.Unavailable, "no provider of the site answers: %s", strings.Join(texts, "; "))
}

// answered is what every answer of the generated client has.
type answered interface {
	StatusCode() int
	GetBody() []byte
	GetApplicationProblemJSONDefault() *adminapi.Problem
}

// check turns an answer that is a problem into an error.
func check[R answered](answer R, err error) (R, error) {
	if err != nil {
		var known *fault.Error
		if errors.As(err, &known) {
			return answer, known
		}
		if errors.Is(err, context.Canceled) {
			return answer, err
		}
		return answer, fault.New(fault.Unavailable, "the provider does not answer: %v", err)
	}
	if answer.StatusCode() < 400 {
		return answer, nil
	}
	if problem := answer.GetApplicationProblemJSONDefault(); problem != nil {
		return answer, &apiError{*problem}
	}
	var problem adminapi.Problem
	if json.Unmarshal(answer.GetBody(), &problem) == nil && problem.Code != "" {
		return answer, &apiError{problem}
	}
	return answer, fault.New(fault.Unavailable, "the answer (HTTP %d) is not one of a Mainstay provider", answer.StatusCode())
}

// body is the body of an answer, which must be there.
func body[T any](answer *T) (T, error) {
	if answer == nil {
		var zero T
		return zero, fault.New(fault.Unavailable, "the answer is not one of a Mainstay provider")
	}
	return *answer, nil
}
