package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"mainstay/client/localapi"
)

func (p *program) newStatus() *cobra.Command {
	return p.outputFlag(&cobra.Command{
		Use:     "status",
		Short:   "Show how the client is",
		Long:    "Asks the running client. Times are UTC.\n\n" + exitCodes,
		Example: "  mainstay-client status\n  mainstay-client status -o json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := p.door().Status(cmd.Context())
			if err != nil {
				return err
			}
			return p.show(s, func(w io.Writer) error { return showStatus(w, s) })
		},
	})
}

func showStatus(w io.Writer, s localapi.Status) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name, value string) {
		if value != "" {
			fmt.Fprintf(t, "%s\t%s\n", name, value)
		}
	}
	row("Site", s.SiteCode)
	row("State", s.Phase)
	row("Device", s.DeviceID)
	row("Key SHA-256", s.KeySHA256)
	row("Client version", s.ClientVersion)
	row("Problem", s.Problem)
	row("Problem since", when(s.ProblemAt))
	point := s.ManagementPoint
	if point == "" {
		point = "none serves"
	}
	row("Management point", point)
	row("Of", strings.Join(s.ManagementPoints, ", "))
	row("Fallback status points", strings.Join(s.FallbackStatusPoints, ", "))
	row("Last contact", when(s.LastContact))
	if s.PolicyVersion == 0 {
		row("Policy", "none yet, built-in settings are in force")
	} else {
		row("Policy", fmt.Sprintf("version %d, confirmed %s", s.PolicyVersion, when(s.PolicyAcceptedAt)))
		row("Policy known to be the newest until", when(s.PolicyFreshUntil))
	}
	row("Last inventory", when(s.LastInventory))
	row("Messages queued", fmt.Sprintf("%d (%d bytes)", s.Queued, s.QueuedBytes))
	row("Certificate ends", when(s.CertificateEnds))
	root := s.RootSHA256
	if s.RootTrustedAtFirstContact {
		root += " (trusted at first contact: compare it with the site's)"
	}
	row("Root certificate SHA-256", root)
	for _, name := range slices.SortedFunc(maps.Keys(s.Next), func(a, b string) int { return s.Next[a].Compare(s.Next[b]) }) {
		at := s.Next[name]
		row("Next "+name, when(&at))
	}
	return t.Flush()
}

func when(at *time.Time) string {
	if at == nil {
		return ""
	}
	return at.UTC().Format(time.DateTime)
}

func (p *program) newPolicy() *cobra.Command {
	var now bool
	cmd := p.outputFlag(&cobra.Command{
		Use:     "policy",
		Short:   "Show the policy that the client obeys, or fetch it now",
		Long:    "Asks the running client. Times are UTC.\n\n" + exitCodes,
		Example: "  mainstay-client policy -o json\n  mainstay-client policy --now",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if now {
				if err := p.door().Act(cmd.Context(), localapi.ActPolicy); err != nil {
					return err
				}
				fmt.Fprintln(p.out, "The client asks for policy now; 'mainstay-client status' shows the outcome")
				return nil
			}
			policy, err := p.door().Policy(cmd.Context())
			if err != nil {
				return err
			}
			return p.show(policy, func(w io.Writer) error { return showPolicy(w, policy) })
		},
	})
	cmd.Flags().BoolVar(&now, "now", false, "ask the site for policy now")
	return cmd
}

func showPolicy(w io.Writer, p localapi.Policy) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name string, value any) { fmt.Fprintf(t, "%s\t%v\n", name, value) }
	if p.Version == 0 {
		row("Version", "none yet, built-in settings are in force")
	} else {
		row("Version", p.Version)
		row("Confirmed", when(p.AcceptedAt))
		row("Known to be the newest until", when(p.FreshUntil))
	}
	every := func(interval, delay int64) string {
		text := "every " + (time.Duration(interval) * time.Second).String()
		if delay > 0 {
			text += ", up to " + (time.Duration(delay) * time.Second).String() + " later"
		}
		return text
	}
	s := p.Settings
	row("Policy polling", every(s.ClientPolicy.PollingIntervalSeconds, 0))
	row("State messages", every(s.StateMessaging.ReportIntervalSeconds, 0))
	row("Heartbeat", every(s.Heartbeat.IntervalSeconds, s.Heartbeat.RandomDelaySeconds))
	inventory := "off"
	if h := s.HardwareInventory; h.Enabled {
		inventory = every(h.IntervalSeconds, h.RandomDelaySeconds)
		if h.OnChange {
			inventory += ", and on change"
		}
		if len(h.Disabled) > 0 {
			inventory += ", without " + strings.Join(h.Disabled, ", ")
		}
	}
	row("Hardware inventory", inventory)
	for _, rule := range s.SoftwareInventory.Files {
		row("Files", rule.Pattern)
	}
	for _, a := range p.Assignments {
		row("Assigned", a.Kind+" "+a.ID)
	}
	return t.Flush()
}
