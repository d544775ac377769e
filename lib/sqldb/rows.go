package sqldb

import (
	"database/sql"
	"reflect"
)

// ScanRows reads the rows of a statement whose text was built at run time, as
// lists of an API are. The last len(extra) columns go into extra (pointers)
// before each call of f, the others into the fields of Out. It closes the rows.
func ScanRows[Out any](rows *sql.Rows, extra []any, f func(Out) error) error {
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return err
	}
	own := max(0, len(columns)-len(extra))
	paths, err := columnPaths(reflect.TypeFor[Out](), columns[:own])
	if err != nil {
		return err
	}
	targets := append(make([]any, own), extra...)
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
