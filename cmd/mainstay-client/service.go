package main

import (
	"context"
	"os"

	"github.com/coreos/go-systemd/v22/dbus"

	"mainstay/lib/fault"
)

// services starts and stops the client's service. Tests take another one.
type services interface {
	// Available tells whether a service manager runs on this machine.
	Available() bool
	// Enable starts the service now and at each boot.
	Enable(ctx context.Context) error
	// Stop stops it; Disable stops it now and for ever. A service that does
	// not exist is no error.
	Stop(ctx context.Context) error
	Disable(ctx context.Context) error
}

// systemd is the real one.
type systemd struct{}

// Available as systemd itself recommends to find out.
func (systemd) Available() bool {
	info, err := os.Lstat("/run/systemd/system")
	return err == nil && info.IsDir()
}

func connect(ctx context.Context) (*dbus.Conn, error) {
	conn, err := dbus.NewWithContext(ctx)
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "cannot reach systemd over D-Bus")
	}
	return conn, nil
}

func installed(ctx context.Context, conn *dbus.Conn) bool {
	property, err := conn.GetUnitPropertyContext(ctx, unitName, "LoadState")
	return err == nil && property.Value.Value() == "loaded"
}

func (systemd) Enable(ctx context.Context) error {
	conn, err := connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if !installed(ctx, conn) {
		if err := conn.ReloadContext(ctx); err != nil || !installed(ctx, conn) {
			return fault.New(fault.NotFound, "systemd has no unit %s: install the package mainstay-client, or run 'mainstay-client run' under a service manager of yours", unitName)
		}
	}
	if _, _, err := conn.EnableUnitFilesContext(ctx, []string{unitName}, false, true); err != nil {
		return fault.Wrap(fault.Denied, err, "cannot enable %s", unitName)
	}
	if err := conn.ReloadContext(ctx); err != nil {
		return fault.Wrap(fault.Unavailable, err, "systemd cannot read its units again")
	}
	return do(ctx, "start", func(done chan<- string) error {
		_, err := conn.RestartUnitContext(ctx, unitName, "replace", done)
		return err
	})
}

func (systemd) Stop(ctx context.Context) error {
	conn, err := connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if !installed(ctx, conn) {
		return nil
	}
	return do(ctx, "stop", func(done chan<- string) error {
		_, err := conn.StopUnitContext(ctx, unitName, "replace", done)
		return err
	})
}

func (s systemd) Disable(ctx context.Context) error {
	if err := s.Stop(ctx); err != nil {
		return err
	}
	conn, err := connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if !installed(ctx, conn) {
		return nil
	}
	if _, err := conn.DisableUnitFilesContext(ctx, []string{unitName}, false); err != nil {
		return fault.Wrap(fault.Denied, err, "cannot disable %s", unitName)
	}
	return nil
}

// do waits for a job of systemd.
func do(ctx context.Context, what string, begin func(chan<- string) error) error {
	done := make(chan string, 1)
	if err := begin(done); err != nil {
		return fault.Wrap(fault.Denied, err, "cannot %s %s", what, unitName)
	}
	select {
	case result := <-done:
		if result != "done" {
			return fault.New(fault.Unavailable, "%s did not %s (%s): 'journalctl -u mainstay-client' tells why", unitName, what, result)
		}
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
