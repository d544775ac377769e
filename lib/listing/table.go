package listing

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"mainstay/lib/fault"
)

// Kind is what a column holds.
type Kind int

// The kinds. A time is an integer of microseconds since 1970, UTC.
const (
	Text Kind = iota
	Integer
	Bool
	Time
)

// String names the kind as documents do.
func (k Kind) String() string {
	return [...]string{"text", "number", "true or false", "time"}[k]
}

// Column is a column that can be filtered and sorted by.
type Column struct {
	// Name is how the API calls it.
	Name string
	// SQL is the expression behind it; never anything that a user wrote.
	SQL  string
	Kind Kind
	// Nullable columns can be compared with none. They sort as 0 or empty.
	Nullable bool
	// Values is the closed list of what a text column holds; empty for any.
	Values []string
}

// Table describes one list.
type Table struct {
	// Columns that can be asked for.
	Columns []Column
	// Key names the column that is unique: it decides between equal rows.
	Key string
	// Sort is the order when none is asked for, such as "name" or "-time".
	Sort string
}

// Limits of a page.
const (
	DefaultLimit = 100
	MaxLimit     = 1000
)

// Request is what a caller asks of a list. The zero value is its first page.
type Request struct {
	// Filter selects rows; see the package comment.
	Filter string
	// Sort is a column, with "-" before it for descending order.
	Sort string
	// Cursor is Page.Next of the page before.
	Cursor string
	// Limit is the number of rows wanted, up to MaxLimit; 0 is DefaultLimit.
	Limit int
	// Count asks for the number of rows on all pages.
	Count bool
}

// Plan is a request that was checked against a table.
type Plan struct {
	conditions []sqlCondition
	sort, key  Column
	descending bool
	sortText   string
	after      *mark
	limit      int
	count      bool
}

// sqlCondition is text with ? for each argument.
type sqlCondition struct {
	text string
	args []any
}

// Plan checks a request. Ages in the filter are counted from now.
func (t Table) Plan(r Request, now time.Time) (*Plan, error) {
	p := &Plan{limit: r.Limit, count: r.Count}
	if r.Limit == 0 {
		p.limit = DefaultLimit
	}
	if p.limit < 1 || p.limit > MaxLimit {
		return nil, fault.InvalidField("limit", "%d is out of range; give 1 to %d", r.Limit, MaxLimit)
	}
	written, err := parseFilter(r.Filter)
	if err != nil {
		return nil, err
	}
	for _, c := range written {
		condition, err := t.compile(c, now)
		if err != nil {
			return nil, err
		}
		p.conditions = append(p.conditions, condition)
	}
	if err := t.order(p, r.Sort); err != nil {
		return nil, err
	}
	if r.Cursor != "" {
		if p.after, err = p.parseMark(r.Cursor); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func (t Table) order(p *Plan, sort string) error {
	if sort == "" {
		sort = t.Sort
	}
	p.sortText = sort
	name, descending := strings.CutPrefix(sort, "-")
	column, err := t.column("sort", name)
	if err != nil {
		return err
	}
	key, err := t.column("key", t.Key)
	if err != nil {
		return err
	}
	p.sort, p.key, p.descending = column, key, descending
	return nil
}

func (t Table) column(field, name string) (Column, error) {
	for _, c := range t.Columns {
		if c.Name == name {
			return c, nil
		}
	}
	return Column{}, fault.InvalidField(field, "%q is no column of this list; it has %s", clip(name), strings.Join(t.names(), ", "))
}

func (t Table) names() []string {
	names := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		names[i] = c.Name
	}
	return names
}

func (t Table) compile(c condition, now time.Time) (sqlCondition, error) {
	column, err := t.column("filter", c.column)
	if err != nil {
		return sqlCondition{}, err
	}
	switch c.operator {
	case "~", "!~":
		return contains(column, c)
	case "=", "!=":
		return equals(column, c, now)
	}
	if column.Kind == Bool || len(c.values) > 1 {
		return sqlCondition{}, invalidFilter("%s%s cannot be used so; compare it with = or !=", c.column, c.operator)
	}
	value, err := column.parse(c, c.values[0], now)
	if err != nil {
		return sqlCondition{}, err
	}
	return sqlCondition{column.SQL + " " + c.operator + " ?", []any{value}}, nil
}

func contains(column Column, c condition) (sqlCondition, error) {
	if column.Kind != Text {
		return sqlCondition{}, invalidFilter("%s holds a %s and cannot be searched with %s; use = < or >", c.column, column.Kind, c.operator)
	}
	escape := strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`)
	var texts []string
	var args []any
	for _, value := range c.values {
		texts = append(texts, "lower("+column.SQL+`) LIKE lower(?) ESCAPE '\'`)
		args = append(args, "%"+escape.Replace(value)+"%")
	}
	return sqlCondition{negated(strings.Join(texts, " OR "), c.operator == "!~"), args}, nil
}

func equals(column Column, c condition, now time.Time) (sqlCondition, error) {
	var texts []string
	var args []any
	for _, value := range c.values {
		if column.Nullable && value == "none" {
			texts = append(texts, column.SQL+" IS NULL")
			continue
		}
		parsed, err := column.parse(c, value, now)
		if err != nil {
			return sqlCondition{}, err
		}
		switch parsed {
		case true:
			texts = append(texts, "("+column.SQL+")")
		case false:
			texts = append(texts, "NOT ("+column.SQL+")")
		default:
			equal := " = ?"
			if column.Nullable { // so that the negation holds for NULL too
				equal = " IS NOT DISTINCT FROM ?"
			}
			texts = append(texts, column.SQL+equal)
			args = append(args, parsed)
		}
	}
	return sqlCondition{negated(strings.Join(texts, " OR "), c.operator == "!="), args}, nil
}

func negated(text string, not bool) string {
	if not {
		return "NOT (" + text + ")"
	}
	return "(" + text + ")"
}

// parse reads a value of the column as its kind.
func (c Column) parse(in condition, value string, now time.Time) (any, error) {
	switch c.Kind {
	case Integer:
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			return nil, invalidFilter("%s is a number; %q is none", in.column, clip(value))
		}
		return n, nil
	case Bool:
		if value != "true" && value != "false" {
			return nil, invalidFilter("%s is true or false; %q is neither", in.column, clip(value))
		}
		return value == "true", nil
	case Time:
		at, ok := parseTime(value, now)
		if !ok {
			return nil, invalidFilter("%s is a time; write %q as 2026-01-31, 2026-01-31T12:00:00Z or an age such as 15m, 24h, 7d", in.column, clip(value))
		}
		return at.UnixMicro(), nil
	}
	if len(c.Values) > 0 && !slices.Contains(c.Values, value) {
		return nil, invalidFilter("%s is one of %s; %q is none of them", in.column, strings.Join(c.Values, ", "), clip(value))
	}
	return value, nil
}

func parseTime(value string, now time.Time) (time.Time, bool) {
	for _, layout := range []string{time.RFC3339Nano, time.DateOnly} {
		if at, err := time.Parse(layout, value); err == nil {
			return at, at.Year() >= 1970
		}
	}
	if days, found := strings.CutSuffix(value, "d"); found {
		n, err := strconv.ParseUint(days, 10, 16)
		return now.AddDate(0, 0, -int(n)), err == nil
	}
	age, err := time.ParseDuration(value)
	return now.Add(-age), err == nil && age >= 0
}

// Describe lists the columns for the documentation of a list.
func (t Table) Describe() string {
	described := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		what := c.Kind.String()
		if len(c.Values) > 0 {
			what = strings.Join(c.Values, " | ")
		}
		if c.Nullable {
			what += " | none"
		}
		described[i] = fmt.Sprintf("%s (%s)", c.Name, what)
	}
	return "Columns for filter and sort: " + strings.Join(described, ", ") + ". Order when none is asked for: " + t.Sort + "."
}
