package syncedcopy

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"mainstay/test/syncedcopy/control"
)

func copyRequest(dest string) control.Request {
	return control.Request{Copy: &control.Copy{Dest: dest}}
}

// content is what one file holds, and what it held at its last sync.
type content struct{ present, durable []byte }

// change does one random operation to a file and to its model.
func (c *content) change(t *testing.T, f *os.File, r *rand.Rand) {
	t.Helper()
	const most = 10 * 4096
	var err error
	switch r.IntN(8) {
	case 0:
		size := r.IntN(most)
		err = f.Truncate(int64(size))
		c.present = append(bytes.Clone(c.present), make([]byte, most)...)[:max(size, len(c.present))][:size]
	case 1:
		err = f.Sync()
		c.durable = bytes.Clone(c.present)
	default:
		data := make([]byte, 1+r.IntN(1+r.IntN(9000)))
		for i := range data {
			data[i] = byte(1 + r.IntN(255))
		}
		offset := r.IntN(most)
		_, err = f.WriteAt(data, int64(offset))
		if end := offset + len(data); end > len(c.present) {
			c.present = append(bytes.Clone(c.present), make([]byte, end-len(c.present))...)
		}
		c.present = bytes.Clone(c.present)
		copy(c.present[offset:], data)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func randomly(t *testing.T) *rand.Rand {
	t.Helper()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

func TestRandomWritesLeaveTheSyncedContent(t *testing.T) {
	t.Parallel()
	r := randomly(t)
	fs := Mount(t, t.TempDir())
	d := disk{t, fs.Path()}
	d.durable("f", "")
	f := d.open("f", os.O_RDWR)
	c := &content{}
	for range 100 {
		for range r.IntN(10) {
			c.change(t, f, r)
		}
		dest := filepath.Join(t.TempDir(), "copy")
		fs.Copy(t, dest)
		if got, err := os.ReadFile(filepath.Join(dest, "f")); err != nil || !bytes.Equal(got, c.durable) {
			t.Fatalf("after a power cut the file has %d bytes that are not the %d synced ones (%v)", len(got), len(c.durable), err)
		}
		if got, err := os.ReadFile(d.path("f")); err != nil || !bytes.Equal(got, c.present) {
			t.Fatalf("the mounted file has %d bytes that are not the %d written ones (%v)", len(got), len(c.present), err)
		}
	}
}

func TestTornCopiesMixOldAndNewPages(t *testing.T) {
	t.Parallel()
	r := randomly(t)
	fs := Mount(t, t.TempDir())
	d := disk{t, fs.Path()}
	d.durable("f", "")
	f := d.open("f", os.O_RDWR)
	c := &content{}
	var kept, lost, mixed int
	for range 150 {
		for range r.IntN(10) {
			c.change(t, f, r)
		}
		seed := r.Uint64()
		dest := filepath.Join(t.TempDir(), "copy")
		fs.CopyTorn(t, dest, seed)
		got, err := os.ReadFile(filepath.Join(dest, "f"))
		if err != nil {
			t.Fatal(err)
		}
		fromNew, fromOld := c.judge(t, got)
		switch {
		case fromNew > 0 && fromOld > 0:
			mixed++
		case fromNew > 0:
			kept++
		case fromOld > 0:
			lost++
		}

		// The same seed tears in the same way.
		again := filepath.Join(t.TempDir(), "copy")
		fs.CopyTorn(t, again, seed)
		if same, err := os.ReadFile(filepath.Join(again, "f")); err != nil || !bytes.Equal(got, same) {
			t.Fatalf("seed %d gave two different copies (%v)", seed, err)
		}
	}
	if kept == 0 || lost == 0 || mixed == 0 {
		t.Errorf("%d copies had only new pages, %d only old ones, %d both; want some of each", kept, lost, mixed)
	}
}

// judge checks that each page of a torn copy is wholly the old or the new one
// and counts those where the two differ.
func (c *content) judge(t *testing.T, got []byte) (fromNew, fromOld int) {
	t.Helper()
	if n := len(got); n != len(c.present) && n != len(c.durable) && (n%4096 != 0 || n > len(c.present)) {
		t.Fatalf("the torn file has %d bytes; it had %d at the sync and %d at the cut", n, len(c.durable), len(c.present))
	}
	at := func(b []byte, start, end int) []byte {
		part := make([]byte, end-start)
		if start < len(b) {
			copy(part, b[start:])
		}
		return part
	}
	for start := 0; start < len(got); start += 4096 {
		end := min(start+4096, len(got))
		part, before, after := got[start:end], at(c.durable, start, end), at(c.present, start, end)
		switch {
		case end > len(c.present) && !bytes.Equal(part, before):
			t.Fatalf("the page at %d was cut off; the torn file has the length and not the content", start)
		case bytes.Equal(before, after):
			if !bytes.Equal(part, before) {
				t.Fatalf("the page at %d did not change and is different in the torn copy", start)
			}
		case bytes.Equal(part, before):
			fromOld++
		case bytes.Equal(part, after):
			fromNew++
		default:
			t.Fatalf("the page at %d is neither the old nor the new one", start)
		}
	}
	return fromNew, fromOld
}

func TestTornCopiesNeverSplitARename(t *testing.T) {
	t.Parallel()
	fs := Mount(t, t.TempDir())
	d := disk{t, fs.Path()}
	d.mkdir("a")
	d.mkdir("b")
	d.write("a/f", "content")
	d.sync("a/f", "a", "b", ".")
	d.rename("a/f", "b/f")
	d.rename("b/f", "b/g")
	d.write("alone", "")

	seen := map[string]int{}
	for seed := range uint64(40) {
		dest := filepath.Join(t.TempDir(), "copy")
		fs.CopyTorn(t, dest, seed)
		left := tree(t, dest)
		if _, ok := left["alone"]; ok {
			seen["alone"]++
		}
		_, old := left["a/f"]
		_, between := left["b/f"]
		_, new := left["b/g"]
		switch {
		case between || old == new:
			t.Fatalf("seed %d: the file has the names a/f: %t, b/f: %t, b/g: %t; want the first or the last", seed, old, between, new)
		case old:
			seen["old"]++
		default:
			seen["new"]++
		}
	}
	if seen["old"] == 0 || seen["new"] == 0 || seen["alone"] == 0 || seen["alone"] == 40 {
		t.Errorf("of 40 torn copies %v; want each outcome at least once", seen)
	}
}
