package apiv1

import (
	"context"
	"net/http"
	"time"

	"mainstay/site/access"
	"mainstay/site/policy"
	"mainstay/site/sitedb"
)

// ClientSetting is a client settings object.
type ClientSetting struct {
	ID          string         `json:"id"`
	Name        string         `json:"name"`
	Description string         `json:"description"`
	Order       int64          `json:"order" doc:"the lowest wins, setting by setting; 10000 for the default client settings"`
	Default     bool           `json:"default" doc:"these are the default client settings, which apply to every device"`
	Settings    map[string]any `json:"settings" doc:"the chosen settings by key: a duration as text (5m), true or false, or a list of texts"`
	AllDevices  bool           `json:"all_devices" doc:"they apply to every device"`
	Devices     int64          `json:"devices" doc:"number of devices that they are deployed to by name"`
	CreatedAt   time.Time      `json:"created_at"`
	ModifiedAt  time.Time      `json:"modified_at"`
}

// ClientSettingDetail is a client settings object with its devices.
type ClientSettingDetail struct {
	ClientSetting
	DeviceIDs []string `json:"device_ids" nullable:"false" doc:"devices that they are deployed to by name"`
}

// NewClientSetting is what custom client settings are made from.
type NewClientSetting struct {
	Name        string         `json:"name" minLength:"1" maxLength:"100"`
	Description string         `json:"description,omitempty" maxLength:"1000"`
	Settings    map[string]any `json:"settings,omitempty" doc:"chosen settings by key" example:"{\"client_policy.polling_interval\": \"15m\"}"`
}

// EditClientSetting changes client settings; what is absent stays.
type EditClientSetting struct {
	Name        *string        `json:"name,omitempty" minLength:"1" maxLength:"100"`
	Description *string        `json:"description,omitempty" maxLength:"1000"`
	Set         map[string]any `json:"set,omitempty" doc:"settings to choose or change, by key"`
	Unset       []string       `json:"unset,omitempty" maxItems:"100" nullable:"false" doc:"keys of settings to leave to other client settings"`
}

// ClientSettingOrder is a place in the order.
type ClientSettingOrder struct {
	Order int64 `json:"order" minimum:"1" maximum:"9999" doc:"the others make room; beyond the end is the end"`
}

// ClientSettingTarget says which devices a deployment is about.
type ClientSettingTarget struct {
	All     bool     `json:"all,omitempty" doc:"every device, now and later"`
	Devices []string `json:"devices,omitempty" maxItems:"1000" nullable:"false" doc:"identifiers of devices"`
}

// SettingDefinition describes a client setting.
type SettingDefinition struct {
	Key         string `json:"key"`
	Type        string `json:"type" enum:"duration,bool,list"`
	Default     any    `json:"default" doc:"the value when no client settings choose another"`
	Original    any    `json:"original,omitempty" doc:"the value that Configuration Manager begins with"`
	Min         string `json:"min,omitempty" doc:"shortest duration"`
	Max         string `json:"max,omitempty" doc:"longest duration"`
	Merge       string `json:"merge" enum:"lowest order wins,put together"`
	Description string `json:"description"`
}

type newClientSettingInput struct{ Body NewClientSetting }

func (n *newClientSettingInput) object() string { return n.Body.Name }

type editClientSettingInput struct {
	ByID
	Body EditClientSetting
}

type moveClientSettingInput struct {
	ByID
	Body ClientSettingOrder
}

type targetClientSettingInput struct {
	ByID
	Body ClientSettingTarget
}

func registerClientSettings(a *API) {
	table := policy.SettingTable()
	const tag, path = "client-setting", "/client-settings/{id}"
	register(a, operation{
		method: http.MethodGet, path: "/client-settings", id: "list-client-settings", tag: tag, permission: access.ClientSettingRead,
		summary: "List client settings, default and custom", list: &table,
	}, a.listClientSettings)
	register(a, operation{
		method: http.MethodPost, path: "/client-settings", id: "create-client-setting", tag: tag, permission: access.ClientSettingCreate,
		summary: "Create custom client settings", status: http.StatusCreated,
		description: "They get the highest order number and apply to no device until they are deployed.",
	}, a.createClientSetting)
	register(a, operation{
		method: http.MethodGet, path: path, id: "get-client-setting", tag: tag, permission: access.ClientSettingRead,
		summary: "Show client settings",
	}, a.getClientSetting)
	register(a, operation{
		method: http.MethodPatch, path: path, id: "edit-client-setting", tag: tag, permission: access.ClientSettingModify,
		summary: "Change client settings",
	}, a.editClientSetting)
	register(a, operation{
		method: http.MethodDelete, path: path, id: "delete-client-setting", tag: tag, permission: access.ClientSettingDelete,
		summary: "Delete custom client settings",
	}, a.deleteClientSetting)
	register(a, operation{
		method: http.MethodPost, path: path + "/move", id: "move-client-setting", tag: tag, permission: access.ClientSettingModify,
		summary: "Give custom client settings another order number",
	}, a.moveClientSetting)
	register(a, operation{
		method: http.MethodPost, path: path + "/deploy", id: "deploy-client-setting", tag: tag, permission: access.ClientSettingDeploy,
		summary: "Apply custom client settings to devices",
	}, a.retarget(policy.Deploy))
	register(a, operation{
		method: http.MethodPost, path: path + "/withdraw", id: "withdraw-client-setting", tag: tag, permission: access.ClientSettingDeploy,
		summary:     "Take custom client settings away from devices",
		description: "Withdrawn from all devices they are still deployed to those that were named.",
	}, a.retarget(policy.Withdraw))
	register(a, operation{
		method: http.MethodGet, path: "/client-setting-definitions", id: "list-client-setting-definitions", tag: tag, permission: access.ClientSettingRead,
		summary: "List every client setting that there is, with default, range and meaning",
	}, a.listDefinitions)
}

func clientSettingOf(c policy.ClientSetting) ClientSetting {
	return ClientSetting{
		ID: c.ID, Name: c.Name, Description: c.Description, Order: c.Rank, Default: c.IsDefault(), Settings: c.Settings,
		AllDevices: c.AllDevices, Devices: c.Devices, CreatedAt: at(c.CreatedAt), ModifiedAt: at(c.ModifiedAt),
	}
}

func (a *API) listClientSettings(ctx context.Context, caller access.Caller, in *ListInput) (*output[Page[ClientSetting]], error) {
	page, err := read(ctx, a, func(tx *sitedb.Tx) (page[policy.ClientSetting], error) {
		return policy.ListSettings(ctx, tx, caller.Scope(access.ClientSettingRead), in.request(), a.c.Now())
	})
	return pageOf(page, clientSettingOf), err
}

func (a *API) createClientSetting(ctx context.Context, caller access.Caller, in *newClientSettingInput) (*output[ClientSetting], error) {
	row, err := write(ctx, a, func(tx *sitedb.Tx) (policy.ClientSetting, error) {
		return policy.CreateSetting(ctx, tx, caller, policy.NewSetting{
			SiteCode: a.c.SiteCode, Name: in.Body.Name, Description: in.Body.Description, Settings: in.Body.Settings,
		}, a.c.Now())
	})
	return answer(clientSettingOf(row)), err
}

func (a *API) getClientSetting(ctx context.Context, caller access.Caller, in *ByID) (*output[ClientSettingDetail], error) {
	scope := caller.Scope(access.ClientSettingRead)
	body, err := read(ctx, a, func(tx *sitedb.Tx) (ClientSettingDetail, error) {
		row, err := policy.ShowSetting(ctx, tx, scope, in.ID)
		if err != nil {
			return ClientSettingDetail{}, err
		}
		devices, err := policy.Targets(ctx, tx, scope, in.ID)
		return ClientSettingDetail{clientSettingOf(row), devices}, err
	})
	return answer(body), err
}

func (a *API) editClientSetting(ctx context.Context, caller access.Caller, in *editClientSettingInput) (*output[ClientSetting], error) {
	row, err := write(ctx, a, func(tx *sitedb.Tx) (policy.ClientSetting, error) {
		return policy.Edit(ctx, tx, caller, in.ID, policy.EditSetting{
			Name: in.Body.Name, Description: in.Body.Description, Set: in.Body.Set, Unset: in.Body.Unset,
		}, a.c.Now())
	})
	return answer(clientSettingOf(row)), err
}

func (a *API) deleteClientSetting(ctx context.Context, caller access.Caller, in *ByID) (*Empty, error) {
	return write(ctx, a, func(tx *sitedb.Tx) (*Empty, error) {
		return nil, policy.DeleteSetting(ctx, tx, caller, in.ID, a.c.Now())
	})
}

func (a *API) moveClientSetting(ctx context.Context, caller access.Caller, in *moveClientSettingInput) (*output[ClientSetting], error) {
	row, err := write(ctx, a, func(tx *sitedb.Tx) (policy.ClientSetting, error) {
		return policy.Move(ctx, tx, caller, in.ID, in.Body.Order, a.c.Now())
	})
	return answer(clientSettingOf(row)), err
}

// retarget makes the handler of Deploy or Withdraw.
func (a *API) retarget(change func(context.Context, *sitedb.Tx, access.Caller, string, policy.To, time.Time) (policy.ClientSetting, error)) func(context.Context, access.Caller, *targetClientSettingInput) (*output[ClientSetting], error) {
	return func(ctx context.Context, caller access.Caller, in *targetClientSettingInput) (*output[ClientSetting], error) {
		row, err := write(ctx, a, func(tx *sitedb.Tx) (policy.ClientSetting, error) {
			return change(ctx, tx, caller, in.ID, policy.To{All: in.Body.All, Devices: in.Body.Devices}, a.c.Now())
		})
		return answer(clientSettingOf(row)), err
	}
}

func (a *API) listDefinitions(context.Context, access.Caller, *Empty) (*output[Page[SettingDefinition]], error) {
	body := Page[SettingDefinition]{Items: []SettingDefinition{}}
	for _, d := range policy.Definitions() {
		s := SettingDefinition{
			Key: d.Key, Type: string(d.Type), Default: d.Default, Original: d.Original, Merge: "lowest order wins", Description: d.Description,
		}
		if d.Merged {
			s.Merge = "put together"
		}
		if d.Type == policy.SettingDuration {
			s.Min, s.Max = policy.FormatDuration(d.Min), policy.FormatDuration(d.Max)
		}
		body.Items = append(body.Items, s)
	}
	return answer(body), nil
}
