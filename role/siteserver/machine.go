package siteserver

import (
	"context"
	"errors"

	"mainstay/site"
	"mainstay/site/publishing"
	"mainstay/site/sitedb"
)

// Machine is this site system as clients and administrators reach it.
type Machine struct {
	System, Name, Address string
	ClientPort, AdminPort int
}

// Register records this machine and its roles in the site. On one machine
// every role runs in this process, so a role is OK when the process is.
func (s *SiteServer) Register(ctx context.Context, m Machine) error {
	now := s.c.Now()
	return s.c.DB.Write(ctx, func(tx *sitedb.Tx) error {
		errs := []error{site.PutSystem(ctx, tx, site.System{
			ID: m.System, SiteCode: s.authority.Site().Code, Name: m.Name, Address: m.Address,
			ClientPort: int64(m.ClientPort), AdminPort: int64(m.AdminPort), CreatedAt: sitedb.Micros(now), SeenAt: sitedb.Micros(now),
		})}
		for _, role := range []string{site.RoleSiteServer, site.RoleManagementPoint, site.RoleProvider} {
			errs = append(errs, site.PutRole(ctx, tx, m.System, role, site.StateOK, "", now))
		}
		return errors.Join(errs...)
	})
}

// InstallLine is the line that installs a client on another machine.
func (s *SiteServer) InstallLine(ctx context.Context, token string) (string, error) {
	return publishing.InstallLine(ctx, s.c.DB, token)
}
