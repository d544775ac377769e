package apiv1

import (
	"context"
	"net/http"
	"time"

	"mainstay/lib/fault"
	"mainstay/site/access"
	"mainstay/site/sitedb"
)

// CookieName is the cookie of a browser's session. The prefix binds it to this
// host and to TLS.
const CookieName = "__Host-mainstay-session"

// SignIn is what somebody offers to be let in.
type SignIn struct {
	Name     string `json:"name,omitempty" maxLength:"200" doc:"name of the administrator, with password"`
	Password string `json:"password,omitempty" maxLength:"256"`
	Code     string `json:"code,omitempty" maxLength:"100" doc:"a one-time sign-in code, instead of name and password"`
	Kind     string `json:"kind,omitempty" enum:"browser,command" default:"command" doc:"browser: the session's secret is set as a cookie; command: it is in the answer"`
}

// SignedIn is an opened session.
type SignedIn struct {
	Session Session `json:"session"`
	Token   string  `json:"token,omitempty" doc:"the session's secret, to be sent as bearer token; only for kind command"`
}

// Session is a time in which an administrator is signed in.
type Session struct {
	ID            string    `json:"id"`
	Administrator string    `json:"administrator" doc:"name"`
	Kind          string    `json:"kind" enum:"browser,command"`
	Source        string    `json:"source" doc:"where it was used from last"`
	CreatedAt     time.Time `json:"created_at"`
	UsedAt        time.Time `json:"used_at" doc:"right to a minute"`
	ExpiresAt     time.Time `json:"expires_at" doc:"when it ends in any case; without use it ends after eight hours"`
	Current       bool      `json:"current" doc:"it is the one that asks"`
}

// Myself is who asks.
type Myself struct {
	ID          string     `json:"id,omitempty" doc:"absent for a local administrator without a record"`
	Name        string     `json:"name"`
	Source      string     `json:"source" doc:"where the request came from"`
	Session     string     `json:"session,omitempty" doc:"absent on the local socket"`
	ExpiresAt   *time.Time `json:"expires_at,omitempty" doc:"when the session ends in any case"`
	Roles       []string   `json:"roles" nullable:"false"`
	Permissions []string   `json:"permissions" nullable:"false"`
	SiteCode    string     `json:"site_code"`
}

type signInInput struct {
	Body SignIn
}

type signInOutput struct {
	SetCookie http.Cookie `header:"Set-Cookie" hidden:"true"`
	Body      SignedIn
}

type signOutOutput struct {
	SetCookie http.Cookie `header:"Set-Cookie" hidden:"true"`
}

// ByID is the input of an operation about one object.
type ByID struct {
	ID string `path:"id" maxLength:"100" doc:"identifier"`
}

func (b *ByID) object() string { return b.ID }

func registerSessions(a *API) {
	table := access.SessionTable()
	register(a, operation{
		method: http.MethodPost, path: "/session", id: "create-session", tag: "session", permission: permissionOpen,
		summary:     "Sign in",
		description: "With name and password, or with a one-time code. Every failure gets the same answer. Attempts are limited by source.",
	}, a.signIn)
	register(a, operation{
		method: http.MethodGet, path: "/session", id: "get-session", tag: "session", permission: permissionSignedIn,
		summary: "Show who is signed in and what they may do",
	}, a.myself)
	register(a, operation{
		method: http.MethodDelete, path: "/session", id: "delete-session", tag: "session", audited: "end", permission: permissionSignedIn,
		summary: "Sign out",
	}, a.signOut)
	register(a, operation{
		method: http.MethodGet, path: "/sessions", id: "list-sessions", tag: "session", permission: permissionSignedIn,
		summary: "List sessions", list: &table,
		description: "One's own, and those of others with the permission Session.Read.",
	}, a.listSessions)
	register(a, operation{
		method: http.MethodDelete, path: "/sessions/{id}", id: "end-session", tag: "session", permission: permissionSignedIn,
		summary:     "End a session",
		description: "One's own, or anybody's with the permission Session.Delete.",
	}, a.endSession)
}

func (a *API) signIn(ctx context.Context, caller access.Caller, in *signInInput) (*signInOutput, error) {
	body := in.Body
	if (body.Code == "") == (body.Name == "" && body.Password == "") {
		return nil, fault.InvalidField("body", "give either name and password, or a code")
	}
	if body.Kind == "" {
		body.Kind = access.KindCommand
	}
	secret, session, err := a.c.Door.SignIn(ctx, access.SignIn{
		Name: body.Name, Password: body.Password, Code: body.Code, Kind: body.Kind, Source: caller.Source,
	})
	if err != nil {
		if fault.Is(err, fault.Denied) {
			// Not 403: there is no session, and another try may have one.
			return nil, NewProblem(http.StatusUnauthorized, err.Error())
		}
		return nil, err
	}
	caller.Session = session.ID
	out := &signInOutput{Body: SignedIn{Session: sessionOf(caller)(session)}}
	if body.Kind == access.KindBrowser {
		out.SetCookie = sessionCookie(secret, int(access.SessionLifetime.Seconds()))
	} else {
		out.Body.Token = secret
	}
	return out, nil
}

func sessionCookie(secret string, maxAge int) http.Cookie {
	return http.Cookie{
		Name: CookieName, Value: secret, Path: "/", MaxAge: maxAge,
		Secure: true, HttpOnly: true, SameSite: http.SameSiteStrictMode,
	}
}

func (a *API) myself(ctx context.Context, caller access.Caller, _ *Empty) (*output[Myself], error) {
	me := Myself{
		ID: caller.ID, Name: caller.Name, Source: caller.Source, Session: caller.Session,
		Roles: list(caller.Roles), Permissions: []string{}, SiteCode: a.c.SiteCode,
	}
	for _, p := range caller.Permissions() {
		me.Permissions = append(me.Permissions, string(p))
	}
	if caller.Session != "" {
		session, err := read(ctx, a, func(tx *sitedb.Tx) (access.Session, error) { return access.OwnSession(ctx, tx, caller) })
		if err != nil {
			return nil, err
		}
		me.ExpiresAt = known(session.ExpiresAt)
	}
	return answer(me), nil
}

func (a *API) signOut(ctx context.Context, caller access.Caller, _ *Empty) (*signOutOutput, error) {
	if caller.Session == "" {
		return nil, fault.New(fault.Conflict, "there is no session on the local socket")
	}
	_, err := write(ctx, a, func(tx *sitedb.Tx) (struct{}, error) {
		return struct{}{}, access.EndSession(ctx, tx, caller, caller.Session, a.c.Now())
	})
	return &signOutOutput{SetCookie: sessionCookie("", -1)}, err
}

func (a *API) listSessions(ctx context.Context, caller access.Caller, in *ListInput) (*output[Page[Session]], error) {
	page, err := read(ctx, a, func(tx *sitedb.Tx) (page[access.Session], error) {
		return access.ListSessions(ctx, tx, caller, in.request(), a.c.Now())
	})
	return pageOf(page, sessionOf(caller)), err
}

func sessionOf(caller access.Caller) func(access.Session) Session {
	return func(s access.Session) Session {
		return Session{
			ID: s.ID, Administrator: s.Name, Kind: s.Kind, Source: s.Source,
			CreatedAt: at(s.CreatedAt), UsedAt: at(s.UsedAt), ExpiresAt: at(s.ExpiresAt), Current: s.ID == caller.Session,
		}
	}
}

func (a *API) endSession(ctx context.Context, caller access.Caller, in *ByID) (*Empty, error) {
	return write(ctx, a, func(tx *sitedb.Tx) (*Empty, error) {
		return nil, access.EndSession(ctx, tx, caller, in.ID, a.c.Now())
	})
}
