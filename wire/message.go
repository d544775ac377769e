package wire

import "encoding/json"

// Message is one message of a client to its site. Its key in the site is
// (client, Incarnation, Number) and stays what it was born with.
type Message struct {
	// Incarnation was drawn when the outbox was opened in which the message
	// was born: 16 hex digits.
	Incarnation string `json:"incarnation"`
	// Number counts from 1 within the incarnation.
	Number int64 `json:"number"`
	// ID is random, 32 hex digits, and survives even a change of incarnation.
	ID string `json:"id"`
	// Type is one of the message types.
	Type string `json:"type"`
	// Time is when it happened, by the client's clock, in microseconds since
	// 1970, UTC.
	Time int64 `json:"time"`
	// Body is the JSON of the type.
	Body json.RawMessage `json:"body"`
}

// Upload is what the headers of an upload say about its body. A client has one
// upload under way; all messages of one upload were born in one incarnation.
type Upload struct {
	// Device is the sender.
	Device string
	// Running is the incarnation of the outbox that sends.
	Running string
	// Born is the incarnation of the messages in the body. It differs from
	// Running for those that were left by an earlier run.
	Born string
	// First and Last are the lowest and highest number in the body.
	First, Last int64
	// Acknowledged is the highest number of Born up to which the client has
	// nothing left to send: what lies at or below it is acknowledged or given
	// up.
	Acknowledged int64
	// Count is the number of messages in the body.
	Count int
	// Hash is the SHA-256 of the body as sent (compressed), hex.
	Hash string
}

// UploadAnswer is the answer (200) of DoorMessages: everything up to Last of
// that incarnation is committed in the site database.
type UploadAnswer struct {
	Incarnation string `json:"incarnation"`
	Last        int64  `json:"last"`
}

// Message types.
const (
	TypeHeartbeat         = "heartbeat"
	TypeHardwareInventory = "hardware-inventory"
	TypeStateMessage      = "state-message"
	TypeStatusMessage     = "status-message"
)

// MessageTypes returns every message type with an empty body.
func MessageTypes() map[string]func() any {
	return map[string]func() any{
		TypeHeartbeat:         func() any { return new(Heartbeat) },
		TypeHardwareInventory: func() any { return new(InventoryReport) },
		TypeStateMessage:      func() any { return new(StateMessage) },
		TypeStatusMessage:     func() any { return new(StatusMessage) },
	}
}

// Heartbeat is the discovery record of a client: it says that the client is
// there, who it is now, and what the site should have of it.
type Heartbeat struct {
	Name          string           `json:"name"`
	Hardware      HardwareIdentity `json:"hardware"`
	OS            string           `json:"os"`
	OSVersion     string           `json:"os_version"`
	Arch          string           `json:"arch"`
	ClientVersion string           `json:"client_version"`
	Addresses     []string         `json:"addresses"`
	// InventoryHash is the Result of the last hardware inventory that the
	// client has queued; empty before the first.
	InventoryHash string `json:"inventory_hash,omitempty"`
	// PolicyVersion is the version of the assignments it works on.
	PolicyVersion int64 `json:"policy_version"`
	// FreshUntil is when the newest freshness statement ends, in microseconds.
	FreshUntil int64 `json:"fresh_until"`
	// Settings is the hash of the client settings in force.
	Settings string `json:"settings,omitempty"`
	// Queued is the number of messages in the outbox.
	Queued int64 `json:"queued"`
}

// StateMessage says what state something is in. The newest of a topic and
// device replaces those before it.
type StateMessage struct {
	// TopicType and StateID carry the original's numbers (800 client
	// deployment, 1000 communication, ...); StateID 0 means unknown.
	TopicType int    `json:"topic_type"`
	TopicID   string `json:"topic_id"`
	StateID   int    `json:"state_id"`
	Detail    string `json:"detail,omitempty"`
}

// StatusMessage is an event of a component on the client.
type StatusMessage struct {
	// MessageID is an entry of the catalogue of status messages.
	MessageID int `json:"message_id"`
	// Component is the client's component, such as "policy".
	Component string `json:"component"`
	// Severity is one of the severities.
	Severity string `json:"severity"`
	// Insertions fill the text of the catalogue, ten at most of 2,048 bytes.
	Insertions []string `json:"insertions,omitempty"`
}

// Severities of status messages.
const (
	Informational = "informational"
	Warning       = "warning"
	Error         = "error"
)
