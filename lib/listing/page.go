package listing

import (
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"mainstay/lib/fault"
	"mainstay/lib/sqldb"
)

// Querier runs a statement whose text was built at run time.
type Querier interface {
	Query(ctx context.Context, text string, args ...any) (*sql.Rows, error)
}

// Source is where the rows of a list come from. Its texts come from code, never
// from a user; each argument is a ? in them.
type Source struct {
	// Columns are the result columns, each a field of the list's row type.
	Columns string
	// From is the table with its joins.
	From string
	// Where holds for every row of the list, whatever the filter says; empty
	// for all rows.
	Where string
	Args  []any
}

// Page is one page of a list.
type Page[T any] struct {
	Items []T
	// Next is the cursor of the next page; empty on the last.
	Next string
	// Total is the number of rows on all pages, where Request.Count asked.
	Total *int64
}

// List reads one page.
func List[T any](ctx context.Context, q Querier, p *Plan, s Source) (Page[T], error) {
	page := Page[T]{Items: []T{}}
	if p.count {
		total, err := count(ctx, q, p, s)
		if err != nil {
			return page, err
		}
		page.Total = &total
	}
	text, args := p.selectText(s)
	rows, err := q.Query(ctx, text, args...)
	if err != nil {
		return page, fmt.Errorf("cannot read the list: %w", err)
	}
	var sortValue, keyValue any
	var last mark
	err = sqldb.ScanRows(rows, []any{&sortValue, &keyValue}, func(row T) error {
		if len(page.Items) == p.limit {
			page.Next = last.encode()
			return nil
		}
		page.Items = append(page.Items, row)
		last = mark{Sort: p.sortText, Value: plain(sortValue), Key: plain(keyValue)}
		return nil
	})
	if err != nil {
		return page, fmt.Errorf("cannot read the list: %w", err)
	}
	return page, nil
}

func (p *Plan) selectText(s Source) (string, []any) {
	b := &builder{}
	sortSQL, keySQL := p.sort.sortable(), p.key.sortable()
	b.add("SELECT "+s.Columns+", "+sortSQL+", "+keySQL+" FROM "+s.From, nil)
	p.where(b, s)
	direction, compare := "ASC", ">"
	if p.descending {
		direction, compare = "DESC", "<"
	}
	if p.after != nil {
		b.add(fmt.Sprintf(" AND (%s, %s) %s (?, ?)", sortSQL, keySQL, compare), []any{p.after.Value, p.after.Key})
	}
	// One row more than wanted tells whether there is another page.
	b.add(fmt.Sprintf(" ORDER BY %s %s, %s %s LIMIT ?", sortSQL, direction, keySQL, direction), []any{int64(p.limit + 1)})
	return b.text.String(), b.args
}

func (p *Plan) where(b *builder, s Source) {
	if s.Where == "" {
		s.Where = "TRUE"
	}
	b.add(" WHERE ("+s.Where+")", s.Args)
	for _, c := range p.conditions {
		b.add(" AND "+c.text, c.args)
	}
}

// sortable is the expression without NULL, which engines sort differently.
func (c Column) sortable() string {
	switch {
	case c.Kind == Bool:
		return "(CASE WHEN " + c.SQL + " THEN 1 ELSE 0 END)"
	case !c.Nullable:
		return c.SQL
	case c.Kind == Text:
		return "coalesce(" + c.SQL + ", '')"
	}
	return "coalesce(" + c.SQL + ", 0)"
}

func count(ctx context.Context, q Querier, p *Plan, s Source) (int64, error) {
	b := &builder{}
	b.add("SELECT count(*) AS n FROM "+s.From, nil)
	p.where(b, s)
	rows, err := q.Query(ctx, b.text.String(), b.args...)
	if err != nil {
		return 0, fmt.Errorf("cannot count the list: %w", err)
	}
	var n int64
	err = sqldb.ScanRows(rows, []any{&n}, func(struct{}) error { return nil })
	return n, err
}

// builder puts a statement together and numbers its arguments.
type builder struct {
	text strings.Builder
	args []any
}

func (b *builder) add(text string, args []any) {
	for _, part := range strings.SplitAfter(text, "?") {
		if part, found := strings.CutSuffix(part, "?"); found {
			b.args = append(b.args, args[0])
			args = args[1:]
			b.text.WriteString(part + "$" + strconv.Itoa(len(b.args)))
			continue
		}
		b.text.WriteString(part)
	}
}

// mark is the end of a page: the last row's place in the order.
type mark struct {
	Sort  string `json:"s"`
	Value any    `json:"v"`
	Key   any    `json:"k"`
}

func (m mark) encode() string {
	data, err := json.Marshal(m)
	if err != nil {
		return "" // values are integers and strings only
	}
	return base64.RawURLEncoding.EncodeToString(data)
}

// maxCursor bounds what is decoded, in bytes.
const maxCursor = 8192

// parseMark reads a cursor, which may come from anybody.
func (p *Plan) parseMark(cursor string) (*mark, error) {
	invalid := fault.InvalidField("cursor", "does not belong to this list and order; begin again without a cursor")
	if len(cursor) > maxCursor {
		return nil, invalid
	}
	data, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil {
		return nil, invalid
	}
	var m mark
	decoder := json.NewDecoder(strings.NewReader(string(data)))
	decoder.UseNumber()
	if err := decoder.Decode(&m); err != nil || m.Sort != p.sortText {
		return nil, invalid
	}
	var okValue, okKey bool
	m.Value, okValue = p.sort.fromCursor(m.Value)
	m.Key, okKey = p.key.fromCursor(m.Key)
	if !okValue || !okKey {
		return nil, invalid
	}
	return &m, nil
}

// fromCursor checks that a value is of the column's kind.
func (c Column) fromCursor(value any) (any, bool) {
	if c.Kind == Text {
		text, ok := value.(string)
		return text, ok
	}
	number, ok := value.(json.Number)
	if !ok {
		return nil, false
	}
	n, err := number.Int64()
	return n, err == nil
}

// plain turns what a driver scans into what a cursor holds.
func plain(value any) any {
	if data, ok := value.([]byte); ok {
		return string(data)
	}
	return value
}
