// Package wire holds what clients and sites say to each other: the doors of a
// management point, the messages that travel through them, the statements that
// a site signs and a client obeys. It holds names, shapes and limits and no
// logic, so that a change of the protocol is a change of this folder.
//
// # Form
//
// Requests and answers are JSON over HTTPS with TLS 1.3. Bodies of more than a
// kilobyte may be compressed with zstd (Content-Encoding: zstd). A refusal is a
// problem document (see Problem) with one of the codes below. Unknown members
// of a JSON object are ignored by the receiver in wire bodies, because a newer
// peer may send more; they are never ignored in configuration.
//
// # Version
//
// Version is one integer. A peer says its own in the header HeaderVersion. A
// site serves clients of the two minor releases before it and they serve it.
//
//	1  the first
package wire

// Version is the capability version that this code speaks.
const Version = 1

// OldestVersion is the oldest capability version that this code still serves.
const OldestVersion = 1
