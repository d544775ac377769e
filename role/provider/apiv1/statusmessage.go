package apiv1

import (
	"context"
	"net/http"
	"time"

	"mainstay/site/access"
	"mainstay/site/sitedb"
	"mainstay/site/status"
)

// StatusMessage is an event of a component of the site or a client.
type StatusMessage struct {
	ID         int64     `json:"id"`
	Time       time.Time `json:"time" doc:"when it happened, by the clock of whoever says so"`
	ReceivedAt time.Time `json:"received_at"`
	SiteCode   string    `json:"site_code"`
	Device     string    `json:"device,omitempty" doc:"identifier of the device that says so"`
	System     string    `json:"system,omitempty" doc:"identifier of the site system that says so"`
	Component  string    `json:"component"`
	MessageID  int64     `json:"message_id" doc:"entry of the catalogue of status messages"`
	Severity   string    `json:"severity" enum:"informational,warning,error"`
	Text       string    `json:"text" doc:"the text of the catalogue with the insertions in it"`
	Insertions []string  `json:"insertions" nullable:"false"`
}

func registerStatusMessages(a *API) {
	table := status.Table()
	register(a, operation{
		method: http.MethodGet, path: "/status-messages", id: "list-status-messages", tag: "status-message", permission: access.StatusMessageRead,
		summary: "List status messages", list: &table,
	}, a.listStatusMessages)
}

func (a *API) listStatusMessages(ctx context.Context, caller access.Caller, in *ListInput) (*output[Page[StatusMessage]], error) {
	plan, err := status.Table().Plan(in.request(), a.c.Now())
	if err != nil {
		return nil, err
	}
	rows, err := read(ctx, a, func(tx *sitedb.Tx) (page[status.Record], error) {
		if !caller.Scope(access.StatusMessageRead).SeesAll() {
			return page[status.Record]{}, nil
		}
		return status.List(ctx, tx, plan)
	})
	return pageOf(rows, statusMessageOf), err
}

func statusMessageOf(r status.Record) StatusMessage {
	return StatusMessage{
		ID: r.ID, Time: at(r.Time), ReceivedAt: at(r.ReceivedAt), SiteCode: r.SiteCode, Device: r.Device, System: r.System,
		Component: r.Component, MessageID: r.MessageID, Severity: r.Severity, Text: r.Text, Insertions: list(r.Insertions),
	}
}
