// Command mainstay is every server role of a site and the administrator's
// command. What it administers it does through the administration API alone;
// commands that work on files of this machine (config, server, dev, and site
// init, backup and restore) say so. It decides nothing itself.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, newEnvironment(), os.Args[1:])
	stop()
	os.Exit(code)
}
