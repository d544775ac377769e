package inbox

import (
	"fmt"
	"testing"

	"mainstay/wire"
)

// BenchmarkDispatcher moves uploads of 1 and 10 messages of 1,000 devices into
// a table with three indexes: reading, checking the signature, decoding, one
// statement per message, marks, deleting. "us/message" is what a site server
// pays.
func BenchmarkDispatcher(b *testing.B) {
	for _, messages := range []int{1, 10} {
		b.Run(fmt.Sprintf("messages=%d", messages), func(b *testing.B) {
			const devices = 1000
			s := newSite(b)
			all := make([]device, devices)
			for i := range all {
				all[i] = s.newDevice(fmt.Sprintf("%08d-0000-4000-8000-000000000000", i))
			}
			number := int64(0)
			for b.Loop() {
				b.StopTimer()
				for i := 0; i < devices; i += 100 {
					var uploads []Delivery
					for _, d := range all[i : i+100] {
						uploads = append(uploads, d.upload(runA, number, messages1KB(number, messages)...))
					}
					s.put(uploads...)
				}
				number += int64(messages)
				b.StartTimer()
				s.dispatch()
			}
			done := float64(b.N * devices * messages)
			b.ReportMetric(done/b.Elapsed().Seconds(), "messages/s")
			b.ReportMetric(float64(b.Elapsed().Microseconds())/done, "us/message")
			b.ReportMetric(0, "ns/op")
		})
	}
}

func messages1KB(after int64, n int) []wire.Message {
	list := messages(runA, after+1, after+int64(n))
	for i := range list {
		list[i].Body = []byte(`{"message_id":10810,"component":"policy","severity":"informational","insertions":["` + randomHex(850) + `"]}`)
	}
	return list
}
