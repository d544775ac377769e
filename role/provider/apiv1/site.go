package apiv1

import (
	"context"
	"net/http"
	"time"

	"mainstay/lib/mtls"
	"mainstay/site"
	"mainstay/site/access"
	"mainstay/site/device"
	"mainstay/site/inbox"
	"mainstay/site/sitedb"
)

// SiteStatus says how the site is.
type SiteStatus struct {
	SiteCode        string         `json:"site_code"`
	Name            string         `json:"name"`
	CreatedAt       time.Time      `json:"created_at"`
	RootFingerprint string         `json:"root_fingerprint" doc:"SHA-256 of the root certificate, hex"`
	Time            time.Time      `json:"time" doc:"the provider's clock"`
	State           string         `json:"state" enum:"ok,warning,critical" doc:"the worst of the findings"`
	Findings        []Finding      `json:"findings" nullable:"false" doc:"what needs somebody, the worst first"`
	Systems         []SiteSystem   `json:"systems" nullable:"false"`
	Components      []Component    `json:"components" nullable:"false"`
	Devices         DeviceCounts   `json:"devices"`
	Inbox           InboxStatus    `json:"inbox"`
	Database        DatabaseStatus `json:"database"`
}

// Finding is something that needs somebody.
type Finding struct {
	ID       string    `json:"id" doc:"stable name: component-failed"`
	Severity string    `json:"severity" enum:"warning,critical"`
	Subject  string    `json:"subject" doc:"what it is about"`
	Since    time.Time `json:"since"`
	Why      string    `json:"why"`
	Remedy   string    `json:"remedy" doc:"what to do"`
}

// SiteSystem is a machine that serves the site.
type SiteSystem struct {
	ID         string     `json:"id"`
	Name       string     `json:"name"`
	Address    string     `json:"address"`
	ClientPort int64      `json:"client_port"`
	AdminPort  int64      `json:"admin_port"`
	SeenAt     time.Time  `json:"seen_at"`
	Roles      []SiteRole `json:"roles" nullable:"false"`
}

// SiteRole is a role of a site system.
type SiteRole struct {
	Role       string    `json:"role"`
	State      string    `json:"state"`
	StateSince time.Time `json:"state_since"`
	Detail     string    `json:"detail,omitempty" doc:"why, when the state is not OK"`
}

// DeviceCounts says how many devices are in which state.
type DeviceCounts struct {
	Total                int64 `json:"total"`
	Active               int64 `json:"active" doc:"heard of within 48 hours"`
	Inactive             int64 `json:"inactive"`
	Never                int64 `json:"never" doc:"registered and never heard of since"`
	Blocked              int64 `json:"blocked"`
	Conflicts            int64 `json:"conflicts" doc:"share an identity with another machine"`
	PendingRegistrations int64 `json:"pending_registrations" doc:"machines that wait for an administrator"`
}

// InboxStatus says what waits to be processed.
type InboxStatus struct {
	Waiting     int64      `json:"waiting" doc:"uploads"`
	OldestAt    *time.Time `json:"oldest_at,omitempty" doc:"when the oldest of them arrived"`
	DeadLetters int64      `json:"dead_letters" doc:"messages that could not be processed and were not replayed"`
}

// DatabaseStatus says how the site database is.
type DatabaseStatus struct {
	Engine  string `json:"engine"`
	Version string `json:"version"`
	Schema  int64  `json:"schema" doc:"number of the newest migration"`
	Size    int64  `json:"size" doc:"bytes"`
	Log     int64  `json:"log" doc:"bytes of the write-ahead log"`
	Free    int64  `json:"free" doc:"bytes free on its file system"`
}

func registerSite(a *API) {
	register(a, operation{
		method: http.MethodGet, path: "/site", id: "get-site", tag: "site", permission: access.SiteRead,
		summary: "Show how the site is",
	}, a.getSite)
}

func (a *API) getSite(ctx context.Context, caller access.Caller, _ *Empty) (*output[SiteStatus], error) {
	s, err := site.Load(ctx, a.c.DB)
	if err != nil {
		return nil, err
	}
	facts, err := a.c.DB.Facts(ctx)
	if err != nil {
		return nil, err
	}
	body, err := read(ctx, a, func(tx *sitedb.Tx) (SiteStatus, error) {
		return a.siteStatus(ctx, tx, caller.Scope(access.SiteRead))
	})
	if err != nil {
		return nil, err
	}
	body.SiteCode, body.Name, body.CreatedAt, body.RootFingerprint = s.Code, s.Name, at(s.CreatedAt), mtls.Fingerprint(s.Root)
	body.Database = DatabaseStatus(facts)
	body.Findings = findings(body)
	body.State = stateOf(body.Findings)
	return answer(body), nil
}

// siteStatus reads everything that is in tables, at one moment.
func (a *API) siteStatus(ctx context.Context, tx *sitedb.Tx, scope access.Scope) (SiteStatus, error) {
	body := SiteStatus{Time: a.c.Now().UTC()}
	var err error
	if body.Systems, err = siteSystems(ctx, tx); err != nil {
		return body, err
	}
	if body.Components, err = components(ctx, tx, scope); err != nil {
		return body, err
	}
	counts, pending, err := device.Count(ctx, tx, scope, a.c.Now())
	if err != nil {
		return body, err
	}
	body.Devices = DeviceCounts{
		Total: counts.Total, Active: counts.Active, Inactive: counts.Inactive, Never: counts.Never,
		Blocked: counts.Blocked, Conflicts: counts.Conflicts, PendingRegistrations: pending,
	}
	waiting, err := inbox.ReadStatistics(ctx, tx)
	body.Inbox = InboxStatus{Waiting: waiting.Waiting, OldestAt: maybeAt(waiting.OldestAt), DeadLetters: waiting.DeadLetters}
	return body, err
}

func siteSystems(ctx context.Context, tx *sitedb.Tx) ([]SiteSystem, error) {
	systems, err := site.Systems(ctx, tx)
	if err != nil {
		return nil, err
	}
	roles, err := site.Roles(ctx, tx)
	if err != nil {
		return nil, err
	}
	out := []SiteSystem{}
	for _, s := range systems {
		system := SiteSystem{
			ID: s.ID, Name: s.Name, Address: s.Address, ClientPort: s.ClientPort, AdminPort: s.AdminPort, SeenAt: at(s.SeenAt), Roles: []SiteRole{},
		}
		for _, r := range roles {
			if r.System == s.ID {
				system.Roles = append(system.Roles, SiteRole{Role: r.Role, State: r.State, StateSince: at(r.StateSince), Detail: r.Detail})
			}
		}
		out = append(out, system)
	}
	return out, nil
}
