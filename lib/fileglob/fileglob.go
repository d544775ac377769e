// Package fileglob understands path patterns and walks to the files that match
// them, without trusting the folders on the way: it follows no link, opens no
// device and no pipe, and stops at the limits that it is given.
//
// It does not know what the files are wanted for.
package fileglob

import (
	"fmt"
	"math/bits"
	"path"
	"strings"
	"unicode/utf8"
)

// Limits of a pattern.
const (
	// MaxPattern is the longest pattern in bytes.
	MaxPattern = 1024
	// MaxSegments is the largest number of names in a pattern.
	MaxSegments = 60
)

// Pattern is an absolute path in which a name may hold * (any characters) and ?
// (one character), and ** stands for any number of folders, none included. The
// zero value matches nothing.
type Pattern struct {
	text     string
	segments []segment
}

type segment struct {
	text string
	// wild: it holds * or ?. any: it is **.
	wild, any bool
}

// hidden are the trees that show the kernel and not files; a walk does not
// enter them.
var hidden = [...]string{"/dev", "/proc", "/sys"}

// Parse reads a pattern. The error says what is wrong with which pattern and
// what is allowed.
func Parse(text string) (Pattern, error) {
	fail := func(format string, args ...any) (Pattern, error) {
		return Pattern{}, fmt.Errorf("path pattern %.80q: %s", text, fmt.Sprintf(format, args...))
	}
	switch {
	case text == "":
		return fail("it is empty; write an absolute path such as /etc/ssh/*.pub")
	case len(text) > MaxPattern:
		return fail("it has %d bytes, at most %d are allowed", len(text), MaxPattern)
	case !utf8.ValidString(text):
		return fail("it is not UTF-8")
	case text[0] != '/':
		return fail("it is not absolute; begin with /")
	case strings.HasSuffix(text, "/"):
		return fail("it ends with /; name files, or end with /** for all files below a folder")
	case strings.IndexFunc(text, func(r rune) bool { return r < 0x20 || r == 0x7f }) >= 0:
		return fail("it holds a control character")
	}
	names := strings.Split(text[1:], "/")
	if len(names) > MaxSegments {
		return fail("it has %d names, at most %d are allowed", len(names), MaxSegments)
	}
	p := Pattern{text: text}
	for _, name := range names {
		s := segment{text: name, any: name == "**", wild: strings.ContainsAny(name, "*?")}
		switch {
		case name == "":
			return fail("it holds //; write one /")
		case name == "." || name == "..":
			return fail("it holds the name %s; write the path without it", name)
		case !s.any && strings.Contains(name, "**"):
			return fail("** stands together with other characters in %q; it must be a whole name, as in /srv/**/*.conf", name)
		}
		// Two in a row mean no more than one.
		if s.any && len(p.segments) > 0 && p.segments[len(p.segments)-1].any {
			continue
		}
		p.segments = append(p.segments, s)
	}
	for _, tree := range hidden {
		if text == tree || strings.HasPrefix(text, tree+"/") {
			return fail("%s shows the kernel and holds no files; name another folder", tree)
		}
	}
	return p, nil
}

// String is the text that was parsed.
func (p Pattern) String() string { return p.text }

// Match tells whether a clean absolute path matches.
func (p Pattern) Match(file string) bool {
	if len(p.segments) == 0 || !path.IsAbs(file) || file == "/" {
		return false
	}
	at := p.start()
	for name := range strings.SplitSeq(file[1:], "/") {
		at = p.step(at, name)
	}
	return p.final(at)
}

// states is the set of places in a pattern that a path may have reached: bit i
// says that segments before i are behind it.
type states uint64

func (p Pattern) start() states { return p.closure(1) }

// closure adds the places behind each ** that is reached, since it may stand
// for no folder at all.
func (p Pattern) closure(at states) states {
	for i, s := range p.segments {
		if s.any && at&(1<<i) != 0 {
			at |= 1 << (i + 1)
		}
	}
	return at
}

// step goes on by one name.
func (p Pattern) step(at states, name string) states {
	var next states
	for i, s := range p.segments {
		if at&(1<<i) == 0 {
			continue
		}
		switch {
		case s.any:
			next |= 1 << i
		case s.match(name):
			next |= 1 << (i + 1)
		}
	}
	return p.closure(next)
}

// final tells whether the whole pattern is behind the path.
func (p Pattern) final(at states) bool { return at&(1<<len(p.segments)) != 0 }

// more tells whether something below the path can match.
func (p Pattern) more(at states) bool { return at&(1<<len(p.segments)-1) != 0 }

// only returns the one name that can go on from here, so that a walk need not
// read a folder to find a name that it knows.
func (p Pattern) only(at states) (string, bool) {
	at &= 1<<len(p.segments) - 1
	if bits.OnesCount64(uint64(at)) != 1 {
		return "", false
	}
	s := p.segments[bits.TrailingZeros64(uint64(at))]
	return s.text, !s.wild && !s.any
}

func (s segment) match(name string) bool {
	if !s.wild {
		return s.text == name
	}
	return wildcard(s.text, name)
}

// wildcard matches with * and ?. After a mismatch it goes back to the last *
// only, which is enough and keeps the work within the product of the lengths.
func wildcard(pattern, name string) bool {
	star, resume := -1, 0
	p, n := 0, 0
	for n < len(name) {
		_, size := utf8.DecodeRuneInString(name[n:])
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, resume = p, n
			p++
		case p < len(pattern) && pattern[p] == '?':
			p++
			n += size
		case p < len(pattern) && pattern[p] == name[n]:
			p++
			n++
		case star >= 0:
			_, size := utf8.DecodeRuneInString(name[resume:])
			resume += size
			p, n = star+1, resume
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}
