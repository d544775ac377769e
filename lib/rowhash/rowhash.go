// Package rowhash gives rows of data a canonical form and a hash, and sets of
// rows a hash that does not depend on their order. Two sides that keep the same
// tables compare them by one hash each and exchange only the rows that differ.
//
// It knows no table and no column: a row is a JSON object. It refuses what has
// no single form (numbers that are not integers, repeated keys, text that is
// not UTF-8), so that equal hashes mean equal rows on every database.
package rowhash

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// Hash identifies a row within its table.
type Hash [16]byte

// Sum identifies a set of rows, or a set of tables.
type Sum [32]byte

// String is the hash as 32 hex digits, lower case.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// String is the sum as 64 hex digits, lower case.
func (s Sum) String() string { return hex.EncodeToString(s[:]) }

// Parse reads what Hash.String wrote and refuses every other spelling.
func Parse(text string) (Hash, error) {
	var h Hash
	if len(text) != 2*len(h) || strings.Trim(text, "0123456789abcdef") != "" {
		return h, fmt.Errorf("row hash %.64q is not %d lower-case hex digits", text, 2*len(h))
	}
	_, err := hex.Decode(h[:], []byte(text))
	return h, err
}

// Row is the hash of a row in canonical form: the first 16 bytes of the SHA-256
// of the table's name, a line feed and the row. Half of a SHA-256 keeps
// accidents out for more rows than there are; an attacker can make two rows of
// his own collide, which deceives nobody but himself.
func Row(table string, canonical []byte) Hash {
	// Rows are short and many: one buffer on the stack holds most of them and
	// saves the allocation of a running hash.
	var buffer [1024]byte
	text := append(buffer[:0], table...)
	text = append(text, '\n')
	text = append(text, canonical...)
	sum := sha256.Sum256(text)
	return Hash(sum[:16])
}

// Set is the hash of a set of rows: the SHA-256 of their hashes, sorted, each
// once. The slice is sorted in place if it was not.
func Set(rows []Hash) Sum {
	Sort(rows)
	h := sha256.New()
	for i := range rows {
		if i == 0 || rows[i] != rows[i-1] {
			h.Write(rows[i][:])
		}
	}
	return Sum(h.Sum(nil))
}

// Tables is the hash of named sets: the SHA-256 of the lines "name=hash", each
// with a line feed, sorted by name. Leave out tables without rows, so that a
// table that nobody fills is the same as one that nobody knows.
func Tables(sets map[string]Sum) Sum {
	names := make([]string, 0, len(sets))
	for name := range sets {
		names = append(names, name)
	}
	slices.Sort(names)
	h := sha256.New()
	for _, name := range names {
		fmt.Fprintf(h, "%s=%s\n", name, sets[name])
	}
	return Sum(h.Sum(nil))
}

// Sort puts hashes in the order in which Set reads them.
func Sort(rows []Hash) {
	if !slices.IsSortedFunc(rows, Compare) {
		slices.SortFunc(rows, Compare)
	}
}

// Compare orders hashes by their bytes.
func Compare(a, b Hash) int { return bytes.Compare(a[:], b[:]) }
