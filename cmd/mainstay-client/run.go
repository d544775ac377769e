package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"runtime/debug"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"

	"mainstay/client"
	"mainstay/lib/version"
)

func (p *program) newRun() *cobra.Command {
	return &cobra.Command{
		Use:   "run",
		Short: "Run the client in the foreground, as its service does",
		Long: `Runs until it is told to end. It works with no management point reachable, on
its last policy, and queues what the site must hear of.

` + exitCodes,
		Example: "  mainstay-client run\n  mainstay-client run --state-dir /srv/second-client",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return p.runClient(cmd.Context()) },
	}
}

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

func (p *program) runClient(ctx context.Context) error {
	if err := p.needRoot("running the client"); err != nil {
		return err
	}
	c, err := readConfig(p.configFile())
	if err != nil {
		return err
	}
	settings, err := c.client(p.stateDir)
	if err != nil {
		return err
	}
	level, err := parseLevel(c.LogLevel)
	if err != nil {
		return err
	}
	settings.Log = slog.New(slog.NewTextHandler(p.errOut, &slog.HandlerOptions{Level: level}))
	settings.Inventory = client.NewMachineInventory("/")
	settings.Registered = func() error { return forgetToken(c) }
	p.saveMemory(&settings)

	machine, err := client.New(settings)
	if err != nil {
		return err
	}
	settings.Log.InfoContext(ctx, "client started", "version", version.Version, "site", c.Site)
	// Outside of systemd there is nobody to tell, which is no error.
	_, _ = daemon.SdNotify(false, daemon.SdNotifyReady)
	err = machine.Run(ctx)
	_, _ = daemon.SdNotify(false, daemon.SdNotifyStopping)
	settings.Log.InfoContext(ctx, "client stopped")
	return err
}

// saveMemory trades a little time for memory, of which a client at rest should
// need next to none. Who sets Go's own variables has reasons.
func (p *program) saveMemory(settings *client.Config) {
	if p.getenv("GOGC") != "" || p.getenv("GOMEMLIMIT") != "" {
		return
	}
	debug.SetGCPercent(50)
	// Each processor that Go uses holds memory of its own, and nothing here
	// gains from more than two.
	runtime.GOMAXPROCS(min(runtime.GOMAXPROCS(0), 2))
	settings.Rest = debug.FreeOSMemory
}

func (p *program) newVersion() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Tell which build this is",
		Example: "  mainstay-client version",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintln(p.out, "mainstay-client "+version.String())
			return err
		},
	}
}
