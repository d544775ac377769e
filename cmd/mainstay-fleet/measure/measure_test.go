package measure

import (
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"
)

func TestQuantilesAreRightWithinAFewPercent(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	var h Histogram
	var all []time.Duration
	for range 20_000 {
		d := time.Duration(random.ExpFloat64() * float64(30*time.Millisecond)).Truncate(time.Microsecond)
		h.Add(d)
		all = append(all, d)
	}
	slices.Sort(all)
	c := h.Counts()
	for _, share := range []float64{0, 0.01, 0.5, 0.95, 0.99, 0.999, 1} {
		want := all[int(share*float64(len(all)-1))]
		got := c.Quantile(share)
		if diff := (got - want).Abs(); diff > want/25+time.Microsecond {
			t.Errorf("quantile %g is %s, want %s", share, got, want)
		}
	}
	if c.Max() != all[len(all)-1] || c.Total() != int64(len(all)) {
		t.Errorf("max %s of %d, want %s of %d", c.Max(), c.Total(), all[len(all)-1], len(all))
	}
}

func TestEveryDurationHasABucketNearIt(t *testing.T) {
	t.Parallel()
	last := -1
	for us := int64(0); us < 1<<32; us = us*33/32 + 1 {
		b := bucketOf(us)
		if b < last || b >= buckets {
			t.Fatalf("%d µs is in bucket %d after %d", us, b, last)
		}
		last = b
		if diff := middleOf(b) - us; diff > us/30+1 || diff < -us/30-1 {
			t.Fatalf("%d µs is told as %d", us, middleOf(b))
		}
	}
	if b := bucketOf(1 << 50); b >= buckets {
		t.Errorf("a very long time is in bucket %d of %d", b, buckets)
	}
}

func TestFiguresOfAPartOfTheTime(t *testing.T) {
	t.Parallel()
	r := NewRecorder("poll", "upload", "other")
	start := time.Unix(1000, 0)
	empty := r.State(start)
	r.Record(Operation{Name: "poll", Took: time.Millisecond})
	r.Record(Operation{Name: "upload", Problem: "timeout", Example: "too slow", Took: time.Hour})
	middle := r.State(start.Add(10 * time.Second))
	var wait sync.WaitGroup
	for range 10 {
		wait.Go(func() {
			r.Record(Operation{Name: "upload", Took: 4 * time.Millisecond, Messages: 3, Again: true})
			r.Record(Operation{Name: "upload", Problem: "timeout"})
			r.Sent(5)
		})
	}
	wait.Wait()
	end := r.State(start.Add(20 * time.Second))
	f := r.Figures(middle, end)
	upload := f.Operation("upload")
	if upload.Done != 10 || upload.PerSecond != 1 || upload.Failed != 10 || upload.Retries != 10 || f.Messages != 30 || f.BytesSent != 50 {
		t.Errorf("figures of the second part: %+v", f)
	}
	if f.Operation("poll").Done != 0 {
		t.Errorf("the poll of the first part is counted in the second: %+v", f)
	}
	if upload.P50 < 3.8 || upload.P50 > 4.2 {
		t.Errorf("half of the uploads took %g ms, want 4", upload.P50)
	}
	if len(f.Problems) != 1 || f.Problems[0].Count != 10 || f.Problems[0].Example != "too slow" {
		t.Errorf("problems %+v", f.Problems)
	}
	if all := r.Figures(empty, end); all.Errors != 11 || all.Operation("poll").Done != 1 {
		t.Errorf("figures of all: %+v", all)
	}
}
