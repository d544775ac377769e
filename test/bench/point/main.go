// Command point is a management point as the product has it, without a site
// server: what clients send stays in the inbox.
//
//	point CONFIG
//
// The site must have been made, and must have run once. With the variable
// MAINSTAY_BENCH_PROFILE it writes a profile of its processor time to that
// file until it is told to end.
package main

import (
	"context"
	"log"
	"os"
	"os/signal"
	"runtime/pprof"
	"syscall"
	"time"

	"mainstay/cmd/mainstay/config"
	"mainstay/lib/httpserve"
	"mainstay/lib/lifecycle"
	"mainstay/role/managementpoint"
	"mainstay/role/siteserver"
	"mainstay/site/sitedb"
)

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: point CONFIG")
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if err := profiled(func() error { return run(ctx, os.Args[1]) }); err != nil {
		log.Fatal(err)
	}
}

func profiled(run func() error) error {
	path := os.Getenv("MAINSTAY_BENCH_PROFILE")
	if path == "" {
		return run()
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := pprof.StartCPUProfile(f); err != nil {
		return err
	}
	defer pprof.StopCPUProfile()
	return run()
}

func run(ctx context.Context, path string) error {
	c, err := config.Load(path)
	if err != nil {
		return err
	}
	identity, system, err := siteserver.LoadIdentity(c.KeysDir())
	if err != nil {
		return err
	}
	db, err := sitedb.Open(ctx, sitedb.Config{Path: c.DatabasePath()})
	if err != nil {
		return err
	}
	defer db.Close()
	// The keys are there for its certificate; none of its components run.
	server, err := siteserver.New(ctx, siteserver.Config{DB: db, Identity: identity, System: system, Now: time.Now})
	if err != nil {
		return err
	}
	host, err := siteserver.LoadHostCertificate(c.KeysDir(), system, []string{c.Address}, server.Authority(), time.Now)
	if err != nil {
		return err
	}
	point, err := managementpoint.New(managementpoint.Config{DB: db, Site: server.Authority().Site(), System: system, Now: time.Now})
	if err != nil {
		return err
	}
	listener, err := httpserve.Listen(ctx, c.ClientListen)
	if err != nil {
		return err
	}
	return lifecycle.Run(ctx,
		lifecycle.Task{Name: "management point", Run: point.Run},
		lifecycle.Task{Name: "client port", Run: func(ctx context.Context) error {
			return httpserve.Serve(ctx, listener, point.Handler(), httpserve.Options{TLS: point.TLS(host)})
		}},
	)
}
