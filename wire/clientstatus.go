package wire

// StatusEntry is an entry of the catalogue of status messages.
type StatusEntry struct {
	// ID is what a message carries. An identifier is a contract between
	// versions and is never used again for something else.
	ID        int
	Component string
	Severity  string
	// Text holds %1, %2 ... for the insertions.
	Text string
}

// ClientStatusEntries returns every status message of clients, by identifier;
// those of the site have lower identifiers.
func ClientStatusEntries() []StatusEntry {
	return []StatusEntry{
		{StatusRegistered, "registration", Informational, "The client registered. Reason: %1"},
		{StatusCopy, "registration", Warning, "This machine is a copy of device %1 and registered as a device of its own."},
		{StatusIdentityChanged, "registration", Warning, "The client gave up its identity as device %1 and registered again. Reason: %2"},
		{StatusRenewed, "registration", Informational, "The client's certificate was renewed and ends at %1."},
		{StatusPinned, "registration", Warning, "The client was given neither a token nor a root key and trusted the root certificate of its first contact (SHA-256 %1)."},
		{StatusSiteForged, "client", Error, "A management point answered with a description of the site that the site did not make: %1"},
		{StatusPolicyForged, "policy", Error, "A management point answered with policy that the site did not make for this device: %1"},
		{StatusPolicyOutdated, "policy", Warning, "No management point could show that its policy is the newest: %1"},
		{StatusPolicyUnusable, "policy", Error, "The site's policy cannot be used, the client goes on with the last good one: %1"},
		{StatusPolicyUnknown, "policy", Warning, "A policy of kind %2 is left alone: %1"},
		{StatusPolicySettings, "policy", Warning, "A client setting is outside of what is possible: %1"},
		{StatusPolicyDamaged, "policy", Warning, "The policy on the client's disk was damaged and is fetched again: %1"},
		{StatusOutboxDamaged, "outbox", Error, "The client's outbox was damaged on disk: messages were lost in %1 places."},
		{StatusOutboxTorn, "outbox", Informational, "The client was stopped while it wrote to its outbox; %1 unfinished bytes were removed."},
		{StatusMessageGiven, "outbox", Error, "A message of type %1 (%2) was given up, because it can never be sent: %3"},
		{StatusInventoryFailed, "inventory", Warning, "Hardware inventory could not be queued: %1"},
		{StatusStateDamaged, "client", Warning, "The client's small state on disk was damaged and was begun anew."},
	}
}

// Identifiers of the status messages of clients.
const (
	StatusRegistered      = 10800
	StatusCopy            = 10801
	StatusIdentityChanged = 10802
	StatusRenewed         = 10803
	StatusPinned          = 10804
	StatusSiteForged      = 10805
	StatusPolicyForged    = 10810
	StatusPolicyOutdated  = 10811
	StatusPolicyUnusable  = 10812
	StatusPolicyUnknown   = 10813
	StatusPolicySettings  = 10814
	StatusPolicyDamaged   = 10815
	StatusOutboxDamaged   = 10820
	StatusOutboxTorn      = 10821
	StatusMessageGiven    = 10822
	StatusInventoryFailed = 10830
	StatusStateDamaged    = 10840
)
