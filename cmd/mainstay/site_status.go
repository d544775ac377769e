package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"mainstay/adminapi"
)

func (p *program) newSiteCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "site",
		Short: "Show how the site is; make, back up and restore one",
	}
	cmd.AddCommand(&cobra.Command{
		Use:   "status",
		Short: "Show how the site is and what needs somebody",
		Long:  "Show how the site is: what needs somebody and what to do about it, site systems with\ntheir roles, components, devices, the inbox and the database.",
		Example: `  mainstay site status
  mainstay site status -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return p.siteStatus(cmd.Context()) },
	})
	cmd.AddCommand(newLocalSiteCommands()...)
	return cmd
}

func (p *program) siteStatus(ctx context.Context) error {
	api, err := p.connect()
	if err != nil {
		return err
	}
	answer, err := check(api.GetSiteWithResponse(ctx))
	if err != nil {
		return err
	}
	s, err := body(answer.JSON200)
	if err != nil {
		return err
	}
	if p.format != formatPretty {
		return p.printValue(s)
	}
	return p.showSite(s)
}

func (p *program) showSite(s adminapi.SiteStatus) error {
	oldest := ""
	if s.Inbox.OldestAt != nil {
		oldest = ", the oldest from " + p.ago(s.Inbox.OldestAt)
	}
	d := s.Devices
	if err := writeFields(p.env.out, []field{
		{label: "Site", text: strings.TrimSpace(s.SiteCode + "  " + s.Name)},
		{label: "State", text: string(s.State), tone: severityTone(string(s.State))},
		{label: "Root", text: "SHA-256 " + colons(s.RootFingerprint)},
		{label: "Devices", text: fmt.Sprintf("%s: %s active, %s inactive, %s never heard of, %s blocked", grouped(d.Total), grouped(d.Active), grouped(d.Inactive), grouped(d.Never), grouped(d.Blocked))},
		{label: "Registrations", text: grouped(d.PendingRegistrations) + " wait for approval"},
		{label: "Inbox", text: fmt.Sprintf("%s uploads wait%s; %s dead letters", grouped(s.Inbox.Waiting), oldest, grouped(s.Inbox.DeadLetters))},
		{label: "Database", text: fmt.Sprintf("%s %s, schema %d, %s and %s of log, %s free", s.Database.Engine, s.Database.Version, s.Database.Schema, size(s.Database.Size), size(s.Database.Log), size(s.Database.Free))},
	}, p.env.colour); err != nil {
		return err
	}
	if err := p.showFindings(s.Findings); err != nil {
		return err
	}
	if err := p.showSystems(s.Systems); err != nil || len(s.Components) == 0 {
		return err
	}
	fmt.Fprintln(p.env.out)
	return printList(p, s.Components, p.componentColumns())
}

func severityTone(severity string) tone {
	switch severity {
	case "ok", "OK":
		return good
	case "critical", "error", "Failed":
		return bad
	case "warning", "Stopped":
		return doubtful
	}
	return plain
}

func (p *program) showFindings(findings []adminapi.Finding) error {
	for _, f := range findings {
		since := f.Since
		fmt.Fprintln(p.env.out)
		if err := writeFields(p.env.out, []field{
			{label: string(f.Severity), text: f.Subject, tone: severityTone(string(f.Severity))},
			{label: "  why", text: f.Why},
			{label: "  since", text: p.when(f.Since) + " (" + p.ago(&since) + ")"},
			{label: "  what to do", text: f.Remedy},
		}, p.env.colour); err != nil {
			return err
		}
	}
	return nil
}

// roleLine is a role with the site system that it is on.
type roleLine struct {
	system adminapi.SiteSystem
	role   adminapi.SiteRole
}

func (p *program) showSystems(systems []adminapi.SiteSystem) error {
	lines := []roleLine{}
	for _, system := range systems {
		for _, role := range system.Roles {
			lines = append(lines, roleLine{system, role})
		}
	}
	if len(lines) == 0 {
		return nil
	}
	fmt.Fprintln(p.env.out)
	return printList(p, lines, []column[roleLine]{
		{head: "site system", cell: func(l roleLine) string { return l.system.Name }},
		{head: "role", cell: func(l roleLine) string { return l.role.Role }},
		{head: "state", cell: func(l roleLine) string { return l.role.State }, tone: func(l roleLine) tone { return severityTone(l.role.State) }},
		{head: "since", cell: func(l roleLine) string { return p.when(l.role.StateSince) }},
		{head: "address", cell: func(l roleLine) string {
			ports := map[string]int64{"management point": l.system.ClientPort, "provider": l.system.AdminPort}
			if port, listens := ports[l.role.Role]; listens {
				return l.system.Address + ":" + strconv.FormatInt(port, 10)
			}
			return l.system.Address
		}},
		{head: "detail", cell: func(l roleLine) string { return value(l.role.Detail) }},
	})
}
