package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"mainstay/adminapi"
	"mainstay/lib/fault"
)

func (p *program) newDeadLetterCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "dead-letter",
		Short: "See messages that could not be processed, and process them once more",
	}
	cmd.AddCommand(p.newDeadLetterListCommand(), p.newDeadLetterShowCommand(), p.newDeadLetterReplayCommand())
	return cmd
}

func (p *program) newDeadLetterListCommand() *cobra.Command {
	var o listOptions
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List dead letters, the newest first",
		Example: "  mainstay dead-letter list --filter replayed_at=none",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			api, err := p.connect()
			if err != nil {
				return err
			}
			items, err := p.deadLetters(cmd.Context(), api, o)
			if err != nil {
				return err
			}
			type l = adminapi.DeadLetter
			return printList(p, items, []column[l]{
				{head: "id", cell: func(l l) string { return fmt.Sprint(l.ID) }, right: true},
				{head: "state", cell: func(l l) string { return string(l.State) }},
				{head: "died", cell: func(l l) string { return p.when(l.DiedAt) }, raw: func(l l) string { return stamp(l.DiedAt) }},
				{head: "device", cell: func(l l) string { return short(l.Device) }, raw: func(l l) string { return l.Device }},
				{head: "type", cell: func(l l) string { return value(l.Type) }},
				{head: "reason", cell: func(l l) string { return l.Reason }},
				{head: "replay", cell: func(l l) string { return value(l.ReplayError) }},
			})
		},
	}
	listFlags(cmd, &o, "id device incarnation number type reason management_point received_at died_at replayed_at")
	return cmd
}

func (p *program) deadLetters(ctx context.Context, api *adminapi.ClientWithResponses, o listOptions) ([]adminapi.DeadLetter, error) {
	return pages(p, o, func(cursor *string, limit int64) ([]adminapi.DeadLetter, *string, error) {
		answer, err := check(api.ListDeadLettersWithResponse(ctx, &adminapi.ListDeadLettersParams{Filter: given(o.filter), Sort: given(o.sort), Cursor: cursor, Limit: &limit}))
		if err != nil {
			return nil, nil, err
		}
		page, err := body(answer.JSON200)
		return page.Items, page.Next, err
	})
}

func letterID(text string) (int64, error) {
	id, err := strconv.ParseInt(text, 10, 64)
	if err != nil || id < 1 {
		return 0, fault.New(fault.Invalid, "%q is no number of a dead letter; see 'mainstay dead-letter list'", text)
	}
	return id, nil
}

func (p *program) completeLetters() cobra.CompletionFunc {
	return p.complete(true, func(ctx context.Context, api *adminapi.ClientWithResponses, _ string) ([]string, error) {
		items, err := p.deadLetters(ctx, api, listOptions{limit: 50})
		ids := []string{}
		for _, l := range items {
			ids = append(ids, fmt.Sprintf("%d\t%s", l.ID, l.Reason))
		}
		return ids, err
	})
}

func (p *program) newDeadLetterShowCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "show ID",
		Short:             "Show a dead letter with what it says",
		Example:           "  mainstay dead-letter show 12",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: p.completeLetters(),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := letterID(args[0])
			if err != nil {
				return err
			}
			api, err := p.connect()
			if err != nil {
				return err
			}
			answer, err := check(api.GetDeadLetterWithResponse(cmd.Context(), id))
			if err != nil {
				return err
			}
			l, err := body(answer.JSON200)
			if err != nil {
				return err
			}
			text := l.Body
			if l.Truncated {
				text += "…"
			}
			return p.printObject(l, []field{
				{label: "Dead letter", text: fmt.Sprint(l.ID)}, {label: "State", text: string(l.State)}, {label: "Reason", text: l.Reason},
				{label: "Replay failed", text: value(l.ReplayError)}, {label: "Replayed", text: p.maybeWhen(l.ReplayedAt)},
				{label: "Device", text: l.Device}, {label: "Type", text: value(l.Type)},
				{label: "Incarnation", text: value(l.Incarnation)}, {label: "Number", text: fmt.Sprint(l.Number)},
				{label: "Management point", text: l.ManagementPoint}, {label: "Received", text: p.when(l.ReceivedAt)}, {label: "Died", text: p.when(l.DiedAt)},
				{label: "Size", text: size(l.Size)}, {label: "Header", text: l.Header}, {label: "Body", text: text},
			})
		},
	}
}

func (p *program) newDeadLetterReplayCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "replay ID...",
		Short:             "Process dead letters once more",
		Long:              "Process dead letters once more, when the cause is gone. The active site server does\nit; 'mainstay dead-letter list' shows what came of it.",
		Example:           "  mainstay dead-letter replay 12 13",
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: p.completeLetters(),
		RunE: func(cmd *cobra.Command, args []string) error {
			ids := []int64{}
			for _, text := range args {
				id, err := letterID(text)
				if err != nil {
					return err
				}
				ids = append(ids, id)
			}
			api, err := p.connect()
			if err != nil {
				return err
			}
			for i, id := range ids {
				if _, err := check(api.ReplayDeadLetterWithResponse(cmd.Context(), id)); err != nil {
					return fmt.Errorf("dead letter %d (%d were asked for before it): %w", id, i, err)
				}
			}
			return p.printDone(map[string][]int64{"replayed": ids}, "%d dead letters are processed once more.", len(ids))
		},
	}
}
