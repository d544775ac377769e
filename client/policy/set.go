package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"mainstay/client/transport"
	"mainstay/lib/fault"
	"mainstay/wire"
)

// Set is the policy of a machine. It is not changed once it is given out.
type Set struct {
	// Device is whom the set is for; empty for the built-in one.
	Device string
	// Version is that of the assignments; 0 for the built-in set.
	Version int64
	// FreshUntil is when the freshness statement ends; zero for none.
	FreshUntil time.Time
	// AcceptedAt is when this set was last accepted or confirmed as a whole.
	AcceptedAt time.Time
	// Settings are in force; SettingsHash is the hash of the body they came
	// in, empty for the built-in ones.
	Settings     wire.ClientSettings
	SettingsHash string
	// Resync is the newest request for full reports.
	Resync wire.Resync
	// Assignments is the whole list, unknown kinds included.
	Assignments []wire.Assignment
}

// Builtin is the set that holds before the first policy.
func Builtin() *Set { return &Set{Settings: Defaults()} }

// maxTotal bounds all bodies of a set together, in bytes.
const maxTotal = 64 << 20

// checkAssignments refuses lists that cannot be meant.
func checkAssignments(list []wire.Assignment) error {
	seen := map[string]bool{}
	total := int64(0)
	for _, a := range list {
		key := a.Kind + "\n" + a.ID
		switch {
		case a.Kind == "" || a.ID == "":
			return fault.New(fault.Denied, "a policy has no kind or no identifier")
		case seen[key]:
			return fault.New(fault.Denied, "policy %s %q stands in the list twice", a.Kind, a.ID)
		case len(a.Hash) != 64 || strings.Trim(a.Hash, "0123456789abcdef") != "":
			return fault.New(fault.Denied, "policy %s %q has no SHA-256", a.Kind, a.ID)
		case a.Size < 0 || a.Size > wire.MaxPolicyBodyBytes:
			return fault.New(fault.Denied, "policy %s %q has %d bytes, want at most %d", a.Kind, a.ID, a.Size, wire.MaxPolicyBodyBytes)
		}
		seen[key] = true
		total += a.Size
	}
	if total > maxTotal {
		return fault.New(fault.Denied, "policies have %d bytes together, want at most %d", total, maxTotal)
	}
	return nil
}

// known tells whether this client understands a kind of policy.
func known(kind string) bool { return wire.PolicyKinds()[kind] != nil }

// build makes a set of checked statements and bodies.
func build(assignments wire.PolicyAssignments, freshness wire.PolicyFreshness, bodies map[string][]byte) (*Set, []Problem, error) {
	set := &Set{
		Device: assignments.Device, Version: assignments.Version, FreshUntil: time.UnixMicro(freshness.Expires),
		Settings: Defaults(), Assignments: slices.Clone(assignments.Assignments),
	}
	var problems []Problem
	for _, a := range assignments.Assignments {
		if !known(a.Kind) {
			problems = append(problems, Problem{Kind: UnknownKind, Subject: a.Kind, Text: fmt.Sprintf("policy %q is of a kind that this client does not know", a.ID)})
			continue
		}
		body := wire.PolicyKinds()[a.Kind]()
		if err := transport.DecodeJSON(bodies[a.Hash], body); err != nil {
			return nil, nil, fault.Wrap(fault.Invalid, err, "policy %s %q cannot be read", a.Kind, a.ID)
		}
		switch body := body.(type) {
		case *wire.ClientSettings:
			settings, changes := sane(*body)
			for _, change := range changes {
				problems = append(problems, Problem{Kind: SettingsChanged, Subject: a.Hash + change, Text: change})
			}
			set.Settings, set.SettingsHash = settings, a.Hash
		case *wire.Resync:
			set.Resync.HardwareInventory = max(set.Resync.HardwareInventory, body.HardwareInventory)
			set.Resync.SpreadSeconds = min(max(set.Resync.SpreadSeconds, body.SpreadSeconds, 0), 31*24*60*60)
		}
	}
	return set, problems, nil
}
