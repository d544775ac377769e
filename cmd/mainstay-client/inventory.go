package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"mainstay/client/inventory"
	"mainstay/client/localapi"
	"mainstay/lib/fault"
	"mainstay/wire"
)

func (p *program) newInventory() *cobra.Command {
	var show, now bool
	cmd := p.outputFlag(&cobra.Command{
		Use:   "inventory (--show [CLASS] | --now)",
		Short: "Show the inventory of this machine, or report it now",
		Long: `With --show it reads this machine and shows what it finds: the classes, or the
rows of one. It needs no client to run; without root some columns are empty. With
--now the running client collects and reports.

` + exitCodes,
		Example: "  mainstay-client inventory --show\n  mainstay-client inventory --show Processor\n  mainstay-client inventory --now",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case show == now:
				return fault.New(fault.Invalid, "say either --show [CLASS] or --now")
			case now && len(args) > 0:
				return fault.New(fault.Invalid, "--now reports all classes")
			case now:
				if err := p.door().Act(cmd.Context(), localapi.ActInventory); err != nil {
					return err
				}
				fmt.Fprintln(p.out, "The client collects and reports now; 'mainstay-client status' shows the outcome")
				return nil
			}
			return p.showInventory(cmd.Context(), append(args, "")[0])
		},
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return slices.Sorted(maps.Keys(classNames())), cobra.ShellCompDirectiveNoFileComp
		},
	})
	cmd.Flags().BoolVar(&show, "show", false, "read this machine and show the classes, or the rows of one")
	cmd.Flags().BoolVar(&now, "now", false, "let the running client collect and report")
	return cmd
}

func classNames() map[string]bool {
	names := map[string]bool{}
	for _, class := range wire.InventoryClasses() {
		names[class.Name] = true
	}
	return names
}

func (p *program) showInventory(ctx context.Context, class string) error {
	for name := range classNames() {
		if strings.EqualFold(name, class) {
			class = name
		}
	}
	if class != "" && !classNames()[class] {
		return fault.New(fault.NotFound, "there is no class %q: there are %s", class, strings.Join(slices.Sorted(maps.Keys(classNames())), ", "))
	}
	config := inventory.Config{Files: p.fileRules(ctx)}
	collector, err := inventory.New(config)
	if err != nil {
		return err
	}
	snapshot, err := collector.Collect(ctx)
	if err != nil {
		return err
	}
	for _, e := range snapshot.Errors {
		if class == "" || e.Class == class {
			fmt.Fprintf(p.errOut, "%s: %s\n", e.Class, e.Text)
		}
	}
	if class == "" {
		return p.showClasses(snapshot)
	}
	rows := []json.RawMessage{}
	for _, row := range snapshot.Classes[class] {
		rows = append(rows, row.JSON)
	}
	return p.show(rows, func(w io.Writer) error { return showRows(w, rows) })
}

// fileRules are those of the policy, where a client runs that tells them.
func (p *program) fileRules(ctx context.Context) []wire.FileRule {
	if policy, err := p.door().Policy(ctx); err == nil {
		return policy.Settings.SoftwareInventory.Files
	}
	return nil
}

func (p *program) showClasses(s *inventory.Snapshot) error {
	counts := map[string]int{}
	for class := range classNames() {
		counts[class] = len(s.Classes[class])
	}
	return p.show(counts, func(w io.Writer) error {
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		fmt.Fprintln(t, "CLASS\tROWS")
		for _, class := range slices.Sorted(maps.Keys(counts)) {
			note := ""
			if slices.Contains(s.Unread, class) {
				note = " (could not be read)"
			}
			fmt.Fprintf(t, "%s\t%d%s\n", class, counts[class], note)
		}
		return t.Flush()
	})
}

// showRows prints each row as lines of column and value.
func showRows(w io.Writer, rows []json.RawMessage) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for i, row := range rows {
		if i > 0 {
			fmt.Fprintln(t)
		}
		decoder := json.NewDecoder(bytes.NewReader(row))
		decoder.UseNumber()
		columns := map[string]any{}
		if err := decoder.Decode(&columns); err != nil {
			return err
		}
		for _, name := range slices.Sorted(maps.Keys(columns)) {
			fmt.Fprintf(t, "%s\t%s\n", name, text(columns[name]))
		}
	}
	return t.Flush()
}

func text(value any) string {
	if list, ok := value.([]any); ok {
		parts := make([]string, len(list))
		for i, v := range list {
			parts[i] = text(v)
		}
		return strings.Join(parts, ", ")
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7F {
			return ' '
		}
		return r
	}, fmt.Sprint(value))
}
