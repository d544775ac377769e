package identity

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"mainstay/lib/filesys"
	"mainstay/lib/mtls"
)

// Store keeps the identity of one machine in a folder. It belongs to one
// goroutine.
type Store struct{ dir string }

// OpenStore makes the folder if need be, readable by its owner alone.
func OpenStore(dir string) (*Store, error) {
	if err := filesys.MakeDir(dir, 0o700); err != nil {
		return nil, err
	}
	return &Store{dir: dir}, nil
}

func (s *Store) identityPath() string { return filepath.Join(s.dir, "identity.json") }
func (s *Store) pendingPath() string  { return filepath.Join(s.dir, "pending.json") }

// Load returns the identity in force and the registration under way; each is
// nil if there is none. A file that cannot be read is an error: a machine that
// quietly became another one would lose its record.
func (s *Store) Load() (*Identity, *Pending, error) {
	id, err := load(s.identityPath(), Decode)
	if err != nil {
		return nil, nil, err
	}
	pending, err := load(s.pendingPath(), decodePending)
	if err != nil {
		return nil, nil, err
	}
	if pending != nil && id != nil && pending.replaces != id.fingerprint() {
		// The crash came between the new identity and the end of the
		// registration that brought it.
		return id, nil, filesys.Remove(s.pendingPath())
	}
	return id, pending, nil
}

func load[T any](path string, decode func([]byte) (*T, error)) (*T, error) {
	data, err := filesys.ReadFile(path, maxFile)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	value, err := decode(data)
	if err != nil {
		return nil, fmt.Errorf("cannot use %s (move it away to register anew): %w", path, err)
	}
	return value, nil
}

// Begin stores a registration that is to replace old (nil for none).
func (s *Store) Begin(p *Pending, old *Identity) error {
	p.replaces = old.fingerprint()
	data, err := p.encode()
	if err != nil {
		return err
	}
	return filesys.WriteFile(s.pendingPath(), data, 0o600)
}

// Save puts an identity in force for good and ends a registration under way.
func (s *Store) Save(id *Identity) error {
	data, err := id.Encode()
	if err != nil {
		return err
	}
	if err := filesys.WriteFile(s.identityPath(), data, 0o600); err != nil {
		return err
	}
	return filesys.Remove(s.pendingPath())
}

func (id *Identity) fingerprint() string {
	if id == nil {
		return ""
	}
	return mtls.Fingerprint(id.Chain[0])
}
