package status

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"strings"
	"time"
	"unicode/utf8"

	"mainstay/lib/fault"
	"mainstay/site/sitedb"
	"mainstay/wire"
)

// Topic is announced when a status message was stored.
const Topic = "status-message"

// Limits of a message.
const (
	// MaxInsertions is the largest number of insertions of a message.
	MaxInsertions = 10
	// MaxInsertion is the longest insertion in bytes.
	MaxInsertion = 2048
)

// Message is what a part of the site reports.
type Message struct {
	// ID is an entry of the catalogue, which knows the severity.
	ID int
	// System is the identifier of the site system that reports.
	System string
	// Component is needed where the catalogue names none.
	Component string
	// Device is the identifier of the device that it is about, if one.
	Device string
	// Insertions are cut to MaxInsertion each.
	Insertions []string
	// Time is when it happened; zero means now.
	Time time.Time
}

// Report stores a message of the site.
func Report(ctx context.Context, tx *sitedb.Tx, m Message) error {
	entry, ok := Find(m.ID)
	if !ok || len(m.Insertions) > MaxInsertions {
		return fault.New(fault.Internal, "status message %d with %d insertions is not in the catalogue", m.ID, len(m.Insertions))
	}
	if m.Component == "" {
		m.Component = entry.Component
	}
	if m.Time.IsZero() {
		m.Time = time.Now()
	}
	uid := make([]byte, 16)
	rand.Read(uid)
	insertions := make([]string, len(m.Insertions))
	for i, text := range m.Insertions {
		insertions[i] = clean(text)
	}
	return store(ctx, tx, messageRow{
		UID: hex.EncodeToString(uid), Time: sitedb.Micros(m.Time), ReceivedAt: sitedb.Micros(m.Time), Device: m.Device, System: m.System,
		Component: m.Component, MessageID: int64(m.ID), Severity: entry.Severity, Insertions: encode(insertions),
	})
}

// Process stores a status message of a client. The same message under another
// key does nothing. Time is the client's, unless that is later than now.
func Process(ctx context.Context, tx *sitedb.Tx, device string, m wire.Message, receivedAt int64) error {
	var s wire.StatusMessage
	if err := json.Unmarshal(m.Body, &s); err != nil {
		return fault.Wrap(fault.Invalid, err, "status message is not valid JSON")
	}
	if err := check(s); err != nil {
		return err
	}
	for i, text := range s.Insertions {
		s.Insertions[i] = clean(text)
	}
	when := m.Time
	if when <= 0 || when > receivedAt {
		when = receivedAt
	}
	return store(ctx, tx, messageRow{
		UID: m.ID, Time: when, ReceivedAt: receivedAt, Device: device, Component: s.Component,
		MessageID: int64(s.MessageID), Severity: s.Severity, Insertions: encode(s.Insertions),
	})
}

func check(s wire.StatusMessage) error {
	switch {
	case s.MessageID < 1 || s.MessageID > 1<<31-1:
		return fault.InvalidField("message_id", "is %d, want 1 to 2147483647", s.MessageID)
	case s.Component == "" || len(s.Component) > 64 || strings.ContainsFunc(s.Component, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return fault.InvalidField("component", "%.80q is not a name of 1 to 64 printable bytes", s.Component)
	case s.Severity != wire.Informational && s.Severity != wire.Warning && s.Severity != wire.Error:
		return fault.InvalidField("severity", "%.40q is not %s, %s or %s", s.Severity, wire.Informational, wire.Warning, wire.Error)
	case len(s.Insertions) > MaxInsertions:
		return fault.InvalidField("insertions", "holds %d texts, at most %d are allowed", len(s.Insertions), MaxInsertions)
	}
	for _, text := range s.Insertions {
		if len(text) > MaxInsertion {
			return fault.InvalidField("insertions", "holds a text of %d bytes, at most %d are allowed", len(text), MaxInsertion)
		}
	}
	return nil
}

// clean makes a text fit for every database and bounds it.
func clean(text string) string {
	text = strings.ToValidUTF8(strings.ReplaceAll(text, "\x00", "\uFFFD"), "\uFFFD")
	if len(text) <= MaxInsertion {
		return text
	}
	cut := MaxInsertion - len("…")
	for !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut] + "…"
}

func encode(insertions []string) string {
	if len(insertions) == 0 {
		return "[]"
	}
	b, _ := json.Marshal(insertions) // texts cannot fail
	return string(b)
}
