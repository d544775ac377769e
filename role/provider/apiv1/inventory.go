package apiv1

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"mainstay/site/access"
	"mainstay/site/device"
	"mainstay/site/inventory"
	"mainstay/site/sitedb"
	"mainstay/site/statemessage"
	"mainstay/wire"
)

// InventoryClass describes a class of inventory.
type InventoryClass struct {
	Name        string            `json:"name"`
	Aliases     []string          `json:"aliases" nullable:"false"`
	Description string            `json:"description"`
	Volatile    string            `json:"volatile,omitempty" doc:"columns that change without anybody's doing, and what keeps them quiet"`
	Single      bool              `json:"single" doc:"a device has at most one row"`
	Columns     []InventoryColumn `json:"columns" nullable:"false"`
}

// InventoryColumn describes a column of a class.
type InventoryColumn struct {
	Name        string `json:"name"`
	Type        string `json:"type" enum:"string,bool,integer,time" doc:"time: integer microseconds since 1970, UTC"`
	Unit        string `json:"unit,omitempty" doc:"unit of a number: bytes, MHz, bit/s"`
	Key         bool   `json:"key" doc:"it tells rows apart over time"`
	Description string `json:"description"`
}

// DeviceInventory says what is known of a device.
type DeviceInventory struct {
	CollectedAt *time.Time       `json:"collected_at,omitempty" doc:"when the newest report was collected; absent before the first"`
	ReceivedAt  *time.Time       `json:"received_at,omitempty" doc:"when the site got it"`
	Classes     []ClassSummary   `json:"classes" nullable:"false" doc:"classes with rows, in the order in which they are shown"`
	Errors      []CollectorError `json:"errors" nullable:"false" doc:"what the client could not read at the newest report"`
}

// ClassSummary says how much is known of one class.
type ClassSummary struct {
	Class     string    `json:"class"`
	Rows      int64     `json:"rows"`
	ChangedAt time.Time `json:"changed_at" doc:"when a row was last added or removed"`
	Unread    bool      `json:"unread" doc:"the client could not read the class for its last full report: the rows are those of before"`
}

// CollectorError says that a client could not read something.
type CollectorError struct {
	Class string `json:"class"`
	Text  string `json:"text"`
}

// InventoryRow is one row of a class.
type InventoryRow struct {
	Since  time.Time      `json:"since" doc:"when it came"`
	Until  *time.Time     `json:"until,omitempty" doc:"when it went; absent while it is there"`
	Values map[string]any `json:"values" doc:"by column; what is not known is absent"`
}

// InventoryChange is what happened to one row.
type InventoryChange struct {
	Time    time.Time      `json:"time" doc:"when the report that showed it was collected"`
	Class   string         `json:"class"`
	Change  string         `json:"change" enum:"added,removed,changed"`
	Values  map[string]any `json:"values,omitempty" doc:"the row that came"`
	Before  map[string]any `json:"before,omitempty" doc:"the row that went"`
	Columns []string       `json:"columns" nullable:"false" doc:"columns that differ, for changed"`
}

// StateMessage is the state that something on a device is in.
type StateMessage struct {
	TopicType  int64     `json:"topic_type"`
	Topic      string    `json:"topic" doc:"what the topic type is about"`
	TopicID    string    `json:"topic_id"`
	StateID    int64     `json:"state_id" doc:"0 is unknown"`
	Detail     string    `json:"detail,omitempty"`
	Time       time.Time `json:"time" doc:"by the client's clock"`
	ReceivedAt time.Time `json:"received_at"`
}

type inventoryRowsInput struct {
	ByID
	Class  string    `path:"class" maxLength:"64" doc:"name or alias of a class, without regard to case"`
	At     time.Time `query:"at" doc:"as it was then; absent for now"`
	Cursor string    `query:"cursor" maxLength:"100" doc:"next of the page before"`
	Limit  int       `query:"limit" minimum:"1" maximum:"1000" default:"100"`
}

type inventoryHistoryInput struct {
	ByID
	Class  string    `query:"class" maxLength:"64" doc:"name or alias of a class; absent for all"`
	Since  time.Time `query:"since" doc:"changes from then on; absent for all that is kept"`
	Before time.Time `query:"before" doc:"changes before then"`
	Cursor string    `query:"cursor" maxLength:"100" doc:"next of the page before"`
	Limit  int       `query:"limit" minimum:"1" maximum:"1000" default:"100"`
}

func registerInventory(a *API) {
	const path = "/devices/{id}"
	register(a, operation{
		method: http.MethodGet, path: "/inventory-classes", id: "list-inventory-classes", tag: "inventory", permission: access.DeviceRead,
		summary: "List the classes of inventory with their columns and units",
	}, a.listInventoryClasses)
	register(a, operation{
		method: http.MethodGet, path: path + "/inventory", id: "get-device-inventory", tag: "inventory", permission: access.DeviceRead,
		summary: "Show which inventory a device has",
	}, a.getDeviceInventory)
	register(a, operation{
		method: http.MethodGet, path: path + "/inventory/{class}", id: "list-device-inventory-rows", tag: "inventory", permission: access.DeviceRead,
		summary: "List the rows of one class of inventory of a device, now or at a time",
	}, a.listInventoryRows)
	register(a, operation{
		method: http.MethodGet, path: path + "/history", id: "list-device-history", tag: "inventory", permission: access.DeviceRead,
		summary: "List what has changed on a device, the newest first",
	}, a.listHistory)
	register(a, operation{
		method: http.MethodGet, path: path + "/state-messages", id: "list-device-state-messages", tag: "inventory", permission: access.DeviceRead,
		summary: "List the states that things on a device are in",
	}, a.listStateMessages)
}

func (a *API) listInventoryClasses(context.Context, access.Caller, *Empty) (*output[Page[InventoryClass]], error) {
	body := Page[InventoryClass]{Items: []InventoryClass{}}
	for _, c := range wire.InventoryClasses() {
		class := InventoryClass{
			Name: c.Name, Aliases: list(c.Aliases), Description: c.Description, Volatile: c.Volatile,
			Single: len(c.KeyColumns) == 0, Columns: []InventoryColumn{},
		}
		for _, column := range c.Columns() {
			class.Columns = append(class.Columns, InventoryColumn(column))
		}
		body.Items = append(body.Items, class)
	}
	return answer(body), nil
}

// visible makes sure that the device is there and may be seen.
func visible(ctx context.Context, tx *sitedb.Tx, scope access.Scope, id string) error {
	_, err := device.Show(ctx, tx, scope, id)
	return err
}

func (a *API) getDeviceInventory(ctx context.Context, caller access.Caller, in *ByID) (*output[DeviceInventory], error) {
	scope := caller.Scope(access.DeviceRead)
	s, err := read(ctx, a, func(tx *sitedb.Tx) (inventory.Summary, error) {
		if err := visible(ctx, tx, scope, in.ID); err != nil {
			return inventory.Summary{}, err
		}
		return inventory.Summarize(ctx, tx, scope, in.ID)
	})
	body := DeviceInventory{CollectedAt: known(s.CollectedAt), ReceivedAt: known(s.ReceivedAt), Classes: []ClassSummary{}, Errors: []CollectorError{}}
	for _, c := range s.Classes {
		body.Classes = append(body.Classes, ClassSummary{c.Class, c.Rows, at(c.ChangedAt), c.Unread})
	}
	for _, e := range s.Errors {
		body.Errors = append(body.Errors, CollectorError{e.Class, e.Text})
	}
	return answer(body), err
}

func (a *API) listInventoryRows(ctx context.Context, caller access.Caller, in *inventoryRowsInput) (*output[Page[InventoryRow]], error) {
	scope := caller.Scope(access.DeviceRead)
	body, err := read(ctx, a, func(tx *sitedb.Tx) (Page[InventoryRow], error) {
		if err := visible(ctx, tx, scope, in.ID); err != nil {
			return Page[InventoryRow]{}, err
		}
		rows, next, err := inventory.Rows(ctx, tx, scope, in.ID, in.Class, microsOf(in.At), inventory.Page{Cursor: in.Cursor, Limit: in.Limit})
		if err != nil {
			return Page[InventoryRow]{}, err
		}
		page := Page[InventoryRow]{Items: make([]InventoryRow, len(rows)), Next: next}
		for i, row := range rows {
			page.Items[i] = InventoryRow{Since: at(row.Since), Until: known(row.Until), Values: valuesOf(row.Values)}
		}
		return page, nil
	})
	return answer(body), err
}

func microsOf(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return sitedb.Micros(t)
}

// valuesOf reads a stored row; numbers keep all their digits.
func valuesOf(row json.RawMessage) map[string]any {
	values := map[string]any{}
	if len(row) == 0 {
		return nil
	}
	decoder := json.NewDecoder(bytes.NewReader(row))
	decoder.UseNumber()
	if err := decoder.Decode(&values); err != nil {
		return map[string]any{"damaged": string(row)}
	}
	return values
}

func (a *API) listHistory(ctx context.Context, caller access.Caller, in *inventoryHistoryInput) (*output[Page[InventoryChange]], error) {
	scope := caller.Scope(access.DeviceRead)
	body, err := read(ctx, a, func(tx *sitedb.Tx) (Page[InventoryChange], error) {
		if err := visible(ctx, tx, scope, in.ID); err != nil {
			return Page[InventoryChange]{}, err
		}
		changes, next, err := inventory.History(ctx, tx, scope, in.ID, inventory.HistoryQuery{
			Class: in.Class, Since: microsOf(in.Since), Before: microsOf(in.Before), Page: inventory.Page{Cursor: in.Cursor, Limit: in.Limit},
		})
		if err != nil {
			return Page[InventoryChange]{}, err
		}
		page := Page[InventoryChange]{Items: make([]InventoryChange, len(changes)), Next: next}
		for i, c := range changes {
			page.Items[i] = InventoryChange{
				Time: at(c.Time), Class: c.Class, Change: c.Kind, Values: valuesOf(c.Values), Before: valuesOf(c.Before), Columns: list(c.Columns),
			}
		}
		return page, nil
	})
	return answer(body), err
}

func (a *API) listStateMessages(ctx context.Context, caller access.Caller, in *ByID) (*output[Page[StateMessage]], error) {
	scope := caller.Scope(access.DeviceRead)
	body, err := read(ctx, a, func(tx *sitedb.Tx) (Page[StateMessage], error) {
		if err := visible(ctx, tx, scope, in.ID); err != nil {
			return Page[StateMessage]{}, err
		}
		rows, err := statemessage.List(ctx, tx, scope, in.ID)
		page := Page[StateMessage]{Items: []StateMessage{}}
		for _, s := range rows {
			page.Items = append(page.Items, StateMessage{
				TopicType: s.TopicType, Topic: topicName(s.TopicType), TopicID: s.TopicID, StateID: s.StateID, Detail: s.Detail,
				Time: at(s.Time), ReceivedAt: at(s.ReceivedAt),
			})
		}
		return page, err
	})
	return answer(body), err
}

// topicName says what a topic type of the original is about, as far as clients
// of this release report it.
func topicName(topicType int64) string {
	switch topicType {
	case 700, 701, 702:
		return "resynchronization"
	case 800:
		return "client deployment"
	case 1000:
		return "communication with management points"
	case 1001:
		return "certificate"
	case 1300:
		return "client health"
	}
	return "topic " + strconv.FormatInt(topicType, 10)
}
