package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"mainstay/cmd/mainstay/config"
)

// defaultConfig is where packages keep the configuration.
const defaultConfig = "/etc/mainstay/mainstay.yaml"

func newConfigCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "config",
		Short: "Check and print configuration files of a site system",
	}
	command.AddCommand(
		&cobra.Command{
			Use:     "check [FILE]",
			Short:   "Check a configuration file and say what is wrong with it",
			Long:    "Check a configuration file. Nothing is started and nothing is changed.\nWithout FILE, " + defaultConfig + " is checked.",
			Example: "  mainstay config check\n  mainstay config check ./mainstay.yaml",
			Args:    cobra.MaximumNArgs(1),
			RunE: func(cmd *cobra.Command, args []string) error {
				path := defaultConfig
				if len(args) == 1 {
					path = args[0]
				}
				if _, err := config.Load(path); err != nil {
					return err
				}
				_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s is a good configuration\n", path)
				return err
			},
		},
		&cobra.Command{
			Use:     "defaults",
			Short:   "Print a configuration file with every key documented",
			Example: "  mainstay config defaults > " + defaultConfig,
			Args:    cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error {
				_, err := io.WriteString(cmd.OutOrStdout(), config.Defaults())
				return err
			},
		},
	)
	return command
}

// configFlag adds --config to a command that runs on a site system.
func configFlag(cmd *cobra.Command, path *string) {
	cmd.Flags().StringVar(path, "config", defaultConfig, "configuration file of this site system")
}
