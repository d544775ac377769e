package access

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"mainstay/lib/fault"
	"mainstay/lib/listing"
	"mainstay/lib/sqldb"
	"mainstay/site/sitedb"
)

// Administrator is somebody who may administer the site.
type Administrator struct {
	ID          string `db:"id"`
	SiteCode    string `db:"site_code"`
	Name        string `db:"name"`
	HasPassword bool   `db:"has_password"`
	DisabledAt  *int64 `db:"disabled_at"`
	CreatedBy   string `db:"created_by"`
	CreatedAt   int64  `db:"created_at"`
	// Roles are identifiers of roles.
	Roles []string
}

// IsLocal tells that the operating system identifies this administrator.
func (a Administrator) IsLocal() bool { return strings.HasPrefix(a.Name, LocalPrefix) }

type administratorRow struct {
	Administrator
	PasswordHash string `db:"password_hash"`
}

type byID struct {
	ID string `db:"id"`
}

type roleRow struct {
	Administrator string `db:"administrator"`
	Role          string `db:"role"`
}

const administratorColumns = `id, site_code, name, password_hash <> '' AS has_password, disabled_at, created_by, created_at`

var (
	insertAdministrator = sqldb.Define[administratorRow, sqldb.None]("access.insertAdministrator",
		`INSERT INTO administrator (id, site_code, name, password_hash, disabled_at, created_by, created_at)
		 VALUES (@id, @site_code, @name, @password_hash, @disabled_at, @created_by, @created_at)`)
	readAdministrator = sqldb.Define[byID, administratorRow]("access.readAdministrator",
		`SELECT `+administratorColumns+`, password_hash FROM administrator WHERE id = @id`)
	administratorNamed = sqldb.Define[struct {
		Name string `db:"name"`
	}, administratorRow]("access.administratorNamed",
		`SELECT `+administratorColumns+`, password_hash FROM administrator WHERE name = @name`)
	setPassword = sqldb.Define[administratorRow, sqldb.None]("access.setPassword",
		`UPDATE administrator SET password_hash = @password_hash WHERE id = @id`)
	setDisabled = sqldb.Define[administratorRow, sqldb.None]("access.setDisabled",
		`UPDATE administrator SET disabled_at = @disabled_at WHERE id = @id`)
	deleteRoles = sqldb.Define[byID, sqldb.None]("access.deleteRoles",
		`DELETE FROM administrator_role WHERE administrator = @id`)
	insertRole = sqldb.Define[roleRow, sqldb.None]("access.insertRole",
		`INSERT INTO administrator_role (administrator, role) VALUES (@administrator, @role)`)
	rolesOf = sqldb.Define[byID, roleRow]("access.rolesOf",
		`SELECT administrator, role FROM administrator_role WHERE administrator = @id ORDER BY role`)
)

// AdministratorTable describes the list of administrators.
func AdministratorTable() listing.Table {
	return listing.Table{
		Columns: []listing.Column{
			{Name: "id", SQL: "id"},
			{Name: "name", SQL: "name"},
			{Name: "disabled", SQL: "disabled_at IS NOT NULL", Kind: listing.Bool},
			{Name: "created_by", SQL: "created_by"},
			{Name: "created_at", SQL: "created_at", Kind: listing.Time},
		},
		Key: "id", Sort: "name",
	}
}

// NewAdministrator is what an administrator is made from.
type NewAdministrator struct {
	SiteCode string
	Name     string
	// Password, from HashPassword; empty for one who signs in by a code only.
	Password PasswordHash
	// Roles are identifiers or names of roles, at least one.
	Roles []string
}

// maxName is the longest name of an administrator in bytes.
const maxName = 64

func checkName(name string) error {
	allowed := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || strings.ContainsRune("._-@", r)
	}
	if name == "" || len(name) > maxName || strings.ContainsFunc(name, func(r rune) bool { return !allowed(r) }) {
		return fault.InvalidField("name", "%q is no name for an administrator; use 1 to %d of a-z, 0-9 and . _ - @", clip(name), maxName)
	}
	if name == "self" {
		return fault.InvalidField("name", "%q means whoever asks; use another name", name)
	}
	return nil
}

func clip(s string) string {
	if r := []rune(s); len(r) > 40 {
		return string(r[:40]) + "…"
	}
	return s
}

// CreateAdministrator makes an administrator. Only a Full administrator can
// make another.
func CreateAdministrator(ctx context.Context, tx *sitedb.Tx, caller Caller, n NewAdministrator, now time.Time) (Administrator, error) {
	if err := caller.Require(AdministratorCreate); err != nil {
		return Administrator{}, err
	}
	if err := checkName(n.Name); err != nil {
		return Administrator{}, err
	}
	roles, err := roleIDs(caller, n.Roles)
	if err != nil {
		return Administrator{}, err
	}
	if _, taken, err := administratorNamed.One(ctx, tx, struct {
		Name string `db:"name"`
	}{n.Name}); err != nil || taken {
		if taken {
			err = fault.New(fault.Conflict, "an administrator named %s exists already", n.Name)
		}
		return Administrator{}, err
	}
	a := Administrator{
		ID: uuid.NewString(), SiteCode: n.SiteCode, Name: n.Name, HasPassword: n.Password != "",
		CreatedBy: caller.Name, CreatedAt: sitedb.Micros(now), Roles: roles,
	}
	if err := putAdministrator(ctx, tx, a, n.Password); err != nil {
		return Administrator{}, err
	}
	return a, Record(ctx, tx, caller, Entry{
		Action: "administrator.create", ObjectType: "administrator", ObjectID: a.ID,
		Detail: map[string]string{"name": a.Name, "roles": strings.Join(roles, ", ")},
	}, now)
}

func putAdministrator(ctx context.Context, tx *sitedb.Tx, a Administrator, password PasswordHash) error {
	if _, err := insertAdministrator.Exec(ctx, tx, administratorRow{a, string(password)}); err != nil {
		return fmt.Errorf("cannot store administrator %s: %w", a.Name, err)
	}
	tx.Announce("administrator")
	return putRoles(ctx, tx, a.ID, a.Roles)
}

func putRoles(ctx context.Context, tx *sitedb.Tx, id string, roles []string) error {
	if _, err := deleteRoles.Exec(ctx, tx, byID{id}); err != nil {
		return err
	}
	for _, role := range roles {
		if _, err := insertRole.Exec(ctx, tx, roleRow{id, role}); err != nil {
			return err
		}
	}
	return nil
}

// roleIDs checks roles that the caller wants to give.
func roleIDs(caller Caller, names []string) ([]string, error) {
	if len(names) == 0 {
		return nil, fault.InvalidField("roles", "is empty; give at least one, such as %s", ReadOnlyAnalyst)
	}
	ids := []string{}
	for _, name := range names {
		role, err := RoleNamed(name)
		if err != nil {
			return nil, err
		}
		if role.ID == FullAdministrator && !isFull(caller.Roles) {
			return nil, fault.New(fault.Denied, "only a Full administrator can make another")
		}
		if !slices.Contains(ids, role.ID) {
			ids = append(ids, role.ID)
		}
	}
	slices.Sort(ids)
	return ids, nil
}

func isFull(roles []string) bool { return slices.Contains(roles, FullAdministrator) }

// ListAdministrators reads one page of the administrators.
func ListAdministrators(ctx context.Context, tx *sitedb.Tx, scope Scope, r listing.Request, now time.Time) (listing.Page[Administrator], error) {
	plan, err := AdministratorTable().Plan(r, now)
	if err != nil {
		return listing.Page[Administrator]{}, err
	}
	page, err := listing.List[Administrator](ctx, tx, plan, listing.Source{Columns: administratorColumns, From: "administrator", Where: scope.SQL()})
	if err != nil {
		return page, err
	}
	for i := range page.Items {
		if page.Items[i].Roles, err = loadRoles(ctx, tx, page.Items[i].ID); err != nil {
			return page, err
		}
	}
	return page, nil
}

func loadRoles(ctx context.Context, tx *sitedb.Tx, id string) ([]string, error) {
	rows, err := rolesOf.All(ctx, tx, byID{id})
	roles := make([]string, len(rows))
	for i, row := range rows {
		roles[i] = row.Role
	}
	return roles, err
}

// ShowAdministrator reads one administrator.
func ShowAdministrator(ctx context.Context, tx *sitedb.Tx, scope Scope, id string) (Administrator, error) {
	if !scope.SeesAll() {
		return Administrator{}, noAdministrator(id)
	}
	row, err := loadAdministrator(ctx, tx, id)
	return row.Administrator, err
}

func loadAdministrator(ctx context.Context, tx *sitedb.Tx, id string) (administratorRow, error) {
	row, ok, err := readAdministrator.One(ctx, tx, byID{id})
	if err == nil && !ok {
		err = noAdministrator(id)
	}
	if err != nil {
		return row, err
	}
	row.Roles, err = loadRoles(ctx, tx, id)
	return row, err
}

func noAdministrator(id string) error {
	return fault.New(fault.NotFound, "no administrator has the identifier %q; list them to see all", clip(id))
}

// changeable loads an administrator whom the caller wants to change. Only a
// Full administrator can change another, or anybody who may modify
// administrators could become one.
func changeable(ctx context.Context, tx *sitedb.Tx, caller Caller, id string) (administratorRow, error) {
	if err := caller.Require(AdministratorModify); err != nil {
		return administratorRow{}, err
	}
	row, err := loadAdministrator(ctx, tx, id)
	if err == nil && isFull(row.Roles) && !isFull(caller.Roles) {
		err = fault.New(fault.Denied, "%s is a Full administrator; only another can change that", row.Name)
	}
	return row, err
}

// SetRoles gives an administrator other roles, all of them at once.
func SetRoles(ctx context.Context, tx *sitedb.Tx, caller Caller, id string, names []string, now time.Time) (Administrator, error) {
	row, err := changeable(ctx, tx, caller, id)
	if err != nil {
		return Administrator{}, err
	}
	if row.IsLocal() {
		return Administrator{}, fault.New(fault.Conflict, "%s is a Full administrator because the operating system says so; change that in the group mainstay", row.Name)
	}
	roles, err := roleIDs(caller, names)
	if err != nil {
		return Administrator{}, err
	}
	before := row.Roles
	row.Roles = roles
	if err := putRoles(ctx, tx, id, roles); err != nil {
		return Administrator{}, err
	}
	tx.Announce("administrator")
	return row.Administrator, Record(ctx, tx, caller, Entry{
		Action: "administrator.set-roles", ObjectType: "administrator", ObjectID: id,
		Detail: map[string]string{"name": row.Name, "before": strings.Join(before, ", "), "after": strings.Join(roles, ", ")},
	}, now)
}

// SetDisabled shuts an administrator out at once, or lets them in again.
func SetDisabled(ctx context.Context, tx *sitedb.Tx, caller Caller, id string, disabled bool, now time.Time) (Administrator, error) {
	row, err := changeable(ctx, tx, caller, id)
	if err != nil {
		return Administrator{}, err
	}
	switch {
	case disabled && row.Name == caller.Name:
		return Administrator{}, fault.New(fault.Conflict, "you cannot disable yourself; ask another administrator")
	case disabled && row.Name == LocalPrefix+"root":
		return Administrator{}, fault.New(fault.Conflict, "root of a site system cannot be shut out of the site")
	}
	action := "administrator.enable"
	row.DisabledAt = nil
	if disabled {
		action = "administrator.disable"
		at := sitedb.Micros(now)
		row.DisabledAt = &at
		if err := endSessionsOf(ctx, tx, id, ""); err != nil {
			return Administrator{}, err
		}
	}
	if _, err := setDisabled.Exec(ctx, tx, row); err != nil {
		return Administrator{}, err
	}
	tx.Announce("administrator", "session")
	return row.Administrator, Record(ctx, tx, caller, Entry{
		Action: action, ObjectType: "administrator", ObjectID: id, Detail: map[string]string{"name": row.Name},
	}, now)
}

// SetPassword gives an administrator another password and ends their other
// sessions. Everybody may change their own, whoever may modify administrators
// that of others; the provider has checked the current password where it is
// needed (Door.CheckOwnPassword).
func SetPassword(ctx context.Context, tx *sitedb.Tx, caller Caller, id string, password PasswordHash, now time.Time) error {
	row, err := ownOrChangeable(ctx, tx, caller, id)
	if err != nil {
		return err
	}
	if row.IsLocal() {
		return fault.New(fault.Conflict, "%s is identified by the operating system and has no password here", row.Name)
	}
	row.PasswordHash = string(password)
	if _, err := setPassword.Exec(ctx, tx, row); err != nil {
		return err
	}
	if err := endSessionsOf(ctx, tx, id, caller.Session); err != nil {
		return err
	}
	tx.Announce("administrator", "session")
	return Record(ctx, tx, caller, Entry{
		Action: "administrator.set-password", ObjectType: "administrator", ObjectID: id, Detail: map[string]string{"name": row.Name},
	}, now)
}

func ownOrChangeable(ctx context.Context, tx *sitedb.Tx, caller Caller, id string) (administratorRow, error) {
	if caller.ID != "" && caller.ID == id {
		return loadAdministrator(ctx, tx, id)
	}
	return changeable(ctx, tx, caller, id)
}
