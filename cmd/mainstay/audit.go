package main

import (
	"context"
	"encoding/json"
	"fmt"
	"sort"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"mainstay/adminapi"
	"mainstay/lib/fault"
)

func (p *program) newAuditCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "See who did what when from where",
	}
	cmd.AddCommand(p.newAuditListCommand(), p.newAuditVerifyCommand())
	return cmd
}

func (p *program) newAuditListCommand() *cobra.Command {
	var o listOptions
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the audit trail, the newest first",
		Example: `  mainstay audit list --filter 'outcome=denied and time>7d'
  mainstay audit list --filter 'administrator=alice' -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			api, err := p.connect()
			if err != nil {
				return err
			}
			items, err := p.auditEntries(cmd.Context(), api, o)
			if err != nil {
				return err
			}
			type e = adminapi.AuditEntry
			return printList(p, items, []column[e]{
				{head: "time", cell: func(e e) string { return p.when(e.Time) }, raw: func(e e) string { return stamp(e.Time) }},
				{head: "administrator", cell: func(e e) string { return e.Administrator }},
				{head: "from", cell: func(e e) string { return e.Source }},
				{head: "action", cell: func(e e) string { return e.Action }},
				{head: "object", cell: func(e e) string { return short(e.ObjectID) }, raw: func(e e) string { return e.ObjectID }},
				{head: "outcome", cell: func(e e) string { return string(e.Outcome) }, tone: outcomeTone},
				{head: "detail", cell: detailText, raw: func(e e) string {
					data, err := json.Marshal(e.Detail)
					if err != nil {
						return ""
					}
					return string(data)
				}},
			})
		},
	}
	listFlags(cmd, &o, "id time administrator source action object_type object_id outcome")
	return cmd
}

func outcomeTone(e adminapi.AuditEntry) tone {
	switch e.Outcome {
	case "denied":
		return bad
	case "failed":
		return doubtful
	}
	return plain
}

func detailText(e adminapi.AuditEntry) string {
	texts := []string{}
	for key, text := range e.Detail {
		if text != "" {
			texts = append(texts, key+" "+strings.ReplaceAll(text, "\n", " "))
		}
	}
	sort.Strings(texts)
	return strings.Join(texts, "; ")
}

func (p *program) auditEntries(ctx context.Context, api *adminapi.ClientWithResponses, o listOptions) ([]adminapi.AuditEntry, error) {
	return pages(p, o, func(cursor *string, limit int64) ([]adminapi.AuditEntry, *string, error) {
		answer, err := check(api.ListAuditWithResponse(ctx, &adminapi.ListAuditParams{Filter: given(o.filter), Sort: given(o.sort), Cursor: cursor, Limit: &limit}))
		if err != nil {
			return nil, nil, err
		}
		page, err := body(answer.JSON200)
		return page.Items, page.Next, err
	})
}

func (p *program) newAuditVerifyCommand() *cobra.Command {
	var known string
	cmd := &cobra.Command{
		Use:   "verify [--known ID:HASH]",
		Short: "Check that the audit trail is whole",
		Long: `Check that no entry of the audit trail was changed or taken out. That entries were
cut off at the end shows only to those who remember one: write down what this
command prints, elsewhere, and give it the next time with --known.`,
		Example: "  mainstay audit verify\n  mainstay audit verify --known 1841:9c31f0…",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			params := adminapi.VerifyAuditParams{}
			if known != "" {
				number, hash, _ := strings.Cut(known, ":")
				id, err := strconv.ParseInt(number, 10, 64)
				if err != nil || len(hash) != 64 {
					return fault.New(fault.Invalid, "%q is not what 'audit verify' printed: a number, a colon and 64 hexadecimal digits", known)
				}
				params.KnownID, params.KnownHash = &id, &hash
			}
			return p.verifyAudit(cmd.Context(), params)
		},
	}
	cmd.Flags().StringVar(&known, "known", "", "an entry that was right when it was checked before, as ID:HASH")
	return cmd
}

func (p *program) verifyAudit(ctx context.Context, params adminapi.VerifyAuditParams) error {
	api, err := p.connect()
	if err != nil {
		return err
	}
	answer, err := check(api.VerifyAuditWithResponse(ctx, &params))
	if err != nil {
		return err
	}
	v, err := body(answer.JSON200)
	if err != nil {
		return err
	}
	if p.format != formatPretty {
		if err := p.printValue(v); err != nil {
			return err
		}
	} else if v.Ok {
		fmt.Fprintf(p.env.out, "The audit trail is whole: %s entries.\nRemember: --known %d:%s\n", grouped(v.Entries), v.HeadID, v.HeadHash)
	}
	if !v.Ok {
		return fault.New(fault.Conflict, "the audit trail is not whole at entry %d: %s. %s entries before it are right", value(v.BrokenID), value(v.Why), grouped(v.Entries))
	}
	return nil
}
