// Package syncedcopy shows what a power cut would leave of a folder that
// running programs write to.
//
// SIGKILL keeps the page cache, so a killed program finds everything again
// that it ever wrote, synced or not; only a power cut shows a missing sync.
// Mount puts a file system in front of a folder. Programs use it like any
// other, and at any moment Copy writes down the tree that would be found after
// the power had failed at that moment. A test then starts the programs on the
// copy and looks for what had been promised.
//
// # The model
//
// It is the least that POSIX promises, stricter than any file system in use:
//
//   - The content and the length of a file are what they were at the last
//     fsync or fdatasync of that file, through whichever descriptor. A file
//     that was never synced is empty.
//   - Mode and owner of a file or folder are those of its creation or of its
//     last sync.
//   - The names in a folder are those of the last fsync of that folder:
//     creating, renaming, linking and removing all change a name and nothing
//     else. A synced file in a folder that was not synced is not there; a
//     removed file in a folder that was not synced is there again, with its
//     own synced content. The target of a symbolic link comes with its name.
//   - A folder's sync does not reach into other folders. After a rename from
//     one folder to another the file has both names when only the new folder
//     was synced, and none when only the old one was. (Journaling file systems
//     never show the second; a program that syncs the new folder first does
//     not depend on that.)
//   - What the folder held when it was mounted is durable.
//   - Writes with O_SYNC and O_DSYNC and msync(MS_SYNC) are syncs of the file.
//     sync and syncfs are not: the kernel keeps them from this file system.
//   - Memory-mapped writes count as written when the kernel hands them over,
//     at a sync at the latest.
//   - Times are not modelled: a copy has the times of copying. Extended
//     attributes are not supported at all.
//
// A real power cut may leave more than was promised, and a program must not be
// confused by it. CopyTorn keeps, by the draw of a seed, some of what was not
// synced: each changed 4 KiB page of a file is the old or the new one; the
// length is the old, the new, or a page boundary on the way to a longer one,
// with zeros where no page survived; each name is the old or the new one,
// where the names that one rename changed go together. A page that was written
// several times since the sync is its oldest or its newest self, nothing
// between.
//
// Copies fall between two operations of the file system. A write call of more
// than one mebibyte is several operations.
//
// # How it runs
//
// The file system is a process of its own, built from ./daemon by the first
// Mount of a test process, so that programs inside the test process may use it
// too: SQLite's shared memory is a mapped file, and a process that serves its
// own mapped files deadlocks with its garbage collector. When the test process
// ends, in whatever way, the file system process unmounts and ends too. Locks
// (flock, fcntl) are the kernel's and work between all processes on the mount.
//
// Syncs are not passed on to the disk under the folder: programs that sync much
// run faster here than there, and the folder itself is not safe against a real
// power cut.
//
// The package needs /dev/fuse and either root or fusermount3. A test that
// cannot have them fails; it is not skipped.
package syncedcopy
