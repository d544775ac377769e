package device

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"mainstay/lib/sqldb"
	"mainstay/site/sitedb"
	"mainstay/wire"
)

// Device is a managed machine of the site, as its row says.
type Device struct {
	ID                string `db:"id"`
	SiteCode          string `db:"site_code"`
	Name              string `db:"name"`
	ProductUUID       string `db:"product_uuid"`
	Serial            string `db:"serial"`
	MachineID         string `db:"machine_id"`
	MACs              string `db:"macs"` // JSON array
	PublicKey         []byte `db:"public_key"`
	KeyFingerprint    string `db:"key_fingerprint"`
	CertificateEndsAt int64  `db:"certificate_ends_at"`
	OS                string `db:"os"`
	OSVersion         string `db:"os_version"`
	Arch              string `db:"arch"`
	ClientVersion     string `db:"client_version"`
	Addresses         string `db:"addresses"` // JSON array
	RegisteredAt      int64  `db:"registered_at"`
	RegisteredBy      string `db:"registered_by"`
	BlockedAt         *int64 `db:"blocked_at"`
	BlockedReason     string `db:"blocked_reason"`
	CopyOf            string `db:"copy_of"`
	Conflict          string `db:"conflict"`
	HeartbeatAt       *int64 `db:"heartbeat_at"`
	PolicyAt          *int64 `db:"policy_at"`
	MessageAt         *int64 `db:"message_at"`
	InventoryAt       *int64 `db:"inventory_at"`
	InventoryHash     string `db:"inventory_hash"`
	PolicyVersion     int64  `db:"policy_version"`
	FreshUntil        int64  `db:"fresh_until"`
	SettingsHash      string `db:"settings_hash"`
	Queued            int64  `db:"queued"`
	Resync            int64  `db:"resync"`
	ModifiedAt        int64  `db:"modified_at"`
}

const deviceColumns = `id, site_code, name, product_uuid, serial, machine_id, macs, public_key, key_fingerprint,
	certificate_ends_at, os, os_version, arch, client_version, addresses, registered_at, registered_by, blocked_at,
	blocked_reason, copy_of, conflict, heartbeat_at, policy_at, message_at, inventory_at, inventory_hash,
	policy_version, fresh_until, settings_hash, queued, resync, modified_at`

type byID struct {
	ID string `db:"id"`
}

type retired struct {
	ID         string `db:"id"`
	ReplacedAt int64  `db:"replaced_at"`
}

var (
	readDevice = sqldb.Define[byID, Device]("device.read",
		`SELECT `+deviceColumns+` FROM device WHERE id = @id`)
	insertDevice = sqldb.Define[Device, sqldb.None]("device.insert",
		`INSERT INTO device (`+deviceColumns+`)
		 VALUES (@id, @site_code, @name, @product_uuid, @serial, @machine_id, @macs, @public_key, @key_fingerprint,
		   @certificate_ends_at, @os, @os_version, @arch, @client_version, @addresses, @registered_at, @registered_by, @blocked_at,
		   @blocked_reason, @copy_of, @conflict, @heartbeat_at, @policy_at, @message_at, @inventory_at, @inventory_hash,
		   @policy_version, @fresh_until, @settings_hash, @queued, @resync, @modified_at)`)
	rekeyDevice = sqldb.Define[Device, sqldb.None]("device.rekey",
		`UPDATE device SET name = @name, product_uuid = @product_uuid, serial = @serial, machine_id = @machine_id, macs = @macs,
		   public_key = @public_key, key_fingerprint = @key_fingerprint, certificate_ends_at = @certificate_ends_at,
		   os = @os, arch = @arch, client_version = @client_version, registered_at = @registered_at, registered_by = @registered_by,
		   resync = @resync, modified_at = @modified_at
		 WHERE id = @id`)
	candidatesByHardware = sqldb.Define[struct {
		ProductUUID string `db:"product_uuid"`
		MachineID   string `db:"machine_id"`
	}, Device]("device.candidatesByHardware",
		`SELECT `+deviceColumns+` FROM device
		 WHERE (product_uuid = @product_uuid AND product_uuid <> '') OR (machine_id = @machine_id AND machine_id <> '')
		 ORDER BY registered_at DESC, id LIMIT 20`)
	retireKey = sqldb.Define[retired, sqldb.None]("device.retireKey",
		`INSERT INTO device_key (key_fingerprint, public_key, device, replaced_at)
		 SELECT key_fingerprint, public_key, id, @replaced_at FROM device WHERE id = @id
		 ON CONFLICT (key_fingerprint) DO UPDATE SET device = excluded.device, replaced_at = excluded.replaced_at`)
	deleteKey = sqldb.Define[byKey, sqldb.None]("device.deleteKey",
		`DELETE FROM device_key WHERE key_fingerprint = @key_fingerprint`)
	bumpCounter = sqldb.Define[struct {
		Name string `db:"name"`
	}, sqldb.None]("device.bumpCounter",
		`UPDATE change_counter SET value = value + 1 WHERE name = @name`)
)

// Hardware is the device's hardware identity.
func (d Device) Hardware() wire.HardwareIdentity {
	h := wire.HardwareIdentity{ProductUUID: d.ProductUUID, Serial: d.Serial, MachineID: d.MachineID}
	// The column is written by this package alone; a row that cannot be read
	// has no addresses to compare.
	_ = json.Unmarshal([]byte(d.MACs), &h.MACs)
	return h
}

// sameMachine tells whether two hardware identities are one machine. The
// firmware's identifier decides where both have one, unless everything else
// speaks against it (containers of one host show the host's). Without it the
// operating system's identifier must agree.
func sameMachine(a, b wire.HardwareIdentity) bool {
	sameID := a.MachineID != "" && a.MachineID == b.MachineID
	if a.ProductUUID == "" || b.ProductUUID == "" {
		return sameID && a.ProductUUID == b.ProductUUID
	}
	if a.ProductUUID != b.ProductUUID {
		return false
	}
	return sameID || shareMAC(a.MACs, b.MACs) || len(a.MACs) == 0 && len(b.MACs) == 0
}

func shareMAC(a, b []string) bool {
	return slices.ContainsFunc(a, func(mac string) bool { return slices.Contains(b, mac) })
}

// changed tells management points that identities or blocking changed.
func changed(ctx context.Context, tx *sitedb.Tx) error {
	_, err := bumpCounter.Exec(ctx, tx, struct {
		Name string `db:"name"`
	}{"device"})
	tx.Announce("device", "device-identity")
	return err
}

func jsonList(values []string) string {
	if values == nil {
		values = []string{}
	}
	data, err := json.Marshal(values)
	if err != nil {
		return "[]"
	}
	return string(data)
}

// Load reads a device; ok is false when there is none.
func Load(ctx context.Context, tx *sitedb.Tx, id string) (Device, bool, error) {
	d, ok, err := readDevice.One(ctx, tx, byID{id})
	if err != nil {
		return d, false, fmt.Errorf("cannot load device %s: %w", id, err)
	}
	return d, ok, nil
}
