package inventory

import (
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"

	"mainstay/lib/fault"
	"mainstay/lib/rowhash"
	"mainstay/wire"
)

// MaxRows bounds the rows of one device. One class has wire.MaxInventoryRows at
// most.
const MaxRows = 100_000

// report is an inventory report that was checked as far as it can be without
// the database.
type report struct {
	full         bool
	base, result string
	changes      map[string]change
	unread       map[string]bool
	collectedAt  int64
	errors       string
}

// change is what has changed in one class.
type change struct {
	add    []row
	remove []rowhash.Hash
}

// row is a row that a report adds.
type row struct {
	hash rowhash.Hash
	json []byte
}

// decodeReport reads a report and checks everything that one can check of it
// alone. The error names the field.
func decodeReport(body []byte, classes map[string]wire.InventoryClass) (*report, error) {
	var in wire.InventoryReport
	if err := json.Unmarshal(body, &in); err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "inventory report is not valid JSON")
	}
	r := &report{
		full: in.Kind == wire.InventoryFull, base: in.Base, result: in.Result, collectedAt: in.CollectedAt,
		changes: make(map[string]change, len(in.Classes)), unread: map[string]bool{},
	}
	if err := r.checkHead(in); err != nil {
		return nil, err
	}
	for class, c := range in.Classes {
		if !isClass(class) {
			return nil, fault.InvalidField("classes", "%.80q is not a name of 1 to 64 letters and digits", class)
		}
		if r.unread[class] && (r.full || len(c.Add)+len(c.Remove) > 0) {
			return nil, fault.InvalidField("unread", "names %s, of which the report has rows", class)
		}
		known, typed := classes[class]
		decoded, err := decodeChange(class, c, r.full)
		if err == nil && typed {
			err = checkTypes(known, decoded.add)
		}
		if err != nil {
			return nil, err
		}
		r.changes[class] = decoded
	}
	return r, nil
}

func (r *report) checkHead(in wire.InventoryReport) error {
	switch {
	case in.Kind != wire.InventoryFull && in.Kind != wire.InventoryDelta:
		return fault.InvalidField("kind", "%.40q is neither %s nor %s", in.Kind, wire.InventoryFull, wire.InventoryDelta)
	case !isSum(in.Result):
		return fault.InvalidField("result", "%.80q is not 64 hex digits", in.Result)
	case r.full && in.Base != "":
		return fault.InvalidField("base", "is %.80q in a full report, which has none", in.Base)
	case !r.full && !isSum(in.Base):
		return fault.InvalidField("base", "%.80q is not 64 hex digits", in.Base)
	case len(in.Classes) > wire.MaxInventoryClasses || len(in.Unread) > wire.MaxInventoryClasses:
		return fault.InvalidField("classes", "holds %d classes and %d unread, at most %d are allowed", len(in.Classes), len(in.Unread), wire.MaxInventoryClasses)
	case len(in.Errors) > wire.MaxInventoryErrors:
		return fault.InvalidField("errors", "holds %d errors, at most %d are allowed", len(in.Errors), wire.MaxInventoryErrors)
	}
	for _, class := range in.Unread {
		if !isClass(class) {
			return fault.InvalidField("unread", "%.80q is not a name of 1 to 64 letters and digits", class)
		}
		r.unread[class] = true
	}
	for _, e := range in.Errors {
		if len(e.Class) > 64 || len(e.Text) > wire.MaxInventoryErrorText || strings.ContainsRune(e.Class+e.Text, 0) {
			return fault.InvalidField("errors", "holds a text of %d bytes, at most %d without U+0000 are allowed", len(e.Text), wire.MaxInventoryErrorText)
		}
	}
	r.errors = "[]"
	if len(in.Errors) > 0 {
		text, _ := json.Marshal(in.Errors) // texts cannot fail
		r.errors = string(text)
	}
	return nil
}

// decodeChange hashes the rows that are added, in canonical form: on the way an
// encoder may have written the same text with other escapes. A row that has no
// canonical form is refused.
func decodeChange(class string, c wire.InventoryChange, full bool) (change, error) {
	out := change{add: make([]row, 0, len(c.Add)), remove: make([]rowhash.Hash, 0, len(c.Remove))}
	switch {
	case len(c.Add) > wire.MaxInventoryRows || len(c.Remove) > wire.MaxInventoryRows:
		return out, fault.InvalidField(class, "%d rows are added and %d removed, at most %d are allowed", len(c.Add), len(c.Remove), wire.MaxInventoryRows)
	case full && len(c.Remove) > 0:
		return out, fault.InvalidField(class, "a full report removes rows")
	}
	size := 0
	for _, raw := range c.Add {
		size += len(raw)
	}
	all := make([]byte, 0, size)
	for i, raw := range c.Add {
		start := len(all)
		var err error
		if all, err = rowhash.Canonical(all, raw); err != nil {
			return out, fault.Wrap(fault.Invalid, err, "%s: row %d cannot be kept", class, i+1)
		}
		canonical := all[start:len(all):len(all)]
		out.add = append(out.add, row{rowhash.Row(class, canonical), canonical})
	}
	slices.SortFunc(out.add, func(a, b row) int { return rowhash.Compare(a.hash, b.hash) })
	out.add = slices.CompactFunc(out.add, func(a, b row) bool { return a.hash == b.hash })
	for _, text := range c.Remove {
		hash, err := rowhash.Parse(text)
		if err != nil {
			return out, fault.Wrap(fault.Invalid, err, "%s: a removed row is not named by its hash", class)
		}
		out.remove = append(out.remove, hash)
	}
	return out, nil
}

// checkTypes holds the rows of a known class to its columns, because queries
// trust them. Columns that are not known come from newer clients.
func checkTypes(class wire.InventoryClass, rows []row) error {
	types := map[string]string{}
	for _, c := range class.Columns() {
		types[c.Name] = c.Type
	}
	for _, r := range rows {
		var wrong string
		eachColumn(r.json, func(name, value []byte) {
			if !fits(types[string(name)], value) {
				wrong = string(name)
			}
		})
		if wrong != "" {
			return fault.InvalidField(class.Name+"."+wrong, "a row has a value that is not of type %s", types[wrong])
		}
	}
	return nil
}

func fits(typ string, value []byte) bool {
	switch typ {
	case "string":
		return value[0] == '"'
	case "bool":
		return value[0] == 't' || value[0] == 'f'
	case "integer", "time":
		return value[0] == '-' || value[0] >= '0' && value[0] <= '9'
	}
	return true
}

// eachColumn calls f for each member of a canonical row, with the name and the
// value as they are written. It relies on the form: no white space.
func eachColumn(canonical []byte, f func(name, value []byte)) {
	for at := 1; at < len(canonical)-1; at++ {
		start := at
		at = skipText(canonical, at)
		name := canonical[start+1 : at-1]
		at++ // the colon
		start = at
		at = skipValue(canonical, at)
		f(name, canonical[start:at])
	}
}

// skipText returns the index after the text that begins at i.
func skipText(b []byte, i int) int {
	for i++; i < len(b) && b[i] != '"'; i++ {
		if b[i] == '\\' {
			i++
		}
	}
	return i + 1
}

func skipValue(b []byte, i int) int {
	for depth := 0; i < len(b); {
		switch b[i] {
		case '"':
			i = skipText(b, i)
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return i
			}
			depth--
		case ',':
			if depth == 0 {
				return i
			}
		}
		i++
	}
	return i
}

func isClass(name string) bool {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"
	return len(name) > 0 && len(name) <= 64 && strings.Trim(name, letters) == ""
}

func isSum(text string) bool {
	sum, err := hex.DecodeString(text)
	return err == nil && len(sum) == len(rowhash.Sum{}) && text == strings.ToLower(text)
}
