package access

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"mainstay/lib/fault"
	"mainstay/lib/listing"
	"mainstay/lib/sqldb"
	"mainstay/site/sitedb"
)

// Outcomes of what was tried.
const (
	OutcomeDone   = "done"
	OutcomeDenied = "denied"
	OutcomeFailed = "failed"
)

// Entry is what the audit trail says of one act. Who and from where come from
// the Caller.
type Entry struct {
	// Action is noun and verb: "device.block".
	Action string
	// ObjectType is the noun of the object, ObjectID its identifier or, where
	// it has none yet, its name.
	ObjectType string
	ObjectID   string
	// Outcome is one of the outcomes; empty is OutcomeDone.
	Outcome string
	// Detail says what exactly: old and new values, reasons. Never a secret.
	Detail map[string]string
}

// AuditEntry is an entry of the audit trail as it is kept.
type AuditEntry struct {
	ID            int64  `db:"id"`
	Time          int64  `db:"time"`
	Administrator string `db:"administrator"`
	Source        string `db:"source"`
	Action        string `db:"action"`
	ObjectType    string `db:"object_type"`
	ObjectID      string `db:"object_id"`
	Outcome       string `db:"outcome"`
	// Detail is a JSON object of strings.
	Detail       string `db:"detail"`
	PreviousHash []byte `db:"previous_hash"`
	Hash         []byte `db:"hash"`
}

const auditColumns = `id, time, administrator, source, action, object_type, object_id, outcome, detail, previous_hash, hash`

type auditHead struct {
	ID   int64  `db:"id"`
	Hash []byte `db:"hash"`
}

var (
	insertAudit = sqldb.Define[AuditEntry, sqldb.None]("access.insertAudit",
		`INSERT INTO audit (time, administrator, source, action, object_type, object_id, outcome, detail, previous_hash, hash)
		 VALUES (@time, @administrator, @source, @action, @object_type, @object_id, @outcome, @detail, @previous_hash, @hash)`)
	lastAudit = sqldb.Define[sqldb.None, auditHead]("access.lastAudit",
		`SELECT id, hash FROM audit ORDER BY id DESC LIMIT 1`)
	auditAfter = sqldb.Define[struct {
		After int64 `db:"after"`
	}, AuditEntry]("access.auditAfter",
		`SELECT `+auditColumns+` FROM audit WHERE id > @after ORDER BY id LIMIT 1000`)
)

// AuditTable describes the list of audit entries.
func AuditTable() listing.Table {
	return listing.Table{
		Columns: []listing.Column{
			{Name: "id", SQL: "id", Kind: listing.Integer},
			{Name: "time", SQL: "time", Kind: listing.Time},
			{Name: "administrator", SQL: "administrator"},
			{Name: "source", SQL: "source"},
			{Name: "action", SQL: "action"},
			{Name: "object_type", SQL: "object_type"},
			{Name: "object_id", SQL: "object_id"},
			{Name: "outcome", SQL: "outcome", Values: []string{OutcomeDone, OutcomeDenied, OutcomeFailed}},
		},
		Key: "id", Sort: "-id",
	}
}

// Record adds an entry to the audit trail, in the transaction of the change
// that it is about.
func Record(ctx context.Context, tx *sitedb.Tx, caller Caller, e Entry, now time.Time) error {
	if e.Outcome == "" {
		e.Outcome = OutcomeDone
	}
	if e.Detail == nil {
		e.Detail = map[string]string{}
	}
	detail, err := json.Marshal(e.Detail)
	if err != nil {
		return fmt.Errorf("cannot write audit entry %s: %w", e.Action, err)
	}
	// One writer at a time (sitedb), so the last entry stays the last.
	last, _, err := lastAudit.One(ctx, tx, sqldb.None{})
	if err != nil {
		return fmt.Errorf("cannot write audit entry %s: %w", e.Action, err)
	}
	row := AuditEntry{
		Time: sitedb.Micros(now), Administrator: caller.Name, Source: caller.Source, Action: e.Action,
		ObjectType: e.ObjectType, ObjectID: e.ObjectID, Outcome: e.Outcome, Detail: string(detail),
		PreviousHash: last.Hash,
	}
	if row.PreviousHash == nil {
		row.PreviousHash = []byte{}
	}
	if row.Hash, err = row.sum(); err != nil {
		return fmt.Errorf("cannot write audit entry %s: %w", e.Action, err)
	}
	if _, err := insertAudit.Exec(ctx, tx, row); err != nil {
		return fmt.Errorf("cannot write audit entry %s: %w", e.Action, err)
	}
	tx.Announce("audit")
	return nil
}

// sum is the hash of an entry: over the hash before it and its fields as a
// JSON array, the detail with sorted keys, whatever form the database gives it.
func (a AuditEntry) sum() ([]byte, error) {
	var detail map[string]string
	if err := json.Unmarshal([]byte(a.Detail), &detail); err != nil {
		return nil, fmt.Errorf("detail is no object of strings: %w", err)
	}
	fields, err := json.Marshal([]any{a.Time, a.Administrator, a.Source, a.Action, a.ObjectType, a.ObjectID, a.Outcome, detail})
	if err != nil {
		return nil, err
	}
	h := sha256.New()
	h.Write([]byte("mainstay audit v1\n"))
	h.Write(a.PreviousHash)
	h.Write(fields)
	return h.Sum(nil), nil
}

// ListAudit reads one page of the audit trail.
func ListAudit(ctx context.Context, tx *sitedb.Tx, scope Scope, r listing.Request, now time.Time) (listing.Page[AuditEntry], error) {
	plan, err := AuditTable().Plan(r, now)
	if err != nil {
		return listing.Page[AuditEntry]{}, err
	}
	return listing.List[AuditEntry](ctx, tx, plan, listing.Source{Columns: auditColumns, From: "audit", Where: scope.SQL()})
}

// VerifyRequest says what somebody remembers of the audit trail: the hash of an
// entry, as an earlier Verification gave it. Zero for nothing.
type VerifyRequest struct {
	KnownID   int64
	KnownHash string
}

// Verification is the result of Verify.
type Verification struct {
	// Entries is the number of entries whose hash and place were right.
	Entries int64
	// HeadID and HeadHash (hex) are the newest entry; remember them elsewhere.
	HeadID   int64
	HeadHash string
	// BrokenID is the first entry that is not what was written or does not
	// follow the one before it; 0 when there is none. Why says what is wrong.
	BrokenID int64
	Why      string
}

// Verify checks the whole chain. It reads in pieces, so that other readers are
// not held up; entries only ever come after what was read.
func Verify(ctx context.Context, db sitedb.Reader, scope Scope, r VerifyRequest) (Verification, error) {
	var v Verification
	if !scope.SeesAll() {
		return v, fault.New(fault.Denied, "%s is needed to check the audit trail", AuditRead)
	}
	var head []byte
	known := r.KnownID == 0
	for {
		var piece []AuditEntry
		err := db.Read(ctx, func(tx *sitedb.Tx) (err error) {
			piece, err = auditAfter.All(ctx, tx, struct {
				After int64 `db:"after"`
			}{v.HeadID})
			return err
		})
		if err != nil {
			return v, fmt.Errorf("cannot read the audit trail: %w", err)
		}
		for _, entry := range piece {
			sum, err := entry.sum()
			switch {
			case err != nil || string(sum) != string(entry.Hash):
				v.BrokenID, v.Why = entry.ID, "the entry is not what was written"
				return v, nil
			case v.Entries > 0 && string(entry.PreviousHash) != string(head):
				v.BrokenID, v.Why = entry.ID, "the entry does not follow the one before it: something was taken out"
				return v, nil
			case v.Entries == 0 && len(entry.PreviousHash) != 0:
				v.BrokenID, v.Why = entry.ID, "the beginning of the audit trail is missing"
				return v, nil
			case entry.ID == r.KnownID && hex.EncodeToString(entry.Hash) != r.KnownHash:
				v.BrokenID, v.Why = entry.ID, "the entry has another hash than the one that you remember"
				return v, nil
			}
			known = known || entry.ID == r.KnownID
			head = entry.Hash
			v.HeadID, v.HeadHash = entry.ID, hex.EncodeToString(entry.Hash)
			v.Entries++
		}
		if len(piece) == 0 {
			break
		}
	}
	if !known {
		v.BrokenID, v.Why = r.KnownID, "the entry that you remember is gone"
	}
	return v, nil
}
