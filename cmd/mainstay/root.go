package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"mainstay/adminapi"
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
  1  it failed; the text says why
  2  the command or its input is not right
  3  there is no such thing
  4  not signed in, or not allowed
  5  the site cannot be reached or is busy; try again
  6  it does not fit the present state`

// program is one call of the command.
type program struct {
	env    *environment
	format string
	// where to find the site
	socket, profile string
	// began tells that a command was found and its arguments are right.
	began bool
	// signingIn: this is 'login', so that nobody is told to use it.
	signingIn bool
}

// run runs the command and returns its exit code.
func run(ctx context.Context, env *environment, args []string) int {
	p := &program{env: env}
	root := p.newRoot()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	if ctx.Err() == nil || !errors.Is(err, context.Canceled) {
		p.complain(err)
	}
	return p.exitCode(err)
}

func (p *program) newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "mainstay",
		Short: "Administer a site, and be its servers",
		Long: `mainstay administers a Mainstay site, and is every server role of it.

On a site system root and the members of the group mainstay need not sign in.
Elsewhere sign in once with 'mainstay login https://HOST:9443'.

` + exitCodes,
		Example:       "  mainstay site status\n  mainstay device list --filter 'name~web'\n  mainstay device show web1 --class OS",
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetIn(p.env.in)
	root.SetOut(p.env.out)
	root.SetErr(p.env.errOut)
	flags := root.PersistentFlags()
	flags.StringVarP(&p.format, "output", "o", formatPretty, "form of the output: pretty, json, yaml or csv")
	flags.StringVar(&p.socket, "socket", "", "local socket of the provider (default: MAINSTAY_SOCKET, then /run/mainstay/provider.sock, then ./var/run/provider.sock)")
	flags.StringVar(&p.profile, "profile", "", "profile to use instead of the local socket (default: MAINSTAY_PROFILE, then the one in use)")
	fixed(root, "output", formats...)
	completed(root, "profile", p.completeProfiles)
	root.AddGroup(
		&cobra.Group{ID: groupSite, Title: "The site:"},
		&cobra.Group{ID: groupMachines, Title: "Its machines:"},
		&cobra.Group{ID: groupPeople, Title: "Its administrators:"},
		&cobra.Group{ID: groupServer, Title: "This machine:"},
	)
	for _, noun := range []struct {
		group    string
		commands []*cobra.Command
	}{
		{groupSite, []*cobra.Command{p.newSiteCommand(), p.newComponentCommand(), p.newStatusMessageCommand(), p.newDeadLetterCommand()}},
		{groupMachines, []*cobra.Command{p.newDeviceCommand(), p.newRegistrationCommand(), p.newTokenCommand(), p.newClientSettingCommand()}},
		{groupPeople, []*cobra.Command{
			p.newLoginCommand(), p.newLogoutCommand(), p.newProfileCommand(),
			p.newAdministratorCommand(), p.newRoleCommand(), p.newSessionCommand(), p.newAuditCommand(),
		}},
		{groupServer, []*cobra.Command{newServerCommand(), newConfigCommand(), newDevCommand(), p.newVersionCommand()}},
	} {
		for _, command := range noun.commands {
			command.GroupID = noun.group
			root.AddCommand(command)
		}
	}
	for _, noun := range root.Commands() {
		needVerb(noun)
	}
	p.noteBegin(root)
	return root
}

// noteBegin makes each command tell that it began: what fails before is wrong
// use.
func (p *program) noteBegin(cmd *cobra.Command) {
	for _, sub := range cmd.Commands() {
		p.noteBegin(sub)
	}
	if do := cmd.RunE; do != nil {
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			p.began = true
			return do(cmd, args)
		}
	}
}

// needVerb makes a noun without a verb show its help, and one with an unknown
// verb an error: cobra takes both for a wish for help.
func needVerb(noun *cobra.Command) {
	if !noun.HasSubCommands() || noun.Runnable() {
		return
	}
	noun.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		text := fmt.Sprintf("unknown command %q for %q", args[0], cmd.CommandPath())
		if close := cmd.SuggestionsFor(args[0]); len(close) > 0 {
			text += "; did you mean " + close[0] + "?"
		}
		return errors.New(text)
	}
	noun.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	noun.SuggestionsMinimumDistance = 2
}

// Groups of the help.
const (
	groupSite     = "site"
	groupMachines = "machines"
	groupPeople   = "people"
	groupServer   = "server"
)

// fixed completes a flag with a closed list of values.
func fixed(cmd *cobra.Command, flag string, values ...string) {
	// The flag was defined just before: it cannot be missing.
	_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
}

// completed completes a flag with what the function finds.
func completed(cmd *cobra.Command, flag string, find cobra.CompletionFunc) {
	// The flag was defined just before: it cannot be missing.
	_ = cmd.RegisterFlagCompletionFunc(flag, find)
}

// apiError is a problem that the API answered with.
type apiError struct{ problem adminapi.Problem }

// Error gives the sentence for the user.
func (e *apiError) Error() string {
	p := e.problem
	text := p.Title
	if p.Detail != nil && *p.Detail != "" {
		text = *p.Detail
	}
	if p.Errors != nil && len(*p.Errors) > 1 {
		for _, field := range *p.Errors {
			text += "\n  " + field.Field + ": " + field.Message
		}
	}
	if p.Request != nil {
		text += " (request " + *p.Request + ")"
	}
	return text
}

// problemExit maps codes of problems to exit codes.
var problemExit = map[adminapi.ProblemCode]int{
	"invalid": exitUsage, "unauthorized": exitDenied, "denied": exitDenied, "not_found": exitNotFound,
	"conflict": exitConflict, "stale": exitConflict, "too_many": exitUnavailable, "unavailable": exitUnavailable,
}

// faultExit maps kinds of our own errors to exit codes.
var faultExit = map[fault.Kind]int{
	fault.Invalid: exitUsage, fault.Denied: exitDenied, fault.NotFound: exitNotFound,
	fault.Conflict: exitConflict, fault.Stale: exitConflict, fault.Unavailable: exitUnavailable,
}

func (p *program) exitCode(err error) int {
	var problem *apiError
	if errors.As(err, &problem) {
		if code, ok := problemExit[problem.problem.Code]; ok {
			return code
		}
		return exitFailure
	}
	if code, ok := faultExit[fault.KindOf(err)]; ok {
		return code
	}
	if !p.began {
		return exitUsage
	}
	return exitFailure
}

// complain tells what went wrong and what to do.
func (p *program) complain(err error) {
	text := err.Error()
	var problem *apiError
	var known *fault.Error
	switch {
	case errors.As(err, &problem):
		if problem.problem.Code == "unauthorized" && !p.signingIn {
			text += "\nSign in with 'mainstay login'."
		}
	case errors.As(err, &known):
	case !p.began:
		text += "\nSee 'mainstay --help'."
	}
	fmt.Fprintf(p.env.errOut, "mainstay: %s\n", printable(text))
}
