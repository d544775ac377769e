// Command mainstay-fleet plays any number of managed machines against a site:
// to test it, to measure it, to see how it behaves before real machines do. The
// clients are the real one many times over; only their machines are made up.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, environment{out: os.Stdout, errOut: os.Stderr, getenv: os.Getenv}, os.Args[1:])
	stop()
	os.Exit(code)
}
