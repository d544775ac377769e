package apiv1

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestFindings(t *testing.T) {
	t.Parallel()
	ago := func(d time.Duration) time.Time { return start.Add(-d) }
	maybe := func(t time.Time) *time.Time { return &t }
	well := func() SiteStatus {
		return SiteStatus{
			Time: start, Database: DatabaseStatus{Free: 10 << 30},
			Systems:    []SiteSystem{{ID: "1", Name: "mp1", SeenAt: ago(time.Hour), Roles: []SiteRole{{Role: "provider", State: "OK"}}}},
			Components: []Component{{Name: "dispatcher", System: "1", State: "OK", PassAt: maybe(ago(10 * time.Second))}},
		}
	}
	for _, test := range []struct {
		name   string
		change func(*SiteStatus)
		want   string
		state  string
	}{
		{"all is well", func(*SiteStatus) {}, "", "ok"},
		{"a component fails", func(s *SiteStatus) { s.Components[0].State = "Failed" }, "component-failed", "critical"},
		{"a role has stopped", func(s *SiteStatus) { s.Systems[0].Roles[0].State = "Stopped" }, "role-failed", "critical"},
		{"a site system is silent", func(s *SiteStatus) { s.Components[0].PassAt = maybe(ago(time.Hour)) }, "site-system-silent", "critical"},
		{"the inbox is late", func(s *SiteStatus) { s.Inbox = InboxStatus{Waiting: 5, OldestAt: maybe(ago(2 * time.Minute))} }, "inbox-late", "warning"},
		{"the inbox is busy", func(s *SiteStatus) { s.Inbox = InboxStatus{Waiting: 5, OldestAt: maybe(ago(time.Second))} }, "", "ok"},
		{"dead letters", func(s *SiteStatus) { s.Inbox.DeadLetters = 1 }, "dead-letters", "warning"},
		{"machines wait", func(s *SiteStatus) { s.Devices.PendingRegistrations = 1 }, "registrations-pending", "warning"},
		{"copies", func(s *SiteStatus) { s.Devices.Conflicts = 1 }, "identity-conflict", "warning"},
		{"little room", func(s *SiteStatus) { s.Database.Free = 1 << 30 }, "database-space", "warning"},
		{"no room", func(s *SiteStatus) { s.Database.Free = 1 << 20 }, "database-space", "critical"},
		{"the worst comes first", func(s *SiteStatus) {
			s.Inbox.DeadLetters, s.Components[0].State = 1, "Failed"
		}, "component-failed dead-letters", "critical"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := well()
			test.change(&s)
			ids := []string{}
			found := findings(s)
			for _, f := range found {
				ids = append(ids, f.ID)
				if _, err := os.Stat(filepath.Join("..", "..", "..", "docs", "runbook", f.ID+".md")); err != nil {
					t.Errorf("no page says what to do: %v", err)
				}
				if f.Why == "" && f.ID != "component-failed" || f.Remedy == "" || f.Subject == "" || f.Since.IsZero() && !strings.HasSuffix(f.ID, "-failed") {
					t.Errorf("%+v does not say everything", f)
				}
			}
			if got := strings.Join(ids, " "); got != test.want || stateOf(found) != test.state {
				t.Errorf("found %q, state %s, want %q, %s", got, stateOf(found), test.want, test.state)
			}
		})
	}
}
