// Package control holds what a test and the file system process behind
// test/syncedcopy say to each other: JSON values, one after the other, over
// the process's standard input and output. It has no logic.
package control

// Request goes from the test to the file system. Exactly one of the pointers
// is set.
type Request struct {
	ID     int64   `json:"id"`
	Copy   *Copy   `json:"copy,omitempty"`
	Counts *Counts `json:"counts,omitempty"` // empty: asks for them
	Answer *Answer `json:"answer,omitempty"` // ID is that of the question
}

// Copy asks for the tree that a power cut would leave.
type Copy struct {
	Dest string  `json:"dest"`
	Torn *uint64 `json:"torn,omitempty"` // seed; absent: only what was synced
}

// Answer tells whether syncs of the path in question are to be forgotten.
type Answer struct {
	Forget bool `json:"forget"`
}

// Event goes from the file system to the test: Ready or Error with ID 0 at the
// start, then an answer to each request, and questions in between.
type Event struct {
	ID     int64   `json:"id,omitempty"`
	Ready  bool    `json:"ready,omitempty"`
	Error  string  `json:"error,omitempty"`
	Counts *Counts `json:"counts,omitempty"`
	Ask    *Ask    `json:"ask,omitempty"`
}

// Ask is the question whether syncs of a path are to be forgotten. ID is its
// own number, unrelated to that of a request.
type Ask struct {
	ID   int64  `json:"id"`
	Path string `json:"path"`
}

// Counts tell what the file system was asked to do.
type Counts struct {
	Writes    int64 `json:"writes"`
	Syncs     int64 `json:"syncs"`
	Forgotten int64 `json:"forgotten"`
}
