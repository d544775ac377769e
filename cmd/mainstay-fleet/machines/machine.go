package machines

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"mainstay/client/identity"
	"mainstay/client/inventory"
	"mainstay/lib/rowhash"
	"mainstay/wire"
)

// domain is where all machines are.
const domain = "corp.example"

// MaxMachines is the largest number of machines that one seed gives, because
// each has an address of its own in 10.0.0.0/8.
const MaxMachines = 1 << 22

// Fleet gives the machines of one seed. Its methods may be called from any
// goroutine.
type Fleet struct {
	seed   uint64
	images []*image
	models []model
}

// New makes the fleet of a seed.
func New(seed uint64) *Fleet {
	families := map[bool]*familyNames{}
	for _, rpm := range []bool{false, true} {
		f := namesOf(rpm)
		families[rpm] = &f
	}
	fleet := &Fleet{seed: seed, models: models()}
	for _, r := range releases() {
		for _, p := range profiles() {
			for edition := range editions {
				random := rand.New(rand.NewPCG(mix(r.caption), mix(p.name)+uint64(edition)))
				fleet.images = append(fleet.images, &image{
					release: r, profile: p, family: families[r.rpm], edition: edition, wanted: p.least + random.IntN(p.most-p.least+1),
				})
			}
		}
	}
	return fleet
}

// Machine is one machine. It never changes; how far its software has changed
// is a number that its owner keeps.
type Machine struct {
	image    *image
	hardware hardware
	random   [2]uint64 // seed of what is this machine's alone

	name, network, address, machineID string
	booted                            int64
	people                            []string
}

// Machine is the machine with a number, from 0 to MaxMachines-1.
func (f *Fleet) Machine(number int) *Machine {
	random := rand.New(rand.NewPCG(f.seed, uint64(number)))
	m := &Machine{random: [2]uint64{random.Uint64(), random.Uint64()}}
	m.image = pick(f.images, random, func(im *image) int { return im.release.weight * im.profile.weight })
	m.hardware = drawHardware(f.models, m.image.profile.desktop, random)
	places := []string{"zrh", "fra", "lon", "nyc", "sin"}
	m.name = fmt.Sprintf("%s-%s-%06d", m.image.profile.name, places[random.IntN(len(places))], number)
	// 250 machines share a network; the first 10.16 networks are left to
	// whoever keeps the net.
	net, host := number/250, 2+number%250
	m.network = fmt.Sprintf("10.%d.%d", 16+net>>8&0xff, net&0xff)
	m.address = fmt.Sprintf("%s.%d", m.network, host)
	m.machineID = fmt.Sprintf("%016x%016x", random.Uint64(), random.Uint64())
	m.booted = (m.image.release.built + int64(random.IntN(60*24*3600))) * 1_000_000
	names := []string{"anna", "ben", "carla", "david", "elif", "fabio", "greta", "hugo", "ines", "jonas", "karin", "luca", "mira", "noah", "olga", "paul"}
	for range 1 + random.IntN(3) {
		if name := names[random.IntN(len(names))]; !slices.Contains(m.people, name) {
			m.people = append(m.people, name)
		}
	}
	return m
}

// Hardware ties the machine to its record.
func (m *Machine) Hardware() wire.HardwareIdentity {
	h := wire.HardwareIdentity{ProductUUID: m.hardware.uuid, Serial: m.hardware.serial, MachineID: m.machineID}
	if m.hardware.model.chassis != "" { // others have addresses that software chose
		h.MACs = slices.Sorted(slices.Values(m.hardware.macs))
	}
	return h
}

// Facts are what the machine says of itself.
func (m *Machine) Facts() identity.Facts {
	r := m.image.release
	return identity.Facts{Name: m.name, OS: r.name, OSVersion: r.version, Arch: "amd64", Addresses: []string{m.address}}
}

// Snapshot is the inventory of the machine after so many changes of its
// software, each the update, installation or removal of one package. collected
// is the time, in microseconds.
func (m *Machine) Snapshot(changes int, disabled []string, collected int64) (*inventory.Snapshot, error) {
	if err := m.image.prepare(); err != nil {
		return nil, err
	}
	r := newRows()
	for class, shared := range m.image.shared {
		r.classes[class] = slices.Clone(shared)
	}
	m.hardwareRows(r)
	m.ownRows(r)
	software, err := m.software(changes)
	if err != nil {
		return nil, err
	}
	r.classes[wire.ClassInstalledSoftware] = software
	for _, class := range disabled {
		delete(r.classes, class)
	}
	for _, rows := range r.classes {
		slices.SortFunc(rows, func(a, b inventory.Row) int { return rowhash.Compare(a.Hash, b.Hash) })
	}
	return &inventory.Snapshot{Classes: r.classes, CollectedAt: collected}, r.err
}

func (m *Machine) ownRows(r *rows) {
	release := m.image.release
	r.add(wire.ClassOS, wire.OS{Name: release.name, Caption: release.caption, ID: release.id, IDLike: release.idLike, Version: release.version,
		Codename: release.codename, Kernel: release.kernel, KernelVersion: release.kernelBuild, Architecture: "x86_64", LastBootUpTime: m.booted})
	for i, name := range m.people {
		number := int64(1000 + i)
		r.add(wire.ClassLocalUserAccount, wire.LocalUserAccount{Name: name, UID: number, GID: number, HomeDirectory: "/home/" + name, Shell: "/bin/bash",
			PasswordStatus: "set", LoginAllowed: true, Administrator: i == 0})
		r.add(wire.ClassLocalGroup, wire.LocalGroup{Name: name, GID: number})
	}
	r.add(wire.ClassLocalGroup, wire.LocalGroup{Name: "sudo", GID: 27, Members: m.people[0]})
}

// installed is a package of one machine that differs from its image.
type installed struct {
	updates int
	at      int64
	gone    bool
}

// software is the image's packages with what was changed on this machine.
func (m *Machine) software(changes int) ([]inventory.Row, error) {
	random := rand.New(rand.NewPCG(m.random[0], m.random[1]))
	im, names := m.image, m.image.family.names
	own := map[int]installed{}
	at := im.builtAt()
	step := func() int64 {
		at += (1 + int64(random.IntN(3*24*3600))) * 1_000_000
		return at
	}
	for range len(im.packages) * random.IntN(8) / 100 { // since it was installed
		m.change(own, random, len(names), step())
	}
	for range changes {
		m.change(own, random, len(names), step())
	}
	rows := make([]inventory.Row, 0, len(im.packages)+len(own))
	for i, place := range im.packages {
		if _, changed := own[place]; !changed {
			rows = append(rows, im.software[i])
		}
	}
	for place, p := range own {
		if p.gone {
			continue
		}
		row, err := im.packageRow(place, p.updates, p.at)
		if err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// change makes one change, always drawing the same number of random numbers.
func (m *Machine) change(own map[int]installed, random *rand.Rand, names int, at int64) {
	kind, some, other := random.IntN(100), random.IntN(len(m.image.packages)), random.IntN(names)
	place := m.image.packages[some]
	switch {
	case kind >= 96 && place >= m.image.family.base:
		own[place] = installed{updates: own[place].updates, gone: true}
	case kind >= 88:
		own[other] = installed{updates: own[other].updates, at: at}
		if _, ofImage := slices.BinarySearch(m.image.packages, other); ofImage {
			own[other] = installed{updates: own[other].updates + 1, at: at}
		}
	default:
		own[place] = installed{updates: own[place].updates + 1, at: at}
	}
}
