package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/goccy/go-yaml"

	"mainstay/cmd/mainstay-fleet/fleet"
)

// Forms of output.
const (
	formatPretty = "pretty"
	formatJSON   = "json"
)

// headEvery is after how many lines of progress the head stands again.
const headEvery = 20

// progressPrinter writes a line for each interval.
type progressPrinter struct {
	out   io.Writer
	lines int
}

func (p *progressPrinter) print(g fleet.Progress) {
	if p.lines%headEvery == 0 {
		fmt.Fprintf(p.out, "%8s %9s %10s %9s %9s %10s %12s %12s %8s\n",
			"TIME", "CLIENTS", "REGISTERED", "POLLS/S", "UPLOADS/S", "MESSAGES/S", "POLL P99", "UPLOAD P99", "ERRORS")
	}
	p.lines++
	f := g.Figures
	poll, upload := f.Operation("poll"), f.Operation("upload")
	fmt.Fprintf(p.out, "%8s %9d %10d %9.1f %9.1f %10.1f %9.1f ms %9.1f ms %8d\n",
		g.Elapsed.Round(time.Second), g.Clients, g.Registered, poll.PerSecond, upload.PerSecond, f.MessagesPerSecond, poll.P99, upload.P99, f.Errors)
}

// printSummary writes the report at the end.
func (p *program) printSummary(format string, s fleet.Summary) error {
	if format == formatJSON {
		data, err := yaml.MarshalWithOptions(s, yaml.JSON())
		if err != nil {
			return fmt.Errorf("cannot encode the report: %w", err)
		}
		_, err = p.out.Write(data)
		return err
	}
	f := s.Figures
	fmt.Fprintf(p.out, "\n%d clients switched on, %d registered, in %.1f s (seed %d)\n", s.Clients, s.Registered, f.Seconds, s.Seed)
	fmt.Fprintf(p.out, "%d messages delivered (%.1f/s), %d still queued; %s sent, %s received\n",
		f.Messages, f.MessagesPerSecond, s.Queued, size(f.BytesSent), size(f.BytesReceived))
	fmt.Fprintf(p.out, "%d actions of the scenario carried out, %d skipped (client switched off), at most %d ms late\n\n", s.Commanded, s.Skipped, s.LateMilliseconds)
	table := tabwriter.NewWriter(p.out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "OPERATION\tDONE\tPER SECOND\tFAILED\tRETRIES\tP50 MS\tP95 MS\tP99 MS\tMAX MS\t")
	for _, o := range f.Operations {
		fmt.Fprintf(table, "%s\t%d\t%.1f\t%d\t%d\t%.1f\t%.1f\t%.1f\t%.1f\t\n", o.Name, o.Done, o.PerSecond, o.Failed, o.Retries, o.P50, o.P95, o.P99, o.Max)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if len(f.Problems) == 0 {
		_, err := fmt.Fprintln(p.out, "\nNo errors.")
		return err
	}
	fmt.Fprintf(p.out, "\n%d errors:\n", f.Errors)
	for _, problem := range f.Problems {
		fmt.Fprintf(p.out, "  %d × %s: %s, such as: %s\n", problem.Count, problem.Operation, problem.Kind, oneLine(problem.Example))
	}
	return nil
}

func oneLine(text string) string {
	const most = 300
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > most {
		return strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}

func size(bytes int64) string {
	switch {
	case bytes >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(bytes)/(1<<30))
	case bytes >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(bytes)/(1<<20))
	}
	return fmt.Sprintf("%.1f KiB", float64(bytes)/(1<<10))
}
