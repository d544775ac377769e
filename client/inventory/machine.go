package inventory

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// machine reads files below a root. Paths are absolute within it.
type machine struct {
	root   string
	kernel *kernel
}

// maxText bounds what is read from a small file and what a column holds.
const maxText = 1024

func (m machine) path(name string) string { return filepath.Join(m.root, name) }

// open opens a file for reading. Only fixed names of the system's own folders
// come here, never what a user could have put in the way.
func (m machine) open(name string) (*os.File, error) { return os.Open(m.path(name)) }

// text is the content of a small file on one line, without white space around
// it; empty when it does not exist, may not be read or is not known to the
// kernel. Attributes of devices answer with all kinds of errors, so none of
// them says more than 'not known'.
func (m machine) text(name string) string {
	data, err := m.head(name, 4*maxText)
	if err != nil {
		return ""
	}
	return clean(string(data), maxText)
}

// head is the beginning of a file.
func (m machine) head(name string, most int64) ([]byte, error) {
	file, err := m.open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(io.LimitReader(file, most))
}

// number is the decimal number in a small file.
func (m machine) number(name string) (uint64, bool) {
	n, err := strconv.ParseUint(m.text(name), 10, 64)
	return n, err == nil
}

// lines calls visit for every line of a file, without its line feed, until it
// returns false. Lines beyond 64 KiB are cut. A file that does not exist has no
// lines.
func (m machine) lines(name string, visit func(line []byte) bool) error {
	file, err := m.open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer file.Close()
	return eachLine(file, visit)
}

func eachLine(from io.Reader, visit func(line []byte) bool) error {
	reader := bufio.NewReaderSize(from, 4<<10)
	var long []byte
	for {
		part, more, err := reader.ReadLine()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("cannot read on: %w", err)
		}
		if more || long != nil {
			if len(long) < 64<<10 {
				long = append(long, part...)
			}
			if more {
				continue
			}
			part, long = long, nil
		}
		if !visit(part) {
			return nil
		}
	}
}

// names lists a folder in order; empty when it cannot be read.
func (m machine) names(folder string) []string {
	dir, err := m.open(folder)
	if err != nil {
		return nil
	}
	defer dir.Close()
	names, err := dir.Readdirnames(100_000)
	if err != nil {
		return nil
	}
	slices.Sort(names)
	return names
}

// link is where a link points, as written; empty when it is none.
func (m machine) link(name string) string {
	target, err := os.Readlink(m.path(name))
	if err != nil {
		return ""
	}
	return target
}

func (m machine) exists(name string) bool {
	_, err := os.Lstat(m.path(name))
	return err == nil
}

// clean makes a text fit for a column: UTF-8, one line, no control characters,
// no white space around it, most bytes at most.
func clean(text string, most int) string {
	if !plain(text) {
		text = strings.Map(func(r rune) rune {
			switch {
			case r == '\n', r == '\t', r == '\r':
				return ' '
			case unicode.IsControl(r):
				return -1
			}
			return r
		}, strings.ToValidUTF8(text, "\ufffd"))
	}
	text = strings.TrimSpace(text)
	if len(text) > most {
		for most > 0 && !utf8.RuneStart(text[most]) {
			most--
		}
		text = strings.TrimSpace(text[:most])
	}
	return text
}

// plain tells whether a text is printable ASCII, as nearly all are.
func plain(text string) bool {
	for i := range len(text) {
		if text[i] < 0x20 || text[i] >= 0x7f {
			return false
		}
	}
	return true
}
