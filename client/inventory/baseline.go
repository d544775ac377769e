package inventory

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"

	"mainstay/lib/rowhash"
	"mainstay/wire"
)

// Baseline is what the site will have of this machine once it has processed
// everything that the client has queued. The zero value is a site that has
// nothing.
type Baseline struct {
	// Classes holds the hashes of the rows by class, sorted.
	Classes map[string][]rowhash.Hash
	// Held holds values that move by themselves, as they were reported.
	Held map[string]uint64
}

// Hash is the hash of the inventory as the wire defines it.
func (b Baseline) Hash() string {
	sets := make(map[string]rowhash.Sum, len(b.Classes))
	for class, hashes := range b.Classes {
		if len(hashes) > 0 {
			sets[class] = rowhash.Set(hashes)
		}
	}
	return rowhash.Tables(sets).String()
}

// The form on disk: the header, the number of classes, for each its name and
// its hashes; the number of held values, for each its name and value; a SHA-256
// of all before it. Numbers are unsigned varints, names have their length
// before them, everything is in order, so that equal baselines are equal bytes.
const (
	baselineHeader  = "mainstay inventory baseline 1\n"
	maxBaselineName = 1024
	maxHeld         = 10_000
	// MaxBaseline is the largest encoded baseline in bytes.
	MaxBaseline = 64 << 20
)

// Encode writes the baseline in its form on disk: about 16 bytes for each row.
func (b Baseline) Encode() []byte {
	size := len(baselineHeader) + sha256.Size + 64
	for class, hashes := range b.Classes {
		size += len(class) + 16 + len(hashes)*len(rowhash.Hash{})
	}
	for name := range b.Held {
		size += len(name) + 20
	}
	out := append(make([]byte, 0, size), baselineHeader...)
	out = binary.AppendUvarint(out, uint64(len(b.Classes)))
	for _, class := range slices.Sorted(maps.Keys(b.Classes)) {
		hashes := b.Classes[class]
		out = appendName(out, class)
		out = binary.AppendUvarint(out, uint64(len(hashes)))
		for i := range hashes {
			out = append(out, hashes[i][:]...)
		}
	}
	out = binary.AppendUvarint(out, uint64(len(b.Held)))
	for _, name := range slices.Sorted(maps.Keys(b.Held)) {
		out = binary.AppendUvarint(appendName(out, name), b.Held[name])
	}
	sum := sha256.Sum256(out)
	return append(out, sum[:]...)
}

func appendName(out []byte, name string) []byte {
	return append(binary.AppendUvarint(out, uint64(len(name))), name...)
}

// DecodeBaseline reads what Encode wrote and refuses everything else. A caller
// that cannot read its baseline sends a full report.
func DecodeBaseline(data []byte) (Baseline, error) {
	if len(data) > MaxBaseline {
		return Baseline{}, fmt.Errorf("inventory baseline has %d bytes, at most %d", len(data), MaxBaseline)
	}
	if !bytes.HasPrefix(data, []byte(baselineHeader)) || len(data) < len(baselineHeader)+sha256.Size {
		return Baseline{}, errors.New("this is no inventory baseline, or one of another version")
	}
	body, want := data[:len(data)-sha256.Size], data[len(data)-sha256.Size:]
	if sum := sha256.Sum256(body); !bytes.Equal(sum[:], want) {
		return Baseline{}, errors.New("inventory baseline is damaged: its checksum does not fit")
	}
	d := decoder{rest: body[len(baselineHeader):]}
	b := d.baseline()
	if d.err == nil && len(d.rest) > 0 {
		d.fail("something follows")
	}
	if d.err != nil {
		return Baseline{}, d.err
	}
	return b, nil
}

type decoder struct {
	rest []byte
	err  error
}

func (d *decoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf("inventory baseline: %w", fmt.Errorf(format, args...))
	}
}

func (d *decoder) baseline() Baseline {
	b := Baseline{Classes: map[string][]rowhash.Hash{}, Held: map[string]uint64{}}
	last := ""
	for range d.count("classes", wire.MaxInventoryClasses) {
		last = d.name(last)
		b.Classes[last] = d.hashes()
		if d.err != nil {
			return b
		}
	}
	last = ""
	for range d.count("held values", maxHeld) {
		last = d.name(last)
		b.Held[last] = d.number()
		if d.err != nil {
			return b
		}
	}
	return b
}

func (d *decoder) number() uint64 {
	n, size := binary.Uvarint(d.rest)
	// The shortest form only, so that there is one encoding.
	if size <= 0 || size > 1 && d.rest[size-1] == 0 {
		d.fail("a number is cut off or not in its shortest form")
		return 0
	}
	d.rest = d.rest[size:]
	return n
}

func (d *decoder) count(what string, most int) int {
	n := d.number()
	if n > uint64(most) {
		d.fail("%d %s, at most %d", n, what, most)
		return 0
	}
	return int(n)
}

func (d *decoder) name(after string) string {
	n := d.count("bytes of a name", maxBaselineName)
	if n > len(d.rest) || n == 0 {
		d.fail("a name is empty or cut off")
		return ""
	}
	name := string(d.rest[:n])
	d.rest = d.rest[n:]
	if name <= after {
		d.fail("names are not in order")
	}
	return name
}

func (d *decoder) hashes() []rowhash.Hash {
	const size = len(rowhash.Hash{})
	n := d.count("rows", wire.MaxInventoryRows)
	if n*size > len(d.rest) {
		d.fail("row hashes are cut off")
		return nil
	}
	hashes := make([]rowhash.Hash, n)
	for i := range hashes {
		hashes[i] = rowhash.Hash(d.rest[i*size:])
		if i > 0 && rowhash.Compare(hashes[i-1], hashes[i]) >= 0 {
			d.fail("row hashes are not in order")
			return nil
		}
	}
	d.rest = d.rest[n*size:]
	return hashes
}
