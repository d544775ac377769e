// Package managementpoint is the role that clients talk to: it tells them what
// the site is, takes their registrations and messages, and serves them policy
// that the site has signed. It believes nobody: what clients say is checked by
// the site server, and what it serves is checked by clients, so that whoever
// owns a management point can delay and drop, and neither command a client nor
// speak for one.
//
// It reads and inserts; it opens no secret. With the site database away it
// answers 'come back' and clients keep what they have.
package managementpoint
