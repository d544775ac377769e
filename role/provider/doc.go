// Package provider is the role through which a site is administered: the only
// door for administrators, commands and consoles. It identifies who calls,
// keeps strangers and floods out, serves the API (package apiv1) and the
// console, and decides nothing itself. It does not know what the API does.
//
// # Two doors
//
//   - The administrators' port, TLS only: a session in a cookie (browsers) or a
//     bearer token (commands). Without one every path of the API answers the
//     same 401, but for signing in.
//   - A Unix socket on the site system: the operating system says who the peer
//     is. Root, the user that the server runs as, and members of the group
//     mainstay are Full administrators named local:USER.
//
// # Before anybody is signed in
//
// Connections are bounded in all and per address, headers and bodies in size
// and time, requests per address in rate, password checks in number at once.
// What is kept per address is bounded too.
//
// # Failure
//
// Providers run on every site system at once and need no site server. While
// the database is away the API answers 503 and the console still loads.
package provider
