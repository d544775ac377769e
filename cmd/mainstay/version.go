package main

import (
	"time"

	"github.com/spf13/cobra"

	"mainstay/lib/version"
)

func (p *program) newVersionCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Show which build of Mainstay this is",
		Example: "  mainstay version -o json",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if err := p.checkFormat(); err != nil {
				return err
			}
			built := ""
			if at := version.BuiltAt(); !at.IsZero() {
				built = at.Format(time.RFC3339)
			}
			return p.printDone(map[string]string{"version": version.Version, "commit": version.Commit, "built_at": built}, "mainstay %s", version.String())
		},
	}
}
