package main

import (
	"context"
	"fmt"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mainstay/adminapi"
	"mainstay/lib/fault"
)

type historyOptions struct {
	class, since, before string
	limit                int
}

func (p *program) newDeviceHistoryCommand() *cobra.Command {
	var o historyOptions
	cmd := &cobra.Command{
		Use:   "history DEVICE",
		Short: "Show what has changed on a device, and when",
		Long:  "Show what has changed in the inventory of a device, the newest first.",
		Example: `  mainstay device history web1
  mainstay device history web1 --class InstalledSoftware --since 7d
  mainstay device history web1 --since 2026-10-01 -o json`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: p.completeDevices(false),
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.withDevice(cmd.Context(), args[0], func(api *adminapi.ClientWithResponses, d adminapi.Device) error {
				return p.showHistory(cmd.Context(), api, d, o)
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.class, "class", "", "changes of this class of inventory only")
	flags.StringVar(&o.since, "since", "", "changes from then on: 2026-01-31, 2026-01-31T12:00:00Z, or an age such as 24h, 7d")
	flags.StringVar(&o.before, "before", "", "changes before then")
	flags.IntVar(&o.limit, "limit", pageSize, "the most to show; 0 for all")
	completed(cmd, "class", p.completeClasses)
	return cmd
}

// parseAge reads an age such as 15m, 24h or 7d.
func parseAge(text string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.ParseUint(days, 10, 16); err == nil {
			return time.Duration(n) * 24 * time.Hour, nil
		}
	} else if age, err := time.ParseDuration(text); err == nil && age >= 0 {
		return age, nil
	}
	return 0, fault.New(fault.Invalid, "%q is no time; write 2026-01-31, 2026-01-31T12:00:00Z, or an age such as 15m, 24h, 7d", text)
}

func (p *program) showHistory(ctx context.Context, api *adminapi.ClientWithResponses, d adminapi.Device, o historyOptions) error {
	since, err := p.moment(o.since)
	if err != nil {
		return err
	}
	before, err := p.moment(o.before)
	if err != nil {
		return err
	}
	classes, err := inventoryClasses(ctx, api)
	if err != nil {
		return err
	}
	if o.class != "" {
		if _, err := classMeant(o.class, classes); err != nil {
			return err
		}
	}
	changes, err := pages(p, listOptions{limit: o.limit}, func(cursor *string, limit int64) ([]adminapi.InventoryChange, *string, error) {
		answer, err := check(api.ListDeviceHistoryWithResponse(ctx, d.ID, &adminapi.ListDeviceHistoryParams{
			Class: given(o.class), Since: since, Before: before, Cursor: cursor, Limit: &limit,
		}))
		if err != nil {
			return nil, nil, err
		}
		page, err := body(answer.JSON200)
		return page.Items, page.Next, err
	})
	if err != nil {
		return err
	}
	byName := map[string]adminapi.InventoryClass{}
	for _, class := range classes {
		byName[class.Name] = class
	}
	if p.format == formatPretty {
		changes = folded(changes)
	}
	type c = adminapi.InventoryChange
	return printList(p, changes, []column[c]{
		{head: "time", cell: func(c c) string { return p.when(c.Time) }, raw: func(c c) string { return stamp(c.Time) }},
		{head: "class", cell: func(c c) string { return c.Class }},
		{head: "change", cell: func(c c) string { return string(c.Change) }, tone: changeTone},
		{head: "what", cell: func(c c) string { return keyText(byName[c.Class], c) }},
		{head: "detail", cell: func(c c) string { return p.changeText(byName[c.Class], c) }},
	})
}

// foldedFrom is how many rows of a class that came or went at once are shown as
// one line: the first inventory of a machine is no news row by row.
const foldedFrom = 20

// folded puts many rows of one class that came or went at once into one.
func folded(changes []adminapi.InventoryChange) []adminapi.InventoryChange {
	out := []adminapi.InventoryChange{}
	for len(changes) > 0 {
		one, n := changes[0], 1
		for n < len(changes) && changes[n].Time.Equal(one.Time) && changes[n].Class == one.Class && changes[n].Change == one.Change {
			n++
		}
		if n < foldedFrom || one.Change == "changed" {
			out = append(out, changes[:n]...)
		} else {
			row := map[string]any{foldedRows: float64(n)}
			out = append(out, adminapi.InventoryChange{Time: one.Time, Class: one.Class, Change: one.Change, Values: &row})
		}
		changes = changes[n:]
	}
	return out
}

// foldedRows is the column of a folded change. No class has one of this name.
const foldedRows = "number of rows"

func changeTone(c adminapi.InventoryChange) tone {
	switch c.Change {
	case "added":
		return good
	case "removed":
		return bad
	}
	return doubtful
}

// row is the row that a change is about: the one that came, else the one that
// went.
func row(c adminapi.InventoryChange) map[string]any {
	if c.Values != nil && len(*c.Values) > 0 {
		return *c.Values
	}
	return value(c.Before)
}

// keyText names the row by its key columns.
func keyText(class adminapi.InventoryClass, c adminapi.InventoryChange) string {
	if n, ok := row(c)[foldedRows].(float64); ok {
		return grouped(int64(n)) + " rows"
	}
	texts := []string{}
	for _, column := range class.Columns {
		if v := row(c)[column.Name]; column.Key && v != nil {
			texts = append(texts, plainText(v))
		}
	}
	return cut(strings.Join(texts, " "), 60)
}

func plainText(v any) string {
	if n, ok := v.(float64); ok {
		return strconv.FormatFloat(n, 'f', -1, 64)
	}
	return fmt.Sprint(v)
}

// changeText says what differs: old and new values of a changed row, the other
// columns of one that came or went.
func (p *program) changeText(class adminapi.InventoryClass, c adminapi.InventoryChange) string {
	texts := []string{}
	columns := map[string]adminapi.InventoryColumn{}
	for _, column := range class.Columns {
		columns[column.Name] = column
	}
	if c.Change == "changed" {
		for _, name := range c.Columns {
			before, after := p.valueText(columns[name], value(c.Before)[name]), p.valueText(columns[name], value(c.Values)[name])
			texts = append(texts, fmt.Sprintf("%s: %s → %s", name, orNothing(before), orNothing(after)))
		}
		return strings.Join(texts, "; ")
	}
	for _, column := range class.Columns {
		text := p.valueText(column, row(c)[column.Name])
		if !column.Key && text != "" && len(texts) < 4 {
			texts = append(texts, column.Name+" "+cut(text, columnShown))
		}
	}
	if row(c)[foldedRows] != nil {
		return "-o json shows each"
	}
	if len(class.Columns) == 0 { // a newer client's class that we do not know
		for name, v := range row(c) {
			texts = append(texts, name+" "+cut(plainText(v), columnShown))
		}
		sort.Strings(texts)
	}
	return strings.Join(texts, ", ")
}

func orNothing(text string) string {
	if text == "" {
		return "(nothing)"
	}
	return text
}

// classMeant finds a class by its name or an alias, without regard to case.
func classMeant(meant string, classes []adminapi.InventoryClass) (adminapi.InventoryClass, error) {
	names := []string{}
	for _, class := range classes {
		names = append(names, class.Name)
		if strings.EqualFold(class.Name, meant) {
			return class, nil
		}
		for _, alias := range class.Aliases {
			if strings.EqualFold(alias, meant) {
				return class, nil
			}
		}
	}
	return adminapi.InventoryClass{}, fault.New(fault.Invalid, "there is no class of inventory %q; the classes are %s", meant, strings.Join(names, ", "))
}

// wantedClasses are the classes to show: those asked for, else all with rows.
// A class of a newer client has no description.
func wantedClasses(asked []string, known []adminapi.ClassSummary, classes []adminapi.InventoryClass) ([]adminapi.InventoryClass, error) {
	wanted := []adminapi.InventoryClass{}
	for _, name := range asked {
		class, err := classMeant(name, classes)
		if err != nil {
			return nil, err
		}
		wanted = append(wanted, class)
	}
	if len(asked) > 0 {
		return wanted, nil
	}
	for _, summary := range known {
		class, err := classMeant(summary.Class, classes)
		if err != nil {
			class = adminapi.InventoryClass{Name: summary.Class}
		}
		wanted = append(wanted, class)
	}
	return wanted, nil
}
