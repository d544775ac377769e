// Package numbered is what the traffic of the robustness tests and the driver
// that kills it have to agree on.
package numbered

import "time"

// What a numbered message looks like. Its insertions are the name of the stream
// and the number.
const (
	// MessageID is in no catalogue.
	MessageID = 777_000
	// Component names the sender.
	Component = "robustness"
)

// Registered is the phase of a client that has an identity, as its status says.
const Registered = "registered"

// Config is the configuration of a process with clients.
type Config struct {
	// Journal is the file to write events to.
	Journal         string   `json:"journal"`
	SiteCode        string   `json:"site_code"`
	ManagementPoint string   `json:"management_point"`
	Token           string   `json:"token"`
	Streams         []Stream `json:"streams"`
	// Pause is the mean time between two batches of one stream.
	Pause time.Duration `json:"pause"`
	// Quiet: send what waits, offer nothing new.
	Quiet bool `json:"quiet"`
}

// Stream is one client.
type Stream struct {
	Name string `json:"name"`
	// Dir is the client's state folder, Hardware the machine's identifier.
	Dir      string `json:"dir"`
	Hardware string `json:"hardware"`
	// Next is the first number that was never offered.
	Next int64 `json:"next"`
}
