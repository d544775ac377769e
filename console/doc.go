// Package console holds the web console as files, so that the mainstay program
// carries it. It is built by npm from this folder's TypeScript into dist; with
// the build tag console the files are embedded, without it a program can be
// built where Node is missing and has no console.
//
// The console talks to the site through the administration API alone, as the
// command does. This package knows neither: it only has files, and whoever
// serves them decides how (role/provider does).
package console
