// Package bench measures what the product promises, and beside each promise the
// bare limit: the same work done by a few lines on top of the standard library.
// Both are measured in turns within one run, because figures of this machine
// now and of another machine, or of tomorrow, cannot be compared.
//
// Servers are processes of their own, the product's being the released
// programs, so that their processor time is theirs alone. The load comes from
// one generator for both.
//
//   - bare: the bare limits, as a program
//   - point: a management point without a site server, as a program, to measure
//     the path into the database without what empties it at the same time
//   - report: runs all of it and writes docs/performance.md
//
// The benchmarks are run once each: go test -bench . -benchtime 1x ./test/bench
package bench
