package client

import "mainstay/wire"

// statusEntry is a status message of the client: the catalogue of the site
// holds the same identifiers with these texts.
type statusEntry struct {
	id        int
	component string
	severity  string
	// text is the template; %1 to %3 are the insertions.
	text string
}

// The status messages of the client. Identifiers are never used again for
// something else.
var (
	statusRegistered      = statusEntry{10800, "registration", wire.Informational, "The client registered. Reason: %1"}
	statusCopy            = statusEntry{10801, "registration", wire.Warning, "This machine is a copy of device %1 and registered as a device of its own."}
	statusIdentityChanged = statusEntry{10802, "registration", wire.Warning, "The client gave up its identity as device %1 and registered again. Reason: %2"}
	statusRenewed         = statusEntry{10803, "registration", wire.Informational, "The client's certificate was renewed and ends at %1."}
	statusPinned          = statusEntry{10804, "registration", wire.Warning, "The client was given neither a token nor a root key and trusted the root certificate of its first contact (SHA-256 %1)."}

	statusPolicyForged   = statusEntry{10810, "policy", wire.Error, "A management point answered with policy that the site did not make for this device: %1"}
	statusPolicyOutdated = statusEntry{10811, "policy", wire.Warning, "No management point could show that its policy is the newest: %1"}
	statusPolicyUnusable = statusEntry{10812, "policy", wire.Error, "The site's policy cannot be used, the client goes on with the last good one: %1"}
	statusPolicyUnknown  = statusEntry{10813, "policy", wire.Warning, "A policy of kind %2 is left alone: %1"}
	statusPolicySettings = statusEntry{10814, "policy", wire.Warning, "A client setting is outside of what is possible: %1"}
	statusPolicyDamaged  = statusEntry{10815, "policy", wire.Warning, "The policy on the client's disk was damaged and is fetched again: %1"}

	statusOutboxDamaged = statusEntry{10820, "outbox", wire.Error, "The client's outbox was damaged on disk: messages were lost in %1 places."}
	statusOutboxTorn    = statusEntry{10821, "outbox", wire.Informational, "The client was stopped while it wrote to its outbox; %1 unfinished bytes were removed."}
	statusMessageGiven  = statusEntry{10822, "outbox", wire.Error, "A message of type %1 (%2) was given up, because it can never be sent: %3"}

	statusInventoryFailed = statusEntry{10830, "inventory", wire.Warning, "Hardware inventory could not be queued: %1"}
	statusStateDamaged    = statusEntry{10840, "client", wire.Warning, "The client's small state on disk was damaged and was begun anew."}
)
