package inventory

import (
	"cmp"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"mainstay/wire"
)

// socket is one line of /proc/net/tcp and its like.
type socket struct {
	protocol string
	address  netip.AddrPort
	uid      uint32
	inode    uint64
}

// owner is the process that holds a socket.
type owner struct{ name, path string }

// collectPorts reads what waits for others.
func collectPorts(ctx context.Context, r *run) error {
	m := r.machine
	var sockets []socket
	for _, protocol := range []string{"tcp", "tcp6", "udp", "udp6"} {
		// A kernel without IPv6 has no file for it.
		err := m.lines("/proc/net/"+protocol, func(line []byte) bool {
			if s, ok := parseSocket(protocol, string(line)); ok {
				sockets = append(sockets, s)
			}
			return len(sockets) < wire.MaxInventoryRows
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("cannot read the sockets of %s: %w", protocol, err)
		}
	}
	low, high := m.portRange()
	sockets = slices.DeleteFunc(sockets, func(s socket) bool {
		port := s.address.Port()
		// Sockets of the kernel itself (inode 0), such as tunnels, are no
		// clients.
		return strings.HasPrefix(s.protocol, "udp") && port >= low && port <= high && s.inode != 0
	})
	owners, denied, err := m.socketOwners(ctx, sockets)
	if err != nil {
		return err
	}
	users := m.userNames()
	for _, s := range sockets {
		o, found := owners[s.inode]
		if !found && denied && s.inode != 0 {
			o = owner{name: wire.NeedsRoot, path: wire.NeedsRoot}
		}
		r.add(wire.ClassListeningPort, &wire.ListeningPort{
			Protocol: s.protocol, LocalAddress: s.address.Addr().String(), LocalPort: uint64(s.address.Port()),
			ProcessName: o.name, Path: o.path, UserName: nameOf(users, s.uid),
		})
	}
	return nil
}

// parseSocket reads a line of a socket that listens (tcp) or is bound without
// a peer (udp).
func parseSocket(protocol, line string) (socket, bool) {
	f := strings.Fields(line)
	if len(f) < 10 {
		return socket{}, false
	}
	const listening, unconnected = "0A", "07"
	want := listening
	if strings.HasPrefix(protocol, "udp") {
		want = unconnected
	}
	local, localOK := parseEndpoint(f[1])
	remote, remoteOK := parseEndpoint(f[2])
	uid, uidErr := strconv.ParseUint(f[7], 10, 32)
	inode, inodeErr := strconv.ParseUint(f[9], 10, 64)
	if f[3] != want || !localOK || !remoteOK || remote.Port() != 0 || uidErr != nil || inodeErr != nil {
		return socket{}, false
	}
	return socket{protocol: protocol, address: local, uid: uint32(uid), inode: inode}, true
}

// parseEndpoint reads address:port in hex, the address as words of 32 bits in
// the order of the machine.
func parseEndpoint(text string) (netip.AddrPort, bool) {
	host, portText, ok := strings.Cut(text, ":")
	port, err := strconv.ParseUint(portText, 16, 16)
	if !ok || err != nil {
		return netip.AddrPort{}, false
	}
	raw, err := hex.DecodeString(host)
	if err != nil || len(raw) != 4 && len(raw) != 16 {
		return netip.AddrPort{}, false
	}
	for i := 0; i < len(raw); i += 4 {
		binary.NativeEndian.PutUint32(raw[i:], binary.BigEndian.Uint32(raw[i:]))
	}
	address, _ := netip.AddrFromSlice(raw)
	return netip.AddrPortFrom(address, uint16(port)), true
}

// portRange is the range from which the kernel gives ports to clients.
func (m machine) portRange() (low, high uint16) {
	fields := strings.Fields(m.text("/proc/sys/net/ipv4/ip_local_port_range"))
	if len(fields) == 2 {
		first, err1 := strconv.ParseUint(fields[0], 10, 16)
		last, err2 := strconv.ParseUint(fields[1], 10, 16)
		if err1 == nil && err2 == nil {
			return uint16(first), uint16(last)
		}
	}
	return 32768, 60999
}

// socketOwners finds the processes that hold the sockets, the one with the
// lowest number where several share one, and stops when all are found. denied
// tells that some processes could not be looked into.
func (m machine) socketOwners(ctx context.Context, sockets []socket) (owners map[uint64]owner, denied bool, err error) {
	missing := map[uint64]bool{}
	for _, s := range sockets {
		if s.inode != 0 {
			missing[s.inode] = true
		}
	}
	owners = map[uint64]owner{}
	for _, pid := range m.processes() {
		if len(missing) == 0 {
			break
		}
		if err := ctx.Err(); err != nil {
			return nil, denied, err
		}
		folder := "/proc/" + strconv.Itoa(pid)
		inodes, err := m.socketsOf(folder, missing)
		denied = denied || errors.Is(err, fs.ErrPermission)
		for _, inode := range inodes {
			if missing[inode] {
				delete(missing, inode)
				owners[inode] = owner{name: m.text(folder + "/comm"), path: clean(strings.TrimSuffix(m.link(folder+"/exe"), " (deleted)"), maxText)}
			}
		}
	}
	return owners, denied, nil
}

// processes lists the numbers of the processes, from the lowest.
func (m machine) processes() []int {
	var pids []int
	for _, name := range m.names("/proc") {
		if digits(name) {
			if pid, err := strconv.Atoi(name); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	slices.SortFunc(pids, cmp.Compare[int])
	return pids
}

// socketsOf lists the wanted sockets that a process holds. The error tells why
// it cannot be looked into: it has ended, or belongs to somebody else.
func (m machine) socketsOf(folder string, wanted map[uint64]bool) ([]uint64, error) {
	dir, err := os.Open(m.path(folder + "/fd"))
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	descriptors, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	var found []uint64
	var buffer [64]byte
	for _, descriptor := range descriptors {
		n, err := unix.Readlinkat(int(dir.Fd()), path.Base(descriptor), buffer[:])
		if err != nil {
			continue
		}
		number, ok := strings.CutPrefix(string(buffer[:n]), "socket:[")
		if !ok {
			continue
		}
		inode, err := strconv.ParseUint(strings.TrimSuffix(number, "]"), 10, 64)
		if err == nil && wanted[inode] {
			found = append(found, inode)
		}
	}
	return found, nil
}
