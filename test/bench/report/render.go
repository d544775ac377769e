package main

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// figures are the metrics of each benchmark, by its name without "Benchmark".
type figures map[string]map[string]float64

var benchLine = regexp.MustCompile(`(?m)^Benchmark(\S+?)(?:-\d+)?\s+\d+\s+(\S.*)$`)

// parse reads the lines in which benchmarks give their metrics.
func parse(raw string) figures {
	found := figures{}
	for _, match := range benchLine.FindAllStringSubmatch(raw, -1) {
		metrics, fields := map[string]float64{}, strings.Fields(match[2])
		for i := 0; i+1 < len(fields); i += 2 {
			if n, err := strconv.ParseFloat(fields[i], 64); err == nil {
				metrics[fields[i+1]] = n
			}
		}
		found[match[1]] = metrics
	}
	return found
}

// promise is a figure with a goal.
type promise struct {
	what              string
	benchmark, metric string
	// ours and bare are metrics shown beside it, with their format; may be empty.
	ours, bare, format string
	goal               string
	most, least        float64 // 0: no such bound
}

func promises() []promise {
	return []promise{
		{what: "Processor time of the server per unchanged policy poll", benchmark: "Poll", metric: "ratio", ours: "cpu-µs/poll", bare: "bare-cpu-µs/poll", format: "%.1f µs", goal: "at most 1.3 ×", most: 1.3},
		{what: "Messages of 1 KB committed per second, one in each upload", benchmark: "Messages/PerUpload=1", metric: "ratio", ours: "messages/s", bare: "bare-messages/s", format: "%.0f/s", goal: "at least 0.7 ×", least: 0.7},
		{what: "Messages of 1 KB committed per second, ten in each upload", benchmark: "Messages/PerUpload=10", metric: "ratio", ours: "messages/s", bare: "bare-messages/s", format: "%.0f/s", goal: "at least 0.7 ×", least: 0.7},
		{what: "Memory of the client at rest, resident", benchmark: "ClientAtRest", metric: "MiB-resident", format: "%.1f MiB", goal: "at most 20 MiB", most: 20},
		{what: "Processor time of the client at rest, with one poll in the minute", benchmark: "ClientAtRest", metric: "%-of-a-core", format: "%.3f % of a core", goal: "at most 0.1 % of a core", most: 0.1},
		{what: "Size of `mainstay-client`, stripped", benchmark: "ProgramSize/mainstay-client", metric: "MB", format: "%.1f MB", goal: "at most 20 MB", most: 20},
	}
}

// table is the results of all promises that were measured.
func table(f figures) string {
	var b strings.Builder
	b.WriteString("| What | Measured | Bare limit | Ratio | Goal | |\n|---|---:|---:|---:|---|---|\n")
	for _, p := range promises() {
		metrics, ok := f[p.benchmark]
		if !ok {
			continue
		}
		value := metrics[p.metric]
		format := strings.Replace(p.format, "% of", "%% of", 1)
		measured, bare, ratio := fmt.Sprintf(format, value), "", ""
		if p.ours != "" {
			measured, bare, ratio = fmt.Sprintf(format, metrics[p.ours]), fmt.Sprintf(format, metrics[p.bare]), fmt.Sprintf("%.2f ×", value)
		}
		verdict := "met"
		if p.most != 0 && value > p.most || p.least != 0 && value < p.least {
			verdict = "**missed**"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s |\n", p.what, measured, bare, ratio, p.goal, verdict)
	}
	return b.String()
}

// others are figures without a goal.
var others = []struct{ what, benchmark, metric, format string }{
	{"Processor time of the management point per message, one in each upload", "Messages/PerUpload=1", "cpu-µs/message", "%.0f µs"},
	{"the same, bare", "Messages/PerUpload=1", "bare-cpu-µs/message", "%.0f µs"},
	{"Processor time of the management point per message, ten in each upload", "Messages/PerUpload=10", "cpu-µs/message", "%.1f µs"},
	{"the same, bare", "Messages/PerUpload=10", "bare-cpu-µs/message", "%.1f µs"},
	{"Whole server, one message in each upload: committed", "MessagesDispatched/PerUpload=1", "messages/s", "%.0f/s"},
	{"moved to their tables, over the whole time", "MessagesDispatched/PerUpload=1", "moved-messages/s", "%.0f/s"},
	{"processor time for both", "MessagesDispatched/PerUpload=1", "cpu-µs/message", "%.0f µs per message"},
	{"Whole server, ten messages in each upload: committed", "MessagesDispatched/PerUpload=10", "messages/s", "%.0f/s"},
	{"moved to their tables, over the whole time", "MessagesDispatched/PerUpload=10", "moved-messages/s", "%.0f/s"},
	{"processor time for both", "MessagesDispatched/PerUpload=10", "cpu-µs/message", "%.0f µs per message"},
	{"Client at rest: memory that is not backed by files", "ClientAtRest", "MiB-anonymous", "%.1f MiB"},
	{"Size of `mainstay`, stripped, without the console", "ProgramSize/mainstay", "MB", "%.1f MB"},
	{"Fleet of 5,000, arriving within 100 s: registrations, until the last inventory is delivered", "Fleet", "registrations/s", "%.0f/s"},
	{"99 of 100 registrations take at most", "Fleet", "ms-registration-p99", "%.0f ms"},
	{"Fleet of 5,000, each polling every 5 s: polls", "Fleet", "polls/s", "%.0f/s"},
	{"99 of 100 polls take at most", "Fleet", "ms-poll-p99", "%.1f ms"},
	{"Fleet of 5,000, each sending 10 messages every 15 s: messages", "Fleet", "messages/s", "%.0f/s"},
	{"99 of 100 uploads take at most", "Fleet", "ms-upload-p99", "%.0f ms"},
	{"Fleet of 5,000: memory of the server, resident", "Fleet", "MiB-server", "%.0f MiB"},
	{"Fleet of 5,000: errors that clients met", "Fleet", "errors", "%.0f"},
}

func otherTable(f figures) string {
	var b strings.Builder
	b.WriteString("| What | Measured |\n|---|---:|\n")
	for _, o := range others {
		if metrics, ok := f[o.benchmark]; ok {
			fmt.Fprintf(&b, "| %s | "+o.format+" |\n", o.what, metrics[o.metric])
		}
	}
	return b.String()
}

const method = `## Method

Figures of different machines, or of one machine at different hours, cannot be compared. So each promise is a ratio to a *bare limit*: the same work done
by a few lines on top of the standard library (` + "`test/bench/bare`" + `), measured in the same run, in turns with ours, in several rounds; what is shown is the
median of the rounds. Servers are processes of their own, so that their processor time is theirs alone; the load comes from one generator for both, on the
same machine.

- **Poll.** 32 devices, registered by the real client, poll over connections that stay open, with the headers and the policy tag of a real poll. Ours is
  the whole server (` + "`mainstay server`" + `); bare is a net/http handler that answers 304, with TLS 1.3 and client certificates of the same site.
- **Messages.** 64 devices have one upload each under way, signed and compressed as the client does, made before the clock starts. Ours is the management
  point with its group commit to SQLite (WAL, synchronous=FULL), without a site server; bare reads the body, and inserts what waits in groups of the same
  size into SQLite with the same settings. An answer means committed, in both.
- **Messages, dispatched.** The same load on a whole server, whose site server meanwhile checks every signature and moves every message to its table.
- **Client at rest.** ` + "`mainstay-client run`" + ` with the inventory of this machine, registered with a real server; measured 15 s after its inventory was
  delivered, and again after a minute in which it was asked to poll once (by itself it polls each five minutes). The larger figure counts.
- **Fleet.** ` + "`mainstay-fleet`" + ` with 5,000 clients of 300 to 2,500 packages each, on the same machine as the server, in three scenarios one after another. The
  clients take more processor time than the server, so these figures say what both can do together, and not what the server could do alone.
`

// render makes the page, and names the benchmarks that are missing.
func render(a about, f figures, raw string) (text string, missing []string) {
	needed := map[string]bool{}
	for _, p := range promises() {
		needed[p.benchmark] = true
	}
	for _, o := range others {
		needed[o.benchmark] = true
	}
	for _, o := range others {
		if needed[o.benchmark] && f[o.benchmark] == nil {
			missing = append(missing, o.benchmark)
		}
		needed[o.benchmark] = false
	}
	for _, p := range promises() {
		if needed[p.benchmark] && f[p.benchmark] == nil {
			missing = append(missing, p.benchmark)
		}
		needed[p.benchmark] = false
	}
	var b strings.Builder
	b.WriteString("# Performance\n\n<!-- Written by 'make bench' (test/bench/report). Do not edit. -->\n\n")
	b.WriteString("What is promised, and what was measured. `make bench` measures again and writes this page; nothing on it is typed by hand.\n\n")
	fmt.Fprintf(&b, "Commit `%s`, %s, %s. %d cores (%s), memory %s, Linux %s. The disk makes a kilobyte durable in %s. Load when it began: %s",
		a.commit, a.when, a.goVersion, a.cores, a.processor, a.memory, a.kernel, a.disk, a.load)
	if load, err := strconv.ParseFloat(a.load, 64); err == nil && load > float64(a.cores)/2 {
		b.WriteString(" — other work ran on the machine, so absolute figures are lower than they could be; ratios were measured in turns and stand")
	}
	b.WriteString(".\n\n## Promises\n\n" + table(f) + "\n## Further figures\n\n" + otherTable(f) + "\n" + method)
	b.WriteString("\n## What the benchmarks printed\n\n```\n" + strings.TrimSpace(raw) + "\n```\n")
	return b.String(), missing
}
