package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mainstay/adminapi"
)

// rowsShown is how many rows of a class 'device show' prints when no class is
// asked for; columnsShown how many columns a table of a class has.
const (
	rowsShown   = 8
	columnShown = 40
)

type showOptions struct {
	classes []string
	at      string
}

func (p *program) newDeviceShowCommand() *cobra.Command {
	var o showOptions
	cmd := &cobra.Command{
		Use:   "show DEVICE",
		Short: "Show a device with its inventory",
		Long: `Show a device: what it is, when it was heard of, and its inventory class by
class. Of long classes the first rows are shown; --class shows all of them.
-o json gives everything.`,
		Example: `  mainstay device show web1
  mainstay device show web1 --class OS,Processor,Memory
  mainstay device show web1 --class InstalledSoftware -o csv
  mainstay device show web1 --class Service --at 2026-10-01
  mainstay device show web1 -o json`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: p.completeDevices(false),
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.withDevice(cmd.Context(), args[0], func(api *adminapi.ClientWithResponses, d adminapi.Device) error {
				return p.showDevice(cmd.Context(), api, d, o)
			})
		},
	}
	cmd.Flags().StringSliceVar(&o.classes, "class", nil, "classes of inventory to show, with commas between them")
	cmd.Flags().StringVar(&o.at, "at", "", "inventory as it was then: 2026-01-31, 2026-01-31T12:00:00Z, or an age such as 24h")
	completed(cmd, "class", p.completeClasses)
	return cmd
}

func (p *program) completeClasses(cmd *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
	return p.complete(true, func(ctx context.Context, api *adminapi.ClientWithResponses, _ string) ([]string, error) {
		classes, err := inventoryClasses(ctx, api)
		names := []string{}
		for _, c := range classes {
			names = append(names, c.Name+"\t"+c.Description)
		}
		return names, err
	})(cmd, nil, begun)
}

func inventoryClasses(ctx context.Context, api *adminapi.ClientWithResponses) ([]adminapi.InventoryClass, error) {
	answer, err := check(api.ListInventoryClassesWithResponse(ctx))
	if err != nil {
		return nil, err
	}
	page, err := body(answer.JSON200)
	return page.Items, err
}

// deviceView is everything about a device.
type deviceView struct {
	Device    adminapi.Device             `json:"device"`
	States    []adminapi.StateMessage     `json:"states"`
	Inventory map[string][]map[string]any `json:"inventory"`
	Errors    []adminapi.CollectorError   `json:"errors"`
}

func (p *program) showDevice(ctx context.Context, api *adminapi.ClientWithResponses, d adminapi.Device, o showOptions) error {
	at, err := p.moment(o.at)
	if err != nil {
		return err
	}
	classes, err := inventoryClasses(ctx, api)
	if err != nil {
		return err
	}
	answer, err := check(api.GetDeviceInventoryWithResponse(ctx, d.ID))
	if err != nil {
		return err
	}
	summary, err := body(answer.JSON200)
	if err != nil {
		return err
	}
	wanted, err := wantedClasses(o.classes, summary.Classes, classes)
	if err != nil {
		return err
	}
	stated, err := check(api.ListDeviceStateMessagesWithResponse(ctx, d.ID))
	if err != nil {
		return err
	}
	states, err := body(stated.JSON200)
	if err != nil {
		return err
	}
	if p.format == formatPretty {
		if len(o.classes) == 0 {
			if err := p.showFacts(d, summary, states.Items); err != nil {
				return err
			}
		}
		return p.showClasses(ctx, api, d, summary, wanted, at, len(o.classes) > 0)
	}
	view := deviceView{Device: d, States: states.Items, Inventory: map[string][]map[string]any{}, Errors: summary.Errors}
	for _, class := range wanted {
		if view.Inventory[class.Name], _, err = classRows(ctx, api, d.ID, class.Name, at, 0); err != nil {
			return err
		}
	}
	if p.format == formatCSV {
		return p.writeRowsCSV(view, wanted)
	}
	return p.printValue(view)
}

// moment reads a time as the user writes it.
func (p *program) moment(text string) (*time.Time, error) {
	if text == "" {
		return nil, nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02 15:04:05", "2006-01-02T15:04", time.DateOnly} {
		if at, err := time.ParseInLocation(layout, text, p.env.zone); err == nil {
			return &at, nil
		}
	}
	age, err := parseAge(text)
	if err != nil {
		return nil, err
	}
	at := p.env.now().Add(-age)
	return &at, nil
}

// classRows reads rows of a class; most 0 is all. more tells that there are
// others.
func classRows(ctx context.Context, api *adminapi.ClientWithResponses, device, class string, at *time.Time, most int) (rows []map[string]any, more bool, err error) {
	rows = []map[string]any{}
	limit := int64(pageSize)
	if most > 0 {
		limit = int64(most)
	}
	var cursor *string
	for {
		answer, err := check(api.ListDeviceInventoryRowsWithResponse(ctx, device, class, &adminapi.ListDeviceInventoryRowsParams{At: at, Cursor: cursor, Limit: &limit}))
		if err != nil {
			return nil, false, err
		}
		page, err := body(answer.JSON200)
		if err != nil {
			return nil, false, err
		}
		for _, row := range page.Items {
			rows = append(rows, row.Values)
		}
		if page.Next == nil || most > 0 {
			return rows, page.Next != nil, nil
		}
		cursor = page.Next
	}
}

// showFacts prints what a device is and the states that it has reported.
func (p *program) showFacts(d adminapi.Device, summary adminapi.DeviceInventory, states []adminapi.StateMessage) error {
	if err := writeFields(p.env.out, p.deviceFields(d, summary), p.env.colour); err != nil || len(states) == 0 {
		return err
	}
	fmt.Fprintln(p.env.out)
	type s = adminapi.StateMessage
	return writeTable(p.env.out, states, []column[s]{
		{head: "state of", cell: func(s s) string { return strings.TrimSpace(s.Topic + " " + s.TopicID) }},
		{head: "state", cell: func(s s) string { return strconv.FormatInt(s.StateID, 10) }, right: true},
		{head: "since", cell: func(s s) string { return p.when(s.Time) }},
		{head: "detail", cell: func(s s) string { return value(s.Detail) }},
	}, p.env.colour)
}

// showClasses prints the inventory. Of classes that nobody has chosen the
// first rows are enough.
func (p *program) showClasses(ctx context.Context, api *adminapi.ClientWithResponses, d adminapi.Device, summary adminapi.DeviceInventory, wanted []adminapi.InventoryClass, at *time.Time, chosen bool) error {
	known := map[string]adminapi.ClassSummary{}
	for _, c := range summary.Classes {
		known[c.Class] = c
	}
	most := rowsShown
	if chosen {
		most = 0
	}
	for i, class := range wanted {
		rows, more, err := classRows(ctx, api, d.ID, class.Name, at, most)
		if err != nil {
			return err
		}
		if i > 0 || !chosen {
			fmt.Fprintln(p.env.out)
		}
		if err := p.showClass(class, rows); err != nil {
			return err
		}
		if more {
			fmt.Fprintf(p.env.out, "%s rows in all: mainstay device show %s --class %s\n", grouped(known[class.Name].Rows), printable(d.Name), class.Name)
		}
		if known[class.Name].Unread {
			fmt.Fprintln(p.env.out, "The client could not read this class lately; this is what was there before.")
		}
	}
	for _, e := range summary.Errors {
		if !chosen {
			fmt.Fprintf(p.env.out, "\nNot read: %s: %s\n", printable(e.Class), printable(e.Text))
		}
	}
	return nil
}

func (p *program) deviceFields(d adminapi.Device, summary adminapi.DeviceInventory) []field {
	blocked := ""
	if d.BlockedAt != nil {
		blocked = p.when(*d.BlockedAt) + ": " + value(d.BlockedReason)
	}
	inventory := "none yet"
	if summary.CollectedAt != nil {
		inventory = p.when(*summary.CollectedAt) + " (" + p.ago(summary.CollectedAt) + ")"
	}
	return []field{
		{label: "Device", text: d.Name},
		{label: "ID", text: d.ID},
		{label: "State", text: string(d.Activity), tone: activityTone(d)},
		{label: "Blocked", text: blocked, tone: bad},
		{label: "Conflict", text: value(d.Conflict), tone: bad},
		{label: "Copy of", text: value(d.CopyOf)},
		{label: "Seen", text: p.ago(d.SeenAt)},
		{label: "Operating system", text: strings.TrimSpace(d.Os + " " + d.OsVersion + " " + d.Arch)},
		{label: "Addresses", text: strings.Join(d.Addresses, " ")},
		{label: "Client", text: d.ClientVersion},
		{label: "Registered", text: p.when(d.RegisteredAt) + " by " + d.RegisteredBy},
		{label: "Certificate until", text: p.when(d.CertificateEndsAt)},
		{label: "Last heartbeat", text: p.maybeWhen(d.HeartbeatAt)},
		{label: "Last policy request", text: p.maybeWhen(d.PolicyAt)},
		{label: "Policy fresh until", text: p.maybeWhen(d.PolicyFreshUntil)},
		{label: "Waiting in its outbox", text: grouped(d.Queued)},
		{label: "Inventory", text: inventory},
	}
}

// showClass prints the rows of one class: lines for a single row, a table for
// several.
func (p *program) showClass(class adminapi.InventoryClass, rows []map[string]any) error {
	fmt.Fprintf(p.env.out, "%s\n", class.Name)
	if len(rows) == 0 {
		_, err := fmt.Fprintln(p.env.out, "  nothing is known")
		return err
	}
	if class.Single {
		fields := []field{}
		for _, c := range class.Columns {
			fields = append(fields, field{label: "  " + c.Name, text: p.valueText(c, rows[0][c.Name])})
		}
		return writeFields(p.env.out, fields, p.env.colour)
	}
	columns := []column[map[string]any]{}
	for _, c := range usedColumns(class, rows) {
		columns = append(columns, column[map[string]any]{
			head: c.Name, right: c.Type == "integer",
			cell: func(row map[string]any) string { return cut(p.valueText(c, row[c.Name]), columnShown) },
		})
	}
	return writeTable(p.env.out, rows, columns, false)
}

// usedColumns are those in which any row has something.
func usedColumns(class adminapi.InventoryClass, rows []map[string]any) []adminapi.InventoryColumn {
	used := []adminapi.InventoryColumn{}
	for _, c := range class.Columns {
		for _, row := range rows {
			if row[c.Name] != nil && row[c.Name] != "" {
				used = append(used, c)
				break
			}
		}
	}
	return used
}

func cut(text string, most int) string {
	if r := []rune(text); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return text
}

// valueText is a value with its unit, as people read it.
func (p *program) valueText(c adminapi.InventoryColumn, v any) string {
	number, isNumber := v.(float64)
	switch {
	case v == nil:
		return ""
	case c.Type == "bool":
		return yesNo(v == true)
	case !isNumber:
		if text, ok := v.(string); ok {
			return strings.ReplaceAll(text, "\n", " ")
		}
		data, err := json.Marshal(v)
		if err != nil {
			return fmt.Sprint(v)
		}
		return string(data)
	case c.Type == "time":
		return p.when(time.UnixMicro(int64(number)))
	}
	return withUnit(number, value(c.Unit))
}

func withUnit(n float64, unit string) string {
	whole := strconv.FormatInt(int64(n), 10)
	switch unit {
	case "bytes":
		return size(int64(n))
	case "bit/s":
		for _, step := range []struct {
			least float64
			name  string
		}{{1e12, "Tbit/s"}, {1e9, "Gbit/s"}, {1e6, "Mbit/s"}, {1e3, "kbit/s"}} {
			if n >= step.least {
				return strconv.FormatFloat(math.Round(n/step.least*10)/10, 'f', -1, 64) + " " + step.name
			}
		}
		return whole + " bit/s"
	case "", "bits":
		return whole
	}
	return grouped(int64(n)) + " " + unit
}

// writeRowsCSV writes the rows of one class as they were reported.
func (p *program) writeRowsCSV(view deviceView, wanted []adminapi.InventoryClass) error {
	if len(wanted) != 1 {
		return p.printValue(view)
	}
	columns := []column[map[string]any]{}
	for _, c := range wanted[0].Columns {
		columns = append(columns, column[map[string]any]{head: c.Name, cell: func(row map[string]any) string {
			switch v := row[c.Name].(type) {
			case nil:
				return ""
			case string:
				return v
			case float64:
				return strconv.FormatFloat(v, 'f', -1, 64)
			default:
				return fmt.Sprint(v)
			}
		}})
	}
	return writeCSV(p.env.out, view.Inventory[wanted[0].Name], columns)
}
