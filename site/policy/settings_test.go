package policy

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"mainstay/lib/fault"
	"mainstay/wire"
)

func values(t *testing.T, in map[string]any) Values {
	t.Helper()
	v, err := ParseValues(in)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestDefaultsAreOurs(t *testing.T) {
	t.Parallel()
	got, origins := Resultant(Layer{}, nil)
	want := wire.ClientSettings{
		ClientPolicy:      wire.ClientPolicySettings{PollingIntervalSeconds: 300},
		StateMessaging:    wire.StateMessagingSettings{ReportIntervalSeconds: 60},
		Heartbeat:         wire.HeartbeatSettings{IntervalSeconds: 86400, RandomDelaySeconds: 1800},
		HardwareInventory: wire.HardwareInventorySettings{Enabled: true, IntervalSeconds: 86400, RandomDelaySeconds: 1800, OnChange: true, Disabled: []string{}},
		SoftwareInventory: wire.SoftwareInventorySettings{Files: []wire.FileRule{}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if len(origins) != len(Definitions()) {
		t.Errorf("%d origins of %d settings", len(origins), len(Definitions()))
	}
	for _, o := range origins {
		if len(o.From) != 0 {
			t.Errorf("%s comes from %v, want nobody", o.Key, o.From)
		}
	}
}

// TestEveryDefinitionHolds: each default and each of the original's values is
// what the setting itself accepts, in the form in which it is kept, and each
// setting changes something on the client.
func TestEveryDefinitionHolds(t *testing.T) {
	t.Parallel()
	for _, d := range Definitions() {
		for _, value := range []any{d.Default, d.Original} {
			if value == nil {
				continue
			}
			kept, err := d.parse(value)
			if err != nil || !reflect.DeepEqual(kept, value) {
				t.Errorf("%s: %v is kept as %v (%v)", d.Key, value, kept, err)
			}
		}
		other := map[SettingType]any{SettingBool: d.Default != true, SettingDuration: FormatDuration(d.Max)}[d.Type]
		switch d.Key {
		case "hardware_inventory.disabled_classes":
			other = []string{"Bios"}
		case "software_inventory.files":
			other = []string{"/etc/hosts"}
		}
		changed, _ := Resultant(Layer{Values: values(t, map[string]any{d.Key: other})}, nil)
		if before, _ := Resultant(Layer{}, nil); reflect.DeepEqual(before, changed) {
			t.Errorf("%s = %v changes nothing on the client", d.Key, other)
		}
	}
}

func TestLowestOrderWinsSettingBySetting(t *testing.T) {
	t.Parallel()
	defaults := Layer{Source{"d", DefaultName, DefaultRank}, values(t, map[string]any{
		"client_policy.polling_interval": "30m", "heartbeat.interval": "2d", "hardware_inventory.disabled_classes": []any{"Bios"},
	})}
	second := Layer{Source{"b", "second", 2}, values(t, map[string]any{
		"client_policy.polling_interval": "20m", "state_messaging.report_interval": "5m", "software_inventory.files": []any{"/etc/*.conf", "hash:/bin/*"},
	})}
	first := Layer{Source{"a", "first", 1}, values(t, map[string]any{
		"client_policy.polling_interval": "10m", "software_inventory.files": []any{"/srv/**", "/etc/*.conf"},
	})}
	settings, origins := Resultant(defaults, []Layer{second, first})
	if settings.ClientPolicy.PollingIntervalSeconds != 600 || settings.StateMessaging.ReportIntervalSeconds != 300 || settings.Heartbeat.IntervalSeconds != 2*86400 {
		t.Errorf("got %+v", settings)
	}
	wantFiles := []wire.FileRule{{Pattern: "/etc/*.conf"}, {Pattern: "/srv/**"}, {Pattern: "/bin/*", Hash: true}}
	if !reflect.DeepEqual(settings.SoftwareInventory.Files, wantFiles) {
		t.Errorf("files are %+v, want those of both", settings.SoftwareInventory.Files)
	}
	for key, want := range map[string][2]string{
		"client_policy.polling_interval":      {"first", "second " + DefaultName},
		"state_messaging.report_interval":     {"second", ""},
		"heartbeat.interval":                  {DefaultName, ""},
		"heartbeat.random_delay":              {"", ""},
		"software_inventory.files":            {"first second", ""},
		"hardware_inventory.disabled_classes": {DefaultName, ""},
	} {
		for _, o := range origins {
			if o.Key == key && (names(o.From) != want[0] || names(o.Overridden) != want[1]) {
				t.Errorf("%s comes from %q and overrides %q, want %q", key, names(o.From), names(o.Overridden), want)
			}
		}
	}
}

func names(sources []Source) string {
	texts := []string{}
	for _, s := range sources {
		texts = append(texts, s.Name)
	}
	return strings.Join(texts, " ")
}

func TestBadSettingsAreRefused(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		key   string
		value any
		says  string
	}{
		{"client_policy.poling_interval", "5m", "did you mean client_policy.polling_interval?"},
		{"heartbeat", "1d", "did you mean heartbeat.interval?"},
		{"", "5m", "there is no client setting"},
		{"client_policy.polling_interval", "30s", "between 1m and 1d"},
		{"client_policy.polling_interval", "25h", "between 1m and 1d"},
		{"client_policy.polling_interval", "-5m", "between 1m and 1d"},
		{"client_policy.polling_interval", "soon", "between 1m and 1d"},
		{"client_policy.polling_interval", "90.5s", "between 1m and 1d"},
		{"client_policy.polling_interval", 300.0, "is no duration"},
		{"client_policy.polling_interval", nil, "is no duration"},
		{"hardware_inventory.enabled", "yes", "neither true nor false"},
		{"hardware_inventory.disabled_classes", []any{"Bois"}, "did you mean Bios?"},
		{"hardware_inventory.disabled_classes", "Bios", "no list"},
		{"hardware_inventory.disabled_classes", []any{1.0}, "is no text"},
		{"software_inventory.files", []any{"etc/passwd"}, "no absolute path"},
		{"software_inventory.files", []any{"/etc/../root"}, "goes up"},
		{"software_inventory.files", []any{"/etc/[a"}, "never closed"},
		{"software_inventory.files", []any{"/a\x00b"}, "cannot be printed"},
		{"software_inventory.files", []any{"/" + strings.Repeat("x", 2000)}, "longer than"},
		{"software_inventory.files", make([]any, 201), "is no text"},
	} {
		_, err := ParseValues(map[string]any{test.key: test.value})
		if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s = %v: %v, want one that says %q", test.key, test.value, err, test.says)
		}
	}
}

func TestDurationsHaveOneForm(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{"60s": "1m", "1h": "1h", "90m": "90m", "24h": "1d", "7d": "7d", "168h": "7d", "1h30m": "90m", "0s": "0s", "61s": "61s"} {
		d, err := ParseDuration(in)
		if err != nil || FormatDuration(d) != want {
			t.Errorf("%s is written as %s (%v), want %s", in, FormatDuration(d), err, want)
		}
		if again, err := ParseDuration(want); err != nil || again != d {
			t.Errorf("%s is read as %s", want, again)
		}
	}
	for _, bad := range []string{"", "d", "1.5d", "-1d", "99999999d", "1ms", "x"} {
		if d, err := ParseDuration(bad); err == nil && d >= 0 {
			t.Errorf("%q is read as %s", bad, d)
		}
	}
}

func TestNewerSettingsAreKeptApart(t *testing.T) {
	t.Parallel()
	v, err := decodeValues(`{"heartbeat.interval":"2d","heartbeat.from_the_future":"x"}`)
	if err != nil || len(v) != 1 || v["heartbeat.interval"] != "2d" {
		t.Errorf("got %v, %v", v, err)
	}
}

func FuzzSettings(f *testing.F) {
	f.Add(`{"client_policy.polling_interval":"5m"}`)
	f.Add(`{"software_inventory.files":["/etc/**","hash:/bin/*"],"hardware_inventory.enabled":false}`)
	f.Add(`{"a":null,"heartbeat.interval":{}}`)
	f.Fuzz(func(t *testing.T, text string) {
		var in map[string]any
		if json.Unmarshal([]byte(text), &in) != nil {
			return
		}
		v, err := ParseValues(in)
		if err != nil {
			if !fault.Is(err, fault.Invalid) {
				t.Fatalf("%v", err)
			}
			return
		}
		stored, err := v.encode()
		if err != nil {
			t.Fatal(err)
		}
		again, err := decodeValues(stored)
		if err != nil || fmt.Sprint(again) != fmt.Sprint(v) {
			t.Fatalf("%v is stored as %s and read as %v (%v)", v, stored, again, err)
		}
		settings, _ := Resultant(Layer{Values: v}, nil)
		if settings.ClientPolicy.PollingIntervalSeconds < int64(time.Minute/time.Second) {
			t.Fatalf("%s makes clients ask every %d s", text, settings.ClientPolicy.PollingIntervalSeconds)
		}
	})
}
