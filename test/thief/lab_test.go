package thief

import (
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"mainstay/client"
	"mainstay/client/identity"
	"mainstay/lib/lifecycle"
	"mainstay/lib/registrationtoken"
	"mainstay/lib/rowhash"
	"mainstay/lib/sqldb"
	"mainstay/role/managementpoint"
	"mainstay/role/siteserver"
	"mainstay/site"
	"mainstay/site/access"
	"mainstay/site/policy"
	"mainstay/site/sitedb"
	"mainstay/site/trust"
	"mainstay/wire"
)

// The management points of the lab. The thief owns the first, and the second is
// honest.
const (
	thiefs = "thief:8443"
	honest = "honest:8443"
)

// lab is a real site whose management point is a thief's. Everything in it
// belongs to a bubble.
type lab struct {
	t   *testing.T
	dir string
	db  *sitedb.DB
	// raw reads what no function of the site shows; writer writes what only
	// somebody with rights in the database can.
	raw, writer *sql.DB
	authority   *trust.Authority
	genuine     http.Handler
	// host is the certificate of the site system: the thief has its key.
	tls      *tls.Config // of the client port
	host     *siteserver.HostCertificate
	network  *pipes
	token    registrationtoken.Token
	machines []*machine
	stop     func()

	mu    sync.Mutex // guards answer and asked
	does  http.HandlerFunc
	asked map[string]int
}

// inLab runs a test with a site and a thief in a bubble of time.
func inLab(t *testing.T, test func(*lab)) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		l := &lab{t: t, dir: dir, network: newPipes(), asked: map[string]int{}}
		l.found()
		l.run()
		defer func() {
			for _, m := range l.machines {
				m.end()
			}
			l.stop()
			must(t, errors.Join(l.raw.Close(), l.writer.Close(), l.db.Close()))
		}()
		test(l)
	})
}

// run starts the site and the thief; stop ends them, and run may follow.
func (l *lab) run() {
	l.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	l.start(ctx, cancel, l.build(ctx)...)
}

// runAlone starts the thief without a site behind him.
func (l *lab) runAlone() {
	l.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	l.start(ctx, cancel, lifecycle.Task{Name: "thief's port", Run: l.serve(thiefs, http.HandlerFunc(l.steal), l.tls)})
}

func (l *lab) start(ctx context.Context, cancel func(), tasks ...lifecycle.Task) {
	ended := make(chan error, 1)
	go func() { ended <- lifecycle.Run(ctx, tasks...) }()
	l.stop = func() {
		cancel()
		if err := <-ended; err != nil {
			l.t.Errorf("the site ended with %v", err)
		}
	}
	synctest.Wait()
}

// found makes the site.
func (l *lab) found() {
	t, ctx := l.t, l.t.Context()
	database := filepath.Join(l.dir, "site.db")
	_, err := siteserver.Init(ctx, siteserver.InitConfig{Database: database, Keys: l.keys(), SiteCode: "LAB", Name: "Lab", Now: time.Now()})
	must(t, err)
	l.db, err = sitedb.Open(ctx, sitedb.Config{Path: database})
	must(t, err)
	l.raw, err = sql.Open("sqlite", "file:"+database+"?_pragma=query_only(1)")
	must(t, err)
	l.writer, err = sql.Open("sqlite", "file:"+database+"?_pragma=busy_timeout(5000)")
	must(t, err)
	s, err := site.Load(ctx, l.db)
	must(t, err)
	must(t, l.db.Write(ctx, func(tx *sitedb.Tx) error {
		l.token, _, err = trust.CreateToken(ctx, tx, administrator, s, trust.NewToken{Name: "lab", Lifetime: 300 * 24 * time.Hour}, time.Now())
		return err
	}))
}

func (l *lab) keys() string { return filepath.Join(l.dir, "keys") }

// build puts the roles together and returns what has to run.
func (l *lab) build(ctx context.Context) []lifecycle.Task {
	t := l.t
	id, system, err := siteserver.LoadIdentity(l.keys())
	must(t, err)
	server, err := siteserver.New(ctx, siteserver.Config{DB: l.db, Identity: id, System: system, Now: time.Now})
	must(t, err)
	l.authority = server.Authority()
	must(t, server.Register(ctx, siteserver.Machine{System: system, Name: "honest", Address: "honest", ClientPort: 8443, AdminPort: 9443}))
	l.host, err = siteserver.LoadHostCertificate(l.keys(), system, []string{"localhost"}, l.authority, time.Now)
	must(t, err)
	point, err := managementpoint.New(managementpoint.Config{DB: l.db, Site: l.authority.Site(), System: system, Now: time.Now})
	must(t, err)
	l.genuine, l.tls = point.Handler(), point.TLS(l.host)
	return []lifecycle.Task{
		{Name: "site server", Run: server.Run},
		{Name: "management point", Run: point.Run},
		{Name: "honest port", Run: l.serve(honest, l.genuine, l.tls)},
		{Name: "thief's port", Run: l.serve(thiefs, http.HandlerFunc(l.steal), l.tls)},
	}
}

var administrator = access.Local("root", "test")

func (l *lab) serve(address string, handler http.Handler, config *tls.Config) func(context.Context) error {
	listener := l.network.listen(address)
	server := &http.Server{Handler: handler, TLSConfig: config, ErrorLog: log.New(io.Discard, "", 0)}
	return func(ctx context.Context) error {
		stop := context.AfterFunc(ctx, func() { server.Close() })
		defer stop()
		// It ends with the context and for no other reason.
		_ = server.ServeTLS(listener, "", "")
		return nil
	}
}

// steal is the thief's handler. Where he has nothing of his own to say the
// genuine one answers, which looks best.
func (l *lab) steal(w http.ResponseWriter, r *http.Request) {
	l.mu.Lock()
	l.asked[r.URL.Path]++
	does := l.does
	l.mu.Unlock()
	if does != nil {
		answer := &answering{ResponseWriter: w}
		if does(answer, r); answer.answered {
			return
		}
	}
	l.genuine.ServeHTTP(w, r)
}

// answering tells whether the thief has answered.
type answering struct {
	http.ResponseWriter
	answered bool
}

func (a *answering) WriteHeader(status int) {
	a.answered = true
	a.ResponseWriter.WriteHeader(status)
}

func (a *answering) Write(b []byte) (int, error) {
	a.answered = true
	return a.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController flush.
func (a *answering) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// thief replaces the handlers of the stolen management point; nil gives them
// back.
func (l *lab) thief(does http.HandlerFunc) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.does = does
	clear(l.asked)
}

// askedThief is how often the thief was asked at a door since he began.
func (l *lab) askedThief(path string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.asked[path]
}

// at answers at one door.
func at(door string, answer http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == door {
			answer(w, r)
		}
	}
}

// says answers with a value as JSON.
func says(value any) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(value)
	}
}

// refuses answers with a problem.
func refuses(status int, code string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(wire.Problem{Title: "the thief says so", Status: status, Code: code})
	}
}

// pass lets time pass, and all work of that time be done.
func (l *lab) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// machine is a client of the lab.
type machine struct {
	lab       *lab
	dir       string
	name      string
	config    client.Config
	client    *client.Client
	inventory counting
	sent      int
	stop      func()

	mu     sync.Mutex // guards everything below
	alone  bool
	dialed map[string]int
}

// counting is an inventory that tells how often all of it was asked for.
type counting struct {
	full atomic.Int64
}

// Report gives the same single row every time.
func (c *counting) Report(_ context.Context, ask client.InventoryAsk) (client.InventoryResult, error) {
	report := inventoryOf(json.RawMessage(`{"Name":"x"}`))
	if ask.Full {
		c.full.Add(1)
	}
	return client.InventoryResult{Report: report, Unchanged: string(ask.Base) == report.Result, Baseline: []byte(report.Result)}, nil
}

// inventoryOf is a full report of one row.
func inventoryOf(row json.RawMessage) wire.InventoryReport {
	set := rowhash.Set([]rowhash.Hash{rowhash.Row(wire.ClassComputerSystem, row)})
	return wire.InventoryReport{
		Kind: wire.InventoryFull, Result: rowhash.Tables(map[string]rowhash.Sum{wire.ClassComputerSystem: set}).String(),
		CollectedAt: time.Now().UnixMicro(),
		Classes:     map[string]wire.InventoryChange{wire.ClassComputerSystem: {Add: []json.RawMessage{row}}},
	}
}

// newMachine makes a machine that knows both management points, the thief's
// first, and starts its client.
func (l *lab) newMachine(name string) *machine {
	l.t.Helper()
	m := &machine{lab: l, dir: filepath.Join(l.dir, name), name: name, dialed: map[string]int{}}
	m.config = client.Config{
		StateDir: m.dir, SiteCode: "LAB", ManagementPoints: []string{thiefs, honest}, Token: l.token, Version: "0.0.0", Dial: m.dial,
		Inventory: &m.inventory,
		Hardware:  func() wire.HardwareIdentity { return wire.HardwareIdentity{ProductUUID: uuidOf(name)} },
		Machine:   func() identity.Facts { return identity.Facts{Name: name, OS: "Linux", Arch: "amd64"} },
		// The list is gone through as it stands, and waits are as long as can be.
		Random: func() float64 { return 0 },
		Log:    slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
	if testing.Verbose() {
		m.config.Log = slog.New(slog.NewTextHandler(l.t.Output(), nil)).With("machine", name)
	}
	m.start()
	l.machines = append(l.machines, m)
	return m
}

// dial connects to whom the machine can reach.
func (m *machine) dial(ctx context.Context, network, address string) (net.Conn, error) {
	m.mu.Lock()
	m.dialed[address]++
	unreachable := m.alone && address == honest
	m.mu.Unlock()
	if unreachable {
		return nil, errors.New("network is unreachable")
	}
	return m.lab.network.dial(ctx, network, address)
}

// isAlone leaves the machine alone with the thief, or ends that.
func (m *machine) isAlone(alone bool) *machine {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.alone = alone
	return m
}

// strangers are addresses that the machine has dialed and should not know.
func (m *machine) strangers() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var list []string
	for address := range m.dialed {
		if address != thiefs && address != honest && !strings.HasPrefix(address, "127.0.0.1:") {
			list = append(list, address)
		}
	}
	return list
}

// send queues a numbered message.
func (m *machine) send() {
	m.lab.t.Helper()
	m.sent++
	must(m.lab.t, m.client.SendStatus(true, wire.StatusMessage{
		MessageID: numberedMessage, Component: "thief", Severity: wire.Informational, Insertions: []string{m.name, strconv.Itoa(m.sent)},
	}))
}

// numberedMessage is in no catalogue.
const numberedMessage = 777_001

// arrived fails the test unless each numbered message is in the tables once.
func (m *machine) arrived() {
	m.lab.t.Helper()
	for n := 1; n <= m.sent; n++ {
		text := fmt.Sprintf(`["%s","%d"]`, m.name, n)
		if got := m.lab.count(`SELECT count(*) FROM status_message WHERE message_id = ? AND insertions = ?`, numberedMessage, text); got != 1 {
			m.lab.t.Errorf("message %d of %s is in the tables %d times, want once", n, m.name, got)
		}
	}
}

// told counts the status messages of a kind that the site has of the machine.
func (m *machine) told(id int) int {
	m.lab.t.Helper()
	return m.lab.count(`SELECT count(*) FROM status_message WHERE message_id = ? AND device = ?`, id, m.device())
}

// count runs a query that counts.
func (l *lab) count(query string, args ...any) (n int) {
	l.t.Helper()
	must(l.t, l.raw.QueryRow(query, args...).Scan(&n))
	return n
}

// uuidOf is the hardware of a machine.
func uuidOf(name string) string {
	return hashOf([]byte(name))[:8] + "-1111-4222-8333-444455556666"
}

func (m *machine) start() {
	m.lab.t.Helper()
	var err error
	m.client, err = client.New(m.config)
	must(m.lab.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func(c *client.Client) { ended <- c.Run(ctx) }(m.client)
	m.stop = func() {
		cancel()
		if err := <-ended; err != nil {
			m.lab.t.Errorf("client %s ended with %v", m.name, err)
		}
	}
}

func (m *machine) end() {
	if m.stop != nil {
		m.stop()
		m.stop = nil
	}
}

// device is who the machine is.
func (m *machine) device() string { return m.client.Status().DeviceID }

// registered waits until the machine has identity and policy.
func (m *machine) registered() *machine {
	m.lab.t.Helper()
	m.lab.pass(time.Minute)
	if s := m.client.Status(); s.DeviceID == "" || s.PolicyVersion == 0 {
		m.lab.t.Fatalf("%s is in phase %q with policy %d: %s", m.name, s.Phase, s.PolicyVersion, s.Problem)
	}
	return m
}

// identityOf reads the machine's key and certificate.
func (m *machine) identityOf() *identity.Identity {
	m.lab.t.Helper()
	store, err := identity.OpenStore(filepath.Join(m.dir, "identity"))
	must(m.lab.t, err)
	id, _, err := store.Load()
	must(m.lab.t, err)
	return id
}

// as is an HTTP client that shows the certificate of an identity, or none.
func (l *lab) as(id *identity.Identity) *http.Client {
	config := &tls.Config{InsecureSkipVerify: true}
	if id != nil {
		config.Certificates = []tls.Certificate{{Certificate: id.Chain, PrivateKey: id.Key}}
	}
	return &http.Client{Transport: &http.Transport{DialContext: l.network.dial, TLSClientConfig: config, DisableKeepAlives: true}}
}

// setPolling is what an administrator wants.
func (l *lab) setPolling(interval string) {
	l.t.Helper()
	ctx := l.t.Context()
	must(l.t, l.db.Write(ctx, func(tx *sitedb.Tx) error {
		id, _, err := defaultSetting.One(ctx, tx, rank{policy.DefaultRank})
		if err != nil {
			return err
		}
		edit := policy.EditSetting{Set: map[string]any{"client_policy.polling_interval": interval}}
		_, err = policy.Edit(ctx, tx, administrator, id.ID, edit, time.Now())
		return err
	}))
	l.pass(15 * time.Second)
}

type rank struct {
	Rank int64 `db:"rank"`
}

type idRow struct {
	ID string `db:"id"`
}

var defaultSetting = sqldb.Define[rank, idRow]("thief.defaultSetting", `SELECT id FROM client_setting WHERE rank = @rank`)

// thiefsKey is the key of the stolen management point with its certificate.
func (l *lab) thiefsKey() (*ecdsa.PrivateKey, [][]byte) {
	l.t.Helper()
	own, err := l.host.Current()
	must(l.t, err)
	key, ok := own.PrivateKey.(*ecdsa.PrivateKey)
	if !ok {
		l.t.Fatalf("the key of the management point is a %T", own.PrivateKey)
	}
	return key, own.Certificate
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
