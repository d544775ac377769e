package siteserver

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"time"

	"mainstay/site/device"
	"mainstay/site/inbox"
	"mainstay/site/inventory"
	"mainstay/site/policy"
	"mainstay/site/sitedb"
	"mainstay/site/statemessage"
	"mainstay/site/status"
	"mainstay/wire"
)

// How long things are kept that nobody asked to keep longer.
const (
	keepRegistrations = 30 * 24 * time.Hour
)

// handlers say which feature takes which message. A type of wire that is not
// here goes to the dead letters; a test compares the two lists.
func (s *SiteServer) handlers() map[string]inbox.Handler {
	inventories := inventory.NewProcessor(inventory.ProcessorConfig{
		WantFull: s.wantInventory, OnInventory: device.SetInventory,
	})
	return map[string]inbox.Handler{
		wire.TypeHeartbeat: func(ctx context.Context, tx *sitedb.Tx, r inbox.Received) error {
			wantFull, err := device.ProcessHeartbeat(ctx, tx, r.Device, r.Message, r.ReceivedAt)
			if err != nil || !wantFull {
				return err
			}
			return s.wantInventory(ctx, tx, r.Device)
		},
		wire.TypeHardwareInventory: func(ctx context.Context, tx *sitedb.Tx, r inbox.Received) error {
			return inventories.Process(ctx, tx, r.Device, r.Message, r.ReceivedAt)
		},
		wire.TypeStateMessage: func(ctx context.Context, tx *sitedb.Tx, r inbox.Received) error {
			return statemessage.Process(ctx, tx, r.Device, r.Message, r.ReceivedAt)
		},
		wire.TypeStatusMessage: func(ctx context.Context, tx *sitedb.Tx, r inbox.Received) error {
			return status.Process(ctx, tx, r.Device, r.Message, r.ReceivedAt)
		},
	}
}

// wantInventory asks a device for a full inventory through its policy.
func (s *SiteServer) wantInventory(ctx context.Context, tx *sitedb.Tx, id string) error {
	if err := device.WantInventory(ctx, tx, id, s.c.Now()); err != nil {
		return err
	}
	return policy.Want(ctx, tx, id, s.c.Now())
}

func (s *SiteServer) keysOf(ctx context.Context, tx *sitedb.Tx, id string) ([]*ecdsa.PublicKey, error) {
	return device.KeysOf(ctx, tx, id, s.c.Now())
}

// onDevice prepares what a new or changed device needs.
func (s *SiteServer) onDevice(ctx context.Context, tx *sitedb.Tx, id string) error {
	return policy.Want(ctx, tx, id, s.c.Now())
}

// report turns an event of a device into a status message.
func (s *SiteServer) report(ctx context.Context, tx *sitedb.Tx, e device.Event, id string, insertions ...string) error {
	numbers := map[device.Event]int{
		device.EventRegistered: status.DeviceRegistered, device.EventReregistered: status.DeviceRegisteredAgain,
		device.EventCopy: status.DeviceCopied, device.EventRefused: status.RegistrationRefused, device.EventWaits: status.RegistrationWaits,
	}
	return status.Report(ctx, tx, status.Message{ID: numbers[e], System: s.c.System, Device: id, Insertions: insertions})
}

// maintain removes what has been kept long enough. Each slice knows its own.
func (s *SiteServer) maintain(db sitedb.Writer) func(context.Context) error {
	return func(ctx context.Context) error {
		now := s.c.Now()
		return errors.Join(
			device.ForgetRegistrations(ctx, db, now.Add(-keepRegistrations)),
			inbox.Clean(ctx, db, now),
			status.Clean(ctx, db, now),
			inventory.Clean(ctx, db, now),
		)
	}
}
