package inventory

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
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
// the data. All numbers are big endian. Headers hold every file of a package
// and may have megabytes, of which a few hundred bytes are read.
type rpmHeader struct {
	blob  io.ReaderAt
	index []byte
	// data is where the data begins, end where it ends.
	data, end int64
}

// maxRPMIndex bounds the entries of a header; some hundred are usual.
const maxRPMIndex = 64 << 10

func parseRPMHeader(blob io.ReaderAt, size int64) (rpmHeader, error) {
	var counts [8]byte
	if _, err := blob.ReadAt(counts[:], 0); err != nil {
		return rpmHeader{}, fmt.Errorf("a package header is cut off: %w", err)
	}
	entries, length := int64(binary.BigEndian.Uint32(counts[:])), int64(binary.BigEndian.Uint32(counts[4:]))
	if entries == 0 || entries > maxRPMIndex || 8+entries*16+length > size {
		return rpmHeader{}, fmt.Errorf("a package header of %d bytes says that it has %d entries and %d bytes of data", size, entries, length)
	}
	h := rpmHeader{blob: blob, index: make([]byte, entries*16), data: 8 + entries*16, end: 8 + entries*16 + length}
	if _, err := blob.ReadAt(h.index, 8); err != nil {
		return rpmHeader{}, fmt.Errorf("a package header is cut off: %w", err)
	}
	return h, nil
}

// find is the type and the beginning of the data of a tag, as far as it fits
// into the buffer. A tag that was added at installation stands behind the
// signed part and wins.
func (h *rpmHeader) find(tag uint32, buffer []byte) (kind uint32, data []byte, err error) {
	for i := len(h.index) - 16; i >= 0; i -= 16 {
		entry := h.index[i : i+16]
		if binary.BigEndian.Uint32(entry) != tag {
			continue
		}
		from := h.data + int64(binary.BigEndian.Uint32(entry[8:]))
		if from >= h.end {
			return 0, nil, nil
		}
		data = buffer[:min(int64(len(buffer)), h.end-from)]
		if _, err := h.blob.ReadAt(data, from); err != nil {
			return 0, nil, fmt.Errorf("a package header cannot be read: %w", err)
		}
		return binary.BigEndian.Uint32(entry[4:]), data, nil
	}
	return 0, nil, nil
}

// rpmFields reads tags one after another and keeps the first error.
type rpmFields struct {
	rpmHeader
	err    error
	buffer [maxText]byte
}

// text is a text, or the first of several, cut where it is longer than a
// column may be.
func (f *rpmFields) text(tag uint32) string {
	kind, data, err := f.find(tag, f.buffer[:])
	f.err = errors.Join(f.err, err)
	if kind != rpmString && kind != rpmStrings && kind != rpmI18nString {
		return ""
	}
	text, _, _ := bytes.Cut(data, []byte{0})
	return clean(string(text), maxText)
}

func (f *rpmFields) number(tag uint32) (uint64, bool) {
	kind, data, err := f.find(tag, f.buffer[:8])
	f.err = errors.Join(f.err, err)
	switch {
	case kind == rpmInt32 && len(data) >= 4:
		return uint64(binary.BigEndian.Uint32(data)), true
	case kind == rpmInt64 && len(data) >= 8:
		return binary.BigEndian.Uint64(data), true
	}
	return 0, false
}

// rpmPackage makes the row of a package; false for what rpm keeps in its
// database beside packages, such as keys.
func rpmPackage(blob io.ReaderAt, size int64) (wire.InstalledSoftware, bool, error) {
	header, err := parseRPMHeader(blob, size)
	if err != nil {
		return wire.InstalledSoftware{}, false, err
	}
	h := rpmFields{rpmHeader: header}
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
		return row, false, errors.Join(h.err, errors.New("a package header has no name or no version"))
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
	if long, ok := h.number(rpmLongSize); ok {
		row.InstalledSize = long
	}
	if at, ok := h.number(rpmInstallTime); ok && at < 1<<40 {
		row.InstallTime = time.Unix(int64(at), 0).UnixMicro()
	}
	return row, h.err == nil, h.err
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
