package outbox

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"mainstay/lib/filesys"
)

const (
	suffix     = ".outbox"
	tempSuffix = ".outbox.new"
	// maxSegment bounds a segment that is read: one batch may be much larger
	// than segmentBytes.
	maxSegment = 1 << 30
)

func (o *Outbox) path(number uint64) string {
	return filepath.Join(o.dir, fmt.Sprintf("%010d%s", number, suffix))
}

// load replays the segments of the folder.
func (o *Outbox) load() error {
	numbers, err := o.list()
	if err != nil {
		return err
	}
	for i, number := range numbers {
		s := &segment{number: number, path: o.path(number)}
		o.segments = append(o.segments, s)
		o.lastFile = number
		if err := o.replay(s, i == len(numbers)-1); err != nil {
			return err
		}
	}
	return nil
}

// list gives the numbers of the segments, in order, and removes what an
// unfinished rewrite left.
func (o *Outbox) list() ([]uint64, error) {
	entries, err := os.ReadDir(o.dir)
	if err != nil {
		return nil, err
	}
	var numbers []uint64
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), tempSuffix) {
			if err := o.disk.Remove(filepath.Join(o.dir, e.Name())); err != nil {
				return nil, err
			}
			continue
		}
		digits, ok := strings.CutSuffix(e.Name(), suffix)
		number, err := strconv.ParseUint(digits, 10, 63)
		if ok && err == nil && o.path(number) == filepath.Join(o.dir, e.Name()) {
			numbers = append(numbers, number)
		}
	}
	slices.Sort(numbers)
	return numbers, nil
}

// replay applies the records of one segment. Only the last one may have a torn
// end, which is cut.
func (o *Outbox) replay(s *segment, last bool) error {
	data, err := filesys.ReadFile(s.path, maxSegment)
	if err != nil {
		return err
	}
	damaged, end := scan(data, func(at, length int, r record) { o.apply(s, int64(at), length, r) })
	s.size = int64(len(data))
	o.damage.Records += damaged
	if torn := int64(len(data) - end); torn > 0 && last {
		o.damage.TornBytes += torn
		s.size = int64(end)
		return o.cut(s)
	} else if torn > 0 {
		o.damage.Records++
	}
	return nil
}

func (o *Outbox) cut(s *segment) error {
	f, err := o.disk.Open(s.path)
	if err != nil {
		return err
	}
	return errors.Join(f.Truncate(s.size), f.Sync(), f.Close())
}

func (o *Outbox) apply(s *segment, at int64, length int, r record) {
	switch r.kind {
	case kindMessage:
		// A sequence number that does not grow is a copy of a record that
		// damage made readable: the first counts.
		if n := len(o.live); n > 0 && o.live[n-1].seq >= r.seq {
			o.damage.Records++
			return
		}
		o.addLocked(r, s, at, length)
		o.nextSeq = max(o.nextSeq, r.seq+1)
	case kindAcknowledge:
		o.acknowledgeLocked(r.incarnation, r.last)
	case kindRekey:
		o.rekeyLocked(r)
		o.nextSeq = max(o.nextSeq, r.through+1)
	case kindGiveUp:
		o.live = slices.DeleteFunc(o.live, func(e entry) bool {
			if !slices.Contains(r.seqs, e.seq) {
				return false
			}
			e.segment.forget(e)
			return true
		})
	}
}
