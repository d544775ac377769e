// Package machines makes plausible machines out of a seed: who they are, what
// hardware, system and software they have, and how that changes. The same seed
// and number always give the same machine.
//
// As in a real fleet machines are installed from a few dozen images, so most
// rows of their inventories stand on many machines, and the rest (serial
// numbers, addresses, what was installed or updated by itself) on one.
//
// It makes rows of wire's classes and knows neither a site nor a client; how a
// row is encoded and hashed is left to lib/rowhash, as for real machines.
package machines
