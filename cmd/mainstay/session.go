package main

import (
	"context"

	"github.com/spf13/cobra"

	"mainstay/adminapi"
)

func (p *program) newSessionCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "session",
		Short: "See who is signed in, and end sessions",
	}
	cmd.AddCommand(p.newSessionListCommand(), p.newSessionEndCommand())
	return cmd
}

func (p *program) sessions(ctx context.Context, api *adminapi.ClientWithResponses, o listOptions) ([]adminapi.Session, error) {
	return pages(p, o, func(cursor *string, limit int64) ([]adminapi.Session, *string, error) {
		answer, err := check(api.ListSessionsWithResponse(ctx, &adminapi.ListSessionsParams{Filter: given(o.filter), Sort: given(o.sort), Cursor: cursor, Limit: &limit}))
		if err != nil {
			return nil, nil, err
		}
		page, err := body(answer.JSON200)
		return page.Items, page.Next, err
	})
}

func (p *program) newSessionListCommand() *cobra.Command {
	var o listOptions
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List sessions: your own, and those of others if you may",
		Example: "  mainstay session list --filter administrator=alice",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			api, err := p.connect()
			if err != nil {
				return err
			}
			items, err := p.sessions(cmd.Context(), api, o)
			if err != nil {
				return err
			}
			type s = adminapi.Session
			return printList(p, items, []column[s]{
				{head: "administrator", cell: func(s s) string { return s.Administrator }},
				{head: "id", cell: func(s s) string { return short(s.ID) }, raw: func(s s) string { return s.ID }},
				{head: "kind", cell: func(s s) string { return string(s.Kind) }},
				{head: "from", cell: func(s s) string { return s.Source }},
				{head: "used", cell: func(s s) string { return p.ago(&s.UsedAt) }, raw: func(s s) string { return stamp(s.UsedAt) }},
				{head: "ends", cell: func(s s) string { return p.when(s.ExpiresAt) }, raw: func(s s) string { return stamp(s.ExpiresAt) }},
				{head: "this one", cell: func(s s) string { return yesNo(s.Current) }},
			})
		},
	}
	listFlags(cmd, &o, "id administrator kind source created_at used_at expires_at")
	return cmd
}

func (p *program) newSessionEndCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "end ID",
		Short:   "End a session",
		Example: "  mainstay session end 7c1e09d2",
		Args:    cobra.ExactArgs(1),
		ValidArgsFunction: p.complete(false, func(ctx context.Context, api *adminapi.ClientWithResponses, _ string) ([]string, error) {
			items, err := p.sessions(ctx, api, listOptions{limit: 100})
			ids := []string{}
			for _, s := range items {
				ids = append(ids, short(s.ID)+"\t"+s.Administrator+" from "+s.Source)
			}
			return ids, err
		}),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := p.connect()
			if err != nil {
				return err
			}
			items, err := p.sessions(cmd.Context(), api, listOptions{})
			if err != nil {
				return err
			}
			// A name may stand for several sessions; only the identifier is meant.
			s, err := pick("session", args[0], items, func(s adminapi.Session) string { return s.ID }, func(adminapi.Session) string { return "" })
			if err != nil {
				return err
			}
			if _, err := check(api.EndSessionWithResponse(cmd.Context(), s.ID)); err != nil {
				return err
			}
			return p.printDone(map[string]string{"id": s.ID}, "The session of %s from %s is ended.", s.Administrator, s.Source)
		},
	}
}
