package inbox

import (
	"encoding/binary"
	"encoding/hex"

	"mainstay/lib/sqldb"
	"mainstay/wire"
)

type markKey struct{ device, incarnation string }

// mark is what was processed of one incarnation of a device.
type mark struct {
	through int64
	// acknowledged is what the client had said it had nothing left to send of;
	// recent are the messages above it, which may be repeated.
	acknowledged int64
	recent       []recentMessage
	moved        bool
}

type recentMessage struct {
	number int64
	id     [8]byte
}

// maxRecent bounds what a client can make the site remember.
const maxRecent = 4 * wire.MaxMessages

// fresh is the part of the messages that was not processed before. All with
// numbers at or below through are repeats, unless another message had the
// number: the machine was set back together with its memory.
func (m *mark) fresh(messages []wire.Message) []wire.Message {
	fresh := make([]wire.Message, 0, len(messages))
	for i, msg := range messages {
		if msg.Number > m.through {
			return append(fresh, messages[i:]...)
		}
		if msg.Number > m.acknowledged && !m.knows(idOf(msg)) {
			fresh = append(fresh, msg)
		}
	}
	return fresh
}

func (m *mark) knows(id [8]byte) bool {
	for _, r := range m.recent {
		if r.id == id {
			return true
		}
	}
	return false
}

// move notes that messages of an upload were processed, and with it everything
// up to its last number.
func (m *mark) move(u wire.Upload, processed []wire.Message) {
	m.moved = true
	m.through = max(m.through, u.Last)
	m.acknowledged = max(m.acknowledged, u.Acknowledged)
	kept := m.recent[:0]
	for _, r := range m.recent {
		if r.number > m.acknowledged {
			kept = append(kept, r)
		}
	}
	for _, msg := range processed {
		kept = append(kept, recentMessage{msg.Number, idOf(msg)})
	}
	m.recent = kept[max(0, len(kept)-maxRecent):]
}

// idOf is the first half of a message's identifier, which decodeMessages has
// checked.
func idOf(msg wire.Message) (id [8]byte) {
	if len(msg.ID) >= 16 {
		hex.Decode(id[:], []byte(msg.ID[:16]))
	}
	return id
}

func (m *mark) load(row processedRow) {
	m.through, m.acknowledged = row.ProcessedThrough, row.Acknowledged
	for b := row.Recent; len(b) >= 16; b = b[16:] {
		m.recent = append(m.recent, recentMessage{int64(binary.BigEndian.Uint64(b)), [8]byte(b[8:16])})
	}
}

func (m *mark) row(key markKey, now int64) processedRow {
	recent := make([]byte, 0, 16*len(m.recent))
	for _, r := range m.recent {
		recent = append(binary.BigEndian.AppendUint64(recent, uint64(r.number)), r.id[:]...)
	}
	return processedRow{key.device, key.incarnation, m.through, m.acknowledged, notNull(recent), now}
}

type processedRow struct {
	Device           string `db:"device"`
	Incarnation      string `db:"incarnation"`
	ProcessedThrough int64  `db:"processed_through"`
	Acknowledged     int64  `db:"acknowledged"`
	Recent           []byte `db:"recent"`
	UpdatedAt        int64  `db:"updated_at"`
}

var (
	readProcessed = sqldb.DefineManyOut[processedRow, processedRow]("inbox.readProcessed",
		`SELECT device, incarnation, processed_through, acknowledged, recent, updated_at FROM inbox_processed
		 WHERE (device, incarnation) IN (VALUES [[(@device, @incarnation)]])`)
	putProcessed = sqldb.DefineMany[processedRow]("inbox.putProcessed",
		`INSERT INTO inbox_processed (device, incarnation, processed_through, acknowledged, recent, updated_at)
		 VALUES [[(@device, @incarnation, @processed_through, @acknowledged, @recent, @updated_at)]]
		 ON CONFLICT (device, incarnation) DO UPDATE SET
		   processed_through = excluded.processed_through, acknowledged = excluded.acknowledged,
		   recent = excluded.recent, updated_at = excluded.updated_at`)
)
