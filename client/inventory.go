package client

import (
	"context"
	"strings"
	"time"

	"mainstay/client/localstate"
	"mainstay/client/outbox"
	"mainstay/client/transport"
	"mainstay/lib/fault"
	"mainstay/lib/retry"
	"mainstay/wire"
)

// Inventory is a source of hardware inventory: the machine itself, or a
// simulated one.
type Inventory interface {
	// Report collects, and compares with what was reported last.
	Report(ctx context.Context, ask InventoryAsk) (InventoryResult, error)
}

// Watcher is an Inventory that notices changes by itself.
type Watcher interface {
	// Watch calls notify when something may have changed; reason says what,
	// separated by commas. It returns when ctx ends, or when watching is not
	// possible; then changes are found by schedule.
	Watch(ctx context.Context, notify func(reason string)) error
}

// InventoryAsk says what is wanted.
type InventoryAsk struct {
	// Base is the baseline of the last report; nil asks for a full one.
	Base []byte
	// Full asks for a full report whatever Base says; Base still tells the
	// values that are held steady.
	Full bool
	// Disabled names classes that are not collected, Files asks for files.
	Disabled []string
	Files    []wire.FileRule
}

// InventoryResult is a report and the baseline after it.
type InventoryResult struct {
	Report wire.InventoryReport
	// Unchanged: there is nothing to report; Baseline is worth keeping.
	Unchanged bool
	Baseline  []byte
}

// onChangePause is the least time between two inventories that changes bring
// about; a machine whose state flickers does not collect all day.
const onChangePause = time.Minute

// reportChanges collects and queues what has changed, everything the first
// time.
func (c *Client) reportChanges(ctx context.Context) error { return c.report(ctx, false) }

// reportAll queues a full report, because the site asks for one.
func (c *Client) reportAll(ctx context.Context) error { return c.report(ctx, true) }

func (c *Client) report(ctx context.Context, full bool) error {
	settings := c.keeper.Current().Settings
	if c.config.Inventory == nil || !settings.HardwareInventory.Enabled {
		return nil
	}
	defer c.config.Rest()
	base, err := c.local.Baseline()
	if err != nil {
		return err
	}
	resync := c.keeper.Current().Resync.HardwareInventory
	full = full || base.Data == nil
	result, err := c.config.Inventory.Report(ctx, InventoryAsk{
		Base: base.Data, Full: full, Disabled: settings.HardwareInventory.Disabled, Files: settings.SoftwareInventory.Files,
	})
	if err != nil {
		return err
	}
	c.setInventoried(time.Now())
	if result.Unchanged && !full {
		return c.keepBaseline(localstate.Baseline{MessageID: base.MessageID, Result: base.Result, Data: result.Baseline}, base)
	}
	if err := c.queueReport(result); err != nil {
		return err
	}
	c.log.InfoContext(ctx, "inventory queued", "kind", result.Report.Kind, "classes", len(result.Report.Classes), "errors", len(result.Report.Errors))
	if result.Report.Kind != wire.InventoryFull || c.local.Facts().ResyncHandled >= resync {
		return nil
	}
	return c.local.Update(func(f *localstate.Facts) { f.ResyncHandled = max(f.ResyncHandled, resync) })
}

// keepBaseline stores values that moved within their steps.
func (c *Client) keepBaseline(next, before localstate.Baseline) error {
	if string(next.Data) == string(before.Data) {
		return nil
	}
	if err := c.local.PrepareBaseline(next); err != nil {
		return err
	}
	return c.local.CommitBaseline()
}

// queueReport queues a report so that no crash parts it from its baseline: the
// baseline is prepared, the report queued, the baseline committed; the start
// looks for the report where the crash came in between.
func (c *Client) queueReport(result InventoryResult) error {
	id, err := c.box.NewID()
	if err != nil {
		return err
	}
	body, err := transport.EncodeJSON(result.Report)
	if err != nil {
		return err
	}
	if err := c.local.PrepareBaseline(localstate.Baseline{MessageID: id, Result: result.Report.Result, Data: result.Baseline}); err != nil {
		return err
	}
	draft := outbox.Draft{ID: id, Type: wire.TypeHardwareInventory, Time: time.UnixMicro(result.Report.CollectedAt), Body: body}
	// The schedule has spread it: what was collected is not held back.
	if err := c.Send(true, draft); err != nil {
		if fault.Is(err, fault.Invalid) {
			c.status(wire.StatusInventoryFailed, err.Error())
		}
		return err
	}
	return c.local.CommitBaseline()
}

// watch triggers jobs when the machine changes.
func (c *Client) watch(w Watcher) func(context.Context) error {
	return func(ctx context.Context) error {
		err := w.Watch(ctx, c.changed)
		if err != nil && ctx.Err() == nil {
			c.log.WarnContext(ctx, "changes are found by schedule only", "reason", err)
		}
		return nil
	}
}

// changed is called by whatever watches the machine.
func (c *Client) changed(reason string) {
	settings := c.keeper.Current().Settings.HardwareInventory
	if settings.Enabled && settings.OnChange {
		after := max(time.Until(c.inventoriedAt().Add(onChangePause)), 0)
		// A change that a whole fleet sees at once is not reported at once.
		c.schedule.Trigger(jobInventory, after+retry.Jitter(5*time.Second, c.random))
	}
	for _, who := range []string{"host name", "operating system", "network"} {
		if strings.Contains(reason, who) {
			c.transport.Wake()
			c.schedule.Trigger(jobHeartbeat, retry.Jitter(10*time.Second, c.random))
			return
		}
	}
}
