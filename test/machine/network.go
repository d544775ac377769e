package machine

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// Network is a bridge that machines hang on. Its methods may be called by
// several goroutines of the test.
type Network struct {
	t      testing.TB
	folder string
	bridge *holder

	mu       sync.Mutex // guards everything below
	machines []*Machine
	cut      map[[2]string]bool
}

// prefix is that of every network. They are private, so they may be equal.
var prefix = netip.MustParsePrefix("10.0.0.0/24")

// mostMachines is how many addresses the prefix has.
const mostMachines = 254

// nowhere is a hardware address that no machine has.
const nowhere = "02:00:00:00:00:00"

var validName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// NewNetwork makes a network without machines, which ends with the test.
func NewNetwork(t testing.TB) *Network {
	t.Helper()
	needRoot(t, "a network of simulated machines")
	Need(t, "iproute2", "util-linux")
	n := &Network{t: t, folder: t.TempDir(), cut: map[[2]string]bool{}}
	n.bridge = hold(t, []string{"unshare", "--net", "sh"}, `
ip link set lo up
ip link add bridge type bridge stp_state 0 forward_delay 0 mcast_snooping 0
ip link set bridge up
echo $pid
exec cat`)
	n.writeHostsLocked()
	return n
}

// Machine adds a machine. The name is its host name, by which the others find
// it: lower-case letters, digits and hyphens, and each only once in a network.
//
// File systems that are mounted later, by the test on the real machine, may not
// be visible in it: mount first.
func (n *Network) Machine(name string) *Machine {
	n.t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	if !validName.MatchString(name) || name == "localhost" {
		n.t.Fatalf("machine: the name %q is no host name: use lower-case letters, digits and hyphens", name)
	}
	for _, other := range n.machines {
		if other.name == name {
			n.t.Fatalf("machine: there is a machine %q already", name)
		}
	}
	if len(n.machines) == mostMachines {
		n.t.Fatalf("machine: a network has room for %d machines", mostMachines)
	}

	m := n.startLocked(name)
	n.machines = append(n.machines, m)
	n.writeHostsLocked()
	n.connectLocked(m)
	return m
}

// connectLocked hangs a machine on the bridge.
func (n *Network) connectLocked(m *Machine) {
	n.t.Helper()
	port := fmt.Sprintf("port%d", len(n.machines))
	n.bridge.run(n.t, fmt.Sprintf(`link add %[1]s type veth peer name eth0 netns %[2]d
link set %[1]s master bridge
link set %[1]s up
`, port, m.holder.pid), "ip", "-batch", "-")
	m.holder.run(n.t, fmt.Sprintf("address add %s/%d dev eth0\nlink set eth0 up\n", m.address, prefix.Bits()),
		"ip", "-batch", "-")
	// The kernel lets packets through some time after it was told to.
	n.awaitLocked(m.holder, "state UP", "-oneline", "link", "show", "dev", "eth0")
	n.awaitLocked(n.bridge, "state forwarding", "-oneline", "-details", "link", "show", "dev", port)
}

// patience is how often a device is asked whether it is ready, which takes
// longer than a millisecond each time; the kernel needs a second at the most.
const patience = 20_000

// awaitLocked asks ip until the answer contains want.
func (n *Network) awaitLocked(h *holder, want string, args ...string) {
	n.t.Helper()
	said := ""
	for range patience {
		if said = h.run(n.t, "", append([]string{"ip"}, args...)...); strings.Contains(said, want) {
			return
		}
	}
	n.t.Fatalf("machine: a network device does not become ready: ip %s says %q", strings.Join(args, " "), said)
}

// writeHostsLocked tells all machines the names of all. The file is changed in
// place: it is mounted into each.
func (n *Network) writeHostsLocked() {
	n.t.Helper()
	var b strings.Builder
	b.WriteString("127.0.0.1 localhost\n::1 localhost\n")
	for _, m := range n.machines {
		fmt.Fprintf(&b, "%s %s\n", m.address, m.name)
	}
	if err := os.WriteFile(n.hosts(), []byte(b.String()), 0o644); err != nil {
		n.t.Fatalf("machine: %v", err)
	}
}

func (n *Network) hosts() string { return filepath.Join(n.folder, "hosts") }

// Cut lets two machines lose each other's packets, in both directions and
// without a word, as a broken line does: connections hang, they are not
// refused. Both still reach all others.
func (n *Network) Cut(a, b *Machine) {
	n.t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cut[pair(a, b)] = true
	// Each sends what is for the other to a hardware address that nobody has.
	n.neighborLocked(a, "replace", b.address.String(), "lladdr", nowhere, "nud", "permanent")
	n.neighborLocked(b, "replace", a.address.String(), "lladdr", nowhere, "nud", "permanent")
}

// Heal ends a Cut; without one it does nothing.
func (n *Network) Heal(a, b *Machine) {
	n.t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.cut[pair(a, b)] {
		return
	}
	delete(n.cut, pair(a, b))
	n.neighborLocked(a, "delete", b.address.String())
	n.neighborLocked(b, "delete", a.address.String())
}

func (n *Network) neighborLocked(m *Machine, args ...string) {
	n.t.Helper()
	line := append(append([]string{"neighbor"}, args...), "dev", "eth0")
	m.holder.run(n.t, strings.Join(line, " ")+"\n", "ip", "-batch", "-")
}

// pair is the same for both orders and for a machine in another root.
func pair(a, b *Machine) [2]string {
	return [2]string{min(a.name, b.name), max(a.name, b.name)}
}
