package fusefs

import (
	"io"
)

// pageSize is the unit in which old content is kept and in which an unsynced
// write survives or not.
const pageSize = 4096

// manyPages is the number of changed pages above which the table is thrown
// away at a sync instead of emptied: emptying costs as much as the table was
// ever large.
const manyPages = 1024

// pages is the durability of one file's content. The present content is in the
// backing file.
type pages struct {
	size    int64 // present length
	durable int64 // length at the last sync
	// changed holds each page that was changed since the last sync with its
	// durable content; nil for a page that lies beyond the durable length.
	changed map[int64][]byte
}

// write puts data at offset into the file.
func (p *pages) write(file io.ReaderAt, to io.WriterAt, data []byte, offset int64) (int, error) {
	if len(data) == 0 {
		return 0, nil
	}
	if err := p.keep(file, offset, offset+int64(len(data))); err != nil {
		return 0, err
	}
	n, err := to.WriteAt(data, offset)
	if end := offset + int64(n); end > p.size {
		p.size = end
	}
	return n, err
}

// keep remembers the durable content of the pages that touch [from, to) and
// are about to change.
func (p *pages) keep(file io.ReaderAt, from, to int64) error {
	for page := from / pageSize; page*pageSize < to; page++ {
		if _, ok := p.changed[page]; ok {
			continue
		}
		old, err := p.durablePage(file, page)
		if err != nil {
			return err
		}
		if p.changed == nil {
			p.changed = map[int64][]byte{}
		}
		p.changed[page] = old
	}
	return nil
}

// durablePage reads a page that has not changed since the last sync; its
// present content is its durable one.
func (p *pages) durablePage(file io.ReaderAt, page int64) ([]byte, error) {
	length := min(p.durable-page*pageSize, pageSize)
	if length <= 0 {
		return nil, nil
	}
	old := make([]byte, length)
	if _, err := file.ReadAt(old, page*pageSize); err != nil && err != io.EOF {
		return nil, err
	}
	return old, nil
}

// cut remembers what a change of the length to size is about to remove.
func (p *pages) cut(file io.ReaderAt, size int64) error {
	if size >= p.size {
		return nil
	}
	return p.keep(file, size, min(p.size, p.durable))
}

// sync makes the present content the durable one.
func (p *pages) sync() {
	p.durable = p.size
	if len(p.changed) > manyPages {
		p.changed = nil
		return
	}
	clear(p.changed)
}
