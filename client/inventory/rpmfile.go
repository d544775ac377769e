package inventory

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
)

// readRPMNDB reads the form of SUSE: a header, slots of 16 bytes in pages of
// 4,096, and blobs that the slots point at. All numbers are little endian.
func readRPMNDB(ctx context.Context, file string, emit emitHeader) error {
	return withFile(file, func(f *os.File, size int64) error { return scanNDB(ctx, f, size, emit) })
}

func withFile(name string, read func(f *os.File, size int64) error) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if err := read(f, info.Size()); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

const (
	ndbPage  = 4096
	ndbSlot  = 16
	ndbUnit  = 16
	ndbBlob  = 16
	ndbFirst = 2 // slots that the header takes
)

func scanNDB(ctx context.Context, f io.ReaderAt, size int64, emit emitHeader) error {
	le := binary.LittleEndian
	var header [32]byte
	if _, err := f.ReadAt(header[:], 0); err != nil || string(header[:4]) != "RpmP" || le.Uint32(header[4:]) != 0 {
		return errors.New("this is no package database of the form ndb, version 0")
	}
	pages := int64(le.Uint32(header[12:]))
	if pages == 0 || pages*ndbPage > size {
		return fmt.Errorf("%d pages of slots in %d bytes", pages, size)
	}
	var page [ndbPage]byte
	for n := range pages {
		if err := ctx.Err(); err != nil {
			return err
		}
		if _, err := f.ReadAt(page[:], n*ndbPage); err != nil {
			return err
		}
		slots := page[:]
		if n == 0 {
			slots = slots[ndbFirst*ndbSlot:]
		}
		for ; len(slots) > 0; slots = slots[ndbSlot:] {
			if string(slots[:4]) != "Slot" {
				return errors.New("a slot has not its mark")
			}
			id, at := le.Uint32(slots[4:]), int64(le.Uint32(slots[8:]))*ndbUnit
			if id == 0 {
				continue
			}
			blob, err := openNDBBlob(f, at, id, size)
			if err != nil {
				return err
			}
			if err := emit(blob, blob.Size()); err != nil {
				return err
			}
		}
	}
	return nil
}

func openNDBBlob(f io.ReaderAt, at int64, id uint32, size int64) (*io.SectionReader, error) {
	le := binary.LittleEndian
	var header [ndbBlob]byte
	if _, err := f.ReadAt(header[:], at); err != nil {
		return nil, err
	}
	length := int64(le.Uint32(header[12:]))
	if string(header[:4]) != "BlbS" || le.Uint32(header[4:]) != id || length > maxRPMHeader || at+ndbBlob+length > size {
		return nil, fmt.Errorf("package %d is not where its slot says", id)
	}
	return io.NewSectionReader(f, at+ndbBlob, length), nil
}

// readRPMBerkeley reads the hash form of Berkeley DB, as far as rpm uses it: of
// each pair on a hash page the value lies in a chain of overflow pages.
func readRPMBerkeley(ctx context.Context, file string, emit emitHeader) error {
	return withFile(file, func(f *os.File, size int64) error { return scanBerkeley(ctx, f, size, emit) })
}

// Of a page: where its header has what, and its kinds.
const (
	bdbHeader    = 26
	bdbNext      = 16
	bdbEntries   = 20
	bdbFree      = 22
	bdbKind      = 25
	bdbUnsorted  = 2
	bdbOverflow  = 7
	bdbHash      = 13
	bdbMagic     = 0x00061561
	bdbOffPage   = 3
	bdbOffLength = 12
)

type berkeley struct {
	file  io.ReaderAt
	order binary.ByteOrder
	page  int64
	last  uint32
	// chain are the pages of the present value, starts what comes before each.
	chain  []uint32
	starts []int64
}

func scanBerkeley(ctx context.Context, f io.ReaderAt, size int64, emit emitHeader) error {
	var meta [64]byte
	if _, err := f.ReadAt(meta[:], 0); err != nil {
		return errors.New("this is no package database")
	}
	b := berkeley{file: f, order: binary.LittleEndian}
	if b.order.Uint32(meta[12:]) != bdbMagic {
		b.order = binary.BigEndian
	}
	b.page, b.last = int64(b.order.Uint32(meta[20:])), b.order.Uint32(meta[32:])
	if b.order.Uint32(meta[12:]) != bdbMagic || b.page < 512 || b.page > 65536 || b.page&(b.page-1) != 0 {
		return errors.New("this is no package database of the form Berkeley DB hash")
	}
	if pages := size / b.page; int64(b.last) >= pages {
		return fmt.Errorf("the file has %d pages and says %d", pages, int64(b.last)+1)
	}
	page := make([]byte, b.page)
	for n := uint32(1); n <= b.last; n++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		if _, err := f.ReadAt(page, int64(n)*b.page); err != nil {
			return err
		}
		if page[bdbKind] == bdbHash || page[bdbKind] == bdbUnsorted {
			if err := b.hashPage(page, emit); err != nil {
				return err
			}
		}
	}
	return nil
}

// hashPage emits the values of a page: every second entry of the list of
// offsets that follows the header.
func (b *berkeley) hashPage(page []byte, emit emitHeader) error {
	entries := int(b.order.Uint16(page[bdbEntries:]))
	if bdbHeader+2*entries > len(page) {
		return errors.New("a hash page has more entries than room")
	}
	for i := 1; i < entries; i += 2 {
		at := int(b.order.Uint16(page[bdbHeader+2*i:]))
		if at >= len(page) || page[at] != bdbOffPage {
			// A value within the page is the database's own counter.
			continue
		}
		if at+bdbOffLength > len(page) {
			return errors.New("an entry of a hash page is cut off")
		}
		first, length := b.order.Uint32(page[at+4:]), b.order.Uint32(page[at+8:])
		if err := b.overflow(first, int64(length)); err != nil {
			return err
		}
		if err := emit(b, int64(length)); err != nil {
			return err
		}
	}
	return nil
}

// overflow finds the pages of a value. The length that the entry gives ends
// the chain, so that one that leads in a circle ends too.
func (b *berkeley) overflow(number uint32, length int64) error {
	if length > maxRPMHeader {
		return fmt.Errorf("a value of %d bytes, at most %d", length, maxRPMHeader)
	}
	b.chain, b.starts = b.chain[:0], append(b.starts[:0], 0)
	var header [bdbHeader]byte
	total := int64(0)
	for total < length {
		if number == 0 || number > b.last {
			return errors.New("a chain of overflow pages ends too early")
		}
		if _, err := b.file.ReadAt(header[:], int64(number)*b.page); err != nil {
			return err
		}
		// On overflow pages this field holds the number of bytes.
		used := int64(b.order.Uint16(header[bdbFree:]))
		if header[bdbKind] != bdbOverflow || used == 0 || bdbHeader+used > b.page {
			return errors.New("a page of a chain is not an overflow page")
		}
		total += used
		b.chain, b.starts = append(b.chain, number), append(b.starts, total)
		number = b.order.Uint32(header[bdbNext:])
	}
	if total != length {
		return errors.New("a chain of overflow pages is longer than its value")
	}
	return nil
}

// ReadAt reads from the present value; it implements io.ReaderAt.
func (b *berkeley) ReadAt(p []byte, from int64) (int, error) {
	n := 0
	for n < len(p) {
		// The page whose start is the last one not behind the wanted byte.
		at := from + int64(n)
		i, found := slices.BinarySearch(b.starts, at)
		if !found {
			i--
		}
		if i < 0 || i >= len(b.chain) {
			return n, io.ErrUnexpectedEOF
		}
		part := min(int64(len(p)-n), b.starts[i+1]-at)
		if _, err := b.file.ReadAt(p[n:n+int(part)], int64(b.chain[i])*b.page+bdbHeader+at-b.starts[i]); err != nil {
			return n, err
		}
		n += int(part)
	}
	return n, nil
}
