// Command bare is what a door of a management point is measured against: a
// net/http server with TLS and client certificates as everybody would write
// it, which answers polls and commits uploads in groups, and does nothing else.
//
//	bare poll ADDRESS DIR
//	bare messages ADDRESS DIR
//
// DIR holds cert.pem, key.pem, clientca.pem and, for messages, the database.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"path/filepath"
	"time"

	_ "modernc.org/sqlite"
)

func main() {
	if len(os.Args) != 4 {
		log.Fatal("usage: bare poll|messages ADDRESS DIR")
	}
	if err := serve(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		log.Fatal(err)
	}
}

func serve(mode, address, dir string) error {
	var handler http.Handler
	switch mode {
	case "poll":
		handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotModified) })
	case "messages":
		s, err := newStore(filepath.Join(dir, "bare.db"))
		if err != nil {
			return err
		}
		go s.run()
		handler = s
	default:
		return fmt.Errorf("no such mode: %s", mode)
	}
	pem, err := os.ReadFile(filepath.Join(dir, "clientca.pem"))
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return errors.New("clientca.pem holds no certificate")
	}
	server := &http.Server{
		Addr: address, Handler: handler, ErrorLog: log.New(io.Discard, "", 0),
		TLSConfig: &tls.Config{
			MinVersion: tls.VersionTLS13, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: roots, NextProtos: []string{"http/1.1"},
		},
	}
	return server.ListenAndServeTLS(filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"))
}

// store commits what waits in one transaction, with the durability of the
// product: WAL, synchronous=FULL, one row for each upload.
type store struct {
	db     *sql.DB
	insert *sql.Stmt
	queue  chan upload
}

type upload struct {
	device, header, encoding string
	body, signature          []byte
	done                     chan error
}

// maxGroup is how many uploads are committed together at most, as in the
// product.
const maxGroup = 256

func newStore(path string) (*store, error) {
	db, err := sql.Open("sqlite", "file:"+path+"?_txlock=immediate&_pragma=journal_mode(WAL)&_pragma=busy_timeout(5000)&_pragma=synchronous(FULL)&_pragma=wal_autocheckpoint(4000)&_pragma=cache_size(-16000)")
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	_, err = db.Exec(`CREATE TABLE IF NOT EXISTS inbox (id INTEGER PRIMARY KEY, device TEXT NOT NULL, header TEXT NOT NULL, encoding TEXT NOT NULL,
		body BLOB NOT NULL, signature BLOB NOT NULL, received_at BIGINT NOT NULL)`)
	if err != nil {
		return nil, err
	}
	insert, err := db.Prepare(`INSERT INTO inbox (device, header, encoding, body, signature, received_at) VALUES (?, ?, ?, ?, ?, ?)`)
	return &store{db: db, insert: insert, queue: make(chan upload, 4096)}, err
}

func (s *store) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	u := upload{
		device: r.TLS.PeerCertificates[0].Subject.CommonName, header: r.Header.Get("Mainstay-Upload"), encoding: r.Header.Get("Content-Encoding"),
		body: body, signature: []byte(r.Header.Get("Mainstay-Signature")), done: make(chan error, 1),
	}
	s.queue <- u
	if err := <-u.done; err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	io.WriteString(w, `{"committed":true}`)
}

func (s *store) run() {
	for first := range s.queue {
		group := []upload{first}
		for waiting := true; waiting && len(group) < maxGroup; {
			select {
			case u := <-s.queue:
				group = append(group, u)
			default:
				waiting = false
			}
		}
		err := s.commit(group)
		for _, u := range group {
			u.done <- err
		}
	}
}

func (s *store) commit(group []upload) error {
	tx, err := s.db.BeginTx(context.Background(), nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	insert, now := tx.Stmt(s.insert), time.Now().UnixMicro()
	for _, u := range group {
		if _, err := insert.Exec(u.device, u.header, u.encoding, u.body, u.signature, now); err != nil {
			return err
		}
	}
	return tx.Commit()
}
