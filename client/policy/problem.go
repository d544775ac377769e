package policy

import "time"

// ProblemKind says what was wrong.
type ProblemKind string

// The kinds of problems.
const (
	// Forged: a management point answered with something that the site did
	// not sign for this device.
	Forged ProblemKind = "forged"
	// Outdated: every management point that answers has older policy than
	// this client, or cannot show that its own is the newest.
	Outdated ProblemKind = "outdated"
	// Unusable: what the site signed cannot be understood.
	Unusable ProblemKind = "unusable"
	// UnknownKind: a policy is of a kind that this client does not know.
	UnknownKind ProblemKind = "unknown kind"
	// SettingsChanged: a setting was outside of what is sane.
	SettingsChanged ProblemKind = "settings changed"
	// Damaged: the policy on disk was damaged; it is fetched anew.
	Damaged ProblemKind = "damaged"
)

// Problem is something that an administrator should hear of, once.
type Problem struct {
	Kind ProblemKind
	// Subject is what it is about: problems of equal kind and subject are
	// one problem.
	Subject string
	// Text says what is wrong.
	Text string
}

// repeatAfter is how soon a problem that went away and came back is told again.
const repeatAfter = 24 * time.Hour

// problems tells each problem once while it lasts.
type problems struct {
	told    map[string]time.Time
	present map[string]bool
	waiting []Problem
}

func (p *problems) note(now time.Time, problem Problem) {
	key := string(problem.Kind) + "\n" + problem.Subject
	if p.told == nil {
		p.told, p.present = map[string]time.Time{}, map[string]bool{}
	}
	if p.present[key] {
		return
	}
	p.present[key] = true
	if at, ok := p.told[key]; ok && now.Before(at.Add(repeatAfter)) {
		return
	}
	// Whoever makes up subjects without end is not listened to any more.
	if len(p.told) >= 100 {
		return
	}
	p.told[key] = now
	p.waiting = append(p.waiting, problem)
}

// over forgets a problem that does not exist any more.
func (p *problems) over(kind ProblemKind, subject string) {
	delete(p.present, string(kind)+"\n"+subject)
}

func (p *problems) take() []Problem {
	waiting := p.waiting
	p.waiting = nil
	return waiting
}
