package apiv1

import (
	"context"
	"net/http"
	"time"

	"mainstay/lib/fault"
	"mainstay/site/access"
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
	ReportedAt *time.Time       `json:"reported_at,omitempty" doc:"when the newest report arrived; absent before the first"`
	Classes    []ClassSummary   `json:"classes" nullable:"false" doc:"classes with rows, in the order in which they are shown"`
	Errors     []CollectorError `json:"errors" nullable:"false" doc:"what the client could not read at the newest report"`
}

// ClassSummary says how much is known of one class.
type ClassSummary struct {
	Class     string    `json:"class"`
	Rows      int64     `json:"rows"`
	ChangedAt time.Time `json:"changed_at" doc:"when a row was last added"`
}

// CollectorError says that a client could not read something.
type CollectorError struct {
	Class string `json:"class"`
	Text  string `json:"text"`
}

// InventoryRow is one row of a class.
type InventoryRow struct {
	Since  time.Time      `json:"since" doc:"when the site learnt of it"`
	Values map[string]any `json:"values" doc:"by column; what is not known is absent"`
}

// InventoryEvent is a row that came or went.
type InventoryEvent struct {
	Time   time.Time      `json:"time"`
	Class  string         `json:"class"`
	Change string         `json:"change" enum:"added,removed"`
	Values map[string]any `json:"values"`
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

func (a *API) getDeviceInventory(ctx context.Context, caller access.Caller, in *ByID) (*output[DeviceInventory], error) {
	return nil, fault.New(fault.Unavailable, "not yet")
}

func (a *API) listInventoryRows(ctx context.Context, caller access.Caller, in *inventoryRowsInput) (*output[Page[InventoryRow]], error) {
	return nil, fault.New(fault.Unavailable, "not yet")
}

func (a *API) listHistory(ctx context.Context, caller access.Caller, in *inventoryHistoryInput) (*output[Page[InventoryEvent]], error) {
	return nil, fault.New(fault.Unavailable, "not yet")
}

func (a *API) listStateMessages(ctx context.Context, caller access.Caller, in *ByID) (*output[Page[StateMessage]], error) {
	return nil, fault.New(fault.Unavailable, "not yet")
}
