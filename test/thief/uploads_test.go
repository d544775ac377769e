package thief

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"mainstay/lib/signed"
	"mainstay/site/inbox"
	"mainstay/site/status"
	"mainstay/wire"
)

// lies are messages that the thief makes up for others, each of which would
// change a table if it were believed. There is one for every type in
// wire.MessageTypes.
func lies() map[string]any {
	row := json.RawMessage(`{"Name":"stolen"}`)
	return map[string]any{
		wire.TypeHeartbeat:         wire.Heartbeat{Name: "stolen", OS: "Linux", Arch: "amd64", ClientVersion: "6.6.6", InventoryHash: strings.Repeat("0", 64)},
		wire.TypeHardwareInventory: inventoryOf(row),
		wire.TypeStateMessage:      wire.StateMessage{TopicType: 800, TopicID: "stolen", StateID: 666},
		wire.TypeStatusMessage:     wire.StatusMessage{MessageID: 666_666, Component: "stolen", Severity: wire.Error, Insertions: []string{"stolen"}},
	}
}

// TestEveryTypeOfMessageHasItsLie makes who adds a type say what a thief would
// make of it.
func TestEveryTypeOfMessageHasItsLie(t *testing.T) {
	t.Parallel()
	have, types := slices.Sorted(maps.Keys(lies())), slices.Sorted(maps.Keys(wire.MessageTypes()))
	if !slices.Equal(have, types) {
		t.Errorf("there are lies for %v, and wire.MessageTypes has %v: add what is missing to lies", have, types)
	}
}

// delivery is an upload that went through the thief's hands.
type delivery struct {
	header, signature string
	body              []byte
}

// listen makes the thief keep the uploads of a device, and pass them on.
func (l *lab) listen(device string) func() delivery {
	var mu sync.Mutex
	var last delivery
	l.thief(at(wire.DoorMessages, func(_ http.ResponseWriter, r *http.Request) {
		header := r.Header.Get(wire.HeaderUpload)
		if !strings.HasPrefix(header, device+" ") {
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // the client has hung up
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		mu.Lock()
		defer mu.Unlock()
		last = delivery{header, r.Header.Get(wire.HeaderSignature), body}
	}))
	return func() delivery {
		mu.Lock()
		defer mu.Unlock()
		return last
	}
}

// crime is one way to make up an upload of a victim.
type crime struct {
	name string
	// commit makes it: of the lie, and of what the thief has heard.
	commit func(c *criminal, lie wire.Message) inbox.Delivery
}

// criminal is what the thief has for a crime.
type criminal struct {
	l      *lab
	victim string
	heard  delivery
	// own is the key of a client that the thief owns, named ownDevice.
	own       *ecdsa.PrivateKey
	ownDevice string
}

func crimes() []crime {
	return []crime{
		{"signed by the management point", func(c *criminal, lie wire.Message) inbox.Delivery {
			key, _ := c.l.thiefsKey()
			return c.upload(c.victim, lie, key)
		}},
		{"signed by a client of the thief", func(c *criminal, lie wire.Message) inbox.Delivery {
			return c.upload(c.victim, lie, c.own)
		}},
		{"not signed", func(c *criminal, lie wire.Message) inbox.Delivery {
			d := c.upload(c.victim, lie, c.own)
			d.Signature = nil
			return d
		}},
		{"another body under the victim's signature", func(c *criminal, lie wire.Message) inbox.Delivery {
			u, err := wire.ParseUpload(c.heard.header)
			must(c.l.t, err)
			body, err := json.Marshal([]wire.Message{lie})
			must(c.l.t, err)
			return inbox.Delivery{Upload: u, Header: c.heard.header, Body: body, Signature: c.signature()}
		}},
		{"another header under the victim's signature", func(c *criminal, lie wire.Message) inbox.Delivery {
			d := c.upload(c.victim, lie, c.own)
			d.Signature = c.signature()
			return d
		}},
		{"the victim's messages under other numbers", func(c *criminal, _ wire.Message) inbox.Delivery {
			u, err := wire.ParseUpload(c.heard.header)
			must(c.l.t, err)
			u.First, u.Last, u.Acknowledged = u.First+1000, u.Last+1000, u.Acknowledged+1000
			return inbox.Delivery{Upload: u, Header: u.String(), Body: c.heard.body, Signature: c.signature()}
		}},
		{"a client of the thief in the victim's row", func(c *criminal, lie wire.Message) inbox.Delivery {
			d := c.upload(c.ownDevice, lie, c.own)
			d.Upload.Device = c.victim
			return d
		}},
	}
}

func (c *criminal) signature() []byte {
	c.l.t.Helper()
	data, err := base64.StdEncoding.DecodeString(c.heard.signature)
	must(c.l.t, err)
	return data
}

// upload makes an upload of one message, in the incarnation in which the victim
// runs and above its numbers.
func (c *criminal) upload(device string, lie wire.Message, key *ecdsa.PrivateKey) inbox.Delivery {
	c.l.t.Helper()
	heard, err := wire.ParseUpload(c.heard.header)
	must(c.l.t, err)
	lie.Incarnation, lie.Number = heard.Born, heard.Last+1000
	body, err := json.Marshal([]wire.Message{lie})
	must(c.l.t, err)
	sum := sha256.Sum256(body)
	u := wire.Upload{
		Device: device, Running: heard.Running, Born: heard.Born, First: lie.Number, Last: lie.Number,
		Acknowledged: heard.Acknowledged, Count: 1, Hash: hex.EncodeToString(sum[:]),
	}
	signature, err := signed.Sign(key, wire.SignUpload, []byte(u.String()))
	must(c.l.t, err)
	return inbox.Delivery{Upload: u, Header: u.String(), Body: body, Signature: signature}
}

// insert puts an upload into the inbox with the rights of a management point
// and without its manners.
func (l *lab) insert(d inbox.Delivery) {
	l.t.Helper()
	if d.Signature == nil {
		d.Signature = []byte{}
	}
	_, err := l.writer.Exec(`INSERT INTO inbox (device, header, encoding, body, signature, management_point, received_at) VALUES (?, ?, '', ?, ?, 'thief', ?)`,
		d.Upload.Device, d.Header, d.Body, d.Signature, time.Now().UnixMicro())
	must(l.t, err)
	l.pass(10 * time.Second)
}

// TestMessagesMadeUpForOthers inserts every type of message for a victim in
// every way: all end in the dead letters, nothing of the victim changes, and its
// own messages go on.
func TestMessagesMadeUpForOthers(t *testing.T) {
	for typ, body := range lies() {
		t.Run(typ, func(t *testing.T) {
			inLab(t, func(l *lab) {
				victim, own := l.newMachine("victim").registered(), l.newMachine("mallory").registered()
				device := victim.device()
				heard := l.listen(device)
				victim.send()
				l.pass(time.Minute)
				data, err := json.Marshal(body)
				must(t, err)
				c := &criminal{l: l, victim: device, heard: heard(), own: own.identityOf().Key, ownDevice: own.device()}
				for n, crime := range crimes() {
					before, dead := l.dump(device), l.deadLetters(device)
					lie := wire.Message{ID: fmt.Sprintf("%032x", n+1), Type: typ, Time: time.Now().UnixMicro(), Body: data}
					l.insert(crime.commit(c, lie))
					if after := l.dump(device); after != before {
						t.Errorf("%s: the victim's rows have changed from\n%s\nto\n%s", crime.name, before, after)
					}
					if got := l.deadLetters(device); got != dead+1 {
						t.Errorf("%s: %d dead letters more, want 1", crime.name, got-dead)
					}
					if l.count(`SELECT count(*) FROM inbox`) != 0 {
						t.Errorf("%s: the inbox is not empty", crime.name)
					}
				}
				victim.send()
				l.pass(time.Minute)
				victim.arrived()
				if is := victim.device(); is != device {
					t.Errorf("the victim became device %s", is)
				}
			})
		})
	}
}

// TestRepeatedUploads inserts genuine uploads of a victim again, and later: they
// do nothing, and are worth no grave.
func TestRepeatedUploads(t *testing.T) {
	inLab(t, func(l *lab) {
		victim := l.newMachine("victim").registered()
		device := victim.device()
		heard := l.listen(device)
		victim.send()
		l.pass(time.Minute)
		first := heard()
		victim.send()
		l.pass(time.Minute)
		before, dead := l.dump(device), l.deadLetters(device)
		for _, d := range []delivery{first, heard(), first} {
			u, err := wire.ParseUpload(d.header)
			must(t, err)
			signature, err := base64.StdEncoding.DecodeString(d.signature)
			must(t, err)
			l.insert(inbox.Delivery{Upload: u, Header: d.header, Body: d.body, Signature: signature})
		}
		if after := l.dump(device); after != before {
			t.Errorf("the victim's rows have changed from\n%s\nto\n%s", before, after)
		}
		if got := l.deadLetters(device); got != dead {
			t.Errorf("%d dead letters more, want none", got-dead)
		}
		victim.send()
		l.pass(time.Minute)
		victim.arrived()
	})
}

// TestUploadOfAnotherDeviceAtTheDoor shows the honest management point uploads
// under another device's certificate.
func TestUploadOfAnotherDeviceAtTheDoor(t *testing.T) {
	inLab(t, func(l *lab) {
		victim, own := l.newMachine("victim").registered(), l.newMachine("mallory").registered()
		heard := l.listen(victim.device())
		victim.send()
		l.pass(time.Minute)
		before, dead := l.dump(victim.device()), l.deadLetters(victim.device())
		d := heard()
		client := l.as(own.identityOf())
		request, err := http.NewRequest(http.MethodPost, "https://"+honest+wire.DoorMessages, bytes.NewReader(d.body))
		must(t, err)
		request.Header.Set(wire.HeaderUpload, d.header)
		request.Header.Set(wire.HeaderSignature, d.signature)
		response, err := client.Do(request)
		must(t, err)
		response.Body.Close()
		if response.StatusCode < 400 {
			t.Errorf("it was answered with %d", response.StatusCode)
		}
		l.pass(10 * time.Second)
		if after := l.dump(victim.device()); after != before || l.deadLetters(victim.device()) != dead {
			t.Errorf("the victim's rows have changed from\n%s\nto\n%s", before, after)
		}
	})
}

// TestPoisonedNotesOfManagementPoints writes lies into what management points
// note of a victim: more acknowledged than it has said, and a newer running
// incarnation. The first costs the victim an incarnation, the second its
// identity; its messages arrive all the same.
func TestPoisonedNotesOfManagementPoints(t *testing.T) {
	for name, poison := range map[string]string{
		"said":    `UPDATE inbox_said SET acknowledged = 1000000 WHERE device = ?`,
		"running": `INSERT INTO inbox_running (device, incarnation, seq, first_at) VALUES (?, 'ffffffffffffffff', 1000000, 1)`,
	} {
		t.Run(name, func(t *testing.T) {
			inLab(t, func(l *lab) {
				victim := l.newMachine("victim").registered()
				victim.send()
				l.pass(time.Minute)
				_, err := l.writer.Exec(poison, victim.device())
				must(t, err)
				_, err = l.writer.Exec(`UPDATE inbox_said SET running = ''`)
				must(t, err)
				for range 3 {
					victim.send()
					l.pass(10 * time.Minute)
				}
				victim.arrived()
				if n := l.count(`SELECT count(*) FROM device`); n > 2 {
					t.Errorf("there are %d devices, want 2 at most", n)
				}
			})
		})
	}
}

// deadLetters counts those that name a device.
func (l *lab) deadLetters(device string) int {
	return l.count(`SELECT count(*) FROM dead_letter WHERE device = ?`, device)
}

// dump is all that the site has of a device, but when it was heard.
func (l *lab) dump(device string) string {
	l.t.Helper()
	var out strings.Builder
	for _, query := range []string{
		`SELECT name, product_uuid, macs, os, client_version, addresses, public_key, heartbeat_at, inventory_at, inventory_hash, policy_version, queued, resync, conflict FROM device WHERE id = ?`,
		`SELECT * FROM state_message WHERE device = ? ORDER BY topic_type, topic_id`,
		// What the site itself tells of a refused attempt is no change.
		`SELECT uid, message_id, insertions FROM status_message WHERE device = ? AND message_id <> ` + strconv.Itoa(status.RegistrationRefused) + ` ORDER BY id`,
		`SELECT * FROM inbox_processed WHERE device = ? ORDER BY incarnation`,
		`SELECT * FROM inventory_device WHERE device = ?`,
		`SELECT * FROM inventory_report WHERE device = ? ORDER BY time`,
		`SELECT f.* FROM inventory_fact f JOIN inventory_device d ON d.number = f.device WHERE d.device = ? ORDER BY item, since`,
		`SELECT version, content FROM policy_device WHERE device = ?`,
	} {
		l.dumpQuery(&out, query, device)
	}
	return out.String()
}

func (l *lab) dumpQuery(out *strings.Builder, query, device string) {
	l.t.Helper()
	rows, err := l.raw.Query(query, device)
	must(l.t, err)
	defer rows.Close()
	columns, err := rows.Columns()
	must(l.t, err)
	for rows.Next() {
		values, targets := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			targets[i] = &values[i]
		}
		must(l.t, rows.Scan(targets...))
		fmt.Fprintln(out, values...)
	}
	must(l.t, rows.Err())
}
