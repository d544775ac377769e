package apiv1

import (
	"context"
	"net/http"
	"time"

	"mainstay/lib/fault"
	"mainstay/site/access"
)

// DeadLetter is a message that could not be processed.
type DeadLetter struct {
	ID              int64      `json:"id"`
	Device          string     `json:"device" doc:"identifier of the sender, as the management point says"`
	Incarnation     string     `json:"incarnation"`
	Number          int64      `json:"number"`
	Type            string     `json:"type"`
	Reason          string     `json:"reason" doc:"why it could not be processed"`
	ManagementPoint string     `json:"management_point" doc:"identifier of the site system that took it"`
	ReceivedAt      time.Time  `json:"received_at"`
	DiedAt          time.Time  `json:"died_at"`
	ReplayedAt      *time.Time `json:"replayed_at,omitempty" doc:"when it was put back into the inbox"`
	Size            int64      `json:"size" doc:"bytes of the body as sent"`
}

// DeadLetterDetail is a dead letter with what it says.
type DeadLetterDetail struct {
	DeadLetter
	Header    string `json:"header" doc:"what the sender says about the body, and signed"`
	Encoding  string `json:"encoding,omitempty" doc:"how the body was compressed"`
	Body      string `json:"body" doc:"the body in clear, as far as it can be read; 64 KiB at most"`
	Truncated bool   `json:"truncated" doc:"the body is longer"`
}

// ByNumber is the input of an operation about one object with a number.
type ByNumber struct {
	ID int64 `path:"id" minimum:"1" doc:"number"`
}

func registerDeadLetters(a *API) {
	const tag, path = "dead-letter", "/dead-letters/{id}"
	register(a, operation{
		method: http.MethodGet, path: "/dead-letters", id: "list-dead-letters", tag: tag, permission: access.DeadLetterRead,
		summary: "List messages that could not be processed",
	}, a.listDeadLetters)
	register(a, operation{
		method: http.MethodGet, path: path, id: "get-dead-letter", tag: tag, permission: access.DeadLetterRead,
		summary: "Show a dead letter with what it says",
	}, a.getDeadLetter)
	register(a, operation{
		method: http.MethodPost, path: path + "/replay", id: "replay-dead-letter", tag: tag, permission: access.DeadLetterReplay,
		summary: "Put a dead letter back into the inbox", status: http.StatusNoContent,
	}, a.replayDeadLetter)
}

func (a *API) listDeadLetters(ctx context.Context, caller access.Caller, in *ListInput) (*output[Page[DeadLetter]], error) {
	return nil, fault.New(fault.Unavailable, "not yet")
}

func (a *API) getDeadLetter(ctx context.Context, caller access.Caller, in *ByNumber) (*output[DeadLetterDetail], error) {
	return nil, fault.New(fault.Unavailable, "not yet")
}

func (a *API) replayDeadLetter(ctx context.Context, caller access.Caller, in *ByNumber) (*Empty, error) {
	return nil, fault.New(fault.Unavailable, "not yet")
}
