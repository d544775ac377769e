package bench

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"mainstay/client"
	"mainstay/client/identity"
	"mainstay/client/transport"
	"mainstay/cmd/mainstay-fleet/machines"
	"mainstay/lib/mtls"
	"mainstay/lib/registrationtoken"
	"mainstay/test/sitetest"
	"mainstay/wire"
)

// device is a registered device as the load generator plays it.
type device struct {
	id *identity.Identity
	// tag is that of its newest policy.
	tag string
}

// enroll registers devices with the site by the real client, and fetches their
// policy.
func enroll(b *testing.B, s *sitetest.Site, count int) []*device {
	b.Helper()
	token, err := registrationtoken.Parse(s.Token())
	if err != nil {
		b.Fatal(err)
	}
	fleet, dir := machines.New(1), b.TempDir()
	devices := make([]*device, count)
	for i := range devices {
		machine, state := fleet.Machine(i), filepath.Join(dir, fmt.Sprint(i))
		dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 1, byte(i>>8), byte(i+1))}}
		c, err := client.New(client.Config{
			StateDir: state, SiteCode: "LAB", ManagementPoints: []string{s.Clients}, Token: token,
			Hardware: machine.Hardware, Machine: func() identity.Facts { return machine.Facts() }, Dial: dialer.DialContext,
			Log: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			b.Fatal(err)
		}
		if err := c.Register(b.Context()); err != nil {
			b.Fatal(err)
		}
		if err := c.Close(); err != nil {
			b.Fatal(err)
		}
		devices[i] = &device{}
		if devices[i].id, err = loadIdentity(filepath.Join(state, "identity")); err != nil {
			b.Fatal(err)
		}
	}
	for _, d := range devices {
		d.fetchPolicy(b, s)
	}
	return devices
}

func loadIdentity(dir string) (*identity.Identity, error) {
	store, err := identity.OpenStore(dir)
	if err != nil {
		return nil, err
	}
	id, _, err := store.Load()
	return id, err
}

func (d *device) fetchPolicy(b *testing.B, s *sitetest.Site) {
	b.Helper()
	t := transport.New(transport.Config{ManagementPoints: []string{s.Clients}, SiteCode: "LAB", Root: d.id.RootCertificate, Own: d.id, Log: slog.New(slog.DiscardHandler)})
	defer t.Close()
	sitetest.Eventually(b, time.Minute, "the device has a policy", func() error {
		t.Wake()
		reply, err := t.Policy(b.Context(), "")
		d.tag = reply.Tag
		return err
	})
}

// http is a client with one connection that stays open, showing the device's
// certificate.
func (d *device) http() *http.Client {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{
			// The generator knows whom it loads.
			InsecureSkipVerify:   true,
			GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return d.id.Current() },
		},
		Protocols: protocols, MaxConnsPerHost: 1, MaxIdleConnsPerHost: 1, DisableCompression: true,
	}}
}

// server is a measured process.
type server struct {
	address string
	pid     int
}

// cpu is the processor time that the process has used.
func (s server) cpu(b *testing.B) time.Duration {
	b.Helper()
	used, err := processorTime(s.pid)
	if err != nil {
		b.Fatal(err)
	}
	return used
}

// startProgram runs a program of this folder until the benchmark ends.
func startProgram(b *testing.B, address, folder string, args ...string) server {
	b.Helper()
	cmd := exec.Command(sitetest.Build(b, folder), args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		// What has ended by itself needs no signal, and how it ends plays no
		// part any more.
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
	sitetest.Eventually(b, 30*time.Second, folder+" listens", func() error {
		c, err := net.DialTimeout("tcp", address, time.Second)
		if err != nil {
			return fmt.Errorf("%w\n%s", err, output.String())
		}
		return c.Close()
	})
	return server{address: address, pid: cmd.Process.Pid}
}

// startBare runs the bare limit. It has a certificate of the same kind as a
// site system, and accepts the certificates of the site's clients.
func startBare(b *testing.B, mode string, clients *device) server {
	b.Helper()
	dir := b.TempDir()
	now := time.Now()
	must := func(err error) {
		b.Helper()
		if err != nil {
			b.Fatal(err)
		}
	}
	rootKey, err := mtls.NewKey()
	must(err)
	root, err := mtls.NewRoot("BAR", rootKey, now)
	must(err)
	issuing := &mtls.Issuer{}
	issuingKey, err := mtls.NewKey()
	must(err)
	issuing.Key = issuingKey
	issuing.Certificate, issuing.Chain, err = root.Issue(mtls.Request{
		Subject: mtls.Subject{SiteCode: "BAR", Purpose: mtls.PurposeIssuing, ID: "issuing"}, Key: issuingKey.Public(), Lifetime: mtls.IssuingLifetime}, now)
	must(err)
	hostKey, err := mtls.NewKey()
	must(err)
	_, chain, err := issuing.Issue(mtls.Request{Subject: mtls.Subject{SiteCode: "BAR", Purpose: mtls.PurposeSystem, ID: "bare"}, Key: hostKey.Public(), Lifetime: mtls.SystemLifetime}, now)
	must(err)
	key, err := mtls.EncodeKey(hostKey)
	must(err)
	var certs []byte
	for _, der := range chain {
		certs = append(certs, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	for name, data := range map[string][]byte{
		"cert.pem": certs, "key.pem": key, "clientca.pem": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: clients.id.Root}),
	} {
		must(os.WriteFile(filepath.Join(dir, name), data, 0o600))
	}
	address := sitetest.FreePort(b)
	return startProgram(b, address, "./test/bench/bare", mode, address, dir)
}

// exchange makes one request and reads the answer to its end.
func exchange(ctx context.Context, c *http.Client, method, url string, header http.Header, body []byte, want int) error {
	r, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	for name, values := range header {
		r.Header[name] = values
	}
	r.Header.Set(wire.HeaderVersion, fmt.Sprint(wire.Version))
	r.Header.Set("User-Agent", "mainstay-client")
	answer, err := c.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	if answer.StatusCode != want {
		return fmt.Errorf("%s answered %d instead of %d: %s", url, answer.StatusCode, want, strings.TrimSpace(string(text)))
	}
	return nil
}
