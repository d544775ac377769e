// Package sqldb runs SQL statements that are written once, typed, for every
// database engine: parameters are fields of an input struct (@name), columns
// are fields of an output struct, both marked `db:"name"`. It knows no table
// and no engine.
package sqldb
