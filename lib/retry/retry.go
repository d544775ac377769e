// Package retry says how long to wait before something is tried again:
// exponential back-off with full jitter and an upper bound, so that many
// machines which failed together do not come back together, and none ever
// gives up. It starts no timer and knows nothing of what is tried.
package retry

import "time"

// Backoff counts failures. The zero value is not usable: see New. It belongs
// to one goroutine.
type Backoff struct {
	first, most time.Duration
	random      func() float64
	failures    int
}

// New makes a back-off whose n-th wait is drawn evenly from
// (0, min(most, first·2ⁿ⁻¹)]. random gives numbers in [0, 1). A first below a
// millisecond counts as one, a most below first as first.
func New(first, most time.Duration, random func() float64) *Backoff {
	first = max(first, time.Millisecond)
	return &Backoff{first: first, most: max(most, first), random: random}
}

// Next notes a failure and returns how long to wait.
func (b *Backoff) Next() time.Duration {
	bound := b.bound()
	b.failures++
	return Jitter(bound, b.random)
}

// bound is the longest possible wait now; it grows without overflow.
func (b *Backoff) bound() time.Duration {
	bound := b.first
	for range b.failures {
		if bound >= b.most/2 {
			return b.most
		}
		bound *= 2
	}
	return bound
}

// Failures is the number of calls of Next since the last Reset.
func (b *Backoff) Failures() int { return b.failures }

// Reset notes a success.
func (b *Backoff) Reset() { b.failures = 0 }

// Jitter draws evenly from (0, bound]. A bound of zero or less gives zero.
func Jitter(bound time.Duration, random func() float64) time.Duration {
	if bound <= 0 {
		return 0
	}
	return bound - time.Duration(random()*float64(bound))
}
