package syncedcopy

import (
	"bufio"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	_ "modernc.org/sqlite"
)

// writerVariable makes the test program a writer: a process of its own that
// inserts rows into the database that the variable names.
const writerVariable = "SYNCEDCOPY_TEST_WRITER"

func TestMain(m *testing.M) {
	source := os.Getenv(writerVariable)
	if source == "" {
		os.Exit(m.Run())
	}
	if err := write(source, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// write inserts rows, each in a transaction of its own, and says the number of
// each after its commit has returned, until nobody listens.
func write(source string, out io.Writer) error {
	db, err := sql.Open("sqlite", source)
	if err != nil {
		return err
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	if _, err := db.Exec("CREATE TABLE message (id INTEGER PRIMARY KEY, body TEXT NOT NULL)"); err != nil {
		return err
	}
	body := strings.Repeat("message ", 40)
	for id := 1; ; id++ {
		if _, err := db.Exec("INSERT INTO message (id, body) VALUES ($1, $2)", id, body); err != nil {
			return fmt.Errorf("cannot insert row %d: %w", id, err)
		}
		if _, err := fmt.Fprintln(out, id); err != nil {
			return nil
		}
	}
}

// source names a database in WAL mode whose log is moved into the database
// often, so that a copy meets all stages of that.
func source(folder, synchronous string) string {
	query := url.Values{"_pragma": {
		"busy_timeout(5000)", "journal_mode(WAL)", "synchronous(" + synchronous + ")", "wal_autocheckpoint(50)",
	}}
	return "file:" + filepath.Join(folder, "test.db") + "?" + query.Encode()
}

// writer is a running writer.
type writer struct {
	t     *testing.T
	lines *bufio.Scanner
	last  int // the last row whose commit is known to have returned
}

func startWriter(t *testing.T, source string) *writer {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	command := exec.Command(program)
	command.Env = append(os.Environ(), writerVariable+"="+source)
	command.Stderr = os.Stderr
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		command.Process.Kill()
		command.Wait()
	})
	return &writer{t: t, lines: bufio.NewScanner(out)}
}

// advance waits for n more commits. The writer runs on meanwhile.
func (w *writer) advance(n int) {
	w.t.Helper()
	for range n {
		if !w.lines.Scan() {
			w.t.Fatalf("the writer stopped after row %d: %v", w.last, w.lines.Err())
		}
		id, err := strconv.Atoi(w.lines.Text())
		if err != nil {
			w.t.Fatal(err)
		}
		w.last = id
	}
}

// rows opens the database of a copy and counts its rows. It fails where the
// database is not whole or misses a row before its last.
func rows(folder string) (int, error) {
	if _, err := os.Stat(filepath.Join(folder, "test.db")); errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	db, err := sql.Open("sqlite", source(folder, "FULL"))
	if err != nil {
		return 0, err
	}
	defer db.Close()
	var verdict string
	if err := db.QueryRow("PRAGMA integrity_check").Scan(&verdict); err != nil {
		return 0, err
	}
	if verdict != "ok" {
		return 0, fmt.Errorf("integrity_check says %q", verdict)
	}
	var count, last int
	if err := db.QueryRow("SELECT count(*) FROM sqlite_master").Scan(&count); err != nil || count == 0 {
		return 0, err
	}
	if err := db.QueryRow("SELECT count(*), coalesce(max(id), 0) FROM message").Scan(&count, &last); err != nil {
		return 0, err
	}
	if count != last {
		return 0, fmt.Errorf("%d rows, the last is number %d", count, last)
	}
	return count, nil
}

// cuts makes copies at random moments while a process writes and returns the
// largest number of committed rows that a copy did not have.
func cuts(t *testing.T, fs *FS, synchronous string, copies int) (lost int) {
	t.Helper()
	r := randomly(t)
	w := startWriter(t, source(fs.Path(), synchronous))
	w.advance(1)
	for range copies {
		w.advance(r.IntN(300))
		committed := w.last
		dest := filepath.Join(t.TempDir(), "copy")
		if seed := r.Uint64(); r.IntN(2) == 0 {
			fs.CopyTorn(t, dest, seed)
		} else {
			fs.Copy(t, dest)
		}
		got, err := rows(dest)
		if err != nil {
			t.Logf("after the commit of row %d the copy has no usable database: %v", committed, err)
			lost = committed
			continue
		}
		lost = max(lost, committed-got)
	}
	return lost
}

func TestSQLiteKeepsWhatItCommitted(t *testing.T) {
	t.Parallel()
	fs := Mount(t, t.TempDir())
	if lost := cuts(t, fs, "FULL", 30); lost > 0 {
		t.Errorf("a power cut lost %d committed rows", lost)
	}
	t.Logf("%+v", fs.Counts(t))
}

func TestSQLiteWithoutSyncLosesRows(t *testing.T) {
	t.Parallel()
	if lost := cuts(t, Mount(t, t.TempDir()), "OFF", 10); lost == 0 {
		t.Error("with synchronous=OFF no power cut lost a committed row")
	}
}

func TestSQLiteLosesRowsWhenOneSyncIsRemoved(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"test.db-wal", "."} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fs := Mount(t, t.TempDir(), WithoutSync(func(path string) bool { return path == name }))
			if lost := cuts(t, fs, "FULL", 10); lost == 0 {
				t.Errorf("without the sync of %s no power cut lost a committed row", name)
			}
			if fs.Counts(t).Forgotten == 0 {
				t.Errorf("no sync of %s was forgotten", name)
			}
		})
	}
}

// Two processes share SQLite's mapped memory through the mount: one writes,
// the other, which is also the one with the garbage collector that would stop,
// sees each row as soon as its commit has returned.
func TestSQLiteInTwoProcesses(t *testing.T) {
	t.Parallel()
	fs := Mount(t, t.TempDir())
	w := startWriter(t, source(fs.Path(), "FULL"))
	w.advance(1)
	db, err := sql.Open("sqlite", source(fs.Path(), "FULL"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for range 200 {
		w.advance(1 + rand.IntN(5))
		var last int
		if err := db.QueryRow("SELECT max(id) FROM message").Scan(&last); err != nil {
			t.Fatal(err)
		}
		if last < w.last {
			t.Fatalf("the reader sees rows up to %d after the commit of row %d", last, w.last)
		}
	}
}

// The mount must not be much slower than the disk would be with its syncs.
func BenchmarkSQLiteCommit(b *testing.B) {
	folders := map[string]func(b *testing.B) string{
		"mounted": func(b *testing.B) string { return Mount(b, b.TempDir()).Path() },
		"disk":    func(b *testing.B) string { return b.TempDir() },
	}
	for name, folder := range folders {
		b.Run(name, func(b *testing.B) {
			db, err := sql.Open("sqlite", source(folder(b), "FULL"))
			if err != nil {
				b.Fatal(err)
			}
			defer db.Close()
			db.SetMaxOpenConns(1)
			if _, err := db.Exec("CREATE TABLE message (id INTEGER PRIMARY KEY, body TEXT NOT NULL)"); err != nil {
				b.Fatal(err)
			}
			body := strings.Repeat("message ", 40)
			for b.Loop() {
				if _, err := db.Exec("INSERT INTO message (body) VALUES ($1)", body); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkAppendAndSync(b *testing.B) {
	f, err := os.Create(filepath.Join(Mount(b, b.TempDir()).Path(), "outbox"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	message := []byte(strings.Repeat("m", 1024))
	for b.Loop() {
		if _, err := f.Write(message); err != nil {
			b.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			b.Fatal(err)
		}
	}
}
