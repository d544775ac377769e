package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"mainstay/cmd/mainstay-fleet/scenario"
	"mainstay/lib/fault"
	"mainstay/lib/version"
)

// Exit codes. They are a promise to scripts, and those of the other programs.
const (
	exitOK          = 0
	exitFailure     = 1
	exitUsage       = 2
	exitNotFound    = 3
	exitUnavailable = 5
	exitConflict    = 6
)

const exitCodes = `Exit codes:
  0  done, also after Ctrl-C; errors of clients are in the report
  1  failed for a reason of this machine
  2  wrong arguments or scenario
  3  what was named does not exist
  5  not one client could register
  6  the state folder is in use`

// environment is what the command needs of the world.
type environment struct {
	out, errOut io.Writer
	getenv      func(string) string
}

// program is one run of the command.
type program struct {
	environment
	// began tells that the arguments were right.
	began bool
}

// run runs the command and returns its exit code.
func run(ctx context.Context, env environment, args []string) int {
	p := &program{environment: env}
	root := p.newRoot()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	fmt.Fprintln(p.errOut, "mainstay-fleet: "+err.Error())
	if code, ok := map[fault.Kind]int{
		fault.Invalid: exitUsage, fault.NotFound: exitNotFound, fault.Unavailable: exitUnavailable, fault.Conflict: exitConflict,
	}[fault.KindOf(err)]; ok {
		return code
	}
	if !p.began {
		return exitUsage
	}
	return exitFailure
}

func (p *program) newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "mainstay-fleet",
		Short: "Play any number of managed machines against a site",
		Long: `mainstay-fleet runs simulated clients against a site. Protocol, identity, outbox
and policy are those of the real client; the machines under them are made from a
seed. Use it against sites that may be filled with made-up devices.

` + exitCodes,
		Example:          "  mainstay-fleet run --clients 500 --mp localhost:8443 --token mst1.LAB...\n  mainstay-fleet scenario show > morning.yaml",
		SilenceErrors:    true,
		SilenceUsage:     true,
		PersistentPreRun: func(*cobra.Command, []string) { p.began = true },
	}
	root.SetOut(p.out)
	root.SetErr(p.errOut)
	root.AddCommand(p.newRun(), p.newScenario(), &cobra.Command{
		Use:   "version",
		Short: "Tell which build this is",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintln(p.out, "mainstay-fleet "+version.String())
			return err
		},
	})
	return root
}

func (p *program) newScenario() *cobra.Command {
	command := &cobra.Command{
		Use:   "scenario",
		Short: "Print and check scenarios",
	}
	command.AddCommand(
		&cobra.Command{
			Use:     "show",
			Short:   "Print the scenario of a run that is given none, with every key documented",
			Example: "  mainstay-fleet scenario show > morning.yaml",
			Args:    cobra.NoArgs,
			RunE: func(*cobra.Command, []string) error {
				_, err := io.WriteString(p.out, scenario.DefaultText())
				return err
			},
		},
		&cobra.Command{
			Use:     "check FILE",
			Short:   "Check a scenario and say what is wrong with it",
			Example: "  mainstay-fleet scenario check morning.yaml",
			Args:    cobra.ExactArgs(1),
			RunE: func(_ *cobra.Command, args []string) error {
				if _, err := scenario.Load(args[0]); err != nil {
					return err
				}
				_, err := fmt.Fprintf(p.out, "%s is a good scenario\n", args[0])
				return err
			},
		},
	)
	return command
}
