package apiv1

import (
	"context"
	"net/http"

	"mainstay/site/access"
)

// Role is a named set of permissions.
type Role struct {
	ID          string   `json:"id"`
	Name        string   `json:"name"`
	Description string   `json:"description"`
	Permissions []string `json:"permissions" nullable:"false" doc:"class of object and verb: Device.Read"`
}

func registerRoles(a *API) {
	register(a, operation{
		method: http.MethodGet, path: "/roles", id: "list-roles", tag: "role", permission: access.RoleRead,
		summary: "List the roles and what they may do",
	}, a.listRoles)
}

func (a *API) listRoles(context.Context, access.Caller, *Empty) (*output[Page[Role]], error) {
	body := Page[Role]{Items: []Role{}}
	for _, r := range access.Roles() {
		role := Role{ID: r.ID, Name: r.Name, Description: r.Description, Permissions: []string{}}
		for _, p := range r.Permissions {
			role.Permissions = append(role.Permissions, string(p))
		}
		body.Items = append(body.Items, role)
	}
	return answer(body), nil
}
