// Package acceptance tells the stories of the product with its real programs,
// as a stranger, an administrator and the owner of a machine live them: the
// first minutes, the second machine, what an inventory says against what the
// machine's own tools say, the day after a disaster, and each noun of the
// command. Everything is asserted through what a user sees: output, exit codes,
// files and the API.
//
// The stories of the command are scripts in testdata/script; a line that
// prints something is compared with what the story expects.
//
// Tests of a second machine need root and the tools that test/machine names.
package acceptance
