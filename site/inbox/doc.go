// Package inbox carries messages of clients from the door of a management point
// to the tables of the features: it stores uploads in groups, answers only
// after the commit, and gives each message to its feature exactly once. It
// knows what an upload looks like and nothing of what a message means.
//
// # Tables and their writers
//
//   - inbox: Receivers insert, the Dispatcher deletes.
//   - inbox_said, inbox_running, inbox_group: Receivers, of any number of
//     management points; Clean removes what has had its time.
//   - inbox_processed: the Dispatcher.
//   - dead_letter: the Dispatcher; Replay marks what an administrator has
//     replayed.
//
// # At least once, counted once
//
// The key of a message is (device, incarnation, number). The Dispatcher keeps,
// for each (device, incarnation), the number through which it has processed;
// it moves in the same fenced transaction that applies or buries a message and
// deletes its row of the inbox. Whatever comes again lies at or below it and is
// dropped without effect. A number that is missing below was given up by the
// client and is never waited for.
//
// An upload says how far the client has nothing left to send. When that is less
// than it said before of the incarnation that runs, the machine was set back
// together with its memory: new
// messages would get old numbers and be lost. So nothing of the upload is
// stored, and the client is told to draw a new incarnation. That alone leaves
// a gap: a machine set back to before an upload whose acknowledgement it had
// not repeated yet says the same as before. So the Dispatcher also remembers
// the identifiers of the messages above what the client has said; another
// message with a number of theirs is a new one and is applied. What remains are
// messages of a memory that was set back which it never sent itself: its next
// run sends them as left over, and when the same numbers of the other memory
// are acknowledged they cannot be told from repeats of an older disk.
//
// Each start of a client is an incarnation too. They come one after the other:
// A, B, C. When A speaks again after B did, two copies of one machine run with
// one identity. Nothing of the upload is stored, the copy that is told so makes
// an identity of its own, and the site is told once. Only what runs before A
// have left is stored, before A is told: a client told so gives up whatever it
// cannot tell from the other copy's.
//
// # Groups
//
// A Receiver commits all that waits in one transaction, bounded by count and
// bytes, with no delay of its own: while one group is being committed the next
// one gathers. Each group writes a row of its own, even when it stores nothing,
// because only a commit that writes waits for the standby. Rows go in in the
// order of their keys. A group that fails for its data is split until the bad
// upload is alone.
//
// # What is believed
//
// A management point has checked who sends, but it may be a thief's. The
// Dispatcher believes only the signature of the device's key over the header,
// and the header's hash of the body. What is forged goes to the dead letters
// whole and moves nothing of the device it names.
//
// # Failure
//
// With no database, Submit fails as Unavailable and clients keep their
// messages. With no active site server the inbox grows. A transaction of the
// Dispatcher that fails leaves the rows where they were; the next pass takes
// them again. A message that its feature refuses, or that makes it fail, is
// buried alone with the reason, and what stands around it goes on.
package inbox
