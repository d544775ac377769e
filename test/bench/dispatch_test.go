package bench

import (
	"context"
	"database/sql"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"mainstay/test/sitetest"
)

// BenchmarkMessagesDispatched measures a whole server: while uploads are
// committed, the site server checks their signatures and moves the messages to
// their tables. It reports how many are committed in a second meanwhile, and
// how many have reached their tables in a second over the whole time.
func BenchmarkMessagesDispatched(b *testing.B) {
	for _, kind := range []struct {
		name           string
		count, uploads int
	}{{"1", 1, 300}, {"10", 10, 100}} {
		b.Run("PerUpload="+kind.name, func(b *testing.B) {
			const rounds = 5
			site := sitetest.Start(b)
			devices := enroll(b, site, inFlight)
			ours := server{address: site.Clients, pid: site.Pid()}
			var clients []*http.Client
			for _, d := range devices {
				clients = append(clients, d.http())
			}
			senders := newSenders(b, devices)
			messages := float64(inFlight * kind.count * kind.uploads)
			inbox := openInbox(b, site)
			var committed, moved, cpus []float64
			for round := range rounds {
				all := prepare(b, senders, kind.uploads, kind.count)
				before, began := ours.cpu(b), time.Now()
				took := load(b, ours, clients, all)
				waiting := inbox.waiting(b)
				inbox.awaitEmpty(b)
				whole := time.Since(began)
				cpu := float64(ours.cpu(b)-before) / float64(time.Microsecond) / messages
				committed, moved, cpus = append(committed, messages/took.Seconds()), append(moved, messages/whole.Seconds()), append(cpus, cpu)
				say("round %d: %.0f messages/s committed, then %d uploads waited; %.0f messages/s in their tables; %.1f µs of processor each",
					round+1, messages/took.Seconds(), waiting, messages/whole.Seconds(), cpu)
			}
			b.ReportMetric(median(committed), "messages/s")
			b.ReportMetric(median(moved), "moved-messages/s")
			b.ReportMetric(median(cpus), "cpu-µs/message")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// inbox is the site's inbox, read beside the server.
type inbox struct{ db *sql.DB }

func openInbox(b *testing.B, s *sitetest.Site) inbox {
	b.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(s.Dir, "data", "site.db")+"?mode=ro&_pragma=busy_timeout(5000)")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { db.Close() })
	return inbox{db}
}

func (i inbox) waiting(b *testing.B) (uploads int) {
	b.Helper()
	if err := i.db.QueryRowContext(b.Context(), "SELECT count(*) FROM inbox").Scan(&uploads); err != nil {
		b.Fatal(err)
	}
	return uploads
}

func (i inbox) awaitEmpty(b *testing.B) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), 10*time.Minute)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for i.waiting(b) > 0 {
		select {
		case <-ctx.Done():
			b.Fatalf("%d uploads still wait in the inbox", i.waiting(b))
		case <-tick.C:
		}
	}
}
