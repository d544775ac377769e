// Package history is what a run of the robustness tests remembers, and the
// judgement of it. Traffic and faults write events; Validate compares them with
// what was found in the site database at the end. It knows no process, no disk
// and no site, so that its own tests can plant every kind of loss.
package history

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"time"
)

// Kinds of events.
const (
	// Offered: the message is about to be given to the outbox. Without one of
	// the next two nobody knows whether the outbox has it.
	Offered = "offered"
	// Accepted: Put has returned; the message must arrive.
	Accepted = "accepted"
	// Refused: Put has failed; the message must not arrive.
	Refused = "refused"
	// Acknowledged: a management point has said that it is committed.
	Acknowledged = "acknowledged"
	// Identified: the client works as Device.
	Identified = "identified"
	// HasPolicy: the client, registered as Device, obeys Policy.
	HasPolicy = "policy"
	// Idle: nothing waits in the client's outbox.
	Idle = "idle"
	// Copying: a copy, named Copy, of the stream's disk is being made.
	Copying = "copying"
	// Disk: the stream goes on with the disk that Copy names, empty for an
	// empty one.
	Disk = "disk"
	// Foreign: as Disk, and the disk is that of another machine.
	Foreign = "foreign"
	// Note is for people.
	Note = "note"
)

// Event is one thing that happened to one stream: a client with its numbered
// messages, whatever becomes of its disk.
type Event struct {
	// Time is in nanoseconds since 1970, by the clock that all processes of a
	// run share.
	Time   int64  `json:"time"`
	What   string `json:"what"`
	Stream string `json:"stream,omitempty"`
	// Number and ID are those of the message.
	Number int64   `json:"number,omitempty"`
	ID     string  `json:"id,omitempty"`
	Device string  `json:"device,omitempty"`
	Copy   string  `json:"copy,omitempty"`
	Policy *Policy `json:"policy,omitempty"`
	Text   string  `json:"text,omitempty"`
}

// Policy is what a client obeys. Both intervals come from one edit of the
// administrator, who keeps them SettingsApart seconds apart.
type Policy struct {
	Version   int64 `json:"version"`
	Polling   int64 `json:"polling"`
	Heartbeat int64 `json:"heartbeat"`
}

// SettingsApart tells settings that belong together from a mixture.
const SettingsApart = 50_000

// Found is a numbered message in the tables of the site.
type Found struct {
	Device string `json:"device"`
	Stream string `json:"stream"`
	Number int64  `json:"number"`
	ID     string `json:"id"`
}

// Journal writes events to a file, one JSON object a line. An event is in the
// file when Write returns. The file is on a disk that never fails in a test, and
// SIGKILL keeps what was written, so it is not synced.
type Journal struct {
	mu   sync.Mutex // guards file
	file *os.File
}

// Open opens a journal to add to it.
func Open(path string) (*Journal, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("cannot open journal: %w", err)
	}
	return &Journal{file: f}, nil
}

// Write adds events that happened now, in one write.
func (j *Journal) Write(events ...Event) error {
	if len(events) == 0 {
		return nil
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	var lines []byte
	for _, e := range events {
		e.Time = time.Now().UnixNano()
		line, err := json.Marshal(e)
		if err != nil {
			return fmt.Errorf("cannot encode event: %w", err)
		}
		lines = append(append(lines, line...), '\n')
	}
	if _, err := j.file.Write(lines); err != nil {
		return fmt.Errorf("cannot write journal: %w", err)
	}
	return nil
}

// Close closes the file.
func (j *Journal) Close() error { return j.file.Close() }

// Read reads journals and puts their events in order of time. A last line that
// a kill has cut is no event.
func Read(paths ...string) ([]Event, error) {
	var events []Event
	for _, path := range paths {
		some, err := readFile(path)
		if err != nil {
			return nil, err
		}
		events = append(events, some...)
	}
	slices.SortStableFunc(events, func(a, b Event) int { return int(min(max(a.Time-b.Time, -1), 1)) })
	return events, nil
}

func readFile(path string) ([]Event, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read journal: %w", err)
	}
	defer f.Close()
	var events []Event
	lines := bufio.NewReader(f)
	for number := 1; ; number++ {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return events, nil
		}
		if err != nil {
			return nil, fmt.Errorf("cannot read journal %s: %w", path, err)
		}
		var e Event
		if err := json.Unmarshal(line, &e); err != nil {
			return nil, fmt.Errorf("journal %s, line %d: %w", path, number, err)
		}
		events = append(events, e)
	}
}
