// Package ratelimit bounds how often something may happen per key, such as an
// address: a bucket of tokens for each key, in memory of a fixed size. It
// starts no timer and knows nothing of what is limited.
package ratelimit

import (
	"container/list"
	"sync"
	"time"

	"mainstay/lib/fault"
)

// Config says how much is allowed.
type Config struct {
	// Burst is how often something may happen at once, at least 1.
	Burst int
	// Every is the time in which one more is allowed, above 0.
	Every time.Duration
	// Keys is the largest number of keys that are remembered, at least 1. When
	// there are more, the one that was used longest ago is forgotten, and with
	// it what it had used up.
	Keys int
}

// Limiter counts per key. It may be used by many goroutines.
type Limiter struct {
	c Config

	mu      sync.Mutex // guards everything below
	buckets map[string]*list.Element
	used    *list.List // of *bucket, the latest first
}

type bucket struct {
	key    string
	tokens float64
	at     time.Time
}

// New makes a limiter.
func New(c Config) (*Limiter, error) {
	switch {
	case c.Burst < 1:
		return nil, fault.InvalidField("burst", "is %d; give 1 or more", c.Burst)
	case c.Every <= 0:
		return nil, fault.InvalidField("every", "is %s; give more than 0", c.Every)
	case c.Keys < 1:
		return nil, fault.InvalidField("keys", "is %d; give 1 or more", c.Keys)
	}
	return &Limiter{c: c, buckets: map[string]*list.Element{}, used: list.New()}, nil
}

// Allow tells whether it may happen once more for the key, and counts it. When
// it may not, wait says after which time it may.
func (l *Limiter) Allow(key string, now time.Time) (allowed bool, wait time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.bucketLocked(key, now)
	if passed := now.Sub(b.at); passed > 0 {
		b.tokens = min(float64(l.c.Burst), b.tokens+passed.Seconds()/l.c.Every.Seconds())
		b.at = now
	}
	if b.tokens < 1 {
		return false, time.Duration((1 - b.tokens) * float64(l.c.Every))
	}
	b.tokens--
	return true, 0
}

// Forgive gives one back, for something that turned out harmless.
func (l *Limiter) Forgive(key string, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.bucketLocked(key, now)
	b.tokens = min(float64(l.c.Burst), b.tokens+1)
}

func (l *Limiter) bucketLocked(key string, now time.Time) *bucket {
	if e, ok := l.buckets[key]; ok {
		l.used.MoveToFront(e)
		return e.Value.(*bucket)
	}
	if len(l.buckets) >= l.c.Keys {
		oldest := l.used.Back()
		delete(l.buckets, oldest.Value.(*bucket).key)
		l.used.Remove(oldest)
	}
	b := &bucket{key: key, tokens: float64(l.c.Burst), at: now}
	l.buckets[key] = l.used.PushFront(b)
	return b
}
