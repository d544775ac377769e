// Package identity holds who this machine is to its site: the device's key,
// its certificate and identifier, the site's root that everything is checked
// against, and the hardware that the identity belongs to. It creates, loads and
// replaces that as a whole: one file, replaced by rename, so that a crash at
// any moment leaves the old identity or the new one.
//
//	identity.json  the identity in force (0600)
//	pending.json   a key that waits for its certificate (0600); while it is
//	               there the machine is registering, and the identity in
//	               identity.json, if any, is its proof and no longer in use
//
// A machine that finds an identity which was made on other hardware is a copy
// (see IsCopy): it registers with a new key and tells whose copy it is.
//
// The package talks to nobody and knows no protocol.
package identity
