package site

import (
	"context"
	"crypto/x509"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"mainstay/lib/fault"
	"mainstay/lib/sqldb"
	"mainstay/site/sitedb"
)

// Site is the site of a database.
type Site struct {
	// Code is the site code: three letters or digits.
	Code string `db:"code"`
	Name string `db:"name"`
	// Root is the site's root certificate, DER.
	Root      []byte `db:"root"`
	CreatedAt int64  `db:"created_at"`
}

// RootCertificate is the root in parsed form.
func (s Site) RootCertificate() (*x509.Certificate, error) {
	cert, err := x509.ParseCertificate(s.Root)
	if err != nil {
		return nil, fmt.Errorf("root certificate of site %s cannot be read: %w", s.Code, err)
	}
	return cert, nil
}

// reserved codes are device names elsewhere, as in the original.
var reserved = []string{"AUX", "CON", "NUL", "PRN", "SMS"}

// CheckCode tells whether a site code may be used.
func CheckCode(code string) error {
	if len(code) != 3 || strings.Trim(code, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") != "" {
		return fault.InvalidField("site-code", "%q is not a site code; use three capital letters or digits, such as LAB", code)
	}
	for _, word := range reserved {
		if code == word {
			return fault.InvalidField("site-code", "%q is reserved; use another code, such as LAB", code)
		}
	}
	return nil
}

var (
	insertSite = sqldb.Define[Site, sqldb.None]("site.insert",
		`INSERT INTO site (id, code, name, root, created_at) VALUES (1, @code, @name, @root, @created_at)`)
	readSite = sqldb.Define[sqldb.None, Site]("site.read",
		`SELECT code, name, root, created_at FROM site WHERE id = 1`)
)

// Create makes the site of an empty database.
func Create(ctx context.Context, tx *sitedb.Tx, s Site) error {
	if err := CheckCode(s.Code); err != nil {
		return err
	}
	_, err := insertSite.Exec(ctx, tx, s)
	return err
}

// Load reads the site. A database without one is NotFound.
func Load(ctx context.Context, db sitedb.Reader) (Site, error) {
	var s Site
	err := db.Read(ctx, func(tx *sitedb.Tx) error {
		row, ok, err := readSite.One(ctx, tx, sqldb.None{})
		if err == nil && !ok {
			return fault.New(fault.NotFound, "the database holds no site; make one with 'mainstay site init --site-code LAB'")
		}
		s = row
		return err
	})
	return s, err
}

// System is a site system: a machine that serves the site.
type System struct {
	ID       string `db:"id"`
	SiteCode string `db:"site_code"`
	Name     string `db:"name"`
	// Address is the host name or address that clients use.
	Address    string `db:"address"`
	ClientPort int64  `db:"client_port"`
	AdminPort  int64  `db:"admin_port"`
	CreatedAt  int64  `db:"created_at"`
	SeenAt     int64  `db:"seen_at"`
}

// Role is a role assigned to a site system, with its state there.
type Role struct {
	System     string `db:"site_system"`
	Role       string `db:"role"`
	State      string `db:"state"`
	StateSince int64  `db:"state_since"`
	// Detail says why, when the state is not OK.
	Detail string `db:"detail"`
}

// Roles of this release.
const (
	RoleSiteServer      = "site server"
	RoleManagementPoint = "management point"
	RoleProvider        = "provider"
)

// States of a role (the original's words).
const (
	StateOK      = "OK"
	StateStopped = "Stopped"
	StateFailed  = "Failed"
)

var (
	putSystem = sqldb.Define[System, sqldb.None]("site.putSystem",
		`INSERT INTO site_system (id, site_code, name, address, client_port, admin_port, created_at, seen_at)
		 VALUES (@id, @site_code, @name, @address, @client_port, @admin_port, @created_at, @seen_at)
		 ON CONFLICT (id) DO UPDATE SET name = excluded.name, address = excluded.address,
		   client_port = excluded.client_port, admin_port = excluded.admin_port, seen_at = excluded.seen_at`)
	seeSystem = sqldb.Define[System, sqldb.None]("site.seeSystem",
		`UPDATE site_system SET seen_at = @seen_at WHERE id = @id`)
	listSystems = sqldb.Define[sqldb.None, System]("site.listSystems",
		`SELECT id, site_code, name, address, client_port, admin_port, created_at, seen_at FROM site_system ORDER BY name, id`)
	putRole = sqldb.Define[Role, sqldb.None]("site.putRole",
		`INSERT INTO site_system_role (site_system, role, state, state_since, detail)
		 VALUES (@site_system, @role, @state, @state_since, @detail)
		 ON CONFLICT (site_system, role) DO UPDATE SET
		   state_since = CASE WHEN site_system_role.state = excluded.state THEN site_system_role.state_since ELSE excluded.state_since END,
		   state = excluded.state, detail = excluded.detail`)
	listRoles = sqldb.Define[sqldb.None, Role]("site.listRoles",
		`SELECT site_system, role, state, state_since, detail FROM site_system_role ORDER BY site_system, role`)
)

// PutSystem records a site system as it is now.
func PutSystem(ctx context.Context, tx *sitedb.Tx, s System) error {
	_, err := putSystem.Exec(ctx, tx, s)
	tx.Announce("site")
	return err
}

// Seen records that a site system works. It announces nothing, because it
// happens all the time.
func Seen(ctx context.Context, tx *sitedb.Tx, system string, now time.Time) error {
	_, err := seeSystem.Exec(ctx, tx, System{ID: system, SeenAt: sitedb.Micros(now)})
	return err
}

// Systems lists the site systems by name.
func Systems(ctx context.Context, tx *sitedb.Tx) ([]System, error) {
	return listSystems.All(ctx, tx, sqldb.None{})
}

// PutRole records the state of a role; the time of an unchanged state stays.
func PutRole(ctx context.Context, tx *sitedb.Tx, system, role, state, detail string, now time.Time) error {
	_, err := putRole.Exec(ctx, tx, Role{System: system, Role: role, State: state, StateSince: sitedb.Micros(now), Detail: detail})
	tx.Announce("site")
	return err
}

// Roles lists all roles of all site systems.
func Roles(ctx context.Context, tx *sitedb.Tx) ([]Role, error) {
	return listRoles.All(ctx, tx, sqldb.None{})
}

// ManagementPoints lists where clients find the management points: host:port.
func ManagementPoints(ctx context.Context, tx *sitedb.Tx) ([]string, error) {
	systems, err := Systems(ctx, tx)
	if err != nil {
		return nil, err
	}
	roles, err := Roles(ctx, tx)
	if err != nil {
		return nil, err
	}
	serves := map[string]bool{}
	for _, role := range roles {
		if role.Role == RoleManagementPoint {
			serves[role.System] = true
		}
	}
	points := []string{}
	for _, system := range systems {
		if serves[system.ID] {
			points = append(points, net.JoinHostPort(system.Address, strconv.FormatInt(system.ClientPort, 10)))
		}
	}
	return points, nil
}
