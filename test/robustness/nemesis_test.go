package robustness

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"mainstay/site/status"
	"mainstay/test/robustness/history"
	"mainstay/wire"
)

// fault is something that a round does to the world.
type fault struct {
	name   string
	weight int
	do     func(*world)
}

// kills end processes, and nothing else.
func kills() []fault {
	return []fault{
		{"kill server", 3, func(w *world) {
			w.killServer()
			w.pass(w.between(0, time.Second))
			w.startServer()
		}},
		{"kill server while it starts", 2, func(w *world) {
			w.killServer()
			for range 1 + w.random.IntN(3) {
				w.up = true
				w.site.Launch(nil)
				w.pass(w.between(0, 400*time.Millisecond))
				w.killServer()
			}
			w.startServer()
		}},
		{"kill clients", 3, func(w *world) {
			c := w.someCrew()
			c.kill()
			w.pass(w.between(0, 500*time.Millisecond))
			c.start()
		}},
		{"kill clients while they start", 1, func(w *world) {
			c := w.someCrew()
			for range 1 + w.random.IntN(3) {
				c.kill()
				c.start()
				w.pass(w.between(0, 200*time.Millisecond))
			}
		}},
		{"kill everything", 1, func(w *world) {
			w.killServer()
			for _, c := range w.crews {
				c.kill()
			}
			w.startServer()
			for _, c := range w.crews {
				c.start()
			}
		}},
		{"clients restart while no server runs", 1, func(w *world) {
			w.killServer()
			c := w.someCrew()
			c.kill()
			c.start()
			w.pass(w.between(0, 500*time.Millisecond))
			c.kill()
			c.start()
			w.startServer()
		}},
	}
}

// powerCuts take the power away from machines.
func powerCuts() []fault {
	return []fault{
		{"power of server", 3, func(w *world) {
			w.cutServer(w.random.IntN(2) == 0)
			w.startServer()
		}},
		{"power of server while it starts", 1, func(w *world) {
			w.killServer()
			w.up = true
			w.site.Launch(nil)
			w.pass(w.between(0, 400*time.Millisecond))
			w.cutServer(w.random.IntN(2) == 0)
			w.startServer()
		}},
		{"power of clients", 3, func(w *world) {
			c := w.someCrew()
			w.cutCrew(c, w.random.IntN(2) == 0)
			c.start()
		}},
		{"power of clients while no server runs", 2, func(w *world) {
			w.killServer()
			c := w.someCrew()
			w.pass(w.between(0, 500*time.Millisecond))
			w.cutCrew(c, w.random.IntN(2) == 0)
			c.start()
			w.startServer()
		}},
		{"power of both", 2, func(w *world) {
			c := w.someCrew()
			freeze(w.t, w.site.Pid())
			w.cutCrew(c, w.random.IntN(2) == 0)
			w.disk.cut(w.killServer, w.torn(w.random.IntN(2) == 0))
			w.startServer()
			c.start()
		}},
	}
}

func (w *world) someCrew() *crew { return w.crews[w.random.IntN(len(w.crews))] }

// strike does one fault after a while, every other time while an administrator
// makes new policy.
func (w *world) strike(faults []fault) {
	w.t.Helper()
	w.pass(w.between(100*time.Millisecond, 1500*time.Millisecond))
	if w.random.IntN(2) == 0 {
		defer w.editMeanwhile()()
		w.pass(w.between(0, 100*time.Millisecond))
	}
	total := 0
	for _, f := range faults {
		total += f.weight
	}
	draw := w.random.IntN(total)
	for _, f := range faults {
		if draw -= f.weight; draw < 0 {
			w.note("%s", f.name)
			f.do(w)
			return
		}
	}
}

// swapped is what became of the disks of a few clients.
type swapped struct {
	original, clone, twinned, twin string
}

// swapDisks sets one client back to an older copy of its whole disk, reinstalls
// another, copies a third to another machine, and copies a fourth to a machine
// that looks the same. It returns when the copies have been told.
func (w *world) swapDisks() swapped {
	w.t.Helper()
	w.note("disks are copied")
	from, to := w.crews[0], w.crews[1%len(w.crews)]
	names := from.streams()
	s := swapped{original: names[2], clone: names[2] + "-clone", twinned: names[3], twin: names[3] + "-twin"}
	w.awaitIdentities(from, names[:4])
	older := w.snapshot(from, names[0])
	cloned, twin := w.snapshot(from, s.original), w.snapshot(from, s.twinned)
	w.pass(w.between(time.Second, 2*time.Second))
	// From now on things wait in the outboxes, of this run and the next.
	w.killServer()
	w.pass(w.between(time.Second, 2*time.Second))

	w.note("an older disk, a reinstalled client, a clone, and a twin")
	from.kill()
	to.kill()
	from.disk.put(names[0], older)
	w.event(history.Event{What: history.Disk, Stream: names[0], Copy: older})
	from.disk.put(names[1], "")
	w.event(history.Event{What: history.Disk, Stream: names[1]})
	to.disk.put(s.clone, cloned)
	w.event(history.Event{What: history.Foreign, Stream: s.clone, Copy: cloned})
	to.disk.put(s.twin, twin)
	w.event(history.Event{What: history.Disk, Stream: s.twin, Copy: twin})
	to.add(s.clone, hardware(900))
	to.add(s.twin, from.config.Streams[3].Hardware)
	from.start()
	to.start()
	w.pass(w.between(time.Second, 2*time.Second))
	w.startServer()

	err := w.await(time.Minute, func() error {
		from.journal.follow(w.t)
		to.journal.follow(w.t)
		a, b := from.journal.device[s.twinned], to.journal.device[s.twin]
		if a == b || a == "" || b == "" {
			return fmt.Errorf("twins are device %q and %q", a, b)
		}
		if to.journal.device[s.clone] == "" {
			return fmt.Errorf("the clone has not registered")
		}
		return nil
	})
	if err != nil {
		w.t.Errorf("copies are not told apart: %v", err)
	}
	return s
}

// awaitIdentities waits until clients have registered and have policy.
func (w *world) awaitIdentities(c *crew, names []string) {
	w.t.Helper()
	err := w.await(time.Minute, func() error {
		c.journal.follow(w.t)
		for _, name := range names {
			if c.journal.device[name] == "" || c.journal.policy[name] == 0 {
				return fmt.Errorf("%s has not registered", name)
			}
		}
		return nil
	})
	must(w.t, err)
}

// snapshot copies the disk of one client while it works, or, where the disk
// cannot tell what is on it, after a kill.
func (w *world) snapshot(c *crew, name string) string {
	w.t.Helper()
	dest := filepath.Join(w.dir, fmt.Sprintf("%s.copy-%d", name, time.Now().UnixNano()))
	if c.disk.fs == nil {
		c.kill()
		defer c.start()
	}
	w.event(history.Event{What: history.Copying, Stream: name, Copy: dest})
	c.disk.snapshot(name, dest)
	return dest
}

// reported checks that the site was told of the copies.
func (w *world) reported(s swapped, all tables) {
	w.t.Helper()
	devices := map[string]string{}
	for _, c := range w.crews {
		c.journal.follow(w.t)
		for name, device := range c.journal.device {
			devices[name] = device
		}
	}
	original := devices[s.original]
	if d := all.device(devices[s.clone]); d.CopyOf != original {
		w.t.Errorf("the clone's record says that it is a copy of %q, want %q", d.CopyOf, original)
	}
	if n := all.reported(status.DeviceCopied, devices[s.clone]); n != 1 {
		w.t.Errorf("the site has told of the clone %d times", n)
	}
	if n := all.reported(wire.StatusCopy, devices[s.clone]); n != 1 {
		w.t.Errorf("the clone has told of itself %d times", n)
	}
	if len(all.devices) != len(devices) {
		w.t.Errorf("the site has %d devices, and there are %d clients", len(all.devices), len(devices))
	}
	conflicts := 0
	for name, device := range devices {
		switch conflict := all.device(device).Conflict; {
		case conflict == "":
		case name == s.twinned, name == s.twin:
			conflicts++
		default:
			w.t.Errorf("the record of %s shows a conflict that never was: %s", name, conflict)
		}
	}
	if conflicts != 1 {
		w.t.Errorf("%d of the twins' records show a conflict, want 1: %+v", conflicts, []deviceRow{all.device(devices[s.twinned]), all.device(devices[s.twin])})
	}
}

// TestNemesis kills clients and server at random moments while 50 clients send
// numbered messages; then disks are exchanged.
func TestNemesis(t *testing.T) {
	w := newWorld(t, shape{seed: seedOf(t), crews: 5, clients: 10, pause: time.Second})
	for range roundsOf(t, 8) {
		w.strike(kills())
	}
	s := w.swapDisks()
	for range roundsOf(t, 2) {
		w.strike(kills())
	}
	w.reported(s, w.mustHold())
}

// TestNemesisOfPower does the same on disks that keep only what was synced.
func TestNemesisOfPower(t *testing.T) {
	w := newWorld(t, shape{seed: seedOf(t), crews: 3, clients: 6, pause: time.Second, powerFails: true})
	for range roundsOf(t, 6) {
		w.strike(powerCuts())
	}
	s := w.swapDisks()
	for range roundsOf(t, 2) {
		w.strike(powerCuts())
	}
	w.reported(s, w.mustHold())
}

// TestSoak goes on as long as it is told to.
func TestSoak(t *testing.T) {
	if *soakFlag == 0 {
		t.Skip("a soak takes as long as it is told to: -args -soak=1h")
	}
	seed := seedOf(t)
	for round, end := uint64(0), time.Now().Add(*soakFlag); time.Now().Before(end) && !t.Failed(); round++ {
		for _, power := range []bool{false, true} {
			t.Run(fmt.Sprintf("seed=%d,power=%v", seed+round, power), func(t *testing.T) {
				faults := kills()
				if power {
					faults = append(faults, powerCuts()...)
				}
				w := newWorld(t, shape{seed: seed + round, crews: 4, clients: 8, pause: time.Second, powerFails: power})
				for range 30 {
					w.strike(faults)
				}
				s := w.swapDisks()
				for range 15 {
					w.strike(faults)
				}
				w.reported(s, w.mustHold())
			})
		}
	}
}
