package version

import (
	"testing"
	"time"
)

// The cases share the variables that the linker sets, so they run one after
// the other.
func TestBuild(t *testing.T) {
	const commit = "0123456789abcdef0123456789abcdef01234567"
	for _, test := range []struct {
		name            string
		version, commit string
		builtAt         string
		wantAt          time.Time
		wantLine        string
	}{
		{
			name: "not linked by the Makefile", version: "devel",
			wantLine: "devel",
		},
		{
			name: "linked", version: "1.2.3", commit: commit, builtAt: "1700000000",
			wantAt:   time.Date(2023, 11, 14, 22, 13, 20, 0, time.UTC),
			wantLine: "1.2.3 (commit 0123456789ab, 2023-11-14 22:13:20 UTC)",
		},
		{
			name: "time that is no number", version: "1.2.3", commit: commit, builtAt: "yesterday",
			wantLine: "1.2.3 (commit 0123456789ab)",
		},
		{
			name: "time before 1970", version: "1.2.3", builtAt: "-5",
			wantLine: "1.2.3",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			oldVersion, oldCommit, oldBuiltAt := Version, Commit, builtAt
			t.Cleanup(func() { Version, Commit, builtAt = oldVersion, oldCommit, oldBuiltAt })
			Version, Commit, builtAt = test.version, test.commit, test.builtAt

			if got := BuiltAt(); !got.Equal(test.wantAt) {
				t.Errorf("BuiltAt() = %v, want %v", got, test.wantAt)
			}
			if got := String(); got != test.wantLine {
				t.Errorf("String() = %q, want %q", got, test.wantLine)
			}
		})
	}
}
