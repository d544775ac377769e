package sitedb

import (
	"context"
	"sync"
)

// hub hands announcements of committed transactions to subscribers.
type hub struct {
	mu   *sync.Mutex // guards subs
	subs map[string]map[chan struct{}]bool
}

func newHub() hub {
	return hub{mu: new(sync.Mutex), subs: map[string]map[chan struct{}]bool{}}
}

func (h hub) subscribe(ctx context.Context, topics []string) <-chan struct{} {
	ch := make(chan struct{}, 1)
	h.mu.Lock()
	for _, topic := range topics {
		if h.subs[topic] == nil {
			h.subs[topic] = map[chan struct{}]bool{}
		}
		h.subs[topic][ch] = true
	}
	h.mu.Unlock()
	context.AfterFunc(ctx, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		for _, topic := range topics {
			delete(h.subs[topic], ch)
		}
	})
	return ch
}

func (h hub) publish(topics []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, topic := range topics {
		for ch := range h.subs[topic] {
			select {
			case ch <- struct{}{}:
			default: // a token is waiting already
			}
		}
	}
}
