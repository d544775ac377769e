package policy

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/bits"
	"time"

	"mainstay/lib/sqldb"
	"mainstay/site/sitedb"
	"mainstay/site/trust"
	"mainstay/wire"
)

const (
	// freshnessLife is how long a freshness statement lives.
	freshnessLife = wire.FreshnessDays * 24 * time.Hour
	// freshnessRenewal is the age at which it is replaced.
	freshnessRenewal = 7 * 24 * time.Hour
	// compileBatch bounds the devices of one transaction: each costs two
	// signatures, about 0.1 ms, and transactions stay below 500 ms.
	compileBatch = 200
	// mostSpread is the longest time over which full inventories that the site
	// asks for are spread, resyncsPerSecond how many a second it can take.
	mostSpread       = 10 * time.Minute
	resyncsPerSecond = 100
)

// everyDevice in policy_wanted stands for all devices of the site.
const everyDevice = "*"

type wanted struct {
	Device      string `db:"device"`
	RequestedAt int64  `db:"requested_at"`
}

type deviceID struct {
	Device string `db:"device"`
}

type deviceRow struct {
	Device  string `db:"device"`
	Version int64  `db:"version"`
	// Content is the hash of what the assignments say, without version and
	// time.
	Content     string `db:"content"`
	Assignments []byte `db:"assignments"`
	Freshness   []byte `db:"freshness"`
	ETag        string `db:"etag"`
	FreshUntil  int64  `db:"fresh_until"`
	Changed     int64  `db:"changed"`
}

type bodyRow struct {
	Hash      string `db:"hash"`
	Kind      string `db:"kind"`
	Body      []byte `db:"body"`
	CreatedAt int64  `db:"created_at"`
}

const deviceRowColumns = `device, version, content, assignments, freshness, etag, fresh_until, changed`

var (
	putWanted = sqldb.Define[wanted, sqldb.None]("policy.putWanted",
		`INSERT INTO policy_wanted (device, requested_at) VALUES (@device, @requested_at)
		 ON CONFLICT (device) DO UPDATE SET requested_at = excluded.requested_at`)
	readEveryone = sqldb.Define[deviceID, deviceID]("policy.readEveryone",
		`SELECT device FROM policy_wanted WHERE device = @device`)
	wantAll = sqldb.Define[wanted, sqldb.None]("policy.wantAll",
		`INSERT INTO policy_wanted (device, requested_at) SELECT id, @requested_at FROM device WHERE true
		 ON CONFLICT (device) DO NOTHING`)
	doneWanted = sqldb.Define[deviceID, sqldb.None]("policy.doneWanted",
		`DELETE FROM policy_wanted WHERE device = @device`)
	nextWanted = sqldb.Define[struct {
		Everyone string `db:"everyone"`
		Limit    int64  `db:"limit"`
	}, deviceID]("policy.nextWanted",
		`SELECT device FROM policy_wanted WHERE device <> @everyone ORDER BY requested_at, device LIMIT @limit`)
	nextStale = sqldb.Define[struct {
		Before int64 `db:"before"`
		Limit  int64 `db:"limit"`
	}, deviceID]("policy.nextStale",
		`SELECT device FROM policy_device WHERE fresh_until < @before ORDER BY fresh_until, device LIMIT @limit`)
	countDevices = sqldb.Define[sqldb.None, struct {
		N int64 `db:"n"`
	}]("policy.countDevices", `SELECT count(*) AS n FROM device`)
	readResync = sqldb.Define[deviceID, struct {
		Resync int64 `db:"resync"`
	}]("policy.readResync", `SELECT resync FROM device WHERE id = @device`)
	readDeviceRow = sqldb.Define[deviceID, deviceRow]("policy.readDevice",
		`SELECT `+deviceRowColumns+` FROM policy_device WHERE device = @device`)
	putDeviceRow = sqldb.Define[deviceRow, sqldb.None]("policy.putDevice",
		`INSERT INTO policy_device (`+deviceRowColumns+`)
		 VALUES (@device, @version, @content, @assignments, @freshness, @etag, @fresh_until, @changed)
		 ON CONFLICT (device) DO UPDATE SET version = excluded.version, content = excluded.content,
		   assignments = excluded.assignments, freshness = excluded.freshness, etag = excluded.etag,
		   fresh_until = excluded.fresh_until, changed = excluded.changed`)
	dropDeviceRow = sqldb.Define[deviceID, sqldb.None]("policy.dropDevice",
		`DELETE FROM policy_device WHERE device = @device`)
	putBody = sqldb.Define[bodyRow, sqldb.None]("policy.putBody",
		`INSERT INTO policy_body (hash, kind, body, created_at) VALUES (@hash, @kind, @body, @created_at)
		 ON CONFLICT (hash) DO NOTHING`)
	forgetContent = sqldb.Define[sqldb.None, sqldb.None]("policy.forgetContent",
		`UPDATE policy_device SET content = ''`)
	nextChange = sqldb.Define[sqldb.None, struct {
		Value int64 `db:"value"`
	}]("policy.nextChange",
		`UPDATE change_counter SET value = value + 1 WHERE name = 'policy' RETURNING value`)
)

// TopicWanted is announced when policy has to be made.
const TopicWanted = "policy-wanted"

// Want asks for the policy of a device to be made again.
func Want(ctx context.Context, tx *sitedb.Tx, device string, now time.Time) error {
	_, err := putWanted.Exec(ctx, tx, wanted{Device: device, RequestedAt: sitedb.Micros(now)})
	tx.Announce(TopicWanted)
	return err
}

// WantEveryone asks for the policy of all devices to be made again.
func WantEveryone(ctx context.Context, tx *sitedb.Tx, now time.Time) error {
	return Want(ctx, tx, everyDevice, now)
}

// CompilerConfig is what a Compiler needs.
type CompilerConfig struct {
	// DB is bound to the term.
	DB        sitedb.Writer
	Authority *trust.Authority
	Now       func() time.Time
}

// Compiler is the component that makes and signs policy.
type Compiler struct {
	c CompilerConfig
	// spread is that of full inventories, set by each pass.
	spread time.Duration
}

// NewCompiler makes the component.
func NewCompiler(c CompilerConfig) *Compiler { return &Compiler{c: c} }

// Pass makes everything that is wanted or no longer fresh, and returns the
// number of devices it looked at.
func (p *Compiler) Pass(ctx context.Context) (int, error) {
	if err := p.spreadEveryone(ctx); err != nil {
		return 0, err
	}
	if err := p.chooseSpread(ctx); err != nil {
		return 0, err
	}
	total := 0
	for {
		devices, err := p.next(ctx)
		if err != nil || len(devices) == 0 {
			return total, err
		}
		err = p.c.DB.Write(ctx, func(tx *sitedb.Tx) error {
			for _, d := range devices {
				if err := p.compile(ctx, tx, d.Device); err != nil {
					return fmt.Errorf("policy of device %s: %w", d.Device, err)
				}
			}
			return nil
		})
		if err != nil {
			return total, err
		}
		total += len(devices)
	}
}

// spreadEveryone turns the wish for everyone into one for each device.
func (p *Compiler) spreadEveryone(ctx context.Context) error {
	var asked bool
	err := p.c.DB.Read(ctx, func(tx *sitedb.Tx) (err error) {
		_, asked, err = readEveryone.One(ctx, tx, deviceID{everyDevice})
		return err
	})
	if err != nil || !asked {
		return err
	}
	return p.c.DB.Write(ctx, func(tx *sitedb.Tx) error {
		if _, err := wantAll.Exec(ctx, tx, wanted{RequestedAt: sitedb.Micros(p.c.Now())}); err != nil {
			return err
		}
		_, err := doneWanted.Exec(ctx, tx, deviceID{everyDevice})
		return err
	})
}

// chooseSpread takes the size of the site: a small one need not wait for what a
// large one must have spread. It moves in powers of two, so that a site that
// grows does not change policy with each device.
func (p *Compiler) chooseSpread(ctx context.Context) error {
	return p.c.DB.Read(ctx, func(tx *sitedb.Tx) error {
		devices, _, err := countDevices.One(ctx, tx, sqldb.None{})
		p.spread = 0
		if seconds := devices.N / resyncsPerSecond; seconds > 0 {
			p.spread = min(time.Second<<bits.Len64(uint64(seconds)), mostSpread)
		}
		return err
	})
}

func (p *Compiler) next(ctx context.Context) (devices []deviceID, err error) {
	err = p.c.DB.Read(ctx, func(tx *sitedb.Tx) (err error) {
		devices, err = nextWanted.All(ctx, tx, struct {
			Everyone string `db:"everyone"`
			Limit    int64  `db:"limit"`
		}{everyDevice, compileBatch})
		if err != nil || len(devices) > 0 {
			return err
		}
		devices, err = nextStale.All(ctx, tx, struct {
			Before int64 `db:"before"`
			Limit  int64 `db:"limit"`
		}{sitedb.Micros(p.c.Now().Add(freshnessLife - freshnessRenewal)), compileBatch})
		return err
	})
	return devices, err
}

// compile makes the policy of one device and takes it off the list.
func (p *Compiler) compile(ctx context.Context, tx *sitedb.Tx, device string) error {
	if _, err := doneWanted.Exec(ctx, tx, deviceID{device}); err != nil {
		return err
	}
	resync, exists, err := readResync.One(ctx, tx, deviceID{device})
	if err != nil {
		return err
	}
	if !exists {
		_, err := dropDeviceRow.Exec(ctx, tx, deviceID{device})
		return err
	}
	assignments, err := p.assign(ctx, tx, device, resync.Resync)
	if err != nil {
		return err
	}
	before, _, err := readDeviceRow.One(ctx, tx, deviceID{device})
	if err != nil {
		return err
	}
	return p.publish(ctx, tx, before, device, assignments)
}

// assign stores the bodies of a device's policy and lists them.
func (p *Compiler) assign(ctx context.Context, tx *sitedb.Tx, device string, resync int64) ([]wire.Assignment, error) {
	settings, err := ResultantOf(ctx, tx, device)
	if err != nil {
		return nil, err
	}
	bodies := []struct {
		kind string
		body any
	}{{wire.PolicyClientSettings, settings}}
	if resync > 0 {
		bodies = append(bodies, struct {
			kind string
			body any
		}{wire.PolicyResync, wire.Resync{HardwareInventory: resync, SpreadSeconds: int64(p.spread.Seconds())}})
	}
	list := []wire.Assignment{}
	for _, b := range bodies {
		data, err := json.Marshal(b.body)
		if err != nil {
			return nil, fmt.Errorf("cannot encode %s: %w", b.kind, err)
		}
		hash := hashOf(data)
		if _, err := putBody.Exec(ctx, tx, bodyRow{Hash: hash, Kind: b.kind, Body: data, CreatedAt: sitedb.Micros(p.c.Now())}); err != nil {
			return nil, err
		}
		list = append(list, wire.Assignment{Kind: b.kind, ID: b.kind, Hash: hash, Size: int64(len(data))})
	}
	return list, nil
}

// publish signs what is new: the assignments when they say something else, the
// freshness statement with them and when it has aged.
func (p *Compiler) publish(ctx context.Context, tx *sitedb.Tx, row deviceRow, device string, list []wire.Assignment) error {
	now := p.c.Now()
	plain, err := json.Marshal(list)
	if err != nil {
		return fmt.Errorf("cannot encode assignments: %w", err)
	}
	content := hashOf(plain)
	aged := row.FreshUntil < sitedb.Micros(now.Add(freshnessLife-freshnessRenewal))
	if row.Content == content && !aged {
		return nil
	}
	head := wire.Statement{SiteCode: p.c.Authority.Site().Code, Device: device, Issued: sitedb.Micros(now)}
	if row.Content != content {
		head.Version = max(row.Version+1, sitedb.Micros(now))
		row.Device, row.Version, row.Content = device, head.Version, content
		row.Assignments, err = p.sign(wire.KindPolicyAssignments, wire.PolicyAssignments{Statement: head, Assignments: list})
		if err != nil {
			return err
		}
	}
	head.Version, head.Expires = sitedb.Micros(now), sitedb.Micros(now.Add(freshnessLife))
	row.FreshUntil = head.Expires
	row.Freshness, err = p.sign(wire.KindPolicyFreshness, wire.PolicyFreshness{Statement: head, PolicyVersion: row.Version})
	if err != nil {
		return err
	}
	row.ETag = `"` + hashOf(append(row.Assignments[:len(row.Assignments):len(row.Assignments)], row.Freshness...))[:32] + `"`
	change, _, err := nextChange.One(ctx, tx, sqldb.None{})
	if err != nil {
		return err
	}
	row.Changed = change.Value
	_, err = putDeviceRow.Exec(ctx, tx, row)
	tx.Announce("policy")
	return err
}

func (p *Compiler) sign(kind string, payload any) ([]byte, error) {
	statement, err := p.c.Authority.Sign(kind, payload)
	if err != nil {
		return nil, err
	}
	data, err := json.Marshal(statement)
	if err != nil {
		return nil, fmt.Errorf("cannot encode %s: %w", kind, err)
	}
	return data, nil
}

func hashOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// Reissue makes the next passes sign all policy anew, above every version that
// clients may have seen: for a site that was restored.
func Reissue(ctx context.Context, tx *sitedb.Tx, now time.Time) error {
	if _, err := forgetContent.Exec(ctx, tx, sqldb.None{}); err != nil {
		return err
	}
	return WantEveryone(ctx, tx, now)
}
