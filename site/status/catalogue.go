package status

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"mainstay/wire"
)

// Entry describes one kind of status message.
type Entry struct {
	// ID is what a message carries. Those of clients begin at 10800, those of
	// the site lie below.
	ID int
	// Severity is one of wire's; a client says its own.
	Severity string
	// Component is who reports it, where it is always the same one.
	Component string
	// Text holds %1, %2 ... for the insertions.
	Text string
}

// Messages of the site's components; those of clients are in wire.
const (
	// ComponentStarted: nothing.
	ComponentStarted = 500
	// ComponentStopped: nothing.
	ComponentStopped = 501
	// ComponentFailed: why.
	ComponentFailed = 502
	// ComponentRecovered: how long it failed.
	ComponentRecovered = 503
	// SiteServerActive: site system, term.
	SiteServerActive = 600
	// SiteServerReplaced: site system, term.
	SiteServerReplaced = 601
	// SiteBackedUp: file.
	SiteBackedUp = 650
	// SiteRestored: site, time of the backup.
	SiteRestored = 651
	// SystemJoined: site system.
	SystemJoined = 660
	// CertificateRenewed: whose, new end.
	CertificateRenewed = 670
	// CertificateNotRenewed: whose, end, why.
	CertificateNotRenewed = 671
	// SigningKeyRotated: purpose, version.
	SigningKeyRotated = 672
	// DeviceRegistered: name, by what.
	DeviceRegistered = 3000
	// DeviceRegisteredAgain: name.
	DeviceRegisteredAgain = 3001
	// RegistrationWaits: name, source.
	RegistrationWaits = 3002
	// RegistrationRefused: name, source, why.
	RegistrationRefused = 3003
	// DeviceCopied: name of the copy, identifier of the original.
	DeviceCopied = 3004
	// IdentityConflict: device.
	IdentityConflict = 3005
	// DeviceBlocked: name, by whom, why.
	DeviceBlocked = 3006
	// DeviceUnblocked: name, by whom.
	DeviceUnblocked = 3007
	// DeviceDeleted: name, by whom.
	DeviceDeleted = 3008
	// MessageBuried: device, reason.
	MessageBuried = 3100
	// InventoryAskedAgain: device, why.
	InventoryAskedAgain = 3200
	// ManagementPointQueueFull: site system.
	ManagementPointQueueFull = 5400
)

// Catalogue returns every entry, by identifier.
func Catalogue() []Entry {
	entries := siteEntries()
	for _, e := range wire.ClientStatusEntries() {
		entries = append(entries, Entry{e.ID, e.Severity, e.Component, e.Text})
	}
	return entries
}

func siteEntries() []Entry {
	return []Entry{
		{ComponentStarted, wire.Informational, "", "This component started."},
		{ComponentStopped, wire.Informational, "", "This component stopped."},
		{ComponentFailed, wire.Error, "", "This component failed: %1. It is tried again until it works."},
		{ComponentRecovered, wire.Informational, "", "This component works again after it had failed for %1."},
		{SiteServerActive, wire.Informational, "site server", "%1 is the active site server in term %2."},
		{SiteServerReplaced, wire.Warning, "site server", "%1 is no longer the active site server: term %2 is over."},
		{SiteBackedUp, wire.Informational, "backup", "The site was backed up to %1."},
		{SiteRestored, wire.Warning, "backup", "Site %1 was restored from a backup made at %2."},
		{SystemJoined, wire.Informational, "site server", "%1 joined the site."},
		{CertificateRenewed, wire.Informational, "trust", "The certificate of %1 was renewed until %2."},
		{CertificateNotRenewed, wire.Error, "trust", "The certificate of %1 ends at %2 and could not be renewed: %3."},
		{SigningKeyRotated, wire.Informational, "trust", "The %1 key was replaced; its version is now %2."},
		{DeviceRegistered, wire.Informational, "registration", "%1 registered by %2."},
		{DeviceRegisteredAgain, wire.Informational, "registration", "%1 registered again and keeps its record: the hardware is the same."},
		{RegistrationWaits, wire.Warning, "registration", "%1 asks from %2 to be registered and waits for approval."},
		{RegistrationRefused, wire.Warning, "registration", "The registration of %1 from %2 was refused: %3."},
		{DeviceCopied, wire.Warning, "registration", "%1 is a copy of device %2 on other hardware and got a record of its own."},
		{IdentityConflict, wire.Warning, "management point", "Two running clients use the identity of device %1. The one that is not the newest was told to register as another."},
		{DeviceBlocked, wire.Warning, "device", "%1 was blocked by %2: %3."},
		{DeviceUnblocked, wire.Informational, "device", "%1 was unblocked by %2."},
		{DeviceDeleted, wire.Informational, "device", "%1 was deleted by %2."},
		{MessageBuried, wire.Warning, "dispatcher", "A message of device %1 could not be processed and is among the dead letters: %2."},
		{InventoryAskedAgain, wire.Informational, "inventory", "A whole inventory was asked of device %1: %2."},
		{ManagementPointQueueFull, wire.Warning, "management point", "%1 has more uploads waiting than it may hold and sends clients away for a while."},
	}
}

// Find finds an entry of the catalogue.
func Find(id int) (Entry, bool) {
	entries := Catalogue()
	i, found := slices.BinarySearchFunc(entries, id, func(e Entry, id int) int { return e.ID - id })
	if !found {
		return Entry{}, false
	}
	return entries[i], true
}

// Render is the text of a message. A message that the catalogue does not know,
// which a newer client may send, shows its identifier and its insertions.
func Render(id int, insertions []string) string {
	entry, ok := Find(id)
	if !ok {
		return strings.TrimSuffix(fmt.Sprintf("Message %d: %s", id, strings.Join(insertions, "; ")), ": ")
	}
	return fill(entry.Text, insertions)
}

// fill puts the insertions into a text; what is missing stays empty.
func fill(text string, insertions []string) string {
	var b strings.Builder
	for {
		before, after, found := strings.Cut(text, "%")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		digits := len(after) - len(strings.TrimLeft(after, "0123456789"))
		n, err := strconv.Atoi(after[:digits])
		switch {
		case err != nil:
			b.WriteByte('%')
		case n >= 1 && n <= len(insertions):
			b.WriteString(insertions[n-1])
		}
		text = after[digits:]
	}
}
