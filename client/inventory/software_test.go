package inventory

import (
	"bytes"
	"compress/gzip"
	"context"
	"database/sql"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/anchore/go-rpmdb/pkg"
	"github.com/google/go-cmp/cmp"

	"mainstay/wire"
)

// rpmDatabase unpacks a database that rpm 4.18 has written: two packages of one
// source, with an epoch and a file list.
func rpmDatabase(t testing.TB) []byte {
	t.Helper()
	file, err := os.Open("testdata/rpmdb.sqlite.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	unpacked, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(unpacked)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// software collects only the packages below a root.
func software(t testing.TB, root string) ([]wire.InstalledSoftware, *Snapshot) {
	t.Helper()
	s := collect(t, Config{Root: root, sources: []source{{name: "software", classes: []string{wire.ClassInstalledSoftware}, collect: collectSoftware}}})
	var packages []wire.InstalledSoftware
	for _, row := range s.Classes[wire.ClassInstalledSoftware] {
		var p wire.InstalledSoftware
		if err := json.Unmarshal(row.JSON, &p); err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
	slices.SortFunc(packages, func(a, b wire.InstalledSoftware) int { return strings.Compare(a.Name, b.Name) })
	return packages, s
}

func TestRPMDatabase(t *testing.T) {
	t.Parallel()
	for _, place := range []string{"var/lib/rpm", "usr/lib/sysimage/rpm"} {
		t.Run(place, func(t *testing.T) {
			t.Parallel()
			// A folder name with characters that mean something in a URL.
			root := filepath.Join(t.TempDir(), "a?b#c%20 d")
			put(t, root, place+"/rpmdb.sqlite", rpmDatabase(t))
			got, s := software(t, root)
			if len(s.Errors) > 0 {
				t.Fatal(s.Errors)
			}
			want := []wire.InstalledSoftware{
				{Name: "kernel-tool", Version: "2:1.4-3.el9", Architecture: "noarch", Source: "rpm", Publisher: "Example Ltd", DisplayName: "A tool for tests", InstalledSize: 177, InstallTime: 1795249210000000, Status: "installed"},
				{Name: "kernel-tool-libs", Version: "2:1.4-3.el9", Architecture: "noarch", Source: "rpm", SourcePackage: "kernel-tool", Publisher: "Example Ltd", DisplayName: "Its libraries – with a dash", InstallTime: 1795249210000000, Status: "installed"},
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
			// Nothing was written beside it.
			if names, err := os.ReadDir(filepath.Join(root, place)); err != nil || len(names) != 1 {
				t.Errorf("the folder holds %v, %v", names, err)
			}
		})
	}
}

// What rpm has written and not yet moved into the main file counts.
func TestRPMDatabaseWithLog(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	put(t, root, "var/lib/rpm/rpmdb.sqlite", rpmDatabase(t))
	db, err := sql.Open("sqlite", filepath.Join(root, "var/lib/rpm/rpmdb.sqlite"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	for _, statement := range []string{"PRAGMA journal_mode = WAL", "PRAGMA wal_autocheckpoint = 0", "DELETE FROM Packages WHERE hnum = (SELECT min(hnum) FROM Packages)"} {
		if _, err := db.Exec(statement); err != nil {
			t.Fatal(err)
		}
	}
	if got, s := software(t, root); len(got) != 1 || len(s.Errors) > 0 {
		t.Errorf("%d packages, want 1; errors %v", len(got), s.Errors)
	}
}

func TestDamagedPackageDatabaseIsUnread(t *testing.T) {
	t.Parallel()
	header := rpmBlob(rpmEntry{rpmName, rpmString, []byte("a\x00")})
	for name, file := range map[string]struct {
		at   string
		data []byte
	}{
		"sqlite, cut off":           {"var/lib/rpm/rpmdb.sqlite", rpmDatabase(t)[:50_000]},
		"sqlite, not one":           {"var/lib/rpm/rpmdb.sqlite", []byte(strings.Repeat("x", 5000))},
		"ndb, not one":              {"var/lib/rpm/Packages.db", []byte("x")},
		"ndb, blob elsewhere":       {"var/lib/rpm/Packages.db", ndbDatabase(header)[:ndbPage+8]},
		"Berkeley, not one":         {"var/lib/rpm/Packages", []byte("x")},
		"Berkeley, circle":          {"var/lib/rpm/Packages", berkeleyDatabase(binary.LittleEndian, bytes.Repeat([]byte("x"), 3000), true)},
		"Berkeley, half a file":     {"var/lib/rpm/Packages", berkeleyDatabase(binary.LittleEndian, header, false)[:700]},
		"package without a version": {"var/lib/rpm/Packages.db", ndbDatabase(header)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			put(t, root, file.at, file.data)
			got, s := software(t, root)
			if !slices.Equal(s.Unread, []string{wire.ClassInstalledSoftware}) || len(got) > 0 || len(s.Errors) != 1 {
				t.Errorf("%d packages, unread %q, errors %v", len(got), s.Unread, s.Errors)
			}
		})
	}
}

func TestOlderFormsOfRPMDatabases(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("long ", 2000)
	blob := rpmBlob(
		rpmEntry{rpmName, rpmString, []byte("tool\x00")}, rpmEntry{rpmVersion, rpmString, []byte("1\x00")}, rpmEntry{rpmRelease, rpmString, []byte("2\x00")},
		rpmEntry{rpmSummary, rpmI18nString, []byte("A tool\x00Ein Werkzeug\x00")}, rpmEntry{1005, rpmString, []byte(long + "\x00")},
		rpmEntry{rpmSize, rpmInt32, []byte{0, 0, 0, 9}}, rpmEntry{rpmLongSize, rpmInt64, []byte{0, 0, 0, 2, 0, 0, 0, 0}},
	)
	want := []wire.InstalledSoftware{{Name: "tool", Version: "1-2", Source: "rpm", DisplayName: "A tool", InstalledSize: 2 << 32, Status: "installed"}}
	for name, file := range map[string]struct {
		at   string
		data []byte
	}{
		"ndb":                     {"usr/lib/sysimage/rpm/Packages.db", ndbDatabase(blob)},
		"Berkeley":                {"var/lib/rpm/Packages", berkeleyDatabase(binary.LittleEndian, blob, false)},
		"Berkeley of big endians": {"var/lib/rpm/Packages", berkeleyDatabase(binary.BigEndian, blob, false)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			put(t, root, file.at, file.data)
			got, s := software(t, root)
			if diff := cmp.Diff(want, got); diff != "" || len(s.Errors) > 0 {
				t.Error(diff, s.Errors)
			}
		})
	}
}

type rpmEntry struct {
	tag, kind uint32
	data      []byte
}

func rpmBlob(entries ...rpmEntry) []byte {
	var index, data []byte
	for _, e := range entries {
		for len(data)%8 != 0 {
			data = append(data, 0)
		}
		for _, n := range []uint32{e.tag, e.kind, uint32(len(data)), 1} {
			index = binary.BigEndian.AppendUint32(index, n)
		}
		data = append(data, e.data...)
	}
	blob := binary.BigEndian.AppendUint32(nil, uint32(len(entries)))
	blob = binary.BigEndian.AppendUint32(blob, uint32(len(data)))
	return append(append(blob, index...), data...)
}

func ndbDatabase(blob []byte) []byte {
	le := binary.LittleEndian
	db := append([]byte("RpmP"), make([]byte, ndbPage-4)...)
	le.PutUint32(db[12:], 1)
	for at := ndbFirst * ndbSlot; at < ndbPage; at += ndbSlot {
		copy(db[at:], "Slot")
	}
	le.PutUint32(db[ndbFirst*ndbSlot+4:], 7)
	le.PutUint32(db[ndbFirst*ndbSlot+8:], ndbPage/ndbUnit)
	db = append(db, "BlbS"...)
	for _, n := range []uint32{7, 0, uint32(len(blob))} {
		db = le.AppendUint32(db, n)
	}
	return append(db, blob...)
}

// berkeleyDatabase has a hash page with one pair and the chain of its value; in
// a circle the last page of the chain leads to itself.
func berkeleyDatabase(order binary.ByteOrder, blob []byte, circle bool) []byte {
	const size = 512
	room := size - bdbHeader
	chain := (len(blob) + room - 1) / room
	db := make([]byte, size*(2+chain))
	order.PutUint32(db[12:], bdbMagic)
	order.PutUint32(db[20:], size)
	order.PutUint32(db[32:], uint32(1+chain))
	hash := db[size : 2*size]
	hash[bdbKind] = bdbHash
	order.PutUint16(hash[bdbEntries:], 2)
	order.PutUint16(hash[bdbHeader:], 500)
	order.PutUint16(hash[bdbHeader+2:], 480)
	hash[480] = bdbOffPage
	order.PutUint32(hash[484:], 2)
	length := len(blob)
	if circle {
		length *= 10
	}
	order.PutUint32(hash[488:], uint32(length))
	for i := range chain {
		page := db[size*(2+i) : size*(3+i)]
		page[bdbKind] = bdbOverflow
		n := copy(page[bdbHeader:], blob[i*room:])
		order.PutUint16(page[bdbFree:], uint16(n))
		switch {
		case i < chain-1:
			order.PutUint32(page[bdbNext:], uint32(3+i))
		case circle:
			order.PutUint32(page[bdbNext:], uint32(2+i))
		}
	}
	return db
}

// TestRPMDatabasesOfDistributions reads the databases that a library of others
// is tested with, of every form and of fifteen years, and compares with what
// the library makes of them.
func TestRPMDatabasesOfDistributions(t *testing.T) {
	t.Parallel()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/anchore/go-rpmdb").Output()
	if err != nil {
		t.Fatalf("the module's folder is not known: %v", err)
	}
	folder := filepath.Join(strings.TrimSpace(string(out)), "pkg", "testdata")
	count := 0
	for _, database := range rpmDatabases {
		files, err := filepath.Glob(filepath.Join(folder, "*", filepath.Base(database.file)))
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(database.file, "/usr") {
			continue
		}
		for _, file := range files {
			count++
			t.Run(filepath.Base(filepath.Dir(file)), func(t *testing.T) {
				t.Parallel()
				var got []string
				err := database.read(t.Context(), file, func(blob io.ReaderAt, size int64) error {
					row, ok, err := rpmPackage(blob, size)
					if ok {
						got = append(got, fmt.Sprintf("%s %s %s %q %q %d %d", row.Name, row.Version, row.Architecture, row.Publisher, row.DisplayName, row.InstalledSize, row.InstallTime))
					}
					return err
				})
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(libraryPackages(t, file), slices.Sorted(slices.Values(got))); diff != "" {
					t.Error(diff)
				}
			})
		}
	}
	if count < 10 {
		t.Errorf("only %d databases were found in %s", count, folder)
	}
}

func libraryPackages(t *testing.T, file string) []string {
	t.Helper()
	db, err := rpmdb.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	// It may have closed itself after reading.
	defer func() { _ = db.Close() }()
	packages, err := db.ListPackages()
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, p := range packages {
		version := p.Version + "-" + p.Release
		if p.Epoch != nil {
			version = fmt.Sprintf("%d:%s", *p.Epoch, version)
		}
		if p.Name != "gpg-pubkey" {
			want = append(want, fmt.Sprintf("%s %s %s %q %q %d %d", p.Name, version, p.Arch, clean(p.Vendor, maxText), clean(p.Summary, maxText), p.Size, int64(p.InstallTime)*1_000_000))
		}
	}
	slices.Sort(want)
	return want
}

func FuzzRPM(f *testing.F) {
	blob := rpmBlob(rpmEntry{rpmName, rpmString, []byte("a\x00")}, rpmEntry{rpmVersion, rpmString, []byte("1\x00")}, rpmEntry{rpmEpoch, rpmInt32, []byte{0, 0, 0, 1}})
	f.Add(blob)
	f.Add(ndbDatabase(blob))
	f.Add(berkeleyDatabase(binary.LittleEndian, blob, false))
	f.Add(berkeleyDatabase(binary.BigEndian, bytes.Repeat(blob, 20), true))
	f.Fuzz(func(t *testing.T, data []byte) {
		ctx := context.Background()
		row, ok, err := rpmPackage(bytes.NewReader(data), int64(len(data)))
		if ok && (err != nil || row.Name == "" || row.Version == "") {
			t.Errorf("got %+v, %v", row, err)
		}
		// No answer is wrong as long as there is one.
		_ = scanNDB(ctx, bytes.NewReader(data), int64(len(data)), func(blob io.ReaderAt, size int64) error {
			_, _, err := rpmPackage(blob, size)
			return err
		})
		_ = scanBerkeley(ctx, bytes.NewReader(data), int64(len(data)), func(blob io.ReaderAt, size int64) error {
			_, _, err := rpmPackage(blob, size)
			return err
		})
	})
}

// FuzzDpkg holds that no status file makes a row without name or state, and
// that a paragraph never leaks into the next.
func FuzzDpkg(f *testing.F) {
	f.Add([]byte("Package: a\nStatus: install ok installed\nVersion: 1\n\nPackage: b\nStatus: hold ok unpacked\n"))
	f.Add([]byte("Status: install ok installed\n\nPackage: a\n"))
	f.Add([]byte("Package: " + strings.Repeat("x", 100_000) + "\nStatus: a b c\n"))
	f.Add([]byte("Package: \xff\x00\nStatus: ok\r\n\r\n :"))
	f.Fuzz(func(t *testing.T, data []byte) {
		count := 0
		p := dpkgParser{emit: func(row wire.InstalledSoftware, _ bool) {
			count++
			if row.Name == "" || row.Status == "" || len(row.Name) > maxText {
				t.Errorf("got %+v", row)
			}
		}}
		if err := eachLine(bytes.NewReader(data), func(line []byte) bool { p.line(line); return true }); err != nil {
			t.Fatal(err)
		}
		p.end()
		if most := bytes.Count(data, []byte("Package")); count > most {
			t.Errorf("%d packages where the name of the field stands %d times", count, most)
		}
	})
}
