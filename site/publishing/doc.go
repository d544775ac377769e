// Package publishing tells the world about the site: the signed description
// with its management points, the client's installation packages, and the line
// that installs a client on another machine. It owns the tables site_statement
// and client_package. It does not know devices or policy.
//
// Statements are made again when what they say changes; their version is
// max(last + 1, microseconds of time). A pass is idempotent.
package publishing
