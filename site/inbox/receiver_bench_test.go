package inbox

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mainstay/lib/sqldb"
	"mainstay/site/sitedb"
	"mainstay/wire"
)

// BenchmarkReceiver compares the Receiver with a bare grouped insert into a
// table of the same columns with the same durability, in turns within one run:
// 64 submitters, each with one upload under way. An upload carries 1 or 10
// messages of 1 KB. With 64 devices what the site knows of them is in few pages;
// with 6,400 nearly every upload has a page of its own to change.
func BenchmarkReceiver(b *testing.B) {
	for _, messages := range []int{1, 10} {
		for _, each := range []int{1, 100} {
			b.Run(fmt.Sprintf("messages=%d/devices=%d", messages, 64*each), func(b *testing.B) { benchmarkReceiver(b, messages, each) })
		}
	}
}

// benchmarkReceiver lets each submitter speak for so many devices in turn.
func benchmarkReceiver(b *testing.B, messages, each int) {
	const clients, turn = 64, 2000
	r := NewReceiver(ReceiverConfig{DB: openBench(b, "receiver"), ManagementPoint: "mp"})
	bare := newBareReceiver(b, openBench(b, "bare"))
	ctx, cancel := context.WithCancel(context.Background())
	var tasks sync.WaitGroup
	tasks.Go(func() { r.Run(ctx) })
	tasks.Go(func() { bare.run(ctx) })
	defer tasks.Wait()
	defer cancel()

	body := make([]byte, messages*1024)
	for i := range body {
		body[i] = byte(rand.Uint32())
	}
	next := make([]int64, clients*each)
	turns := make([]int, clients)
	submit := func(client int) error {
		turns[client]++
		client += clients * (turns[client] % each)
		u := wire.Upload{
			Device: fmt.Sprintf("%08d-0000-4000-8000-000000000000", client), Running: "0123456789abcdef", Born: "0123456789abcdef",
			First: next[client] + 1, Last: next[client] + int64(messages), Acknowledged: next[client], Count: messages,
			Hash: "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
		}
		err := r.Submit(ctx, Delivery{Upload: u, Header: u.String(), Encoding: "zstd", Body: body, Signature: body[:71]})
		next[client] = u.Last
		return err
	}
	bareSubmit := func(client int) error {
		return bare.submit(inboxRow{
			Device: fmt.Sprintf("%08d-0000-4000-8000-000000000000", client), Header: string(body[:190]), Encoding: "zstd",
			Body: body, Signature: body[:71], ManagementPoint: "mp", ReceivedAt: time.Now().UnixMicro(),
		})
	}
	var spent, bareSpent time.Duration
	done := 0
	spread(b, clients, 2*clients*each, submit) // devices are known
	for b.Loop() {
		spent += spread(b, clients, turn, submit)
		bareSpent += spread(b, clients, turn, bareSubmit)
		done += turn
	}
	rate := func(d time.Duration) float64 { return float64(done*messages) / d.Seconds() }
	b.ReportMetric(rate(spent), "messages/s")
	b.ReportMetric(rate(bareSpent), "bare-messages/s")
	b.ReportMetric(rate(spent)/rate(bareSpent), "ratio")
	b.ReportMetric(0, "ns/op")
}

// spread runs n submissions from so many clients at once.
func spread(b *testing.B, clients, n int, submit func(client int) error) time.Duration {
	started := time.Now()
	var left atomic.Int64
	left.Store(int64(n))
	var wait sync.WaitGroup
	for client := range clients {
		wait.Go(func() {
			for left.Add(-1) >= 0 {
				if err := submit(client); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wait.Wait()
	return time.Since(started)
}

func openBench(b *testing.B, name string) *sitedb.DB {
	b.Helper()
	db, err := sitedb.Open(b.Context(), sitedb.Config{Path: filepath.Join(b.TempDir(), name+".db")})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { db.Close() })
	return db
}

// bareReceiver is what the Receiver cannot be faster than: what waits goes in
// by one prepared statement in one transaction, and nothing is checked.
type bareReceiver struct {
	db      *sql.DB
	waiting chan bareItem
}

type bareItem struct {
	row  inboxRow
	done chan error
}

func newBareReceiver(b *testing.B, site *sitedb.DB) *bareReceiver {
	b.Helper()
	site.Close()
	path := filepath.Join(b.TempDir(), "plain.db")
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=wal_autocheckpoint(4000)&_pragma=cache_size(-16000)")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { db.Close() })
	db.SetMaxOpenConns(1)
	_, err = db.Exec(`CREATE TABLE plain (id INTEGER PRIMARY KEY AUTOINCREMENT, device TEXT NOT NULL, header TEXT NOT NULL,
		encoding TEXT NOT NULL, body BLOB NOT NULL, signature BLOB NOT NULL, management_point TEXT NOT NULL, received_at BIGINT NOT NULL)`)
	if err != nil {
		b.Fatal(err)
	}
	return &bareReceiver{db: db, waiting: make(chan bareItem, 256)}
}

func (r *bareReceiver) submit(row inboxRow) error {
	it := bareItem{row, make(chan error, 1)}
	r.waiting <- it
	return <-it.done
}

func (r *bareReceiver) run(ctx context.Context) {
	insert := sqldb.Define[inboxRow, sqldb.None]("bare", `INSERT INTO plain (device, header, encoding, body, signature, management_point, received_at)
		VALUES (@device, @header, @encoding, @body, @signature, @management_point, @received_at)`)
	conn, err := r.db.Conn(ctx)
	if err != nil {
		return
	}
	defer conn.Close()
	session := &bareSession{conn, map[string]*sql.Stmt{}}
	for {
		var group []bareItem
		select {
		case <-ctx.Done():
			return
		case it := <-r.waiting:
			group = append(group, it)
		}
		for more := true; more && len(group) < 256; {
			select {
			case it := <-r.waiting:
				group = append(group, it)
			default:
				more = false
			}
		}
		_, err := conn.ExecContext(ctx, "BEGIN IMMEDIATE")
		for _, it := range group {
			if err == nil {
				_, err = insert.Exec(ctx, session, it.row)
			}
		}
		if err == nil {
			_, err = conn.ExecContext(ctx, "COMMIT")
		}
		for _, it := range group {
			it.done <- err
		}
	}
}

type bareSession struct {
	*sql.Conn
	statements map[string]*sql.Stmt
}

func (s *bareSession) Prepared(ctx context.Context, text string) (*sql.Stmt, error) {
	if stmt, ok := s.statements[text]; ok {
		return stmt, nil
	}
	stmt, err := s.PrepareContext(ctx, text)
	s.statements[text] = stmt
	return stmt, err
}
