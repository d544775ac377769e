package inbox

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"mainstay/lib/fault"
	"mainstay/lib/listing"
	"mainstay/lib/mtls"
	"mainstay/lib/signed"
	"mainstay/lib/sqldb"
	"mainstay/site/sitedb"
	"mainstay/wire"
)

// site is a site's message path: a receiver, a dispatcher and a table.
type site struct {
	t          testing.TB
	db         *sitedb.DB
	fenced     *sitedb.Fenced
	receiver   *Receiver
	dispatcher *Dispatcher

	mu        sync.Mutex // guards everything below
	keys      map[string][]*ecdsa.PublicKey
	conflicts []string
}

func newSite(t testing.TB) *site {
	t.Helper()
	db, err := sitedb.Open(t.Context(), sitedb.Config{Path: filepath.Join(t.TempDir(), "site.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	term, err := db.TakeTerm(t.Context(), "server", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	s := &site{t: t, db: db, fenced: db.Fence(term), keys: map[string][]*ecdsa.PublicKey{}}
	s.receiver = NewReceiver(s.receiverConfig())
	if s.dispatcher, err = NewDispatcher(s.dispatcherConfig()); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *site) receiverConfig() ReceiverConfig {
	return ReceiverConfig{DB: s.db, ManagementPoint: "mp", OnConflict: s.onConflict}
}

func (s *site) onConflict(_ context.Context, _ *sitedb.Tx, device string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conflicts = append(s.conflicts, device)
	return nil
}

func (s *site) dispatcherConfig() DispatcherConfig {
	return DispatcherConfig{
		DB: s.fenced, Subscribe: s.db.Subscribe, Keys: s.keysOf,
		Handlers: map[string]Handler{
			wire.TypeStatusMessage: s.store,
			"refuse":               func(context.Context, *sitedb.Tx, Received) error { return fault.New(fault.Invalid, "not this one") },
			"panic":                func(context.Context, *sitedb.Tx, Received) error { panic("oh") },
		},
	}
}

func (s *site) keysOf(_ context.Context, _ *sitedb.Tx, device string) ([]*ecdsa.PublicKey, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if keys := s.keys[device]; len(keys) > 0 {
		return keys, nil
	}
	return nil, fault.New(fault.NotFound, "no device %s", device)
}

// storedRow is a row of status_message, used as a plain table: system holds the
// key under which a message came first.
type storedRow struct {
	UID    string `db:"uid"`
	Device string `db:"device"`
	System string `db:"system"`
}

var (
	putStored = sqldb.Define[storedRow, sqldb.None]("test.put",
		`INSERT INTO status_message (uid, time, received_at, site_code, device, system, component, message_id, severity, insertions)
		 VALUES (@uid, 0, 0, 'LAB', @device, @system, 'test', 1, 'informational', '[]') ON CONFLICT (uid) DO NOTHING`)
	getStored = sqldb.Define[storedRow, storedRow]("test.get",
		`SELECT uid, device, system FROM status_message WHERE uid = @uid`)
	allStored = sqldb.Define[sqldb.None, storedRow]("test.all",
		`SELECT uid, device, system FROM status_message ORDER BY id`)
)

// store is a feature that keeps what it gets. The same message under the same
// key twice is what must never happen.
func (s *site) store(ctx context.Context, tx *sitedb.Tx, r Received) error {
	key := fmt.Sprintf("%s/%s/%d", r.Device, r.Message.Incarnation, r.Message.Number)
	n, err := putStored.Exec(ctx, tx, storedRow{r.Message.ID, r.Device, key})
	if err != nil || n == 1 {
		return err
	}
	row, _, err := getStored.One(ctx, tx, storedRow{UID: r.Message.ID})
	if row.System == key {
		s.t.Errorf("message %s was applied twice under the key %s", r.Message.ID, key)
	}
	return err
}

func (s *site) stored() []storedRow {
	s.t.Helper()
	return read(s, func(tx *sitedb.Tx) ([]storedRow, error) { return allStored.All(context.Background(), tx, sqldb.None{}) })
}

func read[T any](s *site, f func(*sitedb.Tx) (T, error)) T {
	s.t.Helper()
	var out T
	err := s.db.Read(context.Background(), func(tx *sitedb.Tx) (err error) {
		out, err = f(tx)
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return out
}

func (s *site) deadLetters(filter ...string) []DeadLetter {
	s.t.Helper()
	return read(s, func(tx *sitedb.Tx) ([]DeadLetter, error) {
		plan, err := DeadLetterTable().Plan(listing.Request{Sort: "id", Limit: listing.MaxLimit, Filter: strings.Join(filter, " and ")}, time.Now())
		if err != nil {
			return nil, err
		}
		page, err := DeadLetters(context.Background(), tx, plan)
		return page.Items, err
	})
}

func (s *site) waiting() int64 {
	s.t.Helper()
	return read(s, func(tx *sitedb.Tx) (int64, error) {
		statistics, err := ReadStatistics(context.Background(), tx)
		return statistics.Waiting, err
	})
}

// put stores uploads in one group, as Run does, and returns their answers.
func (s *site) put(uploads ...Delivery) []error {
	s.t.Helper()
	r := s.receiver
	var items []*item
	for _, d := range uploads {
		it := &item{Delivery: d, ctx: context.Background(), done: make(chan error, 1)}
		if err := r.enqueue(it); err != nil {
			s.t.Fatal(err)
		}
		items = append(items, it)
	}
	for group := r.take(); len(group) > 0; group = r.take() {
		r.commit(context.Background(), group)
	}
	var answers []error
	for _, it := range items {
		answers = append(answers, <-it.done)
	}
	return answers
}

func (s *site) dispatch() {
	s.t.Helper()
	if err := s.dispatcher.Pass(context.Background()); err != nil {
		s.t.Fatal(err)
	}
}

// device is a machine with a key that the site knows.
type device struct {
	id  string
	key *ecdsa.PrivateKey
}

func (s *site) newDevice(id string) device {
	s.t.Helper()
	key, err := mtls.NewKey()
	if err != nil {
		s.t.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys[id] = append(s.keys[id], &key.PublicKey)
	return device{id, key}
}

func randomHex(digits int) string {
	b := make([]byte, digits/2)
	rand.Read(b)
	return hex.EncodeToString(b)
}

func message(incarnation string, number int64) wire.Message {
	return wire.Message{Incarnation: incarnation, Number: number, ID: randomHex(32), Type: wire.TypeStatusMessage, Body: json.RawMessage(`{"message_id":1}`)}
}

func messages(incarnation string, first, last int64) []wire.Message {
	var list []wire.Message
	for n := first; n <= last; n++ {
		list = append(list, message(incarnation, n))
	}
	return list
}

// upload packs and signs messages of one incarnation.
func (d device) upload(running string, acknowledged int64, list ...wire.Message) Delivery {
	plain, err := json.Marshal(list)
	if err != nil {
		panic(err)
	}
	u := wire.Upload{
		Device: d.id, Running: running, Born: list[0].Incarnation, First: list[0].Number, Last: list[len(list)-1].Number,
		Acknowledged: acknowledged, Count: len(list),
	}
	if len(list)%2 == 0 {
		return d.sign(u, compress(plain), EncodingZstd)
	}
	return d.sign(u, plain, EncodingPlain)
}

func (d device) sign(u wire.Upload, body []byte, encoding string) Delivery {
	hash := sha256.Sum256(body)
	u.Hash = hex.EncodeToString(hash[:])
	signature, err := signed.Sign(d.key, wire.SignUpload, []byte(u.String()))
	if err != nil {
		panic(err)
	}
	return Delivery{Upload: u, Header: u.String(), Encoding: encoding, Body: body, Signature: signature}
}

var encoder = sync.OnceValue(func() *zstd.Encoder {
	e, err := zstd.NewWriter(nil)
	if err != nil {
		panic(err)
	}
	return e
})

func compress(plain []byte) []byte { return encoder().EncodeAll(plain, nil) }
