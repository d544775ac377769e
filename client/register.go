package client

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"mainstay/client/identity"
	"mainstay/client/localstate"
	"mainstay/client/transport"
	"mainstay/lib/fault"
	"mainstay/lib/mtls"
	"mainstay/lib/signed"
	"mainstay/wire"
)

// change is a reason for another identity, and what it means for the machine.
type change struct {
	reason string
	// newKey: the key is of no use any more.
	newKey bool
	// copyOf: the machine is another one than the identity was made for.
	copyOf bool
	// keepOwn: what was born in this run is this machine's and is kept.
	keepOwn bool
}

var (
	forgotten = change{reason: "the site has no record of this device"}
	replaced  = change{reason: "this machine has registered with a newer key", newKey: true}
	shared    = change{reason: "another running machine uses this identity", newKey: true, copyOf: true, keepOwn: true}
	copied    = change{reason: "the identity on this disk belongs to other hardware", newKey: true, copyOf: true}
)

// recognize loads who the machine is, notices that it is a copy, and starts
// from what is on disk.
func (c *Client) recognize() error {
	var err error
	if c.id, c.pending, err = c.ids.Load(); err != nil {
		return err
	}
	if c.id != nil && c.id.SiteCode != c.config.SiteCode {
		return fault.New(fault.Conflict, "%s holds the identity of a client of site %s, and this is to be a client of site %s: "+
			"run 'mainstay-client uninstall --purge' first", c.config.StateDir, c.id.SiteCode, c.config.SiteCode)
	}
	if err := c.clearForeign(false); err != nil {
		return err
	}
	if c.id != nil && c.pending == nil && identity.IsCopy(c.id.Hardware, c.hardware) {
		c.log.Warn("this machine is a copy of another and registers for itself", "device", c.id.DeviceID)
		if err := c.begin(copied); err != nil {
			return err
		}
	}
	if err := c.settleInventory(); err != nil {
		return err
	}
	root, err := c.root()
	if err != nil {
		return fault.Wrap(fault.Invalid, err, "the root certificate cannot be read")
	}
	return c.trust(root)
}

// trust puts the root, and the identity where it is in force, to use.
func (c *Client) trust(root *x509.Certificate) error {
	if !c.registered() {
		c.setPhase(phaseRegistering)
	}
	if root == nil {
		return nil
	}
	c.transport.SetTrust(root, nil)
	if raw := c.local.Facts().Site; raw != nil {
		var s wire.Signed
		if err := json.Unmarshal(raw, &s); err == nil {
			// One that does not fit the root any more is simply not used.
			if d, err := transport.OpenSite(s, c.config.SiteCode, root, 0); err == nil {
				c.transport.SetManagementPoints(c.managementPoints(d))
			}
		}
	}
	if !c.registered() {
		return nil
	}
	c.transport.SetTrust(root, c.id)
	c.setIdentity(c.id)
	c.setPhase(phaseRegistered)
	if err := c.config.Registered(); err != nil {
		return err
	}
	return c.keeper.Load(c.id.DeviceID, root)
}

func encodeSite(s wire.Signed) (json.RawMessage, error) { return json.Marshal(s) }

// begin starts a registration that replaces the identity in force.
func (c *Client) begin(why change) error {
	p := &identity.Pending{Reason: why.reason, Cleared: !why.copyOf}
	if c.id != nil && !why.newKey {
		p.Key = c.id.Key
	} else {
		key, err := mtls.NewKey()
		if err != nil {
			return err
		}
		p.Key = key
	}
	if why.copyOf && c.id != nil {
		p.CopyOf = c.id.DeviceID
	}
	if err := c.ids.Begin(p, c.id); err != nil {
		return err
	}
	c.pending = p
	return c.clearForeign(why.keepOwn)
}

// clearForeign removes what belongs to the machine that this one is a copy of.
// A crash in between begins it again, before anything new was queued.
func (c *Client) clearForeign(keepOwn bool) error {
	if c.pending == nil || c.pending.Cleared {
		return nil
	}
	err := c.box.Discard(func(typ string, running bool) bool {
		return keepOwn && running && (typ == wire.TypeStateMessage || typ == wire.TypeStatusMessage)
	})
	if err == nil {
		err = c.box.NewIncarnation()
	}
	if err == nil {
		err = c.keeper.Clear()
	}
	if err == nil {
		err = c.forgetReports()
	}
	if err != nil {
		return fmt.Errorf("cannot remove what belongs to the machine that this one is a copy of: %w", err)
	}
	c.pending.Cleared = true
	return c.ids.Begin(c.pending, c.id)
}

// forgetReports makes the next reports full and due at once.
func (c *Client) forgetReports() error {
	c.beat, c.resync = "", 0
	if err := c.local.DropBaseline(); err != nil {
		return err
	}
	return c.local.Update(func(f *localstate.Facts) {
		f.Schedule, f.Flags, f.ResyncHandled, f.ResyncSeen = nil, nil, 0, 0
	})
}

// changeIdentity registers again because a management point says so. It may be
// a thief, so this happens at most once an hour.
func (c *Client) changeIdentity(ctx context.Context, why change) error {
	if !c.registered() {
		return nil // the registration under way is the answer to it
	}
	now := c.local.Now()
	last := time.UnixMicro(c.local.Facts().IdentityChanged)
	if now.Before(last.Add(identityPause)) {
		c.log.WarnContext(ctx, "identity is not changed again so soon", "reason", why.reason)
		return nil
	}
	c.log.WarnContext(ctx, "registering again", "reason", why.reason, "device", c.id.DeviceID)
	if err := c.local.Update(func(f *localstate.Facts) { f.IdentityChanged = now.UnixMicro() }); err != nil {
		return err
	}
	if err := c.begin(why); err != nil {
		return err
	}
	c.transport.SetTrust(c.id.RootCertificate, nil)
	c.setPhase(phaseRegistering)
	c.setJobs()
	return nil
}

// register does the next step of a registration. It succeeds when the machine
// has an identity.
func (c *Client) register(ctx context.Context) error {
	if c.registered() {
		return nil
	}
	root, err := c.knownRoot(ctx)
	if err != nil {
		return err
	}
	if c.pending == nil {
		if err := c.begin(change{reason: "this machine has no identity yet", newKey: true}); err != nil {
			return err
		}
	}
	if err := c.clearForeign(false); err != nil {
		return err
	}
	request, err := c.registration()
	if err != nil {
		return err
	}
	c.say("Registering this machine")
	id, err := c.certified(func() (*identity.Identity, error) {
		answer, err := c.transport.Register(ctx, request)
		if err != nil {
			return nil, c.notRegistered(err)
		}
		return identity.New(c.config.SiteCode, root.Raw, c.pending.Key, answer, c.hardware)
	})
	if err != nil {
		return err
	}
	return c.adopt(ctx, id)
}

// mostCertificates bounds how many management points are asked for one.
const mostCertificates = 16

// certified asks for a certificate until a management point gives one that is
// for this machine, or none is left.
func (c *Client) certified(ask func() (*identity.Identity, error)) (*identity.Identity, error) {
	var refused error
	for range mostCertificates {
		id, err := ask()
		f := transport.AdviceOf(err)
		switch {
		case err == nil:
			return id, nil
		case f != nil && f.Advice == transport.TryAnother && refused != nil:
			return nil, refused // all others were asked before
		case !fault.Is(err, fault.Denied), f != nil:
			return nil, err
		}
		refused = err
		c.transport.Distrust(c.transport.Current())
	}
	return nil, refused
}

// knownRoot is the site's root; the first time it asks a management point and
// checks the answer against what this machine was given.
func (c *Client) knownRoot(ctx context.Context) (*x509.Certificate, error) {
	root, err := c.root()
	if err != nil {
		return nil, err
	}
	if c.id != nil || c.firstRoot != nil {
		return root, nil
	}
	c.say("Looking for site " + c.config.SiteCode + " at " + strings.Join(c.config.ManagementPoints, ", "))
	s, description, err := c.transport.FirstContact(ctx, func(der []byte) error { return c.trusts(root, der) })
	if err != nil {
		return nil, err
	}
	if root, err = x509.ParseCertificate(description.Root); err != nil {
		return nil, err
	}
	if c.config.Token.IsZero() && c.config.RootKey == nil {
		if err := c.pin(ctx, root); err != nil {
			return nil, err
		}
	}
	c.transport.SetTrust(root, nil)
	c.firstRoot = root
	return root, c.learnSite(s, description)
}

// trusts decides whether a root certificate is that of the site.
func (c *Client) trusts(known *x509.Certificate, der []byte) error {
	where := "with what this machine was given"
	switch {
	case known != nil && string(known.Raw) == string(der):
		return nil
	case known != nil:
		where = "with the one that this machine trusts"
	case c.config.Token.TrustsRoot(der):
		return nil
	case !c.config.Token.IsZero():
		where = "with the registration token"
	default:
		return nil // first contact
	}
	return fault.New(fault.Denied, "root certificate %.16s… does not agree %s: this is another site, or somebody who pretends to be it", mtls.Fingerprint(der), where)
}

// pin trusts the root of the first contact from now on, and says so.
func (c *Client) pin(ctx context.Context, root *x509.Certificate) error {
	if c.local.Facts().PinnedRoot != nil {
		return nil
	}
	fingerprint := mtls.Fingerprint(root.Raw)
	c.log.WarnContext(ctx, "the site's root certificate was trusted at first contact, because neither token nor root key was given", "root_sha256", fingerprint)
	c.say("WARNING: trusting the root certificate of the first management point that answered, because neither a token nor a root key was given.\n" +
		"         Compare its SHA-256 with what 'mainstay site status' shows: " + pairs(fingerprint))
	return c.local.Update(func(f *localstate.Facts) { f.PinnedRoot = root.Raw })
}

// registration makes the signed request. Its proof is the strongest that the
// machine has.
func (c *Client) registration() (wire.RegisterRequest, error) {
	public, err := x509.MarshalPKIXPublicKey(c.pending.Key.Public())
	if err != nil {
		return wire.RegisterRequest{}, fmt.Errorf("cannot encode public key: %w", err)
	}
	c.setKey(&c.pending.Key.PublicKey)
	facts := c.config.Machine()
	r := wire.Registration{
		Version: wire.Version, SiteCode: c.config.SiteCode, PublicKey: public, Name: facts.Name,
		Hardware: c.hardware, OS: "linux", Arch: facts.Arch, ClientVersion: c.config.Version,
		Proof: c.proof(), Time: c.local.Now().UnixMicro(), CopyOf: c.pending.CopyOf,
	}
	switch r.Proof {
	case wire.ProofToken:
		r.TokenID = c.config.Token.ID()
	case wire.ProofCertificate:
		r.Certificate = c.id.Chain
	}
	return c.signRegistration(r)
}

func (c *Client) signRegistration(r wire.Registration) (wire.RegisterRequest, error) {
	data, err := json.Marshal(r)
	if err != nil {
		return wire.RegisterRequest{}, err
	}
	request := wire.RegisterRequest{Registration: data}
	if request.Signature, err = signed.Sign(c.pending.Key, wire.SignRegister, data); err != nil {
		return wire.RegisterRequest{}, err
	}
	switch r.Proof {
	case wire.ProofToken:
		request.TokenSignature = c.config.Token.Sign(data)
	case wire.ProofCertificate:
		request.CertificateSignature, err = signed.Sign(c.id.Key, wire.SignRegister, data)
	}
	return request, err
}

// proof chooses what the registration is proven with: the earlier identity,
// unless the site has refused it; the token; an administrator.
func (c *Client) proof() string {
	switch {
	case c.id != nil && !c.certificateRefused:
		return wire.ProofCertificate
	case !c.config.Token.IsZero():
		return wire.ProofToken
	}
	return wire.ProofNone
}

// notRegistered remembers how the site answered, for status and for the next
// try.
func (c *Client) notRegistered(err error) error {
	f := transport.AdviceOf(err)
	if f == nil {
		return err
	}
	if c.proof() == wire.ProofCertificate {
		switch f.Advice {
		case transport.Replaced, transport.RegisterAgain, transport.GiveUp, transport.TokenRefused:
			// The earlier identity proves nothing any more. Without it the
			// machine is no copy of anything either.
			c.certificateRefused = true
			c.pending.CopyOf = ""
			if begun := c.ids.Begin(c.pending, c.id); begun != nil {
				return begun
			}
			return &transport.Failure{Advice: transport.ComeBack, ManagementPoint: f.ManagementPoint, Status: f.Status, Text: f.Text}
		}
	}
	switch f.Advice {
	case transport.Pending:
		c.setPhase(phasePending)
		c.say("Waiting for an administrator to approve this machine, whose key is " + c.shortKey())
	case transport.Blocked:
		c.setPhase(phaseBlocked)
	case transport.TokenRefused:
		c.setPhase(phaseTokenRefused)
	}
	return err
}

// adopt puts a new identity in force.
func (c *Client) adopt(ctx context.Context, id *identity.Identity) error {
	before := c.id
	if err := c.ids.Save(id); err != nil {
		return err
	}
	why := c.pending.Reason
	c.id, c.pending, c.certificateRefused = id, nil, false
	c.log.InfoContext(ctx, "registered", "device", id.DeviceID, "site", id.SiteCode, "reason", why)
	c.say("Registered as device " + id.DeviceID + " of site " + id.SiteCode)
	if err := c.forgetReports(); err != nil {
		return err
	}
	// The jobs of an earlier identity are begun anew: all are due at once.
	c.schedule.Reset()
	if err := c.trust(id.RootCertificate); err != nil {
		return err
	}
	c.contact(jobRegister)
	c.reportRegistered(why, before)
	c.setJobs()
	return nil
}

// renew gets a new certificate for the same key.
func (c *Client) renew(ctx context.Context) error {
	renewed, err := c.certified(func() (*identity.Identity, error) {
		answer, err := c.transport.Renew(ctx, c.id.Key)
		if err != nil {
			return nil, err
		}
		renewed, err := c.id.Renewed(answer)
		if err == nil && !renewed.Certificate.NotAfter.After(c.id.Certificate.NotAfter) {
			err = fault.New(fault.Denied, "certificate was renewed to end no later than the one before")
		}
		return renewed, err
	})
	if err != nil {
		return err
	}
	if err := c.ids.Save(renewed); err != nil {
		return err
	}
	c.id, c.mustRenew = renewed, false
	c.transport.SetTrust(renewed.RootCertificate, renewed)
	c.setIdentity(renewed)
	c.log.InfoContext(ctx, "certificate renewed", "ends_at", renewed.Certificate.NotAfter)
	c.status(wire.StatusRenewed, renewed.Certificate.NotAfter.UTC().Format(time.RFC3339))
	return nil
}

// say tells a sentence to who follows a registration, once.
func (c *Client) say(text string) {
	const most = 100
	if c.said[text] || len(c.said) == most {
		return
	}
	if c.said == nil {
		c.said = map[string]bool{}
	}
	c.said[text] = true
	c.config.Progress(text)
}

// Register registers in the foreground and returns when the machine has an
// identity, ctx ends or the site refuses it. What else stands in the way is told
// to Config.Progress and tried again.
func (c *Client) Register(ctx context.Context) error {
	for !c.registered() {
		err := c.register(ctx)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err == nil {
			continue
		}
		f := transport.AdviceOf(err)
		switch {
		case f != nil && (f.Advice == transport.GiveUp || f.Advice == transport.TokenRefused || f.Advice == transport.Blocked):
			return err // only a person can change that, and one is reading
		case f == nil || f.Advice != transport.Pending: // that was said already
			c.say(err.Error())
		}
		wait := c.wait(jobRegister, false)
		if f != nil {
			wait = max(min(wait, 15*time.Second), f.After)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(wait):
		}
	}
	return nil
}
