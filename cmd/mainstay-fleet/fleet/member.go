package fleet

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"mainstay/client"
	"mainstay/client/identity"
	"mainstay/client/inventory"
	"mainstay/cmd/mainstay-fleet/machines"
	"mainstay/cmd/mainstay-fleet/scenario"
	"mainstay/wire"
)

// member is one simulated client, switched on or off.
type member struct {
	fleet  *fleet
	number int
	dir    string
	// changes is how often its software has changed, numbered how many
	// numbered messages it has sent; both go on in the next run.
	changes, numbered atomic.Int64
	// failing has a bit for each operation that failed last.
	failing    atomic.Uint32
	registered atomic.Bool

	mu      sync.Mutex // guards everything below
	client  *client.Client
	machine *machines.Machine
	off     context.CancelFunc
	// leaving: the client was told to end. ended is closed when it has.
	leaving bool
	ended   chan struct{}
}

// errOff says that an action needs a client that is switched on.
var errOff = fmt.Errorf("the client is switched off")

// do carries out an action.
func (m *member) do(ctx context.Context, step string, a scenario.Action) error {
	switch a.Do {
	case scenario.Register:
		return m.switchOn(ctx)
	case scenario.Stop:
		return m.switchOff()
	}
	m.mu.Lock()
	c := m.client
	m.mu.Unlock()
	if c == nil {
		return errOff
	}
	switch a.Do {
	case scenario.Poll:
		c.PollPolicyNow()
	case scenario.Heartbeat:
		c.HeartbeatNow()
	case scenario.Inventory:
		if a.Kind == scenario.Full {
			c.ReportFullInventoryNow()
		} else {
			c.ReportInventoryNow()
		}
	case scenario.ChangePackages:
		m.changes.Add(int64(a.Count))
		c.MachineChanged(inventory.ReasonSoftware)
	case scenario.StatusMessages:
		return c.SendStatus(true, m.statusMessages(step, a)...)
	}
	return nil
}

// statusMessageID is the kind of the numbered messages.
const statusMessageID = 10899

// statusMessages makes messages with numbers that go on over all steps and
// runs, so that a reader of the site can tell whether one is missing.
func (m *member) statusMessages(step string, a scenario.Action) []wire.StatusMessage {
	last := m.numbered.Add(int64(a.Count))
	messages := make([]wire.StatusMessage, a.Count)
	for i := range messages {
		texts := []string{fmt.Sprint(last - int64(a.Count-1-i)), step}
		if a.Bytes > 0 {
			texts = append(texts, strings.Repeat("x", a.Bytes))
		}
		messages[i] = wire.StatusMessage{MessageID: statusMessageID, Component: "fleet", Severity: wire.Informational, Insertions: texts}
	}
	return messages
}

// switchOn starts the client from its folder. One that runs is left alone.
func (m *member) switchOn(ctx context.Context) error {
	if err := m.hasLeft(ctx); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.client != nil {
		return nil
	}
	f := m.fleet
	m.machine = f.machines.Machine(m.number)
	c, err := client.New(client.Config{
		StateDir: m.dir, StateLocked: true, SiteCode: f.config.SiteCode, ManagementPoints: f.config.ManagementPoints, Token: f.config.Token,
		Inventory: source{m}, Hardware: m.machine.Hardware, Machine: func() identity.Facts { return m.machine.Facts() },
		Dial: m.dial, Compressor: f.compressor, Observe: m.observe, Log: f.config.Log.With("client", m.number),
	})
	if err != nil {
		return err
	}
	if registered, _, _ := c.Waiting(); registered && !m.registered.Swap(true) {
		f.registered.Add(1)
	}
	// What commands the client ends before it does.
	runCtx, off := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan struct{})
	m.client, m.off, m.leaving, m.ended = c, off, false, ended
	f.switchedOn.Add(1)
	f.group.Go(fmt.Sprintf("client %d", m.number), func(ctx context.Context) error {
		defer close(ended)
		defer context.AfterFunc(ctx, off)()
		if err := c.Run(runCtx); err != nil {
			f.recorder.Fail("client", "ended", err.Error())
		}
		m.mu.Lock()
		defer m.mu.Unlock()
		m.client = nil
		f.switchedOn.Add(-1)
		return nil
	})
	return nil
}

// hasLeft waits for a client that was told to end.
func (m *member) hasLeft(ctx context.Context) error {
	m.mu.Lock()
	leaving, ended := m.leaving, m.ended
	m.mu.Unlock()
	if !leaving {
		return nil
	}
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// switchOff asks the client to end.
func (m *member) switchOff() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.client == nil {
		return errOff
	}
	m.leaving = true
	m.off()
	return nil
}

// waiting tells whether the client is calm, which is switched off or
// registered with nothing to do, and how many messages it has left to deliver.
func (m *member) waiting() (calm bool, messages int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.client == nil {
		return true, 0
	}
	registered, busy, messages := m.client.Waiting()
	return registered && !busy, messages
}

// source is the inventory of a member's machine.
type source struct{ m *member }

// Report makes a report as a real collector does. Only as many clients as
// there are processors collect at the same time, because each needs a megabyte
// or two for it.
func (s source) Report(ctx context.Context, ask client.InventoryAsk) (client.InventoryResult, error) {
	select {
	case s.m.fleet.collecting <- struct{}{}:
		defer func() { <-s.m.fleet.collecting }()
	case <-ctx.Done():
		return client.InventoryResult{}, context.Cause(ctx)
	}
	snapshot, err := s.m.machine.Snapshot(int(s.m.changes.Load()), ask.Disabled, time.Now().UnixMicro())
	if err != nil {
		return client.InventoryResult{}, err
	}
	if !ask.Full && ask.Base != nil {
		if base, err := inventory.DecodeBaseline(ask.Base); err == nil {
			report, next := inventory.Diff(base, snapshot)
			return client.InventoryResult{Report: report, Unchanged: len(report.Classes) == 0, Baseline: next.Encode()}, nil
		}
	}
	report, next := inventory.Full(snapshot)
	return client.InventoryResult{Report: report, Baseline: next.Encode()}, nil
}
