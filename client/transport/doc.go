// Package transport carries requests to a management point: it chooses one,
// keeps it while it serves, and goes to another within seconds when it does not.
// It checks who answers (a site system of the site, by certificate, whatever
// name it was reached by), bounds everything that it reads, and says in one
// place (judge) what a refusal asks of the client.
//
// A management point may belong to a thief. What it answers is therefore
// believed as little as possible: statements are checked by those who asked for
// them, a wait is bounded, and whatever would make the client change its
// identity is limited by the client.
//
// A client has one connection, kept alive between polls, over HTTP/1.1. The
// package starts no goroutine of its own.
package transport
