package wire

import "encoding/json"

// NeedsRoot stands in a text column that only root may read, when the client
// does not run as root.
const NeedsRoot = "needs root"

// InventoryReport is the body of TypeHardwareInventory: what is so on a
// machine, or what has changed since the last report that the client queued.
//
// # Hashes
//
// Reports are compared by hash, so both sides must agree on every byte. The
// code that both use is lib/rowhash; these are the rules.
//
//   - A row is a JSON object in canonical form: keys sorted by their UTF-8
//     bytes, each key once, no white space, no number but an integer from -2^63
//     to 2^64-1 without exponent or leading zero, strings in UTF-8 with only
//     the quotation mark, the backslash and control characters escaped (short
//     form where JSON has one, else \u00xx in lower case). U+0000 is refused.
//     Nesting goes 16 deep at most, a row has 64 KiB at most.
//   - The hash of a row is the first 16 bytes of the SHA-256 of the name of its
//     class, a line feed and the row; hex in JSON (32 digits).
//   - The hash of a class is the SHA-256 of the hashes of its rows, 16 bytes
//     each, sorted and put together. A class is a set: a row stands in it once.
//   - The hash of an inventory is the SHA-256 of the lines "class=hash\n" (hash
//     in hex), sorted by class; classes without rows are left out.
//
// # Classes that could not be read
//
// Unread names them. In a delta their rows stay as they are, and Result counts
// them so. A full report holds no row of them and Result counts none; this says
// that the client does not know the rows, never that they are gone.
type InventoryReport struct {
	// Kind is InventoryFull or InventoryDelta.
	Kind string `json:"kind"`
	// Base is the hash of the inventory that a delta starts from; empty when
	// the report is full. A site that has another asks for a full one.
	Base string `json:"base,omitempty"`
	// Result is the hash of the inventory after this report.
	Result string `json:"result"`
	// Classes holds what is new and gone, by name of the class. A site keeps
	// the rows of classes that it does not know, because a newer client may
	// send more.
	Classes map[string]InventoryChange `json:"classes"`
	// Unread names the classes that could not be read, sorted.
	Unread []string `json:"unread,omitempty"`
	// CollectedAt is when it was read, by the client's clock, in microseconds
	// since 1970, UTC.
	CollectedAt int64 `json:"collected_at"`
	// Errors says what went wrong, at most MaxInventoryErrors. A class named
	// here and not in Unread was read in part, within a limit.
	Errors []CollectorError `json:"errors,omitempty"`
}

// Kinds of inventory reports.
const (
	InventoryFull  = "full"
	InventoryDelta = "delta"
)

// InventoryChange is what has changed in one class. A row that has another
// value now is removed and added; the key columns of the class tell that it is
// the same thing.
type InventoryChange struct {
	// Add holds new rows in canonical form, in the order of their hashes.
	Add []json.RawMessage `json:"add,omitempty"`
	// Remove holds the hashes of rows that are no more, sorted; never in a
	// full report.
	Remove []string `json:"remove,omitempty"`
}

// CollectorError says that something could not be read.
type CollectorError struct {
	// Class is the name of the class.
	Class string `json:"class"`
	// Text says what and why, at most MaxInventoryErrorText bytes.
	Text string `json:"text"`
}

// Limits of an inventory.
const (
	// MaxInventoryRow is the largest row in bytes, canonical.
	MaxInventoryRow = 64 << 10
	// MaxInventoryDepth is the deepest nesting within a row.
	MaxInventoryDepth = 16
	// MaxInventoryRows is the largest number of rows of one class.
	MaxInventoryRows = 50_000
	// MaxInventoryBytes is the size of all rows of an inventory together, so
	// that a full report fits into one message. 10,000 packages have less.
	MaxInventoryBytes = 4 << 20
	// MaxInventoryClasses is the largest number of classes.
	MaxInventoryClasses = 256
	// MaxInventoryErrors and MaxInventoryErrorText bound what Errors says.
	MaxInventoryErrors    = 100
	MaxInventoryErrorText = 1024
)
