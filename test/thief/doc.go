// Package thief plays somebody who owns a management point: its keys, its rights
// in the database, its handlers. He sits in front of a real site, in one
// process and in a bubble of time, and real clients meet him. For everything
// that a client obeys there are cases, generated from the lists in wire/: a
// forged one, an older one, one that has ended, one for another device, one of
// another kind. What he makes up for other clients must end in the dead letters.
//
// A statement, policy, message or answer that is added to wire without saying
// here how the thief would use it fails the tests of this package.
//
// What he can do all the same, by design: hold things back until freshness
// ends, drop what he acknowledges, and end identities of machines at most once
// an hour, which costs them a registration and nothing else.
package thief
