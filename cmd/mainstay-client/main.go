// Command mainstay-client is what a managed machine runs: the client of a site
// and the command of the machine's administrator. It decides nothing itself;
// the work is in client.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, environment{
		in: os.Stdin, out: os.Stdout, errOut: os.Stderr, getenv: os.Getenv, root: os.Geteuid() == 0, services: systemd{},
	}, os.Args[1:])
	stop()
	os.Exit(code)
}
