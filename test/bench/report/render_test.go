package main

import (
	"strings"
	"testing"
)

const output = `goos: linux
# round 1: 22.5 µs, bare 19.0 µs, ratio 1.19
BenchmarkPoll-2   	       1	        18.96 bare-cpu-µs/poll	        22.51 cpu-µs/poll	         1.389 ratio
BenchmarkMessages/PerUpload=1-2 	 1	 46.78 bare-cpu-µs/message	 10865 bare-messages/s	 70.50 cpu-µs/message	 8521 messages/s	 0.8074 ratio
BenchmarkClientAtRest-2         	       1	         0.002310 %-of-a-core	         6.770 MiB-anonymous	        17.09 MiB-resident
PASS
`

func TestParse(t *testing.T) {
	t.Parallel()
	f := parse(output)
	if len(f) != 3 || f["Poll"]["ratio"] != 1.389 || f["Messages/PerUpload=1"]["messages/s"] != 8521 || f["ClientAtRest"]["%-of-a-core"] != 0.00231 {
		t.Errorf("got %v", f)
	}
}

func TestTableTellsWhatWasMissed(t *testing.T) {
	t.Parallel()
	got := table(parse(output))
	for _, want := range []string{
		"| 22.5 µs | 19.0 µs | 1.39 × | at most 1.3 × | **missed** |",
		"| 8521/s | 10865/s | 0.81 × | at least 0.7 × | met |",
		"| 17.1 MiB |  |  | at most 20 MiB | met |",
		"| 0.002 % of a core |  |  | at most 0.1 % of a core | met |",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%s is not in\n%s", want, got)
		}
	}
}

func TestPartOfTheBenchmarksIsNoReport(t *testing.T) {
	t.Parallel()
	if _, missing := render(about{}, parse(output), output); len(missing) != 6 {
		t.Errorf("missing: %v", missing)
	}
}
