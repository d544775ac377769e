package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"mainstay/adminapi"
)

func (p *program) newRoleCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "role",
		Short: "See the roles of administrators",
	}
	cmd.AddCommand(&cobra.Command{
		Use:     "list",
		Short:   "List the roles and what they may do",
		Example: "  mainstay role list\n  mainstay role list -o yaml",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			api, err := p.connect()
			if err != nil {
				return err
			}
			items, err := roles(cmd.Context(), api)
			if err != nil {
				return err
			}
			type r = adminapi.Role
			return printList(p, items, []column[r]{
				{head: "role", cell: func(r r) string { return r.ID }},
				{head: "description", cell: func(r r) string { return r.Description }},
				{head: "permissions", cell: permissionText, raw: func(r r) string { return strings.Join(r.Permissions, " ") }},
			})
		},
	})
	return cmd
}

// permissionText groups permissions by class: Device (Read Modify).
func permissionText(r adminapi.Role) string {
	texts := []string{}
	class, verbs := "", []string{}
	flush := func() {
		if class != "" {
			texts = append(texts, class+" ("+strings.Join(verbs, " ")+")")
		}
	}
	for _, permission := range r.Permissions {
		of, verb, _ := strings.Cut(permission, ".")
		if of != class {
			flush()
			class, verbs = of, nil
		}
		verbs = append(verbs, verb)
	}
	flush()
	return strings.Join(texts, ", ")
}

func roles(ctx context.Context, api *adminapi.ClientWithResponses) ([]adminapi.Role, error) {
	answer, err := check(api.ListRolesWithResponse(ctx))
	if err != nil {
		return nil, err
	}
	page, err := body(answer.JSON200)
	return page.Items, err
}

func (p *program) completeRoles(cmd *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
	return p.complete(true, func(ctx context.Context, api *adminapi.ClientWithResponses, _ string) ([]string, error) {
		items, err := roles(ctx, api)
		names := []string{}
		for _, r := range items {
			names = append(names, r.ID+"\t"+r.Description)
		}
		return names, err
	})(cmd, nil, begun)
}
