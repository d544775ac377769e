package apiv1

import (
	"context"
	"net/http"
	"time"

	"mainstay/lib/fault"
	"mainstay/site/access"
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
	return nil, fault.New(fault.Unavailable, "not yet")
}
