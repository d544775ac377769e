package inventory

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"mainstay/wire"
)

// structure is one structure of the SMBIOS tables.
type structure struct {
	kind byte
	// data is the formatted part, its header of four bytes included.
	data    []byte
	strings []string
}

// parseSMBIOS takes the tables apart: a header with kind and length, the
// formatted part, then texts that end with a zero byte and after the last one
// with another. What is damaged ends the list; what came before it stands.
func parseSMBIOS(table []byte) []structure {
	const endOfTable = 127
	var structures []structure
	for len(table) >= 4 {
		length := int(table[1])
		if length < 4 || length > len(table) {
			break
		}
		s := structure{kind: table[0], data: table[:length]}
		rest := table[length:]
		end := bytes.Index(rest, []byte{0, 0})
		if end < 0 {
			break
		}
		if end > 0 {
			for text := range bytes.SplitSeq(rest[:end], []byte{0}) {
				s.strings = append(s.strings, clean(string(text), maxText))
			}
		}
		table = rest[end+2:]
		if s.kind == endOfTable {
			break
		}
		structures = append(structures, s)
	}
	return structures
}

func (s structure) byte(at int) byte {
	if at >= len(s.data) {
		return 0
	}
	return s.data[at]
}

func (s structure) word(at int) uint64 {
	if at+2 > len(s.data) {
		return 0
	}
	return uint64(binary.LittleEndian.Uint16(s.data[at:]))
}

func (s structure) long(at int) uint64 {
	if at+4 > len(s.data) {
		return 0
	}
	return uint64(binary.LittleEndian.Uint32(s.data[at:]))
}

// text is the text whose number stands at a place.
func (s structure) text(at int) string {
	n := int(s.byte(at))
	if n == 0 || n > len(s.strings) {
		return ""
	}
	return known(s.strings[n-1])
}

// memoryModule reads a structure of kind 17; false for others and for slots
// that are empty.
func memoryModule(s structure) (wire.PhysicalMemory, bool) {
	if s.kind != 17 {
		return wire.PhysicalMemory{}, false
	}
	capacity := moduleSize(s)
	if capacity == 0 {
		return wire.PhysicalMemory{}, false
	}
	module := wire.PhysicalMemory{
		Capacity:             capacity,
		FormFactor:           formFactor(s.byte(0x0e)),
		DeviceLocator:        s.text(0x10),
		BankLocator:          s.text(0x11),
		MemoryType:           memoryType(s.byte(0x12)),
		Speed:                moduleSpeed(s.word(0x15), s.long(0x54)),
		Manufacturer:         s.text(0x17),
		SerialNumber:         s.text(0x18),
		PartNumber:           s.text(0x1a),
		ConfiguredClockSpeed: moduleSpeed(s.word(0x20), s.long(0x58)),
	}
	if module.DeviceLocator == "" {
		module.DeviceLocator = fmt.Sprintf("handle %#04x", s.word(2))
	}
	return module, true
}

// moduleSize is in megabytes, or in kilobytes with the highest bit set; two
// values mean 'not known' and 'look further down'.
func moduleSize(s structure) uint64 {
	switch size := s.word(0x0c); {
	case size == 0xffff:
		return 0
	case size == 0x7fff:
		return s.long(0x1c) & 0x7fffffff << 20
	case size&0x8000 != 0:
		return size & 0x7fff << 10
	default:
		return size << 20
	}
}

func moduleSpeed(speed, extended uint64) uint64 {
	if speed == 0xffff {
		return extended & 0x7fffffff
	}
	return speed
}

func formFactor(n byte) string {
	return map[byte]string{
		3: "SIMM", 5: "Chip", 6: "DIP", 9: "DIMM", 10: "TSOP", 11: "Row of chips", 12: "RIMM", 13: "SODIMM", 14: "SRIMM", 15: "FB-DIMM", 16: "Die", 17: "CAMM",
	}[n]
}

func memoryType(n byte) string {
	return map[byte]string{
		3: "DRAM", 7: "RAM", 15: "SDRAM", 18: "DDR", 19: "DDR2", 20: "DDR2 FB-DIMM", 24: "DDR3", 26: "DDR4", 27: "LPDDR", 28: "LPDDR2", 29: "LPDDR3",
		30: "LPDDR4", 31: "Logical non-volatile device", 32: "HBM", 33: "HBM2", 34: "DDR5", 35: "LPDDR5", 36: "HBM3",
	}[n]
}
