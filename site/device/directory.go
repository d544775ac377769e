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
	// learned are single keys that are newer than counter.
	learned map[[32]byte]learned
}

type standing struct {
	device string
	is     KeyStanding
}

type learned struct {
	standing
	counter int64
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
	readDirectoryKey = sqldb.Define[byKey, directoryRow]("device.readDirectoryKey",
		`SELECT key_fingerprint, id AS device, blocked_at IS NOT NULL AS blocked, FALSE AS replaced FROM device
		 WHERE key_fingerprint = @key_fingerprint`)
)

// NewDirectory makes an empty directory; Run fills it.
func NewDirectory(db interface {
	sitedb.Reader
	Subscribe(ctx context.Context, topics ...string) <-chan struct{}
}) *Directory {
	return &Directory{db: db, keys: map[[32]byte]standing{}, learned: map[[32]byte]learned{}}
}

// Run keeps the directory up to date until ctx ends. While the database is
// away it goes on with what it knew.
func (d *Directory) Run(ctx context.Context) error {
	return lifecycle.Reconciler{
		Name: "device directory", Woken: d.db.Subscribe(ctx, "device-identity"), Period: directoryPeriod, Pass: d.refreshAndRest,
	}.Run(ctx)
}

// mostRest keeps what is known of blocking younger than a second.
const mostRest = 400 * time.Millisecond

// refreshAndRest rests after it has read the whole directory, in proportion to
// what that took: while a fleet registers there is a change for every machine,
// and a site of 50,000 needs a tenth of a second to read.
func (d *Directory) refreshAndRest(ctx context.Context) error {
	began := time.Now()
	if err := d.Refresh(ctx); err != nil {
		return err
	}
	rest := time.NewTimer(min(5*time.Since(began), mostRest))
	defer rest.Stop()
	select {
	case <-rest.C:
	case <-ctx.Done():
	}
	return nil
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

// Learn brings the directory up to date for one key (fingerprint in hex), at
// once: it has just been given a device, and its next request must not meet
// what was so before.
func (d *Directory) Learn(ctx context.Context, fingerprint string) error {
	return d.db.Read(ctx, func(tx *sitedb.Tx) error {
		now, _, err := readCounter.One(ctx, tx, struct {
			Name string `db:"name"`
		}{"device"})
		if err != nil {
			return err
		}
		row, found, err := readDirectoryKey.One(ctx, tx, byKey{fingerprint})
		if err != nil || !found {
			return err
		}
		key, s, ok := row.standing()
		d.mu.Lock()
		defer d.mu.Unlock()
		// What is as old as the directory is in it.
		if ok && now.Value > d.counter {
			d.learned[key] = learned{s, now.Value}
			d.keys[key] = s
		}
		return nil
	})
}

// standing tells how a key stands, and whose it is; a key that is of no
// interest is not ok.
func (row directoryRow) standing() (key [32]byte, s standing, ok bool) {
	s = standing{device: row.Device, is: KeyGood}
	switch {
	case row.Replaced && row.Device == "":
		return key, s, false // a deleted device may register again
	case row.Replaced:
		s.is = KeyReplaced
	case row.Blocked:
		s.is = KeyBlocked
	}
	n, err := hex.Decode(key[:], []byte(row.KeyFingerprint))
	return key, s, err == nil && n == len(key)
}

func (d *Directory) reload(ctx context.Context, tx *sitedb.Tx, counter int64) error {
	d.mu.RLock()
	keys := make(map[[32]byte]standing, len(d.keys)+len(d.learned))
	d.mu.RUnlock()
	err := readDirectory.Each(ctx, tx, sqldb.None{}, func(row directoryRow) error {
		if key, s, ok := row.standing(); ok {
			keys[key] = s
		}
		return nil
	})
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for key, l := range d.learned {
		if l.counter <= counter {
			delete(d.learned, key)
		} else {
			keys[key] = l.standing
		}
	}
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
