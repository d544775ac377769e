package inbox

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"mainstay/wire"
)

// Encodings of a body.
const (
	// EncodingPlain is a body as it is.
	EncodingPlain = ""
	// EncodingZstd is a body compressed with zstd.
	EncodingZstd = "zstd"
)

// decodeMessages reads the plain body of an upload and checks it against the
// header. Bodies of messages are valid JSON within the limits and are slices of
// plain; what they mean is for the features. An upload is refused as a whole.
func decodeMessages(plain []byte, u wire.Upload) ([]wire.Message, error) {
	if len(plain) > wire.MaxUploadPlainBytes {
		return nil, fmt.Errorf("body has %d bytes, at most %d are allowed", len(plain), wire.MaxUploadPlainBytes)
	}
	if !utf8.Valid(plain) {
		return nil, errors.New("body is not UTF-8")
	}
	s := scanner{in: plain}
	messages := make([]wire.Message, 0, min(u.Count, wire.MaxMessages))
	err := s.array(func() error {
		if len(messages) == u.Count {
			return fmt.Errorf("body holds more than the %d messages that the header says", u.Count)
		}
		m, err := s.message()
		if err != nil {
			return fmt.Errorf("message %d: %w", len(messages)+1, err)
		}
		messages = append(messages, m)
		return nil
	})
	if err == nil {
		err = s.end()
	}
	if err == nil {
		err = checkMessages(messages, u)
	}
	if err != nil {
		return nil, err
	}
	return messages, nil
}

func checkMessages(messages []wire.Message, u wire.Upload) error {
	if len(messages) == 0 || len(messages) != u.Count {
		return fmt.Errorf("body holds %d messages and the header says %d", len(messages), u.Count)
	}
	before := int64(0)
	for i, m := range messages {
		switch {
		case m.Incarnation != u.Born:
			return fmt.Errorf("message %d was born in %.20q and the header says %s", i+1, m.Incarnation, u.Born)
		case m.Number <= before:
			return fmt.Errorf("message %d has number %d after %d; numbers must grow", i+1, m.Number, before)
		case len(m.ID) != 32 || strings.Trim(m.ID, "0123456789abcdef") != "":
			return fmt.Errorf("message %d has the identifier %.40q, want 32 hex digits", i+1, m.ID)
		case len(m.Type) == 0 || len(m.Type) > 64:
			return fmt.Errorf("message %d has a type of %d bytes, want 1 to 64", i+1, len(m.Type))
		case len(m.Body) == 0:
			return fmt.Errorf("message %d has no body", i+1)
		case len(m.Body) > wire.MaxMessageBytes:
			return fmt.Errorf("message %d has a body of %d bytes, at most %d are allowed", i+1, len(m.Body), wire.MaxMessageBytes)
		}
		before = m.Number
	}
	if messages[0].Number != u.First || before != u.Last {
		return fmt.Errorf("numbers go from %d to %d and the header says %d to %d", messages[0].Number, before, u.First, u.Last)
	}
	return nil
}

// scanner reads JSON once, from left to right, no deeper than wire.MaxDepth.
// encoding/json would read the bodies three times and knows no depth.
type scanner struct {
	in    []byte
	at    int
	depth int
}

var errEnd = errors.New("the text ends too early")

func (s *scanner) errorf(format string, args ...any) error {
	return fmt.Errorf("byte %d: %w", s.at, fmt.Errorf(format, args...))
}

// peek is the next byte that is not white space, 0 at the end.
func (s *scanner) peek() byte {
	for ; s.at < len(s.in); s.at++ {
		switch s.in[s.at] {
		case ' ', '\t', '\n', '\r':
		default:
			return s.in[s.at]
		}
	}
	return 0
}

func (s *scanner) take(b byte) error {
	switch got := s.peek(); got {
	case b:
		s.at++
		return nil
	case 0:
		return errEnd
	default:
		return s.errorf("%q where %q should be", got, b)
	}
}

// end fails when something follows.
func (s *scanner) end() error {
	if s.peek() != 0 || s.at < len(s.in) {
		return s.errorf("something follows the last message")
	}
	return nil
}

// array reads [ … ] and calls f before each element, which f must read.
func (s *scanner) array(f func() error) error {
	return s.list('[', ']', f)
}

// object reads { … } and calls f after each key, for its value.
func (s *scanner) object(f func(key []byte) error) error {
	return s.list('{', '}', func() error {
		key, err := s.text()
		if err != nil {
			return err
		}
		if err := s.take(':'); err != nil {
			return err
		}
		return f(key)
	})
}

func (s *scanner) list(open, close byte, f func() error) error {
	if err := s.take(open); err != nil {
		return err
	}
	if s.depth++; s.depth > wire.MaxDepth {
		return s.errorf("nested deeper than %d", wire.MaxDepth)
	}
	for first := true; ; first = false {
		if s.peek() == close && first {
			break
		}
		if err := f(); err != nil {
			return err
		}
		if s.peek() == close {
			break
		}
		if err := s.take(','); err != nil {
			return err
		}
	}
	s.at++
	s.depth--
	return nil
}

func (s *scanner) message() (wire.Message, error) {
	var m wire.Message
	seen := 0
	err := s.object(func(key []byte) error {
		start := s.at
		bit := 0
		var err error
		switch string(key) {
		case "incarnation":
			bit = 1
			m.Incarnation, err = s.string()
		case "id":
			bit = 2
			m.ID, err = s.string()
		case "type":
			bit = 4
			m.Type, err = s.string()
		case "number":
			bit = 8
			m.Number, err = s.integer()
		case "time":
			bit = 16
			m.Time, err = s.integer()
		case "body":
			bit = 32
			s.peek()
			start = s.at
			err = s.skip()
			m.Body = s.in[start:s.at:s.at]
		default:
			err = s.skip()
		}
		if err != nil {
			return fmt.Errorf("%.40s: %w", key, err)
		}
		if seen&bit != 0 {
			s.at = start
			return s.errorf("%s stands twice", key)
		}
		seen |= bit
		return nil
	})
	return m, err
}

// string reads a text of the envelope, which needs no escapes.
func (s *scanner) string() (string, error) {
	text, err := s.text()
	if err == nil && bytes.IndexByte(text, '\\') >= 0 {
		err = s.errorf("escapes are not allowed here")
	}
	return string(text), err
}

// integer reads a number of the envelope.
func (s *scanner) integer() (int64, error) {
	s.peek()
	start := s.at
	if err := s.number(); err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(string(s.in[start:s.at]), 10, 64)
	if err != nil {
		return 0, s.errorf("%.40q is not a whole number of 64 bits", s.in[start:s.at])
	}
	return n, nil
}

// skip reads any value.
func (s *scanner) skip() error {
	switch b := s.peek(); {
	case b == '{':
		return s.object(func([]byte) error { return s.skip() })
	case b == '[':
		return s.array(s.skip)
	case b == '"':
		_, err := s.text()
		return err
	case b == '-' || b >= '0' && b <= '9':
		return s.number()
	case b == 0:
		return errEnd
	}
	for _, word := range [...]string{"true", "false", "null"} {
		if bytes.HasPrefix(s.in[s.at:], []byte(word)) {
			s.at += len(word)
			return nil
		}
	}
	return s.errorf("this is no JSON value")
}

// text reads a string and returns what stands between the quotation marks.
func (s *scanner) text() ([]byte, error) {
	if err := s.take('"'); err != nil {
		return nil, err
	}
	start := s.at
	for s.at < len(s.in) {
		switch b := s.in[s.at]; {
		case b == '"':
			s.at++
			return s.in[start : s.at-1], nil
		case b == '\\':
			if err := s.escape(); err != nil {
				return nil, err
			}
		case b < 0x20:
			return nil, s.errorf("control character in a text")
		default:
			s.at++
		}
	}
	return nil, errEnd
}

func (s *scanner) escape() error {
	if s.at+1 >= len(s.in) {
		return errEnd
	}
	switch s.in[s.at+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		s.at += 2
		return nil
	case 'u':
		if s.at+6 > len(s.in) {
			return errEnd
		}
		var plain string
		if json.Unmarshal(append(append([]byte{'"'}, s.in[s.at:s.at+6]...), '"'), &plain) != nil {
			return s.errorf("\\u without four hex digits")
		}
		s.at += 6
		return nil
	}
	return s.errorf("unknown escape")
}

func (s *scanner) number() error {
	digits := func() bool {
		start := s.at
		for s.at < len(s.in) && s.in[s.at] >= '0' && s.in[s.at] <= '9' {
			s.at++
		}
		return s.at > start
	}
	has := func(chars string) bool {
		if s.at < len(s.in) && strings.IndexByte(chars, s.in[s.at]) >= 0 {
			s.at++
			return true
		}
		return false
	}
	has("-")
	switch {
	case has("0"):
	case !digits():
		return s.errorf("this is no number")
	}
	if has(".") && !digits() {
		return s.errorf("this is no number")
	}
	if has("eE") {
		has("+-")
		if !digits() {
			return s.errorf("this is no number")
		}
	}
	return nil
}
