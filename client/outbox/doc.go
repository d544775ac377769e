// Package outbox is the queue on disk between what happens on a machine and
// the site that must hear of it. What Put has accepted is kept until
// Acknowledge says that a management point has it committed in the site
// database, through kill -9 and power cuts.
//
// # Keys
//
// Each Open draws an incarnation, a random number; a message is born with the
// key (running incarnation, number counted from 1) and keeps it, whatever run
// sends it in the end. Only NewIncarnation gives new keys, to all messages that
// wait; their identifiers stay. Numbers may have gaps, never repeats.
//
// # On disk
//
// A folder of segments, 0000000001.outbox and so on, written at the end only.
// A segment is a row of records:
//
//	magic   4 bytes  F5 'M' 'O' 01; no valid UTF-8, so no message body holds it
//	length  4 bytes  of the payload, little endian
//	crc     4 bytes  CRC-32C of length and payload
//	payload          kind (1 byte) and fields, see record.go
//
// Besides messages there are records of what happened to them: acknowledged,
// given up, keyed anew. Replaying all segments in order gives the queue. Every
// message also has a sequence number, unique in the folder, to which those
// records refer; a message's number is its sequence number less the base of
// its incarnation.
//
// # What is synced, and in which order
//
//   - Put returns after its record is written and the segment synced, and, for
//     a new segment, after the folder is synced. Puts that wait together share
//     one write and one sync.
//   - An acknowledgement is written with the next record. Lost, it causes a
//     repeat, which the site recognizes. Next syncs it before its upload says
//     Acknowledged, so that no upload ever says less than one before it.
//   - NewIncarnation and Discard are one record each, synced before they
//     return: after a crash all messages have the new key or none.
//   - A segment is removed when nothing in it waits, oldest first, and the
//     folder is synced after each removal: a segment never outlives a later
//     one that says what became of its messages.
//   - When room is needed the segments are rewritten without what is done,
//     oldest first: new file, sync, rename over the old one, sync of the folder.
//
// A segment that an earlier run wrote is never appended to. A torn end, which a
// crash leaves, is cut off and told by Damage; damage elsewhere costs the
// records that it touches and no other, because reading goes on at the next
// magic number.
package outbox
