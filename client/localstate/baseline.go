package localstate

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"os"

	"mainstay/lib/fault"
	"mainstay/lib/filesys"
)

// maxBaseline bounds a baseline in bytes.
const maxBaseline = 64 << 20

// Baseline is an inventory that was reported, as its collector wrote it.
type Baseline struct {
	// MessageID is the message that reports it.
	MessageID string
	// Result is the hash of the inventory after that report.
	Result string
	Data   []byte
}

type baselineHead struct {
	MessageID string `json:"message_id"`
	Result    string `json:"result"`
	Size      int    `json:"size"`
	CRC       uint32 `json:"crc"`
}

func (b Baseline) encode() ([]byte, error) {
	head, err := json.Marshal(baselineHead{b.MessageID, b.Result, len(b.Data), crc32.ChecksumIEEE(b.Data)})
	if err != nil {
		return nil, err
	}
	return append(append(head, '\n'), b.Data...), nil
}

func decodeBaseline(file []byte) (Baseline, error) {
	line, data, ok := bytes.Cut(file, []byte("\n"))
	var head baselineHead
	if !ok || json.Unmarshal(line, &head) != nil || head.Size != len(data) || head.CRC != crc32.ChecksumIEEE(data) {
		return Baseline{}, fault.New(fault.Invalid, "inventory baseline is damaged")
	}
	return Baseline{MessageID: head.MessageID, Result: head.Result, Data: data}, nil
}

// Baseline is the inventory that was reported last; the zero value when there
// is none or when it is damaged, and then the next report is a full one.
func (s *Store) Baseline() (Baseline, error) {
	return s.readBaseline("inventory.baseline")
}

func (s *Store) readBaseline(name string) (Baseline, error) {
	file, err := filesys.ReadFile(s.path(name), maxBaseline)
	if errors.Is(err, os.ErrNotExist) {
		return Baseline{}, nil
	}
	if err != nil && !fault.Is(err, fault.Invalid) {
		return Baseline{}, err
	}
	if b, err := decodeBaseline(file); err == nil {
		return b, nil
	}
	return Baseline{}, nil
}

// PrepareBaseline stores an inventory before its report is queued. Then the
// report is queued under b.MessageID, and CommitBaseline makes it the one that
// was reported last. After a crash in between PreparedBaseline tells which
// message to look for.
func (s *Store) PrepareBaseline(b Baseline) error {
	data, err := b.encode()
	if err != nil {
		return err
	}
	return filesys.WriteFile(s.path("inventory.baseline.next"), data, 0o600)
}

// PreparedBaseline is the inventory that was prepared and neither committed nor
// dropped; the zero value if there is none.
func (s *Store) PreparedBaseline() (Baseline, error) {
	return s.readBaseline("inventory.baseline.next")
}

// CommitBaseline makes the prepared inventory the one that was reported last.
func (s *Store) CommitBaseline() error {
	if err := os.Rename(s.path("inventory.baseline.next"), s.path("inventory.baseline")); err != nil {
		return fmt.Errorf("cannot keep the inventory that was reported: %w", err)
	}
	return filesys.SyncDir(s.dir)
}

// DropPrepared forgets the prepared inventory: its report was not queued.
func (s *Store) DropPrepared() error { return filesys.Remove(s.path("inventory.baseline.next")) }

// DropBaseline forgets every inventory: the next report is a full one.
func (s *Store) DropBaseline() error {
	return errors.Join(s.DropPrepared(), filesys.Remove(s.path("inventory.baseline")))
}
