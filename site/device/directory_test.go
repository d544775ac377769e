package device

import (
	"context"
	"errors"
	"testing"
	"time"

	"mainstay/site/sitedb"
)

// registered is a device that the directory has not read yet.
func (f *fixture) registered(d *Directory, name string) (m machine, row Registration) {
	f.Helper()
	token := f.token(0)
	m = f.machine(name)
	row = f.decide(f.ask(m, &token, nil))
	if _, is := d.Judge(fingerprint(f.T, m.key)); is != KeyUnknown {
		f.Fatalf("the key of a new device stands as %d before anybody looked", is)
	}
	return m, row
}

func TestLearntKeyIsGoodAtOnce(t *testing.T) {
	t.Parallel()
	f := setup(t)
	d := NewDirectory(f.db)
	if err := d.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	m, row := f.registered(d, "one")
	if err := d.Learn(t.Context(), row.KeyFingerprint); err != nil {
		t.Fatal(err)
	}
	if id, is := d.Judge(fingerprint(t, m.key)); is != KeyGood || id != row.Device {
		t.Errorf("the key stands as %d for %q, want it good for %q", is, id, row.Device)
	}
	if err := d.Learn(t.Context(), "ab"+row.KeyFingerprint[2:]); err != nil {
		t.Errorf("a key that nobody knows is an error: %v", err)
	}
}

func TestLearntKeyOutlivesAReadingThatBeganBefore(t *testing.T) {
	t.Parallel()
	f := setup(t)
	d := NewDirectory(f.db)
	var m machine
	var row Registration
	err := f.db.Read(t.Context(), func(tx *sitedb.Tx) error {
		// From here on this reading sees what is so now.
		before, _, err := readCounter.One(t.Context(), tx, struct {
			Name string `db:"name"`
		}{"device"})
		if err != nil {
			return err
		}
		m, row = f.registered(d, "one")
		if err := d.Learn(t.Context(), row.KeyFingerprint); err != nil {
			return err
		}
		return d.reload(t.Context(), tx, before.Value)
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, is := d.Judge(fingerprint(t, m.key)); is != KeyGood {
		t.Errorf("the key stands as %d after a reading from before it was learnt", is)
	}
	// What is read afterwards counts again.
	err = f.db.Write(t.Context(), func(tx *sitedb.Tx) error {
		rows, err := tx.Query(t.Context(), "UPDATE device SET blocked_at = 1 WHERE id = $1 RETURNING id", row.Device)
		if err != nil {
			return err
		}
		for rows.Next() {
		}
		if err := rows.Close(); err != nil {
			return err
		}
		return changed(t.Context(), tx)
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, is := d.Judge(fingerprint(t, m.key)); is != KeyBlocked {
		t.Errorf("the key of a blocked device stands as %d", is)
	}
	if len(d.learned) != 0 {
		t.Errorf("%d keys are still kept beside the directory", len(d.learned))
	}
}

func TestOneBadRegistrationHoldsUpNobodyBeforeIt(t *testing.T) {
	t.Parallel()
	f := setup(t)
	token := f.token(0)
	good, err := Submit(t.Context(), f.db, "LAB", f.ask(f.machine("good"), &token, nil), "test", now)
	if err != nil {
		t.Fatal(err)
	}
	bad, err := Submit(t.Context(), f.db, "LAB", f.ask(f.machine("bad"), nil, nil), "test", now.Add(time.Second))
	if err != nil {
		t.Fatal(err)
	}
	// The one without a token waits for an administrator, which is reported.
	report := f.registrar.c.Report
	f.registrar.c.Report = func(ctx context.Context, tx *sitedb.Tx, e Event, id string, texts ...string) error {
		if e == EventWaits {
			return errors.New("cannot report")
		}
		return report(ctx, tx, e, id, texts...)
	}
	if err := f.registrar.Pass(t.Context()); err == nil {
		t.Fatal("the bad registration is no error")
	}
	for name, want := range map[string]struct {
		row   Registration
		state string
	}{"good": {good, StateDone}, "bad": {bad, StateWaiting}} {
		row, err := Standing(t.Context(), f.db, want.row.KeyFingerprint)
		if err != nil || row.State != want.state {
			t.Errorf("the %s one is %q, %v; want %q", name, row.State, err, want.state)
		}
	}
}
