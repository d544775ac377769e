package policy

import (
	"fmt"

	"mainstay/wire"
)

// Defaults are the settings in force until a site says otherwise.
func Defaults() wire.ClientSettings {
	const day = 24 * 60 * 60
	return wire.ClientSettings{
		ClientPolicy:   wire.ClientPolicySettings{PollingIntervalSeconds: 300},
		StateMessaging: wire.StateMessagingSettings{ReportIntervalSeconds: 60},
		Heartbeat:      wire.HeartbeatSettings{IntervalSeconds: day, RandomDelaySeconds: 4 * 60 * 60},
		HardwareInventory: wire.HardwareInventorySettings{
			Enabled: true, IntervalSeconds: day, RandomDelaySeconds: 4 * 60 * 60, OnChange: true,
		},
	}
}

// maxFileRules bounds the rules of software inventory that a client follows.
const maxFileRules = 1000

// sane brings settings into the range that a machine can work with, and says
// what it changed. A zero interval means that the site did not say.
func sane(s wire.ClientSettings) (wire.ClientSettings, []string) {
	const month = 31 * 24 * 60 * 60
	d := Defaults()
	var changes []string
	within := func(name string, value *int64, low, high, unset int64) {
		was := *value
		switch {
		case was == 0 && low > 0:
			*value = unset
			return
		case was < low:
			*value = low
		case was > high:
			*value = high
		default:
			return
		}
		changes = append(changes, fmt.Sprintf("%s is %d, used is %d", name, was, *value))
	}
	within("client_policy.polling_interval_seconds", &s.ClientPolicy.PollingIntervalSeconds, 10, month, d.ClientPolicy.PollingIntervalSeconds)
	within("state_messaging.report_interval_seconds", &s.StateMessaging.ReportIntervalSeconds, 1, month, d.StateMessaging.ReportIntervalSeconds)
	within("heartbeat.interval_seconds", &s.Heartbeat.IntervalSeconds, 60, month, d.Heartbeat.IntervalSeconds)
	within("heartbeat.random_delay_seconds", &s.Heartbeat.RandomDelaySeconds, 0, s.Heartbeat.IntervalSeconds, 0)
	within("hardware_inventory.interval_seconds", &s.HardwareInventory.IntervalSeconds, 60, month, d.HardwareInventory.IntervalSeconds)
	within("hardware_inventory.random_delay_seconds", &s.HardwareInventory.RandomDelaySeconds, 0, s.HardwareInventory.IntervalSeconds, 0)
	if n := len(s.SoftwareInventory.Files); n > maxFileRules {
		changes = append(changes, fmt.Sprintf("software_inventory.files has %d rules, used are %d", n, maxFileRules))
		s.SoftwareInventory.Files = s.SoftwareInventory.Files[:maxFileRules]
	}
	return s, changes
}
