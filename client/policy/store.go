package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"

	"mainstay/lib/fault"
	"mainstay/lib/filesys"
	"mainstay/wire"
)

// maxCurrent bounds current.json in bytes: an answer and a little.
const maxCurrent = wire.MaxAnswerBytes*2 + 4096

const currentFormat = 1

// current is the form of current.json.
type current struct {
	Format     int    `json:"format"`
	Device     string `json:"device"`
	AcceptedAt int64  `json:"accepted_at"`
	// Tag is the entity tag under which the answer came.
	Tag         string      `json:"tag,omitempty"`
	Assignments wire.Signed `json:"assignments"`
	Freshness   wire.Signed `json:"freshness"`
}

func decodeCurrent(data []byte) (current, error) {
	var c current
	if err := json.Unmarshal(data, &c); err != nil {
		return current{}, fault.Wrap(fault.Invalid, err, "the stored policy cannot be read")
	}
	if c.Format != currentFormat {
		return current{}, fault.New(fault.Invalid, "the stored policy has format %d, want %d", c.Format, currentFormat)
	}
	return c, nil
}

// store is the folder of a keeper.
type store struct{ dir string }

func openStore(dir string) (store, error) {
	return store{dir}, filesys.MakeDir(filepath.Join(dir, "bodies"), 0o700)
}

func (s store) currentPath() string         { return filepath.Join(s.dir, "current.json") }
func (s store) bodyPath(hash string) string { return filepath.Join(s.dir, "bodies", hash) }

// load reads what save stored; ok is false when there is nothing.
func (s store) load() (c current, ok bool, err error) {
	data, err := filesys.ReadFile(s.currentPath(), maxCurrent)
	if errors.Is(err, os.ErrNotExist) {
		return current{}, false, nil
	}
	if err != nil {
		return current{}, false, err
	}
	c, err = decodeCurrent(data)
	return c, err == nil, err
}

// body reads a body and checks its hash; an absent one is NotFound.
func (s store) body(hash string) ([]byte, error) {
	data, err := filesys.ReadFile(s.bodyPath(hash), wire.MaxPolicyBodyBytes)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fault.New(fault.NotFound, "policy body %s is not stored", hash)
	}
	if err != nil {
		return nil, err
	}
	if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != hash {
		return nil, fault.New(fault.Invalid, "stored policy body %s is damaged", hash)
	}
	return data, nil
}

// saveBody stores a body for good.
func (s store) saveBody(hash string, data []byte) error {
	return filesys.WriteFile(s.bodyPath(hash), data, 0o600)
}

// save makes a set the one that is loaded. All bodies are stored before.
func (s store) save(c current) error {
	data, err := json.Marshal(c)
	if err != nil {
		return err
	}
	return filesys.WriteFile(s.currentPath(), data, 0o600)
}

// clean removes bodies that a set does not name. What it cannot remove it
// leaves for the next time.
func (s store) clean(list []wire.Assignment) {
	wanted := map[string]bool{}
	for _, a := range list {
		wanted[a.Hash] = true
	}
	entries, err := os.ReadDir(filepath.Join(s.dir, "bodies"))
	if err != nil {
		return
	}
	for _, e := range entries {
		if !wanted[e.Name()] {
			_ = os.Remove(s.bodyPath(e.Name()))
		}
	}
}

// clear removes the set.
func (s store) clear() error {
	if err := filesys.Remove(s.currentPath()); err != nil {
		return err
	}
	s.clean(nil)
	return nil
}
