package access

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"mainstay/lib/fault"
	"mainstay/lib/ratelimit"
	"mainstay/site/sitedb"
)

// DoorConfig is what a Door needs.
type DoorConfig struct {
	DB sitedb.Writer
	// Now is the clock; required.
	Now func() time.Time
}

// Door lets administrators in: it checks names, passwords, codes and sessions.
// It may be used by many goroutines.
type Door struct {
	c      DoorConfig
	hasher hasher
	// Attempts are limited by where they come from, and by whom they are for
	// from there. A limit by name alone would let anybody lock others out.
	bySource, byName *ratelimit.Limiter
}

// NewDoor makes a door.
func NewDoor(c DoorConfig) (*Door, error) {
	if c.DB == nil || c.Now == nil {
		return nil, fault.New(fault.Invalid, "the door for administrators needs a database and a clock")
	}
	bySource, err := ratelimit.New(ratelimit.Config{Burst: 30, Every: 4 * time.Second, Keys: 10_000})
	if err != nil {
		return nil, err
	}
	byName, err := ratelimit.New(ratelimit.Config{Burst: 6, Every: 20 * time.Second, Keys: 10_000})
	if err != nil {
		return nil, err
	}
	return &Door{c: c, hasher: newHasher(), bySource: bySource, byName: byName}, nil
}

// SignIn is what somebody offers to be let in: name and password, or a code.
type SignIn struct {
	Name, Password string
	Code           string
	// Kind is KindBrowser or KindCommand.
	Kind   string
	Source string
}

// TooMany is a refused attempt because there were too many before.
type TooMany struct{ Wait time.Duration }

// Error says when to come back.
func (e *TooMany) Error() string {
	return "too many attempts; try again in " + e.Wait.Round(time.Second).String()
}

// refused is the one answer to every attempt that does not succeed, so that
// nobody learns which part was wrong.
func refused() error {
	return fault.New(fault.Denied, "name and password, or the code, are not right")
}

// SignIn checks what is offered and opens a session. Every failure is Denied
// with the same text, or *TooMany. Attempts are in the audit trail.
func (d *Door) SignIn(ctx context.Context, s SignIn) (secret string, session Session, err error) {
	now := d.c.Now()
	if s.Kind != KindBrowser && s.Kind != KindCommand {
		return "", session, fault.InvalidField("kind", "%q is neither %s nor %s", clip(s.Kind), KindBrowser, KindCommand)
	}
	if err := d.limit(s, now); err != nil {
		return "", session, err
	}
	if s.Code != "" {
		secret, session, err = d.byCode(ctx, s, now)
	} else {
		secret, session, err = d.byPassword(ctx, s, now)
	}
	if fault.Is(err, fault.Denied) {
		return "", Session{}, d.refuse(ctx, s, now)
	}
	if err == nil {
		d.byName.Forgive(attemptKey(s), now)
		d.bySource.Forgive(sourceKey(s.Source), now)
	}
	return secret, session, err
}

func (d *Door) limit(s SignIn, now time.Time) error {
	if ok, wait := d.bySource.Allow(sourceKey(s.Source), now); !ok {
		return &TooMany{wait}
	}
	if ok, wait := d.byName.Allow(attemptKey(s), now); !ok {
		return &TooMany{wait}
	}
	return nil
}

// sourceKey leaves out what a stranger can change at will: of an IPv6 address
// only the network counts.
func sourceKey(source string) string {
	if strings.Count(source, ":") < 2 {
		return source
	}
	parts := strings.SplitN(source, ":", 5)
	return strings.Join(parts[:min(4, len(parts))], ":")
}

func attemptKey(s SignIn) string { return sourceKey(s.Source) + " " + strings.ToLower(clip(s.Name)) }

// refuse records a failed attempt and gives the one answer.
func (d *Door) refuse(ctx context.Context, s SignIn, now time.Time) error {
	by := Caller{Name: clip(s.Name), Source: s.Source}
	how := "password"
	if s.Code != "" {
		by.Name, how = "", "code"
	}
	err := d.c.DB.Write(ctx, func(tx *sitedb.Tx) error {
		return Record(ctx, tx, by, Entry{
			Action: "session.create", ObjectType: "session", Outcome: OutcomeDenied, Detail: map[string]string{"by": how},
		}, now)
	})
	if err != nil {
		return err
	}
	return refused()
}

func (d *Door) byPassword(ctx context.Context, s SignIn, now time.Time) (secret string, session Session, err error) {
	if len(s.Password) > MaxPassword {
		return "", session, refused()
	}
	var row administratorRow
	err = d.c.DB.Read(ctx, func(tx *sitedb.Tx) (err error) {
		row, _, err = administratorNamed.One(ctx, tx, struct {
			Name string `db:"name"`
		}{s.Name})
		return err
	})
	if err != nil {
		return "", session, err
	}
	// An unknown name takes as long as a known one.
	ok, err := d.hasher.matches(ctx, PasswordHash(row.PasswordHash), s.Password)
	if err != nil || !ok {
		if err == nil {
			err = refused()
		}
		return "", session, err
	}
	err = d.c.DB.Write(ctx, func(tx *sitedb.Tx) (err error) {
		secret, session, err = letIn(ctx, tx, row.ID, row.PasswordHash, s, "password", now)
		return err
	})
	return secret, session, err
}

func (d *Door) byCode(ctx context.Context, s SignIn, now time.Time) (secret string, session Session, err error) {
	err = d.c.DB.Write(ctx, func(tx *sitedb.Tx) error {
		code, ok, err := takeCode.One(ctx, tx, codeRow{CodeHash: hashSecret(s.Code)})
		if err != nil {
			return err
		}
		if !ok || code.ExpiresAt <= sitedb.Micros(now) {
			return refused()
		}
		secret, session, err = letIn(ctx, tx, code.Administrator, "", s, "code", now)
		return err
	})
	return secret, session, err
}

// letIn opens a session for an administrator who has shown what is needed; a
// password that was changed or an administrator who was disabled meanwhile is
// refused.
func letIn(ctx context.Context, tx *sitedb.Tx, id, passwordHash string, s SignIn, how string, now time.Time) (string, Session, error) {
	row, err := loadAdministrator(ctx, tx, id)
	if err != nil {
		return "", Session{}, err
	}
	if row.DisabledAt != nil || passwordHash != "" && row.PasswordHash != passwordHash {
		return "", Session{}, refused()
	}
	secret, session, err := openSession(ctx, tx, row.Administrator, s.Kind, s.Source, now)
	if err != nil {
		return "", session, err
	}
	by := Caller{ID: row.ID, Name: row.Name, Source: s.Source, Session: session.ID}
	return secret, session, Record(ctx, tx, by, Entry{
		Action: "session.create", ObjectType: "session", ObjectID: session.ID, Detail: map[string]string{"by": how, "kind": s.Kind},
	}, now)
}

// Caller finds who is behind the secret of a session. A secret that is unknown,
// has ended or belongs to a disabled administrator is Denied.
func (d *Door) Caller(ctx context.Context, secret, source string) (Caller, Session, error) {
	now := d.c.Now()
	if !strings.HasPrefix(secret, sessionPrefix) || len(secret) > 100 {
		return Caller{}, Session{}, fault.New(fault.Denied, "not signed in")
	}
	var row sessionJoin
	var roles []string
	err := d.c.DB.Read(ctx, func(tx *sitedb.Tx) error {
		found, ok, err := sessionBySecret.One(ctx, tx, sessionRow{SecretHash: hashSecret(secret)})
		if err != nil {
			return err
		}
		ended := found.ExpiresAt <= sitedb.Micros(now) || found.UsedAt <= sitedb.Micros(now.Add(-SessionIdle))
		if !ok || ended || found.DisabledAt != nil {
			return fault.New(fault.Denied, "not signed in")
		}
		row = found
		roles, err = loadRoles(ctx, tx, row.Administrator)
		return err
	})
	if err != nil {
		return Caller{}, Session{}, err
	}
	caller := Caller{ID: row.Administrator, Name: row.Name, Source: source, Session: row.ID, Roles: roles}
	if err := d.used(ctx, row.Session, source, now); err != nil {
		// Whoever only reads can go on while nothing can be written.
		slog.WarnContext(ctx, "the use of a session was not recorded", "component", "provider", "error", err)
	}
	return caller, row.Session, nil
}

func (d *Door) used(ctx context.Context, s Session, source string, now time.Time) error {
	if sitedb.Micros(now)-s.UsedAt < useRecorded.Microseconds() {
		return nil
	}
	s.UsedAt, s.Source = sitedb.Micros(now), source
	return d.c.DB.Write(ctx, func(tx *sitedb.Tx) error {
		_, err := useSession.Exec(ctx, tx, s)
		return err
	})
}

// Local is the caller whom the operating system has named; one who was disabled
// is Denied.
func (d *Door) Local(ctx context.Context, user, source string) (Caller, error) {
	caller := Local(user, source)
	err := d.c.DB.Read(ctx, func(tx *sitedb.Tx) error {
		row, ok, err := administratorNamed.One(ctx, tx, struct {
			Name string `db:"name"`
		}{caller.Name})
		if err != nil || !ok {
			return err
		}
		if row.DisabledAt != nil {
			return fault.New(fault.Denied, "%s is disabled; another administrator can enable it", caller.Name)
		}
		caller.ID = row.ID
		return nil
	})
	if err != nil {
		return Caller{}, err
	}
	return caller, nil
}

// HashPassword checks a new password and gives it the form in which it is kept.
// It takes some 20 ms of one processor, so call it outside transactions.
func (d *Door) HashPassword(ctx context.Context, name, password string) (PasswordHash, error) {
	if err := CheckPassword(name, password); err != nil {
		return "", err
	}
	return d.hasher.hash(ctx, password)
}

// CheckOwnPassword tells whether a caller who is about to change their own
// password knows the current one. One who has none, or may modify
// administrators from the local socket, needs none. Attempts are limited.
func (d *Door) CheckOwnPassword(ctx context.Context, caller Caller, current string) error {
	now := d.c.Now()
	attempt := SignIn{Name: caller.Name, Source: "own password of " + caller.ID}
	if ok, wait := d.byName.Allow(attemptKey(attempt), now); !ok {
		return &TooMany{wait}
	}
	var row administratorRow
	err := d.c.DB.Read(ctx, func(tx *sitedb.Tx) (err error) {
		row, err = loadAdministrator(ctx, tx, caller.ID)
		return err
	})
	if err != nil || row.PasswordHash == "" {
		return err
	}
	ok, err := d.hasher.matches(ctx, PasswordHash(row.PasswordHash), current)
	if err == nil && !ok {
		err = fault.New(fault.Denied, "the current password is not right")
	}
	if err == nil {
		d.byName.Forgive(attemptKey(attempt), now)
	}
	return err
}

// StillIn tells whether a caller who was let in would still be: the session
// has not ended and the administrator is not disabled. Denied when not.
func (d *Door) StillIn(ctx context.Context, caller Caller) error {
	now := d.c.Now()
	return d.c.DB.Read(ctx, func(tx *sitedb.Tx) error {
		if caller.Session != "" {
			s, err := OwnSession(ctx, tx, caller)
			if err != nil {
				return err
			}
			if s.ExpiresAt <= sitedb.Micros(now) || s.UsedAt <= sitedb.Micros(now.Add(-SessionIdle)) {
				return fault.New(fault.Denied, "the session has ended")
			}
		}
		if caller.ID == "" {
			return nil
		}
		row, err := loadAdministrator(ctx, tx, caller.ID)
		if err == nil && row.DisabledAt != nil {
			err = fault.New(fault.Denied, "%s is disabled", caller.Name)
		}
		return err
	})
}
