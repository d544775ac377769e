// Package inventory keeps what is and was on each device: the rows of hardware
// and software inventory that clients report, with the times between which each
// was so. It knows the form of reports and of rows (wire.InventoryReport,
// wire.InventoryClasses), and of a device nothing but its identifier.
//
// # Tables
//
//   - inventory_item: each distinct row of each class once, however many
//     devices have it.
//   - inventory_fact: device has item since ... until; until 0 is now.
//   - inventory_class: per device and class, how many rows and their hash.
//   - inventory_device: the device's short number and the hash of what its
//     client believes the site to have.
//   - inventory_report: when which report came and what the client could not
//     read.
//
// The Dispatcher of the active site server is the single writer (Process); the
// component for maintenance deletes what has ended (Clean).
//
// # Reports
//
// A delta is applied only when its base is what the site has and its result is
// what comes out, judged by hash over every row of the device. Otherwise
// nothing of it is applied, and a full report is asked for (WantFull): the
// message has done what it could. Only the hashes of the classes that a report
// touches are read; the others have theirs in inventory_class. A full report
// that says what is known changes nothing but the time.
//
// A class that a client could not read for a full report is not part of the
// hash (counted is false), and its rows stay as they were: that nobody could
// look does not mean that they are gone. They end when the class is read again
// without them.
//
// # Time
//
// A fact begins and ends when the report was collected, by the client's clock,
// but never after the site received it and always after the report before. So
// the history of a device is in order whatever its clock does.
package inventory
