// Package localstate keeps the few small facts that a client must remember over
// restarts: when its jobs run next, which statements it has accepted, the
// newest time that the site has signed, and the inventory that it has reported
// last. Each file is replaced as a whole, so a crash leaves the old content or
// the new one.
//
//	state.json               the facts
//	inventory.baseline       the inventory that was reported last
//	inventory.baseline.next  one whose report may or may not be queued yet
//
// It is also the client's clock (see Now). What the facts mean is known to the
// packages that keep them here.
package localstate

import (
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"time"

	"mainstay/lib/fault"
	"mainstay/lib/filesys"
)

// maxState bounds state.json in bytes.
const maxState = 1 << 20

// signedTimeStep is how much newer a signed time must be to be written at once;
// smaller steps are written with the next fact.
const signedTimeStep = time.Hour

// Facts are what is remembered. Times are microseconds since 1970, UTC.
type Facts struct {
	// SignedTime is the newest time that the site has signed.
	SignedTime int64 `json:"signed_time,omitempty"`
	// Versions are the highest accepted versions of statements, by the name
	// that their keeper gives them.
	Versions map[string]int64 `json:"versions,omitempty"`
	// Schedule says when jobs run next, by name.
	Schedule map[string]Occurrence `json:"schedule,omitempty"`
	// ResyncHandled is the number of the last request for a full inventory
	// that has been answered, ResyncSeen of the last that was scheduled.
	ResyncHandled int64 `json:"resync_handled,omitempty"`
	ResyncSeen    int64 `json:"resync_seen,omitempty"`
	// IdentityChanged is when a site last made this machine take another
	// identity.
	IdentityChanged int64 `json:"identity_changed,omitempty"`
	// Site is the newest signed description of the site, as it came.
	Site json.RawMessage `json:"site,omitempty"`
	// PinnedRoot is the root certificate (DER) that was trusted at first
	// contact, because none was given.
	PinnedRoot []byte `json:"pinned_root,omitempty"`
	// Flags remember small yes-or-no facts, such as a report that was made.
	Flags map[string]bool `json:"flags,omitempty"`
}

// Occurrence is the next run of a job.
type Occurrence struct {
	// Base is its place in the job's rhythm, Due is Base with a random delay.
	Base int64 `json:"base"`
	Due  int64 `json:"due"`
}

// Config says where the facts are and what time it is.
type Config struct {
	// Dir is made if need be.
	Dir string
	// Clock is the machine's clock; nil means time.Now.
	Clock func() time.Time
	// Built is when this program was built; zero where that is not known.
	Built time.Time
}

// Store is an open folder of facts. Its methods may be called from any
// goroutine.
type Store struct {
	dir   string
	clock func() time.Time
	built time.Time

	mu      sync.Mutex // guards everything below
	facts   Facts
	damaged bool
}

// Open reads the facts. A damaged file is put aside and the client begins with
// none, which costs work and repeats but never loses a message; Damaged tells.
func Open(c Config) (*Store, error) {
	if err := filesys.MakeDir(c.Dir, 0o700); err != nil {
		return nil, err
	}
	s := &Store{dir: c.Dir, clock: c.Clock, built: c.Built}
	if s.clock == nil {
		s.clock = time.Now
	}
	data, err := filesys.ReadFile(s.path("state.json"), maxState)
	if errors.Is(err, os.ErrNotExist) {
		return s, nil
	}
	if err == nil {
		s.facts, err = decode(data)
	}
	if fault.Is(err, fault.Invalid) {
		s.damaged = true
		return s, os.Rename(s.path("state.json"), s.path("state.json.damaged"))
	}
	return s, err
}

func decode(data []byte) (Facts, error) {
	var f Facts
	if err := json.Unmarshal(data, &f); err != nil {
		return Facts{}, fault.Wrap(fault.Invalid, err, "state.json cannot be read")
	}
	return f, nil
}

func (s *Store) path(name string) string { return filepath.Join(s.dir, name) }

// Damaged tells whether Open found a file that it could not read.
func (s *Store) Damaged() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.damaged
}

// Facts returns a copy of the facts.
func (s *Store) Facts() Facts {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.facts
	f.Versions, f.Schedule, f.Flags = maps.Clone(f.Versions), maps.Clone(f.Schedule), maps.Clone(f.Flags)
	return f
}

// Update changes the facts and returns when the change is on disk. After an
// error nothing has changed.
func (s *Store) Update(change func(*Facts)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.facts
	f.Versions, f.Schedule, f.Flags = made(f.Versions), made(f.Schedule), made(f.Flags)
	change(&f)
	data, err := json.Marshal(f)
	if err != nil {
		return err
	}
	if err := filesys.WriteFile(s.path("state.json"), data, 0o600); err != nil {
		return err
	}
	s.facts = f
	return nil
}

func made[V any](m map[string]V) map[string]V {
	if m == nil {
		return map[string]V{}
	}
	return maps.Clone(m)
}

// Now is the client's judgement of the time: the latest of the machine's
// clock, the time of its build and the newest time that the site has signed.
// A machine whose clock was set back does not take old statements for new.
func (s *Store) Now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.clock()
	if now.Before(s.built) {
		now = s.built
	}
	if signed := time.UnixMicro(s.facts.SignedTime); now.Before(signed) {
		now = signed
	}
	return now
}

// SawSignedTime remembers a time from a statement that has been checked.
func (s *Store) SawSignedTime(micros int64) error {
	s.mu.Lock()
	step := micros - s.facts.SignedTime
	if step > 0 && step < signedTimeStep.Microseconds() {
		s.facts.SignedTime = micros
	}
	s.mu.Unlock()
	if step < signedTimeStep.Microseconds() {
		return nil
	}
	return s.Update(func(f *Facts) { f.SignedTime = max(f.SignedTime, micros) })
}
