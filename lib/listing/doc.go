// Package listing answers lists from tables: filtered, sorted and in pages,
// the same way for every list of an API. A table names its columns; what is
// not named cannot be asked for. It knows no feature and no protocol.
//
// # Filter
//
// A filter is a list of conditions that must all hold:
//
//	name~web and blocked=false and heartbeat_at<7d
//	severity=error,warning and time>=2026-01-31
//
// A condition is a column, an operator and a value. Operators are = and !=,
// < <= > >= for numbers, times and text, and ~ and !~ for "contains" without
// regard to case. After = != ~ !~ several values may stand with commas between
// them: any of them (none of them, for the negated ones). A value with spaces,
// commas or quotation marks stands in quotation marks, with \" and \\ inside.
//
// A time is written as 2026-01-31, 2026-01-31T12:00:00Z or as an age such as
// 90s, 15m, 24h, 7d, which means that long ago. A column that may be empty is
// compared with none: blocked_at!=none.
//
// Values reach the database as parameters, never as text.
//
// # Pages
//
// A page ends with a cursor that says where the next one begins: after a value
// of the sorted column and a key. Rows that come and go meanwhile neither
// repeat nor hide others.
package listing
