package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/cobra"

	"mainstay/cmd/mainstay-fleet/fleet"
	"mainstay/cmd/mainstay-fleet/scenario"
	"mainstay/lib/fault"
	"mainstay/lib/registrationtoken"
)

// runOptions are the flags of 'run'.
type runOptions struct {
	clients, first   int
	points           []string
	site, token      string
	seed             uint64
	duration         time.Duration
	interval         time.Duration
	state, scenario  string
	output, logLevel string
}

func (p *program) newRun() *cobra.Command {
	var o runOptions
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run simulated clients and report what they do",
		Long: `Run simulated clients in the foreground. Without a scenario they are switched on
within a minute, live as real clients do, and now and then change their
packages; see 'mainstay-fleet scenario show'. Every few seconds a line says how
it goes, and at the end a table; Ctrl-C ends the clients cleanly.

With --state a second run continues with the same identities, outboxes and
inventories. Without it they live in a temporary folder (TMPDIR says where) and
are gone afterwards; the site keeps the devices.

Each client has a connection, and so needs an open file. Several processes play
more clients than one may open files: give each a state folder and --first.

` + exitCodes,
		Example: `  mainstay-fleet run --clients 50 --mp localhost:8443 --token mst1.LAB...
  mainstay-fleet run --clients 5000 --mp mp1:8443,mp2:8443 --state /srv/fleet --seed 7 --duration 5m -o json
  mainstay-fleet run --scenario morning.yaml --mp mp1 --token mst1.LAB...`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return p.run(cmd.Context(), o) },
	}
	flags := cmd.Flags()
	flags.IntVar(&o.clients, "clients", 0, "how many clients (default: what the scenario says)")
	flags.StringSliceVar(&o.points, "mp", nil, "management points, HOST or HOST:PORT, separated by commas")
	flags.StringVar(&o.token, "token", "", "registration token, good for all clients (default: MAINSTAY_TOKEN)")
	flags.StringVar(&o.site, "site", "", "site code (default: that of the token)")
	flags.Uint64Var(&o.seed, "seed", 1, "what the machines are made from")
	flags.IntVar(&o.first, "first", 0, "number of the first client, when several processes share a seed")
	flags.DurationVar(&o.duration, "duration", 0, "end after this time (default: with the scenario, or Ctrl-C)")
	flags.DurationVar(&o.interval, "interval", 5*time.Second, "how often to report")
	flags.StringVar(&o.state, "state", "", "folder that outlives the run")
	flags.StringVar(&o.scenario, "scenario", "", "file that says what the clients do")
	flags.StringVarP(&o.output, "output", "o", formatPretty, "form of the report at the end: pretty or json")
	flags.StringVar(&o.logLevel, "log-level", "", "log what the clients log: debug, info, warn or error (default: nothing)")
	// All are defined just before, so completing them cannot fail.
	_ = cmd.MarkFlagDirname("state")
	_ = cmd.MarkFlagFilename("scenario", "yaml", "yml")
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{formatPretty, formatJSON}, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("log-level", cobra.FixedCompletions([]string{"debug", "info", "warn", "error"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// run runs the fleet and reports.
func (p *program) run(ctx context.Context, o runOptions) error {
	if o.output != formatPretty && o.output != formatJSON {
		return fault.InvalidField("output", "%q is no form of output; use pretty or json", o.output)
	}
	if o.interval < 100*time.Millisecond {
		return fault.InvalidField("interval", "%s is less than 100ms", o.interval)
	}
	config, err := p.config(o)
	if err != nil {
		return err
	}
	if o.state == "" {
		if config.StateDir, err = os.MkdirTemp("", "mainstay-fleet-"); err != nil {
			return fmt.Errorf("cannot make a temporary folder: %w", err)
		}
		defer os.RemoveAll(config.StateDir)
	}
	fmt.Fprintf(p.errOut, "%d clients of site %s at %v, seed %d\n", config.Clients, config.SiteCode, config.ManagementPoints, config.Seed)
	lines := &progressPrinter{out: p.errOut}
	config.Progress = lines.print
	summary, err := fleet.Run(ctx, config)
	if err != nil {
		return err
	}
	if err := p.printSummary(o.output, summary); err != nil {
		return err
	}
	if summary.Registered == 0 && ctx.Err() == nil {
		return fault.New(fault.Unavailable, "not one client could register; the problems above say why")
	}
	return nil
}

// config turns flags into what the fleet wants.
func (p *program) config(o runOptions) (fleet.Config, error) {
	c := fleet.Config{
		StateDir: o.state, SiteCode: o.site, ManagementPoints: o.points, Clients: o.clients, First: o.first, Seed: o.seed,
		Duration: o.duration, Interval: o.interval,
	}
	var err error
	text := o.token
	if text == "" {
		text = p.getenv("MAINSTAY_TOKEN")
	}
	if text != "" {
		if c.Token, err = registrationtoken.Parse(text); err != nil {
			return c, err
		}
	}
	if c.Scenario, err = scenario.Default(); err != nil {
		return c, err
	}
	if o.scenario != "" {
		if c.Scenario, err = scenario.Load(o.scenario); err != nil {
			return c, err
		}
	}
	if c.Clients == 0 {
		c.Clients = c.Scenario.Clients
	}
	if c.Clients == 0 {
		return c, fault.InvalidField("clients", "say how many clients with --clients, or with the key clients of the scenario")
	}
	if c.SiteCode == "" {
		c.SiteCode = c.Token.SiteCode()
	}
	if o.logLevel != "" {
		var level slog.Level
		if err := level.UnmarshalText([]byte(o.logLevel)); err != nil {
			return c, fault.InvalidField("log-level", "%q is no level; use debug, info, warn or error", o.logLevel)
		}
		c.Log = slog.New(slog.NewTextHandler(p.errOut, &slog.HandlerOptions{Level: level}))
	}
	return c, nil
}
