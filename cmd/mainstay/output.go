package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/goccy/go-yaml"

	"mainstay/lib/fault"
)

// Forms of output.
const (
	formatPretty = "pretty"
	formatJSON   = "json"
	formatYAML   = "yaml"
	formatCSV    = "csv"
)

var formats = []string{formatPretty, formatJSON, formatYAML, formatCSV}

// tone is the colour of a cell on a terminal.
type tone int

const (
	plain tone = iota
	good
	bad
	doubtful
)

var toneCodes = map[tone]string{good: "\x1b[32m", bad: "\x1b[31m", doubtful: "\x1b[33m"}

// column is one column of a table over items of a type.
type column[T any] struct {
	head string
	// cell is what people read.
	cell func(T) string
	// raw is what programs read in CSV, where it differs.
	raw  func(T) string
	tone func(T) tone
	// right aligns numbers.
	right bool
}

// printList shows items in the form that the user wants.
func printList[T any](p *program, items []T, columns []column[T]) error {
	if items == nil {
		items = []T{}
	}
	switch p.format {
	case formatCSV:
		return writeCSV(p.env.out, items, columns)
	case formatPretty:
		return writeTable(p.env.out, items, columns, p.env.colour)
	}
	return p.printValue(items)
}

// field is one line about an object.
type field struct {
	label, text string
	tone        tone
}

// printObject shows one object; fields without a text are left out.
func (p *program) printObject(value any, fields []field) error {
	if p.format == formatPretty {
		return writeFields(p.env.out, fields, p.env.colour)
	}
	return p.printValue(value)
}

// printDone tells what was done, for people; programs get the object.
func (p *program) printDone(value any, format string, args ...any) error {
	if p.format == formatPretty {
		_, err := fmt.Fprintln(p.env.out, printable(fmt.Sprintf(format, args...)))
		return err
	}
	return p.printValue(value)
}

// printValue shows a value as JSON or YAML.
func (p *program) printValue(value any) error {
	data, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return fmt.Errorf("cannot write the answer as JSON: %w", err)
	}
	switch p.format {
	case formatYAML:
		if data, err = yaml.JSONToYAML(data); err != nil {
			return fmt.Errorf("cannot write the answer as YAML: %w", err)
		}
	case formatJSON:
		data = append(data, '\n')
	case formatCSV:
		return fault.New(fault.Invalid, "one object has no form as CSV; use -o json or -o yaml")
	}
	_, err = p.env.out.Write(data)
	return err
}

// checkFormat refuses a form that does not exist.
func (p *program) checkFormat() error {
	if !slices.Contains(formats, p.format) {
		return fault.New(fault.Invalid, "%q is no form of output; use -o %s", p.format, strings.Join(formats, ", -o "))
	}
	return nil
}

func writeCSV[T any](w io.Writer, items []T, columns []column[T]) error {
	out := csv.NewWriter(w)
	head := make([]string, len(columns))
	for i, c := range columns {
		head[i] = strings.ReplaceAll(strings.ToLower(c.head), " ", "_")
	}
	if err := out.Write(head); err != nil {
		return err
	}
	for _, item := range items {
		row := make([]string, len(columns))
		for i, c := range columns {
			if c.raw != nil {
				row[i] = c.raw(item)
			} else {
				row[i] = c.cell(item)
			}
		}
		if err := out.Write(row); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

func writeTable[T any](w io.Writer, items []T, columns []column[T], colour bool) error {
	cells := make([][]string, 0, len(items)+1)
	head := make([]string, len(columns))
	width := make([]int, len(columns))
	for i, c := range columns {
		head[i] = strings.ToUpper(c.head)
	}
	cells = append(cells, head)
	for _, item := range items {
		row := make([]string, len(columns))
		for i, c := range columns {
			row[i] = printable(c.cell(item))
		}
		cells = append(cells, row)
	}
	for _, row := range cells {
		for i, text := range row {
			width[i] = max(width[i], utf8.RuneCountInString(text))
		}
	}
	var b bytes.Buffer
	for r, row := range cells {
		var line strings.Builder
		for i, text := range row {
			t := plain
			if r > 0 && columns[i].tone != nil {
				t = columns[i].tone(items[r-1])
			}
			line.WriteString(cell(text, width[i], i == len(row)-1, columns[i].right, t, colour))
		}
		b.WriteString(strings.TrimRight(line.String(), " "))
		b.WriteByte('\n')
	}
	_, err := w.Write(b.Bytes())
	return err
}

// cell pads a text to its column, two spaces before the next.
func cell(text string, width int, last, right bool, t tone, colour bool) string {
	space := strings.Repeat(" ", width-utf8.RuneCountInString(text))
	if code := toneCodes[t]; code != "" && colour {
		text = code + text + "\x1b[0m"
	}
	if right {
		text = space + text
	} else {
		text += space
	}
	if last {
		return text
	}
	return text + "  "
}

func writeFields(w io.Writer, fields []field, colour bool) error {
	width := 0
	for _, f := range fields {
		if f.text != "" {
			width = max(width, utf8.RuneCountInString(f.label)+1)
		}
	}
	var b bytes.Buffer
	for _, f := range fields {
		if f.text == "" {
			continue
		}
		text := strings.ReplaceAll(printable(f.text), "\n", "\n"+strings.Repeat(" ", width+2))
		if code := toneCodes[f.tone]; code != "" && colour {
			text = code + text + "\x1b[0m"
		}
		fmt.Fprintf(&b, "%-*s  %s\n", width, f.label+":", text)
	}
	_, err := w.Write(b.Bytes())
	return err
}

// printable replaces what could command a terminal or hide what is written:
// names and messages come from machines that nobody trusts.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n':
			return r
		case r == '\t':
			return ' '
		case unicode.IsControl(r) || r == utf8.RuneError:
			return '\uFFFD'
		case unicode.Is(unicode.Cf, r): // directions and joiners that change what is seen
			return '\uFFFD'
		}
		return r
	}, text)
}
