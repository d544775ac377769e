package apiv1

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"mainstay/site/access"
	"mainstay/site/device"
	"mainstay/site/inbox"
	"mainstay/site/inventory"
	"mainstay/site/policy"
	"mainstay/site/sitedb"
	"mainstay/site/statemessage"
	"mainstay/site/status"
)

// Device is a managed machine.
type Device struct {
	ID               string     `json:"id"`
	Name             string     `json:"name" doc:"host name"`
	Activity         string     `json:"activity" enum:"active,inactive,never,blocked" doc:"active: heard of within 48 hours"`
	SeenAt           *time.Time `json:"seen_at,omitempty" doc:"when it was last heard of in any way"`
	OS               string     `json:"os"`
	OSVersion        string     `json:"os_version"`
	Arch             string     `json:"arch"`
	ClientVersion    string     `json:"client_version"`
	Addresses        []string   `json:"addresses" nullable:"false"`
	Hardware         Hardware   `json:"hardware"`
	KeyFingerprint   string     `json:"key_fingerprint" doc:"SHA-256 of its public key, hex"`
	CertificateEnds  time.Time  `json:"certificate_ends_at"`
	RegisteredAt     time.Time  `json:"registered_at"`
	RegisteredBy     string     `json:"registered_by" doc:"token or administrator that let it in"`
	BlockedAt        *time.Time `json:"blocked_at,omitempty"`
	BlockedReason    string     `json:"blocked_reason,omitempty"`
	CopyOf           string     `json:"copy_of,omitempty" doc:"identifier of the device whose identity this machine found on its disk"`
	Conflict         string     `json:"conflict,omitempty" doc:"why it looks as if two machines used this identity"`
	HeartbeatAt      *time.Time `json:"heartbeat_at,omitempty"`
	PolicyAt         *time.Time `json:"policy_at,omitempty" doc:"when it last asked for policy"`
	MessageAt        *time.Time `json:"message_at,omitempty" doc:"when a message of it was last processed"`
	InventoryAt      *time.Time `json:"inventory_at,omitempty"`
	PolicyVersion    int64      `json:"policy_version" doc:"version of the policy that it works on"`
	PolicyFreshUntil *time.Time `json:"policy_fresh_until,omitempty" doc:"until when it knows that its policy is the newest"`
	Queued           int64      `json:"queued" doc:"messages in its outbox at the last heartbeat"`
}

// Hardware is what ties a machine to its record.
type Hardware struct {
	ProductUUID string   `json:"product_uuid,omitempty"`
	Serial      string   `json:"serial,omitempty"`
	MachineID   string   `json:"machine_id,omitempty"`
	MACs        []string `json:"macs" nullable:"false"`
}

// Reason says why something is done.
type Reason struct {
	Reason string `json:"reason" minLength:"1" maxLength:"500" doc:"for whoever wonders later" example:"stolen on Tuesday"`
}

// ResultantSetting is a setting in force on a device, and why.
type ResultantSetting struct {
	Key        string          `json:"key"`
	Value      any             `json:"value" doc:"a duration as text (5m), true or false, or a list of texts"`
	Default    bool            `json:"default" doc:"nobody chose it: it is the product's own default"`
	From       []SettingSource `json:"from" nullable:"false" doc:"client settings that the value comes from; several for lists that are merged"`
	Overridden []SettingSource `json:"overridden" nullable:"false" doc:"client settings that say something else and have a higher order number"`
}

// SettingSource names client settings.
type SettingSource struct {
	ID    string `json:"id"`
	Name  string `json:"name"`
	Order int64  `json:"order"`
}

type reasonInput struct {
	ByID
	Body Reason
}

func registerDevices(a *API) {
	table := device.Table()
	const tag, path = "device", "/devices/{id}"
	register(a, operation{
		method: http.MethodGet, path: "/devices", id: "list-devices", tag: tag, permission: access.DeviceRead,
		summary: "List devices", list: &table,
	}, a.listDevices)
	register(a, operation{
		method: http.MethodGet, path: path, id: "get-device", tag: tag, permission: access.DeviceRead,
		summary: "Show a device",
	}, a.getDevice)
	register(a, operation{
		method: http.MethodDelete, path: path, id: "delete-device", tag: tag, permission: access.DeviceDelete,
		summary:     "Forget a device",
		description: "Its record, inventory and messages are removed. A client that still runs there must register again; to keep it out, block the device.",
	}, a.deleteDevice)
	register(a, operation{
		method: http.MethodPost, path: path + "/block", id: "block-device", tag: tag, permission: access.DeviceModify,
		summary: "Shut a device out",
	}, a.blockDevice)
	register(a, operation{
		method: http.MethodPost, path: path + "/unblock", id: "unblock-device", tag: tag, permission: access.DeviceModify,
		summary: "Let a device in again",
	}, a.unblockDevice)
	register(a, operation{
		method: http.MethodGet, path: path + "/client-settings", id: "get-resultant-client-settings", tag: tag, permission: access.DeviceRead,
		summary: "Show the client settings in force on a device and where each comes from",
	}, a.resultantSettings)
}

func (a *API) deviceOf(d device.Device) Device {
	hardware := d.Hardware()
	addresses := []string{}
	// The column is written by the slice alone.
	_ = json.Unmarshal([]byte(d.Addresses), &addresses)
	return Device{
		ID: d.ID, Name: d.Name, Activity: d.Activity(a.c.Now()), SeenAt: known(d.SeenAt()),
		OS: d.OS, OSVersion: d.OSVersion, Arch: d.Arch, ClientVersion: d.ClientVersion, Addresses: list(addresses),
		Hardware:       Hardware{hardware.ProductUUID, hardware.Serial, hardware.MachineID, list(hardware.MACs)},
		KeyFingerprint: d.KeyFingerprint, CertificateEnds: at(d.CertificateEndsAt),
		RegisteredAt: at(d.RegisteredAt), RegisteredBy: d.RegisteredBy,
		BlockedAt: maybeAt(d.BlockedAt), BlockedReason: d.BlockedReason, CopyOf: d.CopyOf, Conflict: d.Conflict,
		HeartbeatAt: maybeAt(d.HeartbeatAt), PolicyAt: maybeAt(d.PolicyAt), MessageAt: maybeAt(d.MessageAt), InventoryAt: maybeAt(d.InventoryAt),
		PolicyVersion: d.PolicyVersion, PolicyFreshUntil: known(d.FreshUntil), Queued: d.Queued,
	}
}

func (a *API) listDevices(ctx context.Context, caller access.Caller, in *ListInput) (*output[Page[Device]], error) {
	page, err := read(ctx, a, func(tx *sitedb.Tx) (page[device.Device], error) {
		return device.List(ctx, tx, caller.Scope(access.DeviceRead), in.request(), a.c.Now())
	})
	return pageOf(page, a.deviceOf), err
}

func (a *API) getDevice(ctx context.Context, caller access.Caller, in *ByID) (*output[Device], error) {
	row, err := read(ctx, a, func(tx *sitedb.Tx) (device.Device, error) {
		return device.Show(ctx, tx, caller.Scope(access.DeviceRead), in.ID)
	})
	return answer(a.deviceOf(row)), err
}

func (a *API) deleteDevice(ctx context.Context, caller access.Caller, in *ByID) (*Empty, error) {
	return write(ctx, a, func(tx *sitedb.Tx) (*Empty, error) {
		row, err := device.Delete(ctx, tx, caller, in.ID, a.c.Now())
		if err != nil {
			return nil, err
		}
		if err := a.forget(ctx, tx, in.ID); err != nil {
			return nil, err
		}
		return nil, a.report(ctx, tx, status.DeviceDeleted, "", row.Name, caller.Name)
	})
}

// forget removes what the slices know of a device that is deleted.
func (a *API) forget(ctx context.Context, tx *sitedb.Tx, id string) error {
	for _, forget := range []func(context.Context, *sitedb.Tx, string) error{
		inbox.Forget, status.Forget, statemessage.Forget, inventory.Forget,
		func(ctx context.Context, tx *sitedb.Tx, id string) error {
			return policy.Forget(ctx, tx, id, a.c.Now())
		},
	} {
		if err := forget(ctx, tx, id); err != nil {
			return err
		}
	}
	return nil
}

// report writes a status message about a device.
func (a *API) report(ctx context.Context, tx *sitedb.Tx, message int, device string, insertions ...string) error {
	return status.Report(ctx, tx, status.Message{ID: message, System: a.c.System, Device: device, Insertions: insertions, Time: a.c.Now()})
}

func (a *API) blockDevice(ctx context.Context, caller access.Caller, in *reasonInput) (*output[Device], error) {
	row, err := write(ctx, a, func(tx *sitedb.Tx) (device.Device, error) {
		row, err := device.Block(ctx, tx, caller, in.ID, in.Body.Reason, a.c.Now())
		if err != nil {
			return row, err
		}
		return row, a.report(ctx, tx, status.DeviceBlocked, row.ID, row.Name, caller.Name, row.BlockedReason)
	})
	return answer(a.deviceOf(row)), err
}

func (a *API) unblockDevice(ctx context.Context, caller access.Caller, in *ByID) (*output[Device], error) {
	row, err := write(ctx, a, func(tx *sitedb.Tx) (device.Device, error) {
		row, err := device.Unblock(ctx, tx, caller, in.ID, a.c.Now())
		if err != nil {
			return row, err
		}
		return row, a.report(ctx, tx, status.DeviceUnblocked, row.ID, row.Name, caller.Name)
	})
	return answer(a.deviceOf(row)), err
}

func (a *API) resultantSettings(ctx context.Context, caller access.Caller, in *ByID) (*output[Page[ResultantSetting]], error) {
	origins, err := read(ctx, a, func(tx *sitedb.Tx) ([]policy.Origin, error) {
		return policy.ResultantSet(ctx, tx, caller.Scope(access.DeviceRead), in.ID)
	})
	body := Page[ResultantSetting]{Items: []ResultantSetting{}}
	for _, o := range origins {
		body.Items = append(body.Items, ResultantSetting{
			Key: o.Key, Value: o.Value, Default: len(o.From) == 0, From: sourcesOf(o.From), Overridden: sourcesOf(o.Overridden),
		})
	}
	return answer(body), err
}

func sourcesOf(sources []policy.Source) []SettingSource {
	out := make([]SettingSource, len(sources))
	for i, s := range sources {
		out[i] = SettingSource{s.ID, s.Name, s.Rank}
	}
	return out
}
