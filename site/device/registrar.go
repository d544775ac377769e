package device

import (
	"context"
	"crypto/ecdsa"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"mainstay/lib/fault"
	"mainstay/lib/mtls"
	"mainstay/lib/signed"
	"mainstay/site/sitedb"
	"mainstay/site/trust"
	"mainstay/wire"
)

// RegistrarConfig is what a Registrar needs.
type RegistrarConfig struct {
	// DB is bound to the term.
	DB        sitedb.Writer
	Authority *trust.Authority
	// OnDevice is called in the transaction that makes or changes a device,
	// for the slices that prepare something for it.
	OnDevice func(ctx context.Context, tx *sitedb.Tx, device string) error
	// Report writes a status message about a device.
	Report func(ctx context.Context, tx *sitedb.Tx, event Event, device string, insertions ...string) error
	Now    func() time.Time
}

// Event is something about a device that an administrator may want to know.
type Event int

// The events.
const (
	EventRegistered Event = iota
	EventReregistered
	EventCopy
	EventRefused
	EventWaits
)

// TopicRegistration is announced when a registration waits for a decision.
const TopicRegistration = "registration"

// Registrar is the component that decides registrations and renewals.
type Registrar struct{ c RegistrarConfig }

// NewRegistrar makes the component.
func NewRegistrar(c RegistrarConfig) *Registrar { return &Registrar{c} }

// Pass decides everything that waits.
func (g *Registrar) Pass(ctx context.Context) error {
	for {
		var rows []Registration
		err := g.c.DB.Read(ctx, func(tx *sitedb.Tx) (err error) {
			rows, err = nextUndecided.All(ctx, tx, struct {
				Limit int64 `db:"limit"`
			}{100})
			return err
		})
		if err != nil || len(rows) == 0 {
			return err
		}
		for len(rows) > 0 {
			decided, err := g.decideSome(ctx, rows)
			if err != nil && len(rows) > 1 && ctx.Err() == nil && !fault.Is(err, fault.Stale) {
				// Whatever one of them has, those before it go first.
				decided, err = g.decideSome(ctx, rows[:1])
			}
			if err != nil {
				return err
			}
			rows = rows[decided:]
		}
	}
}

// decideFor ends a transaction of decisions.
const decideFor = 50 * time.Millisecond

// decideSome settles as many registrations as fit into one transaction, at
// least one, and returns how many: a fleet that registers costs a commit for
// each dozen.
func (g *Registrar) decideSome(ctx context.Context, rows []Registration) (decided int, err error) {
	err = g.c.DB.Write(ctx, func(tx *sitedb.Tx) error {
		decided = 0
		for began := time.Now(); decided < len(rows) && (decided == 0 || time.Since(began) < decideFor); decided++ {
			row := rows[decided]
			if err := g.decide(ctx, tx, row); err != nil {
				return fmt.Errorf("cannot decide registration %s: %w", row.KeyFingerprint, err)
			}
		}
		return nil
	})
	return decided, err
}

// decide settles one registration. An error of kind Denied, Invalid or
// Conflict is the decision itself; others undo the transaction.
func (g *Registrar) decide(ctx context.Context, tx *sitedb.Tx, row Registration) error {
	now := g.c.Now()
	at := sitedb.Micros(now)
	row.DecidedAt = &at
	var err error
	switch row.Kind {
	case kindRenew:
		err = g.renew(ctx, tx, &row, now)
	default:
		err = g.register(ctx, tx, &row, now)
	}
	switch fault.KindOf(err) {
	case fault.Denied, fault.Invalid, fault.Conflict:
		row.State, row.Chain = StateRefused, nil
		if row.Code == "" {
			row.Code = wire.CodeRefused
		}
		row.Detail = err.Error()
		if err := g.c.Report(ctx, tx, EventRefused, row.Device, nameOf(row.Claim()), row.Source, row.Detail); err != nil {
			return err
		}
	default:
		if err != nil {
			return err
		}
	}
	tx.Announce("registration-decided")
	_, err = putRegistration.Exec(ctx, tx, row)
	return err
}

// nameOf is how a machine that was refused is called in a message.
func nameOf(r wire.Registration) string {
	if r.Name == "" {
		return "a machine"
	}
	return r.Name
}

func (g *Registrar) register(ctx context.Context, tx *sitedb.Tx, row *Registration, now time.Time) error {
	r, err := parseRequest(row.Request, g.c.Authority.Site().Code)
	if err != nil {
		return err
	}
	row.Detail, row.Code = "", ""
	switch {
	case row.State == StateApproved:
		return g.accept(ctx, tx, row, r, "approval", now)
	case r.Proof == wire.ProofToken:
		name, err := trust.UseToken(ctx, tx, r.TokenID, r.RegisterRequest.Registration, r.TokenSignature, now)
		if err != nil {
			row.Code = wire.CodeTokenRefused
			return err
		}
		return g.accept(ctx, tx, row, r, "token "+name, now)
	case r.Proof == wire.ProofCertificate:
		return g.registerWithCertificate(ctx, tx, row, r, now)
	case r.Proof == wire.ProofNone:
		row.State, row.DecidedAt = StatePending, nil
		tx.Announce("registration-pending")
		return g.c.Report(ctx, tx, EventWaits, "", r.Name, row.Source)
	}
	return fault.InvalidField("proof", "is %q, want %q, %q or %q", clip(r.Proof), wire.ProofToken, wire.ProofCertificate, wire.ProofNone)
}

// registerWithCertificate takes a machine back that the site has forgotten,
// and gives a copy of a machine a record of its own.
func (g *Registrar) registerWithCertificate(ctx context.Context, tx *sitedb.Tx, row *Registration, r request, now time.Time) error {
	leaf, err := mtls.VerifyChain(r.Certificate, mtls.VerifyOptions{
		Root: g.c.Authority.Root(), SiteCode: g.c.Authority.Site().Code, Purpose: mtls.PurposeClient, IgnoreTime: true,
	})
	if err != nil {
		return err
	}
	key, ok := leaf.PublicKey.(*ecdsa.PublicKey)
	if !ok || !signed.Verify(key, wire.SignRegister, r.RegisterRequest.Registration, r.CertificateSignature) {
		return fault.InvalidField("certificate_signature", "was not made by the key of the certificate")
	}
	subject, err := mtls.SubjectOf(leaf)
	if err != nil {
		return err
	}
	known, exists, err := Load(ctx, tx, subject.ID)
	if err != nil {
		return err
	}
	if exists && known.BlockedAt != nil {
		row.Code, row.Device = wire.CodeBlocked, known.ID
		return fault.New(fault.Denied, "device %s is blocked: %s", known.Name, known.BlockedReason)
	}
	if r.CopyOf != "" {
		return g.acceptCopy(ctx, tx, row, r, subject.ID, now)
	}
	fingerprint, err := mtls.KeyFingerprint(key)
	if err != nil {
		return err
	}
	// A certificate that ends later than that of the record is newer than the
	// record: the site was set back to a backup since it was issued.
	if exists && known.KeyFingerprint != fingerprint && sitedb.Micros(leaf.NotAfter) <= known.CertificateEndsAt {
		row.Code, row.Device = wire.CodeReplaced, known.ID
		return fault.New(fault.Denied, "device %s has registered with a newer key since", known.Name)
	}
	if exists {
		return g.rekey(ctx, tx, row, r, known, "certificate", now)
	}
	return g.create(ctx, tx, row, r, subject.ID, "certificate", now)
}

func (g *Registrar) acceptCopy(ctx context.Context, tx *sitedb.Tx, row *Registration, r request, original string, now time.Time) error {
	if r.CopyOf != original {
		return fault.InvalidField("copy_of", "is %q and the certificate is of %q", clip(r.CopyOf), original)
	}
	if err := g.create(ctx, tx, row, r, uuid.NewString(), "copy of "+original, now); err != nil {
		return err
	}
	return g.c.Report(ctx, tx, EventCopy, row.Device, r.Name, original)
}

// accept makes the machine a device: its own record where its hardware is
// known, a new one otherwise.
func (g *Registrar) accept(ctx context.Context, tx *sitedb.Tx, row *Registration, r request, by string, now time.Time) error {
	candidates, err := candidatesByHardware.All(ctx, tx, struct {
		ProductUUID string `db:"product_uuid"`
		MachineID   string `db:"machine_id"`
	}{r.Hardware.ProductUUID, r.Hardware.MachineID})
	if err != nil {
		return err
	}
	for _, candidate := range candidates {
		if !sameMachine(candidate.Hardware(), r.Hardware) {
			continue
		}
		if candidate.BlockedAt != nil {
			row.Code, row.Device = wire.CodeBlocked, candidate.ID
			return fault.New(fault.Denied, "device %s is blocked: %s", candidate.Name, candidate.BlockedReason)
		}
		if err := g.rekey(ctx, tx, row, r, candidate, by, now); err != nil {
			return err
		}
		return g.c.Report(ctx, tx, EventReregistered, candidate.ID, r.Name, by)
	}
	if err := g.create(ctx, tx, row, r, uuid.NewString(), by, now); err != nil {
		return err
	}
	return g.c.Report(ctx, tx, EventRegistered, row.Device, r.Name, by)
}

func (g *Registrar) create(ctx context.Context, tx *sitedb.Tx, row *Registration, r request, id, by string, now time.Time) error {
	d := Device{ID: id, SiteCode: g.c.Authority.Site().Code, Addresses: "[]", CopyOf: r.CopyOf}
	g.describe(&d, r, by, now)
	if err := g.certify(row, &d, r.key, now); err != nil {
		return err
	}
	if _, err := insertDevice.Exec(ctx, tx, d); err != nil {
		return err
	}
	return g.settled(ctx, tx, d)
}

func (g *Registrar) rekey(ctx context.Context, tx *sitedb.Tx, row *Registration, r request, d Device, by string, now time.Time) error {
	if d.KeyFingerprint != r.fingerprint {
		if _, err := retireKey.Exec(ctx, tx, retired{d.ID, sitedb.Micros(now)}); err != nil {
			return err
		}
	}
	g.describe(&d, r, by, now)
	// What the reinstalled client will report has no base here.
	d.Resync = max(d.Resync+1, sitedb.Micros(now))
	if err := g.certify(row, &d, r.key, now); err != nil {
		return err
	}
	if _, err := rekeyDevice.Exec(ctx, tx, d); err != nil {
		return err
	}
	return g.settled(ctx, tx, d)
}

func (g *Registrar) describe(d *Device, r request, by string, now time.Time) {
	d.Name, d.OS, d.Arch, d.ClientVersion = r.Name, r.OS, r.Arch, r.ClientVersion
	d.ProductUUID, d.Serial, d.MachineID, d.MACs = r.Hardware.ProductUUID, r.Hardware.Serial, r.Hardware.MachineID, jsonList(r.Hardware.MACs)
	d.PublicKey, d.KeyFingerprint = r.PublicKey, r.fingerprint
	d.RegisteredAt, d.RegisteredBy, d.ModifiedAt = sitedb.Micros(now), by, sitedb.Micros(now)
}

func (g *Registrar) certify(row *Registration, d *Device, key *ecdsa.PublicKey, now time.Time) error {
	cert, chain, err := g.c.Authority.IssueClient(d.ID, key, now)
	if err != nil {
		return err
	}
	d.CertificateEndsAt = sitedb.Micros(cert.NotAfter)
	row.State, row.Device, row.Chain = StateDone, d.ID, mtls.EncodeChain(chain)
	return nil
}

func (g *Registrar) settled(ctx context.Context, tx *sitedb.Tx, d Device) error {
	if _, err := deleteKey.Exec(ctx, tx, byKey{d.KeyFingerprint}); err != nil {
		return err
	}
	if err := g.c.OnDevice(ctx, tx, d.ID); err != nil {
		return err
	}
	return changed(ctx, tx)
}

// renew gives a device a new certificate. The device's current key must have
// signed, whatever the management point says.
func (g *Registrar) renew(ctx context.Context, tx *sitedb.Tx, row *Registration, now time.Time) error {
	var r wire.RenewRequest
	if err := json.Unmarshal(row.Request, &r); err != nil {
		return fault.Wrap(fault.Invalid, err, "renewal is not valid JSON")
	}
	d, ok, err := Load(ctx, tx, row.Device)
	if err != nil {
		return err
	}
	switch {
	case !ok:
		row.Code = wire.CodeUnknownDevice
		return fault.New(fault.Denied, "the site has no device %s", row.Device)
	case d.BlockedAt != nil:
		row.Code = wire.CodeBlocked
		return fault.New(fault.Denied, "device %s is blocked: %s", d.Name, d.BlockedReason)
	}
	key, err := renewalKey(r, d)
	if err != nil {
		return err
	}
	if row.KeyFingerprint != d.KeyFingerprint {
		if _, err := retireKey.Exec(ctx, tx, retired{d.ID, sitedb.Micros(now)}); err != nil {
			return err
		}
	}
	d.PublicKey, d.KeyFingerprint, d.ModifiedAt = r.PublicKey, row.KeyFingerprint, sitedb.Micros(now)
	if err := g.certify(row, &d, key, now); err != nil {
		return err
	}
	if _, err := rekeyDevice.Exec(ctx, tx, d); err != nil {
		return err
	}
	return changed(ctx, tx)
}

func renewalKey(r wire.RenewRequest, d Device) (*ecdsa.PublicKey, error) {
	key, err := mtls.ParsePublicKey(r.PublicKey)
	if err != nil {
		return nil, err
	}
	if !signed.Verify(key, wire.SignRenew, r.PublicKey, r.Signature) {
		return nil, fault.InvalidField("signature", "was not made by the new key")
	}
	current, err := mtls.ParsePublicKey(d.PublicKey)
	if err != nil {
		return nil, err
	}
	if !key.Equal(current) && !signed.Verify(current, wire.SignRenew, r.PublicKey, r.CurrentSignature) {
		return nil, fault.InvalidField("current_signature", "was not made by the device's current key")
	}
	return key, nil
}
