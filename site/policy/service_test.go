package policy

import (
	"fmt"
	"strings"
	"testing"

	"mainstay/lib/fault"
	"mainstay/lib/listing"
	"mainstay/lib/sqldb"
	"mainstay/site/access"
	"mainstay/site/sitedb"
)

var root = access.Local("root", "local socket")

func (f *compilerFixture) create(name string, settings map[string]any) ClientSetting {
	f.Helper()
	var c ClientSetting
	f.write(func(tx *sitedb.Tx) (err error) {
		c, err = CreateSetting(f.Context(), tx, root, NewSetting{SiteCode: "LAB", Name: name, Settings: settings}, f.now)
		return err
	})
	return c
}

func (f *compilerFixture) list() []ClientSetting {
	f.Helper()
	var page listing.Page[ClientSetting]
	if err := f.db.Read(f.Context(), func(tx *sitedb.Tx) (err error) {
		page, err = ListSettings(f.Context(), tx, access.Everything(), listing.Request{}, f.now)
		return err
	}); err != nil {
		f.Fatal(err)
	}
	return page.Items
}

func (f *compilerFixture) order() string {
	names := []string{}
	for _, c := range f.list() {
		names = append(names, fmt.Sprintf("%s %d", c.Name, c.Rank))
	}
	return strings.Join(names, ", ")
}

// wants says for which devices policy is to be made, and forgets it.
func (f *compilerFixture) wants() string {
	f.Helper()
	all := sqldb.Define[sqldb.None, deviceID]("test.wanted", `DELETE FROM policy_wanted RETURNING device`)
	var rows []deviceID
	f.write(func(tx *sitedb.Tx) (err error) {
		rows, err = all.All(f.Context(), tx, sqldb.None{})
		return err
	})
	ids := []string{}
	for _, row := range rows {
		ids = append(ids, row.Device)
	}
	return strings.Join(ids, " ")
}

func (f *compilerFixture) change(do func(tx *sitedb.Tx) (ClientSetting, error)) ClientSetting {
	f.Helper()
	var c ClientSetting
	f.write(func(tx *sitedb.Tx) (err error) {
		c, err = do(tx)
		return err
	})
	return c
}

func (f *compilerFixture) polling(device string) (value any, from string) {
	f.Helper()
	var origins []Origin
	if err := f.db.Read(f.Context(), func(tx *sitedb.Tx) (err error) {
		origins, err = ResultantSet(f.Context(), tx, access.Everything(), device)
		return err
	}); err != nil {
		f.Fatal(err)
	}
	return origins[0].Value, names(origins[0].From)
}

func TestDeployedSettingsReachTheirDevices(t *testing.T) {
	t.Parallel()
	f := setupCompiler(t)
	f.device("one")
	f.device("two")
	f.wants()
	servers := f.create("Servers", map[string]any{"client_policy.polling_interval": "15m"})
	if f.wants() != "" {
		t.Error("settings that are deployed to nobody make policy")
	}
	deployed := f.change(func(tx *sitedb.Tx) (ClientSetting, error) {
		return Deploy(t.Context(), tx, root, servers.ID, To{Devices: []string{"one"}}, f.now)
	})
	if deployed.Devices != 1 || deployed.AllDevices || f.wants() != "one" {
		t.Errorf("after deploying to one: %+v", deployed)
	}
	if value, from := f.polling("one"); value != "15m" || from != "Servers" {
		t.Errorf("device one polls every %v, from %q", value, from)
	}
	if value, from := f.polling("two"); value != "5m" || from != "" {
		t.Errorf("device two polls every %v, from %q", value, from)
	}
	f.change(func(tx *sitedb.Tx) (ClientSetting, error) {
		return Deploy(t.Context(), tx, root, servers.ID, To{All: true}, f.now)
	})
	if value, _ := f.polling("two"); value != "15m" || f.wants() != "*" {
		t.Errorf("after deploying to all, device two polls every %v", value)
	}
	f.change(func(tx *sitedb.Tx) (ClientSetting, error) {
		return Edit(t.Context(), tx, root, servers.ID, EditSetting{Set: map[string]any{"client_policy.polling_interval": "20m"}}, f.now)
	})
	if value, _ := f.polling("two"); value != "20m" || f.wants() != "*" {
		t.Errorf("after the change device two polls every %v", value)
	}
	f.change(func(tx *sitedb.Tx) (ClientSetting, error) {
		return Withdraw(t.Context(), tx, root, servers.ID, To{All: true}, f.now)
	})
	if value, _ := f.polling("two"); value != "5m" {
		t.Errorf("after withdrawing from all, device two polls every %v", value)
	}
	if value, _ := f.polling("one"); value != "20m" {
		t.Errorf("device one, which was named, polls every %v", value)
	}
	f.write(func(tx *sitedb.Tx) error { return DeleteSetting(t.Context(), tx, root, servers.ID, f.now) })
	if value, _ := f.polling("one"); value != "5m" {
		t.Errorf("after deleting, device one polls every %v", value)
	}
}

func TestDefaultSettingsApplyToEverybody(t *testing.T) {
	t.Parallel()
	f := setupCompiler(t)
	f.device("one")
	f.wants()
	var defaults ClientSetting
	for _, c := range f.list() {
		if c.IsDefault() {
			defaults = c
		}
	}
	f.change(func(tx *sitedb.Tx) (ClientSetting, error) {
		return Edit(t.Context(), tx, root, defaults.ID, EditSetting{Set: map[string]any{"client_policy.polling_interval": "10m"}}, f.now)
	})
	if value, from := f.polling("one"); value != "10m" || from != DefaultName || f.wants() != "*" {
		t.Errorf("the device polls every %v, from %q", value, from)
	}
	name := "Mine"
	for what, try := range map[string]func(tx *sitedb.Tx) error{
		"deleted": func(tx *sitedb.Tx) error { return DeleteSetting(t.Context(), tx, root, defaults.ID, f.now) },
		"moved": func(tx *sitedb.Tx) error {
			_, err := Move(t.Context(), tx, root, defaults.ID, 1, f.now)
			return err
		},
		"withdrawn": func(tx *sitedb.Tx) error {
			_, err := Withdraw(t.Context(), tx, root, defaults.ID, To{All: true}, f.now)
			return err
		},
		"renamed": func(tx *sitedb.Tx) error {
			_, err := Edit(t.Context(), tx, root, defaults.ID, EditSetting{Name: &name}, f.now)
			return err
		},
	} {
		if err := f.db.Write(t.Context(), try); !fault.Is(err, fault.Conflict) {
			t.Errorf("the default client settings are %s: %v", what, err)
		}
	}
}

func TestOrderMakesRoom(t *testing.T) {
	t.Parallel()
	f := setupCompiler(t)
	for _, name := range []string{"a", "b", "c"} {
		f.create(name, nil)
	}
	byName := map[string]string{}
	for _, c := range f.list() {
		byName[c.Name] = c.ID
	}
	for _, step := range []struct {
		name string
		to   int64
		want string
	}{
		{"c", 1, "c 1, Configuration Manager intervals 2, a 3, b 4, Default client settings 10000"},
		{"c", 3, "Configuration Manager intervals 1, a 2, c 3, b 4, Default client settings 10000"},
		{"a", 99, "Configuration Manager intervals 1, c 2, b 3, a 4, Default client settings 10000"},
	} {
		f.change(func(tx *sitedb.Tx) (ClientSetting, error) {
			return Move(t.Context(), tx, root, byName[step.name], step.to, f.now)
		})
		if got := f.order(); got != step.want {
			t.Errorf("%s to %d gives %s, want %s", step.name, step.to, got, step.want)
		}
	}
}

func TestBadRequestsChangeNothing(t *testing.T) {
	t.Parallel()
	f := setupCompiler(t)
	servers := f.create("Servers", nil)
	before := f.order()
	empty, long := "", strings.Repeat("x", 101)
	analyst := access.Caller{Name: "ann", Roles: []string{access.ReadOnlyAnalyst}}
	for what, try := range map[string]struct {
		kind fault.Kind
		do   func(tx *sitedb.Tx) error
	}{
		"a taken name": {fault.Conflict, func(tx *sitedb.Tx) error {
			_, err := CreateSetting(t.Context(), tx, root, NewSetting{Name: "Servers"}, f.now)
			return err
		}},
		"no name": {fault.Invalid, func(tx *sitedb.Tx) error {
			_, err := Edit(t.Context(), tx, root, servers.ID, EditSetting{Name: &empty}, f.now)
			return err
		}},
		"a long name": {fault.Invalid, func(tx *sitedb.Tx) error {
			_, err := Edit(t.Context(), tx, root, servers.ID, EditSetting{Name: &long}, f.now)
			return err
		}},
		"an unknown key to unset": {fault.Invalid, func(tx *sitedb.Tx) error {
			_, err := Edit(t.Context(), tx, root, servers.ID, EditSetting{Unset: []string{"x"}}, f.now)
			return err
		}},
		"an unknown object": {fault.NotFound, func(tx *sitedb.Tx) error {
			_, err := Move(t.Context(), tx, root, "nothing", 1, f.now)
			return err
		}},
		"order 0": {fault.Invalid, func(tx *sitedb.Tx) error {
			_, err := Move(t.Context(), tx, root, servers.ID, 0, f.now)
			return err
		}},
		"an unknown device": {fault.NotFound, func(tx *sitedb.Tx) error {
			_, err := Deploy(t.Context(), tx, root, servers.ID, To{Devices: []string{"nothing"}}, f.now)
			return err
		}},
		"nobody": {fault.Invalid, func(tx *sitedb.Tx) error {
			_, err := Deploy(t.Context(), tx, root, servers.ID, To{}, f.now)
			return err
		}},
		"all and some": {fault.Invalid, func(tx *sitedb.Tx) error {
			_, err := Deploy(t.Context(), tx, root, servers.ID, To{All: true, Devices: []string{"x"}}, f.now)
			return err
		}},
		"no permission": {fault.Denied, func(tx *sitedb.Tx) error {
			_, err := CreateSetting(t.Context(), tx, analyst, NewSetting{Name: "Mine"}, f.now)
			return err
		}},
		"nobody at all": {fault.Denied, func(tx *sitedb.Tx) error {
			return DeleteSetting(t.Context(), tx, access.Caller{}, servers.ID, f.now)
		}},
	} {
		if err := f.db.Write(t.Context(), try.do); !fault.Is(err, try.kind) {
			t.Errorf("%s: %v, want %s", what, err, try.kind)
		}
	}
	if f.order() != before || f.wants() != "" {
		t.Error("something changed")
	}
}
