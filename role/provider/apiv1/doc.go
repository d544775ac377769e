// Package apiv1 is version 1 of the administration API: the operations, their
// types and permissions, one file for each noun, thin over the slices of the
// site. The OpenAPI document is derived from it and committed beside it
// (openapi.json); console and command are generated from that document. It
// does not know how callers are identified (the provider puts them into the
// context), nor sockets, TLS and cookies but for the one of the session.
//
// # Rules that hold for every operation
//
//   - It names the permission that it needs. One without is refused.
//   - Every error is application/problem+json with a stable code; the text of
//     an error that was not made for users never leaves the process.
//   - Times are RFC 3339 in UTC, to the microsecond. What is not known or does
//     not apply is absent.
//   - Lists take filter, sort, cursor, limit and count (see lib/listing), and
//     answer items, next and total.
//   - A change and its audit entry are one transaction; a refused change is in
//     the audit trail too.
package apiv1
