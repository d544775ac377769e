package siteserver

import (
	"context"
	"log/slog"
	"strconv"
	"time"

	"filippo.io/age"

	"mainstay/lib/lifecycle"
	"mainstay/site"
	"mainstay/site/device"
	"mainstay/site/inbox"
	"mainstay/site/policy"
	"mainstay/site/publishing"
	"mainstay/site/sitedb"
	"mainstay/site/status"
	"mainstay/site/trust"
)

// Config is what a site server needs.
type Config struct {
	DB *sitedb.DB
	// Identity opens the site's secrets.
	Identity age.Identity
	// System is the identifier of this site system, Name what people call it.
	System, Name string
	// Packages is the folder of the client's packages; may be empty.
	Packages string
	Now      func() time.Time
}

// SiteServer is the role.
type SiteServer struct {
	c         Config
	authority *trust.Authority
}

// New opens the site's secrets. A secret that cannot be opened is an error: a
// site server that cannot act must not take the term.
func New(ctx context.Context, c Config) (*SiteServer, error) {
	authority, err := trust.OpenAuthority(ctx, c.DB, c.Identity)
	if err != nil {
		return nil, err
	}
	return &SiteServer{c: c, authority: authority}, nil
}

// Authority holds the site's keys.
func (s *SiteServer) Authority() *trust.Authority { return s.authority }

// Run takes the term and runs the components under it until ctx ends or
// another site server takes the term (Stale).
func (s *SiteServer) Run(ctx context.Context) error {
	term, err := s.c.DB.TakeTerm(ctx, s.c.System, s.c.Now())
	if err != nil {
		return err
	}
	slog.InfoContext(ctx, "this site server is active", "term", term.Number)
	db := s.c.DB.Fence(term)
	err = db.Write(ctx, func(tx *sitedb.Tx) error {
		return status.Report(ctx, tx, status.Message{
			ID: status.SiteServerActive, System: s.c.System, Insertions: []string{s.c.Name, strconv.FormatInt(term.Number, 10)},
		})
	})
	if err != nil {
		return err
	}
	components, err := s.components(ctx, db)
	if err != nil {
		return err
	}
	return lifecycle.Run(ctx, components...)
}

// components are the singletons of the site: everything that runs under the
// term is in this list.
func (s *SiteServer) components(ctx context.Context, db *sitedb.Fenced) ([]lifecycle.Task, error) {
	reporter := status.NewReporter(status.ReporterConfig{DB: db, System: s.c.System, Now: s.c.Now})
	registrar := device.NewRegistrar(device.RegistrarConfig{
		DB: db, Authority: s.authority, Now: s.c.Now, OnDevice: s.onDevice, Report: s.report,
	})
	compiler := policy.NewCompiler(policy.CompilerConfig{DB: db, Authority: s.authority, Now: s.c.Now})
	publisher := publishing.New(publishing.Config{DB: db, Authority: s.authority, Packages: s.c.Packages, Now: s.c.Now})
	dispatcher, err := inbox.NewDispatcher(inbox.DispatcherConfig{
		DB: db, Subscribe: db.Subscribe, Handlers: s.handlers(), Keys: s.keysOf, Now: s.c.Now,
		Pass: func(ctx context.Context, pass func(context.Context) error) error {
			return reporter.Pass(ctx, "dispatcher", pass)
		},
	})
	if err != nil {
		return nil, err
	}
	tasks := []lifecycle.Task{{Name: "dispatcher", Run: dispatcher.Run}}
	for _, c := range []struct {
		name   string
		topic  string
		period time.Duration
		pass   func(context.Context) error
	}{
		{"registrar", device.TopicRegistration, 5 * time.Second, registrar.Pass},
		{"policy", policy.TopicWanted, 10 * time.Second, ignoreCount(compiler.Pass)},
		// Packages laid into the folder announce nothing.
		{"publishing", "site", time.Minute, publisher.Pass},
		{"maintenance", "", time.Hour, s.maintain(db)},
		{"site system", "", 30 * time.Second, s.sayAlive(db)},
	} {
		tasks = append(tasks, lifecycle.Task{Name: c.name, Run: lifecycle.Reconciler{
			Name: c.name, Woken: db.Subscribe(ctx, c.topic), Period: c.period,
			Pass: func(ctx context.Context) error { return reporter.Pass(ctx, c.name, c.pass) },
		}.Run})
	}
	return tasks, nil
}

// sayAlive records that this site system works.
func (s *SiteServer) sayAlive(db sitedb.Writer) func(context.Context) error {
	return func(ctx context.Context) error {
		return db.Write(ctx, func(tx *sitedb.Tx) error { return site.Seen(ctx, tx, s.c.System, s.c.Now()) })
	}
}

func ignoreCount(pass func(context.Context) (int, error)) func(context.Context) error {
	return func(ctx context.Context) error {
		_, err := pass(ctx)
		return err
	}
}
