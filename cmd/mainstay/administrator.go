package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"mainstay/adminapi"
	"mainstay/lib/fault"
)

func (p *program) newAdministratorCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "administrator",
		Short: "Say who may administer the site",
		Long: `Say who may administer the site. Root and the members of the group mainstay on a
site system are administrators already and need no account here.`,
	}
	cmd.AddCommand(
		p.newAdministratorListCommand(), p.newAdministratorCreateCommand(), p.newAdministratorRolesCommand(),
		p.newAdministratorStateCommand(true), p.newAdministratorStateCommand(false),
		p.newAdministratorPasswordCommand(), p.newSignInLinkCommand(),
	)
	return cmd
}

func (p *program) administrators(ctx context.Context, api *adminapi.ClientWithResponses, o listOptions) ([]adminapi.Administrator, error) {
	return pages(p, o, func(cursor *string, limit int64) ([]adminapi.Administrator, *string, error) {
		answer, err := check(api.ListAdministratorsWithResponse(ctx, &adminapi.ListAdministratorsParams{Filter: given(o.filter), Sort: given(o.sort), Cursor: cursor, Limit: &limit}))
		if err != nil {
			return nil, nil, err
		}
		page, err := body(answer.JSON200)
		return page.Items, page.Next, err
	})
}

func (p *program) newAdministratorListCommand() *cobra.Command {
	var o listOptions
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List administrators",
		Example: "  mainstay administrator list --filter disabled=false",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			api, err := p.connect()
			if err != nil {
				return err
			}
			items, err := p.administrators(cmd.Context(), api, o)
			if err != nil {
				return err
			}
			type a = adminapi.Administrator
			return printList(p, items, []column[a]{
				{head: "name", cell: func(a a) string { return a.Name }},
				{head: "roles", cell: func(a a) string { return strings.Join(a.Roles, " ") }},
				{head: "state", cell: func(a a) string {
					if a.Disabled {
						return "disabled"
					}
					return "enabled"
				}},
				{head: "password", cell: func(a a) string { return yesNo(a.HasPassword) }},
				{head: "created", cell: func(a a) string { return p.when(a.CreatedAt) }, raw: func(a a) string { return stamp(a.CreatedAt) }},
				{head: "by", cell: func(a a) string { return a.CreatedBy }},
			})
		},
	}
	listFlags(cmd, &o, "id name disabled created_by created_at")
	return cmd
}

func (p *program) newAdministratorCreateCommand() *cobra.Command {
	var roles []string
	var password bool
	cmd := &cobra.Command{
		Use:   "create NAME --role ROLE",
		Short: "Create an administrator",
		Long: `Create an administrator. Without --password there is none: make a link that signs
in once with 'mainstay administrator sign-in-link NAME', and let them set one.`,
		Example: `  mainstay administrator create alice --role full-administrator
  mainstay administrator create bob --role read-only-analyst --password`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := p.connect()
			if err != nil {
				return err
			}
			n := adminapi.NewAdministrator{Name: args[0], Roles: roles}
			if password {
				text, err := p.newPassword()
				if err != nil {
					return err
				}
				n.Password = &text
			}
			answer, err := check(api.CreateAdministratorWithResponse(cmd.Context(), n))
			if err != nil {
				return err
			}
			hint := ""
			if !password {
				hint = fmt.Sprintf(" Let them in with 'mainstay administrator sign-in-link %s'.", args[0])
			}
			return p.printDone(answer.JSON201, "Administrator %s is created.%s", args[0], hint)
		},
	}
	cmd.Flags().StringSliceVar(&roles, "role", nil, "roles, with commas between them; see 'mainstay role list'")
	cmd.Flags().BoolVar(&password, "password", false, "ask for a password; without a terminal it is a line of the input")
	mustGive(cmd, "role")
	completed(cmd, "role", p.completeRoles)
	return cmd
}

// newPassword asks for a new password twice.
func (p *program) newPassword() (string, error) {
	password, err := p.env.ask("New password: ", true)
	if err != nil {
		return "", err
	}
	again, err := p.env.ask("Again: ", true)
	if err != nil {
		return "", err
	}
	if password != again {
		return "", fault.New(fault.Invalid, "the two passwords differ; nothing was changed")
	}
	return password, nil
}

func (p *program) withAdministrator(ctx context.Context, meant string, f func(*adminapi.ClientWithResponses, adminapi.Administrator) error) error {
	api, err := p.connect()
	if err != nil {
		return err
	}
	items, err := p.administrators(ctx, api, listOptions{})
	if err != nil {
		return err
	}
	a, err := pick("administrator", meant, items, func(a adminapi.Administrator) string { return a.ID }, func(a adminapi.Administrator) string { return a.Name })
	if err != nil {
		return err
	}
	return f(api, a)
}

func (p *program) completeAdministrators() cobra.CompletionFunc {
	return p.complete(false, func(ctx context.Context, api *adminapi.ClientWithResponses, _ string) ([]string, error) {
		items, err := p.administrators(ctx, api, listOptions{limit: 100})
		names := []string{}
		for _, a := range items {
			names = append(names, a.Name+"\t"+strings.Join(a.Roles, " "))
		}
		return names, err
	})
}

func (p *program) newAdministratorRolesCommand() *cobra.Command {
	var roles []string
	cmd := &cobra.Command{
		Use:               "set-roles NAME --role ROLE",
		Short:             "Give an administrator other roles, all of them at once",
		Example:           "  mainstay administrator set-roles bob --role asset-manager,read-only-analyst",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: p.completeAdministrators(),
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.withAdministrator(cmd.Context(), args[0], func(api *adminapi.ClientWithResponses, a adminapi.Administrator) error {
				answer, err := check(api.SetAdministratorRolesWithResponse(cmd.Context(), a.ID, adminapi.AdministratorRoles{Roles: roles}))
				if err != nil {
					return err
				}
				return p.printDone(answer.JSON200, "Administrator %s has the roles %s.", a.Name, strings.Join(roles, ", "))
			})
		},
	}
	cmd.Flags().StringSliceVar(&roles, "role", nil, "roles, with commas between them; see 'mainstay role list'")
	mustGive(cmd, "role")
	completed(cmd, "role", p.completeRoles)
	return cmd
}

func (p *program) newAdministratorStateCommand(disable bool) *cobra.Command {
	verb, short, done := "enable", "Let an administrator in again", "is let in again"
	if disable {
		verb, short, done = "disable", "Shut an administrator out at once and end their sessions", "is shut out"
	}
	return &cobra.Command{
		Use:               verb + " NAME",
		Short:             short,
		Example:           "  mainstay administrator " + verb + " bob",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: p.completeAdministrators(),
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.withAdministrator(cmd.Context(), args[0], func(api *adminapi.ClientWithResponses, a adminapi.Administrator) error {
				after := &a
				if disable {
					answer, err := check(api.DisableAdministratorWithResponse(cmd.Context(), a.ID))
					if err != nil {
						return err
					}
					after = answer.JSON200
				} else {
					answer, err := check(api.EnableAdministratorWithResponse(cmd.Context(), a.ID))
					if err != nil {
						return err
					}
					after = answer.JSON200
				}
				return p.printDone(after, "Administrator %s %s.", a.Name, done)
			})
		},
	}
}

func (p *program) newAdministratorPasswordCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "set-password [NAME]",
		Short:             "Set a password: your own, or that of another administrator",
		Long:              "Set a password: your own, or that of another administrator. It is asked for; without\na terminal the lines of the input are the present password (for your own, empty for\nnone), the new one, and the new one again. Other sessions of the administrator end.",
		Example:           "  mainstay administrator set-password\n  mainstay administrator set-password bob",
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: p.completeAdministrators(),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				api, err := p.connect()
				if err != nil {
					return err
				}
				current, err := p.env.ask("Present password (empty for none): ", true)
				if err != nil {
					return err
				}
				return p.setPassword(cmd.Context(), api, "self", "Your", given(current))
			}
			return p.withAdministrator(cmd.Context(), args[0], func(api *adminapi.ClientWithResponses, a adminapi.Administrator) error {
				return p.setPassword(cmd.Context(), api, a.ID, a.Name+"'s", nil)
			})
		},
	}
}

func (p *program) setPassword(ctx context.Context, api *adminapi.ClientWithResponses, id, whose string, current *string) error {
	password, err := p.newPassword()
	if err != nil {
		return err
	}
	if _, err := check(api.SetAdministratorPasswordWithResponse(ctx, id, adminapi.NewPassword{Password: password, Current: current})); err != nil {
		return err
	}
	return p.printDone(map[string]bool{"done": true}, "%s password is set.", whose)
}

func (p *program) newSignInLinkCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "sign-in-link [NAME]",
		Short: "Make a link that signs in to the console once",
		Long: `Make a link that signs in to the console once, within ten minutes: for yourself,
or for another administrator. The code in it serves 'mainstay login --code' too.`,
		Example:           "  mainstay administrator sign-in-link\n  mainstay administrator sign-in-link alice",
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: p.completeAdministrators(),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				return p.withAdministrator(cmd.Context(), args[0], func(api *adminapi.ClientWithResponses, a adminapi.Administrator) error {
					return p.signInLink(cmd.Context(), api, a.ID)
				})
			}
			api, err := p.connect()
			if err != nil {
				return err
			}
			return p.signInLink(cmd.Context(), api, "self")
		},
	}
}

func (p *program) signInLink(ctx context.Context, api *adminapi.ClientWithResponses, id string) error {
	answer, err := check(api.CreateSignInCodeWithResponse(ctx, id))
	if err != nil {
		return err
	}
	code, err := body(answer.JSON201)
	if err != nil {
		return err
	}
	if p.format != formatPretty {
		return p.printValue(code)
	}
	text := value(code.URL)
	if text == "" {
		text = code.Code
	}
	fmt.Fprintf(p.env.errOut, "Signs in %s once, until %s. It is shown this once.\n", printable(code.Administrator), p.when(code.ExpiresAt))
	_, err = fmt.Fprintln(p.env.out, text)
	return err
}
