package managementpoint

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"mainstay/lib/fault"
	"mainstay/lib/listing"
	"mainstay/site/inbox"
	"mainstay/site/sitedb"
	"mainstay/site/status"
	"mainstay/wire"
)

const (
	runA = "aaaaaaaaaaaaaaaa"
	runB = "bbbbbbbbbbbbbbbb"
)

// uploadDoor is the door of a management point with a database behind it.
type uploadDoor struct {
	t  *testing.T
	db *sitedb.DB
	m  *ManagementPoint
}

// flakyDB is the database, or its absence.
type flakyDB struct {
	*sitedb.DB
	mu   sync.Mutex
	away error
}

func (f *flakyDB) Write(ctx context.Context, g func(*sitedb.Tx) error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.away != nil {
		return f.away
	}
	return f.DB.Write(ctx, g)
}

func newUploadDoor(t *testing.T) (*uploadDoor, *flakyDB) {
	t.Helper()
	db, err := sitedb.Open(t.Context(), sitedb.Config{Path: filepath.Join(t.TempDir(), "site.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	flaky := &flakyDB{DB: db}
	receiver := inbox.NewReceiver(inbox.ReceiverConfig{DB: flaky, ManagementPoint: "mp"})
	ctx, cancel := context.WithCancel(t.Context())
	var run sync.WaitGroup
	run.Go(func() { receiver.Run(ctx) })
	t.Cleanup(func() { cancel(); run.Wait() })
	return &uploadDoor{t, db, &ManagementPoint{c: Config{DB: db, Now: time.Now}, receiver: receiver, contacts: newContacts()}}, flaky
}

// request is an upload as a client sends it.
func uploadRequest(device, running string, acknowledged int64, body []byte) *http.Request {
	hash := sha256.Sum256(body)
	u := wire.Upload{Device: device, Running: running, Born: running, First: acknowledged + 1, Last: acknowledged + 2, Acknowledged: acknowledged, Count: 2, Hash: hex.EncodeToString(hash[:])}
	r := httptest.NewRequest(http.MethodPost, wire.DoorMessages, bytes.NewReader(body))
	r.Header.Set(wire.HeaderUpload, u.String())
	r.Header.Set(wire.HeaderSignature, base64.StdEncoding.EncodeToString([]byte("a signature")))
	return r
}

func (d *uploadDoor) send(r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	d.m.messages(w, r, peer{DeviceID: "device"})
	return w
}

func (d *uploadDoor) waiting() int64 {
	d.t.Helper()
	var s inbox.Statistics
	err := d.db.Read(d.t.Context(), func(tx *sitedb.Tx) (err error) {
		s, err = inbox.ReadStatistics(d.t.Context(), tx)
		return err
	})
	if err != nil {
		d.t.Fatal(err)
	}
	return s.Waiting
}

func problemOf(t *testing.T, w *httptest.ResponseRecorder) wire.Problem {
	t.Helper()
	var p wire.Problem
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || w.Header().Get("Content-Type") != "application/problem+json" {
		t.Fatalf("answer %d is no problem document: %q", w.Code, w.Body)
	}
	return p
}

func TestUploadIsAnsweredWhenItIsStored(t *testing.T) {
	t.Parallel()
	d, _ := newUploadDoor(t)
	w := d.send(uploadRequest("device", runA, 0, []byte("not even JSON: nobody looks into it here")))
	var answer wire.UploadAnswer
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || w.Code != http.StatusOK || answer != (wire.UploadAnswer{Incarnation: runA, Last: 2}) {
		t.Fatalf("answer %d %s", w.Code, w.Body)
	}
	if d.waiting() != 1 {
		t.Errorf("%d uploads are stored, want 1", d.waiting())
	}
	if len(d.m.contacts.take().Message) != 1 {
		t.Error("the contact was not noted")
	}
}

func TestUploadConflicts(t *testing.T) {
	t.Parallel()
	d, _ := newUploadDoor(t)
	for _, step := range []struct {
		running      string
		acknowledged int64
		status       int
		code         string
	}{
		{runA, 4, http.StatusOK, ""},
		{runA, 2, http.StatusConflict, wire.CodeNewIncarnation},
		{runB, 0, http.StatusOK, ""},
		{runA, 6, http.StatusConflict, wire.CodeIdentityConflict},
	} {
		w := d.send(uploadRequest("device", step.running, step.acknowledged, []byte("[]")))
		if w.Code != step.status {
			t.Fatalf("%+v: answer %d %s", step, w.Code, w.Body)
		}
		if step.code != "" && problemOf(t, w).Code != step.code {
			t.Errorf("%+v: code %s", step, problemOf(t, w).Code)
		}
	}
	if d.waiting() != 2 {
		t.Errorf("%d uploads are stored, want 2", d.waiting())
	}
}

// unread fails the test when somebody reads it.
type unread struct{ t *testing.T }

func (u unread) Read([]byte) (int, error) {
	u.t.Error("the body was read")
	return 0, io.EOF
}

func TestBadUploads(t *testing.T) {
	t.Parallel()
	body := []byte(`[{"number":1},{"number":2}]`)
	for _, test := range []struct {
		name   string
		change func(t *testing.T, r *http.Request)
		status int
	}{
		{"no header", func(_ *testing.T, r *http.Request) { r.Header.Del(wire.HeaderUpload) }, 400},
		{"two headers", func(_ *testing.T, r *http.Request) { r.Header.Add(wire.HeaderUpload, "x") }, 400},
		{"header", func(t *testing.T, r *http.Request) {
			r.Header.Set(wire.HeaderUpload, "x")
			r.Body = io.NopCloser(unread{t})
		}, 400},
		{"another device", func(_ *testing.T, r *http.Request) {
			r.Header.Set(wire.HeaderUpload, strings.Replace(r.Header.Get(wire.HeaderUpload), "device", "other", 1))
		}, 400},
		{"another body", func(_ *testing.T, r *http.Request) {
			r.Body = io.NopCloser(bytes.NewReader(bytes.ToUpper(body)))
		}, 400},
		{"no signature", func(_ *testing.T, r *http.Request) { r.Header.Del(wire.HeaderSignature) }, 400},
		{"empty signature", func(_ *testing.T, r *http.Request) { r.Header.Set(wire.HeaderSignature, "") }, 400},
		{"signature", func(_ *testing.T, r *http.Request) { r.Header.Set(wire.HeaderSignature, "***") }, 400},
		{"long signature", func(_ *testing.T, r *http.Request) {
			r.Header.Set(wire.HeaderSignature, base64.StdEncoding.EncodeToString(make([]byte, 129)))
		}, 400},
		{"encoding", func(_ *testing.T, r *http.Request) { r.Header.Set("Content-Encoding", "gzip") }, 415},
		{"too large", func(t *testing.T, r *http.Request) {
			r.ContentLength = wire.MaxUploadBytes + 1
			r.Body = io.NopCloser(unread{t})
		}, 413},
		{"length unknown", func(t *testing.T, r *http.Request) { r.ContentLength = -1; r.Body = io.NopCloser(unread{t}) }, 411},
		{"cut", func(_ *testing.T, r *http.Request) { r.ContentLength++ }, 400},
		{"broken connection", func(_ *testing.T, r *http.Request) {
			r.Body = io.NopCloser(io.MultiReader(bytes.NewReader(body[:5]), errorReader{}))
		}, 400},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			d, _ := newUploadDoor(t)
			r := uploadRequest("device", runA, 0, body)
			test.change(t, r)
			w := d.send(r)
			if w.Code != test.status || problemOf(t, w).Code != wire.CodeRefused || problemOf(t, w).Detail == "" {
				t.Errorf("answer %d %s, want %d", w.Code, w.Body, test.status)
			}
			if d.waiting() != 0 {
				t.Error("something was stored")
			}
		})
	}
}

type errorReader struct{}

func (errorReader) Read([]byte) (int, error) { return 0, errors.New("connection reset") }

func TestUploadWithoutDatabase(t *testing.T) {
	t.Parallel()
	d, flaky := newUploadDoor(t)
	flaky.away = fault.New(fault.Unavailable, "away")
	w := d.send(uploadRequest("device", runA, 0, []byte("[]")))
	if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" || problemOf(t, w).Code != wire.CodeComeBack {
		t.Errorf("answer %d %s, Retry-After %q", w.Code, w.Body, w.Header().Get("Retry-After"))
	}
	flaky.mu.Lock()
	flaky.away = nil
	flaky.mu.Unlock()
	if w := d.send(uploadRequest("device", runA, 0, []byte("[]"))); w.Code != http.StatusOK || d.waiting() != 1 {
		t.Errorf("afterwards: %d %s", w.Code, w.Body)
	}
}

func FuzzUploadDoor(f *testing.F) {
	f.Add("device aaaaaaaaaaaaaaaa aaaaaaaaaaaaaaaa 1 2 0 2 "+strings.Repeat("0", 64), "MEUCIQ==", "zstd", []byte("[]"))
	f.Add("", "", "", []byte{})
	f.Fuzz(func(t *testing.T, header, signature, encoding string, body []byte) {
		r := httptest.NewRequest(http.MethodPost, wire.DoorMessages, bytes.NewReader(body))
		r.Header[http.CanonicalHeaderKey(wire.HeaderUpload)] = []string{header}
		r.Header[http.CanonicalHeaderKey(wire.HeaderSignature)] = []string{signature}
		r.Header["Content-Encoding"] = []string{encoding}
		d, err := uploadHead(r, peer{DeviceID: "device"})
		if err == nil && (d.Upload.Device != "device" || d.Upload.String() != d.Header || len(d.Signature) == 0 || len(d.Signature) > maxSignature) {
			t.Errorf("accepted %+v", d)
		}
	})
}

func TestConflictIsReportedOnce(t *testing.T) {
	t.Parallel()
	d, _ := newUploadDoor(t)
	receiver := inbox.NewReceiver(inbox.ReceiverConfig{DB: d.db, ManagementPoint: "mp", OnConflict: noteConflict("mp")})
	ctx, cancel := context.WithCancel(t.Context())
	var run sync.WaitGroup
	run.Go(func() { receiver.Run(ctx) })
	defer run.Wait()
	defer cancel()
	d.m.receiver = receiver
	for i, running := range []string{runA, runB, runA, runA} {
		if w := d.send(uploadRequest("device", running, int64(i), []byte("[]"))); (w.Code == http.StatusConflict) != (i > 1) {
			t.Fatalf("upload %d: %d %s", i+1, w.Code, w.Body)
		}
	}
	err := d.db.Read(ctx, func(tx *sitedb.Tx) error {
		plan, err := status.Table().Plan(listing.Request{Filter: "message_id=3005 and device=device"}, time.Now())
		if err != nil {
			return err
		}
		page, err := status.List(ctx, tx, plan)
		if len(page.Items) != 1 {
			t.Errorf("%d status messages, want 1", len(page.Items))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
