package inventory

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"mainstay/wire"
)

// Tags of an rpm header, as far as they are used.
const (
	rpmName        = 1000
	rpmVersion     = 1001
	rpmRelease     = 1002
	rpmEpoch       = 1003
	rpmSummary     = 1004
	rpmInstallTime = 1008
	rpmSize        = 1009
	rpmVendor      = 1011
	rpmArch        = 1022
	rpmSourceRPM   = 1044
	rpmLongSize    = 5009
)

// Types of an rpm header.
const (
	rpmInt32      = 4
	rpmInt64      = 5
	rpmString     = 6
	rpmStrings    = 8
	rpmI18nString = 9
)

// rpmHeader is the header of one installed package as the database holds it:
// two counts, an index of entries of 16 bytes (tag, type, offset, count), then
// the data. All numbers are big endian.
type rpmHeader struct {
	index, data []byte
}

func parseRPMHeader(blob []byte) (rpmHeader, error) {
	if len(blob) < 8 {
		return rpmHeader{}, errors.New("a package header is cut off")
	}
	entries, size := uint64(binary.BigEndian.Uint32(blob)), uint64(binary.BigEndian.Uint32(blob[4:]))
	if entries == 0 || 8+entries*16+size > uint64(len(blob)) {
		return rpmHeader{}, fmt.Errorf("a package header of %d bytes says that it has %d entries and %d bytes of data", len(blob), entries, size)
	}
	return rpmHeader{index: blob[8 : 8+entries*16], data: blob[8+entries*16 : 8+entries*16+size]}, nil
}

// find is the type and the data from where a tag begins. A tag that was added
// at installation stands behind the signed part and wins.
func (h rpmHeader) find(tag uint32) (kind uint32, data []byte) {
	for i := len(h.index) - 16; i >= 0; i -= 16 {
		entry := h.index[i : i+16]
		if binary.BigEndian.Uint32(entry) != tag {
			continue
		}
		offset := uint64(binary.BigEndian.Uint32(entry[8:]))
		if offset > uint64(len(h.data)) {
			return 0, nil
		}
		return binary.BigEndian.Uint32(entry[4:]), h.data[offset:]
	}
	return 0, nil
}

// text is a text, or the first of several.
func (h rpmHeader) text(tag uint32) string {
	kind, data := h.find(tag)
	if kind != rpmString && kind != rpmStrings && kind != rpmI18nString {
		return ""
	}
	end := bytes.IndexByte(data, 0)
	if end < 0 {
		return ""
	}
	return clean(string(data[:end]), maxText)
}

func (h rpmHeader) number(tag uint32) (uint64, bool) {
	switch kind, data := h.find(tag); {
	case kind == rpmInt32 && len(data) >= 4:
		return uint64(binary.BigEndian.Uint32(data)), true
	case kind == rpmInt64 && len(data) >= 8:
		return binary.BigEndian.Uint64(data), true
	}
	return 0, false
}

// rpmPackage makes the row of a package; false for what rpm keeps in its
// database beside packages, such as keys.
func rpmPackage(blob []byte) (wire.InstalledSoftware, bool, error) {
	h, err := parseRPMHeader(blob)
	if err != nil {
		return wire.InstalledSoftware{}, false, err
	}
	row := wire.InstalledSoftware{
		Name:         h.text(rpmName),
		Version:      h.text(rpmVersion),
		Architecture: h.text(rpmArch),
		Source:       "rpm",
		Publisher:    h.text(rpmVendor),
		DisplayName:  h.text(rpmSummary),
		Status:       "installed",
	}
	if row.Name == "" || row.Version == "" {
		return row, false, errors.New("a package header has no name or no version")
	}
	if row.Name == "gpg-pubkey" {
		return row, false, nil
	}
	if release := h.text(rpmRelease); release != "" {
		row.Version += "-" + release
	}
	if epoch, ok := h.number(rpmEpoch); ok {
		row.Version = fmt.Sprintf("%d:%s", epoch, row.Version)
	}
	row.SourcePackage = sourceName(h.text(rpmSourceRPM))
	if row.SourcePackage == row.Name {
		row.SourcePackage = ""
	}
	row.InstalledSize, _ = h.number(rpmSize)
	if size, ok := h.number(rpmLongSize); ok {
		row.InstalledSize = size
	}
	if at, ok := h.number(rpmInstallTime); ok && at < 1<<40 {
		row.InstallTime = time.Unix(int64(at), 0).UnixMicro()
	}
	return row, true, nil
}

// sourceName takes the name out of name-version-release.src.rpm.
func sourceName(file string) string {
	for range 2 {
		i := strings.LastIndexByte(file, '-')
		if i < 0 {
			return ""
		}
		file = file[:i]
	}
	return file
}
