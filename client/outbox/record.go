package outbox

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"slices"

	"mainstay/wire"
)

// incarnation is a run of the outbox.
type incarnation [8]byte

// String is the form on the wire.
func (i incarnation) String() string { return hex.EncodeToString(i[:]) }

func parseIncarnation(s string) (incarnation, bool) {
	var i incarnation
	data, err := hex.DecodeString(s)
	if err != nil || len(data) != len(i) {
		return i, false
	}
	copy(i[:], data)
	return i, i.String() == s
}

// Kinds of records.
const (
	kindMessage     = 1
	kindAcknowledge = 2
	kindRekey       = 3
	kindGiveUp      = 4
)

// record is one record of a segment; kind tells which fields count.
type record struct {
	kind byte

	// A message: its place in the folder and its key.
	seq         uint64
	incarnation incarnation
	number      uint64
	id          [16]byte
	// supersedes is equal in messages of which only the newest matters; 0 in
	// all others.
	supersedes uint64
	time       int64
	typ        string
	body       []byte

	// kindAcknowledge: everything of incarnation up to last is done.
	// kindRekey: what waits with a sequence number up to through belongs to
	// incarnation now, with number = sequence number - base.
	last, base, through uint64

	// kindGiveUp: messages that are not sent any more.
	seqs []uint64
}

var magic = []byte{0xF5, 'M', 'O', 0x01}

const (
	headBytes = 12
	// messageBytes is the payload of a message without type and body.
	messageBytes = 1 + 8 + 8 + 8 + 16 + 8 + 8 + 1
	// maxPayload bounds what a length field is believed.
	maxPayload = wire.MaxMessageBytes + messageBytes + 255
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// appendRecord adds the bytes of a record.
func appendRecord(to []byte, r record) []byte {
	start := len(to)
	to = append(to, magic...)
	to = append(to, make([]byte, 8)...)
	to = append(to, r.kind)
	switch r.kind {
	case kindMessage:
		to = binary.LittleEndian.AppendUint64(to, r.seq)
		to = append(to, r.incarnation[:]...)
		to = binary.LittleEndian.AppendUint64(to, r.number)
		to = append(to, r.id[:]...)
		to = binary.LittleEndian.AppendUint64(to, r.supersedes)
		to = binary.LittleEndian.AppendUint64(to, uint64(r.time))
		to = append(to, byte(len(r.typ)))
		to = append(to, r.typ...)
		to = append(to, r.body...)
	case kindAcknowledge:
		to = append(to, r.incarnation[:]...)
		to = binary.LittleEndian.AppendUint64(to, r.last)
	case kindRekey:
		to = append(to, r.incarnation[:]...)
		to = binary.LittleEndian.AppendUint64(to, r.base)
		to = binary.LittleEndian.AppendUint64(to, r.through)
	case kindGiveUp:
		for _, seq := range r.seqs {
			to = binary.LittleEndian.AppendUint64(to, seq)
		}
	}
	frame := to[start:]
	binary.LittleEndian.PutUint32(frame[4:], uint32(len(frame)-headBytes))
	binary.LittleEndian.PutUint32(frame[8:], checksum(frame))
	return to
}

// checksum is the CRC of the length field and the payload of a frame.
func checksum(frame []byte) uint32 {
	sum := crc32.Checksum(frame[4:8], castagnoli)
	return crc32.Update(sum, castagnoli, frame[headBytes:])
}

// readRecord reads the record at the beginning of data and tells its length in
// bytes; ok is false when there is none that is whole. The record's body
// shares data's memory.
func readRecord(data []byte) (r record, length int, ok bool) {
	if len(data) < headBytes || !bytes.Equal(data[:4], magic) {
		return record{}, 0, false
	}
	payload := uint64(binary.LittleEndian.Uint32(data[4:]))
	if payload < 1 || payload > maxPayload || payload > uint64(len(data)-headBytes) {
		return record{}, 0, false
	}
	length = headBytes + int(payload)
	frame := data[:length]
	if binary.LittleEndian.Uint32(frame[8:]) != checksum(frame) {
		return record{}, 0, false
	}
	r, ok = decodePayload(frame[headBytes:])
	return r, length, ok
}

func decodePayload(p []byte) (record, bool) {
	r := record{kind: p[0]}
	number := func(at int) uint64 { return binary.LittleEndian.Uint64(p[at:]) }
	switch {
	case r.kind == kindMessage && len(p) >= messageBytes:
		r.seq = number(1)
		copy(r.incarnation[:], p[9:])
		r.number = number(17)
		copy(r.id[:], p[25:])
		r.supersedes = number(41)
		r.time = int64(number(49))
		end := messageBytes + int(p[57])
		if len(p) < end {
			return record{}, false
		}
		r.typ, r.body = string(p[messageBytes:end]), p[end:]
		// Numbers beyond what JSON and the database can count are damage.
		return r, r.seq > 0 && r.number > 0 && r.seq < 1<<62 && r.number < 1<<62
	case r.kind == kindAcknowledge && len(p) == 17:
		copy(r.incarnation[:], p[1:])
		r.last = number(9)
		return r, true
	case r.kind == kindRekey && len(p) == 25:
		copy(r.incarnation[:], p[1:])
		r.base, r.through = number(9), number(17)
		return r, r.base <= r.through && r.through < 1<<62
	case r.kind == kindGiveUp && len(p)%8 == 1:
		for at := 1; at < len(p); at += 8 {
			r.seqs = append(r.seqs, number(at))
		}
		return r, true
	}
	return record{}, false
}

// scan visits the whole records of a segment in order. It returns how many
// stretches between them were damaged, and where the last whole record ends.
func scan(data []byte, visit func(at int, length int, r record)) (damaged int, end int) {
	for at := 0; at < len(data); {
		r, length, ok := readRecord(data[at:])
		if ok {
			if at > end {
				damaged++
			}
			visit(at, length, r)
			at += length
			end = at
			continue
		}
		next := bytes.Index(data[at+1:], magic)
		if next < 0 {
			break
		}
		at += 1 + next
	}
	return damaged, end
}

// message makes the wire's form. It copies the body.
func (r record) message() wire.Message {
	return wire.Message{
		Incarnation: r.incarnation.String(), Number: int64(r.number), ID: hex.EncodeToString(r.id[:]),
		Type: r.typ, Time: r.time, Body: slices.Clone(json.RawMessage(r.body)),
	}
}

// supersedes tells which messages a newer one makes worthless: an earlier
// heartbeat, and an earlier state of the same topic.
func supersedes(typ string, body []byte) uint64 {
	name := typ
	switch typ {
	case wire.TypeHeartbeat:
	case wire.TypeStateMessage:
		var state wire.StateMessage
		if json.Unmarshal(body, &state) != nil {
			return 0
		}
		name = fmt.Sprintf("%s %d %s", typ, state.TopicType, state.TopicID)
	default:
		return 0
	}
	sum := sha256.Sum256([]byte(name))
	return binary.LittleEndian.Uint64(sum[:]) | 1
}
