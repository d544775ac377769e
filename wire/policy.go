package wire

// PolicyAnswer is the answer (200) of DoorPolicy. Its ETag changes when either
// statement does.
type PolicyAnswer struct {
	Assignments Signed `json:"assignments"`
	Freshness   Signed `json:"freshness"`
}

// PolicyAssignments says which policy a device has: the whole list, so that
// what is not in it is no longer assigned.
type PolicyAssignments struct {
	Statement
	Assignments []Assignment `json:"assignments"`
}

// Assignment is one policy of a device. The body is fetched by its hash.
type Assignment struct {
	// Kind is one of the policy kinds; a client leaves kinds alone that it
	// does not know and reports them.
	Kind string `json:"kind"`
	// ID identifies the policy within its kind.
	ID string `json:"id"`
	// Hash is the SHA-256 of the body, hex; Size its bytes.
	Hash string `json:"hash"`
	Size int64  `json:"size"`
}

// PolicyFreshness says that an assignment list is still the newest. While a
// client has a current one it knows that nobody holds policy back from it.
type PolicyFreshness struct {
	Statement
	// PolicyVersion is the version of the assignments that were newest when
	// this was issued.
	PolicyVersion int64 `json:"policy_version"`
}

// FreshnessDays is how long a freshness statement lives (design, section 7).
const FreshnessDays = 45

// Policy kinds.
const (
	// PolicyClientSettings: the body is ClientSettings.
	PolicyClientSettings = "client-settings"
	// PolicyResync: the body is Resync.
	PolicyResync = "resync"
)

// PolicyKinds returns every policy kind with an empty body.
func PolicyKinds() map[string]func() any {
	return map[string]func() any{
		PolicyClientSettings: func() any { return new(ClientSettings) },
		PolicyResync:         func() any { return new(Resync) },
	}
}

// Resync asks a client for reports in full. A client acts once for each
// number, after a random delay of up to SpreadSeconds.
type Resync struct {
	// HardwareInventory is a number that grows with each request.
	HardwareInventory int64 `json:"hardware_inventory"`
	SpreadSeconds     int64 `json:"spread_seconds"`
}

// ClientSettings are the settings in force on one device: the resultant set of
// the default and all custom client settings. Durations are in seconds.
type ClientSettings struct {
	ClientPolicy      ClientPolicySettings      `json:"client_policy"`
	StateMessaging    StateMessagingSettings    `json:"state_messaging"`
	Heartbeat         HeartbeatSettings         `json:"heartbeat"`
	HardwareInventory HardwareInventorySettings `json:"hardware_inventory"`
	SoftwareInventory SoftwareInventorySettings `json:"software_inventory"`
}

// ClientPolicySettings govern policy polling.
type ClientPolicySettings struct {
	PollingIntervalSeconds int64 `json:"polling_interval_seconds"`
}

// StateMessagingSettings govern how often waiting messages are sent.
type StateMessagingSettings struct {
	ReportIntervalSeconds int64 `json:"report_interval_seconds"`
}

// HeartbeatSettings govern the heartbeat discovery record.
type HeartbeatSettings struct {
	IntervalSeconds    int64 `json:"interval_seconds"`
	RandomDelaySeconds int64 `json:"random_delay_seconds"`
}

// HardwareInventorySettings govern hardware inventory.
type HardwareInventorySettings struct {
	Enabled            bool  `json:"enabled"`
	IntervalSeconds    int64 `json:"interval_seconds"`
	RandomDelaySeconds int64 `json:"random_delay_seconds"`
	// OnChange: report a change that the client can see at once.
	OnChange bool `json:"on_change"`
	// Disabled names classes that are not collected.
	Disabled []string `json:"disabled_classes,omitempty"`
}

// SoftwareInventorySettings govern the inventory of files. Rules of several
// client settings are merged, never overridden.
type SoftwareInventorySettings struct {
	Files []FileRule `json:"files,omitempty"`
}

// FileRule asks for files by path pattern.
type FileRule struct {
	// Pattern is an absolute path with *, ? and ** (any folders).
	Pattern string `json:"pattern"`
	// Hash asks for the SHA-256 of each file.
	Hash bool `json:"hash,omitempty"`
}
