// Package measure counts what simulated clients did: how often, how long, how
// much, and what went wrong. It knows no protocol.
package measure

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// A histogram has 32 steps to each doubling of the time, so that what it tells
// is right within about three percent, from a microsecond to an hour.
const (
	stepBits = 5
	steps    = 1 << stepBits
	buckets  = (32 - stepBits + 1) * steps
)

// Histogram counts durations. Its methods may be called from any goroutine.
type Histogram struct {
	counts [buckets]atomic.Int64
	most   atomic.Int64 // microseconds
}

// Add counts one duration.
func (h *Histogram) Add(d time.Duration) {
	us := max(d.Microseconds(), 0)
	h.counts[bucketOf(us)].Add(1)
	for {
		most := h.most.Load()
		if us <= most || h.most.CompareAndSwap(most, us) {
			return
		}
	}
}

func bucketOf(us int64) int {
	us = min(us, 1<<32-1)
	if us < 2*steps {
		return int(us)
	}
	shift := bits.Len64(uint64(us)) - stepBits - 1
	return shift*steps + int(us>>shift)
}

// middleOf is the middle of a bucket, in microseconds.
func middleOf(bucket int) int64 {
	if bucket < 2*steps {
		return int64(bucket)
	}
	shift := bucket/steps - 1
	low := int64(bucket-shift*steps) << shift
	return low + int64(1)<<shift/2
}

// Counts is a copy of a histogram at one moment.
type Counts struct {
	counts [buckets]int64
	total  int64
	most   int64
}

// Counts copies the histogram.
func (h *Histogram) Counts() *Counts {
	c := &Counts{most: h.most.Load()}
	for i := range h.counts {
		c.counts[i] = h.counts[i].Load()
		c.total += c.counts[i]
	}
	return c
}

// Since is what was counted after an earlier copy. Its Max is that of all time.
func (c *Counts) Since(before *Counts) *Counts {
	since := &Counts{most: c.most}
	for i := range c.counts {
		since.counts[i] = c.counts[i] - before.counts[i]
		since.total += since.counts[i]
	}
	return since
}

// Total is how many were counted.
func (c *Counts) Total() int64 { return c.total }

// Quantile is the duration that a share (0 to 1) of all do not exceed; 0 when
// nothing was counted.
func (c *Counts) Quantile(share float64) time.Duration {
	if c.total == 0 {
		return 0
	}
	rank := int64(share*float64(c.total-1)) + 1
	for bucket, n := range c.counts {
		if rank -= n; rank <= 0 {
			return time.Duration(min(middleOf(bucket), c.most)) * time.Microsecond
		}
	}
	return c.Max()
}

// Max is the longest of all.
func (c *Counts) Max() time.Duration { return time.Duration(c.most) * time.Microsecond }
