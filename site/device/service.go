package device

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"mainstay/lib/fault"
	"mainstay/lib/listing"
	"mainstay/lib/sqldb"
	"mainstay/site/access"
	"mainstay/site/sitedb"
	"mainstay/wire"
)

// Activity of a device, by when it was last heard of.
const (
	ActivityActive   = "active"
	ActivityInactive = "inactive"
	ActivityNever    = "never"
	ActivityBlocked  = "blocked"
)

// InactiveAfter is the silence after which a device counts as inactive: a day
// of heartbeats and one more.
const InactiveAfter = 48 * time.Hour

// maxReason is the longest reason in bytes.
const maxReason = 500

// SeenAt is when the device was last heard of in any way, 0 for never.
func (d Device) SeenAt() int64 {
	var seen int64
	for _, at := range []*int64{d.HeartbeatAt, d.PolicyAt, d.MessageAt} {
		if at != nil {
			seen = max(seen, *at)
		}
	}
	return seen
}

// Activity tells whether the device is in contact.
func (d Device) Activity(now time.Time) string {
	switch seen := d.SeenAt(); {
	case d.BlockedAt != nil:
		return ActivityBlocked
	case seen == 0:
		return ActivityNever
	case seen < sitedb.Micros(now.Add(-InactiveAfter)):
		return ActivityInactive
	}
	return ActivityActive
}

// seenSQL is SeenAt in SQL, without a function that only one engine has.
const seenSQL = `(CASE
	WHEN coalesce(policy_at, 0) >= coalesce(heartbeat_at, 0) AND coalesce(policy_at, 0) >= coalesce(message_at, 0) THEN coalesce(policy_at, 0)
	WHEN coalesce(message_at, 0) >= coalesce(heartbeat_at, 0) THEN coalesce(message_at, 0)
	ELSE coalesce(heartbeat_at, 0) END)`

// Table describes the list of devices.
func Table() listing.Table {
	return listing.Table{
		Columns: []listing.Column{
			{Name: "id", SQL: "id"},
			{Name: "name", SQL: "name"},
			{Name: "os", SQL: "os"},
			{Name: "os_version", SQL: "os_version"},
			{Name: "arch", SQL: "arch"},
			{Name: "client_version", SQL: "client_version"},
			{Name: "addresses", SQL: "addresses"},
			{Name: "serial", SQL: "serial"},
			{Name: "product_uuid", SQL: "product_uuid"},
			{Name: "machine_id", SQL: "machine_id"},
			{Name: "blocked", SQL: "blocked_at IS NOT NULL", Kind: listing.Bool},
			{Name: "conflict", SQL: "conflict"},
			{Name: "copy_of", SQL: "copy_of"},
			{Name: "registered_by", SQL: "registered_by"},
			{Name: "registered_at", SQL: "registered_at", Kind: listing.Time},
			{Name: "seen_at", SQL: seenSQL, Kind: listing.Time},
			{Name: "heartbeat_at", SQL: "heartbeat_at", Kind: listing.Time, Nullable: true},
			{Name: "policy_at", SQL: "policy_at", Kind: listing.Time, Nullable: true},
			{Name: "inventory_at", SQL: "inventory_at", Kind: listing.Time, Nullable: true},
			{Name: "certificate_ends_at", SQL: "certificate_ends_at", Kind: listing.Time},
			{Name: "queued", SQL: "queued", Kind: listing.Integer},
		},
		Key: "id", Sort: "name",
	}
}

type blockRow struct {
	ID            string `db:"id"`
	BlockedAt     *int64 `db:"blocked_at"`
	BlockedReason string `db:"blocked_reason"`
	ModifiedAt    int64  `db:"modified_at"`
}

// Counts says how many devices are in which state. They add up to Total.
type Counts struct {
	Total    int64 `db:"total"`
	Active   int64 `db:"active"`
	Inactive int64 `db:"inactive"`
	Never    int64 `db:"never"`
	Blocked  int64 `db:"blocked"`
	// Conflicts are devices that share an identity with another machine.
	Conflicts int64 `db:"conflicts"`
}

type countRow struct {
	Since int64 `db:"since"`
}

var (
	setBlocked = sqldb.Define[blockRow, sqldb.None]("device.setBlocked",
		`UPDATE device SET blocked_at = @blocked_at, blocked_reason = @blocked_reason, modified_at = @modified_at WHERE id = @id`)
	deleteDevice = sqldb.Define[byID, sqldb.None]("device.delete", `DELETE FROM device WHERE id = @id`)
	deleteKeysOf = sqldb.Define[byID, sqldb.None]("device.deleteKeysOf", `DELETE FROM device_key WHERE device = @id`)
	deleteAsked  = sqldb.Define[byID, sqldb.None]("device.deleteRegistrationsOf", `DELETE FROM registration WHERE device = @id AND device <> ''`)
	countDevices = sqldb.Define[countRow, Counts]("device.count",
		`SELECT count(*) AS total,
		   count(*) FILTER (WHERE blocked_at IS NULL AND `+seenSQL+` >= @since) AS active,
		   count(*) FILTER (WHERE blocked_at IS NULL AND `+seenSQL+` > 0 AND `+seenSQL+` < @since) AS inactive,
		   count(*) FILTER (WHERE blocked_at IS NULL AND `+seenSQL+` = 0) AS never,
		   count(*) FILTER (WHERE blocked_at IS NOT NULL) AS blocked,
		   count(*) FILTER (WHERE conflict <> '') AS conflicts
		 FROM device`)
	countPending = sqldb.Define[sqldb.None, struct {
		N int64 `db:"n"`
	}]("device.countPending", `SELECT count(*) AS n FROM registration WHERE state = 'pending'`)
)

// List reads one page of the devices.
func List(ctx context.Context, tx *sitedb.Tx, scope access.Scope, r listing.Request, now time.Time) (listing.Page[Device], error) {
	plan, err := Table().Plan(r, now)
	if err != nil {
		return listing.Page[Device]{}, err
	}
	return listing.List[Device](ctx, tx, plan, listing.Source{Columns: deviceColumns, From: "device", Where: scope.SQL()})
}

// Show reads one device.
func Show(ctx context.Context, tx *sitedb.Tx, scope access.Scope, id string) (Device, error) {
	d, ok, err := Load(ctx, tx, id)
	if err == nil && (!ok || !scope.SeesAll()) {
		return Device{}, noDevice(id)
	}
	return d, err
}

func noDevice(id string) error {
	return fault.New(fault.NotFound, "no device has the identifier %q; look it up with the filter name=NAME", clip(id))
}

// Count counts the devices and the registrations that wait for an
// administrator.
func Count(ctx context.Context, tx *sitedb.Tx, scope access.Scope, now time.Time) (counts Counts, pending int64, err error) {
	if !scope.SeesAll() {
		return counts, 0, nil
	}
	counts, _, err = countDevices.One(ctx, tx, countRow{Since: sitedb.Micros(now.Add(-InactiveAfter))})
	if err != nil {
		return counts, 0, err
	}
	row, _, err := countPending.One(ctx, tx, sqldb.None{})
	return counts, row.N, err
}

// Block shuts a device out: within a second no management point talks to it.
func Block(ctx context.Context, tx *sitedb.Tx, caller access.Caller, id, reason string, now time.Time) (Device, error) {
	d, err := changeable(ctx, tx, caller, access.DeviceModify, id)
	if err != nil {
		return d, err
	}
	if reason, err = checkReason(reason); err != nil {
		return d, err
	}
	if d.BlockedAt != nil {
		return d, fault.New(fault.Conflict, "device %s is blocked already: %s", d.Name, d.BlockedReason)
	}
	at := sitedb.Micros(now)
	d.BlockedAt, d.BlockedReason = &at, reason
	return d, setBlock(ctx, tx, caller, d, "device.block", now)
}

// Unblock lets a device in again.
func Unblock(ctx context.Context, tx *sitedb.Tx, caller access.Caller, id string, now time.Time) (Device, error) {
	d, err := changeable(ctx, tx, caller, access.DeviceModify, id)
	if err != nil {
		return d, err
	}
	if d.BlockedAt == nil {
		return d, fault.New(fault.Conflict, "device %s is not blocked", d.Name)
	}
	d.BlockedAt, d.BlockedReason = nil, ""
	return d, setBlock(ctx, tx, caller, d, "device.unblock", now)
}

func setBlock(ctx context.Context, tx *sitedb.Tx, caller access.Caller, d Device, action string, now time.Time) error {
	row := blockRow{ID: d.ID, BlockedAt: d.BlockedAt, BlockedReason: d.BlockedReason, ModifiedAt: sitedb.Micros(now)}
	if _, err := setBlocked.Exec(ctx, tx, row); err != nil {
		return fmt.Errorf("cannot change device %s: %w", d.ID, err)
	}
	if err := changed(ctx, tx); err != nil {
		return err
	}
	detail := map[string]string{"name": d.Name}
	if d.BlockedReason != "" {
		detail["reason"] = d.BlockedReason
	}
	return access.Record(ctx, tx, caller, access.Entry{Action: action, ObjectType: "device", ObjectID: d.ID, Detail: detail}, now)
}

// Delete forgets a device: its record, its keys and its registration. A client
// that still runs there is a stranger and must register again; to keep it out,
// block the device instead. What other slices know of the device is forgotten
// by them in the same transaction.
func Delete(ctx context.Context, tx *sitedb.Tx, caller access.Caller, id string, now time.Time) (Device, error) {
	d, err := changeable(ctx, tx, caller, access.DeviceDelete, id)
	if err != nil {
		return d, err
	}
	for _, statement := range []*sqldb.Statement[byID, sqldb.None]{deleteAsked, deleteKeysOf, deleteDevice} {
		if _, err := statement.Exec(ctx, tx, byID{id}); err != nil {
			return d, fmt.Errorf("cannot delete device %s: %w", id, err)
		}
	}
	if err := changed(ctx, tx); err != nil {
		return d, err
	}
	return d, access.Record(ctx, tx, caller, access.Entry{
		Action: "device.delete", ObjectType: "device", ObjectID: id, Detail: map[string]string{"name": d.Name},
	}, now)
}

func changeable(ctx context.Context, tx *sitedb.Tx, caller access.Caller, p access.Permission, id string) (Device, error) {
	if err := caller.Require(p); err != nil {
		return Device{}, err
	}
	return Show(ctx, tx, caller.Scope(p), id)
}

func checkReason(reason string) (string, error) {
	reason = strings.TrimSpace(reason)
	switch {
	case reason == "":
		return "", fault.InvalidField("reason", "is empty; say why, for whoever wonders later")
	case len(reason) > maxReason:
		return "", fault.InvalidField("reason", "has %d bytes; at most %d are allowed", len(reason), maxReason)
	case !printable(reason):
		return "", fault.InvalidField("reason", "holds characters that cannot be printed")
	}
	return reason, nil
}

// RegistrationTable describes the list of registrations.
func RegistrationTable() listing.Table {
	return listing.Table{
		Columns: []listing.Column{
			{Name: "id", SQL: "key_fingerprint"},
			{Name: "kind", SQL: "kind", Values: []string{kindRegister, kindRenew}},
			{Name: "state", SQL: "state", Values: []string{StateWaiting, StatePending, StateApproved, StateDone, StateRefused}},
			{Name: "source", SQL: "source"},
			{Name: "device", SQL: "device"},
			{Name: "received_at", SQL: "received_at", Kind: listing.Time},
			{Name: "decided_at", SQL: "decided_at", Kind: listing.Time, Nullable: true},
		},
		Key: "id", Sort: "-received_at",
	}
}

// ListRegistrations reads one page of the registrations.
func ListRegistrations(ctx context.Context, tx *sitedb.Tx, scope access.Scope, r listing.Request, now time.Time) (listing.Page[Registration], error) {
	plan, err := RegistrationTable().Plan(r, now)
	if err != nil {
		return listing.Page[Registration]{}, err
	}
	return listing.List[Registration](ctx, tx, plan, listing.Source{Columns: registrationColumns, From: "registration", Where: scope.SQL()})
}

// Claim is what the machine says of itself in the registration; nothing of it
// was checked but that it holds its key. It is empty for a renewal.
func (r Registration) Claim() wire.Registration {
	var request wire.RegisterRequest
	var claim wire.Registration
	// What cannot be read is shown as empty; the request was read before it
	// was stored.
	if json.Unmarshal(r.Request, &request) == nil {
		_ = json.Unmarshal(request.Registration, &claim)
	}
	return claim
}

// Approve lets a machine become a device; the component Registrar issues its
// certificate.
func Approve(ctx context.Context, tx *sitedb.Tx, caller access.Caller, id string, now time.Time) (Registration, error) {
	return settle(ctx, tx, caller, id, StateApproved, "registration.approve", "", now)
}

// Deny refuses a machine; it may ask again with another proof.
func Deny(ctx context.Context, tx *sitedb.Tx, caller access.Caller, id, reason string, now time.Time) (Registration, error) {
	reason, err := checkReason(reason)
	if err != nil {
		return Registration{}, err
	}
	return settle(ctx, tx, caller, id, StateRefused, "registration.deny", reason, now)
}

func settle(ctx context.Context, tx *sitedb.Tx, caller access.Caller, id, state, action, reason string, now time.Time) (Registration, error) {
	if err := caller.Require(access.RegistrationApprove); err != nil {
		return Registration{}, err
	}
	row, ok, err := readRegistration.One(ctx, tx, byKey{id})
	switch {
	case err != nil:
		return row, err
	case !ok:
		return row, fault.New(fault.NotFound, "no registration has the key fingerprint %q; list them to see all", clip(id))
	case row.State != StatePending:
		return row, fault.New(fault.Conflict, "the registration is %s and does not wait for an administrator", row.State)
	}
	at := sitedb.Micros(now)
	row.State, row.DecidedAt = state, &at
	if state == StateRefused {
		row.Code, row.Detail = wire.CodeRefused, denied+caller.Name+": "+reason
	}
	if _, err := putRegistration.Exec(ctx, tx, row); err != nil {
		return row, err
	}
	tx.Announce("registration", "registration-decided")
	claim := row.Claim()
	detail := map[string]string{"name": claim.Name, "source": row.Source}
	if reason != "" {
		detail["reason"] = reason
	}
	return row, access.Record(ctx, tx, caller, access.Entry{Action: action, ObjectType: "registration", ObjectID: id, Detail: detail}, now)
}
