package bench

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"mainstay/lib/signed"
	"mainstay/test/sitetest"
	"mainstay/wire"
)

// sender makes the uploads of one device, as client/transport does, with
// numbers that go on.
type sender struct {
	device      *device
	incarnation string
	last        int64
	encoder     *zstd.Encoder
}

func newSenders(b *testing.B, devices []*device) []*sender {
	b.Helper()
	senders := make([]*sender, len(devices))
	for i, d := range devices {
		encoder, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedDefault))
		if err != nil {
			b.Fatal(err)
		}
		senders[i] = &sender{device: d, incarnation: random(8), encoder: encoder}
	}
	return senders
}

// random gives so many bytes in hex.
func random(bytes int) string {
	data := make([]byte, bytes)
	rand.Read(data)
	return hex.EncodeToString(data)
}

// prepared is an upload that only needs to be sent.
type prepared struct {
	header http.Header
	body   []byte
}

// next makes and signs an upload of so many messages.
func (s *sender) next(count int) (prepared, error) {
	messages := make([]wire.Message, count)
	for i := range messages {
		text := make([]byte, 600)
		rand.Read(text)
		body, err := json.Marshal(wire.StatusMessage{MessageID: 10899, Component: "bench", Severity: wire.Informational,
			Insertions: []string{base64.StdEncoding.EncodeToString(text)}})
		if err != nil {
			return prepared{}, err
		}
		messages[i] = wire.Message{Incarnation: s.incarnation, Number: s.last + int64(i) + 1, ID: random(16), Type: wire.TypeStatusMessage, Time: time.Now().UnixMicro(), Body: body}
	}
	body, err := json.Marshal(messages)
	if err != nil {
		return prepared{}, err
	}
	header := http.Header{"Content-Type": {"application/json"}, "Accept-Encoding": {"zstd"}}
	if len(body) > 1<<10 {
		body = s.encoder.EncodeAll(body, nil)
		header.Set("Content-Encoding", "zstd")
	}
	sum := sha256.Sum256(body)
	text := wire.Upload{Device: s.device.id.DeviceID, Running: s.incarnation, Born: s.incarnation,
		First: s.last + 1, Last: s.last + int64(count), Acknowledged: s.last, Count: count, Hash: hex.EncodeToString(sum[:])}.String()
	signature, err := signed.Sign(s.device.id.Key, wire.SignUpload, []byte(text))
	if err != nil {
		return prepared{}, err
	}
	header.Set(wire.HeaderUpload, text)
	header.Set(wire.HeaderSignature, base64.StdEncoding.EncodeToString(signature))
	s.last += int64(count)
	return prepared{header, body}, nil
}

// prepare makes uploads for all senders.
func prepare(b *testing.B, senders []*sender, uploads, count int) [][]prepared {
	b.Helper()
	all := make([][]prepared, len(senders))
	together(b, len(senders), func(i int) error {
		for range uploads {
			p, err := senders[i].next(count)
			if err != nil {
				return err
			}
			all[i] = append(all[i], p)
		}
		return nil
	})
	return all
}

// load sends uploads, each sender one after the other and all senders at the
// same time, and returns how long that took.
func load(b *testing.B, s server, clients []*http.Client, uploads [][]prepared) time.Duration {
	b.Helper()
	var ready, done sync.WaitGroup
	start := make(chan struct{})
	errs := make([]error, len(uploads))
	for i := range uploads {
		ready.Add(1)
		done.Go(func() {
			ready.Done()
			<-start
			for _, u := range uploads[i] {
				if errs[i] = exchange(b.Context(), clients[i], http.MethodPost, "https://"+s.address+wire.DoorMessages, u.header, u.body, http.StatusOK); errs[i] != nil {
					return
				}
			}
		})
	}
	ready.Wait()
	began := time.Now()
	close(start)
	done.Wait()
	took := time.Since(began)
	for _, err := range errs {
		if err != nil {
			b.Fatal(err)
		}
	}
	return took
}

// inFlight is how many uploads are under way at the same time: one for each
// client.
const inFlight = 64

// BenchmarkMessages compares committed messages per second through the door of
// a management point with those of a bare net/http handler: same TLS, same
// uploads, signed and compressed by the same code, grouped inserts of the same
// durability (SQLite, WAL, synchronous=FULL). No site server empties the inbox
// meanwhile.
func BenchmarkMessages(b *testing.B) {
	for _, kind := range []struct {
		name           string
		count, uploads int
	}{{"1", 1, 200}, {"10", 10, 80}} {
		b.Run("PerUpload="+kind.name, func(b *testing.B) {
			site := sitetest.Start(b)
			devices := enroll(b, site, inFlight)
			if err := site.Stop(); err != nil {
				b.Fatal(err)
			}
			ours := startProgram(b, site.Clients, "./test/bench/point", site.Config)
			compareMessages(b, []server{ours, startBare(b, "messages", devices[0])}, newSenders(b, devices), kind.uploads, kind.count)
		})
	}
}

func compareMessages(b *testing.B, servers []server, senders []*sender, uploads, count int) {
	b.Helper()
	const rounds = 9
	clients := make([][]*http.Client, len(servers))
	for which := range servers {
		for _, s := range senders {
			clients[which] = append(clients[which], s.device.http())
		}
	}
	messages := float64(len(senders) * uploads * count)
	run := func(which int) (perSecond, cpu float64) {
		all := prepare(b, senders, uploads, count)
		before := servers[which].cpu(b)
		took := load(b, servers[which], clients[which], all)
		return messages / took.Seconds(), float64(servers[which].cpu(b)-before) / float64(time.Microsecond) / messages
	}
	run(0)
	run(1)
	var rates, cpus [2][]float64
	var ratios []float64
	for round := range rounds {
		var rate [2]float64
		for turn := range 2 {
			which := (round + turn) % 2
			var cpu float64
			rate[which], cpu = run(which)
			rates[which], cpus[which] = append(rates[which], rate[which]), append(cpus[which], cpu)
		}
		ratios = append(ratios, rate[0]/rate[1])
		say("round %d: %.0f messages/s with %.1f µs of processor each, bare %.0f with %.1f, ratio %.2f",
			round+1, rate[0], cpus[0][round], rate[1], cpus[1][round], rate[0]/rate[1])
	}
	b.ReportMetric(median(ratios), "ratio")
	b.ReportMetric(median(rates[0]), "messages/s")
	b.ReportMetric(median(rates[1]), "bare-messages/s")
	b.ReportMetric(median(cpus[0]), "cpu-µs/message")
	b.ReportMetric(median(cpus[1]), "bare-cpu-µs/message")
	b.ReportMetric(0, "ns/op")
}
