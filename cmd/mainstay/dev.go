package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"

	"mainstay/adminapi"
	"mainstay/cmd/mainstay/config"
	"mainstay/lib/fault"
	"mainstay/lib/filesys"
	"mainstay/lib/httpserve"
	"mainstay/lib/lifecycle"
	"mainstay/role/siteserver"
)

// devOptions say where 'mainstay dev' keeps its site.
type devOptions struct {
	dir      string
	siteCode string
	// client, admin are the ports on loopback.
	client, admin int
	packages      string
}

func newDevCommand() *cobra.Command {
	var o devOptions
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Run a whole site for trying out: server, console and this machine as a client",
		Long: `Make a site in ./var when there is none, run it on loopback with this machine
as its first client, and say what to try. The client lives in its own folder and
touches nothing else of the machine. A second run finds the site as it was;
Ctrl-C stops everything. It needs no root; what root alone can read of this
machine's inventory is missing without it.`,
		Example: "  mainstay dev\n  mainstay dev --dir /tmp/site --client-port 18443 --admin-port 19443",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runDev(cmd.Context(), cmd.OutOrStdout(), o)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.dir, "dir", "var", "folder of the site and its client")
	flags.StringVar(&o.siteCode, "site-code", "", "site code, when a site is made (default LAB)")
	flags.IntVar(&o.client, "client-port", 8443, "port for clients, on loopback")
	flags.IntVar(&o.admin, "admin-port", 9443, "port for console and API, on loopback")
	flags.StringVar(&o.packages, "client-packages", "", "folder of client packages (default: packages beside this program)")
	return cmd
}

func runDev(ctx context.Context, out io.Writer, o devOptions) error {
	clientProgram, err := besideUs("mainstay-client")
	if err != nil {
		return err
	}
	if o.dir, err = filepath.Abs(o.dir); err != nil {
		return fmt.Errorf("cannot resolve %s: %w", o.dir, err)
	}
	if err := filesys.MakeDir(o.dir, 0o700); err != nil {
		return err
	}
	unlock, err := filesys.Lock(o.dir)
	if fault.Is(err, fault.Conflict) {
		return fault.New(fault.Conflict, "another 'mainstay dev' runs in %s; stop it, or give this one another folder and other ports: --dir, --client-port, --admin-port", o.dir)
	}
	if err != nil {
		return err
	}
	defer unlock()
	// Before a site is made whose recovery key would be shown above an error.
	if err := devPorts(ctx, o); err != nil {
		return err
	}
	c, err := devSite(ctx, out, o)
	if err != nil {
		return err
	}
	slog.SetDefault(c.Logger())
	ready := make(chan struct{})
	err = lifecycle.Run(ctx,
		lifecycle.Task{Name: "site", Run: func(ctx context.Context) error {
			return runServer(ctx, c, func() { close(ready) })
		}},
		lifecycle.Task{Name: "client", Run: func(ctx context.Context) error {
			select {
			case <-ctx.Done():
				return nil
			case <-ready:
			}
			say(out, "site is up: console and API at https://localhost:%d, clients at :%d", o.admin, o.client)
			return devClient(ctx, out, o, c, clientProgram)
		}},
	)
	if err == nil {
		say(out, "stopped; the same command goes on from here")
	}
	return err
}

// devPorts makes sure that the ports are free.
func devPorts(ctx context.Context, o devOptions) error {
	if o.client == o.admin {
		return fault.InvalidField("--admin-port", "%d is the port for clients too; give another", o.admin)
	}
	for _, port := range []struct {
		number int
		flag   string
	}{{o.client, "--client-port"}, {o.admin, "--admin-port"}} {
		if port.number < 1 || port.number > 65535 {
			return fault.InvalidField(port.flag, "%d is no port; give one between 1 and 65535", port.number)
		}
		l, err := httpserve.Listen(ctx, loopback(port.number))
		if err != nil {
			return fault.New(fault.KindOf(err), "%w, here with %s", err, port.flag)
		}
		l.Close()
	}
	return nil
}

func loopback(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

func say(out io.Writer, format string, args ...any) {
	fmt.Fprintf(out, "mainstay: "+format+"\n", args...)
}

// devSite makes the site where there is none and writes its configuration.
func devSite(ctx context.Context, out io.Writer, o devOptions) (config.Config, error) {
	c := config.Default()
	c.Data, c.Database = filepath.Join(o.dir, "site"), ""
	c.Name, c.Address = "localhost", "localhost"
	c.ClientListen, c.AdminListen = loopback(o.client), loopback(o.admin)
	c.Socket, c.LogLevel = filepath.Join(o.dir, "run", "provider.sock"), "warn"
	c.ClientPackages = o.packages
	if o.packages == "" {
		if self, err := os.Executable(); err == nil {
			c.ClientPackages = filepath.Join(filepath.Dir(self), "packages")
		}
	}
	data, err := yaml.Marshal(c)
	if err != nil {
		return c, fmt.Errorf("cannot encode the configuration: %w", err)
	}
	data = append([]byte("# Written by 'mainstay dev' at each start, from its flags.\n"), data...)
	path := filepath.Join(o.dir, "mainstay.yaml")
	if c, err = config.Parse(path, data); err != nil {
		return c, err
	}
	if err := filesys.WriteFile(path, data, 0o600); err != nil {
		return c, err
	}
	made, err := siteserver.Init(ctx, siteserver.InitConfig{
		Database: c.DatabasePath(), Keys: c.KeysDir(), SiteCode: cmp.Or(o.siteCode, "LAB"), Name: "Trial site", Now: time.Now(),
	})
	switch {
	case fault.Is(err, fault.Conflict) && o.siteCode != "" && o.siteCode != made.Site.Code:
		return c, fault.New(fault.Conflict, "the site in %s is %s, not %s; leave --site-code out, or give another folder with --dir", o.dir, made.Site.Code, o.siteCode)
	case fault.Is(err, fault.Conflict):
		say(out, "found site %s in %s as it was", made.Site.Code, o.dir)
		return c, nil
	case err != nil:
		return c, err
	}
	say(out, "made site %s in %s", made.Site.Code, o.dir)
	say(out, "recovery key, shown this once: %s", made.RecoveryKey)
	say(out, "root key, sealed to it: %s (for a real site, keep both elsewhere)", made.RootKey)
	return c, nil
}

// devClient registers this machine once and runs its client as a process of
// its own until ctx ends.
func devClient(ctx context.Context, out io.Writer, o devOptions, c config.Config, program string) error {
	state := filepath.Join(o.dir, "client")
	api, err := newLocalClient(c.Socket)
	if err != nil {
		return err
	}
	if err := devStateFree(ctx, out, state); err != nil {
		return err
	}
	if err := devInstall(ctx, out, api, o, program, state); err != nil {
		return err
	}
	if os.Geteuid() != 0 {
		say(out, "the client runs without root: serial numbers and owners of listening ports need root")
	}
	client := exec.CommandContext(ctx, program, "run", "--state-dir", state)
	client.Stdout, client.Stderr = os.Stderr, os.Stderr
	// A group of its own, so that Ctrl-C reaches it through us, in order.
	client.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	client.Cancel = func() error { return client.Process.Signal(syscall.SIGTERM) }
	client.WaitDelay = 10 * time.Second
	if err := client.Start(); err != nil {
		return fmt.Errorf("cannot start the client: %w", err)
	}
	if err := devWelcome(ctx, out, api, o, c, state); err != nil && ctx.Err() == nil {
		say(out, "%v", err)
	}
	if err := client.Wait(); ctx.Err() == nil {
		return fmt.Errorf("the client ended by itself (%v); its log is above", err)
	}
	return nil
}

// devStateFree waits for the client of a run that was killed: it ends by
// itself, but a moment later.
func devStateFree(ctx context.Context, out io.Writer, state string) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for said := false; ; said = true {
		if err := filesys.MakeDir(state, 0o700); err != nil {
			return err
		}
		unlock, err := filesys.Lock(state)
		if err == nil {
			return unlock()
		}
		if !fault.Is(err, fault.Conflict) {
			return err
		}
		if !said {
			say(out, "waiting for the client of an earlier run to end")
		}
		select {
		case <-ctx.Done():
			return fault.New(fault.Conflict, "a client still runs in %s; stop it and try again", state)
		case <-tick.C:
		}
	}
}

// devInstall makes this machine a client of the site, and tells a client that
// is one already when the port has changed.
func devInstall(ctx context.Context, out io.Writer, api *adminapi.ClientWithResponses, o devOptions, program, state string) error {
	point := fmt.Sprintf("localhost:%d", o.client)
	points, err := devPointsOf(filepath.Join(state, "client.yaml"))
	if err != nil || slices.Contains(points, point) {
		return err
	}
	install := exec.CommandContext(ctx, program, "install", "--mp", point, "--state-dir", state, "--no-service")
	install.Env = os.Environ()
	if points == nil {
		say(out, "registering this machine")
		token, err := devToken(ctx, api)
		if err != nil {
			return err
		}
		install.Env = append(install.Env, "MAINSTAY_TOKEN="+token)
	}
	if output, err := install.CombinedOutput(); err != nil {
		return fmt.Errorf("this machine was not registered: %w\n%s", err, strings.TrimSpace(string(output)))
	}
	return nil
}

// devPointsOf are the management points that the client was told; nil where
// there is no client yet.
func devPointsOf(path string) ([]string, error) {
	data, err := filesys.ReadFile(path, 1<<20)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var told struct {
		ManagementPoints []string `yaml:"management_points"`
	}
	if err := yaml.Unmarshal(data, &told); err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "cannot read %s; remove the folder to begin the client anew", path)
	}
	return append([]string{}, told.ManagementPoints...), nil
}

// besideUs finds a program that was built with this one.
func besideUs(name string) (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("cannot find this program: %w", err)
	}
	path := filepath.Join(filepath.Dir(self), name)
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	if path, err = exec.LookPath(name); err != nil {
		return "", fault.New(fault.NotFound, "%s is neither beside this program nor in PATH; build it with 'make build'", name)
	}
	return path, nil
}
