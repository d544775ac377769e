// Package policy gets a machine's policy, checks it, keeps it and gives it out.
//
// What a management point answers is two statements signed by the site: which
// policies this device has, and until when that list is known to be the newest.
// Both are accepted together, or neither: they must be signed beneath the
// site's root, be addressed to this device, be no older than what was accepted
// before, and the second must not have ended. Then bodies are fetched by hash.
// Only when everything is on disk is the new set obeyed.
//
// Expiry ends acceptance, never obedience: the last good set is obeyed without
// limit, and its age is told. Before the first set the built-in settings hold.
//
//	policy/current.json      both statements as they came, and for whom
//	policy/bodies/<sha256>   bodies, by hash
//
// current.json is replaced by rename after all bodies are synced, and bodies
// that it does not name are removed after that: a crash at any moment leaves
// the old set whole or the new one. Everything is checked again when it is
// loaded.
package policy
