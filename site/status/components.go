package status

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"mainstay/lib/fault"
	"mainstay/lib/sqldb"
	"mainstay/site"
	"mainstay/site/sitedb"
)

// TopicComponent is announced when the state of a component changed.
const TopicComponent = "component"

// Component is how a component of a site system is.
type Component struct {
	// System is the identifier of the site system.
	System string `db:"site_system"`
	Name   string `db:"name"`
	// State is site.StateOK or site.StateFailed, since StateSince.
	State      string `db:"state"`
	StateSince int64  `db:"state_since"`
	// Detail says what failed.
	Detail string `db:"detail"`
	// PassAt is when its last pass began, PassMicros how long it took.
	PassAt     int64 `db:"pass_at"`
	PassMicros int64 `db:"pass_micros"`
	// Passes and Failures count since the component first ran on the system.
	Passes   int64 `db:"passes"`
	Failures int64 `db:"failures"`
}

// ReporterConfig configures a Reporter.
type ReporterConfig struct {
	DB sitedb.Writer
	// System is the identifier of this site system.
	System string
	// Period is how often passes that change nothing are written; 0 means 15 s.
	Period time.Duration
	// Quiet is how long a component that fails again and again is not reported
	// by another status message; 0 means 10 minutes.
	Quiet time.Duration
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// Reporter keeps the books of the components of one site system.
type Reporter struct {
	config ReporterConfig

	mu    sync.Mutex // guards everything below
	books map[string]*book
}

// book is what was not written yet of a component, and what was.
type book struct {
	row       Component // passes and failures since the last write
	written   string    // the state that the table has
	writtenAt time.Time
	toldAt    time.Time // when a status message told of a failure
	told      bool      // and nobody was told of its end
}

// NewReporter makes a Reporter.
func NewReporter(c ReporterConfig) *Reporter {
	if c.Period == 0 {
		c.Period = 15 * time.Second
	}
	if c.Quiet == 0 {
		c.Quiet = 10 * time.Minute
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Reporter{config: c, books: map[string]*book{}}
}

// Pass runs one pass of a component, notes how it went and returns its error.
// That a pass was told to end, or that the term is over, is no failure of the
// component.
func (r *Reporter) Pass(ctx context.Context, name string, pass func(context.Context) error) error {
	started := r.config.Now()
	err := pass(ctx)
	if ctx.Err() != nil || fault.Is(err, fault.Stale) {
		return err
	}
	if told := r.note(ctx, name, started, err); told != nil {
		slog.WarnContext(ctx, "the state of a component cannot be written", "component", name, "error", told)
	}
	return err
}

// note writes when the state changed or when it has not written for a while.
func (r *Reporter) note(ctx context.Context, name string, started time.Time, failure error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.config.Now()
	b := r.books[name]
	if b == nil {
		b = &book{row: Component{System: r.config.System, Name: name}}
		r.books[name] = b
	}
	state, detail := site.StateOK, ""
	if failure != nil {
		state, detail = site.StateFailed, clean(failure.Error())
		b.row.Failures++
	}
	if b.row.State != state {
		b.row.State, b.row.StateSince = state, sitedb.Micros(now)
	}
	failedFor := now.Sub(b.toldAt)
	b.row.Detail, b.row.PassAt, b.row.PassMicros = detail, sitedb.Micros(started), now.Sub(started).Microseconds()
	b.row.Passes++
	if b.written == state && now.Sub(b.writtenAt) < r.config.Period {
		return nil
	}
	message := Message{ID: ComponentFailed, System: r.config.System, Component: name, Insertions: []string{detail}, Time: now}
	tell := failure != nil && b.written != state && failedFor >= r.config.Quiet
	if failure == nil && b.told {
		tell = true
		message.ID, message.Insertions = ComponentRecovered, []string{failedFor.Round(time.Second).String()}
	}
	err := r.config.DB.Write(ctx, func(tx *sitedb.Tx) error {
		if _, err := putComponent.Exec(ctx, tx, b.row); err != nil {
			return err
		}
		tx.Announce(TopicComponent)
		if !tell {
			return nil
		}
		return Report(ctx, tx, message)
	})
	if err != nil {
		return err
	}
	b.written, b.writtenAt = state, now
	b.row.Passes, b.row.Failures = 0, 0
	if tell {
		b.told = failure != nil
		if b.told {
			b.toldAt = now
		}
	}
	return nil
}

// Components lists the components of all site systems.
func Components(ctx context.Context, tx *sitedb.Tx) ([]Component, error) {
	return listComponents.All(ctx, tx, sqldb.None{})
}

// PutComponent sets the state of a component that has no passes, such as a
// listener. A nil failure is OK.
func PutComponent(ctx context.Context, tx *sitedb.Tx, system, name string, failure error, now time.Time) error {
	row := Component{System: system, Name: name, State: site.StateOK, StateSince: sitedb.Micros(now), PassAt: sitedb.Micros(now)}
	if failure != nil {
		var known *fault.Error
		row.State, row.Detail = site.StateFailed, clean(failure.Error())
		if errors.As(failure, &known) && known.Cause == nil {
			row.Detail = clean(known.Text)
		}
	}
	_, err := putComponent.Exec(ctx, tx, row)
	tx.Announce(TopicComponent)
	return err
}

var (
	putComponent = sqldb.Define[Component, sqldb.None]("status.putComponent",
		`INSERT INTO component (site_system, name, state, state_since, detail, pass_at, pass_micros, passes, failures)
		 VALUES (@site_system, @name, @state, @state_since, @detail, @pass_at, @pass_micros, @passes, @failures)
		 ON CONFLICT (site_system, name) DO UPDATE SET
		   state_since = CASE WHEN component.state = excluded.state THEN component.state_since ELSE excluded.state_since END,
		   state = excluded.state, detail = excluded.detail, pass_at = excluded.pass_at, pass_micros = excluded.pass_micros,
		   passes = component.passes + excluded.passes, failures = component.failures + excluded.failures`)
	listComponents = sqldb.Define[sqldb.None, Component]("status.listComponents",
		`SELECT site_system, name, state, state_since, detail, pass_at, pass_micros, passes, failures
		 FROM component ORDER BY name, site_system`)
)
