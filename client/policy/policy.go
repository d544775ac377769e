package policy

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"sync"
	"time"

	"mainstay/client/transport"
	"mainstay/lib/fault"
	"mainstay/lib/signed"
	"mainstay/wire"
)

// Source is where policy comes from: the management points.
type Source interface {
	// Policy asks one of them.
	Policy(ctx context.Context, tag string) (transport.PolicyReply, error)
	// PolicyBody gives a body with this hash and size, whoever has it.
	PolicyBody(ctx context.Context, hash string, size int64) ([]byte, error)
	// Distrust makes the next question go to another.
	Distrust(managementPoint string)
}

// Config is what a keeper needs.
type Config struct {
	// Dir is a folder for policy alone; it is made if need be.
	Dir      string
	SiteCode string
	// Now is the client's best judgement of the time.
	Now func() time.Time
	// SawSignedTime hears of times that the site has signed; nil ignores them.
	SawSignedTime func(micros int64) error
	// Floor remembers the highest accepted version of a kind of statement for
	// a device, beside the set itself; nil relies on the set alone.
	Floor func(kind, device string) int64
	// SetFloor is told each higher one.
	SetFloor func(kind, device string, version int64) error
}

// Keeper has the policy of a machine. Its methods may be called from any
// goroutine; one polls at a time.
type Keeper struct {
	config Config
	store  store
	poll   sync.Mutex // held while polling

	mu       sync.Mutex // guards everything below
	device   string
	root     *x509.Certificate
	set      *Set
	stored   current // what the set was made of; zero for the built-in set
	problems problems
}

// Open opens the folder. The built-in set holds until Load.
func Open(c Config) (*Keeper, error) {
	s, err := openStore(c.Dir)
	if err != nil {
		return nil, err
	}
	return &Keeper{config: c, store: s, set: Builtin()}, nil
}

// Load tells the keeper who the machine is and obeys what is stored, needing
// nobody. A set that was accepted for an earlier identity of the machine is
// obeyed until there is one for this. A damaged set is a problem and not an
// error: the built-in set holds until the next poll.
func (k *Keeper) Load(device string, root *x509.Certificate) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.device, k.root = device, root
	stored, ok, err := k.store.load()
	if err == nil && ok {
		err = k.loadLocked(stored)
	}
	switch {
	case fault.Is(err, fault.Invalid), fault.Is(err, fault.Denied), fault.Is(err, fault.Stale), fault.Is(err, fault.NotFound):
		k.problems.note(k.config.Now(), Problem{Kind: Damaged, Text: err.Error()})
		return nil
	}
	return err
}

func (k *Keeper) loadLocked(c current) error {
	// What was accepted once is obeyed for ever, so the time plays no part.
	assignments, freshness, err := k.openLocked(c.Assignments, c.Freshness, c.Device, time.UnixMicro(0), 0, 0)
	if err != nil {
		return err
	}
	bodies := map[string][]byte{}
	for _, a := range assignments.Assignments {
		if !known(a.Kind) {
			continue
		}
		if bodies[a.Hash], err = k.store.body(a.Hash); err != nil {
			return err
		}
	}
	set, _, err := build(assignments, freshness, bodies)
	if err != nil {
		return err
	}
	set.AcceptedAt = time.UnixMicro(c.AcceptedAt)
	k.set, k.stored = set, c
	return nil
}

// Clear forgets the set, for a machine that must not go on with the policy of
// the one it is a copy of.
func (k *Keeper) Clear() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.set, k.stored = Builtin(), current{}
	return k.store.clear()
}

// Current is the set to obey.
func (k *Keeper) Current() *Set {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.set
}

// TakeProblems tells what went wrong since the last call; each problem once.
func (k *Keeper) TakeProblems() []Problem {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.problems.take()
}

// mostAnswers bounds how many answers one poll looks at.
const mostAnswers = 16

// Poll asks until a management point gives an answer that can be accepted, or
// none is left. It tells whether the set has changed. The error is that of the
// network where there was one, else why no answer was acceptable; the set in
// force stays.
func (k *Keeper) Poll(ctx context.Context, source Source) (changed bool, err error) {
	k.poll.Lock()
	defer k.poll.Unlock()
	var refused error
	outdated, forged := false, false
	for range mostAnswers {
		reply, err := source.Policy(ctx, k.tag())
		if err != nil {
			if f := transport.AdviceOf(err); refused != nil && f != nil && f.Advice == transport.TryAnother {
				break // all others were asked before
			}
			return false, err
		}
		changed, err = k.consider(ctx, source, reply)
		switch {
		case err == nil:
			k.settled(reply.ManagementPoint)
			return changed, nil
		case fault.Is(err, fault.Stale):
			outdated = true
		case fault.Is(err, fault.Denied):
			forged = true
			k.note(Problem{Kind: Forged, Subject: reply.ManagementPoint, Text: "management point " + reply.ManagementPoint + ": " + err.Error()})
		case fault.Is(err, fault.Invalid):
			k.note(Problem{Kind: Unusable, Text: err.Error()})
			return false, err
		default:
			return false, err
		}
		refused = err
		source.Distrust(reply.ManagementPoint)
	}
	if outdated && !forged {
		k.note(Problem{Kind: Outdated, Text: refused.Error()})
	}
	return false, refused
}

func (k *Keeper) tag() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.stored.Device != k.device {
		return ""
	}
	return k.stored.Tag
}

func (k *Keeper) note(p Problem) {
	now := k.config.Now()
	k.mu.Lock()
	defer k.mu.Unlock()
	k.problems.note(now, p)
}

// settled ends the problems that a good answer disproves.
func (k *Keeper) settled(managementPoint string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.problems.over(Forged, managementPoint)
	k.problems.over(Outdated, "")
	k.problems.over(Unusable, "")
	k.problems.over(Damaged, "")
}

// consider accepts an answer, or says why not: Stale when another management
// point may have a newer one, Denied when the site did not make it so.
func (k *Keeper) consider(ctx context.Context, source Source, reply transport.PolicyReply) (bool, error) {
	now := k.config.Now()
	k.mu.Lock()
	device, stored, set := k.device, k.stored, k.set
	k.mu.Unlock()
	if reply.Unchanged {
		if !now.Before(set.FreshUntil) {
			return false, fault.New(fault.Stale, "policy is said to be unchanged, and what proves it to be the newest ended at %s", set.FreshUntil.UTC().Format(time.RFC3339))
		}
		k.mu.Lock()
		defer k.mu.Unlock()
		confirmed := *k.set
		confirmed.AcceptedAt = now
		k.set = &confirmed
		return false, nil
	}
	assignments, freshness, err := k.open(reply.Answer, device, now)
	if err != nil {
		return false, err
	}
	next := current{
		Format: currentFormat, Device: device, AcceptedAt: now.UnixMicro(), Tag: reply.Tag,
		Assignments: reply.Answer.Assignments, Freshness: reply.Answer.Freshness,
	}
	bodies, err := k.bodies(ctx, source, assignments.Assignments)
	if err != nil {
		return false, err
	}
	fresh, problems, err := build(assignments, freshness, bodies)
	if err != nil {
		return false, err
	}
	fresh.AcceptedAt = time.UnixMicro(next.AcceptedAt)
	if err := k.accept(next, fresh, freshness, problems); err != nil {
		return false, err
	}
	changed := stored.Device != device || !bytes.Equal(stored.Assignments.Payload, next.Assignments.Payload)
	return changed, nil
}

func (k *Keeper) open(answer wire.PolicyAnswer, device string, now time.Time) (wire.PolicyAssignments, wire.PolicyFreshness, error) {
	atLeast := [2]int64{}
	for i, kind := range []string{wire.KindPolicyAssignments, wire.KindPolicyFreshness} {
		if k.config.Floor != nil {
			atLeast[i] = k.config.Floor(kind, device)
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.stored.Device == device {
		// The stored statements are their own memory: no crash can part them.
		assignments, freshness, err := k.openLocked(k.stored.Assignments, k.stored.Freshness, device, time.UnixMicro(0), 0, 0)
		if err == nil {
			atLeast[0], atLeast[1] = max(atLeast[0], assignments.Version), max(atLeast[1], freshness.Version)
		}
	}
	assignments, freshness, err := k.openLocked(answer.Assignments, answer.Freshness, device, now, atLeast[0], atLeast[1])
	if err != nil {
		return assignments, freshness, err
	}
	if freshness.PolicyVersion > assignments.Version {
		return assignments, freshness, fault.New(fault.Stale, "policy has version %d, and the site has made %d since", assignments.Version, freshness.PolicyVersion)
	}
	return assignments, freshness, nil
}

func (k *Keeper) openLocked(a, f wire.Signed, device string, now time.Time, leastA, leastF int64) (assignments wire.PolicyAssignments, freshness wire.PolicyFreshness, err error) {
	want := signed.Expect{Kind: wire.KindPolicyAssignments, SiteCode: k.config.SiteCode, Device: device, Root: k.root, Now: now, AtLeast: leastA}
	if err = signed.Open(a, want, &assignments); err != nil {
		return assignments, freshness, err
	}
	want.Kind, want.AtLeast = wire.KindPolicyFreshness, leastF
	if err = signed.Open(f, want, &freshness); err != nil {
		return assignments, freshness, err
	}
	return assignments, freshness, checkAssignments(assignments.Assignments)
}

// bodies gives the bodies of all known kinds; those that are new are fetched
// and stored.
func (k *Keeper) bodies(ctx context.Context, source Source, list []wire.Assignment) (map[string][]byte, error) {
	bodies := map[string][]byte{}
	for _, a := range list {
		if !known(a.Kind) || bodies[a.Hash] != nil {
			continue
		}
		body, err := k.store.body(a.Hash)
		if fault.Is(err, fault.NotFound) || fault.Is(err, fault.Invalid) {
			if body, err = source.PolicyBody(ctx, a.Hash, a.Size); err == nil {
				err = k.store.saveBody(a.Hash, body)
			}
		}
		if err != nil {
			return nil, err
		}
		bodies[a.Hash] = body
	}
	return bodies, nil
}

// accept stores a set and then obeys it.
func (k *Keeper) accept(c current, set *Set, freshness wire.PolicyFreshness, problems []Problem) error {
	if err := k.store.save(c); err != nil {
		return err
	}
	k.mu.Lock()
	k.set, k.stored = set, c
	for _, p := range problems {
		k.problems.note(set.AcceptedAt, p)
	}
	k.mu.Unlock()
	k.store.clean(set.Assignments)

	var errs []error
	if k.config.SetFloor != nil {
		errs = append(errs, k.config.SetFloor(wire.KindPolicyAssignments, c.Device, set.Version))
		errs = append(errs, k.config.SetFloor(wire.KindPolicyFreshness, c.Device, freshness.Version))
	}
	if k.config.SawSignedTime != nil {
		errs = append(errs, k.config.SawSignedTime(freshness.Issued))
	}
	return errors.Join(errs...)
}
