package device

import (
	"context"
	"crypto/ecdsa"
	"encoding/json"
	"time"

	"mainstay/lib/fault"
	"mainstay/lib/mtls"
	"mainstay/lib/sqldb"
	"mainstay/site/sitedb"
	"mainstay/wire"
)

type heartbeatRow struct {
	ID            string `db:"id"`
	Name          string `db:"name"`
	ProductUUID   string `db:"product_uuid"`
	Serial        string `db:"serial"`
	MachineID     string `db:"machine_id"`
	MACs          string `db:"macs"`
	OS            string `db:"os"`
	OSVersion     string `db:"os_version"`
	Arch          string `db:"arch"`
	ClientVersion string `db:"client_version"`
	Addresses     string `db:"addresses"`
	HeartbeatAt   int64  `db:"heartbeat_at"`
	PolicyVersion int64  `db:"policy_version"`
	FreshUntil    int64  `db:"fresh_until"`
	SettingsHash  string `db:"settings_hash"`
	Queued        int64  `db:"queued"`
}

type at struct {
	ID   string `db:"id"`
	Time int64  `db:"time"`
	Text string `db:"text"`
}

var (
	applyHeartbeat = sqldb.Define[heartbeatRow, sqldb.None]("device.applyHeartbeat",
		`UPDATE device SET name = @name, product_uuid = @product_uuid, serial = @serial, machine_id = @machine_id, macs = @macs,
		   os = @os, os_version = @os_version, arch = @arch, client_version = @client_version, addresses = @addresses,
		   heartbeat_at = @heartbeat_at, policy_version = @policy_version, fresh_until = @fresh_until,
		   settings_hash = @settings_hash, queued = @queued
		 WHERE id = @id AND (heartbeat_at IS NULL OR heartbeat_at <= @heartbeat_at)`)
	// Above every number that the client may have seen, like a version: after a
	// restore the next one by counting would be an old one.
	wantInventory = sqldb.Define[at, sqldb.None]("device.wantInventory",
		`UPDATE device SET resync = CASE WHEN resync < @time THEN @time ELSE resync + 1 END WHERE id = @id`)
	setInventory = sqldb.Define[at, sqldb.None]("device.setInventory",
		`UPDATE device SET inventory_hash = @text, inventory_at = @time WHERE id = @id`)
	setConflict = sqldb.Define[at, sqldb.None]("device.setConflict",
		`UPDATE device SET conflict = @text WHERE id = @id`)
	setPolicyAt = sqldb.Define[at, sqldb.None]("device.setPolicyAt",
		`UPDATE device SET policy_at = @time WHERE id = @id AND (policy_at IS NULL OR policy_at < @time)`)
	setMessageAt = sqldb.Define[at, sqldb.None]("device.setMessageAt",
		`UPDATE device SET message_at = @time WHERE id = @id AND (message_at IS NULL OR message_at < @time)`)
	keysOf = sqldb.Define[retired, struct {
		PublicKey []byte `db:"public_key"`
	}]("device.keysOf",
		`SELECT public_key FROM device WHERE id = @id
		 UNION ALL
		 SELECT public_key FROM device_key WHERE device = @id AND replaced_at >= @replaced_at`)
)

// keyOverlap is how long an upload may wait in the inbox and still be checked
// against the key that its sender had before.
const keyOverlap = 24 * time.Hour

// ProcessHeartbeat applies a heartbeat. wantFull tells that the site's
// inventory is not what the client has reported last: something was lost on
// the way, by a restored site or a hostile management point.
func ProcessHeartbeat(ctx context.Context, tx *sitedb.Tx, device string, m wire.Message, receivedAt int64) (wantFull bool, err error) {
	var h wire.Heartbeat
	if err := json.Unmarshal(m.Body, &h); err != nil {
		return false, fault.Wrap(fault.Invalid, err, "heartbeat is not valid JSON")
	}
	if err := checkHeartbeat(h); err != nil {
		return false, err
	}
	d, ok, err := Load(ctx, tx, device)
	if err != nil || !ok {
		return false, err
	}
	_, err = applyHeartbeat.Exec(ctx, tx, heartbeatRow{
		ID: device, Name: h.Name, ProductUUID: h.Hardware.ProductUUID, Serial: h.Hardware.Serial, MachineID: h.Hardware.MachineID,
		MACs: jsonList(h.Hardware.MACs), OS: h.OS, OSVersion: h.OSVersion, Arch: h.Arch, ClientVersion: h.ClientVersion,
		// The site's clock: activity is judged by when it was heard.
		Addresses: jsonList(h.Addresses), HeartbeatAt: receivedAt, PolicyVersion: h.PolicyVersion, FreshUntil: h.FreshUntil,
		SettingsHash: h.Settings, Queued: h.Queued,
	})
	tx.Announce("device")
	return h.InventoryHash != d.InventoryHash && h.InventoryHash != "", err
}

func checkHeartbeat(h wire.Heartbeat) error {
	r := wire.Registration{Name: h.Name, Hardware: h.Hardware, OS: h.OS, Arch: h.Arch, ClientVersion: h.ClientVersion}
	if err := checkFields(r); err != nil {
		return err
	}
	if len(h.Addresses) > 256 {
		return fault.InvalidField("addresses", "holds %d addresses, at most 256 are allowed", len(h.Addresses))
	}
	for _, address := range h.Addresses {
		if len(address) > 64 || !printable(address) {
			return fault.InvalidField("addresses", "holds %q, which is no address", clip(address))
		}
	}
	if len(h.OSVersion) > 128 || !printable(h.OSVersion) || len(h.InventoryHash) > 64 || len(h.Settings) > 64 {
		return fault.InvalidField("os_version", "is too long or cannot be printed")
	}
	return nil
}

// WantInventory asks the device for a full inventory with its next policy.
func WantInventory(ctx context.Context, tx *sitedb.Tx, device string, now time.Time) error {
	_, err := wantInventory.Exec(ctx, tx, at{ID: device, Time: sitedb.Micros(now)})
	return err
}

// SetInventory records the hash of the inventory that the site holds.
func SetInventory(ctx context.Context, tx *sitedb.Tx, device, hash string, when int64) error {
	_, err := setInventory.Exec(ctx, tx, at{ID: device, Time: when, Text: hash})
	tx.Announce("device")
	return err
}

// SetConflict says what is wrong with the device's identity; empty: nothing.
func SetConflict(ctx context.Context, tx *sitedb.Tx, device, text string) error {
	_, err := setConflict.Exec(ctx, tx, at{ID: device, Text: text})
	tx.Announce("device")
	return err
}

// Touched is when a management point last heard devices.
type Touched struct {
	Policy, Message map[string]time.Time
}

// Touch records when devices were last heard.
func Touch(ctx context.Context, tx *sitedb.Tx, t Touched) error {
	for id, when := range t.Policy {
		if _, err := setPolicyAt.Exec(ctx, tx, at{ID: id, Time: sitedb.Micros(when)}); err != nil {
			return err
		}
	}
	for id, when := range t.Message {
		if _, err := setMessageAt.Exec(ctx, tx, at{ID: id, Time: sitedb.Micros(when)}); err != nil {
			return err
		}
	}
	tx.Announce("device")
	return nil
}

// KeysOf are the public keys with which a device signs its uploads: its own,
// and those it had when uploads that may still wait were received. NotFound for
// an unknown device.
func KeysOf(ctx context.Context, tx *sitedb.Tx, device string, now time.Time) ([]*ecdsa.PublicKey, error) {
	rows, err := keysOf.All(ctx, tx, retired{ID: device, ReplacedAt: sitedb.Micros(now.Add(-keyOverlap))})
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 {
		return nil, fault.New(fault.NotFound, "the site has no device %s", device)
	}
	keys := make([]*ecdsa.PublicKey, len(rows))
	for i, row := range rows {
		if keys[i], err = mtls.ParsePublicKey(row.PublicKey); err != nil {
			return nil, err
		}
	}
	return keys, nil
}
