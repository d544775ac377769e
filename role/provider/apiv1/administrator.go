package apiv1

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"mainstay/lib/fault"
	"mainstay/site"
	"mainstay/site/access"
	"mainstay/site/sitedb"
)

// Administrator is somebody who may administer the site.
type Administrator struct {
	ID          string     `json:"id"`
	Name        string     `json:"name"`
	Roles       []string   `json:"roles" nullable:"false" doc:"identifiers of roles"`
	HasPassword bool       `json:"has_password"`
	Local       bool       `json:"local" doc:"identified by the operating system of a site system"`
	Disabled    bool       `json:"disabled"`
	DisabledAt  *time.Time `json:"disabled_at,omitempty"`
	CreatedBy   string     `json:"created_by"`
	CreatedAt   time.Time  `json:"created_at"`
}

// NewAdministrator is what an administrator is made from.
type NewAdministrator struct {
	Name     string   `json:"name" minLength:"1" maxLength:"64" doc:"1 to 64 of a-z, 0-9 and . _ - @" example:"alice"`
	Password string   `json:"password,omitempty" maxLength:"256" doc:"at least 12 characters; without one the administrator signs in by a code and sets it then"`
	Roles    []string `json:"roles" minItems:"1" maxItems:"20" nullable:"false" doc:"identifiers of roles" example:"[\"read-only-analyst\"]"`
}

// AdministratorRoles is the whole list of an administrator's roles.
type AdministratorRoles struct {
	Roles []string `json:"roles" minItems:"1" maxItems:"20" nullable:"false"`
}

// NewPassword changes a password.
type NewPassword struct {
	Password string `json:"password" maxLength:"256" doc:"at least 12 characters"`
	Current  string `json:"current,omitempty" maxLength:"256" doc:"the present password, for one's own where there is one"`
}

// SignInCode signs in once.
type SignInCode struct {
	Administrator string    `json:"administrator" doc:"name"`
	Code          string    `json:"code" doc:"shown once and kept nowhere"`
	ExpiresAt     time.Time `json:"expires_at"`
	URL           string    `json:"url,omitempty" doc:"page of the console that signs in with the code; absent while the site has no provider that is known by an address"`
}

type newAdministratorInput struct{ Body NewAdministrator }

func (n *newAdministratorInput) object() string { return n.Body.Name }

type administratorRolesInput struct {
	ByID
	Body AdministratorRoles
}

type newPasswordInput struct {
	ByID
	Body NewPassword
}

func registerAdministrators(a *API) {
	table := access.AdministratorTable()
	const tag, path = "administrator", "/administrators/{id}"
	register(a, operation{
		method: http.MethodGet, path: "/administrators", id: "list-administrators", tag: tag, permission: access.AdministratorRead,
		summary: "List administrators", list: &table,
	}, a.listAdministrators)
	register(a, operation{
		method: http.MethodPost, path: "/administrators", id: "create-administrator", tag: tag, permission: access.AdministratorCreate,
		summary: "Create an administrator", status: http.StatusCreated,
		description: "Only a Full administrator can make another.",
	}, a.createAdministrator)
	register(a, operation{
		method: http.MethodGet, path: path, id: "get-administrator", tag: tag, permission: access.AdministratorRead,
		summary: "Show an administrator",
	}, a.getAdministrator)
	register(a, operation{
		method: http.MethodPost, path: path + "/disable", id: "disable-administrator", tag: tag, permission: access.AdministratorModify,
		summary: "Shut an administrator out at once",
	}, a.setDisabled(true))
	register(a, operation{
		method: http.MethodPost, path: path + "/enable", id: "enable-administrator", tag: tag, permission: access.AdministratorModify,
		summary: "Let an administrator in again",
	}, a.setDisabled(false))
	register(a, operation{
		method: http.MethodPut, path: path + "/roles", id: "set-administrator-roles", tag: tag, audited: "set-roles", permission: access.AdministratorModify,
		summary: "Give an administrator other roles",
	}, a.setRoles)
	register(a, operation{
		method: http.MethodPut, path: path + "/password", id: "set-administrator-password", tag: tag, audited: "set-password", permission: permissionSignedIn,
		summary:     "Set a password",
		description: "One's own (id self), or that of others with the permission Administrator.Modify. The administrator's other sessions end.",
	}, a.setPassword)
	register(a, operation{
		method: http.MethodPost, path: path + "/sign-in-code", id: "create-sign-in-code", tag: tag, audited: "create-sign-in-code", permission: permissionSignedIn,
		summary: "Make a one-time sign-in code", status: http.StatusCreated,
		description: "For oneself (id self), or for others with the permission Administrator.Modify. It is good for ten minutes and once.",
	}, a.createSignInCode)
}

func administratorOf(r access.Administrator) Administrator {
	return Administrator{
		ID: r.ID, Name: r.Name, Roles: list(r.Roles), HasPassword: r.HasPassword, Local: r.IsLocal(),
		Disabled: r.DisabledAt != nil, DisabledAt: maybeAt(r.DisabledAt), CreatedBy: r.CreatedBy, CreatedAt: at(r.CreatedAt),
	}
}

func (a *API) listAdministrators(ctx context.Context, caller access.Caller, in *ListInput) (*output[Page[Administrator]], error) {
	page, err := read(ctx, a, func(tx *sitedb.Tx) (page[access.Administrator], error) {
		return access.ListAdministrators(ctx, tx, caller.Scope(access.AdministratorRead), in.request(), a.c.Now())
	})
	return pageOf(page, administratorOf), err
}

func (a *API) createAdministrator(ctx context.Context, caller access.Caller, in *newAdministratorInput) (*output[Administrator], error) {
	n := access.NewAdministrator{SiteCode: a.c.SiteCode, Name: in.Body.Name, Roles: in.Body.Roles}
	if in.Body.Password != "" {
		hash, err := a.c.Door.HashPassword(ctx, n.Name, in.Body.Password)
		if err != nil {
			return nil, err
		}
		n.Password = hash
	}
	row, err := write(ctx, a, func(tx *sitedb.Tx) (access.Administrator, error) {
		return access.CreateAdministrator(ctx, tx, caller, n, a.c.Now())
	})
	return answer(administratorOf(row)), err
}

func (a *API) getAdministrator(ctx context.Context, caller access.Caller, in *ByID) (*output[Administrator], error) {
	row, err := read(ctx, a, func(tx *sitedb.Tx) (access.Administrator, error) {
		return access.ShowAdministrator(ctx, tx, caller.Scope(access.AdministratorRead), in.ID)
	})
	return answer(administratorOf(row)), err
}

func (a *API) setDisabled(disabled bool) func(context.Context, access.Caller, *ByID) (*output[Administrator], error) {
	return func(ctx context.Context, caller access.Caller, in *ByID) (*output[Administrator], error) {
		row, err := write(ctx, a, func(tx *sitedb.Tx) (access.Administrator, error) {
			return access.SetDisabled(ctx, tx, caller, in.ID, disabled, a.c.Now())
		})
		return answer(administratorOf(row)), err
	}
}

func (a *API) setRoles(ctx context.Context, caller access.Caller, in *administratorRolesInput) (*output[Administrator], error) {
	row, err := write(ctx, a, func(tx *sitedb.Tx) (access.Administrator, error) {
		return access.SetRoles(ctx, tx, caller, in.ID, in.Body.Roles, a.c.Now())
	})
	return answer(administratorOf(row)), err
}

func (a *API) setPassword(ctx context.Context, caller access.Caller, in *newPasswordInput) (*Empty, error) {
	id, name := in.ID, caller.Name
	if id == "self" {
		id = caller.ID
	}
	if id == "" {
		return nil, fault.New(fault.Conflict, "%s is identified by the operating system and has no password here", caller.Name)
	}
	if id == caller.ID {
		if err := a.c.Door.CheckOwnPassword(ctx, caller, in.Body.Current); err != nil {
			return nil, err
		}
	} else {
		other, err := read(ctx, a, func(tx *sitedb.Tx) (access.Administrator, error) {
			if err := caller.Require(access.AdministratorModify); err != nil {
				return access.Administrator{}, err
			}
			return access.ShowAdministrator(ctx, tx, caller.Scope(access.AdministratorModify), id)
		})
		if err != nil {
			return nil, err
		}
		name = other.Name
	}
	hash, err := a.c.Door.HashPassword(ctx, name, in.Body.Password)
	if err != nil {
		return nil, err
	}
	return write(ctx, a, func(tx *sitedb.Tx) (*Empty, error) {
		return nil, access.SetPassword(ctx, tx, caller, id, hash, a.c.Now())
	})
}

func (a *API) createSignInCode(ctx context.Context, caller access.Caller, in *ByID) (*output[SignInCode], error) {
	body, err := write(ctx, a, func(tx *sitedb.Tx) (SignInCode, error) {
		code, err := access.CreateSignInCode(ctx, tx, caller, a.c.SiteCode, in.ID, a.c.Now())
		if err != nil {
			return SignInCode{}, err
		}
		address, err := providerURL(ctx, tx)
		body := SignInCode{Administrator: code.Name, Code: code.Code, ExpiresAt: at(code.ExpiresAt)}
		if address != "" {
			body.URL = SignInURL(address, code.Code)
		}
		return body, err
	})
	return answer(body), err
}

// SignInURL is the address of the page that signs in with a code. The code is
// in the fragment, which browsers neither send nor pass on.
func SignInURL(provider, code string) string {
	return provider + "/sign-in#code=" + url.QueryEscape(code)
}

// providerURL is the address of the first provider; empty when there is none.
func providerURL(ctx context.Context, tx *sitedb.Tx) (string, error) {
	systems, err := site.Systems(ctx, tx)
	if err != nil {
		return "", err
	}
	roles, err := site.Roles(ctx, tx)
	if err != nil {
		return "", err
	}
	for _, system := range systems {
		for _, role := range roles {
			if role.System == system.ID && role.Role == site.RoleProvider {
				return "https://" + net.JoinHostPort(system.Address, strconv.FormatInt(system.AdminPort, 10)), nil
			}
		}
	}
	return "", nil
}
