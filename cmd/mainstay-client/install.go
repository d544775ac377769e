package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mainstay/client"
	"mainstay/lib/fault"
	"mainstay/lib/filesys"
	"mainstay/lib/mtls"
	"mainstay/lib/registrationtoken"
)

// installFlags are what install was told.
type installFlags struct {
	points    []string
	site      string
	token     string
	tokenFile string
	fallback  []string
	rootKey   string
	noService bool
	wait      time.Duration
}

func (p *program) newInstall() *cobra.Command {
	var f installFlags
	cmd := &cobra.Command{
		Use:   "install --mp HOST[,HOST] [--site XXX] [--token TOKEN | --token-file FILE]",
		Short: "Make this machine a client of a site",
		Long: `Writes the configuration, registers with the site, and starts the service where
systemd runs. Given again it changes what is named and keeps the rest; a machine
that is a client of the site already stays the same device.

A token may also come from the variable MAINSTAY_TOKEN, or from standard input
(--token-file -). Without token an administrator of the site must approve the
machine. With neither token nor root key the first management point that answers
is trusted; the command says so.

The original's spelling is understood too:
  mainstay-client install /mp:HOST SMSSITECODE=LAB FSP=HOST SMSROOTKEYPATH=FILE /regtoken:TOKEN

` + exitCodes,
		Example: "  mainstay-client install --mp mp1.example.com,mp2.example.com --token-file token.txt\n" +
			"  MAINSTAY_TOKEN=mst1.LAB... mainstay-client install --mp mp1.example.com\n" +
			"  mainstay-client install --mp mp1.example.com --site LAB --root-key root.pem",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return p.install(cmd.Context(), f) },
	}
	flags := cmd.Flags()
	flags.StringSliceVar(&f.points, "mp", nil, "management points, HOST or HOST:PORT")
	flags.StringVar(&f.site, "site", "", "site code; a token names its site")
	flags.StringVar(&f.token, "token", "", "registration token (others may see it in the list of processes; prefer --token-file)")
	flags.StringVar(&f.tokenFile, "token-file", "", "file with the registration token, - for standard input")
	flags.StringSliceVar(&f.fallback, "fsp", nil, "fallback status points, HOST or HOST:PORT")
	flags.StringVar(&f.rootKey, "root-key", "", "file with the site's root certificate (PEM)")
	flags.BoolVar(&f.noService, "no-service", false, "do not touch the service")
	flags.DurationVar(&f.wait, "wait", 5*time.Minute, "how long to wait for the registration here; the service goes on waiting")
	return cmd
}

func (p *program) install(ctx context.Context, f installFlags) error {
	if err := p.needRoot("installing the client"); err != nil {
		return err
	}
	if err := filesys.MakeDir(p.stateDir, 0o700); err != nil {
		return err
	}
	c, token, err := p.plan(f)
	if err != nil {
		return err
	}
	service := !f.noService && p.stateDir == defaultStateDir && p.services.Available()
	if service {
		if err := p.services.Stop(ctx); err != nil {
			return err
		}
	}
	if err := c.write(p.configFile()); err != nil {
		return err
	}
	fmt.Fprintf(p.out, "Configuration written to %s\n", p.configFile())
	registering := p.registerHere(ctx, c, token, f.wait)
	if registering != nil && !goesOn(registering) {
		return registering
	}
	if service {
		if err := p.services.Enable(ctx); err != nil {
			return err
		}
		fmt.Fprintf(p.out, "Service %s started; it starts at each boot\n", unitName)
	} else if !f.noService {
		fmt.Fprintf(p.out, "No service was started. Start the client with: %s\n", p.runLine())
	}
	if registering == nil {
		fmt.Fprintln(p.out, "'mainstay-client status' shows how it is")
	}
	return registering
}

// runLine is what to run where no service does.
func (p *program) runLine() string {
	line := "mainstay-client run"
	if p.stateDir != defaultStateDir {
		line += " --state-dir " + p.stateDir
	}
	if p.configPath != "" {
		line += " --config " + p.configPath
	}
	return line
}

// plan makes the configuration of what is there and what was told.
func (p *program) plan(f installFlags) (config, registrationtoken.Token, error) {
	c, err := readConfig(p.configFile())
	if err != nil && !fault.Is(err, fault.NotFound) {
		return c, registrationtoken.Token{}, err
	}
	token, err := p.token(f)
	if err != nil {
		return c, token, err
	}
	if len(f.points) > 0 {
		c.ManagementPoints = f.points
	}
	if len(f.fallback) > 0 {
		c.FallbackStatusPoints = f.fallback
	}
	switch {
	case f.site != "":
		c.Site = f.site
	case !token.IsZero():
		c.Site = token.SiteCode()
	case c.Site == "":
		return c, token, fault.InvalidField("--site", "is missing: write --site XXX, or give a token, which names its site")
	}
	if len(c.ManagementPoints) == 0 {
		return c, token, fault.InvalidField("--mp", "is missing: write --mp HOST or --mp HOST:PORT")
	}
	if !token.IsZero() && token.SiteCode() != c.Site {
		return c, token, fault.InvalidField("--token", "the registration token is for site %s, not for %s", token.SiteCode(), c.Site)
	}
	if f.rootKey != "" {
		if c.RootKeyFile, err = p.keepRootKey(f.rootKey); err != nil {
			return c, token, err
		}
	}
	if !token.IsZero() {
		c.TokenFile = filepath.Join(p.stateDir, "token")
		if err := filesys.WriteFile(c.TokenFile, []byte(token.Reveal()+"\n"), 0o600); err != nil {
			return c, token, err
		}
	}
	return c, token, c.check(nil)
}

// token finds the registration token where one was given.
func (p *program) token(f installFlags) (registrationtoken.Token, error) {
	text := f.token
	switch {
	case f.token != "" && f.tokenFile != "":
		return registrationtoken.Token{}, fault.InvalidField("--token", "and --token-file exclude each other")
	case f.tokenFile == "-":
		data, err := io.ReadAll(io.LimitReader(p.in, maxConfig))
		if err != nil {
			return registrationtoken.Token{}, err
		}
		text = string(data)
	case f.tokenFile != "":
		data, err := filesys.ReadFile(f.tokenFile, maxConfig)
		if err != nil {
			return registrationtoken.Token{}, fault.InvalidField("--token-file", "cannot read %s: %v", f.tokenFile, errors.Unwrap(err))
		}
		text = string(data)
	case text == "":
		text = p.getenv("MAINSTAY_TOKEN")
	}
	if strings.TrimSpace(text) == "" {
		return registrationtoken.Token{}, nil
	}
	return registrationtoken.Parse(text)
}

// keepRootKey copies the root certificate, so that it is there when the file
// that was given is gone.
func (p *program) keepRootKey(path string) (string, error) {
	der, err := readRootKey(path)
	if err != nil {
		return "", err
	}
	kept := filepath.Join(p.stateDir, "root.pem")
	return kept, filesys.WriteFile(kept, mtls.EncodeChain([][]byte{der}), 0o600)
}

// registerHere registers in the foreground.
func (p *program) registerHere(ctx context.Context, c config, token registrationtoken.Token, wait time.Duration) error {
	settings, err := c.client(p.stateDir)
	if err != nil {
		return err
	}
	if !token.IsZero() {
		settings.Token = token
	}
	settings.Log = quiet()
	settings.Progress = func(text string) { fmt.Fprintln(p.out, text) }
	machine, err := client.New(settings)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, wait, errWait)
	defer cancel()
	err = machine.Register(ctx)
	if err == nil {
		fmt.Fprintf(p.out, "This machine is device %s of site %s\n", machine.Status().DeviceID, c.Site)
		err = forgetToken(c)
	}
	return errors.Join(err, machine.Close())
}

var errWait = fault.New(fault.Unavailable, "the machine is not registered yet; the client goes on trying while it runs, and 'mainstay-client status' tells why")

// goesOn tells whether the service can do what was not done in time.
func goesOn(err error) bool { return errors.Is(err, errWait) }

// forgetToken removes a token that has done its work.
func forgetToken(c config) error {
	if c.TokenFile == "" {
		return nil
	}
	if err := os.Remove(c.TokenFile); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("cannot remove the registration token: %w", err)
	}
	return nil
}

func (p *program) newUninstall() *cobra.Command {
	var purge bool
	cmd := &cobra.Command{
		Use:   "uninstall",
		Short: "Stop the client and keep it from starting",
		Long: `Stops the service and disables it. The folder with configuration, identity and
queued messages stays, unless --purge is given. The site keeps the device's
record either way, and knows the machine again when it is installed again.`,
		Example: "  mainstay-client uninstall --purge",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return p.uninstall(cmd.Context(), purge) },
	}
	cmd.Flags().BoolVar(&purge, "purge", false, "remove the state folder too")
	return cmd
}

func (p *program) uninstall(ctx context.Context, purge bool) error {
	if err := p.needRoot("uninstalling the client"); err != nil {
		return err
	}
	if p.stateDir == defaultStateDir && p.services.Available() {
		if err := p.services.Disable(ctx); err != nil {
			return err
		}
		fmt.Fprintf(p.out, "Service %s stopped and disabled\n", unitName)
	}
	if !purge {
		fmt.Fprintf(p.out, "%s is kept; --purge removes it\n", p.stateDir)
		return nil
	}
	return p.purge()
}

// purge removes what a client has made in its folder, and the folder when
// nothing else is in it.
func (p *program) purge() error {
	if _, err := os.Stat(p.stateDir); errors.Is(err, os.ErrNotExist) {
		fmt.Fprintf(p.out, "%s is not there\n", p.stateDir)
		return nil
	}
	unlock, err := filesys.Lock(p.stateDir)
	if err != nil {
		return fault.New(fault.Conflict, "a client still runs in %s: stop it first", p.stateDir)
	}
	defer unlock()
	for _, name := range []string{"state", "identity", "outbox", "policy", "token", "root.pem", "client.sock", configName} {
		if err := os.RemoveAll(filepath.Join(p.stateDir, name)); err != nil {
			return fmt.Errorf("cannot remove %s: %w", filepath.Join(p.stateDir, name), err)
		}
	}
	if err := os.Remove(filepath.Join(p.stateDir, ".lock")); err != nil {
		return fmt.Errorf("cannot remove the lock of %s: %w", p.stateDir, err)
	}
	if err := os.Remove(p.stateDir); err != nil {
		fmt.Fprintf(p.out, "%s holds other files and is kept\n", p.stateDir)
		return nil
	}
	fmt.Fprintf(p.out, "%s removed\n", p.stateDir)
	return nil
}
