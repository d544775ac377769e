// Package trust is the site's root of trust: the keys with which the site
// issues certificates and signs what clients obey, kept as secrets that only
// site servers can open; the registration tokens; the certificates it issued.
// It owns the tables secret, secret_recipient, authority and
// registration_token. It does not know what is signed or who registers.
//
// # Keys
//
//	root      self-signed, 20 years. Its private key is sealed to the
//	          recovery key alone: no server can open it.
//	issuing   certified by the root; issues certificates of clients and
//	          site systems. Sealed to every site server and the recovery key.
//	signing   certified by the root; signs policy and other statements.
//	          Sealed alike.
//
// The recovery key is printed once by 'mainstay site init' and stored nowhere.
//
// # Failure
//
// A secret that cannot be opened stops the site server with an error that
// names the secret; a stolen database opens nothing.
package trust
