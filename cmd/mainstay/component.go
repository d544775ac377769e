package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"mainstay/adminapi"
)

func (p *program) newComponentCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "component",
		Short: "See the components of the site server",
	}
	cmd.AddCommand(&cobra.Command{
		Use:     "list",
		Short:   "List the components with their last pass",
		Example: "  mainstay component list\n  mainstay component list -o csv",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			api, err := p.connect()
			if err != nil {
				return err
			}
			answer, err := check(api.ListComponentsWithResponse(cmd.Context()))
			if err != nil {
				return err
			}
			page, err := body(answer.JSON200)
			if err != nil {
				return err
			}
			return printList(p, page.Items, p.componentColumns())
		},
	})
	return cmd
}

func (p *program) componentColumns() []column[adminapi.Component] {
	type c = adminapi.Component
	return []column[c]{
		{head: "component", cell: func(c c) string { return c.Name }},
		{head: "state", cell: func(c c) string { return c.State }, tone: func(c c) tone { return severityTone(c.State) }},
		{head: "since", cell: func(c c) string { return p.when(c.StateSince) }, raw: func(c c) string { return stamp(c.StateSince) }},
		{head: "last pass", cell: func(c c) string { return p.ago(c.PassAt) }, raw: func(c c) string { return maybeStamp(c.PassAt) }},
		{head: "took ms", cell: func(c c) string { return fmt.Sprintf("%.1f", c.PassMs) }, right: true},
		{head: "passes", cell: func(c c) string { return grouped(c.Passes) }, raw: func(c c) string { return fmt.Sprint(c.Passes) }, right: true},
		{head: "failures", cell: func(c c) string { return grouped(c.Failures) }, raw: func(c c) string { return fmt.Sprint(c.Failures) }, right: true},
		{head: "detail", cell: func(c c) string { return value(c.Detail) }},
	}
}
