package apiv1

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"mainstay/site/access"
	"mainstay/site/inbox"
	"mainstay/site/sitedb"
)

// States of a dead letter.
const (
	DeadLetterDead      = "dead"
	DeadLetterReplaying = "replaying"
	DeadLetterReplayed  = "replayed"
)

// DeadLetter is a message that could not be processed.
type DeadLetter struct {
	ID              int64      `json:"id"`
	State           string     `json:"state" enum:"dead,replaying,replayed"`
	Device          string     `json:"device" doc:"identifier of the sender, as the management point says"`
	Incarnation     string     `json:"incarnation,omitempty"`
	Number          int64      `json:"number" doc:"0 for a whole upload"`
	Type            string     `json:"type,omitempty" doc:"absent for a whole upload"`
	Reason          string     `json:"reason" doc:"why it could not be processed"`
	ManagementPoint string     `json:"management_point" doc:"identifier of the site system that took it"`
	ReceivedAt      time.Time  `json:"received_at"`
	DiedAt          time.Time  `json:"died_at"`
	ReplayedAt      *time.Time `json:"replayed_at,omitempty" doc:"when it was processed after all"`
	ReplayError     string     `json:"replay_error,omitempty" doc:"why the last replay failed"`
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

func (b *ByNumber) object() string { return strconv.FormatInt(b.ID, 10) }

func registerDeadLetters(a *API) {
	table := inbox.DeadLetterTable()
	const tag, path = "dead-letter", "/dead-letters/{id}"
	register(a, operation{
		method: http.MethodGet, path: "/dead-letters", id: "list-dead-letters", tag: tag, permission: access.DeadLetterRead,
		summary: "List messages that could not be processed", list: &table,
	}, a.listDeadLetters)
	register(a, operation{
		method: http.MethodGet, path: path, id: "get-dead-letter", tag: tag, permission: access.DeadLetterRead,
		summary: "Show a dead letter with what it says",
	}, a.getDeadLetter)
	register(a, operation{
		method: http.MethodPost, path: path + "/replay", id: "replay-dead-letter", tag: tag, permission: access.DeadLetterReplay,
		summary: "Process a dead letter once more", status: http.StatusNoContent,
		description: "The active site server does it; the letter shows what came of it. What the device has not signed is refused again.",
	}, a.replayDeadLetter)
}

func deadLetterOf(l inbox.DeadLetter) DeadLetter {
	state := DeadLetterDead
	switch {
	case l.ReplayedAt != nil:
		state = DeadLetterReplayed
	case l.ReplayWantedAt != nil:
		state = DeadLetterReplaying
	}
	return DeadLetter{
		ID: l.ID, State: state, Device: l.Device, Incarnation: l.Incarnation, Number: l.Number, Type: l.Type, Reason: l.Reason,
		ManagementPoint: l.ManagementPoint, ReceivedAt: at(l.ReceivedAt), DiedAt: at(l.DiedAt),
		ReplayedAt: maybeAt(l.ReplayedAt), ReplayError: l.ReplayError, Size: l.Size,
	}
}

func (a *API) listDeadLetters(ctx context.Context, caller access.Caller, in *ListInput) (*output[Page[DeadLetter]], error) {
	plan, err := inbox.DeadLetterTable().Plan(in.request(), a.c.Now())
	if err != nil {
		return nil, err
	}
	rows, err := read(ctx, a, func(tx *sitedb.Tx) (page[inbox.DeadLetter], error) {
		if !caller.Scope(access.DeadLetterRead).SeesAll() {
			return page[inbox.DeadLetter]{}, nil
		}
		return inbox.DeadLetters(ctx, tx, plan)
	})
	return pageOf(rows, deadLetterOf), err
}

func (a *API) getDeadLetter(ctx context.Context, caller access.Caller, in *ByNumber) (*output[DeadLetterDetail], error) {
	if err := caller.Require(access.DeadLetterRead); err != nil {
		return nil, err
	}
	body, err := read(ctx, a, func(tx *sitedb.Tx) (DeadLetterDetail, error) {
		letter, content, err := inbox.ShowDeadLetter(ctx, tx, in.ID)
		return DeadLetterDetail{
			DeadLetter: deadLetterOf(letter), Header: strings.ToValidUTF8(content.Header, "\uFFFD"), Encoding: content.Encoding,
			Body: strings.ToValidUTF8(string(content.Body), "\uFFFD"), Truncated: content.Truncated,
		}, err
	})
	return answer(body), err
}

func (a *API) replayDeadLetter(ctx context.Context, caller access.Caller, in *ByNumber) (*Empty, error) {
	if err := caller.Require(access.DeadLetterReplay); err != nil {
		return nil, err
	}
	return write(ctx, a, func(tx *sitedb.Tx) (*Empty, error) {
		if err := inbox.Replay(ctx, tx, in.ID, sitedb.Micros(a.c.Now())); err != nil {
			return nil, err
		}
		return nil, access.Record(ctx, tx, caller, access.Entry{
			Action: "dead-letter.replay", ObjectType: "dead-letter", ObjectID: in.object(),
		}, a.c.Now())
	})
}
