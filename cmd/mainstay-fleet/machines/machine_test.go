package machines

import (
	"encoding/json"
	"testing"

	"mainstay/client/inventory"
	"mainstay/lib/rowhash"
	"mainstay/wire"
)

func snapshot(t testing.TB, m *Machine, changes int) *inventory.Snapshot {
	t.Helper()
	s, err := m.Snapshot(changes, nil, 1)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSameSeedSameMachine(t *testing.T) {
	t.Parallel()
	for _, number := range []int{0, 7, 4999} {
		a, b := New(3).Machine(number), New(3).Machine(number)
		if x, y := snapshot(t, a, 5).Hash(), snapshot(t, b, 5).Hash(); x != y {
			t.Errorf("machine %d has inventory %s and then %s", number, x, y)
		}
		other := New(4).Machine(number)
		if a.Hardware().ProductUUID == other.Hardware().ProductUUID {
			t.Errorf("machine %d is the same under another seed", number)
		}
	}
}

func TestMachinesAreDistinctAndPlausible(t *testing.T) {
	t.Parallel()
	const count = 400
	fleet := New(1)
	seen := map[string]int{}
	rows, distinct := 0, map[rowhash.Hash]bool{}
	small, large := 1<<30, 0
	for number := range count {
		m := fleet.Machine(number)
		h := m.Hardware()
		for _, key := range append([]string{h.ProductUUID, h.Serial, h.MachineID, m.Facts().Name, m.Facts().Addresses[0]}, h.MACs...) {
			if before, ok := seen[key]; ok || key == "" {
				t.Fatalf("machines %d and %d share %q", before, number, key)
			}
			seen[key] = number
		}
		s := snapshot(t, m, 0)
		software := s.Classes[wire.ClassInstalledSoftware]
		small, large = min(small, len(software)), max(large, len(software))
		for class, of := range s.Classes {
			if _, ok := wire.InventoryClassNamed(class); !ok {
				t.Fatalf("class %s is none of wire's", class)
			}
			for _, row := range of {
				if !json.Valid(row.JSON) || rowhash.Row(class, row.JSON) != row.Hash {
					t.Fatalf("row of %s is broken: %s", class, row.JSON)
				}
				rows++
				distinct[row.Hash] = true
			}
		}
	}
	if small < 300 || large > 2500 || large < 1500 {
		t.Errorf("machines have %d to %d packages, want some of 300 to 2500", small, large)
	}
	if share := float64(len(distinct)) / float64(rows); share > 0.5 || share < 0.02 {
		t.Errorf("%d of %d rows are distinct; a fleet shares most rows, and not all", len(distinct), rows)
	}
}

func TestRowsStandOnce(t *testing.T) {
	t.Parallel()
	fleet := New(9)
	for number := range 60 {
		for class, rows := range snapshot(t, fleet.Machine(number), 20).Classes {
			keys := map[string]bool{}
			description, _ := wire.InventoryClassNamed(class)
			for i, row := range rows {
				if i > 0 && rowhash.Compare(rows[i-1].Hash, row.Hash) >= 0 {
					t.Fatalf("rows of %s are not in the order of their hashes, or one stands twice: %s", class, row.JSON)
				}
				var columns map[string]any
				if err := json.Unmarshal(row.JSON, &columns); err != nil {
					t.Fatal(err)
				}
				key := ""
				for _, column := range description.KeyColumns {
					value, err := json.Marshal(columns[column])
					if err != nil {
						t.Fatal(err)
					}
					key += string(value) + " "
				}
				if keys[key] {
					t.Fatalf("two rows of %s have the key %s", class, key)
				}
				keys[key] = true
			}
		}
	}
}

func TestChangesAreDeltas(t *testing.T) {
	t.Parallel()
	m := New(5).Machine(12)
	_, base := inventory.Full(snapshot(t, m, 3))
	report, _ := inventory.Diff(base, snapshot(t, m, 3))
	if len(report.Classes) != 0 {
		t.Errorf("the same state differs in %d classes", len(report.Classes))
	}
	report, _ = inventory.Diff(base, snapshot(t, m, 8))
	change := report.Classes[wire.ClassInstalledSoftware]
	if len(report.Classes) != 1 || len(change.Add) == 0 || len(change.Add) > 5 || len(change.Remove) > 5 {
		t.Errorf("five changes make a delta of %d classes, %d new and %d gone packages", len(report.Classes), len(change.Add), len(change.Remove))
	}
}

func TestDisabledClassesAreLeftOut(t *testing.T) {
	t.Parallel()
	s, err := New(1).Machine(1).Snapshot(0, []string{wire.ClassInstalledSoftware}, 1)
	if err != nil || len(s.Classes[wire.ClassInstalledSoftware]) != 0 || len(s.Classes[wire.ClassService]) == 0 {
		t.Errorf("got %d packages and %d services, %v", len(s.Classes[wire.ClassInstalledSoftware]), len(s.Classes[wire.ClassService]), err)
	}
}

func BenchmarkSnapshot(b *testing.B) {
	fleet := New(1)
	for b.Loop() {
		for number := range 50 {
			snapshot(b, fleet.Machine(number), 10)
		}
	}
}
