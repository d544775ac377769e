// Package status keeps what has happened and how the parts of the site are:
// status messages of clients and of the site's own components, and the last
// pass of every component. It knows the texts of messages (the catalogue) and
// no feature; features call it.
//
// # Tables and their writers
//
//   - status_message: the Dispatcher inserts what clients sent (Process);
//     components, management points and providers insert their own (Report);
//     Clean deletes.
//   - component: the Reporter of each site system writes its own rows.
//
// # Guarantees
//
// A message of a client is stored once, whatever key it comes under: its
// identifier is unique in the table. Report and Process write in the caller's
// transaction, so a message is there if and only if what it tells is.
//
// # Failure
//
// A Reporter that cannot write logs it and goes on: that a component works does
// not depend on its being reported.
package status
