package main

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"

	"mainstay/lib/fault"
	"mainstay/lib/filesys"
	"mainstay/lib/strictyaml"
)

// profiles are the sites that a user has signed in to.
type profiles struct {
	// Current is the name of the profile in use.
	Current  string    `yaml:"current"`
	Profiles []profile `yaml:"profiles"`
}

// profile is one site and a session there.
type profile struct {
	Name     string `yaml:"name"`
	SiteCode string `yaml:"site_code"`
	// Root is the root certificate of the site, PEM: every provider must show
	// a certificate that leads to it.
	Root string `yaml:"root"`
	// Providers are tried in this order.
	Providers     []string  `yaml:"providers"`
	Administrator string    `yaml:"administrator"`
	Token         string    `yaml:"token"`
	ExpiresAt     time.Time `yaml:"expires_at"`
}

const maxProfiles = 1 << 20

func (p *program) profilesFile() string { return filepath.Join(p.env.configDir, "profiles.yaml") }

func (p *program) loadProfiles() (profiles, error) {
	var all profiles
	data, err := filesys.ReadFile(p.profilesFile(), maxProfiles)
	if errors.Is(err, os.ErrNotExist) {
		return all, nil
	}
	if err == nil {
		_, err = strictyaml.Decode(data, &all)
	}
	if err != nil {
		return all, fault.Wrap(fault.Invalid, err, "cannot read the profiles in %s; correct or remove the file, then sign in again", p.profilesFile())
	}
	return all, nil
}

// saveProfiles replaces the file as a whole; nobody else may read it.
func (p *program) saveProfiles(all profiles) error {
	data, err := yaml.Marshal(all)
	if err != nil {
		return fmt.Errorf("cannot encode the profiles: %w", err)
	}
	if err := filesys.MakeDir(p.env.configDir, 0o700); err != nil {
		return err
	}
	return filesys.WriteFile(p.profilesFile(), data, 0o600)
}

func (a profiles) named(name string) (*profile, error) {
	names := []string{}
	for i := range a.Profiles {
		if a.Profiles[i].Name == name {
			if len(a.Profiles[i].Providers) == 0 {
				return nil, fault.New(fault.Invalid, "profile %s names no provider; sign in again with 'mainstay login'", name)
			}
			return &a.Profiles[i], nil
		}
		names = append(names, a.Profiles[i].Name)
	}
	if len(names) == 0 {
		return nil, fault.New(fault.NotFound, "there is no profile %q, nor any other; sign in with 'mainstay login https://HOST:9443'", name)
	}
	return nil, fault.New(fault.NotFound, "there is no profile %q; there is %s", name, strings.Join(names, ", "))
}

// put adds a profile or replaces the one of its name.
func (a *profiles) put(one profile) {
	at := slices.IndexFunc(a.Profiles, func(p profile) bool { return p.Name == one.Name })
	if at < 0 {
		a.Profiles = append(a.Profiles, one)
	} else {
		a.Profiles[at] = one
	}
	a.Current = one.Name
}

func (p *profile) rootCertificate() (*x509.Certificate, error) {
	block, _ := pem.Decode([]byte(p.Root))
	if block == nil {
		return nil, fault.New(fault.Invalid, "profile %s has no root certificate; sign in again with 'mainstay login'", p.Name)
	}
	root, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "the root certificate of profile %s cannot be read; sign in again with 'mainstay login'", p.Name)
	}
	return root, nil
}

func (p *program) newProfileCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "profile",
		Short: "List the sites that you have signed in to, and choose one",
	}
	cmd.AddCommand(
		&cobra.Command{
			Use: "list", Short: "List the profiles", Args: cobra.NoArgs,
			Example: "  mainstay profile list",
			RunE:    func(*cobra.Command, []string) error { return p.listProfiles() },
		},
		&cobra.Command{
			Use: "use NAME", Short: "Choose the profile that commands use", Args: cobra.ExactArgs(1),
			Example:           "  mainstay profile use munich",
			ValidArgsFunction: p.completeProfiles,
			RunE:              func(_ *cobra.Command, args []string) error { return p.useProfile(args[0]) },
		},
	)
	return cmd
}

// profileView is a profile without its secret.
type profileView struct {
	Name          string    `json:"name"`
	Current       bool      `json:"current"`
	SiteCode      string    `json:"site_code"`
	Administrator string    `json:"administrator"`
	Providers     []string  `json:"providers"`
	ExpiresAt     time.Time `json:"expires_at"`
}

func (p *program) listProfiles() error {
	if err := p.checkFormat(); err != nil {
		return err
	}
	all, err := p.loadProfiles()
	if err != nil {
		return err
	}
	views := []profileView{}
	for _, one := range all.Profiles {
		views = append(views, profileView{one.Name, one.Name == all.Current, one.SiteCode, one.Administrator, one.Providers, one.ExpiresAt})
	}
	return printList(p, views, []column[profileView]{
		{head: "name", cell: func(v profileView) string { return v.Name }},
		{head: "in use", cell: func(v profileView) string { return yesNo(v.Current) }},
		{head: "site", cell: func(v profileView) string { return v.SiteCode }},
		{head: "administrator", cell: func(v profileView) string { return v.Administrator }},
		{head: "providers", cell: func(v profileView) string { return strings.Join(v.Providers, " ") }},
		{head: "session ends", cell: func(v profileView) string { return p.when(v.ExpiresAt) }, raw: func(v profileView) string { return stamp(v.ExpiresAt) }},
	})
}

func (p *program) useProfile(name string) error {
	all, err := p.loadProfiles()
	if err != nil {
		return err
	}
	one, err := all.named(name)
	if err != nil {
		return err
	}
	all.Current = name
	if err := p.saveProfiles(all); err != nil {
		return err
	}
	return p.printDone(map[string]string{"current": name}, "Commands use site %s as %s now.", one.SiteCode, one.Administrator)
}

func (p *program) completeProfiles(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	all, err := p.loadProfiles()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	names := []string{}
	for _, one := range all.Profiles {
		names = append(names, one.Name)
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
