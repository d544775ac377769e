package client

import (
	"context"

	"mainstay/client/inventory"
	"mainstay/lib/fault"
)

// MachineInventory is the inventory of the machine whose file system is at
// root ("/" but in tests). It is a Watcher.
type MachineInventory struct{ root string }

// NewMachineInventory makes it; it reads nothing yet.
func NewMachineInventory(root string) *MachineInventory { return &MachineInventory{root} }

// Report collects and compares.
func (m *MachineInventory) Report(ctx context.Context, ask InventoryAsk) (InventoryResult, error) {
	base, err := inventory.DecodeBaseline(ask.Base)
	full := ask.Full || err != nil
	if err != nil {
		base = inventory.Baseline{} // damaged or of another version: begin anew
	}
	collector, err := inventory.New(inventory.Config{Root: m.root, Disabled: ask.Disabled, Files: ask.Files, Previous: base})
	if err != nil {
		return InventoryResult{}, err
	}
	snapshot, err := collector.Collect(ctx)
	if err != nil {
		return InventoryResult{}, err
	}
	if len(snapshot.Classes) == 0 {
		return InventoryResult{}, fault.New(fault.Unavailable, "nothing of this machine could be read")
	}
	var result InventoryResult
	var next inventory.Baseline
	if full {
		result.Report, next = inventory.Full(snapshot)
	} else {
		result.Report, next = inventory.Diff(base, snapshot)
		result.Unchanged = len(result.Report.Classes) == 0
	}
	result.Baseline = next.Encode()
	return result, nil
}

// Watch tells when something changed that can be seen at once.
func (m *MachineInventory) Watch(ctx context.Context, notify func(string)) error {
	return inventory.Watch(ctx, inventory.Config{Root: m.root}, notify)
}
