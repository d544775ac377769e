package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"

	"mainstay/lib/fault"
)

// Preparer gives prepared statements; *sql.DB, *sql.Conn and *sql.Tx do.
type Preparer interface {
	PrepareContext(ctx context.Context, query string) (*sql.Stmt, error)
}

// Session runs statements inside one transaction or connection. Its owner
// decides whether statements stay prepared.
type Session interface {
	// Prepared returns the statement for the text, ready to run in this
	// session. The session closes it.
	Prepared(ctx context.Context, text string) (*sql.Stmt, error)
}

// None is the input or output type of a statement that has none.
type None struct{}

// Statement is a SQL statement with typed input and output.
type Statement[In, Out any] struct {
	name   string
	text   string
	fields [][]int // per parameter, the index path of its field in In
	err    error   // a defect in the definition, found when it was made
	many   manyRows
	texts  sync.Map // number of rows → text of a statement of many rows
}

type manyRows struct{ head, row, tail string }

// Define makes a statement from text with @name parameters, each the name of a
// field of In. A defect is reported by Check and by every use.
func Define[In, Out any](name, text string) *Statement[In, Out] {
	s := &Statement[In, Out]{name: name}
	s.text, s.fields, s.err = bind(reflect.TypeFor[In](), text, 0)
	return s
}

// DefineMany makes a statement that inserts many rows at once: the text holds
// one group of values in double brackets, [[(@a, @b)]], repeated per row.
func DefineMany[In any](name, text string) *Statement[In, None] {
	return DefineManyOut[In, None](name, text)
}

// DefineManyOut is DefineMany for a statement that returns rows (see AllMany).
func DefineManyOut[In, Out any](name, text string) *Statement[In, Out] {
	s := &Statement[In, Out]{name: name}
	head, rest, ok := strings.Cut(text, "[[")
	row, tail, ok2 := strings.Cut(rest, "]]")
	if !ok || !ok2 {
		s.err = errors.New("no [[(…)]] group")
		return s
	}
	s.many = manyRows{head, row, tail}
	_, s.fields, s.err = bind(reflect.TypeFor[In](), row, 0)
	if s.err == nil && len(s.fields) == 0 {
		s.err = errors.New("the [[(…)]] group has no parameter")
	}
	return s
}

// Name is the statement's name, for errors and measurements.
func (s *Statement[In, Out]) Name() string { return s.name }

// Check prepares the statement and reports a defect of its definition, its
// SQL or a result column without a field.
func (s *Statement[In, Out]) Check(ctx context.Context, p Preparer) error {
	if s.err != nil {
		return s.fail(s.err)
	}
	text := s.text
	if s.many.row != "" {
		text = s.manyText(2)
	}
	stmt, err := p.PrepareContext(ctx, text)
	if err != nil {
		return s.fail(err)
	}
	return stmt.Close()
}

// Exec runs the statement and returns the number of rows it changed.
func (s *Statement[In, Out]) Exec(ctx context.Context, session Session, in In) (int64, error) {
	stmt, err := s.prepared(ctx, session)
	if err != nil {
		return 0, err
	}
	result, err := stmt.ExecContext(ctx, s.args(reflect.ValueOf(in))...)
	if err != nil {
		return 0, s.fail(err)
	}
	n, err := result.RowsAffected()
	if err != nil {
		return 0, s.fail(err)
	}
	return n, nil
}

// maxParameters is what both engines take in one statement.
const maxParameters = 900

// ExecMany runs a statement of DefineMany over all rows, as many per statement
// as the engines' limit of parameters allows.
func (s *Statement[In, Out]) ExecMany(ctx context.Context, session Session, rows []In) error {
	return s.eachChunk(ctx, session, rows, func(stmt *sql.Stmt, args []any) error {
		_, err := stmt.ExecContext(ctx, args...)
		return err
	})
}

// AllMany runs a statement of DefineManyOut over all rows and returns all rows
// of its results.
func (s *Statement[In, Out]) AllMany(ctx context.Context, session Session, rows []In) ([]Out, error) {
	out := []Out{}
	err := s.eachChunk(ctx, session, rows, func(stmt *sql.Stmt, args []any) error {
		found, err := stmt.QueryContext(ctx, args...)
		if err != nil {
			return err
		}
		defer found.Close()
		return scan(found, func(row Out) error {
			out = append(out, row)
			return nil
		})
	})
	return out, err
}

// eachChunk runs f over the rows in powers of two, so that few texts need to
// be prepared.
func (s *Statement[In, Out]) eachChunk(ctx context.Context, session Session, rows []In, f func(*sql.Stmt, []any) error) error {
	if s.err != nil {
		return s.fail(s.err)
	}
	n := 1
	for n*2*len(s.fields) <= maxParameters {
		n *= 2
	}
	args := make([]any, 0, min(n, len(rows))*len(s.fields))
	for len(rows) > 0 {
		for n > len(rows) {
			n /= 2
		}
		stmt, err := session.Prepared(ctx, s.manyText(n))
		if err != nil {
			return s.fail(err)
		}
		args = args[:0]
		for i := range rows[:n] {
			in := reflect.ValueOf(&rows[i]).Elem()
			for _, path := range s.fields {
				args = append(args, in.FieldByIndex(path).Interface())
			}
		}
		if err := f(stmt, args); err != nil {
			return s.fail(err)
		}
		rows = rows[n:]
	}
	return nil
}

func (s *Statement[In, Out]) manyText(rows int) string {
	if text, ok := s.texts.Load(rows); ok {
		return text.(string)
	}
	var b strings.Builder
	b.WriteString(s.many.head)
	for i := range rows {
		// The row was bound when the statement was made, so this cannot fail.
		row, _, _ := bind(reflect.TypeFor[In](), s.many.row, i*len(s.fields))
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(row)
	}
	b.WriteString(s.many.tail)
	s.texts.Store(rows, b.String())
	return b.String()
}

// All runs the statement and returns all rows.
func (s *Statement[In, Out]) All(ctx context.Context, session Session, in In) ([]Out, error) {
	out := []Out{}
	err := s.Each(ctx, session, in, func(row Out) error {
		out = append(out, row)
		return nil
	})
	return out, err
}

// One runs the statement and returns its only row; ok is false when there is
// none.
func (s *Statement[In, Out]) One(ctx context.Context, session Session, in In) (row Out, ok bool, err error) {
	rows, err := s.All(ctx, session, in)
	if err != nil || len(rows) == 0 {
		return row, false, err
	}
	if len(rows) > 1 {
		return row, false, s.fail(fmt.Errorf("%d rows where one was expected", len(rows)))
	}
	return rows[0], true, nil
}

// Each runs the statement and calls f for each row until f fails.
func (s *Statement[In, Out]) Each(ctx context.Context, session Session, in In, f func(Out) error) error {
	stmt, err := s.prepared(ctx, session)
	if err != nil {
		return err
	}
	rows, err := stmt.QueryContext(ctx, s.args(reflect.ValueOf(in))...)
	if err != nil {
		return s.fail(err)
	}
	defer rows.Close()
	if err := scan(rows, f); err != nil {
		return s.fail(err)
	}
	return nil
}

func scan[Out any](rows *sql.Rows, f func(Out) error) error {
	columns, err := rows.Columns()
	if err != nil {
		return err
	}
	paths, err := columnPaths(reflect.TypeFor[Out](), columns)
	if err != nil {
		return err
	}
	targets := make([]any, len(columns))
	for rows.Next() {
		var out Out
		v := reflect.ValueOf(&out).Elem()
		for i, path := range paths {
			targets[i] = v.FieldByIndex(path).Addr().Interface()
		}
		if err := rows.Scan(targets...); err != nil {
			return err
		}
		if err := f(out); err != nil {
			return err
		}
	}
	return rows.Err()
}

func (s *Statement[In, Out]) prepared(ctx context.Context, session Session) (*sql.Stmt, error) {
	if s.err != nil {
		return nil, s.fail(s.err)
	}
	stmt, err := session.Prepared(ctx, s.text)
	if err != nil {
		return nil, s.fail(err)
	}
	return stmt, nil
}

func (s *Statement[In, Out]) args(in reflect.Value) []any {
	args := make([]any, len(s.fields))
	for i, path := range s.fields {
		args[i] = in.FieldByIndex(path).Interface()
	}
	return args
}

func (s *Statement[In, Out]) fail(err error) error {
	var known *fault.Error
	if errors.As(err, &known) {
		return err
	}
	return fmt.Errorf("statement %s: %w", s.name, err)
}

// bind replaces @name by $n and finds the fields. Quoted text and comments are
// left alone.
func bind(in reflect.Type, text string, offset int) (string, [][]int, error) {
	fields := fieldPaths(in)
	var (
		out   strings.Builder
		paths [][]int
		seen  = map[string]int{}
	)
	for i := 0; i < len(text); {
		if skip := quoted(text[i:]); skip > 0 {
			out.WriteString(text[i : i+skip])
			i += skip
			continue
		}
		if text[i] != '@' {
			out.WriteByte(text[i])
			i++
			continue
		}
		end := i + 1
		for end < len(text) && isName(text[end]) {
			end++
		}
		name := text[i+1 : end]
		path, ok := fields[name]
		if !ok {
			return "", nil, fmt.Errorf("parameter @%s is no field of %s", name, in)
		}
		if seen[name] == 0 {
			paths = append(paths, path)
			seen[name] = offset + len(paths)
		}
		fmt.Fprintf(&out, "$%d", seen[name])
		i = end
	}
	return out.String(), paths, nil
}

// quoted returns the length of the string, quoted name or comment that text
// begins with, 0 when it begins with none.
func quoted(text string) int {
	end := ""
	switch {
	case strings.HasPrefix(text, "'"):
		end = "'"
	case strings.HasPrefix(text, `"`):
		end = `"`
	case strings.HasPrefix(text, "--"):
		end = "\n"
	default:
		return 0
	}
	if at := strings.Index(text[1:], end); at >= 0 {
		return at + 1 + len(end)
	}
	return len(text)
}

func isName(c byte) bool {
	return c == '_' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c >= 'A' && c <= 'Z'
}

var fieldCache sync.Map // reflect.Type → map[string][]int

func fieldPaths(t reflect.Type) map[string][]int {
	if cached, ok := fieldCache.Load(t); ok {
		return cached.(map[string][]int)
	}
	paths := map[string][]int{}
	for _, field := range reflect.VisibleFields(t) {
		if name := field.Tag.Get("db"); name != "" {
			paths[name] = field.Index
		}
	}
	fieldCache.Store(t, paths)
	return paths
}

func columnPaths(out reflect.Type, columns []string) ([][]int, error) {
	fields := fieldPaths(out)
	paths := make([][]int, len(columns))
	for i, column := range columns {
		path, ok := fields[column]
		if !ok {
			return nil, fmt.Errorf("result column %q is no field of %s", column, out)
		}
		paths[i] = path
	}
	return paths, nil
}
