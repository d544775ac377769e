// Package siteserver is the role that decides: it holds the site's keys and
// runs the components, each of which there is one of in a site. Components run
// while this server holds the term, and each of their writing transactions
// checks it. Between two of its passes a component keeps nothing that the
// database does not have, so a server that is killed goes on where it was.
package siteserver
