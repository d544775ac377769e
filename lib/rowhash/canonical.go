package rowhash

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// Limits of a row.
const (
	// MaxRow is the largest canonical row in bytes.
	MaxRow = 64 << 10
	// MaxDepth is the deepest nesting: a row of plain columns has depth 1.
	MaxDepth = 16
)

// maxSource bounds what is read to get a row: every byte of it may have been
// written as an escape of six.
const maxSource = 6 * MaxRow

// ErrTooLarge and ErrTooDeep say which limit a row breaks.
var (
	ErrTooLarge = errors.New("row is too large")
	ErrTooDeep  = errors.New("row is nested too deep")
)

// Marshal appends the canonical form of a value that encoding/json turns into
// an object, usually a struct. Text that is not UTF-8 gets U+FFFD where it is
// broken.
func Marshal(dst []byte, row any) ([]byte, error) {
	text, err := json.Marshal(row)
	if err != nil {
		return dst, fmt.Errorf("cannot encode a row of type %T: %w", row, err)
	}
	return Canonical(dst, text)
}

// Canonical appends the canonical form of one JSON object to dst: keys sorted
// by their UTF-8 bytes, no white space, integers only, the shortest escapes. It
// refuses everything that has no single form; the error says where. After an
// error dst has its old length.
func Canonical(dst, source []byte) ([]byte, error) {
	if len(source) > maxSource {
		return dst, fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, len(source), maxSource)
	}
	c := canonicalizer{in: source, out: dst, base: len(dst)}
	c.space()
	err := c.object(1)
	if err == nil {
		c.space()
		if c.at < len(c.in) {
			err = c.errorf("something follows the row")
		}
	}
	if err != nil {
		return dst, err
	}
	return c.out, nil
}

type canonicalizer struct {
	in   []byte
	at   int
	out  []byte
	base int
}

func (c *canonicalizer) errorf(format string, args ...any) error {
	return fmt.Errorf("byte %d of the row: %w", c.at, fmt.Errorf(format, args...))
}

func (c *canonicalizer) space() {
	for c.at < len(c.in) {
		switch c.in[c.at] {
		case ' ', '\t', '\n', '\r':
			c.at++
		default:
			return
		}
	}
}

// peek is the next byte that is not white space, 0 at the end.
func (c *canonicalizer) peek() byte {
	c.space()
	if c.at == len(c.in) {
		return 0
	}
	return c.in[c.at]
}

func (c *canonicalizer) take(b byte) error {
	if got := c.peek(); got != b {
		if got == 0 {
			return c.errorf("the row ends where %q should be", b)
		}
		return c.errorf("%q where %q should be", got, b)
	}
	c.at++
	return nil
}

func (c *canonicalizer) value(depth int) error {
	if len(c.out)-c.base > MaxRow {
		return fmt.Errorf("%w: more than %d bytes", ErrTooLarge, MaxRow)
	}
	switch b := c.peek(); b {
	case '{':
		return c.object(depth)
	case '[':
		return c.array(depth)
	case '"':
		return c.text()
	case 't':
		return c.word("true")
	case 'f':
		return c.word("false")
	case 'n':
		return c.word("null")
	default:
		return c.number()
	}
}

// member is where a member stands in out: its key, quotes included, and its
// end.
type member struct{ start, keyEnd, end int }

func (c *canonicalizer) object(depth int) error {
	if depth > MaxDepth {
		return fmt.Errorf("%w: more than %d levels", ErrTooDeep, MaxDepth)
	}
	if err := c.take('{'); err != nil {
		return err
	}
	start := len(c.out)
	c.out = append(c.out, '{')
	var few [24]member
	members := few[:0]
	for first := true; c.peek() != '}'; first = false {
		if !first {
			if err := c.take(','); err != nil {
				return err
			}
			c.out = append(c.out, ',')
		}
		m, err := c.member(depth)
		if err != nil {
			return err
		}
		members = append(members, m)
	}
	c.at++
	if err := c.sortMembers(start+1, members); err != nil {
		return err
	}
	c.out = append(c.out, '}')
	if len(c.out)-c.base > MaxRow {
		return fmt.Errorf("%w: more than %d bytes", ErrTooLarge, MaxRow)
	}
	return nil
}

func (c *canonicalizer) member(depth int) (member, error) {
	m := member{start: len(c.out)}
	if b := c.peek(); b != '"' {
		return m, c.errorf("a member does not begin with a key")
	}
	if err := c.text(); err != nil {
		return m, err
	}
	m.keyEnd = len(c.out)
	if err := c.take(':'); err != nil {
		return m, err
	}
	c.out = append(c.out, ':')
	if err := c.value(depth + 1); err != nil {
		return m, err
	}
	m.end = len(c.out)
	return m, nil
}

// sortMembers puts the members, which were written in the order of the source,
// into their canonical order. The free end of out serves as scratch.
func (c *canonicalizer) sortMembers(start int, members []member) error {
	sorted := true
	for i := 1; i < len(members) && sorted; i++ {
		sorted = c.compareKeys(members[i-1], members[i]) < 0
	}
	if sorted {
		return nil
	}
	slices.SortFunc(members, c.compareKeys)
	end := len(c.out)
	for i, m := range members {
		if i > 0 {
			if c.compareKeys(members[i-1], m) == 0 {
				return c.errorf("key %.64s stands twice", c.out[m.start:m.keyEnd])
			}
			c.out = append(c.out, ',')
		}
		c.out = append(c.out, c.out[m.start:m.end]...)
	}
	copy(c.out[start:end], c.out[end:])
	c.out = c.out[:end]
	return nil
}

func (c *canonicalizer) compareKeys(a, b member) int {
	x, y := c.out[a.start+1:a.keyEnd-1], c.out[b.start+1:b.keyEnd-1]
	if bytes.IndexByte(x, '\\') >= 0 || bytes.IndexByte(y, '\\') >= 0 {
		x, y = unescape(x), unescape(y)
	}
	return bytes.Compare(x, y)
}

// unescape turns a key that this package wrote back into plain bytes.
func unescape(escaped []byte) []byte {
	var plain string
	quoted := append(append([]byte{'"'}, escaped...), '"')
	if json.Unmarshal(quoted, &plain) != nil {
		return escaped
	}
	return []byte(plain)
}

func (c *canonicalizer) array(depth int) error {
	if depth > MaxDepth {
		return fmt.Errorf("%w: more than %d levels", ErrTooDeep, MaxDepth)
	}
	c.at++
	c.out = append(c.out, '[')
	for first := true; c.peek() != ']'; first = false {
		if !first {
			if err := c.take(','); err != nil {
				return err
			}
			c.out = append(c.out, ',')
		}
		if err := c.value(depth + 1); err != nil {
			return err
		}
	}
	c.at++
	c.out = append(c.out, ']')
	return nil
}

func (c *canonicalizer) word(w string) error {
	if !bytes.HasPrefix(c.in[c.at:], []byte(w)) {
		return c.errorf("this is no JSON value")
	}
	c.at += len(w)
	c.out = append(c.out, w...)
	return nil
}

func (c *canonicalizer) number() error {
	start := c.at
	if c.at < len(c.in) && c.in[c.at] == '-' {
		c.at++
	}
	digits := c.at
	for c.at < len(c.in) && c.in[c.at] >= '0' && c.in[c.at] <= '9' {
		c.at++
	}
	text := c.in[start:c.at]
	switch {
	case c.at == digits:
		c.at = start
		return c.errorf("this is no JSON value")
	case c.at-digits > 1 && c.in[digits] == '0':
		return c.errorf("number %.40s begins with a zero", text)
	case c.at < len(c.in) && bytes.IndexByte([]byte(".eE"), c.in[c.at]) >= 0:
		return c.errorf("number %.40s… is not written as an integer", text)
	case !fits(text):
		return c.errorf("number %.40s is not between -2^63 and 2^64-1", text)
	case string(text) == "-0":
		text = text[1:]
	}
	c.out = append(c.out, text...)
	return nil
}

func fits(text []byte) bool {
	if len(text) < 19 {
		return true
	}
	if len(text) > 20 {
		return false
	}
	var err error
	if text[0] == '-' {
		_, err = strconv.ParseInt(string(text), 10, 64)
	} else {
		_, err = strconv.ParseUint(string(text), 10, 64)
	}
	return err == nil
}

func (c *canonicalizer) text() error {
	c.at++
	c.out = append(c.out, '"')
	run := c.at
	for c.at < len(c.in) {
		b := c.in[c.at]
		switch {
		case b == '"':
			c.out = append(append(c.out, c.in[run:c.at]...), '"')
			c.at++
			return nil
		case b == '\\':
			c.out = append(c.out, c.in[run:c.at]...)
			if err := c.escape(); err != nil {
				return err
			}
			run = c.at
		case b < 0x20:
			return c.errorf("control character %#02x stands bare in a text", b)
		case b < utf8.RuneSelf:
			c.at++
		default:
			r, size := utf8.DecodeRune(c.in[c.at:])
			if r == utf8.RuneError && size == 1 {
				return c.errorf("a text is not UTF-8")
			}
			c.at += size
		}
	}
	return c.errorf("a text does not end")
}

// escape reads one escape and writes what it means.
func (c *canonicalizer) escape() error {
	if c.at+1 >= len(c.in) {
		return c.errorf("a text does not end")
	}
	kind := c.in[c.at+1]
	if kind == 'u' {
		r, err := c.unicodeEscape()
		if err != nil {
			return err
		}
		c.out = appendRune(c.out, r)
		return nil
	}
	const names, means = `"\/bfnrt`, "\"\\/\b\f\n\r\t"
	i := bytes.IndexByte([]byte(names), kind)
	if i < 0 {
		return c.errorf("%q is no escape", c.in[c.at:c.at+2])
	}
	c.at += 2
	c.out = appendRune(c.out, rune(means[i]))
	return nil
}

func (c *canonicalizer) unicodeEscape() (rune, error) {
	r, ok := c.hex4()
	if !ok {
		return 0, c.errorf("\\u without four hex digits")
	}
	if r == 0 {
		return 0, c.errorf("a text holds U+0000")
	}
	if !utf16.IsSurrogate(r) {
		return r, nil
	}
	if c.at+1 < len(c.in) && c.in[c.at] == '\\' && c.in[c.at+1] == 'u' {
		if low, ok := c.hex4(); ok {
			if r = utf16.DecodeRune(r, low); r != utf8.RuneError {
				return r, nil
			}
		}
	}
	return 0, c.errorf("half of a surrogate pair")
}

// hex4 reads \uXXXX.
func (c *canonicalizer) hex4() (rune, bool) {
	if c.at+6 > len(c.in) {
		return 0, false
	}
	var r rune
	for _, b := range c.in[c.at+2 : c.at+6] {
		switch {
		case b >= '0' && b <= '9':
			r = r<<4 | rune(b-'0')
		case b >= 'a' && b <= 'f':
			r = r<<4 | rune(b-'a'+10)
		case b >= 'A' && b <= 'F':
			r = r<<4 | rune(b-'A'+10)
		default:
			return 0, false
		}
	}
	c.at += 6
	return r, true
}

// appendRune writes one character in its only canonical spelling.
func appendRune(dst []byte, r rune) []byte {
	switch r {
	case '"', '\\':
		return append(dst, '\\', byte(r))
	case '\b':
		return append(dst, '\\', 'b')
	case '\f':
		return append(dst, '\\', 'f')
	case '\n':
		return append(dst, '\\', 'n')
	case '\r':
		return append(dst, '\\', 'r')
	case '\t':
		return append(dst, '\\', 't')
	}
	if r < 0x20 {
		const digits = "0123456789abcdef"
		return append(dst, '\\', 'u', '0', '0', digits[r>>4], digits[r&15])
	}
	return utf8.AppendRune(dst, r)
}
