// Package inventory reads what is so on this machine: hardware, operating
// system, software, accounts, network, files that are asked for. It turns that
// into rows (see wire.InventoryClasses), compares them with what was reported
// before, and says when something has changed that it can see at once.
//
// It starts no program and writes nothing. It reads /proc, /sys, a few files
// under /etc and /var, the package databases, and asks the kernel by netlink
// and systemd by D-Bus. It must not know where a report goes, when it is due
// or what a site makes of it.
//
// # From the machine to a report
//
//   - A Collector runs its sources one after another. Each has a deadline; one
//     that fails, panics or hangs costs its own classes and no others.
//   - A Snapshot holds the rows of all classes that could be read, and names
//     the ones that could not.
//   - A Baseline is what the site will have when it has processed everything
//     that the client has queued: the hashes of the rows, nothing more, so that
//     little memory and disk is needed between two collections. It is the
//     caller's to keep, and to keep together with the queued report.
//   - Diff makes a delta from a Baseline and a Snapshot, Full a whole report;
//     both return the next Baseline.
//
// # Quiet
//
// An inventory that nobody has changed must have the hash of yesterday. What
// moves by itself is left out or held: a value such as free space is rounded,
// and stays as reported until it has clearly left its step. The held values are
// part of the Baseline.
//
// # Failure
//
// A source that could not read leaves its classes unread: a delta then keeps
// their rows as they were. What a machine does not have (no firmware tables, no
// rpm) is no failure: there are no rows. A file that the client may not read
// without being root makes a column absent.
package inventory
