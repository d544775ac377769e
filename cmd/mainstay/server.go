package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"

	"mainstay/cmd/mainstay/config"
	"mainstay/console"
	"mainstay/lib/fault"
	"mainstay/lib/filesys"
	"mainstay/lib/httpserve"
	"mainstay/lib/lifecycle"
	"mainstay/role/managementpoint"
	"mainstay/role/provider"
	"mainstay/role/siteserver"
	"mainstay/site/sitedb"
)

func newServerCommand() *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   "server",
		Short: "Run this site system with its roles",
		Long: `Run the roles of this machine: site server, management point and provider. The
site must have been made with 'mainstay site init'. It runs in the foreground,
logs to standard error and stops cleanly on SIGTERM or Ctrl-C.`,
		Example: "  mainstay server --config /etc/mainstay/mainstay.yaml",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := config.Load(path)
			if err != nil {
				return err
			}
			slog.SetDefault(c.Logger())
			return runServer(cmd.Context(), c, func() {
				// Without systemd there is nobody to notify.
				_, _ = daemon.SdNotify(false, daemon.SdNotifyReady)
			})
		},
	}
	configFlag(cmd, &path)
	return cmd
}

// runServer runs every role of this machine until ctx ends, and calls ready
// when they answer.
func runServer(ctx context.Context, c config.Config, ready func()) error {
	identity, system, err := siteserver.LoadIdentity(c.KeysDir())
	if err != nil {
		return fault.Wrap(fault.NotFound, err, "this machine has no site; make one with 'mainstay site init --site-code LAB --config %s'", c.File())
	}
	unlock, err := filesys.Lock(c.KeysDir())
	if err != nil {
		return err
	}
	defer unlock()
	db, err := sitedb.Open(ctx, sitedb.Config{Path: c.DatabasePath()})
	if err != nil {
		return err
	}
	defer db.Close()

	server, err := siteserver.New(ctx, siteserver.Config{DB: db, Identity: identity, System: system, Name: c.Name, Packages: c.ClientPackages, Now: time.Now})
	if err != nil {
		return err
	}
	host, err := siteserver.LoadHostCertificate(c.KeysDir(), system, hostNames(c), server.Authority(), time.Now)
	if err != nil {
		return err
	}
	point, err := managementpoint.New(managementpoint.Config{DB: db, Site: server.Authority().Site(), System: system, Now: time.Now})
	if err != nil {
		return err
	}
	admin, err := newProvider(c, db, system, server)
	if err != nil {
		return err
	}

	// Ports before anything that writes: a taken port stops us early.
	clients, err := httpserve.Listen(ctx, c.ClientListen)
	if err != nil {
		return err
	}
	defer clients.Close()
	administrators, err := httpserve.Listen(ctx, c.AdminListen)
	if err != nil {
		return err
	}
	defer administrators.Close()
	local, err := listenLocal(ctx, c)
	if err != nil {
		return err
	}
	defer local.Close()

	if err := server.Register(ctx, machine(c, system, clients, administrators)); err != nil {
		return err
	}
	ready()
	return lifecycle.Run(ctx,
		lifecycle.Task{Name: "site server", Run: server.Run},
		lifecycle.Task{Name: "host certificate", Run: host.Run},
		lifecycle.Task{Name: "management point", Run: point.Run},
		lifecycle.Task{Name: "client port", Run: func(ctx context.Context) error {
			return httpserve.Serve(ctx, clients, point.Handler(), httpserve.Options{TLS: point.TLS(host)})
		}},
		lifecycle.Task{Name: "administrators' port", Run: func(ctx context.Context) error {
			return admin.Serve(ctx, administrators, host)
		}},
		lifecycle.Task{Name: "local socket", Run: func(ctx context.Context) error { return admin.ServeLocal(ctx, local) }},
	)
}

// hostNames are the names that the host certificate carries for browsers.
func hostNames(c config.Config) []string {
	names := []string{c.Address}
	for _, name := range []string{c.Name, "localhost", "127.0.0.1"} {
		if name != c.Address {
			names = append(names, name)
		}
	}
	return names
}

func machine(c config.Config, system string, clients, administrators net.Listener) siteserver.Machine {
	return siteserver.Machine{
		System: system, Name: c.Name, Address: c.Address,
		ClientPort: portOf(clients), AdminPort: portOf(administrators),
	}
}

func portOf(l net.Listener) int {
	if a, ok := l.Addr().(*net.TCPAddr); ok {
		return a.Port
	}
	return 0
}

func listenLocal(ctx context.Context, c config.Config) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(c.Socket), 0o750); err != nil {
		return nil, fmt.Errorf("cannot make the folder of the local socket: %w", err)
	}
	// The folder of keys is locked, so nobody else serves this socket.
	if err := filesys.Remove(c.Socket); err != nil {
		return nil, err
	}
	l, err := new(net.ListenConfig).Listen(ctx, "unix", c.Socket)
	if err != nil {
		return nil, fmt.Errorf("cannot open the local socket: %w", err)
	}
	return l, ownSocket(c.Socket, c.SocketGroup)
}

// ownSocket lets the group administer the site; the provider asks the
// operating system who is at the other end all the same.
func ownSocket(path, name string) error {
	if err := os.Chmod(path, 0o660); err != nil {
		return fmt.Errorf("cannot set the mode of the local socket: %w", err)
	}
	group, err := user.LookupGroup(name)
	if err != nil {
		// Without the group only root and the server's own user come in.
		return nil
	}
	gid, err := strconv.Atoi(group.Gid)
	if err != nil {
		return fmt.Errorf("group %s has the identifier %q: %w", name, group.Gid, err)
	}
	if err := os.Chown(path, -1, gid); err != nil && !errors.Is(err, os.ErrPermission) {
		return fmt.Errorf("cannot give the local socket to group %s: %w", name, err)
	}
	return nil
}

func newProvider(c config.Config, db *sitedb.DB, system string, server *siteserver.SiteServer) (*provider.Provider, error) {
	files, _ := console.Files()
	return provider.New(provider.Config{
		DB: db, Site: server.Authority().Site(), System: system, Console: files,
		InstallLine: server.InstallLine, Group: c.SocketGroup, Now: time.Now,
	})
}
