// Package version tells which build of Mainstay this is.
//
// The values are written by the linker (see "build" in the Makefile) and never
// change afterwards. They are the only package variables that hold a fact of
// the product; everything else is passed as an argument.
//
// The package knows nothing of protocols: what two programs can say to each
// other is decided by the capability version in wire, never by the name of a
// release.
package version

import (
	"fmt"
	"strconv"
	"time"
)

// Version is the release in the form MAJOR.MINOR.PATCH, or for a build between
// two releases MAJOR.MINOR.PATCH-COUNT-gCOMMIT, with "-dirty" at the end where
// the sources were changed after the commit. A program that was not linked by
// the Makefile (a test, "go run") is "devel".
var Version = "devel"

// Commit is the full hash of the commit that was built, or empty where it is
// not known.
var Commit = ""

// builtAt is the time of that commit in seconds since 1970 UTC, as decimal
// digits, because the linker can set nothing but strings.
var builtAt = ""

// BuiltAt is the time of the commit that was built, in UTC, with a resolution
// of one second. It is the commit's time and not the compiler's, so that equal
// sources give equal programs. It is a lower bound of the present: a client
// whose clock shows less than this knows that its clock is wrong.
//
// It is the zero time where it is not known, which is a lower bound too.
func BuiltAt() time.Time {
	seconds, err := strconv.ParseInt(builtAt, 10, 64)
	if err != nil || seconds <= 0 {
		return time.Time{}
	}
	return time.Unix(seconds, 0).UTC()
}

// String is one line for people: version, commit and time of the commit, each
// where it is known.
func String() string {
	line := Version
	if Commit != "" {
		line += fmt.Sprintf(" (commit %.12s", Commit)
		if at := BuiltAt(); !at.IsZero() {
			line += ", " + at.Format(time.DateTime) + " UTC"
		}
		line += ")"
	}
	return line
}
