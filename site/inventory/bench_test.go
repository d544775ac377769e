package inventory

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"testing"

	"mainstay/lib/sqldb"
	"mainstay/site/sitedb"
	"mainstay/wire"
)

// plausible is a machine with 2,000 packages, 300 services and what else there
// is, 3,000 rows. Nine packages of ten are the same on all machines.
func plausible(number int) *machine {
	m := newMachine()
	for i := range 2000 {
		version := fmt.Sprintf("%d.%d.%d-%d+deb12u1", i%9, i%31, i%17, i%5)
		if i%10 == 0 {
			version += fmt.Sprintf("~%d", number%50)
		}
		m.put(wire.ClassInstalledSoftware, map[string]any{
			"Name": fmt.Sprintf("libpackage-name%04d", i), "Version": version, "Architecture": "amd64", "Source": "dpkg",
			"Publisher": "Maintainers of the package <maintainers@packages.example>", "DisplayName": fmt.Sprintf("what the package number %d is good for", i),
			"InstalledSize": 4096 * (i + 1), "InstallTime": 1_700_000_000_000_000, "Status": "installed", "Held": false,
		})
	}
	for i := range 300 {
		m.put(wire.ClassService, map[string]any{
			"Name": fmt.Sprintf("service-%03d", i), "DisplayName": "A service that does something", "StartMode": "enabled", "State": "running",
			"ServiceType": "notify", "PathName": fmt.Sprintf("/usr/sbin/service-%03d --foreground", i), "UnitFile": fmt.Sprintf("/lib/systemd/system/service-%03d.service", i),
		})
	}
	for i := range 200 {
		m.put(wire.ClassKernelModule, map[string]any{"Name": fmt.Sprintf("module_%d", i), "Size": 16384 * i, "Foreign": false})
	}
	for i := range 400 {
		m.put(wire.ClassFile, map[string]any{"FileName": fmt.Sprintf("f%d.conf", i), "Directory": "/etc/some/folder", "Size": 100 * number, "Mode": "0644", "Owner": "root", "Group": "root", "LastModified": 1_700_000_000_000_000})
	}
	for i := range 100 {
		m.put(wire.ClassLocalUserAccount, map[string]any{"Name": fmt.Sprintf("user%d-%d", i, number), "UID": 1000 + i, "GID": 1000 + i, "SystemAccount": false, "LoginAllowed": true, "Administrator": false, "Shell": "/bin/bash"})
	}
	return m
}

// upgrade replaces five packages.
func (m *machine) upgrade(round int) {
	n := 0
	for hash, row := range m.rows[wire.ClassInstalledSoftware] {
		if n++; n > 5 {
			return
		}
		var values map[string]any
		json.Unmarshal([]byte(row), &values)
		values["InstalledSize"], values["InstallTime"] = 4096, 1_700_000_000_000_000
		values["Version"] = fmt.Sprintf("9.%d", round)
		m.drop(wire.ClassInstalledSoftware, hash)
		m.put(wire.ClassInstalledSoftware, values)
	}
}

// BenchmarkInventoryDelta applies deltas of ten rows (five upgrades) to a
// device with 3,000, each in its own transaction.
func BenchmarkInventoryDelta(b *testing.B) {
	s, m := newServer(b), plausible(1)
	s.must("d", m.full())
	round := 0
	for b.Loop() {
		b.StopTimer()
		m.upgrade(round)
		round++
		body, err := json.Marshal(m.delta())
		if err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		if err := s.processBody("d", body, m.time); err != nil {
			b.Fatal(err)
		}
	}
	if s.wanted > 0 {
		b.Errorf("%d deltas did not fit", s.wanted)
	}
}

// BenchmarkInventoryFull applies first reports of machines that are much like
// those before.
func BenchmarkInventoryFull(b *testing.B) {
	s := newServer(b)
	s.must("first", plausible(0).full())
	n := 0
	for b.Loop() {
		b.StopTimer()
		n++
		m := plausible(n)
		body, err := json.Marshal(m.full())
		if err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		if err := s.processBody(fmt.Sprint("d", n), body, m.time); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkInventoryStorage says what a device with 3,000 rows takes in the
// database, of a hundred that share nine rows of ten.
func BenchmarkInventoryStorage(b *testing.B) {
	const devices = 100
	for b.Loop() {
		db, err := sitedb.Open(b.Context(), sitedb.Config{Path: filepath.Join(b.TempDir(), "site.db")})
		if err != nil {
			b.Fatal(err)
		}
		s := &server{t: b, db: db, p: NewProcessor(ProcessorConfig{})}
		s.must("d0", plausible(0).full())
		first := s.pages()
		var report int
		for i := 1; i <= devices; i++ {
			r := plausible(i).full()
			body, _ := json.Marshal(r)
			report += len(body)
			if err := s.processBody(fmt.Sprintf("%08d-0000-4000-8000-000000000000", i), body, r.CollectedAt); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(s.pages()-first)*4096/devices, "bytes/device")
		b.ReportMetric(float64(first)*4096, "bytes/first-device")
		b.ReportMetric(float64(report)/devices, "report-bytes")
		b.ReportMetric(0, "ns/op")
		db.Close()
	}
}

func (s *server) pages() int64 {
	return read(s, func(tx *sitedb.Tx) (int64, error) {
		rows, err := tx.Query(context.Background(), "SELECT page_count FROM pragma_page_count")
		if err != nil {
			return 0, err
		}
		var n int64
		return n, sqldb.ScanRows(rows, []any{&n}, func(struct{}) error { return nil })
	})
}
