package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mainstay/adminapi"
	"mainstay/lib/fault"
)

// pageSize is how many items one request asks for.
const pageSize = 1000

// listOptions are the flags of every list.
type listOptions struct {
	filter, sort string
	limit        int
}

// listFlags adds the flags; a limit that o has already is the default.
func listFlags(cmd *cobra.Command, o *listOptions, columns string) {
	flags := cmd.Flags()
	flags.StringVar(&o.filter, "filter", "", "show only what fits: conditions joined by 'and', such as 'name~web and blocked=false'")
	flags.StringVar(&o.sort, "sort", "", "column to sort by; with - before it in descending order")
	if o.limit == 0 {
		o.limit = pageSize
	}
	flags.IntVar(&o.limit, "limit", o.limit, "the most to show; 0 for all")
	if cmd.Long == "" {
		cmd.Long = cmd.Short + "."
	}
	cmd.Long = strings.TrimSpace(cmd.Long + "\n\n" + `A filter has conditions joined by 'and'. Operators are = != ~ (contains) !~ < <= >
>=; several values with commas between them mean any of them, values with spaces
stand in quotation marks. A time is 2026-01-31, 2026-01-31T12:00:00Z or an age
such as 15m, 24h, 7d, which is the time that long ago: seen_at<7d means before
seven days ago.

Columns: ` + columns)
	completed(cmd, "sort", cobra.FixedCompletions(strings.Split(columns, " "), cobra.ShellCompDirectiveNoFileComp))
	completed(cmd, "filter", cobra.FixedCompletions(strings.Split(columns, " "), cobra.ShellCompDirectiveNoFileComp|cobra.ShellCompDirectiveNoSpace))
}

// pages reads pages until there are no more or the limit is reached. It tells
// on the error output when there is more than what is shown.
func pages[T any](p *program, o listOptions, fetch func(cursor *string, limit int64) (items []T, next *string, err error)) ([]T, error) {
	if o.limit < 0 {
		return nil, fault.New(fault.Invalid, "--limit %d is out of range; give 1 or more, or 0 for all", o.limit)
	}
	all := []T{}
	var cursor *string
	for {
		want := int64(pageSize)
		if o.limit > 0 {
			want = min(want, int64(o.limit-len(all)))
		}
		items, next, err := fetch(cursor, want)
		if err != nil {
			return nil, err
		}
		all = append(all, items...)
		if next == nil || *next == "" {
			return all, nil
		}
		if o.limit > 0 && len(all) >= o.limit {
			fmt.Fprintf(p.env.errOut, "mainstay: there is more than the %d shown; use --limit 0 for all\n", len(all))
			return all, nil
		}
		cursor = next
	}
}

// pick finds the one thing that a user means by its identifier, its name, or
// the beginning of its identifier.
func pick[T any](what, meant string, items []T, id, name func(T) string) (T, error) {
	var zero T
	for _, item := range items {
		if id(item) == meant {
			return item, nil
		}
	}
	match := func(fits func(T) bool) []T {
		found := []T{}
		for _, item := range items {
			if fits(item) {
				found = append(found, item)
			}
		}
		return found
	}
	found := match(func(item T) bool { return name(item) == meant })
	if len(found) == 0 {
		found = match(func(item T) bool { return strings.EqualFold(name(item), meant) })
	}
	if len(found) == 0 && len(meant) >= 4 {
		found = match(func(item T) bool { return strings.HasPrefix(id(item), strings.ToLower(meant)) })
	}
	switch len(found) {
	case 0:
		return zero, fault.New(fault.NotFound, "there is no %s named %q, nor with an identifier that begins so%s", what, meant, similar(meant, items, name))
	case 1:
		return found[0], nil
	}
	choices := []string{}
	for _, item := range found {
		choices = append(choices, fmt.Sprintf("  %s  %s", id(item), name(item)))
	}
	return zero, fault.New(fault.Conflict, "%q means %d of them; use the identifier:\n%s", meant, len(found), strings.Join(choices[:min(len(choices), 20)], "\n"))
}

// similar names a few things whose names contain what was written.
func similar[T any](meant string, items []T, name func(T) string) string {
	names := []string{}
	for _, item := range items {
		if strings.Contains(strings.ToLower(name(item)), strings.ToLower(meant)) && len(names) < 5 {
			names = append(names, name(item))
		}
	}
	if len(names) == 0 {
		return ""
	}
	return "; did you mean " + strings.Join(names, ", ") + "?"
}

// completionTimeout bounds what a shell waits for.
const completionTimeout = 2 * time.Second

// complete asks the API for values while the user is typing. An argument that
// is there already is not completed again, unless there may be many.
func (p *program) complete(many bool, find func(ctx context.Context, api *adminapi.ClientWithResponses, begun string) ([]string, error)) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 && !many {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		parent := cmd.Context()
		if parent == nil {
			parent = context.Background()
		}
		ctx, cancel := context.WithTimeout(parent, completionTimeout)
		defer cancel()
		p.format = formatPretty
		api, err := p.connect()
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		values, err := find(ctx, api, begun)
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		fitting := []string{}
		for _, found := range values {
			name, description, _ := strings.Cut(found, "\t")
			if strings.HasPrefix(name, begun) {
				fitting = append(fitting, printable(name)+"\t"+printable(description))
			}
		}
		return fitting, cobra.ShellCompDirectiveNoFileComp
	}
}
