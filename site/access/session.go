package access

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"mainstay/lib/fault"
	"mainstay/lib/listing"
	"mainstay/lib/sqldb"
	"mainstay/site/sitedb"
)

// Lifetimes.
const (
	// SessionIdle ends a session that nobody uses.
	SessionIdle = 8 * time.Hour
	// SessionLifetime ends every session.
	SessionLifetime = 7 * 24 * time.Hour
	// CodeLifetime ends a sign-in code that nobody used.
	CodeLifetime = 10 * time.Minute
	// useRecorded is how exact the time of the last use is: a write for every
	// request would be too much.
	useRecorded = time.Minute
)

// maxSessions is how many sessions an administrator has at once; the oldest
// ends when there would be more.
const maxSessions = 50

// Kinds of a session.
const (
	KindBrowser = "browser"
	KindCommand = "command"
)

// Prefixes tell people what they have found, and scanners for leaked secrets
// what they look for.
const (
	sessionPrefix = "mss1_"
	codePrefix    = "msc1_"
)

// Session is a time in which an administrator is signed in.
type Session struct {
	ID            string `db:"id"`
	Administrator string `db:"administrator"`
	// Name is the administrator's name.
	Name string `db:"name"`
	// Kind is KindBrowser or KindCommand.
	Kind      string `db:"kind"`
	Source    string `db:"source"`
	CreatedAt int64  `db:"created_at"`
	// UsedAt is right to a minute.
	UsedAt    int64 `db:"used_at"`
	ExpiresAt int64 `db:"expires_at"`
}

type sessionRow struct {
	Session
	SecretHash []byte `db:"secret_hash"`
}

// sessionJoin is a session with what its administrator is now.
type sessionJoin struct {
	Session
	DisabledAt *int64 `db:"disabled_at"`
}

type codeRow struct {
	CodeHash      []byte `db:"code_hash"`
	Administrator string `db:"administrator"`
	CreatedAt     int64  `db:"created_at"`
	ExpiresAt     int64  `db:"expires_at"`
}

const (
	sessionColumns = `s.id, s.administrator, a.name, s.kind, s.source, s.created_at, s.used_at, s.expires_at`
	sessionFrom    = `session s JOIN administrator a ON a.id = s.administrator`
)

var (
	insertSession = sqldb.Define[sessionRow, sqldb.None]("access.insertSession",
		`INSERT INTO session (id, secret_hash, administrator, kind, source, created_at, used_at, expires_at)
		 VALUES (@id, @secret_hash, @administrator, @kind, @source, @created_at, @used_at, @expires_at)`)
	sessionBySecret = sqldb.Define[sessionRow, sessionJoin]("access.sessionBySecret",
		`SELECT `+sessionColumns+`, a.disabled_at FROM `+sessionFrom+` WHERE s.secret_hash = @secret_hash`)
	sessionByID = sqldb.Define[byID, Session]("access.sessionByID",
		`SELECT `+sessionColumns+` FROM `+sessionFrom+` WHERE s.id = @id`)
	useSession = sqldb.Define[Session, sqldb.None]("access.useSession",
		`UPDATE session SET used_at = @used_at, source = @source WHERE id = @id AND used_at < @used_at`)
	deleteSession = sqldb.Define[byID, sqldb.None]("access.deleteSession",
		`DELETE FROM session WHERE id = @id`)
	deleteSessionsOf = sqldb.Define[struct {
		Administrator string `db:"administrator"`
		Keep          string `db:"keep"`
	}, sqldb.None]("access.deleteSessionsOf",
		`DELETE FROM session WHERE administrator = @administrator AND id <> @keep`)
	deleteCodesOf = sqldb.Define[byID, sqldb.None]("access.deleteCodesOf",
		`DELETE FROM sign_in_code WHERE administrator = @id`)
	deleteEndedSessions = sqldb.Define[struct {
		Now  int64 `db:"now"`
		Idle int64 `db:"idle"`
	}, sqldb.None]("access.deleteEndedSessions",
		`DELETE FROM session WHERE expires_at <= @now OR used_at <= @idle`)
	deleteEndedCodes = sqldb.Define[struct {
		Now int64 `db:"now"`
	}, sqldb.None]("access.deleteEndedCodes",
		`DELETE FROM sign_in_code WHERE expires_at <= @now`)
	deleteSurplusSessions = sqldb.Define[struct {
		Administrator string `db:"administrator"`
		Keep          int64  `db:"keep"`
	}, sqldb.None]("access.deleteSurplusSessions",
		`DELETE FROM session WHERE administrator = @administrator AND id NOT IN
		   (SELECT id FROM session WHERE administrator = @administrator ORDER BY used_at DESC, id LIMIT @keep)`)
	insertCode = sqldb.Define[codeRow, sqldb.None]("access.insertCode",
		`INSERT INTO sign_in_code (code_hash, administrator, created_at, expires_at) VALUES (@code_hash, @administrator, @created_at, @expires_at)`)
	takeCode = sqldb.Define[codeRow, codeRow]("access.takeCode",
		`DELETE FROM sign_in_code WHERE code_hash = @code_hash RETURNING code_hash, administrator, created_at, expires_at`)
)

// SessionTable describes the list of sessions.
func SessionTable() listing.Table {
	return listing.Table{
		Columns: []listing.Column{
			{Name: "id", SQL: "s.id"},
			{Name: "administrator", SQL: "a.name"},
			{Name: "kind", SQL: "s.kind", Values: []string{KindBrowser, KindCommand}},
			{Name: "source", SQL: "s.source"},
			{Name: "created_at", SQL: "s.created_at", Kind: listing.Time},
			{Name: "used_at", SQL: "s.used_at", Kind: listing.Time},
			{Name: "expires_at", SQL: "s.expires_at", Kind: listing.Time},
		},
		Key: "id", Sort: "-used_at",
	}
}

// newSecret draws a secret and its hash, which alone is kept.
func newSecret(prefix string) (secret string, hash []byte) {
	data := make([]byte, 32)
	rand.Read(data)
	secret = prefix + base64.RawURLEncoding.EncodeToString(data)
	return secret, hashSecret(secret)
}

func hashSecret(secret string) []byte {
	sum := sha256.Sum256([]byte(secret))
	return sum[:]
}

// openSession makes a session and returns its secret.
func openSession(ctx context.Context, tx *sitedb.Tx, a Administrator, kind, source string, now time.Time) (string, Session, error) {
	secret, hash := newSecret(sessionPrefix)
	s := Session{
		ID: uuid.NewString(), Administrator: a.ID, Name: a.Name, Kind: kind, Source: source,
		CreatedAt: sitedb.Micros(now), UsedAt: sitedb.Micros(now), ExpiresAt: sitedb.Micros(now.Add(SessionLifetime)),
	}
	if _, err := insertSession.Exec(ctx, tx, sessionRow{s, hash}); err != nil {
		return "", s, fmt.Errorf("cannot store session of %s: %w", a.Name, err)
	}
	if _, err := deleteEndedSessions.Exec(ctx, tx, struct {
		Now  int64 `db:"now"`
		Idle int64 `db:"idle"`
	}{sitedb.Micros(now), sitedb.Micros(now.Add(-SessionIdle))}); err != nil {
		return "", s, err
	}
	_, err := deleteSurplusSessions.Exec(ctx, tx, struct {
		Administrator string `db:"administrator"`
		Keep          int64  `db:"keep"`
	}{a.ID, maxSessions})
	tx.Announce("session")
	return secret, s, err
}

func endSessionsOf(ctx context.Context, tx *sitedb.Tx, administrator, keep string) error {
	if _, err := deleteSessionsOf.Exec(ctx, tx, struct {
		Administrator string `db:"administrator"`
		Keep          string `db:"keep"`
	}{administrator, keep}); err != nil {
		return err
	}
	_, err := deleteCodesOf.Exec(ctx, tx, byID{administrator})
	return err
}

// ListSessions reads one page of the sessions: the caller's own, and those of
// others for whoever may read sessions.
func ListSessions(ctx context.Context, tx *sitedb.Tx, caller Caller, r listing.Request, now time.Time) (listing.Page[Session], error) {
	plan, err := SessionTable().Plan(r, now)
	if err != nil {
		return listing.Page[Session]{}, err
	}
	source := listing.Source{Columns: sessionColumns, From: sessionFrom, Where: "s.expires_at > ? AND s.used_at > ?",
		Args: []any{sitedb.Micros(now), sitedb.Micros(now.Add(-SessionIdle))}}
	if !caller.Scope(SessionRead).SeesAll() {
		source.Where += " AND a.name = ?"
		source.Args = append(source.Args, caller.Name)
	}
	return listing.List[Session](ctx, tx, plan, source)
}

// EndSession ends a session: one's own, or anybody's for whoever may delete
// sessions.
func EndSession(ctx context.Context, tx *sitedb.Tx, caller Caller, id string, now time.Time) error {
	s, ok, err := sessionByID.One(ctx, tx, byID{id})
	if err != nil {
		return err
	}
	own := ok && s.Name == caller.Name
	if !own {
		if err := caller.Require(SessionDelete); err != nil {
			return err
		}
	}
	if !ok {
		return fault.New(fault.NotFound, "no session has the identifier %q; it may have ended", clip(id))
	}
	if _, err := deleteSession.Exec(ctx, tx, byID{id}); err != nil {
		return err
	}
	tx.Announce("session")
	return Record(ctx, tx, caller, Entry{
		Action: "session.end", ObjectType: "session", ObjectID: id, Detail: map[string]string{"administrator": s.Name},
	}, now)
}

// SignInCode is a code that signs in once. It is shown once and never kept.
type SignInCode struct {
	Code      string
	Name      string
	ExpiresAt int64
}

// CreateSignInCode makes a code for an administrator, or for the caller when id
// is "self". A local administrator gets a row, so that the session has one.
func CreateSignInCode(ctx context.Context, tx *sitedb.Tx, caller Caller, siteCode, id string, now time.Time) (SignInCode, error) {
	a, err := codeHolder(ctx, tx, caller, siteCode, id, now)
	if err != nil {
		return SignInCode{}, err
	}
	if a.DisabledAt != nil {
		return SignInCode{}, fault.New(fault.Conflict, "%s is disabled; enable the administrator first", a.Name)
	}
	if _, err := deleteEndedCodes.Exec(ctx, tx, struct {
		Now int64 `db:"now"`
	}{sitedb.Micros(now)}); err != nil {
		return SignInCode{}, err
	}
	code, hash := newSecret(codePrefix)
	row := codeRow{CodeHash: hash, Administrator: a.ID, CreatedAt: sitedb.Micros(now), ExpiresAt: sitedb.Micros(now.Add(CodeLifetime))}
	if _, err := insertCode.Exec(ctx, tx, row); err != nil {
		return SignInCode{}, err
	}
	return SignInCode{code, a.Name, row.ExpiresAt}, Record(ctx, tx, caller, Entry{
		Action: "administrator.create-sign-in-code", ObjectType: "administrator", ObjectID: a.ID, Detail: map[string]string{"name": a.Name},
	}, now)
}

func codeHolder(ctx context.Context, tx *sitedb.Tx, caller Caller, siteCode, id string, now time.Time) (Administrator, error) {
	if id == "self" {
		id = caller.ID
	}
	if id != "" {
		row, err := ownOrChangeable(ctx, tx, caller, id)
		return row.Administrator, err
	}
	if !strings.HasPrefix(caller.Name, LocalPrefix) {
		return Administrator{}, fault.New(fault.Denied, "%s cannot sign in", caller.Name)
	}
	a := Administrator{
		ID: uuid.NewString(), SiteCode: siteCode, Name: caller.Name, CreatedBy: caller.Name,
		CreatedAt: sitedb.Micros(now), Roles: []string{FullAdministrator},
	}
	return a, putAdministrator(ctx, tx, a, "")
}

// OwnSession is the session in which the caller asks.
func OwnSession(ctx context.Context, tx *sitedb.Tx, caller Caller) (Session, error) {
	s, ok, err := sessionByID.One(ctx, tx, byID{caller.Session})
	if err == nil && !ok {
		err = fault.New(fault.NotFound, "the session has ended")
	}
	return s, err
}
