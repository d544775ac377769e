package acceptance

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mainstay/test/machine"
	"mainstay/test/sitetest"
)

// thief stands in for a management point on a machine of its own: what it
// serves is what the true one serves, but for one change.
type thief struct {
	l      *lab
	t      *testing.T
	folder string
	// victim is the machine that it will be asked from.
	victim *machine.Machine
}

// Environment of the process that serves, which is this program again.
const (
	thiefFolder  = "ACCEPTANCE_THIEF_FOLDER"
	thiefAddress = "ACCEPTANCE_THIEF_ADDRESS"
)

func (l *lab) thief(t *testing.T, victim *machine.Machine) *thief {
	t.Helper()
	f := &thief{l: l, t: t, folder: t.TempDir(), victim: victim}
	program, err := os.Executable()
	must(t, err)
	there := l.network.Machine("thief").Command(context.Background(), program, "-test.run=^$")
	there.Env = append(os.Environ(), thiefFolder+"="+f.folder, thiefAddress+"=:"+l.port)
	p := start(t, there)
	p.await("serving", 20*time.Second)
	return f
}

// change copies what the site serves and changes the script, or the packages.
func (f *thief) change(what, old, now string) {
	f.t.Helper()
	packages, err := filepath.Glob(filepath.Join(f.l.site.Dir, "packages", "mainstay-client*"))
	must(f.t, err)
	for _, from := range packages {
		to := filepath.Join(f.folder, filepath.Base(from))
		copyFile(f.t, from, to)
		if what == "package" {
			data, err := os.ReadFile(to)
			must(f.t, err)
			data[len(data)/2] ^= 1
			must(f.t, os.WriteFile(to, data, 0o600))
		}
	}
	script, code := f.l.sh(f.victim, "wget -qO- --no-check-certificate https://server:"+f.l.port+"/mp/v1/install")
	if code != 0 || !strings.HasPrefix(script, "#!/bin/sh") {
		f.t.Fatalf("cannot copy the script: %d\n%s", code, script)
	}
	if what == "install" {
		script = strings.Replace(script, old, now, 1)
	}
	must(f.t, os.WriteFile(filepath.Join(f.folder, "install"), []byte(script), 0o600))
}

// serveAsThief is the process of a thief.
func serveAsThief(folder, address string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return err
	}
	listener, err := tls.Listen("tcp", address, &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}})
	if err != nil {
		return err
	}
	fmt.Println("serving")
	return http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		file, err := os.Open(filepath.Join(folder, path.Base(r.URL.Path)))
		if err != nil {
			http.NotFound(w, r)
			return
		}
		defer file.Close()
		_, _ = io.Copy(w, file)
	}))
}

func TestMain(m *testing.M) {
	if folder := os.Getenv(thiefFolder); folder != "" {
		fmt.Fprintln(os.Stderr, serveAsThief(folder, os.Getenv(thiefAddress)))
		os.Exit(1)
	}
	code := m.Run()
	sitetest.RemovePrograms()
	os.Exit(code)
}
