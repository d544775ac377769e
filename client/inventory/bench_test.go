package inventory

import (
	"fmt"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"mainstay/lib/rowhash"
	"mainstay/wire"
)

// BenchmarkCollect collects every class of this machine. cpu-ms/op is what the
// whole process used. B/op bounds how far the heap can grow in one collection,
// garbage included; the goals are 200 ms and 8 MiB.
func BenchmarkCollect(b *testing.B) {
	c, err := New(Config{})
	if err != nil {
		b.Fatal(err)
	}
	if _, err := c.Collect(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	runtime.GC()
	before := cpuTime(b)
	for b.Loop() {
		if _, err := c.Collect(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(cpuTime(b)-before)/1e6/float64(b.N), "cpu-ms/op")
}

// BenchmarkCollectSource shows which source costs what.
func BenchmarkCollectSource(b *testing.B) {
	for _, s := range allSources() {
		b.Run(s.name, func(b *testing.B) {
			c, err := New(Config{sources: []source{s}})
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.Collect(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func cpuTime(b *testing.B) int64 {
	b.Helper()
	var used unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return used.Utime.Nano() + used.Stime.Nano()
}

// BenchmarkDiff compares a machine of 3,000 packages of which one has changed.
func BenchmarkDiff(b *testing.B) {
	make3000 := func(changed string) *Snapshot {
		out := newSink()
		for i := range 3000 {
			version := "1.0"
			if i == 1500 {
				version = changed
			}
			out.add(wire.ClassInstalledSoftware, &wire.InstalledSoftware{Name: fmt.Sprint("package-", i), Version: version, Source: "dpkg", Status: "installed"})
		}
		s := &Snapshot{Classes: out.classes}
		s.finish()
		return s
	}
	_, base := Full(make3000("1.0"))
	s := make3000("1.1")
	b.ReportAllocs()
	for b.Loop() {
		if report, _ := Diff(base, s); len(report.Classes[wire.ClassInstalledSoftware].Add) != 1 {
			b.Fatal("the change was not found")
		}
	}
}

// BenchmarkBaseline writes and reads a baseline of 3,000 rows.
func BenchmarkBaseline(b *testing.B) {
	hashes := make([]rowhash.Hash, 3000)
	for i := range hashes {
		hashes[i] = rowhash.Row("T", fmt.Append(nil, i))
	}
	rowhash.Sort(hashes)
	base := Baseline{Classes: map[string][]rowhash.Hash{"T": hashes}}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := DecodeBaseline(base.Encode()); err != nil {
			b.Fatal(err)
		}
	}
}
