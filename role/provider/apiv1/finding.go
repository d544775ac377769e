package apiv1

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"mainstay/site"
)

// Severities of findings.
const (
	severityWarning  = "warning"
	severityCritical = "critical"
)

const (
	// inboxLate is how old the oldest upload in the inbox may be.
	inboxLate = time.Minute
	// freeLow and freeCritical are bytes free beside the database.
	freeLow      = 2 << 30
	freeCritical = 256 << 20
	// systemSilent is how long a site system may not have been seen.
	systemSilent = 2 * time.Minute
)

// findings judges a status: what needs somebody, the worst and then the oldest
// first.
func findings(s SiteStatus) []Finding {
	found := []Finding{}
	add := func(severity, id, subject string, since time.Time, why, remedy string) {
		found = append(found, Finding{ID: id, Severity: severity, Subject: subject, Since: since, Why: why, Remedy: remedy})
	}
	for _, system := range s.Systems {
		judgeSystem(s, system, add)
	}
	for _, c := range s.Components {
		if c.State != site.StateOK {
			add(severityCritical, "component-failed", c.Name, c.StateSince, c.Detail,
				"It is tried again by itself. Remove the cause named here; the log of the site system says more.")
		}
	}
	if oldest := s.Inbox.OldestAt; oldest != nil && s.Time.Sub(*oldest) > inboxLate {
		add(severityWarning, "inbox-late", "inbox", *oldest, fmt.Sprintf("%d uploads wait to be processed", s.Inbox.Waiting),
			"Nothing is lost. See whether a site server is active and its component 'dispatcher' works: mainstay component list")
	}
	if n := s.Inbox.DeadLetters; n > 0 {
		add(severityWarning, "dead-letters", "inbox", s.Time, fmt.Sprintf("%d messages could not be processed", n),
			"See why with 'mainstay dead-letter list', and process them once more with 'mainstay dead-letter replay ID'.")
	}
	if n := s.Devices.PendingRegistrations; n > 0 {
		add(severityWarning, "registrations-pending", "registration", s.Time, fmt.Sprintf("%d machines wait to be approved", n),
			"See them with 'mainstay registration list' and approve or deny them.")
	}
	if n := s.Devices.Conflicts; n > 0 {
		add(severityWarning, "identity-conflict", "device", s.Time, fmt.Sprintf("%d devices share an identity with another machine", n),
			"Find them with 'mainstay device list --filter conflict!=\"\"'; cloned machines register as devices of their own.")
	}
	judgeSpace(s, add)
	slices.SortStableFunc(found, func(a, b Finding) int {
		if a.Severity != b.Severity {
			return strings.Compare(a.Severity, b.Severity) // critical comes before warning
		}
		return a.Since.Compare(b.Since)
	})
	return found
}

type addFinding func(severity, id, subject string, since time.Time, why, remedy string)

func judgeSystem(s SiteStatus, system SiteSystem, add addFinding) {
	seen := system.SeenAt
	for _, c := range s.Components { // each tells of its passes every few seconds
		if c.System == system.ID && c.PassAt != nil && c.PassAt.After(seen) {
			seen = *c.PassAt
		}
	}
	if s.Time.Sub(seen) > systemSilent {
		add(severityCritical, "site-system-silent", system.Name, seen, "the site system does not report",
			"See whether the machine runs and 'mainstay server' on it: systemctl status mainstay")
		return // its roles say what they said last
	}
	for _, role := range system.Roles {
		if role.State != site.StateOK {
			add(severityCritical, "role-failed", role.Role+" on "+system.Name, role.StateSince, "the role is "+role.State+": "+role.Detail,
				"Remove the cause named here; the log of the site system says more.")
		}
	}
}

func judgeSpace(s SiteStatus, add addFinding) {
	severity := severityWarning
	switch {
	case s.Database.Free >= freeLow:
		return
	case s.Database.Free < freeCritical:
		severity = severityCritical
	}
	add(severity, "database-space", "database", s.Time, fmt.Sprintf("%d MiB are free beside the site database", s.Database.Free>>20),
		"Make room on the file system of the database, before it cannot grow.")
}

// stateOf is the worst of the findings.
func stateOf(found []Finding) string {
	state := "ok"
	for _, f := range found {
		if f.Severity == severityCritical {
			return severityCritical
		}
		state = f.Severity
	}
	return state
}
