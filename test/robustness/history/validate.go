package history

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
)

// Kinds of violations.
const (
	// Lost: a message that was promised to arrive has not.
	Lost = "lost"
	// Doubled: a message is in the tables more than once.
	Doubled = "doubled"
	// Mixed: a message stands at a device that its client was not, or two
	// clients are one device.
	Mixed = "mixed"
	// Invented: a message is in the tables that nobody offered, or that was
	// refused.
	Invented = "invented"
	// IdentityLost: a client does not know any more who it is.
	IdentityLost = "identity lost"
	// PolicyLost: a client has older policy than before, or none.
	PolicyLost = "policy lost"
	// PolicyMixed: what a client obeys was never made so.
	PolicyMixed = "policy mixed"
)

// Violation is a promise that was broken.
type Violation struct {
	Kind   string
	Stream string
	Number int64
	Text   string
}

// String is one line for people.
func (v Violation) String() string {
	return fmt.Sprintf("%s: %s %d: %s", v.Kind, v.Stream, v.Number, v.Text)
}

// Summary counts what was judged.
type Summary struct {
	Streams, Offered, Accepted, Acknowledged, Found int
	// Excused are accepted messages that went down with the disk they were on.
	Excused int
}

// String is one line for people.
func (s Summary) String() string {
	return fmt.Sprintf("%d streams: %d messages offered, %d accepted, %d acknowledged, %d found, %d gone with their disk",
		s.Streams, s.Offered, s.Accepted, s.Acknowledged, s.Found, s.Excused)
}

// Validate judges a run that came to rest: events in order of time, and all
// numbered messages in the tables of the site.
func Validate(events []Event, found []Found) (Summary, []Violation) {
	v := &validator{streams: map[string]*stream{}, copies: map[string]snapshot{}, settings: map[string]Policy{}}
	for _, e := range events {
		v.take(e)
	}
	for _, f := range found {
		v.find(f)
	}
	v.judge()
	slices.SortStableFunc(v.violations, func(a, b Violation) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Stream, b.Stream), cmp.Compare(a.Number, b.Number))
	})
	return v.summary, v.violations
}

type validator struct {
	streams map[string]*stream
	copies  map[string]snapshot
	// settings are what each version of a device's policy says.
	settings   map[string]Policy
	summary    Summary
	violations []Violation
}

// stream is a client.
type stream struct {
	name     string
	messages map[int64]*message
	// devices are the identities that it had, in order.
	devices []string
	// registered: the client on this disk has said who it is.
	registered string
	policy     int64
}

// message is a numbered message of a stream.
type message struct {
	id                              string
	accepted, acknowledged, refused bool
	// kept: it is on the disk that the stream works with.
	kept bool
	// since is the place in devices of the identity at which it was offered.
	since int
	found []string
}

// snapshot is what a copy of a disk holds.
type snapshot struct {
	stream     string
	accepted   map[int64]bool
	registered string
	policy     int64
}

func (v *validator) add(kind, stream string, number int64, format string, args ...any) {
	v.violations = append(v.violations, Violation{kind, stream, number, fmt.Sprintf(format, args...)})
}

func (v *validator) stream(name string) *stream {
	if v.streams[name] == nil {
		v.streams[name] = &stream{name: name, messages: map[int64]*message{}}
	}
	return v.streams[name]
}

func (v *validator) take(e Event) {
	if e.Stream == "" {
		return
	}
	s := v.stream(e.Stream)
	switch e.What {
	case Offered:
		if s.messages[e.Number] != nil {
			v.add(Invented, s.name, e.Number, "was offered twice: the traffic is wrong")
		}
		s.messages[e.Number] = &message{id: e.ID, since: max(len(s.devices)-1, 0)}
	case Accepted, Refused, Acknowledged:
		v.takeMessage(s, e)
	case Identified:
		v.identified(s, e.Device)
	case HasPolicy:
		v.hasPolicy(s, e)
	case Copying:
		c := snapshot{stream: s.name, accepted: map[int64]bool{}, registered: s.registered, policy: s.policy}
		for number, m := range s.messages {
			c.accepted[number] = m.accepted && m.kept
		}
		v.copies[e.Copy] = c
	case Disk, Foreign:
		v.newDisk(s, e)
	}
}

func (v *validator) takeMessage(s *stream, e Event) {
	m := s.messages[e.Number]
	if m == nil {
		v.add(Invented, s.name, e.Number, "was %s and never offered", e.What)
		return
	}
	switch e.What {
	case Accepted:
		m.accepted, m.kept = true, true
	case Refused:
		m.refused = true
	case Acknowledged:
		m.acknowledged = true
	}
}

// newDisk lets a stream go on with another disk. What was accepted and is not
// on it is excused, unless it was acknowledged.
func (v *validator) newDisk(s *stream, e Event) {
	c := v.copies[e.Copy]
	for number, m := range s.messages {
		m.kept = m.kept && c.stream == s.name && c.accepted[number]
	}
	s.registered, s.policy = c.registered, c.policy
	if e.What == Foreign {
		// The client finds that out and becomes somebody else.
		s.registered, s.policy = "", 0
	}
}

func (v *validator) identified(s *stream, device string) {
	switch {
	case device == "" && s.registered != "":
		v.add(IdentityLost, s.name, 0, "was device %s and does not know it any more", s.registered)
	case device == "" || s.registered == device:
	default:
		// Another device begins with no policy.
		s.policy = 0
	}
	s.registered = device
	if device != "" && (len(s.devices) == 0 || s.devices[len(s.devices)-1] != device) {
		s.devices = append(s.devices, device)
	}
}

func (v *validator) hasPolicy(s *stream, e Event) {
	p := *e.Policy
	if p.Version < s.policy {
		v.add(PolicyLost, s.name, p.Version, "had version %d before", s.policy)
	}
	s.policy = max(s.policy, p.Version)
	if p.Version == 0 {
		return
	}
	if p.Heartbeat-p.Polling != SettingsApart {
		v.add(PolicyMixed, s.name, p.Version, "polls every %d s and beats every %d s, which nobody wanted together", p.Polling, p.Heartbeat)
	}
	key := fmt.Sprintf("%s %d", e.Device, p.Version)
	if before, ok := v.settings[key]; ok && before != p {
		v.add(PolicyMixed, s.name, p.Version, "says %+v, and said %+v before", p, before)
	}
	v.settings[key] = p
}

func (v *validator) find(f Found) {
	v.summary.Found++
	s := v.streams[f.Stream]
	if s == nil || s.messages[f.Number] == nil {
		v.add(Invented, f.Stream, f.Number, "nobody offered it; it stands at device %s", f.Device)
		return
	}
	m := s.messages[f.Number]
	if m.id != f.ID {
		v.add(Invented, f.Stream, f.Number, "has the identifier %s, offered was %s", f.ID, m.id)
	}
	m.found = append(m.found, f.Device)
}

func (v *validator) judge() {
	v.summary.Streams = len(v.streams)
	owners := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(v.streams)) {
		s := v.streams[name]
		for _, number := range slices.Sorted(maps.Keys(s.messages)) {
			v.judgeMessage(s, number, s.messages[number])
		}
		if len(s.devices) == 0 {
			continue
		}
		last := s.devices[len(s.devices)-1]
		if other := owners[last]; other != "" {
			v.add(Mixed, name, 0, "is device %s at the end, and so is %s", last, other)
		}
		owners[last] = name
	}
}

func (v *validator) judgeMessage(s *stream, number int64, m *message) {
	v.summary.Offered++
	if m.accepted {
		v.summary.Accepted++
	}
	if m.acknowledged {
		v.summary.Acknowledged++
	}
	switch {
	case len(m.found) == 0 && m.acknowledged:
		v.add(Lost, s.name, number, "was acknowledged and is not in the tables")
	case len(m.found) == 0 && m.accepted && m.kept:
		v.add(Lost, s.name, number, "was accepted by the outbox and has not arrived")
	case len(m.found) == 0 && m.accepted:
		v.summary.Excused++
	case len(m.found) > 1:
		v.add(Doubled, s.name, number, "is in the tables %d times, at devices %v", len(m.found), m.found)
	case len(m.found) > 0 && m.refused:
		v.add(Invented, s.name, number, "was refused by the outbox and has arrived")
	}
	for _, device := range m.found {
		if !slices.Contains(s.devices[min(m.since, len(s.devices)):], device) {
			v.add(Mixed, s.name, number, "stands at device %s; its client was %v since it was made", device, s.devices[min(m.since, len(s.devices)):])
		}
	}
}
