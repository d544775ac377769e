package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"filippo.io/age"

	"mainstay/lib/mtls"
	"mainstay/lib/rowhash"
	"mainstay/role/provider"
	"mainstay/site"
	"mainstay/site/inventory"
	"mainstay/site/policy"
	"mainstay/site/sitedb"
	"mainstay/site/statemessage"
	"mainstay/site/status"
	"mainstay/site/trust"
	"mainstay/wire"
)

var update = flag.Bool("update", false, "write the expected output again")

const (
	web1 = "11111111-1111-4111-8111-111111111111"
	web2 = "22222222-2222-4222-8222-222222222222"
)

// fixture is a site with a provider on a local socket and over TLS, and a user
// who calls the command.
type fixture struct {
	*testing.T
	db      *sitedb.DB
	site    site.Site
	socket  string
	address string // of the provider over TLS

	mu      sync.Mutex
	now     time.Time
	home    string
	answers []string // of the user, in the order of the questions
}

func setup(t *testing.T) *fixture {
	t.Helper()
	db, err := sitedb.Open(t.Context(), sitedb.Config{Path: filepath.Join(t.TempDir(), "site.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	f := &fixture{T: t, db: db, now: time.Date(2026, 11, 3, 9, 0, 0, 0, time.UTC), home: t.TempDir()}
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	key := identity.Recipient().String()
	f.write(func(tx *sitedb.Tx) (err error) {
		if f.site, err = trust.Create(t.Context(), tx, trust.Genesis{SiteCode: "LAB", Name: "Laboratory", SiteServer: key, Recovery: key, Now: f.now}); err != nil {
			return err
		}
		return policy.Found(t.Context(), tx, "LAB", f.now)
	})
	authority, err := trust.OpenAuthority(t.Context(), db, identity)
	if err != nil {
		t.Fatal(err)
	}
	p, err := provider.New(provider.Config{
		DB: db, Site: f.site, Now: f.clock,
		InstallLine: func(context.Context, string) (string, error) { return "curl … | sh", nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	f.serve(p, f.hostCertificate(authority))
	f.write(func(tx *sitedb.Tx) error { return f.populate(tx) })
	return f
}

func (f *fixture) clock() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now
}

func (f *fixture) write(do func(*sitedb.Tx) error) {
	f.Helper()
	if err := f.db.Write(f.Context(), do); err != nil {
		f.Fatal(err)
	}
}

func (f *fixture) hostCertificate(authority *trust.Authority) mtls.Host {
	f.Helper()
	key, err := mtls.NewKey()
	if err != nil {
		f.Fatal(err)
	}
	_, chain, err := authority.IssueSystem("system-1", &key.PublicKey, []string{"localhost"}, time.Now())
	if err != nil {
		f.Fatal(err)
	}
	host := mtls.Fixed{}
	host.Certificate.Certificate, host.Certificate.PrivateKey = chain, key
	return host
}

// serve starts both doors of the provider until the end of the test.
func (f *fixture) serve(p *provider.Provider, host mtls.Host) {
	f.Helper()
	dir, err := os.MkdirTemp("", "mainstay") // a socket's path must be short
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { os.RemoveAll(dir) })
	f.socket = filepath.Join(dir, "p.sock")
	local, err := net.Listen("unix", f.socket)
	if err != nil {
		f.Fatal(err)
	}
	remote, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		f.Fatal(err)
	}
	f.address = "https://" + remote.Addr().String()
	ctx, stop := context.WithCancel(context.Background())
	var wait sync.WaitGroup
	wait.Go(func() {
		if err := p.ServeLocal(ctx, local); err != nil {
			f.Errorf("local socket: %v", err)
		}
	})
	wait.Go(func() {
		if err := p.Serve(ctx, remote, host); err != nil {
			f.Errorf("administrators' port: %v", err)
		}
	})
	f.Cleanup(func() {
		stop()
		wait.Wait()
	})
}

// populate puts a site system, two devices, their inventory and messages into
// the site.
func (f *fixture) populate(tx *sitedb.Tx) error {
	ctx := f.Context()
	if err := site.PutSystem(ctx, tx, site.System{
		ID: "system-1", SiteCode: "LAB", Name: "mp1", Address: "mp1.example.com", ClientPort: 443, AdminPort: 9443,
		CreatedAt: sitedb.Micros(f.now), SeenAt: sitedb.Micros(f.now),
	}); err != nil {
		return err
	}
	for _, role := range []string{site.RoleSiteServer, site.RoleManagementPoint, site.RoleProvider} {
		if err := site.PutRole(ctx, tx, "system-1", role, site.StateOK, "", f.now); err != nil {
			return err
		}
	}
	if err := status.PutComponent(ctx, tx, "system-1", "dispatcher", nil, f.now); err != nil {
		return err
	}
	if err := status.Report(ctx, tx, status.Message{ID: status.SiteServerActive, System: "system-1", Insertions: []string{"mp1", "1"}, Time: f.now}); err != nil {
		return err
	}
	for _, d := range []struct {
		id, name, address string
		seen              int64
	}{{web1, "web1", "192.0.2.11", 2}, {web2, "web2", "192.0.2.12", 5000}} {
		seen := sitedb.Micros(f.now.Add(-time.Duration(d.seen) * time.Minute))
		if err := f.exec(tx, `INSERT INTO device (id, site_code, name, product_uuid, serial, machine_id, macs, public_key, key_fingerprint,
			certificate_ends_at, os, os_version, arch, client_version, addresses, registered_at, registered_by, blocked_reason, copy_of, conflict,
			policy_at, heartbeat_at, inventory_hash, policy_version, fresh_until, settings_hash, queued, resync, modified_at)
			VALUES ($1, 'LAB', $2, '', 'SN-' || $2, '', '[]', '', 'key of ' || $2, $3, 'linux', 'Debian 12', 'amd64', '0.1.0', '["' || $4 || '"]',
			$3, 'token rollout', '', '', '', $3, $3, '', 1, 0, '', 0, 0, $3)`, d.id, d.name, seen, d.address); err != nil {
			return err
		}
	}
	state, err := json.Marshal(wire.StateMessage{TopicType: 1300, StateID: 2, Detail: "the disk is nearly full"})
	if err != nil {
		return err
	}
	if err := statemessage.Process(ctx, tx, web1, wire.Message{Time: sitedb.Micros(f.now.Add(-time.Hour)), Body: state}, sitedb.Micros(f.now)); err != nil {
		return err
	}
	if err := f.report(tx, 1, "3.0.11-1", 16<<30); err != nil {
		return err
	}
	return f.report(tx, 2, "3.0.15-1", 32<<30)
}

func (f *fixture) exec(tx *sitedb.Tx, text string, args ...any) error {
	rows, err := tx.Query(f.Context(), text+" RETURNING 1", args...)
	if err != nil {
		return err
	}
	for rows.Next() {
	}
	return rows.Close()
}

// report is a full inventory of web1.
func (f *fixture) report(tx *sitedb.Tx, number int64, openssl string, memory uint64) error {
	size, free := uint64(100<<30), uint64(40<<30)
	rows := map[string][]any{
		wire.ClassOS:        {wire.OS{Name: "Debian GNU/Linux", Caption: "Debian GNU/Linux 12 (bookworm)", ID: "debian", Version: "12", Kernel: "6.1.0-18-amd64", LastBootUpTime: 1793000000000000}},
		wire.ClassMemory:    {wire.Memory{TotalPhysicalMemory: memory}},
		wire.ClassProcessor: {wire.Processor{DeviceID: "CPU0", Name: "Example 9000", NumberOfCores: 8, MaxClockSpeed: 3600}},
		wire.ClassLogicalDisk: {
			wire.LogicalDisk{DeviceID: "/", Name: "/dev/vda1", Description: "Local disk", FileSystem: "ext4", Size: &size, FreeSpace: &free},
		},
		wire.ClassNetworkAdapter:    {wire.NetworkAdapter{Name: "eth0", AdapterType: "ethernet", MTU: 1500, Speed: 10_000_000_000, NetConnectionStatus: "up", Physical: true}},
		wire.ClassInstalledSoftware: {wire.InstalledSoftware{Name: "openssl", Version: openssl, Architecture: "amd64", Source: "dpkg"}},
	}
	for i := range 22 {
		rows[wire.ClassInstalledSoftware] = append(rows[wire.ClassInstalledSoftware], wire.InstalledSoftware{Name: fmt.Sprintf("package%02d", i), Version: "1.0", Architecture: "amd64", Source: "dpkg"})
	}
	at := f.now.Add(time.Duration(number-3) * time.Hour)
	report := wire.InventoryReport{Kind: wire.InventoryFull, Classes: map[string]wire.InventoryChange{}, CollectedAt: sitedb.Micros(at)}
	sums := map[string]rowhash.Sum{}
	for class, list := range rows {
		type hashed struct {
			hash rowhash.Hash
			row  json.RawMessage
		}
		all := []hashed{}
		for _, row := range list {
			text, err := rowhash.Marshal(nil, row)
			if err != nil {
				return err
			}
			all = append(all, hashed{rowhash.Row(class, text), text})
		}
		slices.SortFunc(all, func(a, b hashed) int { return rowhash.Compare(a.hash, b.hash) })
		var change wire.InventoryChange
		hashes := []rowhash.Hash{}
		for _, h := range all {
			change.Add = append(change.Add, h.row)
			hashes = append(hashes, h.hash)
		}
		report.Classes[class] = change
		sums[class] = rowhash.Set(hashes)
	}
	report.Result = rowhash.Tables(sums).String()
	body, err := json.Marshal(report)
	if err != nil {
		return err
	}
	message := wire.Message{Incarnation: "0123456789abcdef", Number: number, ID: fmt.Sprintf("%032d", number), Type: wire.TypeHardwareInventory, Time: sitedb.Micros(at), Body: body}
	processor := inventory.NewProcessor(inventory.ProcessorConfig{WantFull: func(context.Context, *sitedb.Tx, string) error { return fmt.Errorf("the report does not fit") }})
	return processor.Process(f.Context(), tx, web1, message, sitedb.Micros(at))
}

// call runs the command as the user of the fixture.
func (f *fixture) call(args ...string) (out, errOut string, code int) {
	var stdout, stderr bytes.Buffer
	env := &environment{
		in: strings.NewReader(""), out: &stdout, errOut: &stderr, now: f.clock, zone: time.UTC, configDir: f.home,
		getenv:  func(string) string { return "" },
		sockets: []string{f.socket},
		ask: func(string, bool) (string, error) {
			if len(f.answers) == 0 {
				return "", fmt.Errorf("nobody answers")
			}
			answer := f.answers[0]
			f.answers = f.answers[1:]
			return answer, nil
		},
	}
	code = run(f.Context(), env, args)
	return stdout.String(), stderr.String(), code
}

// settled replaces what differs from run to run by something as long.
func (f *fixture) settled(text string) string {
	text = strings.ReplaceAll(text, f.address, "https://127.0.0.1:PORT")
	for _, pattern := range []*regexp.Regexp{
		regexp.MustCompile(`mst1\.LAB\.[-\w.]+`), regexp.MustCompile(`msc1_[-\w]+`),
		regexp.MustCompile(`\b[0-9a-f]{64}\b`), regexp.MustCompile(`\b([0-9a-f]{2}:){31}[0-9a-f]{2}\b`),
		regexp.MustCompile(`\b[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}\b`),
		regexp.MustCompile(`\b[0-9a-f]{16}\b`), regexp.MustCompile(`\b[0-9a-f]{8}\b`),
	} {
		text = pattern.ReplaceAllStringFunc(text, func(found string) string {
			if strings.HasPrefix(found, "11111111") || strings.HasPrefix(found, "22222222") {
				return found
			}
			return strings.Repeat("x", len(found))
		})
	}
	text = regexp.MustCompile(`SQLite [\d.]+, schema \d+, .* free`).ReplaceAllString(text, "SQLite VERSION, SIZES")
	text = regexp.MustCompile(`"(free|log|size|schema)": \d+`).ReplaceAllString(text, `"$1": 1`)
	text = regexp.MustCompile(`"version": "3[\d.]+"`).ReplaceAllString(text, `"version": "VERSION"`)
	text = regexp.MustCompile(`local:[-\w]+`).ReplaceAllString(text, "local:USER")
	text = regexp.MustCompile(`\.\d{6}Z`).ReplaceAllString(text, ".000000Z")
	return text
}
