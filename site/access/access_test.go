package access

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"mainstay/lib/fault"
	"mainstay/lib/listing"
	"mainstay/lib/sqldb"
	"mainstay/site/sitedb"
)

// site is a database with a door, and a clock that tests move.
type site struct {
	t    *testing.T
	db   *sitedb.DB
	door *Door

	mu  sync.Mutex
	now time.Time
}

const password = "correct horse battery"

func setup(t *testing.T) *site {
	t.Helper()
	db, err := sitedb.Open(t.Context(), sitedb.Config{Path: filepath.Join(t.TempDir(), "site.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	s := &site{t: t, db: db, now: time.Date(2026, 11, 3, 9, 0, 0, 0, time.UTC)}
	if s.door, err = NewDoor(DoorConfig{DB: db, Now: s.clock}); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *site) clock() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

func (s *site) pass(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = s.now.Add(d)
}

func (s *site) write(f func(tx *sitedb.Tx) error) error {
	return s.db.Write(s.t.Context(), f)
}

func (s *site) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) create(name string, roles ...string) Administrator {
	s.t.Helper()
	hash, err := s.door.HashPassword(s.t.Context(), name, password)
	s.must(err)
	var a Administrator
	s.must(s.write(func(tx *sitedb.Tx) (err error) {
		a, err = CreateAdministrator(s.t.Context(), tx, Local("root", "local socket"), NewAdministrator{SiteCode: "LAB", Name: name, Password: hash, Roles: roles}, s.clock())
		return err
	}))
	return a
}

func (s *site) signIn(name, password string) (string, error) {
	secret, _, err := s.door.SignIn(s.t.Context(), SignIn{Name: name, Password: password, Kind: KindCommand, Source: "192.0.2.7"})
	return secret, err
}

func (s *site) caller(secret string) (Caller, error) {
	c, _, err := s.door.Caller(s.t.Context(), secret, "192.0.2.7")
	return c, err
}

func (s *site) audit(filter string) []AuditEntry {
	s.t.Helper()
	var page listing.Page[AuditEntry]
	s.must(s.db.Read(s.t.Context(), func(tx *sitedb.Tx) (err error) {
		page, err = ListAudit(s.t.Context(), tx, Everything(), listing.Request{Filter: filter, Sort: "id"}, s.clock())
		return err
	}))
	return page.Items
}

func TestNobodyMayDoOrSeeAnything(t *testing.T) {
	t.Parallel()
	var nobody Caller
	for _, p := range Permissions() {
		if nobody.May(p) || nobody.Scope(p).SeesAll() || nobody.Require(p) == nil {
			t.Errorf("nobody has %s", p)
		}
	}
	if (Caller{Roles: []string{FullAdministrator}}).May(DeviceRead) {
		t.Error("a caller without a name has permissions")
	}
	var none Scope
	if none.SeesAll() || none.SQL() != "FALSE" {
		t.Error("the zero scope shows something")
	}
}

func TestRolesAreWhatTheirNamesSay(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		role       string
		may, mayNo []Permission
	}{
		{FullAdministrator, Permissions(), nil},
		{OperationsAdministrator, []Permission{DeviceDelete, ClientSettingDeploy, AuditRead}, []Permission{AdministratorRead, SessionDelete, RoleRead}},
		{SecurityAdministrator, []Permission{AdministratorModify, SessionDelete, AuditRead}, []Permission{DeviceRead, DeviceModify, ClientSettingModify}},
		{ReadOnlyAnalyst, []Permission{DeviceRead, AuditRead}, []Permission{DeviceModify, DeadLetterReplay, RegistrationApprove, RegistrationTokenCreate, ClientSettingDeploy}},
		{InfrastructureAdministrator, []Permission{DeadLetterReplay, RegistrationApprove, SiteModify}, []Permission{DeviceModify, AdministratorCreate}},
		{AssetManager, []Permission{DeviceRead, ClientSettingModify}, []Permission{DeviceModify, ClientSettingDeploy}},
	} {
		c := Caller{Name: "x", Roles: []string{test.role}}
		for _, p := range test.may {
			if !c.May(p) {
				t.Errorf("%s has no %s", test.role, p)
			}
		}
		for _, p := range test.mayNo {
			if c.May(p) {
				t.Errorf("%s has %s", test.role, p)
			}
		}
	}
	if r, err := RoleNamed("read-only ANALYST"); err != nil || r.ID != ReadOnlyAnalyst {
		t.Errorf("a role is not found by its name: %v", err)
	}
}

func TestSignInByPassword(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.create("alice", SecurityAdministrator)
	secret, err := s.signIn("alice", password)
	s.must(err)
	c, err := s.caller(secret)
	s.must(err)
	if c.Name != "alice" || !c.May(AuditRead) || c.May(DeviceRead) {
		t.Errorf("the session is %+v", c)
	}
	for _, bad := range []string{secret + "x", "mss1_", "", "Bearer " + secret, sessionPrefix + strings.Repeat("A", 43)} {
		if _, err := s.caller(bad); !fault.Is(err, fault.Denied) {
			t.Errorf("%q signs in: %v", bad, err)
		}
	}
}

// TestFailuresLookAlike: whoever fails to sign in does not learn why.
func TestFailuresLookAlike(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.create("alice", ReadOnlyAnalyst)
	bob := s.create("bob", ReadOnlyAnalyst)
	s.must(s.write(func(tx *sitedb.Tx) error {
		_, err := SetDisabled(t.Context(), tx, Local("root", "x"), bob.ID, true, s.clock())
		return err
	}))
	s.must(s.write(func(tx *sitedb.Tx) error {
		_, err := CreateAdministrator(t.Context(), tx, Local("root", "x"), NewAdministrator{Name: "nopassword", Roles: []string{ReadOnlyAnalyst}}, s.clock())
		return err
	}))
	want := refused().Error()
	for _, try := range []SignIn{
		{Name: "alice", Password: "wrong"}, {Name: "nobody", Password: password}, {Name: "bob", Password: password},
		{Name: "nopassword", Password: ""}, {Name: "nopassword", Password: "x"}, {Name: "alice", Password: strings.Repeat("x", 5000)},
		{Code: "msc1_wrong"}, {Name: "alice"},
	} {
		try.Kind, try.Source = KindCommand, "192.0.2.7"
		_, _, err := s.door.SignIn(t.Context(), try)
		if !fault.Is(err, fault.Denied) || err.Error() != want {
			t.Errorf("%+v: %v, want %q", try, err, want)
		}
	}
	denied := s.audit("outcome=denied")
	if len(denied) != 8 {
		t.Fatalf("%d of 8 failed attempts are in the audit trail", len(denied))
	}
	for _, e := range denied {
		if strings.Contains(e.Detail, password) || strings.Contains(e.Detail, "wrong") {
			t.Errorf("the audit trail holds what was offered: %+v", e)
		}
	}
}

func TestSessionsEnd(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		step time.Duration // between uses
		uses int
		ok   bool
	}{
		{"used now and then", 7 * time.Hour, 5, true},
		{"idle for eight hours", 8 * time.Hour, 1, false},
		{"used for a week", 7 * time.Hour, 24, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := setup(t)
			s.create("alice", ReadOnlyAnalyst)
			secret, err := s.signIn("alice", password)
			s.must(err)
			for range test.uses {
				s.pass(test.step)
				_, err = s.caller(secret)
			}
			if (err == nil) != test.ok {
				t.Errorf("at the end: %v", err)
			}
			if !test.ok && !fault.Is(err, fault.Denied) {
				t.Errorf("the error is %v, want Denied", err)
			}
		})
	}
}

func TestDisabledIsOutAtOnce(t *testing.T) {
	t.Parallel()
	s := setup(t)
	a := s.create("alice", ReadOnlyAnalyst)
	secret, err := s.signIn("alice", password)
	s.must(err)
	change := func(disabled bool) {
		s.must(s.write(func(tx *sitedb.Tx) error {
			_, err := SetDisabled(t.Context(), tx, Local("root", "x"), a.ID, disabled, s.clock())
			return err
		}))
	}
	change(true)
	if _, err := s.caller(secret); !fault.Is(err, fault.Denied) {
		t.Errorf("the session of a disabled administrator: %v", err)
	}
	change(false)
	if _, err := s.caller(secret); !fault.Is(err, fault.Denied) {
		t.Error("the session came back with the administrator")
	}
	if _, err := s.signIn("alice", password); err != nil {
		t.Errorf("an enabled administrator cannot sign in: %v", err)
	}
}

func TestCodeSignsInOnceAndForTenMinutes(t *testing.T) {
	t.Parallel()
	s := setup(t)
	a := s.create("alice", ReadOnlyAnalyst)
	code := func(caller Caller, id string) string {
		var c SignInCode
		s.must(s.write(func(tx *sitedb.Tx) (err error) {
			c, err = CreateSignInCode(t.Context(), tx, caller, "LAB", id, s.clock())
			return err
		}))
		return c.Code
	}
	use := func(code string) error {
		_, _, err := s.door.SignIn(t.Context(), SignIn{Code: code, Kind: KindBrowser, Source: "192.0.2.7"})
		return err
	}
	root := Local("root", "local socket")
	first := code(root, a.ID)
	if err := use(first); err != nil {
		t.Errorf("a fresh code: %v", err)
	}
	if err := use(first); !fault.Is(err, fault.Denied) {
		t.Errorf("a used code: %v", err)
	}
	late := code(root, a.ID)
	s.pass(CodeLifetime)
	if err := use(late); !fault.Is(err, fault.Denied) {
		t.Errorf("a code after ten minutes: %v", err)
	}

	// A local administrator gets a record, once, and is shut out by it.
	mine := code(root, "self")
	secret, _, err := s.door.SignIn(t.Context(), SignIn{Code: mine, Kind: KindBrowser, Source: "192.0.2.7"})
	s.must(err)
	c, err := s.caller(secret)
	s.must(err)
	if c.Name != "local:root" || !c.May(AdministratorModify) {
		t.Errorf("the local administrator's session is %+v", c)
	}
	again, err := s.door.Local(t.Context(), "root", "local socket")
	s.must(err)
	code(again, "self")
	if again.ID != c.ID {
		t.Error("a local administrator has two records")
	}
}

func TestTooManyAttemptsWait(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.create("alice", ReadOnlyAnalyst)
	s.create("bob", ReadOnlyAnalyst)
	var tooMany *TooMany
	var err error
	for range 7 {
		_, err = s.signIn("alice", "wrong wrong wrong")
	}
	if !errors.As(err, &tooMany) || tooMany.Wait <= 0 {
		t.Fatalf("the seventh attempt: %v", err)
	}
	if _, err := s.signIn("alice", password); !errors.As(err, &tooMany) {
		t.Errorf("the right password after too many wrong ones: %v", err)
	}
	if _, err := s.signIn("bob", password); err != nil {
		t.Errorf("another administrator from the same address: %v", err)
	}
	if _, _, err := s.door.SignIn(t.Context(), SignIn{Name: "alice", Password: password, Kind: KindCommand, Source: "192.0.2.8"}); err != nil {
		t.Errorf("alice from another address is locked out by somebody else's guesses: %v", err)
	}
	s.pass(time.Minute)
	if _, err := s.signIn("alice", password); err != nil {
		t.Errorf("after a minute: %v", err)
	}
}

// TestOneCannotBecomeMore: who may modify administrators but is no Full
// administrator cannot get there by way of another one.
func TestOneCannotBecomeMore(t *testing.T) {
	t.Parallel()
	s := setup(t)
	full := s.create("root", FullAdministrator)
	eve := s.create("eve", SecurityAdministrator)
	caller := Caller{ID: eve.ID, Name: "eve", Roles: eve.Roles}
	for name, try := range map[string]func(tx *sitedb.Tx) error{
		"make a Full administrator": func(tx *sitedb.Tx) error {
			_, err := CreateAdministrator(t.Context(), tx, caller, NewAdministrator{Name: "mine", Roles: []string{FullAdministrator}}, s.clock())
			return err
		},
		"become one": func(tx *sitedb.Tx) error {
			_, err := SetRoles(t.Context(), tx, caller, eve.ID, []string{FullAdministrator}, s.clock())
			return err
		},
		"sign in as one": func(tx *sitedb.Tx) error {
			_, err := CreateSignInCode(t.Context(), tx, caller, "LAB", full.ID, s.clock())
			return err
		},
		"set the password of one": func(tx *sitedb.Tx) error { return SetPassword(t.Context(), tx, caller, full.ID, "hash", s.clock()) },
		"disable one": func(tx *sitedb.Tx) error {
			_, err := SetDisabled(t.Context(), tx, caller, full.ID, true, s.clock())
			return err
		},
	} {
		if err := s.write(try); !fault.Is(err, fault.Denied) {
			t.Errorf("%s: %v", name, err)
		}
	}
	analyst := Caller{ID: "x", Name: "ann", Roles: []string{ReadOnlyAnalyst}}
	if err := s.write(func(tx *sitedb.Tx) error {
		_, err := CreateSignInCode(t.Context(), tx, analyst, "LAB", eve.ID, s.clock())
		return err
	}); !fault.Is(err, fault.Denied) {
		t.Errorf("an analyst makes a code for somebody else: %v", err)
	}
}

func TestNewPasswordEndsOtherSessions(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.create("alice", ReadOnlyAnalyst)
	here, err := s.signIn("alice", password)
	s.must(err)
	there, err := s.signIn("alice", password)
	s.must(err)
	c, err := s.caller(here)
	s.must(err)
	if err := s.door.CheckOwnPassword(t.Context(), c, "not the present one"); !fault.Is(err, fault.Denied) {
		t.Errorf("a wrong present password: %v", err)
	}
	s.must(s.door.CheckOwnPassword(t.Context(), c, password))
	hash, err := s.door.HashPassword(t.Context(), "alice", "another long password")
	s.must(err)
	s.must(s.write(func(tx *sitedb.Tx) error { return SetPassword(t.Context(), tx, c, c.ID, hash, s.clock()) }))
	if _, err := s.caller(here); err != nil {
		t.Errorf("the session that changed the password ended: %v", err)
	}
	if _, err := s.caller(there); !fault.Is(err, fault.Denied) {
		t.Errorf("another session goes on: %v", err)
	}
	if _, err := s.signIn("alice", password); !fault.Is(err, fault.Denied) {
		t.Errorf("the old password: %v", err)
	}
}

func TestBadNamesAndPasswordsAreRefused(t *testing.T) {
	t.Parallel()
	s := setup(t)
	for _, name := range []string{"", "Alice", "local:root", "self", "a b", strings.Repeat("a", 65), "a\x00", "ålice"} {
		err := s.write(func(tx *sitedb.Tx) error {
			_, err := CreateAdministrator(t.Context(), tx, Local("root", "x"), NewAdministrator{Name: name, Roles: []string{ReadOnlyAnalyst}}, s.clock())
			return err
		})
		if !fault.Is(err, fault.Invalid) {
			t.Errorf("name %q: %v", name, err)
		}
	}
	for _, bad := range []string{"", "short", strings.Repeat("x", 257), "aliceandmore"} {
		if err := CheckPassword("aliceandmore", bad); !fault.Is(err, fault.Invalid) {
			t.Errorf("password %q: %v", bad, err)
		}
	}
	if _, err := s.door.HashPassword(t.Context(), "alice", "short"); !fault.Is(err, fault.Invalid) {
		t.Errorf("a short password is hashed: %v", err)
	}
	s.create("alice", ReadOnlyAnalyst)
	err := s.write(func(tx *sitedb.Tx) error {
		_, err := CreateAdministrator(t.Context(), tx, Local("root", "x"), NewAdministrator{Name: "alice", Roles: []string{ReadOnlyAnalyst}}, s.clock())
		return err
	})
	if !fault.Is(err, fault.Conflict) {
		t.Errorf("a taken name: %v", err)
	}
}

func TestSecretsAreNotKept(t *testing.T) {
	t.Parallel()
	s := setup(t)
	a := s.create("alice", ReadOnlyAnalyst)
	secret, err := s.signIn("alice", password)
	s.must(err)
	var code SignInCode
	s.must(s.write(func(tx *sitedb.Tx) (err error) {
		code, err = CreateSignInCode(t.Context(), tx, Local("root", "x"), "LAB", a.ID, s.clock())
		return err
	}))
	copy := filepath.Join(t.TempDir(), "copy.db")
	s.must(s.db.Snapshot(t.Context(), copy))
	data := readFile(t, copy)
	for name, text := range map[string]string{"password": password, "session": secret, "code": code.Code} {
		if strings.Contains(data, text) || strings.Contains(data, strings.TrimPrefix(text, sessionPrefix)) {
			t.Errorf("the database holds the %s in clear", name)
		}
	}
}

func TestAuditIsChained(t *testing.T) {
	t.Parallel()
	exec := func(text string) func(s *site) {
		statement := sqldb.Define[sqldb.None, sqldb.None]("tamper", text)
		return func(s *site) {
			s.must(s.write(func(tx *sitedb.Tx) error {
				_, err := statement.Exec(s.t.Context(), tx, sqldb.None{})
				return err
			}))
		}
	}
	for _, test := range []struct {
		name   string
		tamper func(s *site)
		broken int64
	}{
		{"untouched", func(*site) {}, 0},
		{"who was changed", exec(`UPDATE audit SET administrator = 'mallory' WHERE id = 3`), 3},
		{"detail was changed", exec(`UPDATE audit SET detail = '{"reason":"nice"}' WHERE id = 3`), 3},
		{"detail was damaged", exec(`UPDATE audit SET detail = 'x' WHERE id = 3`), 3},
		{"time was changed", exec(`UPDATE audit SET time = time + 1 WHERE id = 4`), 4},
		{"taken out", exec(`DELETE FROM audit WHERE id = 3`), 4},
		{"beginning taken out", exec(`DELETE FROM audit WHERE id = 1`), 2},
		{"cut off at the end", exec(`DELETE FROM audit WHERE id = 5`), 5},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := setup(t)
			for i := range 5 {
				s.must(s.write(func(tx *sitedb.Tx) error {
					return Record(t.Context(), tx, Local("root", "local socket"), Entry{
						Action: "device.block", ObjectType: "device", ObjectID: "d", Detail: map[string]string{"reason": strings.Repeat("x", i), "name": "web1"},
					}, s.clock())
				}))
			}
			before, err := Verify(t.Context(), s.db, Everything(), VerifyRequest{})
			s.must(err)
			if before.Entries != 5 || before.BrokenID != 0 || before.HeadID != 5 || len(before.HeadHash) != 64 {
				t.Fatalf("the untouched trail: %+v", before)
			}
			test.tamper(s)
			v, err := Verify(t.Context(), s.db, Everything(), VerifyRequest{KnownID: before.HeadID, KnownHash: before.HeadHash})
			s.must(err)
			if v.BrokenID != test.broken || (v.Why == "") != (test.broken == 0) {
				t.Errorf("broken at %d (%s), want %d", v.BrokenID, v.Why, test.broken)
			}
		})
	}
	s := setup(t)
	if _, err := Verify(t.Context(), s.db, Scope{}, VerifyRequest{}); !fault.Is(err, fault.Denied) {
		t.Errorf("whoever may not see the trail checks it: %v", err)
	}
}

// TestChangeAndEntryAreOne: what is not done is not in the audit trail.
func TestChangeAndEntryAreOne(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.create("alice", ReadOnlyAnalyst)
	before := len(s.audit(""))
	err := s.write(func(tx *sitedb.Tx) error {
		if _, err := CreateAdministrator(t.Context(), tx, Local("root", "x"), NewAdministrator{Name: "bob", Roles: []string{ReadOnlyAnalyst}}, s.clock()); err != nil {
			return err
		}
		return errors.New("the power goes off")
	})
	if err == nil || len(s.audit("")) != before {
		t.Errorf("%d entries after a change that failed, %d before (%v)", len(s.audit("")), before, err)
	}
	if entries := s.audit("action=administrator.create"); len(entries) != 1 || entries[0].Administrator != "local:root" || entries[0].Source != "local socket" {
		t.Errorf("the entry of a change is %+v", entries)
	}
}

func TestOthersSeeOnlyTheirOwnSessions(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.create("alice", OperationsAdministrator)
	s.create("bob", SecurityAdministrator)
	secrets := map[string]string{}
	for _, name := range []string{"alice", "bob"} {
		secret, err := s.signIn(name, password)
		s.must(err)
		secrets[name] = secret
	}
	sessions := func(name string) []Session {
		c, err := s.caller(secrets[name])
		s.must(err)
		var page listing.Page[Session]
		s.must(s.db.Read(t.Context(), func(tx *sitedb.Tx) (err error) {
			page, err = ListSessions(t.Context(), tx, c, listing.Request{}, s.clock())
			return err
		}))
		return page.Items
	}
	if got := sessions("alice"); len(got) != 1 || got[0].Name != "alice" {
		t.Errorf("alice sees %+v", got)
	}
	both := sessions("bob")
	if len(both) != 2 {
		t.Fatalf("bob, who may, sees %+v", both)
	}
	alice, err := s.caller(secrets["alice"])
	s.must(err)
	for _, session := range both {
		err := s.write(func(tx *sitedb.Tx) error { return EndSession(t.Context(), tx, alice, session.ID, s.clock()) })
		if own := session.Name == "alice"; own != (err == nil) {
			t.Errorf("alice ends the session of %s: %v", session.Name, err)
		}
	}
	err = s.write(func(tx *sitedb.Tx) error { return EndSession(t.Context(), tx, alice, "nothing", s.clock()) })
	if !fault.Is(err, fault.Denied) {
		t.Errorf("alice learns which sessions there are: %v", err)
	}
}

func TestStatementsFitTheSchema(t *testing.T) {
	t.Parallel()
	db := plainCopy(setup(t))
	for _, statement := range []interface {
		Check(context.Context, sqldb.Preparer) error
	}{
		insertAudit, lastAudit, auditAfter, insertAdministrator, readAdministrator, administratorNamed, setPassword, setDisabled,
		deleteRoles, insertRole, rolesOf, insertSession, sessionBySecret, sessionByID, useSession, deleteSession, deleteSessionsOf,
		deleteCodesOf, deleteEndedSessions, deleteEndedCodes, deleteSurplusSessions, insertCode, takeCode,
	} {
		if err := statement.Check(t.Context(), db); err != nil {
			t.Error(err)
		}
	}
}
