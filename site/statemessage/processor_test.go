package statemessage

import (
	"context"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"mainstay/lib/fault"
	"mainstay/site/access"
	"mainstay/site/sitedb"
	"mainstay/wire"
)

func setup(t *testing.T) *sitedb.DB {
	t.Helper()
	db, err := sitedb.Open(t.Context(), sitedb.Config{Path: filepath.Join(t.TempDir(), "site.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func process(t *testing.T, db *sitedb.DB, device string, time, receivedAt int64, body string) error {
	t.Helper()
	return db.Write(t.Context(), func(tx *sitedb.Tx) error {
		return Process(t.Context(), tx, device, wire.Message{Time: time, Body: json.RawMessage(body)}, receivedAt)
	})
}

func list(t *testing.T, db *sitedb.DB, scope access.Scope, device string) (states []State) {
	t.Helper()
	err := db.Read(t.Context(), func(tx *sitedb.Tx) (err error) {
		states, err = List(context.Background(), tx, scope, device)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return states
}

func TestNewestStateWins(t *testing.T) {
	t.Parallel()
	db := setup(t)
	for _, step := range []struct {
		name             string
		time, receivedAt int64
		state            string
		want             int64
	}{
		{"first", 100, 100, "1", 1},
		{"newer", 200, 201, "2", 2},
		{"older, late", 150, 300, "3", 2},
		{"same time, later arrival", 200, 301, "4", 4},
		{"clock ahead", 1 << 60, 400, "5", 5},
		{"after the clock was put right", 450, 450, "6", 6},
		{"no clock", 0, 500, "7", 7},
	} {
		if err := process(t, db, "device", step.time, step.receivedAt, `{"topic_type":800,"topic_id":"x","state_id":`+step.state+`,"new":1}`); err != nil {
			t.Fatal(err)
		}
		states := list(t, db, access.Everything(), "device")
		if len(states) != 1 || states[0].StateID != step.want {
			t.Errorf("%s: states %+v, want one of %d", step.name, states, step.want)
		}
	}
	if err := process(t, db, "device", 1, 1, `{"topic_type":800,"topic_id":"y","state_id":1}`); err != nil {
		t.Fatal(err)
	}
	if n := len(list(t, db, access.Everything(), "device")); n != 2 {
		t.Errorf("%d topics, want 2", n)
	}
	if n := len(list(t, db, access.Scope{}, "device")); n != 0 {
		t.Errorf("nobody sees %d states", n)
	}
	if n := len(list(t, db, access.Everything(), "other")); n != 0 {
		t.Errorf("another device has %d states", n)
	}
	if err := db.Write(t.Context(), func(tx *sitedb.Tx) error { return Forget(t.Context(), tx, "device") }); err != nil {
		t.Fatal(err)
	}
	if n := len(list(t, db, access.Everything(), "device")); n != 0 {
		t.Errorf("a deleted device has %d states", n)
	}
}

func TestBadStateMessages(t *testing.T) {
	t.Parallel()
	db := setup(t)
	for name, body := range map[string]string{
		"not JSON":     `{`,
		"another type": `{"topic_type":"800"}`,
		"negative":     `{"topic_type":-1}`,
		"state":        `{"state_id":4294967296}`,
		"long topic":   `{"topic_id":"` + strings.Repeat("x", MaxTopicID+1) + `"}`,
		"long detail":  `{"detail":"` + strings.Repeat("x", MaxDetail+1) + `"}`,
		"zero":         `{"detail":"\u0000"}`,
	} {
		if err := process(t, db, "device", 1, 1, body); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v, want invalid", name, err)
		}
	}
	if n := len(list(t, db, access.Everything(), "device")); n != 0 {
		t.Errorf("%d states were stored", n)
	}
}
