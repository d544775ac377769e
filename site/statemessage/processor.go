package statemessage

import (
	"context"
	"encoding/json"
	"strings"

	"mainstay/lib/fault"
	"mainstay/lib/sqldb"
	"mainstay/site/access"
	"mainstay/site/sitedb"
	"mainstay/wire"
)

// Topic is announced when a state changed.
const Topic = "state-message"

// Limits of a state message.
const (
	// MaxTopicID is the longest topic identifier in bytes.
	MaxTopicID = 256
	// MaxDetail is the longest detail in bytes.
	MaxDetail = 4096
)

// State is the newest state of a topic of a device.
type State struct {
	Device string `db:"device"`
	// TopicType and StateID carry the original's numbers; StateID 0 is unknown.
	TopicType int64  `db:"topic_type"`
	TopicID   string `db:"topic_id"`
	StateID   int64  `db:"state_id"`
	Detail    string `db:"detail"`
	// Time is when it came about, ReceivedAt when the site heard of it, in
	// microseconds since 1970, UTC.
	Time       int64 `db:"time"`
	ReceivedAt int64 `db:"received_at"`
}

type query struct {
	Device  string `db:"device"`
	Visible bool   `db:"visible"`
}

var (
	putState = sqldb.Define[State, sqldb.None]("statemessage.put",
		`INSERT INTO state_message (device, topic_type, topic_id, state_id, detail, time, received_at)
		 VALUES (@device, @topic_type, @topic_id, @state_id, @detail, @time, @received_at)
		 ON CONFLICT (device, topic_type, topic_id) DO UPDATE SET
		   state_id = excluded.state_id, detail = excluded.detail, time = excluded.time, received_at = excluded.received_at
		 WHERE state_message.time <= excluded.time`)
	listStates = sqldb.Define[query, State]("statemessage.list",
		`SELECT device, topic_type, topic_id, state_id, detail, time, received_at FROM state_message
		 WHERE device = @device AND @visible ORDER BY topic_type, topic_id`)
	forgetStates = sqldb.Define[query, sqldb.None]("statemessage.forget",
		`DELETE FROM state_message WHERE device = @device`)
)

// Process applies a state message of a device.
func Process(ctx context.Context, tx *sitedb.Tx, device string, m wire.Message, receivedAt int64) error {
	var s wire.StateMessage
	if err := json.Unmarshal(m.Body, &s); err != nil {
		return fault.Wrap(fault.Invalid, err, "state message is not valid JSON")
	}
	if err := check(s); err != nil {
		return err
	}
	when := m.Time
	if when <= 0 || when > receivedAt {
		when = receivedAt
	}
	n, err := putState.Exec(ctx, tx, State{
		Device: device, TopicType: int64(s.TopicType), TopicID: s.TopicID, StateID: int64(s.StateID), Detail: s.Detail,
		Time: when, ReceivedAt: receivedAt,
	})
	if n > 0 {
		tx.Announce(Topic)
	}
	return err
}

func check(s wire.StateMessage) error {
	const most = 1<<31 - 1
	switch {
	case s.TopicType < 0 || s.TopicType > most:
		return fault.InvalidField("topic_type", "is %d, want 0 to %d", s.TopicType, most)
	case s.StateID < 0 || s.StateID > most:
		return fault.InvalidField("state_id", "is %d, want 0 to %d", s.StateID, most)
	case len(s.TopicID) > MaxTopicID:
		return fault.InvalidField("topic_id", "has %d bytes, at most %d are allowed", len(s.TopicID), MaxTopicID)
	case len(s.Detail) > MaxDetail:
		return fault.InvalidField("detail", "has %d bytes, at most %d are allowed", len(s.Detail), MaxDetail)
	case strings.ContainsRune(s.TopicID+s.Detail, 0):
		return fault.InvalidField("detail", "holds U+0000; leave it out")
	}
	return nil
}

// List lists the states of a device by topic.
func List(ctx context.Context, tx *sitedb.Tx, scope access.Scope, device string) ([]State, error) {
	return listStates.All(ctx, tx, query{device, scope.SeesAll()})
}

// Forget deletes the states of a device that the site has deleted.
func Forget(ctx context.Context, tx *sitedb.Tx, device string) error {
	_, err := forgetStates.Exec(ctx, tx, query{Device: device})
	return err
}
