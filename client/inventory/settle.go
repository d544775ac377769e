package inventory

import (
	"slices"
	"time"
)

// settler gathers events until they have been quiet for a while, and not for
// longer than a limit, so that the installation of a hundred packages is one
// change and an endless one is still told. It holds no timer: the caller says
// what time it is.
type settler struct {
	quiet, most time.Duration
	first, last time.Time
	reasons     []string
}

// event notes that something has happened.
func (s *settler) event(now time.Time, reason string) {
	if len(s.reasons) == 0 {
		s.first = now
	}
	s.last = now
	if !slices.Contains(s.reasons, reason) {
		s.reasons = append(s.reasons, reason)
	}
}

// wait is how long to wait for the events to settle; false when there are none.
func (s *settler) wait(now time.Time) (time.Duration, bool) {
	if len(s.reasons) == 0 {
		return 0, false
	}
	due := s.last.Add(s.quiet)
	if limit := s.first.Add(s.most); limit.Before(due) {
		due = limit
	}
	return max(due.Sub(now), 0), true
}

// take returns the reasons of what has settled, in the order of their first
// event, and forgets them; nothing while it has not.
func (s *settler) take(now time.Time) []string {
	if wait, any := s.wait(now); !any || wait > 0 {
		return nil
	}
	reasons := s.reasons
	s.reasons = nil
	return reasons
}
