package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"mainstay/client/localapi"
	"mainstay/client/transport"
	"mainstay/lib/fault"
)

// Exit codes. They are a promise to scripts.
const (
	exitOK          = 0
	exitFailure     = 1
	exitUsage       = 2
	exitNotFound    = 3
	exitDenied      = 4
	exitUnavailable = 5
	exitConflict    = 6
)

const exitCodes = `Exit codes:
  0  done
  1  failed for a reason of this machine
  2  wrong arguments, configuration or input
  3  what was named does not exist
  4  not allowed: run it as root, or the site refuses this machine
  5  the client does not run, or no management point serves; try again later
  6  it does not fit the present state`

// Where a client is unless told otherwise.
const (
	defaultStateDir = "/var/lib/mainstay-client"
	defaultSocket   = "/run/mainstay-client/client.sock"
	configName      = "client.yaml"
	unitName        = "mainstay-client.service"
)

// environment is what the command needs of the world.
type environment struct {
	in          io.Reader
	out, errOut io.Writer
	getenv      func(string) string
	root        bool
	services    services
}

// program is one run of the command.
type program struct {
	environment
	stateDir   string
	configPath string
	format     string
	// began tells that the arguments were right.
	began bool
}

// run runs the command and returns its exit code.
func run(ctx context.Context, env environment, args []string) int {
	p := &program{environment: env}
	args, err := translate(args)
	if err == nil {
		root := p.newRoot()
		root.SetArgs(args)
		err = root.ExecuteContext(ctx)
	}
	if err == nil {
		return exitOK
	}
	if ctx.Err() == nil || !errors.Is(err, context.Canceled) {
		fmt.Fprintln(p.errOut, "mainstay-client: "+sentence(err))
	}
	return p.exitCode(err)
}

func (p *program) newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "mainstay-client",
		Short: "Make this machine a client of a site, and see how it is",
		Long: `mainstay-client makes this machine a client of a Mainstay site, runs the client,
and shows the machine's administrator how it is.

` + exitCodes,
		Example: "  mainstay-client install --mp mp1.example.com --token-file token.txt\n" +
			"  mainstay-client status\n  mainstay-client policy --now",
		SilenceErrors:    true,
		SilenceUsage:     true,
		PersistentPreRun: func(*cobra.Command, []string) { p.began = true },
	}
	root.SetIn(p.in)
	root.SetOut(p.out)
	root.SetErr(p.errOut)
	flags := root.PersistentFlags()
	flags.StringVar(&p.stateDir, "state-dir", defaultStateDir, "folder where the client keeps everything")
	flags.StringVar(&p.configPath, "config", "", "configuration file (default: "+configName+" in the state folder)")
	// Both are defined just before, so completing them cannot fail.
	_ = root.MarkPersistentFlagDirname("state-dir")
	_ = root.MarkPersistentFlagFilename("config", "yaml")
	root.AddCommand(p.newInstall(), p.newRun(), p.newStatus(), p.newPolicy(), p.newInventory(), p.newUninstall(), p.newVersion())
	return root
}

// configFile is where the configuration is.
func (p *program) configFile() string {
	if p.configPath != "" {
		return p.configPath
	}
	return filepath.Join(p.stateDir, configName)
}

// door leads to the running client.
func (p *program) door() *localapi.Door {
	socket := socketOf(p.stateDir)
	if c, err := readConfig(p.configFile()); err == nil {
		socket = c.socket(p.stateDir)
	}
	return localapi.NewDoor(socket)
}

// outputFlag adds -o to a command that shows something.
func (p *program) outputFlag(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().StringVarP(&p.format, "output", "o", "pretty", "form of the output: pretty or json")
	// The flag was defined just before: it cannot be missing.
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"pretty", "json"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// show prints a value as JSON where that was asked for, else with pretty.
func (p *program) show(value any, pretty func(io.Writer) error) error {
	switch p.format {
	case "json":
		encoder := json.NewEncoder(p.out)
		encoder.SetIndent("", "  ")
		encoder.SetEscapeHTML(false)
		return encoder.Encode(value)
	case "", "pretty":
		return pretty(p.out)
	}
	return fault.InvalidField("--output", "%q is no form of output: use pretty or json", p.format)
}

// exitCode maps an error to its code, here and nowhere else.
func (p *program) exitCode(err error) int {
	if f := transport.AdviceOf(err); f != nil {
		switch f.Advice {
		case transport.Blocked, transport.TokenRefused, transport.GiveUp:
			return exitDenied
		}
		return exitUnavailable
	}
	var kind *fault.Error
	if !errors.As(err, &kind) && !p.began {
		return exitUsage // cobra's own complaints about arguments
	}
	switch fault.KindOf(err) {
	case fault.Invalid:
		return exitUsage
	case fault.NotFound:
		return exitNotFound
	case fault.Denied:
		return exitDenied
	case fault.Unavailable:
		return exitUnavailable
	case fault.Conflict, fault.Stale:
		return exitConflict
	}
	return exitFailure
}

// sentence is an error for people: causes are for the log of developers.
func sentence(err error) string {
	var f *fault.Error
	if !errors.As(err, &f) {
		return err.Error()
	}
	text := f.Text
	if f.Field != "" && !strings.Contains(text, f.Field) {
		text = f.Field + ": " + text
	}
	if f.Kind == fault.Internal && f.Cause != nil {
		text += ": " + f.Cause.Error()
	}
	return text
}

// needRoot refuses work on the machine's own client without root.
func (p *program) needRoot(what string) error {
	if p.root || p.stateDir != defaultStateDir {
		return nil
	}
	return fault.New(fault.Denied, "%s needs root: run it with sudo", what)
}
