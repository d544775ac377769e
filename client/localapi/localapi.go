// Package localapi is the door of a client for the administrator of its
// machine: JSON over HTTP on a unix socket that only the client's own user,
// root, can open. It shows and triggers; it changes no setting, because what a
// client obeys comes from its site.
//
//	GET  /status     Status
//	GET  /policy     Policy
//	POST /act/WHAT   ActPolicy, ActInventory: 204
package localapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"mainstay/lib/fault"
	"mainstay/lib/filesys"
	"mainstay/lib/lifecycle"
	"mainstay/wire"
)

// What Act can trigger.
const (
	ActPolicy    = "policy"
	ActInventory = "inventory"
)

// Status says how a client is. Times are UTC; nil means never or unknown.
type Status struct {
	SiteCode string `json:"site_code"`
	DeviceID string `json:"device_id,omitempty"`
	// KeySHA256 is the fingerprint of the key that the machine has or registers
	// with; an administrator who approves it compares that.
	KeySHA256                 string     `json:"key_sha256,omitempty"`
	Phase                     string     `json:"phase"`
	ClientVersion             string     `json:"client_version"`
	ManagementPoint           string     `json:"management_point,omitempty"`
	ManagementPoints          []string   `json:"management_points"`
	FallbackStatusPoints      []string   `json:"fallback_status_points,omitempty"`
	LastContact               *time.Time `json:"last_contact,omitempty"`
	Problem                   string     `json:"problem,omitempty"`
	ProblemAt                 *time.Time `json:"problem_at,omitempty"`
	CertificateEnds           *time.Time `json:"certificate_ends,omitempty"`
	RootSHA256                string     `json:"root_sha256,omitempty"`
	RootTrustedAtFirstContact bool       `json:"root_trusted_at_first_contact,omitempty"`
	PolicyVersion             int64      `json:"policy_version"`
	PolicyAcceptedAt          *time.Time `json:"policy_accepted_at,omitempty"`
	PolicyFreshUntil          *time.Time `json:"policy_fresh_until,omitempty"`
	LastInventory             *time.Time `json:"last_inventory,omitempty"`
	Queued                    int        `json:"queued"`
	QueuedBytes               int64      `json:"queued_bytes"`
	// Next says when the jobs run next.
	Next map[string]time.Time `json:"next"`
}

// Policy says what is assigned and in force.
type Policy struct {
	Version     int64               `json:"version"`
	AcceptedAt  *time.Time          `json:"accepted_at,omitempty"`
	FreshUntil  *time.Time          `json:"fresh_until,omitempty"`
	Settings    wire.ClientSettings `json:"settings"`
	Assignments []wire.Assignment   `json:"assignments"`
}

// Client is what the door leads to.
type Client interface {
	Status() Status
	Policy() Policy
	// Act triggers something and returns false for what it does not know.
	Act(ctx context.Context, what string) bool
}

// Config says where the door is.
type Config struct {
	// Path of the socket; its folder is made if need be.
	Path   string
	Client Client
}

// Server is the door.
type Server struct{ config Config }

// New makes the door. It opens with Run.
func New(c Config) *Server { return &Server{c} }

// Run serves until ctx ends. A socket that a killed client left behind is
// replaced; whoever calls Run holds the lock of the state folder, so there is
// no second client.
func (s *Server) Run(ctx context.Context) error {
	listener, err := listen(s.config.Path)
	if err != nil {
		return err
	}
	server := &http.Server{
		Handler: s.handler(), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second,
		IdleTimeout: 5 * time.Second, MaxHeaderBytes: 16 << 10,
	}
	serve := lifecycle.NewGroup(ctx)
	serve.Go("serve", func(context.Context) error {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	serve.Go("stop", func(ctx context.Context) error {
		<-ctx.Done()
		return server.Close()
	})
	return serve.Wait()
}

func listen(path string) (net.Listener, error) {
	if err := filesys.MakeDir(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	// Made under another name with the right mode, then put in place: there
	// is no moment in which others could open it.
	temp := path + ".new"
	for _, p := range []string{temp, path} {
		if err := os.Remove(p); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("cannot replace socket %s: %w", p, err)
		}
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: temp, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("cannot open socket %s: %w", path, err)
	}
	l.SetUnlinkOnClose(false)
	if err = os.Chmod(temp, 0o600); err == nil {
		err = os.Rename(temp, path)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("cannot open socket %s: %w", path, err), l.Close())
	}
	return l, nil
}

func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) { reply(w, s.config.Client.Status()) })
	mux.HandleFunc("GET /policy", func(w http.ResponseWriter, _ *http.Request) { reply(w, s.config.Client.Policy()) })
	mux.HandleFunc("POST /act/{what}", func(w http.ResponseWriter, r *http.Request) {
		if !s.config.Client.Act(r.Context(), r.PathValue("what")) {
			http.Error(w, "unknown action", http.StatusNotFound)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	return mux
}

func reply(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	// The only failure is a caller that has gone.
	_ = json.NewEncoder(w).Encode(value)
}

// Door is the other end: what the command line uses.
type Door struct{ client *http.Client }

// NewDoor makes the other end of the door at path.
func NewDoor(path string) *Door {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}
	return &Door{&http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}}
}

// Status asks how the client is. A client that does not run is Unavailable, a
// door that the caller may not open is Denied.
func (d *Door) Status(ctx context.Context) (Status, error) {
	var s Status
	return s, d.call(ctx, http.MethodGet, "/status", &s)
}

// Policy asks what is assigned and in force.
func (d *Door) Policy(ctx context.Context) (Policy, error) {
	var p Policy
	return p, d.call(ctx, http.MethodGet, "/policy", &p)
}

// Act triggers ActPolicy or ActInventory.
func (d *Door) Act(ctx context.Context, what string) error {
	return d.call(ctx, http.MethodPost, "/act/"+what, nil)
}

func (d *Door) call(ctx context.Context, method, path string, out any) error {
	request, err := http.NewRequestWithContext(ctx, method, "http://client"+path, nil)
	if err != nil {
		return err
	}
	response, err := d.client.Do(request)
	switch {
	case errors.Is(err, os.ErrPermission):
		return fault.Wrap(fault.Denied, err, "only root may ask the client: run this with sudo")
	case err != nil:
		return fault.Wrap(fault.Unavailable, err, "the client does not run on this machine: 'systemctl start mainstay-client' starts it, 'mainstay-client install' installs it")
	}
	defer response.Body.Close()
	data, err := io.ReadAll(io.LimitReader(response.Body, 16<<20))
	if err != nil {
		return fault.Wrap(fault.Unavailable, err, "the client did not answer")
	}
	if response.StatusCode >= 300 {
		return fault.New(fault.Internal, "the client answered %s", response.Status)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(data, out)
}
