package apiv1

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"mainstay/site/access"
	"mainstay/site/sitedb"
)

// AuditEntry says who did what when from where.
type AuditEntry struct {
	ID            int64             `json:"id"`
	Time          time.Time         `json:"time"`
	Administrator string            `json:"administrator" doc:"name; as it was given, for an attempt to sign in"`
	Source        string            `json:"source" doc:"address, or local socket"`
	Action        string            `json:"action" doc:"noun and verb: device.block"`
	ObjectType    string            `json:"object_type"`
	ObjectID      string            `json:"object_id"`
	Outcome       string            `json:"outcome" enum:"done,denied,failed"`
	Detail        map[string]string `json:"detail" doc:"what exactly: names, reasons, old and new values"`
	Hash          string            `json:"hash" doc:"over this entry and the hash of the one before it, hex"`
}

// AuditVerification is the result of checking the audit trail.
type AuditVerification struct {
	OK       bool   `json:"ok"`
	Entries  int64  `json:"entries" doc:"entries whose hash and place are right"`
	HeadID   int64  `json:"head_id" doc:"the newest entry that is right"`
	HeadHash string `json:"head_hash" doc:"its hash; write both down elsewhere and give them next time"`
	BrokenID int64  `json:"broken_id,omitempty" doc:"the first entry that is not right"`
	Why      string `json:"why,omitempty" doc:"what is wrong with it"`
}

type verifyAuditInput struct {
	KnownID   int64  `query:"known_id" minimum:"0" doc:"an entry that you remember from an earlier check"`
	KnownHash string `query:"known_hash" maxLength:"64" doc:"its hash"`
}

func registerAudit(a *API) {
	table := access.AuditTable()
	register(a, operation{
		method: http.MethodGet, path: "/audit", id: "list-audit", tag: "audit", permission: access.AuditRead,
		summary: "List the audit trail", list: &table,
	}, a.listAudit)
	register(a, operation{
		method: http.MethodGet, path: "/audit/verification", id: "verify-audit", tag: "audit", permission: access.AuditRead,
		summary:     "Check that the audit trail is whole",
		description: "Entries that were changed or taken out show. That entries were cut off at the end shows to those who give an entry that they remember.",
	}, a.verifyAudit)
}

func (a *API) listAudit(ctx context.Context, caller access.Caller, in *ListInput) (*output[Page[AuditEntry]], error) {
	page, err := read(ctx, a, func(tx *sitedb.Tx) (page[access.AuditEntry], error) {
		return access.ListAudit(ctx, tx, caller.Scope(access.AuditRead), in.request(), a.c.Now())
	})
	return pageOf(page, auditEntryOf), err
}

func auditEntryOf(r access.AuditEntry) AuditEntry {
	detail := map[string]string{}
	// An entry that somebody damaged is shown as far as it can be read.
	if json.Unmarshal([]byte(r.Detail), &detail) != nil {
		detail = map[string]string{"damaged": r.Detail}
	}
	return AuditEntry{
		ID: r.ID, Time: at(r.Time), Administrator: r.Administrator, Source: r.Source, Action: r.Action,
		ObjectType: r.ObjectType, ObjectID: r.ObjectID, Outcome: r.Outcome, Detail: detail, Hash: fmt.Sprintf("%x", r.Hash),
	}
}

func (a *API) verifyAudit(ctx context.Context, caller access.Caller, in *verifyAuditInput) (*output[AuditVerification], error) {
	v, err := access.Verify(ctx, a.c.DB, caller.Scope(access.AuditRead), access.VerifyRequest{KnownID: in.KnownID, KnownHash: in.KnownHash})
	return answer(AuditVerification{
		OK: v.BrokenID == 0, Entries: v.Entries, HeadID: v.HeadID, HeadHash: v.HeadHash, BrokenID: v.BrokenID, Why: v.Why,
	}), err
}
