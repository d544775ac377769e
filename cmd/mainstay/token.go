package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"mainstay/adminapi"
)

type tokenOptions struct {
	name, lifetime string
	uses           int64
	install        bool
}

func (p *program) newTokenCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Let machines register: registration tokens",
	}
	cmd.AddCommand(p.newTokenCreateCommand(), p.newTokenListCommand(), p.newTokenRevokeCommand())
	return cmd
}

func (p *program) newTokenCreateCommand() *cobra.Command {
	var o tokenOptions
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Create a registration token",
		Long: `Create a registration token: a secret that lets a machine become a device of
this site without being approved. It is shown once and kept nowhere.

With --install the output is one line for a shell on the other machine, which
fetches the client from a management point, checks it, installs it and
registers.`,
		Example: `  mainstay token create
  mainstay token create --install
  mainstay token create --name 'lab rollout' --uses 200 --lifetime 7d`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return p.createToken(cmd.Context(), o) },
	}
	flags := cmd.Flags()
	flags.StringVar(&o.name, "name", "", "what the token is for")
	flags.StringVar(&o.lifetime, "lifetime", "1d", "how long it is good: 90m, 12h, 7d; a year at most")
	flags.Int64Var(&o.uses, "uses", 1, "how many machines may register with it; 0 for any number")
	flags.BoolVar(&o.install, "install", false, "print the line that installs a client on another machine")
	return cmd
}

func (p *program) createToken(ctx context.Context, o tokenOptions) error {
	api, err := p.connect()
	if err != nil {
		return err
	}
	answer, err := check(api.CreateTokenWithResponse(ctx, adminapi.NewToken{
		Name: given(o.name), Lifetime: given(o.lifetime), MaxUses: &o.uses, Install: &o.install,
	}))
	if err != nil {
		return err
	}
	created, err := body(answer.JSON201)
	if err != nil {
		return err
	}
	if p.format != formatPretty {
		return p.printValue(created)
	}
	// The line alone on the output, so that it can be piped; who reads it on a
	// terminal sees the rest too.
	text := created.Text
	if o.install {
		text = value(created.Install)
	}
	uses := "any number of machines"
	if created.Token.MaxUses == 1 {
		uses = "one machine"
	} else if created.Token.MaxUses > 1 {
		uses = grouped(created.Token.MaxUses) + " machines"
	}
	fmt.Fprintf(p.env.errOut, "Registration token %s, for %s, good until %s. It is shown this once.\n", created.Token.ID, uses, p.when(created.Token.ExpiresAt))
	_, err = fmt.Fprintln(p.env.out, text)
	return err
}

func (p *program) newTokenListCommand() *cobra.Command {
	var o listOptions
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List registration tokens",
		Example: "  mainstay token list --filter revoked=false",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			api, err := p.connect()
			if err != nil {
				return err
			}
			items, err := p.tokens(cmd.Context(), api, o)
			if err != nil {
				return err
			}
			type t = adminapi.Token
			return printList(p, items, []column[t]{
				{head: "id", cell: func(t t) string { return t.ID }},
				{head: "name", cell: func(t t) string { return t.Name }},
				{head: "state", cell: func(t t) string { return string(t.State) }, tone: func(t t) tone {
					if t.State == "usable" {
						return good
					}
					return plain
				}},
				{head: "uses", cell: func(t t) string {
					if t.MaxUses == 0 {
						return grouped(t.Uses)
					}
					return grouped(t.Uses) + " of " + grouped(t.MaxUses)
				}},
				{head: "ends", cell: func(t t) string { return p.when(t.ExpiresAt) }, raw: func(t t) string { return stamp(t.ExpiresAt) }},
				{head: "created", cell: func(t t) string { return p.when(t.CreatedAt) }, raw: func(t t) string { return stamp(t.CreatedAt) }},
				{head: "by", cell: func(t t) string { return t.CreatedBy }},
			})
		},
	}
	listFlags(cmd, &o, "id name created_by created_at expires_at uses max_uses revoked")
	return cmd
}

func (p *program) tokens(ctx context.Context, api *adminapi.ClientWithResponses, o listOptions) ([]adminapi.Token, error) {
	return pages(p, o, func(cursor *string, limit int64) ([]adminapi.Token, *string, error) {
		answer, err := check(api.ListTokensWithResponse(ctx, &adminapi.ListTokensParams{Filter: given(o.filter), Sort: given(o.sort), Cursor: cursor, Limit: &limit}))
		if err != nil {
			return nil, nil, err
		}
		page, err := body(answer.JSON200)
		return page.Items, page.Next, err
	})
}

func (p *program) newTokenRevokeCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "revoke TOKEN",
		Short:   "End a registration token at once",
		Long:    "End a registration token at once. Devices that registered with it stay; to shut\none out, use 'mainstay device block'.",
		Example: "  mainstay token revoke 5f0c1b2a99e1d3c4",
		Args:    cobra.ExactArgs(1),
		ValidArgsFunction: p.complete(false, func(ctx context.Context, api *adminapi.ClientWithResponses, _ string) ([]string, error) {
			items, err := p.tokens(ctx, api, listOptions{filter: "revoked=false", limit: 100})
			return tokenNames(items), err
		}),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := p.connect()
			if err != nil {
				return err
			}
			items, err := p.tokens(cmd.Context(), api, listOptions{})
			if err != nil {
				return err
			}
			token, err := pick("registration token", args[0], items, func(t adminapi.Token) string { return t.ID }, func(t adminapi.Token) string { return t.Name })
			if err != nil {
				return err
			}
			answer, err := check(api.RevokeTokenWithResponse(cmd.Context(), token.ID))
			if err != nil {
				return err
			}
			return p.printDone(answer.JSON200, "Registration token %s is revoked.", token.ID)
		},
	}
}

func tokenNames(items []adminapi.Token) []string {
	names := []string{}
	for _, t := range items {
		names = append(names, t.ID+"\t"+t.Name)
	}
	return names
}
