package policy

import (
	"context"
	"sync"
	"time"

	"mainstay/lib/fault"
	"mainstay/lib/lifecycle"
	"mainstay/lib/sqldb"
	"mainstay/site/sitedb"
)

// cachePeriod is the safety net behind the announcement of new policy.
const cachePeriod = 500 * time.Millisecond

// maxCachedBodies bounds the bytes of policy bodies kept in memory.
const maxCachedBodies = 64 << 20

// Cache is a management point's view of policy. An unchanged poll is one look
// into a map.
type Cache struct {
	db interface {
		sitedb.Reader
		Subscribe(ctx context.Context, topics ...string) <-chan struct{}
	}

	mu     sync.RWMutex // guards everything below
	etags  map[string]string
	bodies map[string][]byte
	size   int
	seen   int64
}

var (
	readChanges = sqldb.Define[struct {
		After int64 `db:"after"`
	}, struct {
		Device  string `db:"device"`
		ETag    string `db:"etag"`
		Changed int64  `db:"changed"`
	}]("policy.readChanges",
		`SELECT device, etag, changed FROM policy_device WHERE changed > @after ORDER BY changed`)
	readAnswer = sqldb.Define[deviceID, struct {
		Assignments []byte `db:"assignments"`
		Freshness   []byte `db:"freshness"`
		ETag        string `db:"etag"`
	}]("policy.readAnswer",
		`SELECT assignments, freshness, etag FROM policy_device WHERE device = @device`)
	readBody = sqldb.Define[struct {
		Hash string `db:"hash"`
	}, struct {
		Body []byte `db:"body"`
	}]("policy.readBody", `SELECT body FROM policy_body WHERE hash = @hash`)
)

// NewCache makes an empty cache; Run fills it.
func NewCache(db interface {
	sitedb.Reader
	Subscribe(ctx context.Context, topics ...string) <-chan struct{}
}) *Cache {
	return &Cache{db: db, etags: map[string]string{}, bodies: map[string][]byte{}}
}

// Run keeps the cache up to date until ctx ends.
func (c *Cache) Run(ctx context.Context) error {
	return lifecycle.Reconciler{
		Name: "policy cache", Woken: c.db.Subscribe(ctx, "policy"), Period: cachePeriod, Pass: c.Refresh,
	}.Run(ctx)
}

// Refresh reads what changed since the last time.
func (c *Cache) Refresh(ctx context.Context) error {
	c.mu.RLock()
	after := c.seen
	c.mu.RUnlock()
	return c.db.Read(ctx, func(tx *sitedb.Tx) error {
		rows, err := readChanges.All(ctx, tx, struct {
			After int64 `db:"after"`
		}{after})
		if err != nil || len(rows) == 0 {
			return err
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, row := range rows {
			c.etags[row.Device] = row.ETag
		}
		c.seen = rows[len(rows)-1].Changed
		return nil
	})
}

// Unchanged tells whether a client that has etag has the newest policy.
func (c *Cache) Unchanged(device, etag string) bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return etag != "" && c.etags[device] == etag
}

// Answer is the body of a PolicyAnswer for a device and its ETag. A device
// whose policy has not been made yet is Unavailable.
func (c *Cache) Answer(ctx context.Context, device string) (body []byte, etag string, err error) {
	err = c.db.Read(ctx, func(tx *sitedb.Tx) error {
		row, ok, err := readAnswer.One(ctx, tx, deviceID{device})
		if err != nil {
			return err
		}
		if !ok {
			return fault.New(fault.Unavailable, "the policy of this device is being made")
		}
		body = make([]byte, 0, len(row.Assignments)+len(row.Freshness)+40)
		body = append(body, `{"assignments":`...)
		body = append(body, row.Assignments...)
		body = append(body, `,"freshness":`...)
		body = append(body, row.Freshness...)
		body = append(body, '}')
		etag = row.ETag
		return nil
	})
	return body, etag, err
}

// Body is a policy body by its hash.
func (c *Cache) Body(ctx context.Context, hash string) ([]byte, error) {
	c.mu.RLock()
	body, ok := c.bodies[hash]
	c.mu.RUnlock()
	if ok {
		return body, nil
	}
	err := c.db.Read(ctx, func(tx *sitedb.Tx) error {
		row, ok, err := readBody.One(ctx, tx, struct {
			Hash string `db:"hash"`
		}{hash})
		if err == nil && !ok {
			return fault.New(fault.NotFound, "no policy body has this hash")
		}
		body = row.Body
		return err
	})
	if err != nil {
		return nil, err
	}
	c.keep(hash, body)
	return body, nil
}

func (c *Cache) keep(hash string, body []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.size+len(body) > maxCachedBodies {
		c.bodies, c.size = map[string][]byte{}, 0
	}
	c.bodies[hash] = body
	c.size += len(body)
}
