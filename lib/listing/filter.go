package listing

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"mainstay/lib/fault"
)

// Limits of a filter.
const (
	// MaxFilter is the longest filter in bytes.
	MaxFilter = 4096
	// MaxConditions is the largest number of conditions.
	MaxConditions = 32
	// MaxValues is the largest number of values of one condition.
	MaxValues = 100
)

// condition is one condition of a filter as it was written.
type condition struct {
	column   string
	operator string
	values   []string
}

// operators, longer ones first.
var operators = []string{"!=", "!~", "<=", ">=", "=", "~", "<", ">"}

// parseFilter reads a filter. White space around it is ignored; an empty one
// has no conditions.
func parseFilter(text string) ([]condition, error) {
	if len(text) > MaxFilter {
		return nil, invalidFilter("is longer than %d bytes", MaxFilter)
	}
	if !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
		return nil, invalidFilter("is not UTF-8 text")
	}
	p := &filterParser{rest: strings.TrimSpace(text)}
	var conditions []condition
	for p.rest != "" {
		if len(conditions) == MaxConditions {
			return nil, invalidFilter("has more than %d conditions", MaxConditions)
		}
		c, err := p.condition()
		if err != nil {
			return nil, err
		}
		conditions = append(conditions, c)
		if err := p.and(); err != nil {
			return nil, err
		}
	}
	return conditions, nil
}

func invalidFilter(format string, args ...any) error {
	return fault.InvalidField("filter", format, args...)
}

// filterParser reads a filter from left to right.
type filterParser struct{ rest string }

func (p *filterParser) space() { p.rest = strings.TrimLeftFunc(p.rest, unicode.IsSpace) }

// and reads the word between two conditions, or the end.
func (p *filterParser) and() error {
	p.space()
	if p.rest == "" {
		return nil
	}
	word, rest, _ := strings.Cut(p.rest, " ")
	if !strings.EqualFold(word, "and") {
		return invalidFilter("has %q where 'and' or the end should be; put values with spaces in quotation marks", clip(p.rest))
	}
	p.rest = rest
	p.space()
	if p.rest == "" {
		return invalidFilter("ends after 'and'; add a condition or leave it out")
	}
	return nil
}

func (p *filterParser) condition() (condition, error) {
	end := strings.IndexFunc(p.rest, func(r rune) bool { return r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	if end < 0 {
		end = len(p.rest)
	}
	if end == 0 {
		return condition{}, invalidFilter("has %q where a condition such as name~web should be", clip(p.rest))
	}
	c := condition{column: p.rest[:end]}
	p.rest = p.rest[end:]
	p.space()
	at := slices.IndexFunc(operators, func(o string) bool { return strings.HasPrefix(p.rest, o) })
	if at < 0 {
		return condition{}, invalidFilter("has %q after %s where one of = != ~ !~ < <= > >= should be", clip(p.rest), c.column)
	}
	c.operator = operators[at]
	p.rest = p.rest[len(c.operator):]
	for {
		p.space()
		value, err := p.value(c)
		if err != nil {
			return condition{}, err
		}
		if len(c.values) == MaxValues {
			return condition{}, invalidFilter("has more than %d values for %s", MaxValues, c.column)
		}
		c.values = append(c.values, value)
		if !strings.HasPrefix(p.rest, ",") {
			return c, nil
		}
		p.rest = p.rest[1:]
	}
}

func (p *filterParser) value(c condition) (string, error) {
	if strings.HasPrefix(p.rest, `"`) {
		return p.quoted(c)
	}
	end := strings.IndexFunc(p.rest, func(r rune) bool { return r == ',' || r == '"' || unicode.IsSpace(r) })
	if end < 0 {
		end = len(p.rest)
	}
	if end == 0 {
		return "", invalidFilter("has no value after %s%s; write \"\" for an empty one", c.column, c.operator)
	}
	value := p.rest[:end]
	p.rest = p.rest[end:]
	return value, nil
}

func (p *filterParser) quoted(c condition) (string, error) {
	var value strings.Builder
	for i := 1; i < len(p.rest); i++ {
		switch b := p.rest[i]; {
		case b == '"':
			p.rest = p.rest[i+1:]
			return value.String(), nil
		case b == '\\' && i+1 < len(p.rest) && (p.rest[i+1] == '"' || p.rest[i+1] == '\\'):
			i++
			value.WriteByte(p.rest[i])
		default:
			value.WriteByte(b)
		}
	}
	return "", invalidFilter("has a quotation mark after %s%s that is never closed", c.column, c.operator)
}

// clip shortens what a user wrote for an error message.
func clip(text string) string {
	const most = 40
	if utf8.RuneCountInString(text) <= most {
		return text
	}
	return string([]rune(text)[:most]) + "…"
}
