package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mainstay/adminapi"
	"mainstay/lib/fault"
	"mainstay/lib/mtls"
)

// rootPath is where a provider shows the site's root certificate.
const rootPath = "/site-root.pem"

type loginOptions struct {
	name, fingerprint, administrator, code string
}

func (p *program) newLoginCommand() *cobra.Command {
	var o loginOptions
	cmd := &cobra.Command{
		Use:   "login https://HOST:9443",
		Short: "Sign in to a site from another machine",
		Long: `Sign in to a site and remember it as a profile, in which the site is pinned:
from then on every provider must prove that it belongs to this site.

The fingerprint of the site's root is shown and must be confirmed, or is given
with --fingerprint; 'mainstay site status' on a site system shows it. Without
--code, name and password are asked for.`,
		Example: `  mainstay login https://mainstay.example.com:9443
  mainstay login https://10.0.0.5:9443 --name munich --user alice --fingerprint 3f2a…
  mainstay login https://10.0.0.5:9443 --code msc1_…`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return p.login(cmd.Context(), args[0], o) },
	}
	flags := cmd.Flags()
	flags.StringVar(&o.name, "name", "", "name of the profile (default: the site code in small letters)")
	flags.StringVar(&o.fingerprint, "fingerprint", "", "SHA-256 of the site's root certificate, instead of being asked")
	flags.StringVar(&o.administrator, "user", "", "name of the administrator, instead of being asked")
	flags.StringVar(&o.code, "code", "", "one-time sign-in code, instead of name and password")
	return cmd
}

func (p *program) newLogoutCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "logout",
		Short: "End the session of a profile and forget the profile",
		Long:  "End the session of the profile in use, or of --profile, and forget the profile.",
		Example: `  mainstay logout
  mainstay logout --profile munich`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return p.logout(cmd.Context()) },
	}
}

func (p *program) login(ctx context.Context, address string, o loginOptions) error {
	p.signingIn = true
	if err := p.checkFormat(); err != nil {
		return err
	}
	address, err := providerAddress(address)
	if err != nil {
		return err
	}
	root, err := fetchRoot(ctx, address)
	if err != nil {
		return err
	}
	subject, err := mtls.SubjectOf(root)
	if err != nil {
		return err
	}
	if err := p.confirmRoot(root, subject.SiteCode, o.fingerprint); err != nil {
		return err
	}
	one := profile{
		Name: o.name, SiteCode: subject.SiteCode, Providers: []string{address},
		Root: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.Raw})),
	}
	if one.Name == "" {
		one.Name = strings.ToLower(one.SiteCode)
	}
	if err := p.signIn(ctx, &one, o); err != nil {
		return err
	}
	one.addProviders(ctx)
	all, err := p.loadProfiles()
	if err != nil {
		return err
	}
	all.put(one)
	if err := p.saveProfiles(all); err != nil {
		return err
	}
	return p.printDone(map[string]any{"profile": one.Name, "site_code": one.SiteCode, "administrator": one.Administrator, "expires_at": one.ExpiresAt},
		"Signed in to site %s as %s, as profile %s.", one.SiteCode, one.Administrator, one.Name)
}

func providerAddress(address string) (string, error) {
	if !strings.Contains(address, "://") {
		address = "https://" + address
	}
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" || strings.Trim(u.Path, "/") != "" {
		return "", fault.New(fault.Invalid, "%q is no address of a provider; give it as https://HOST:9443", address)
	}
	if u.Port() == "" {
		u.Host = net.JoinHostPort(u.Hostname(), "9443")
	}
	return u.Scheme + "://" + u.Host, nil
}

// fetchRoot asks a provider for the site's root certificate and checks that the
// provider's own certificate leads to it. Nothing is trusted yet.
func fetchRoot(ctx context.Context, address string) (*x509.Certificate, error) {
	var shown []*x509.Certificate
	client := &http.Client{Timeout: 15 * time.Second, Transport: &http.Transport{
		Proxy: http.ProxyFromEnvironment,
		TLSClientConfig: &tls.Config{
			MinVersion: tls.VersionTLS13,
			// What is fetched is judged by its fingerprint, by the user.
			InsecureSkipVerify: true,
			VerifyConnection: func(state tls.ConnectionState) error {
				shown = state.PeerCertificates
				return nil
			},
		},
	}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address+rootPath, nil)
	if err != nil {
		return nil, fault.New(fault.Invalid, "%q is no address of a provider; give it as https://HOST:9443", address)
	}
	answer, err := client.Do(request)
	if err != nil {
		return nil, fault.New(fault.Unavailable, "no provider answers at %s: %v", address, err)
	}
	defer answer.Body.Close()
	data, err := io.ReadAll(io.LimitReader(answer.Body, 64<<10))
	if err != nil {
		return nil, fault.New(fault.Unavailable, "the provider at %s does not answer: %v", address, err)
	}
	block, _ := pem.Decode(data)
	if answer.StatusCode != http.StatusOK || block == nil {
		return nil, fault.New(fault.Unavailable, "what answers at %s is no Mainstay provider; is it the administrators' port (9443)?", address)
	}
	root, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fault.New(fault.Unavailable, "the provider at %s shows a root certificate that cannot be read", address)
	}
	subject, err := mtls.SubjectOf(root)
	if err != nil {
		return nil, err
	}
	err = mtls.VerifyCertificates(shown, mtls.VerifyOptions{Root: root, SiteCode: subject.SiteCode, Purpose: mtls.PurposeSystem, Now: time.Now()})
	if err != nil {
		return nil, fault.Wrap(fault.Denied, err, "the certificate of %s does not belong to the site that it shows; somebody may be in between", address)
	}
	return root, nil
}

func (p *program) confirmRoot(root *x509.Certificate, siteCode, expected string) error {
	fingerprint := mtls.Fingerprint(root.Raw)
	if expected != "" {
		if plainHex(expected) != fingerprint {
			return fault.New(fault.Denied, "the root of the site there has the fingerprint %s, not the one that you gave; somebody may be in between", fingerprint)
		}
		return nil
	}
	fmt.Fprintf(p.env.errOut, "Site %s shows a root certificate with the fingerprint (SHA-256)\n\n    %s\n\nCompare it with what 'mainstay site status' shows on a site system.\n", printable(siteCode), colons(fingerprint))
	answer, err := p.env.ask("Is it the same? (yes/no) ", false)
	if err != nil {
		return err
	}
	if !strings.EqualFold(strings.TrimSpace(answer), "yes") {
		return fault.New(fault.Denied, "not confirmed; nothing was sent")
	}
	return nil
}

func plainHex(fingerprint string) string {
	return strings.ToLower(strings.NewReplacer(":", "", " ", "").Replace(fingerprint))
}

// colons shows a fingerprint in pairs, easier to compare.
func colons(fingerprint string) string {
	pairs := []string{}
	for pair := range slices.Chunk([]byte(fingerprint), 2) {
		pairs = append(pairs, string(pair))
	}
	return strings.Join(pairs, ":")
}

func (p *program) signIn(ctx context.Context, one *profile, o loginOptions) error {
	kind := adminapi.SignInKind("command")
	offer := adminapi.SignIn{Kind: &kind, Code: given(o.code)}
	if o.code == "" {
		name := o.administrator
		var err error
		if name == "" {
			if name, err = p.env.ask("Name: ", false); err != nil {
				return err
			}
		}
		password, err := p.env.ask("Password: ", true)
		if err != nil {
			return err
		}
		offer.Name, offer.Password = &name, &password
	}
	api, err := one.client()
	if err != nil {
		return err
	}
	answer, err := check(api.CreateSessionWithResponse(ctx, offer))
	if err != nil {
		return err
	}
	opened, err := body(answer.JSON200)
	if err != nil {
		return err
	}
	one.Token, one.Administrator, one.ExpiresAt = value(opened.Token), opened.Session.Administrator, opened.Session.ExpiresAt
	return nil
}

// addProviders notes the site's other providers, as far as the administrator
// may see them. It does not matter when it fails: one is known.
func (p *profile) addProviders(ctx context.Context) {
	api, err := p.client()
	if err != nil {
		return
	}
	answer, err := check(api.GetSiteWithResponse(ctx))
	if err != nil || answer.JSON200 == nil {
		return
	}
	for _, system := range answer.JSON200.Systems {
		provides := slices.ContainsFunc(system.Roles, func(r adminapi.SiteRole) bool { return r.Role == "provider" })
		address := "https://" + net.JoinHostPort(system.Address, strconv.FormatInt(system.AdminPort, 10))
		if provides && !slices.Contains(p.Providers, address) {
			p.Providers = append(p.Providers, address)
		}
	}
}

func (p *program) logout(ctx context.Context) error {
	all, err := p.loadProfiles()
	if err != nil {
		return err
	}
	name := p.chosenProfile()
	if name == "" {
		name = all.Current
	}
	if name == "" {
		return fault.New(fault.Conflict, "you are not signed in anywhere")
	}
	one, err := all.named(name)
	if err != nil {
		return err
	}
	api, err := one.client()
	if err != nil {
		return err
	}
	_, ended := check(api.DeleteSessionWithResponse(ctx))
	all.Profiles = slices.DeleteFunc(all.Profiles, func(other profile) bool { return other.Name == name })
	if all.Current == name {
		all.Current = ""
	}
	if err := p.saveProfiles(all); err != nil {
		return err
	}
	if ended != nil {
		return fmt.Errorf("the profile is forgotten, but its session could not be ended: %w", ended)
	}
	return p.printDone(map[string]string{"profile": name}, "Signed out; profile %s is forgotten.", name)
}
