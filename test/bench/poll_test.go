package bench

import (
	"net/http"
	"testing"
	"time"

	"mainstay/test/sitetest"
	"mainstay/wire"
)

// BenchmarkPoll compares the processor time of an unchanged policy poll with
// that of a bare net/http handler: same kind of certificates, same connections
// that stay open, same requests.
func BenchmarkPoll(b *testing.B) {
	const devices, rounds, polls, warm = 32, 9, 500, 40
	site := sitetest.Start(b)
	fleet := enroll(b, site, devices)
	servers := []server{{address: site.Clients, pid: site.Pid()}, startBare(b, "poll", fleet[0])}

	clients := make([][]*http.Client, len(servers))
	for i := range servers {
		for _, d := range fleet {
			clients[i] = append(clients[i], d.http())
		}
	}
	run := func(which, count int) (perPoll float64) {
		s := servers[which]
		before := s.cpu(b)
		together(b, devices, func(i int) error {
			header := http.Header{"If-None-Match": {fleet[i].tag}, "Accept-Encoding": {"zstd"}}
			for range count {
				if err := exchange(b.Context(), clients[which][i], http.MethodGet, "https://"+s.address+wire.DoorPolicy, header, nil, http.StatusNotModified); err != nil {
					return err
				}
			}
			return nil
		})
		return float64(s.cpu(b)-before) / float64(time.Microsecond) / float64(devices*count)
	}
	run(0, warm)
	run(1, warm)
	var ours, bare, ratios []float64
	for round := range rounds {
		var took [2]float64
		for turn := range 2 {
			which := (round + turn) % 2 // who comes first takes turns
			took[which] = run(which, polls)
		}
		ours, bare, ratios = append(ours, took[0]), append(bare, took[1]), append(ratios, took[0]/took[1])
		say("round %d: %.1f µs, bare %.1f µs, ratio %.2f", round+1, took[0], took[1], took[0]/took[1])
	}
	b.ReportMetric(median(ratios), "ratio")
	b.ReportMetric(median(ours), "cpu-µs/poll")
	b.ReportMetric(median(bare), "bare-cpu-µs/poll")
	b.ReportMetric(0, "ns/op")
}
