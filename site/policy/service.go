package policy

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"mainstay/lib/fault"
	"mainstay/lib/listing"
	"mainstay/lib/sqldb"
	"mainstay/site/access"
	"mainstay/site/device"
	"mainstay/site/sitedb"
)

const (
	// DefaultRank is the order number of the default client settings, above
	// that of every custom one.
	DefaultRank = 10000
	// maxCustom is the largest number of custom client settings.
	maxCustom = 500
	// maxTargets bounds the devices of one request.
	maxTargets     = 1000
	maxSettingName = 100
	maxDescription = 1000
)

// Names of the client settings that every site begins with.
const (
	DefaultName  = "Default client settings"
	OriginalName = "Configuration Manager intervals"
)

// ClientSetting is a client settings object: chosen settings, and the devices
// that they are deployed to.
type ClientSetting struct {
	ID          string
	Name        string
	Description string
	// Rank is the order number: the lowest wins. DefaultRank for the default
	// client settings, which apply to every device.
	Rank       int64
	Settings   Values
	CreatedAt  int64
	ModifiedAt int64
	// AllDevices tells that they are deployed to every device, Devices to how
	// many by name.
	AllDevices bool
	Devices    int64
}

// IsDefault tells that these are the default client settings.
func (c ClientSetting) IsDefault() bool { return c.Rank == DefaultRank }

type settingRow struct {
	ID          string `db:"id"`
	SiteCode    string `db:"site_code"`
	Name        string `db:"name"`
	Description string `db:"description"`
	Rank        int64  `db:"rank"`
	Settings    string `db:"settings"`
	CreatedAt   int64  `db:"created_at"`
	ModifiedAt  int64  `db:"modified_at"`
}

type settingView struct {
	settingRow
	AllDevices bool  `db:"all_devices"`
	Devices    int64 `db:"devices"`
}

type settingID struct {
	ID string `db:"id"`
}

type target struct {
	ClientSetting string `db:"client_setting"`
	Device        string `db:"device"`
}

const (
	settingColumns = `id, site_code, name, description, rank, settings, created_at, modified_at`
	viewColumns    = settingColumns + `,
	EXISTS (SELECT 1 FROM client_setting_target WHERE client_setting = client_setting.id AND device = '` + everyDevice + `') AS all_devices,
	(SELECT count(*) FROM client_setting_target WHERE client_setting = client_setting.id AND device <> '` + everyDevice + `') AS devices`
)

var (
	insertSetting = sqldb.Define[settingRow, sqldb.None]("policy.insertSetting",
		`INSERT INTO client_setting (`+settingColumns+`)
		 VALUES (@id, @site_code, @name, @description, @rank, @settings, @created_at, @modified_at)`)
	updateSetting = sqldb.Define[settingRow, sqldb.None]("policy.updateSetting",
		`UPDATE client_setting SET name = @name, description = @description, settings = @settings, modified_at = @modified_at WHERE id = @id`)
	rankSetting = sqldb.Define[settingRow, sqldb.None]("policy.rankSetting",
		`UPDATE client_setting SET rank = @rank WHERE id = @id`)
	deleteSetting = sqldb.Define[settingID, sqldb.None]("policy.deleteSetting",
		`DELETE FROM client_setting WHERE id = @id`)
	readSetting = sqldb.Define[settingID, settingView]("policy.readSetting",
		`SELECT `+viewColumns+` FROM client_setting WHERE id = @id`)
	settingNamed = sqldb.Define[settingRow, settingID]("policy.settingNamed",
		`SELECT id FROM client_setting WHERE name = @name AND id <> @id`)
	customSettings = sqldb.Define[settingRow, settingRow]("policy.customSettings",
		`SELECT `+settingColumns+` FROM client_setting WHERE rank <> @rank ORDER BY rank, id`)
	insertTarget = sqldb.Define[target, sqldb.None]("policy.insertTarget",
		`INSERT INTO client_setting_target (client_setting, device) VALUES (@client_setting, @device)
		 ON CONFLICT (client_setting, device) DO NOTHING`)
	deleteTarget = sqldb.Define[target, sqldb.None]("policy.deleteTarget",
		`DELETE FROM client_setting_target WHERE client_setting = @client_setting AND device = @device`)
	targetsOf = sqldb.Define[settingID, deviceID]("policy.targetsOf",
		`SELECT device FROM client_setting_target WHERE client_setting = @id ORDER BY device`)
	forgetTargets = sqldb.Define[deviceID, sqldb.None]("policy.forgetTargets",
		`DELETE FROM client_setting_target WHERE device = @device`)
)

// SettingTable describes the list of client settings.
func SettingTable() listing.Table {
	return listing.Table{
		Columns: []listing.Column{
			{Name: "id", SQL: "id"},
			{Name: "name", SQL: "name"},
			{Name: "order", SQL: "rank", Kind: listing.Integer},
			{Name: "created_at", SQL: "created_at", Kind: listing.Time},
			{Name: "modified_at", SQL: "modified_at", Kind: listing.Time},
		},
		Key: "id", Sort: "order",
	}
}

// Found makes the client settings that every site begins with, in the
// transaction that makes the site: the default ones, which say nothing, and
// the original's intervals, deployed to nobody.
func Found(ctx context.Context, tx *sitedb.Tx, siteCode string, now time.Time) error {
	original := Values{}
	for _, d := range Definitions() {
		if d.Original != nil {
			original[d.Key] = d.Original
		}
	}
	for _, s := range []struct {
		name, description string
		rank              int64
		values            Values
	}{
		{DefaultName, "Apply to every device, unless custom client settings say otherwise.", DefaultRank, Values{}},
		{OriginalName, "The intervals that Configuration Manager has by default. Deploy them to devices that should behave so.", 1, original},
	} {
		text, err := s.values.encode()
		if err != nil {
			return err
		}
		row := settingRow{uuid.NewString(), siteCode, s.name, s.description, s.rank, text, sitedb.Micros(now), sitedb.Micros(now)}
		if _, err := insertSetting.Exec(ctx, tx, row); err != nil {
			return fmt.Errorf("cannot make client settings %q: %w", s.name, err)
		}
	}
	return nil
}

// ListSettings reads one page of the client settings.
func ListSettings(ctx context.Context, tx *sitedb.Tx, scope access.Scope, r listing.Request, now time.Time) (listing.Page[ClientSetting], error) {
	page := listing.Page[ClientSetting]{Items: []ClientSetting{}}
	plan, err := SettingTable().Plan(r, now)
	if err != nil {
		return page, err
	}
	rows, err := listing.List[settingView](ctx, tx, plan, listing.Source{Columns: viewColumns, From: "client_setting", Where: scope.SQL()})
	if err != nil {
		return page, err
	}
	page.Next, page.Total = rows.Next, rows.Total
	for _, row := range rows.Items {
		c, err := row.object()
		if err != nil {
			return page, err
		}
		page.Items = append(page.Items, c)
	}
	return page, nil
}

func (v settingView) object() (ClientSetting, error) {
	values, err := decodeValues(v.Settings)
	if err != nil {
		return ClientSetting{}, fmt.Errorf("client settings %s: %w", v.Name, err)
	}
	return ClientSetting{v.ID, v.Name, v.Description, v.Rank, values, v.CreatedAt, v.ModifiedAt, v.AllDevices || v.Rank == DefaultRank, v.Devices}, nil
}

// ShowSetting reads one client settings object.
func ShowSetting(ctx context.Context, tx *sitedb.Tx, scope access.Scope, id string) (ClientSetting, error) {
	row, ok, err := readSetting.One(ctx, tx, settingID{id})
	if err == nil && (!ok || !scope.SeesAll()) {
		err = fault.New(fault.NotFound, "no client settings have the identifier %q; list them to see all", clip(id))
	}
	if err != nil {
		return ClientSetting{}, err
	}
	return row.object()
}

// Targets lists the identifiers of the devices to which client settings are
// deployed by name.
func Targets(ctx context.Context, tx *sitedb.Tx, scope access.Scope, id string) ([]string, error) {
	devices := []string{}
	if !scope.SeesAll() {
		return devices, nil
	}
	rows, err := targetsOf.All(ctx, tx, settingID{id})
	for _, row := range rows {
		if row.Device != everyDevice {
			devices = append(devices, row.Device)
		}
	}
	return devices, err
}

// NewSetting is what custom client settings are made from.
type NewSetting struct {
	SiteCode          string
	Name, Description string
	// Settings are the chosen ones, as they come from outside.
	Settings map[string]any
}

// CreateSetting makes custom client settings, with the highest order number.
func CreateSetting(ctx context.Context, tx *sitedb.Tx, caller access.Caller, n NewSetting, now time.Time) (ClientSetting, error) {
	if err := caller.Require(access.ClientSettingCreate); err != nil {
		return ClientSetting{}, err
	}
	values, err := ParseValues(n.Settings)
	if err != nil {
		return ClientSetting{}, err
	}
	customs, err := customSettings.All(ctx, tx, settingRow{Rank: DefaultRank})
	if err != nil {
		return ClientSetting{}, err
	}
	if len(customs) >= maxCustom {
		return ClientSetting{}, fault.New(fault.Conflict, "there are %d custom client settings; delete some first", len(customs))
	}
	row := settingRow{
		ID: uuid.NewString(), SiteCode: n.SiteCode, Name: strings.TrimSpace(n.Name), Description: strings.TrimSpace(n.Description), Rank: 1,
		CreatedAt: sitedb.Micros(now), ModifiedAt: sitedb.Micros(now),
	}
	if len(customs) > 0 {
		row.Rank = customs[len(customs)-1].Rank + 1
	}
	if err := checkTexts(ctx, tx, row); err != nil {
		return ClientSetting{}, err
	}
	if row.Settings, err = values.encode(); err != nil {
		return ClientSetting{}, err
	}
	if _, err := insertSetting.Exec(ctx, tx, row); err != nil {
		return ClientSetting{}, err
	}
	tx.Announce("client-setting")
	if err := record(ctx, tx, caller, "create", row.ID, map[string]string{"name": row.Name, "settings": row.Settings}, now); err != nil {
		return ClientSetting{}, err
	}
	return ShowSetting(ctx, tx, access.Everything(), row.ID)
}

func checkTexts(ctx context.Context, tx *sitedb.Tx, row settingRow) error {
	unprintable := func(r rune) bool { return r < 0x20 && r != '\n' || r == 0x7f }
	switch {
	case row.Name == "" || len(row.Name) > maxSettingName || strings.ContainsFunc(row.Name, unprintable):
		return fault.InvalidField("name", "%q is no name; use 1 to %d bytes that can be printed", clip(row.Name), maxSettingName)
	case len(row.Description) > maxDescription || strings.ContainsFunc(row.Description, unprintable):
		return fault.InvalidField("description", "is longer than %d bytes or holds characters that cannot be printed", maxDescription)
	}
	_, taken, err := settingNamed.One(ctx, tx, row)
	if err == nil && taken {
		err = fault.New(fault.Conflict, "client settings named %q exist already; use another name", row.Name)
	}
	return err
}

func record(ctx context.Context, tx *sitedb.Tx, caller access.Caller, verb, id string, detail map[string]string, now time.Time) error {
	return access.Record(ctx, tx, caller, access.Entry{
		Action: "client-setting." + verb, ObjectType: "client-setting", ObjectID: id, Detail: detail,
	}, now)
}

// EditSetting is a change of client settings; what is nil stays.
type EditSetting struct {
	Name, Description *string
	// Set are settings to choose or change, Unset keys to leave to others.
	Set   map[string]any
	Unset []string
}

// Edit changes client settings, the default ones included; devices that they
// touch get new policy.
func Edit(ctx context.Context, tx *sitedb.Tx, caller access.Caller, id string, e EditSetting, now time.Time) (ClientSetting, error) {
	before, err := changeable(ctx, tx, caller, access.ClientSettingModify, id)
	if err != nil {
		return before, err
	}
	set, err := ParseValues(e.Set)
	if err != nil {
		return before, err
	}
	values := maps.Clone(before.Settings)
	for _, key := range e.Unset {
		if _, err := definitionOf(key); err != nil {
			return before, err
		}
		delete(values, key)
	}
	maps.Copy(values, set)
	row := settingRow{ID: id, Name: before.Name, Description: before.Description, ModifiedAt: sitedb.Micros(now)}
	if e.Name != nil {
		row.Name = strings.TrimSpace(*e.Name)
	}
	if before.IsDefault() && row.Name != before.Name {
		return before, fault.New(fault.Conflict, "the default client settings keep their name")
	}
	if e.Description != nil {
		row.Description = strings.TrimSpace(*e.Description)
	}
	if err := checkTexts(ctx, tx, row); err != nil {
		return before, err
	}
	if row.Settings, err = values.encode(); err != nil {
		return before, err
	}
	if _, err := updateSetting.Exec(ctx, tx, row); err != nil {
		return before, err
	}
	old, err := before.Settings.encode()
	if err != nil {
		return before, err
	}
	if err := touched(ctx, tx, before, now); err != nil {
		return before, err
	}
	detail := map[string]string{"name": row.Name, "before": old, "after": row.Settings}
	if err := record(ctx, tx, caller, "edit", id, detail, now); err != nil {
		return before, err
	}
	return ShowSetting(ctx, tx, access.Everything(), id)
}

func changeable(ctx context.Context, tx *sitedb.Tx, caller access.Caller, p access.Permission, id string) (ClientSetting, error) {
	if err := caller.Require(p); err != nil {
		return ClientSetting{}, err
	}
	return ShowSetting(ctx, tx, caller.Scope(p), id)
}

func custom(ctx context.Context, tx *sitedb.Tx, caller access.Caller, p access.Permission, id, what string) (ClientSetting, error) {
	c, err := changeable(ctx, tx, caller, p, id)
	if err == nil && c.IsDefault() {
		err = fault.New(fault.Conflict, "the default client settings apply to every device and cannot be %s", what)
	}
	return c, err
}

// touched asks for new policy for the devices that client settings apply to.
func touched(ctx context.Context, tx *sitedb.Tx, c ClientSetting, now time.Time) error {
	tx.Announce("client-setting")
	if c.AllDevices {
		return WantEveryone(ctx, tx, now)
	}
	devices, err := Targets(ctx, tx, access.Everything(), c.ID)
	if err != nil {
		return err
	}
	for _, id := range devices {
		if err := Want(ctx, tx, id, now); err != nil {
			return err
		}
	}
	return nil
}

// DeleteSetting removes custom client settings; the devices fall back to what
// else applies.
func DeleteSetting(ctx context.Context, tx *sitedb.Tx, caller access.Caller, id string, now time.Time) error {
	c, err := custom(ctx, tx, caller, access.ClientSettingDelete, id, "deleted")
	if err != nil {
		return err
	}
	if err := touched(ctx, tx, c, now); err != nil {
		return err
	}
	if _, err := deleteSetting.Exec(ctx, tx, settingID{id}); err != nil {
		return err
	}
	text, err := c.Settings.encode()
	if err != nil {
		return err
	}
	return record(ctx, tx, caller, "delete", id, map[string]string{"name": c.Name, "settings": text}, now)
}

// Move gives custom client settings another place in the order, counted from
// 1; the others make room. Beyond the end is the end.
func Move(ctx context.Context, tx *sitedb.Tx, caller access.Caller, id string, order int64, now time.Time) (ClientSetting, error) {
	c, err := custom(ctx, tx, caller, access.ClientSettingModify, id, "moved")
	if err != nil {
		return c, err
	}
	if order < 1 || order >= DefaultRank {
		return c, fault.InvalidField("order", "%d is out of range; give 1 to %d", order, DefaultRank-1)
	}
	rows, err := customSettings.All(ctx, tx, settingRow{Rank: DefaultRank})
	if err != nil {
		return c, err
	}
	at := slices.IndexFunc(rows, func(r settingRow) bool { return r.ID == id })
	moved := rows[at]
	rows = slices.Delete(rows, at, at+1)
	rows = slices.Insert(rows, min(int(order)-1, len(rows)), moved)
	for i, row := range rows {
		if row.Rank == int64(i+1) {
			continue
		}
		row.Rank = int64(i + 1)
		if _, err := rankSetting.Exec(ctx, tx, row); err != nil {
			return c, err
		}
	}
	if err := touched(ctx, tx, c, now); err != nil {
		return c, err
	}
	after, err := ShowSetting(ctx, tx, access.Everything(), id)
	if err != nil {
		return after, err
	}
	return after, record(ctx, tx, caller, "move", id, map[string]string{
		"name": c.Name, "before": strconv.FormatInt(c.Rank, 10), "after": strconv.FormatInt(after.Rank, 10),
	}, now)
}

// To says which devices a deployment is about.
type To struct {
	// All is every device, now and later.
	All bool
	// Devices are identifiers, at most 1,000.
	Devices []string
}

func (t To) check(ctx context.Context, tx *sitedb.Tx, mustExist bool) error {
	switch {
	case !t.All && len(t.Devices) == 0:
		return fault.InvalidField("devices", "is empty; name devices, or all of them with all")
	case t.All && len(t.Devices) > 0:
		return fault.InvalidField("devices", "cannot be given together with all")
	case len(t.Devices) > maxTargets:
		return fault.InvalidField("devices", "has %d devices; at most %d are allowed at once", len(t.Devices), maxTargets)
	}
	for _, id := range t.Devices {
		_, ok, err := device.Load(ctx, tx, id)
		if err != nil {
			return err
		}
		if !ok && mustExist {
			return fault.New(fault.NotFound, "no device has the identifier %q", clip(id))
		}
	}
	return nil
}

func (t To) rows() []string {
	if t.All {
		return []string{everyDevice}
	}
	return t.Devices
}

func (t To) String() string {
	if t.All {
		return "all devices"
	}
	return strings.Join(t.Devices, ", ")
}

// Deploy applies custom client settings to devices.
func Deploy(ctx context.Context, tx *sitedb.Tx, caller access.Caller, id string, to To, now time.Time) (ClientSetting, error) {
	return retarget(ctx, tx, caller, id, to, insertTarget, "deploy", now)
}

// Withdraw takes custom client settings away from devices. Withdrawn from all
// devices they are still deployed to those that were named.
func Withdraw(ctx context.Context, tx *sitedb.Tx, caller access.Caller, id string, to To, now time.Time) (ClientSetting, error) {
	return retarget(ctx, tx, caller, id, to, deleteTarget, "withdraw", now)
}

func retarget(ctx context.Context, tx *sitedb.Tx, caller access.Caller, id string, to To, change *sqldb.Statement[target, sqldb.None], verb string, now time.Time) (ClientSetting, error) {
	c, err := custom(ctx, tx, caller, access.ClientSettingDeploy, id, "deployed or withdrawn")
	if err != nil {
		return c, err
	}
	if err := to.check(ctx, tx, verb == "deploy"); err != nil {
		return c, err
	}
	for _, d := range to.rows() {
		if _, err := change.Exec(ctx, tx, target{id, d}); err != nil {
			return c, err
		}
		if err := Want(ctx, tx, d, now); err != nil {
			return c, err
		}
	}
	tx.Announce("client-setting")
	if err := record(ctx, tx, caller, verb, id, map[string]string{"name": c.Name, "to": to.String()}, now); err != nil {
		return c, err
	}
	return ShowSetting(ctx, tx, access.Everything(), id)
}

// Forget removes what client settings say of a device that is deleted, and
// asks for its policy to be removed.
func Forget(ctx context.Context, tx *sitedb.Tx, device string, now time.Time) error {
	if _, err := forgetTargets.Exec(ctx, tx, deviceID{device}); err != nil {
		return err
	}
	return Want(ctx, tx, device, now)
}
