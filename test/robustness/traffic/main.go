// Command traffic runs clients whose messages are numbered. They are the real
// ones: identity, outbox, policy and transport are those of package client, and
// only the numbers are made up here. What was offered to an outbox, accepted by
// it and acknowledged by a site is written to a journal before anything else
// happens, so that a driver may kill this process at any moment.
package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"mainstay/client"
	"mainstay/client/identity"
	"mainstay/client/outbox"
	"mainstay/client/transport"
	"mainstay/lib/lifecycle"
	"mainstay/lib/registrationtoken"
	"mainstay/test/robustness/history"
	"mainstay/test/robustness/numbered"
	"mainstay/wire"
)

func main() {
	path := flag.String("config", "", "file with the configuration")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := run(ctx, *path); err != nil {
		fmt.Fprintln(os.Stderr, "traffic:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var c numbered.Config
	if err := json.Unmarshal(data, &c); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	token, err := registrationtoken.Parse(c.Token)
	if err != nil {
		return err
	}
	journal, err := history.Open(c.Journal)
	if err != nil {
		return err
	}
	defer journal.Close()
	slog.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelInfo})))
	compressor := transport.NewCompressor()
	group := lifecycle.NewGroup(ctx)
	for _, s := range c.Streams {
		one := &stream{config: c, Stream: s, journal: journal, next: s.Next}
		if err := one.open(token, compressor); err != nil {
			return fmt.Errorf("stream %s: %w", s.Name, err)
		}
		group.Go(s.Name, one.run)
	}
	return group.Wait()
}

// stream is a client and its messages.
type stream struct {
	numbered.Stream
	config  numbered.Config
	journal *history.Journal
	client  *client.Client
	next    int64
	idle    bool
	device  string
	policy  history.Policy
}

// open tells who the disk says that the client is, and starts it from there.
func (s *stream) open(token registrationtoken.Token, compressor *transport.Compressor) error {
	hardware := wire.HardwareIdentity{ProductUUID: s.Hardware}
	if err := s.recognize(hardware); err != nil {
		return err
	}
	var err error
	s.client, err = client.New(client.Config{
		StateDir: s.Dir, SiteCode: s.config.SiteCode, ManagementPoints: []string{s.config.ManagementPoint}, Token: token,
		Hardware: func() wire.HardwareIdentity { return hardware },
		Machine:  func() identity.Facts { return identity.Facts{Name: s.Name, OS: "Linux", Arch: "amd64"} },
		Version:  "0.0.0", Compressor: compressor, Observe: s.observe, Log: slog.Default().With("stream", s.Name),
	})
	if err != nil {
		return err
	}
	return s.look(true)
}

// recognize writes down the identity on the disk, unless the client is about
// to change it.
func (s *stream) recognize(hardware wire.HardwareIdentity) error {
	store, err := identity.OpenStore(s.Dir + "/identity")
	if err != nil {
		return err
	}
	id, pending, err := store.Load()
	if err != nil {
		return err
	}
	switch {
	case id == nil:
		return s.write(history.Event{What: history.Identified})
	case pending != nil || identity.IsCopy(id.Hardware, hardware):
		return nil
	}
	s.device = id.DeviceID
	return s.write(history.Event{What: history.Identified, Device: id.DeviceID})
}

func (s *stream) write(events ...history.Event) error {
	for i := range events {
		events[i].Stream = s.Name
	}
	return s.journal.Write(events...)
}

func (s *stream) run(ctx context.Context) error {
	return lifecycle.Run(ctx,
		lifecycle.Task{Name: "client", Run: s.client.Run},
		lifecycle.Task{Name: "traffic", Run: s.drive},
	)
}

// drive offers messages and follows what becomes of the client.
func (s *stream) drive(ctx context.Context) error {
	look, nudge := time.NewTicker(100*time.Millisecond), time.NewTicker(time.Second)
	defer look.Stop()
	defer nudge.Stop()
	offer := time.NewTimer(s.pause())
	defer offer.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return nil
		case <-offer.C:
			if !s.config.Quiet {
				err = s.offer(1 + mathrand.IntN(3))
			}
			offer.Reset(s.pause())
		case <-look.C:
			err = s.look(false)
		case <-nudge.C:
			// A person at the machine is less patient than the client.
			s.client.PollPolicyNow()
			s.client.ReportInventoryNow()
		}
		if err != nil {
			return err
		}
	}
}

func (s *stream) pause() time.Duration {
	return time.Duration((0.5 + mathrand.Float64()) * float64(s.config.Pause))
}

// offer gives messages to the outbox, all together.
func (s *stream) offer(count int) error {
	drafts := make([]outbox.Draft, count)
	offered := make([]history.Event, count)
	after := make([]history.Event, count)
	for i := range drafts {
		var id [16]byte
		rand.Read(id[:])
		body, err := json.Marshal(wire.StatusMessage{
			MessageID: numbered.MessageID, Component: numbered.Component, Severity: wire.Informational,
			Insertions: []string{s.Name, strconv.FormatInt(s.next, 10)},
		})
		if err != nil {
			return err
		}
		drafts[i] = outbox.Draft{ID: hex.EncodeToString(id[:]), Type: wire.TypeStatusMessage, Time: time.Now(), Body: body}
		offered[i] = history.Event{What: history.Offered, Number: s.next, ID: drafts[i].ID}
		after[i] = history.Event{What: history.Accepted, Number: s.next}
		s.next++
	}
	if err := s.write(offered...); err != nil {
		return err
	}
	if err := s.client.Send(mathrand.IntN(4) > 0, drafts...); err != nil {
		for i := range after {
			after[i].What, after[i].Text = history.Refused, err.Error()
		}
	}
	s.idle = false
	return s.write(after...)
}

// observe hears of each exchange with the management point.
func (s *stream) observe(e transport.Exchange) {
	if e.Failure != nil || e.Door != wire.DoorMessages {
		return
	}
	var events []history.Event
	for _, m := range e.Carried {
		if number, ok := s.numberOf(m); ok {
			events = append(events, history.Event{What: history.Acknowledged, Number: number, ID: m.ID})
		}
	}
	if err := s.write(events...); err != nil {
		slog.Error("an acknowledgement is not in the journal", "error", err)
	}
}

// numberOf reads the number of a message that is this stream's: a copy of a
// machine also sends what the original has queued.
func (s *stream) numberOf(m wire.Message) (int64, bool) {
	var body wire.StatusMessage
	if m.Type != wire.TypeStatusMessage || json.Unmarshal(m.Body, &body) != nil {
		return 0, false
	}
	if body.MessageID != numbered.MessageID || len(body.Insertions) != 2 || body.Insertions[0] != s.Name {
		return 0, false
	}
	number, err := strconv.ParseInt(body.Insertions[1], 10, 64)
	return number, err == nil
}

// look writes down what has changed: identity, policy, whether all is sent.
func (s *stream) look(start bool) error {
	status := s.client.Status()
	if status.Phase != numbered.Registered {
		s.idle = false
		return nil
	}
	var events []history.Event
	if status.DeviceID != s.device {
		s.device, s.policy = status.DeviceID, history.Policy{}
		events = append(events, history.Event{What: history.Identified, Device: s.device})
	}
	settings := s.client.Settings()
	p := history.Policy{Version: status.PolicyVersion, Polling: settings.ClientPolicy.PollingIntervalSeconds, Heartbeat: settings.Heartbeat.IntervalSeconds}
	// The version was read before the settings; only if it is still the same
	// do they belong together.
	if p != s.policy && s.client.Status().PolicyVersion == p.Version && (start || p.Version > 0) {
		s.policy = p
		events = append(events, history.Event{What: history.HasPolicy, Device: s.device, Policy: &p})
	}
	if idle := status.Queued == 0 && p.Version > 0; idle != s.idle {
		if s.idle = idle; idle {
			events = append(events, history.Event{What: history.Idle})
		}
	}
	return errors.Join(s.write(events...))
}
