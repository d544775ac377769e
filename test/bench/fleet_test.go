package bench

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"mainstay/test/sitetest"
)

// fleetClients is how many clients the whole site is measured with.
const fleetClients = 5000

// BenchmarkFleet runs thousands of simulated clients against one whole server
// on the same machine: they arrive and register with their whole inventories,
// poll, and send messages. The clients need more processor time than the
// server, so the figures say what the machine does with both on it.
func BenchmarkFleet(b *testing.B) {
	site := sitetest.Start(b)
	state, token := filepath.Join(b.TempDir(), "fleet"), site.Token()
	scene := func(name, text string) fleetReport {
		return playFleet(b, site, state, token, name, "clients: 5000\nsettle: 10m\nsteps:\n"+text)
	}

	arrival := scene("arrival", `
- name: arrival
  duration: 100s
  actions: [{do: register}]
`)
	register := arrival.operation("register")
	b.ReportMetric(float64(register.Done)/arrival.Figures.Seconds, "registrations/s")
	b.ReportMetric(register.P99, "ms-registration-p99")
	resident, _ := memory(b, site.Pid())
	inbox := openInbox(b, site)
	say("%d uploads wait when all clients have delivered their inventories", inbox.waiting(b))
	inbox.awaitEmpty(b)

	polls := scene("polls", `
- name: on
  duration: 30s
  actions: [{do: register}]
- name: polls
  at: 40s
  duration: 60s
  every: 5s
  actions: [{do: poll}]
`)
	poll := polls.operation("poll")
	b.ReportMetric(float64(poll.Done-fleetClients)/60, "polls/s")
	b.ReportMetric(poll.P99, "ms-poll-p99")

	messages := scene("messages", `
- name: on
  duration: 30s
  actions: [{do: register}]
- name: messages
  at: 40s
  duration: 30s
  every: 15s
  actions: [{do: status-messages, count: 10, bytes: 900}]
`)
	b.ReportMetric(float64(messages.Figures.Messages)/(messages.Figures.Seconds-40), "messages/s")
	b.ReportMetric(messages.operation("upload").P99, "ms-upload-p99")
	last, _ := memory(b, site.Pid())
	inbox.awaitEmpty(b)
	b.ReportMetric(float64(max(resident, last))/(1<<20), "MiB-server")
	errors := arrival.Figures.Errors + polls.Figures.Errors + messages.Figures.Errors
	b.ReportMetric(float64(errors), "errors")
	b.ReportMetric(0, "ns/op")
	if register.Done != fleetClients {
		b.Errorf("%d of %d clients registered", register.Done, fleetClients)
	}
}

// fleetReport is what mainstay-fleet prints at the end.
type fleetReport struct {
	Registered int   `json:"registered"`
	Queued     int   `json:"queued"`
	Late       int64 `json:"late_ms"`
	Figures    struct {
		Seconds    float64
		Messages   int64
		Errors     int64
		Operations []fleetOperation
		Problems   []struct {
			Operation, Kind, Example string
			Count                    int64
		}
	}
}

type fleetOperation struct {
	Name         string
	Done, Failed int64
	P50          float64 `json:"p50_ms"`
	P99          float64 `json:"p99_ms"`
}

func (r fleetReport) operation(name string) fleetOperation {
	for _, o := range r.Figures.Operations {
		if o.Name == name {
			return o
		}
	}
	return fleetOperation{}
}

// playFleet runs the fleet through a scenario.
func playFleet(b *testing.B, site *sitetest.Site, state, token, name, text string) fleetReport {
	b.Helper()
	path := filepath.Join(b.TempDir(), name+".yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
	before := server{pid: site.Pid()}.cpu(b)
	run := exec.Command(sitetest.Program(b, "mainstay-fleet"), "run", "--mp", site.Clients, "--state", state, "--scenario", path, "-o", "json")
	run.Env = append(os.Environ(), "MAINSTAY_TOKEN="+token)
	run.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	output, err := run.Output()
	if err != nil {
		b.Fatalf("%s: %v\n%s", name, err, output)
	}
	var report fleetReport
	if err := json.Unmarshal(output, &report); err != nil {
		b.Fatalf("%s: %v in %s", name, err, output)
	}
	cpu := server{pid: site.Pid()}.cpu(b) - before
	f := report.Figures
	say("%s: %d registered, %d messages in %.0f s, %d errors, %d still queued, %d ms late; the server used %.1f s of processor",
		name, report.Registered, f.Messages, f.Seconds, f.Errors, report.Queued, report.Late, cpu.Seconds())
	for _, o := range f.Operations {
		say("  %s: %d done, %d failed, p50 %.1f ms, p99 %.1f ms", o.Name, o.Done, o.Failed, o.P50, o.P99)
	}
	for _, p := range f.Problems {
		say("  %d × %s: %s, such as %s", p.Count, p.Operation, p.Kind, p.Example)
	}
	return report
}
