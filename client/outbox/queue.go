package outbox

import (
	"encoding/hex"
	"fmt"
	"slices"

	"mainstay/lib/fault"
	"mainstay/wire"
)

// Batch is what one upload carries: messages of one incarnation in order.
type Batch struct {
	// Running, Born, First, Last and Acknowledged are what wire.Upload wants.
	Running, Born             string
	First, Last, Acknowledged int64
	Messages                  []wire.Message
}

// Next gives the oldest messages that wait, all of one incarnation, at most
// count of them and at most size bytes of bodies, but always one if there is
// any. It takes nothing away: until Acknowledge it gives the same again. An
// empty batch means that nothing waits.
func (o *Outbox) Next(count, size int) (Batch, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.live) == 0 {
		return Batch{Running: o.running.String()}, nil
	}
	// Acknowledged below must never be forgotten once it was said.
	if err := o.commitLocked(o.batch); err != nil {
		return Batch{}, err
	}
	for len(o.live) > 0 {
		chosen := o.chooseLocked(count, size)
		messages, damaged, err := o.readLocked(chosen)
		if err != nil {
			return Batch{}, err
		}
		if len(damaged) > 0 {
			o.damage.Records += len(damaged)
			o.giveUpLocked(func(e entry) bool { return slices.Contains(damaged, e.seq) })
		}
		if len(messages) > 0 {
			return o.describeLocked(messages), nil
		}
	}
	return Batch{Running: o.running.String()}, nil
}

// chooseLocked picks entries without reading them.
func (o *Outbox) chooseLocked(count, size int) []entry {
	var chosen []entry
	for _, e := range o.live {
		if e.incarnation != o.live[0].incarnation || len(chosen) == max(count, 1) {
			break
		}
		if size -= e.length; size < 0 && len(chosen) > 0 {
			break
		}
		chosen = append(chosen, e)
	}
	return chosen
}

// readLocked reads messages and checks them again; it names those that the
// disk has lost meanwhile.
func (o *Outbox) readLocked(chosen []entry) (messages []wire.Message, damaged []uint64, err error) {
	var open file
	var from *segment
	defer func() {
		if open != nil {
			open.Close()
		}
	}()
	for _, e := range chosen {
		if from != e.segment {
			if open != nil {
				open.Close()
			}
			if open, err = o.disk.Open(e.segment.path); err != nil {
				return nil, nil, fmt.Errorf("cannot read the outbox: %w", err)
			}
			from = e.segment
		}
		r, ok := readEntry(open, e)
		if !ok {
			damaged = append(damaged, e.seq)
			continue
		}
		// The key is the one in memory: the record has what it was born with.
		r.incarnation, r.number = e.incarnation, e.number
		messages = append(messages, r.message())
	}
	return messages, damaged, nil
}

func readEntry(f file, e entry) (record, bool) {
	frame := make([]byte, e.length)
	if _, err := f.ReadAt(frame, e.at); err != nil {
		return record{}, false
	}
	r, length, ok := readRecord(frame)
	return r, ok && length == e.length && r.kind == kindMessage && r.seq == e.seq
}

func (o *Outbox) describeLocked(messages []wire.Message) Batch {
	lowest := uint64(messages[0].Number)
	for _, e := range o.live {
		if e.incarnation.String() == messages[0].Incarnation {
			lowest = min(lowest, e.number)
			break
		}
	}
	return Batch{
		Running: o.running.String(), Born: messages[0].Incarnation,
		First: messages[0].Number, Last: messages[len(messages)-1].Number,
		Acknowledged: int64(lowest) - 1, Messages: messages,
	}
}

// Acknowledge forgets the messages of an incarnation up to and including last:
// they are in the site database.
func (o *Outbox) Acknowledge(born string, last int64) error {
	inc, ok := parseIncarnation(born)
	if !ok || last < 1 {
		return fault.New(fault.Invalid, "acknowledgement of %q up to %d makes no sense", born, last)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.acknowledgeLocked(inc, uint64(last)) == 0 {
		return nil
	}
	o.batch.add(record{kind: kindAcknowledge, incarnation: inc, last: uint64(last)})
	return o.removeDoneLocked()
}

func (o *Outbox) acknowledgeLocked(inc incarnation, last uint64) int {
	before := len(o.live)
	o.live = slices.DeleteFunc(o.live, func(e entry) bool {
		if e.incarnation != inc || e.number > last {
			return false
		}
		e.segment.forget(e)
		return true
	})
	if len(o.live) == 0 {
		o.live = nil
	}
	return before - len(o.live)
}

// GiveUp forgets one message that can never be sent.
func (o *Outbox) GiveUp(id string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	seq, err := o.findLocked(id)
	if err != nil || seq == 0 {
		return err
	}
	o.giveUpLocked(func(e entry) bool { return e.seq == seq })
	if err := o.commitLocked(o.batch); err != nil {
		return err
	}
	return o.removeDoneLocked()
}

// Contains tells whether the message with an identifier waits.
func (o *Outbox) Contains(id string) (bool, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	seq, err := o.findLocked(id)
	return seq != 0, err
}

// findLocked reads from the newest message backwards.
func (o *Outbox) findLocked(id string) (uint64, error) {
	for _, e := range slices.Backward(o.live) {
		f, err := o.disk.Open(e.segment.path)
		if err != nil {
			return 0, fmt.Errorf("cannot read the outbox: %w", err)
		}
		r, ok := readEntry(f, e)
		f.Close()
		if ok && hex.EncodeToString(r.id[:]) == id {
			return e.seq, nil
		}
	}
	return 0, nil
}
