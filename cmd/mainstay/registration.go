package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"mainstay/adminapi"
)

func (p *program) newRegistrationCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "registration",
		Short: "Approve or deny machines that registered without a token",
	}
	cmd.AddCommand(p.newRegistrationListCommand(), p.newRegistrationApproveCommand(), p.newRegistrationDenyCommand())
	return cmd
}

func (p *program) newRegistrationListCommand() *cobra.Command {
	var o listOptions
	var all bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List machines that wait for approval",
		Long:  "List machines that wait for approval, or with --all every registration that is kept.\nWhat a machine says of itself has been checked by nobody.",
		Example: `  mainstay registration list
  mainstay registration list --all --filter state=refused`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			api, err := p.connect()
			if err != nil {
				return err
			}
			if !all {
				o.filter = joined(o.filter, "state=pending")
			}
			items, err := p.registrations(cmd.Context(), api, o)
			if err != nil {
				return err
			}
			type r = adminapi.Registration
			return printList(p, items, []column[r]{
				{head: "name", cell: func(r r) string { return r.Name }},
				{head: "key", cell: func(r r) string { return r.ID[:min(16, len(r.ID))] }, raw: func(r r) string { return r.ID }},
				{head: "state", cell: func(r r) string { return string(r.State) }},
				{head: "from", cell: func(r r) string { return r.Source }},
				{head: "received", cell: func(r r) string { return p.when(r.ReceivedAt) }, raw: func(r r) string { return stamp(r.ReceivedAt) }},
				{head: "os", cell: func(r r) string { return strings.TrimSpace(r.Os + " " + r.Arch) }},
				{head: "serial", cell: func(r r) string { return value(r.Hardware.Serial) }},
				{head: "detail", cell: func(r r) string { return value(r.Detail) }},
			})
		},
	}
	listFlags(cmd, &o, "id kind state source device received_at decided_at")
	cmd.Flags().BoolVar(&all, "all", false, "every registration that is kept, not only those that wait")
	return cmd
}

// joined adds a condition to a filter.
func joined(filter, condition string) string {
	if strings.TrimSpace(filter) == "" {
		return condition
	}
	return filter + " and " + condition
}

func (p *program) registrations(ctx context.Context, api *adminapi.ClientWithResponses, o listOptions) ([]adminapi.Registration, error) {
	return pages(p, o, func(cursor *string, limit int64) ([]adminapi.Registration, *string, error) {
		answer, err := check(api.ListRegistrationsWithResponse(ctx, &adminapi.ListRegistrationsParams{Filter: given(o.filter), Sort: given(o.sort), Cursor: cursor, Limit: &limit}))
		if err != nil {
			return nil, nil, err
		}
		page, err := body(answer.JSON200)
		return page.Items, page.Next, err
	})
}

func (p *program) newRegistrationApproveCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "approve NAME|KEY",
		Short: "Let a waiting machine become a device",
		Long: `Let a waiting machine become a device. Compare the key with what
'mainstay-client status' shows on the machine: anybody can claim a name.`,
		Example:           "  mainstay registration approve 3f2a90c1\n  mainstay registration approve web1",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: p.completeRegistrations(),
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.withRegistration(cmd.Context(), args[0], func(api *adminapi.ClientWithResponses, r adminapi.Registration) error {
				answer, err := check(api.ApproveRegistrationWithResponse(cmd.Context(), r.ID))
				if err != nil {
					return err
				}
				return p.printDone(answer.JSON200, "%s is approved and gets its certificate when it asks again.", r.Name)
			})
		},
	}
}

func (p *program) newRegistrationDenyCommand() *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:               "deny NAME|KEY --reason TEXT",
		Short:             "Refuse a waiting machine",
		Example:           "  mainstay registration deny 3f2a90c1 --reason 'not one of ours'",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: p.completeRegistrations(),
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.withRegistration(cmd.Context(), args[0], func(api *adminapi.ClientWithResponses, r adminapi.Registration) error {
				answer, err := check(api.DenyRegistrationWithResponse(cmd.Context(), r.ID, adminapi.Reason{Reason: reason}))
				if err != nil {
					return err
				}
				return p.printDone(answer.JSON200, "%s is refused.", r.Name)
			})
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, for whoever wonders later; the machine is told")
	mustGive(cmd, "reason")
	return cmd
}

func (p *program) withRegistration(ctx context.Context, meant string, f func(*adminapi.ClientWithResponses, adminapi.Registration) error) error {
	api, err := p.connect()
	if err != nil {
		return err
	}
	items, err := p.registrations(ctx, api, listOptions{filter: "state=pending"})
	if err != nil {
		return err
	}
	r, err := pick("waiting machine", meant, items, func(r adminapi.Registration) string { return r.ID }, func(r adminapi.Registration) string { return r.Name })
	if err != nil {
		return err
	}
	return f(api, r)
}

func (p *program) completeRegistrations() cobra.CompletionFunc {
	return p.complete(false, func(ctx context.Context, api *adminapi.ClientWithResponses, _ string) ([]string, error) {
		items, err := p.registrations(ctx, api, listOptions{filter: "state=pending", limit: 100})
		names := []string{}
		for _, r := range items {
			names = append(names, r.ID[:min(16, len(r.ID))]+"\t"+r.Name+" from "+r.Source)
		}
		return names, err
	})
}
