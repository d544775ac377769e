package access

import (
	"slices"

	"mainstay/lib/fault"
)

// LocalPrefix begins the names of administrators that the operating system of
// a site system has identified.
const LocalPrefix = "local:"

// Caller is who asks for something, as far as that was proven. The zero value
// is nobody and may do nothing.
type Caller struct {
	// ID is the administrator's identifier; empty for a local administrator
	// without a row and for the site itself.
	ID string
	// Name is the administrator's name, as the audit trail shows it.
	Name string
	// Source is where the request came from: an address, or "local socket".
	Source string
	// Session is the identifier of the session; empty on the local socket.
	Session string
	// Roles are the identifiers of the administrator's roles.
	Roles []string
}

// Local is the caller behind a local socket whose peer the operating system has
// named. The provider has checked that this user may administer the site.
func Local(user, source string) Caller {
	return Caller{Name: LocalPrefix + user, Source: source, Roles: []string{FullAdministrator}}
}

// Site is the site acting by itself, such as a component that cleans up.
func Site(component string) Caller {
	return Caller{Name: "site:" + component, Source: "site", Roles: []string{FullAdministrator}}
}

// IsZero tells that nobody is signed in.
func (c Caller) IsZero() bool { return c.Name == "" }

// Permissions lists what the caller may do, in the order of Permissions.
func (c Caller) Permissions() []Permission {
	granted := map[Permission]bool{}
	for _, r := range Roles() {
		if slices.Contains(c.Roles, r.ID) {
			for _, p := range r.Permissions {
				granted[p] = true
			}
		}
	}
	return only(func(p Permission) bool { return granted[p] })
}

// May tells whether the caller has the permission.
func (c Caller) May(p Permission) bool {
	return !c.IsZero() && slices.Contains(c.Permissions(), p)
}

// Require is an error of kind Denied unless the caller has the permission.
func (c Caller) Require(p Permission) error {
	if c.May(p) {
		return nil
	}
	return fault.New(fault.Denied, "%s is needed for this and none of your roles has it; ask a security administrator", p)
}

// Scope is what the caller may see by means of the permission.
func (c Caller) Scope(p Permission) Scope {
	if c.May(p) {
		return Scope{reach: everything}
	}
	return Scope{}
}

// Scope says which objects a query may show. The zero value shows nothing.
// Every query takes one. There are no security scopes and collections yet, so
// it is everything or nothing.
type Scope struct{ reach reach }

type reach int

const everything reach = 1

// Everything is the scope of the site itself, for components that act for no
// administrator. An API never uses it.
func Everything() Scope { return Scope{reach: everything} }

// SeesAll tells whether the scope shows every object.
func (s Scope) SeesAll() bool { return s.reach == everything }

// SQL is the condition that a statement adds to show only what is in scope.
func (s Scope) SQL() string {
	if s.SeesAll() {
		return "TRUE"
	}
	return "FALSE"
}
