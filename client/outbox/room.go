package outbox

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"

	"mainstay/lib/fault"
	"mainstay/lib/filesys"
)

// removeDoneLocked removes the oldest segments as long as nothing in them
// waits.
func (o *Outbox) removeDoneLocked() error {
	if o.active != nil && o.active.live == 0 && o.active.size > keepBytes && !o.writing {
		o.active = nil
	}
	for len(o.segments) > 0 {
		s := o.segments[0]
		if s.live > 0 || s == o.active {
			return nil
		}
		if err := o.disk.Remove(s.path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("cannot remove from the outbox: %w", err)
		}
		o.segments = slices.Delete(o.segments, 0, 1)
		// Were a later segment to vanish before this one, messages would
		// come back without what became of them.
		if err := o.disk.SyncDir(o.dir); err != nil {
			return fmt.Errorf("cannot remove from the outbox: %w", err)
		}
	}
	if !o.writing {
		// Nothing is left that an unwritten acknowledgement could be about.
		o.batch = &batch{}
	}
	return nil
}

// makeRoomLocked sees to it that need bytes more fit. What newer messages have
// made worthless goes first; then there is an error.
func (o *Outbox) makeRoomLocked(need int64) error {
	if o.diskBytesLocked()+need <= o.maxBytes {
		return nil
	}
	for o.writing {
		o.cond.Wait()
	}
	if o.giveUpSupersededLocked() > 0 || o.deadBytesLocked() >= need {
		if err := o.commitLocked(o.batch); err != nil {
			return err
		}
		for o.writing {
			o.cond.Wait()
		}
		o.active = nil
		if err := o.rewriteLocked(); err != nil {
			return err
		}
	}
	if size := o.diskBytesLocked(); size+need > o.maxBytes {
		return fault.New(fault.Unavailable, "the outbox is full: %d messages take %d of %d bytes and wait for a management point; "+
			"new ones are refused until it can be reached", len(o.live), size, o.maxBytes)
	}
	return nil
}

func (o *Outbox) giveUpSupersededLocked() int {
	newest := map[uint64]uint64{}
	for _, e := range o.live {
		if e.supersedes != 0 {
			newest[e.supersedes] = e.seq
		}
	}
	return o.giveUpLocked(func(e entry) bool { return e.supersedes != 0 && newest[e.supersedes] != e.seq })
}

func (o *Outbox) deadBytesLocked() int64 {
	dead := int64(0)
	for _, s := range o.segments {
		dead += s.size - s.liveBytes
	}
	return dead
}

// rewriteLocked makes every segment clean: it holds the messages that wait,
// under the keys that they have now, and nothing else. It goes from the oldest
// on, so that what a segment says about messages before it has no meaning any
// more when its turn comes, and a crash in between is harmless.
func (o *Outbox) rewriteLocked() error {
	if err := o.removeDoneLocked(); err != nil {
		return err
	}
	for _, s := range o.segments {
		if s.size == s.liveBytes && !s.rekeyed {
			continue
		}
		if err := o.rewriteSegmentLocked(s); err != nil {
			return fmt.Errorf("cannot make room in the outbox: %w", err)
		}
	}
	return o.removeDoneLocked()
}

func (o *Outbox) rewriteSegmentLocked(s *segment) error {
	data, err := filesys.ReadFile(s.path, maxSegment)
	if err != nil {
		return err
	}
	var out []byte
	type place struct {
		index, length int
		at            int64
	}
	var moved []place
	scan(data, func(_, _ int, r record) {
		if r.kind != kindMessage {
			return
		}
		i, ok := slices.BinarySearchFunc(o.live, r.seq, func(e entry, seq uint64) int { return cmp.Compare(e.seq, seq) })
		if !ok || o.live[i].segment != s {
			return
		}
		r.incarnation, r.number = o.live[i].incarnation, o.live[i].number
		at := len(out)
		out = appendRecord(out, r)
		moved = append(moved, place{i, len(out) - at, int64(at)})
	})
	if err := o.replaceFile(s, out); err != nil {
		return err
	}
	s.size, s.live, s.liveBytes, s.rekeyed = int64(len(out)), len(moved), 0, false
	for _, p := range moved {
		o.live[p.index].at, o.live[p.index].length = p.at, p.length
		s.liveBytes += int64(p.length)
	}
	return nil
}

func (o *Outbox) replaceFile(s *segment, data []byte) error {
	temp := s.path[:len(s.path)-len(suffix)] + tempSuffix
	f, err := o.disk.Open(temp)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(data, 0)
	err = errors.Join(err, f.Truncate(int64(len(data))), f.Sync(), f.Close())
	if err == nil {
		err = o.disk.Rename(temp, s.path)
	}
	if err != nil {
		return errors.Join(err, o.disk.Remove(temp))
	}
	return o.disk.SyncDir(o.dir)
}
