// Package sitedb is the site database: it opens it, brings its schema up to
// date, runs transactions, fences those of site-server components by the term,
// and tells waiting readers that something was committed. It owns the tables
// schema versions, term and site_server_mode; it knows no feature.
//
// # Engine
//
// SQLite, for one machine, opened once per process: one writing connection,
// several reading ones, WAL, synchronous=FULL, so that a committed
// transaction survives a power cut. Statements are written for both engines
// of the design (see lib/sqldb); the differences of SQLite stay in this
// package.
//
// # Term
//
// The term (number, holder, random value) says which site server acts. Each
// transaction of a component checks it inside itself (Fenced), so a server
// that was replaced cannot write, however late it wakes.
//
// # Failure
//
// A failed transaction leaves nothing. A database that is away or full is an
// Unavailable error; a term that is over is a Stale one.
package sitedb
