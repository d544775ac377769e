// Package fusefs is the file system behind test/syncedcopy: it shows a folder
// unchanged and remembers, beside the present state, the state that a power
// cut would leave.
//
// What is present lives in the backing folder and nowhere else; every
// operation is done there at once. What is durable is kept as the difference
// from it, so that a sync costs as much as has changed since the last one:
//
//   - a file keeps the old content of each 4 KiB page that was changed since
//     the file's last sync, and the length it had then (pages.go);
//   - a folder keeps, for each name that was changed since the folder's last
//     sync, what the name stood for then (names.go);
//   - a file that has no present name but a durable one stays open, so that
//     its content can still be read.
//
// The rules of the model are told in package syncedcopy. The package knows
// nothing of tests: it is served by the program in ../daemon, in a process of
// its own, because a process that serves its own memory-mapped files stops for
// ever when its garbage collector waits for a page that it has to serve.
//
// Locks: FileSystem.mu is held for writing by everything that changes names,
// opens, closes or copies, and for reading by everything else; node.data
// guards the pages of one file and is taken after it.
package fusefs
