package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mainstay/adminapi"
	"mainstay/lib/fault"
)

func (p *program) newStatusMessageCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status-message",
		Short: "See what components and clients report",
	}
	cmd.AddCommand(p.newStatusMessageListCommand())
	return cmd
}

func (p *program) newStatusMessageListCommand() *cobra.Command {
	o := listOptions{limit: 100}
	var follow bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List status messages, the newest first",
		Long:  "List status messages, the newest first. With --follow the last ones are shown in\nthe order in which they came, then new ones as they come, until Ctrl-C.",
		Example: `  mainstay status-message list --filter 'severity=error,warning and time>24h'
  mainstay status-message list --follow
  mainstay status-message list --filter 'text~certificate' --limit 20`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			api, err := p.connect()
			if err != nil {
				return err
			}
			if follow {
				return p.followMessages(cmd.Context(), api, o)
			}
			items, err := p.statusMessages(cmd.Context(), api, o)
			if err != nil {
				return err
			}
			return printList(p, items, p.messageColumns())
		},
	}
	listFlags(cmd, &o, "id time received_at device system component message_id severity text")
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on and show new messages as they come")
	return cmd
}

func (p *program) messageColumns() []column[adminapi.StatusMessage] {
	type m = adminapi.StatusMessage
	return []column[m]{
		{head: "time", cell: func(m m) string { return p.when(m.Time) }, raw: func(m m) string { return stamp(m.Time) }},
		{head: "severity", cell: func(m m) string { return string(m.Severity) }, tone: func(m m) tone { return severityTone(string(m.Severity)) }},
		{head: "id", cell: func(m m) string { return fmt.Sprint(m.MessageID) }, right: true},
		{head: "component", cell: func(m m) string { return m.Component }},
		{head: "device", cell: func(m m) string { return short(value(m.Device)) }, raw: func(m m) string { return value(m.Device) }},
		{head: "text", cell: func(m m) string { return m.Text }},
	}
}

func (p *program) statusMessages(ctx context.Context, api *adminapi.ClientWithResponses, o listOptions) ([]adminapi.StatusMessage, error) {
	return pages(p, o, func(cursor *string, limit int64) ([]adminapi.StatusMessage, *string, error) {
		answer, err := check(api.ListStatusMessagesWithResponse(ctx, &adminapi.ListStatusMessagesParams{Filter: given(o.filter), Sort: given(o.sort), Cursor: cursor, Limit: &limit}))
		if err != nil {
			return nil, nil, err
		}
		page, err := body(answer.JSON200)
		return page.Items, page.Next, err
	})
}

// followMessages shows the last messages, then new ones as they come. A stream
// that breaks is opened again; nothing is missed, because what is new is asked
// for by number.
func (p *program) followMessages(ctx context.Context, api *adminapi.ClientWithResponses, o listOptions) error {
	if p.format != formatPretty && p.format != formatJSON {
		return fault.New(fault.Invalid, "--follow has no form as %s; use -o pretty or -o json", p.format)
	}
	quiet := *p
	env := *p.env
	env.errOut = io.Discard // that there are older ones is no news here
	quiet.env = &env
	o.sort = "-id"
	items, err := quiet.statusMessages(ctx, api, o)
	if err != nil {
		return err
	}
	slices.Reverse(items)
	seen, err := p.tellMessages(items, 0)
	for err == nil && ctx.Err() == nil {
		err = p.watch(ctx, api, "status-message", func() error {
			fresh := listOptions{filter: joined(o.filter, fmt.Sprintf("id>%d", seen)), sort: "id"}
			items, err := p.statusMessages(ctx, api, fresh)
			if err == nil {
				seen, err = p.tellMessages(items, seen)
			}
			return err
		})
	}
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// tellMessages prints messages one a line and returns the highest number.
func (p *program) tellMessages(items []adminapi.StatusMessage, seen int64) (int64, error) {
	for _, m := range items {
		seen = max(seen, m.ID)
		if p.format == formatJSON {
			if err := p.printValue(m); err != nil {
				return seen, err
			}
			continue
		}
		severity := cell(string(m.Severity), len("informational"), false, false, severityTone(string(m.Severity)), p.env.colour)
		who := m.Component
		if m.Device != nil {
			who += " on " + short(*m.Device)
		}
		if _, err := fmt.Fprintf(p.env.out, "%s  %s%s: %s\n", p.when(m.Time), severity, printable(who), printable(m.Text)); err != nil {
			return seen, err
		}
	}
	return seen, nil
}

// streamRetry is how long to wait before a broken stream is opened again.
const streamRetry = 2 * time.Second

// watch calls f when a stream of events begins and whenever the topic changed.
// A stream that ends or cannot be opened is tried again after a moment, by the
// caller; an answer that repeating does not change is an error.
func (p *program) watch(ctx context.Context, api *adminapi.ClientWithResponses, topic string, f func() error) error {
	answer, err := api.GetEvents(ctx, &adminapi.GetEventsParams{Topics: &[]string{topic}})
	if err == nil && answer.StatusCode >= 400 {
		parsed, err := check(adminapi.ParseGetEventsResponse(answer))
		if err != nil && parsed.StatusCode() < 500 && parsed.StatusCode() != 429 {
			return err
		}
		return rest(ctx)
	}
	if err != nil {
		return rest(ctx)
	}
	defer answer.Body.Close()
	lines := bufio.NewScanner(answer.Body)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "data:") {
			if err := f(); err != nil {
				return err
			}
		}
	}
	return rest(ctx)
}

func rest(ctx context.Context) error {
	timer := time.NewTimer(streamRetry)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
