package device

import (
	"context"
	"encoding/hex"
	"sync"
	"time"

	"mainstay/lib/lifecycle"
	"mainstay/lib/sqldb"
	"mainstay/site/sitedb"
)

// Standing of a key, as a management point judges a connection by it.
type KeyStanding int

// The standings.
const (
	// KeyUnknown: the site has no device with this key.
	KeyUnknown KeyStanding = iota
	KeyGood
	KeyBlocked
	// KeyReplaced: the device has registered with a newer key.
	KeyReplaced
)

// directoryPeriod is how old a management point's knowledge of blocking gets
// at most while the database can be reached (design, section 7: one second).
const directoryPeriod = 500 * time.Millisecond

// Directory knows the standing of every key from memory. It is brought up to
// date when a change is announced and twice a second.
type Directory struct {
	db interface {
		sitedb.Reader
		Subscribe(ctx context.Context, topics ...string) <-chan struct{}
	}

	mu      sync.RWMutex // guards everything below
	keys    map[[32]byte]standing
	counter int64
	seenAt  time.Time
}

type standing struct {
	device string
	is     KeyStanding
}

type directoryRow struct {
	KeyFingerprint string `db:"key_fingerprint"`
	Device         string `db:"device"`
	Blocked        bool   `db:"blocked"`
	Replaced       bool   `db:"replaced"`
}

var (
	readCounter = sqldb.Define[struct {
		Name string `db:"name"`
	}, struct {
		Value int64 `db:"value"`
	}]("device.readCounter",
		`SELECT value FROM change_counter WHERE name = @name`)
	readDirectory = sqldb.Define[sqldb.None, directoryRow]("device.readDirectory",
		`SELECT key_fingerprint, id AS device, blocked_at IS NOT NULL AS blocked, FALSE AS replaced FROM device
		 UNION ALL
		 SELECT key_fingerprint, device, FALSE AS blocked, TRUE AS replaced FROM device_key`)
)

// NewDirectory makes an empty directory; Run fills it.
func NewDirectory(db interface {
	sitedb.Reader
	Subscribe(ctx context.Context, topics ...string) <-chan struct{}
}) *Directory {
	return &Directory{db: db, keys: map[[32]byte]standing{}}
}

// Run keeps the directory up to date until ctx ends. While the database is
// away it goes on with what it knew.
func (d *Directory) Run(ctx context.Context) error {
	return lifecycle.Reconciler{
		Name: "device directory", Woken: d.db.Subscribe(ctx, "device-identity"), Period: directoryPeriod, Pass: d.Refresh,
	}.Run(ctx)
}

// Refresh reads the directory again if anything changed.
func (d *Directory) Refresh(ctx context.Context) error {
	d.mu.RLock()
	counter := d.counter
	d.mu.RUnlock()
	return d.db.Read(ctx, func(tx *sitedb.Tx) error {
		now, _, err := readCounter.One(ctx, tx, struct {
			Name string `db:"name"`
		}{"device"})
		if err != nil {
			return err
		}
		if now.Value == counter && counter != 0 {
			d.mu.Lock()
			d.seenAt = time.Now()
			d.mu.Unlock()
			return nil
		}
		return d.reload(ctx, tx, now.Value)
	})
}

func (d *Directory) reload(ctx context.Context, tx *sitedb.Tx, counter int64) error {
	keys := make(map[[32]byte]standing, len(d.keys))
	err := readDirectory.Each(ctx, tx, sqldb.None{}, func(row directoryRow) error {
		s := standing{device: row.Device, is: KeyGood}
		switch {
		case row.Replaced && row.Device == "":
			return nil // a deleted device may register again
		case row.Replaced:
			s.is = KeyReplaced
		case row.Blocked:
			s.is = KeyBlocked
		}
		var key [32]byte
		if n, err := hex.Decode(key[:], []byte(row.KeyFingerprint)); err == nil && n == len(key) {
			keys[key] = s
		}
		return nil
	})
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.keys, d.counter, d.seenAt = keys, counter, time.Now()
	return nil
}

// Judge tells how the key with this fingerprint (raw SHA-256) stands and whose
// it is.
func (d *Directory) Judge(fingerprint [32]byte) (device string, is KeyStanding) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	s := d.keys[fingerprint]
	return s.device, s.is
}

// Age is when the directory was last known to be right.
func (d *Directory) Age() time.Time {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.seenAt
}
