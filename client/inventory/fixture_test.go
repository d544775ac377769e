package inventory

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
	"golang.org/x/tools/txtar"

	"mainstay/wire"
)

var update = flag.Bool("update", false, "write the transcripts anew")

// fixture lays out a machine from testdata; a file named "a -> b" is a link.
// more are files that cannot be written as text.
func fixture(t testing.TB, name string, more map[string][]byte) string {
	t.Helper()
	archive, err := txtar.ParseFile(filepath.Join("testdata", name+".txtar"))
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	for _, file := range archive.Files {
		link, target, isLink := strings.Cut(file.Name, " -> ")
		if isLink {
			place(t, root, link, func(at string) error { return os.Symlink(target, at) })
		} else {
			put(t, root, file.Name, file.Data)
		}
	}
	for name, data := range more {
		put(t, root, name, data)
	}
	return root
}

func put(t testing.TB, root, name string, data []byte) {
	t.Helper()
	place(t, root, name, func(at string) error { return os.WriteFile(at, data, 0o644) })
}

func place(t testing.TB, root, name string, make func(string) error) {
	t.Helper()
	at := filepath.Join(root, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(at), 0o755), make(at)); err != nil {
		t.Fatal(err)
	}
}

// collect makes a collector and lets it collect once.
func collect(t testing.TB, config Config) *Snapshot {
	t.Helper()
	c, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	s, err := c.Collect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// transcript writes a snapshot as text.
func transcript(s *Snapshot) string {
	var text strings.Builder
	for _, class := range slices.Sorted(maps.Keys(s.Classes)) {
		var rows []string
		for _, row := range s.Classes[class] {
			rows = append(rows, string(row.JSON))
		}
		slices.Sort(rows)
		fmt.Fprintf(&text, "%s\n\t%s\n", class, strings.Join(rows, "\n\t"))
	}
	for _, class := range s.Unread {
		fmt.Fprintf(&text, "unread: %s\n", class)
	}
	for _, e := range s.Errors {
		fmt.Fprintf(&text, "error: %s: %s\n", e.Class, e.Text)
	}
	return text.String()
}

func compareTranscript(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("transcript %s differs (-want +got); if that is meant, run the test with -update and review the change:\n%s", name, diff)
	}
}

// TestMachines collects whole machines of kinds that are not at hand.
func TestMachines(t *testing.T) {
	t.Parallel()
	installed := time.Date(2024, 2, 10, 8, 30, 0, 0, time.UTC)
	for _, test := range []struct {
		name   string
		more   map[string][]byte
		kernel *kernel
	}{
		{
			name: "intel",
			more: map[string][]byte{
				"sys/firmware/dmi/tables/DMI": dmiTable(),
				"sys/devices/pci0000:00/0000:00:17.0/ata1/host0/target0:0:0/0:0:0:0/block/sda/device/vpd_pg80": []byte("\x00\x80\x00\x14     WD-WCC4E1234567"),
				"sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c":                     {6, 0, 0, 0, 1},
				"usr/share/zoneinfo/Europe/Zurich":                                                             zoneFile("CET-1CEST,M3.5.0,M10.5.0/3"),
			},
			kernel: &kernel{
				machine: func() string { return "x86_64" }, dump: laptopNetwork(),
				space: func(path string) (uint64, uint64, uint64, error) {
					switch {
					case strings.HasSuffix(path, "/boot/efi"):
						return 535805952, 529530880, unix.Mkdev(259, 1), nil
					case strings.HasSuffix(path, "team files"):
						panic("a server was asked for its size")
					}
					return 502392610816, 123456789012, unix.Mkdev(253, 0), nil
				},
				units: func(context.Context) ([]unitState, error) {
					return []unitState{
						{"ssh.service", "active", "running"}, {"logrotate.service", "activating", "start"}, {"upower.service", "failed", "failed"},
						{"getty@tty1.service", "active", "running"}, {"user@1000.service", "active", "running"},
					}, nil
				},
			},
		},
		{
			name: "vm",
			more: map[string][]byte{"etc/localtime": zoneFile("<-03>3")},
			kernel: &kernel{
				hypervisor: func() string { return "KVMKVMKVM" },
				space:      func(string) (uint64, uint64, uint64, error) { return 20 << 30, 5 << 30, unix.Mkdev(0, 99), nil },
			},
		},
		{
			name: "arm64",
			more: map[string][]byte{
				"proc/device-tree/model":         []byte("Raspberry Pi 4 Model B Rev 1.4\x00"),
				"proc/device-tree/serial-number": []byte("10000000aabbccdd\x00"),
			},
			kernel: &kernel{
				machine: func() string { return "aarch64" },
				space:   func(string) (uint64, uint64, uint64, error) { return 1 << 30, 0, unix.Mkdev(8, 1), nil },
			},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			root := fixture(t, test.name, test.more)
			for _, list := range []string{"bash.list", "libc6:amd64.list"} {
				// Only one of the machines has them.
				_ = os.Chtimes(filepath.Join(root, "var/lib/dpkg/info", list), installed, installed)
			}
			s := collect(t, Config{Root: root, Now: func() time.Time { return installed }, kernel: test.kernel})
			compareTranscript(t, test.name, transcript(s))
		})
	}
}

// dmiTable is a table with two modules, an empty slot, and one of the sizes
// that need the extended field.
func dmiTable() []byte {
	module := func(size uint16, extended uint32, texts ...string) []byte {
		data := make([]byte, 0x5c)
		data[0], data[1] = 17, byte(len(data))
		binary.LittleEndian.PutUint16(data[0x0c:], size)
		binary.LittleEndian.PutUint32(data[0x1c:], extended)
		data[0x0e], data[0x12] = 13, 26
		binary.LittleEndian.PutUint16(data[0x15:], 2667)
		binary.LittleEndian.PutUint16(data[0x20:], 2400)
		for i, at := range []int{0x10, 0x11, 0x17, 0x18, 0x1a} {
			if i < len(texts) {
				data[at] = byte(i + 1)
			}
		}
		return append(append(data, strings.Join(texts, "\x00")...), 0, 0)
	}
	var table []byte
	table = append(table, 0, 24, 0, 0)
	table = append(table, make([]byte, 20)...)
	table = append(table, "Dell Inc.\x001.35.0\x00\x00"...)
	table = append(table, module(16384, 0, "DIMM A", "BANK 0", "SK Hynix", "2A3B4C5D", "HMA82GS6CJR8N-VK  ")...)
	table = append(table, module(0x7fff, 32768, "DIMM B", "BANK 2", "Samsung", "00000000", "M471A4G43MB1-CTD")...)
	table = append(table, module(0, 0, "DIMM C", "BANK 4")...)
	return append(table, 127, 4, 0xff, 0xfe, 0, 0)
}

// zoneFile is a zone that knows nothing but its rule.
func zoneFile(rule string) []byte {
	header := func() []byte {
		h := append([]byte("TZif2"), make([]byte, 15)...)
		for _, count := range []uint32{0, 0, 0, 0, 1, 4} {
			h = binary.BigEndian.AppendUint32(h, count)
		}
		return append(append(h, make([]byte, 6)...), "LMT\x00"...)
	}
	return append(append(header(), header()...), "\n"+rule+"\n"...)
}

// The kernel's answers about the network of a laptop with a container.
func laptopNetwork() func(int) ([]byte, error) {
	link := func(index uint32, hardware uint16, flags uint32, attributes ...[]byte) []byte {
		body := binary.NativeEndian.AppendUint16([]byte{0, 0}, hardware)
		body = binary.NativeEndian.AppendUint32(body, index)
		body = binary.NativeEndian.AppendUint32(body, flags)
		body = binary.NativeEndian.AppendUint32(body, 0)
		return message(syscall.RTM_NEWLINK, body, attributes...)
	}
	address := func(family, bits, scope byte, flags, index uint32, ip string) []byte {
		body := binary.NativeEndian.AppendUint32([]byte{family, bits, byte(flags), scope}, index)
		return message(syscall.RTM_NEWADDR, body, attribute(unix.IFA_ADDRESS, ipBytes(ip)), attribute(unix.IFA_FLAGS, u32(flags)))
	}
	route := func(family, bits, protocol, kind byte, attributes ...[]byte) []byte {
		return message(syscall.RTM_NEWROUTE, []byte{family, bits, 0, 0, unix.RT_TABLE_MAIN, protocol, 0, kind, 0, 0, 0, 0}, attributes...)
	}
	kind := func(name string) []byte {
		return attribute(unix.IFLA_LINKINFO, attribute(unix.IFLA_INFO_KIND, []byte(name+"\x00")))
	}
	name := func(name string) []byte { return attribute(unix.IFLA_IFNAME, []byte(name+"\x00")) }
	mtu := attribute(unix.IFLA_MTU, u32(1500))
	up := attribute(unix.IFLA_OPERSTATE, []byte{6})
	const on = unix.IFF_UP
	answers := map[int][]byte{
		syscall.RTM_GETLINK: bytes.Join([][]byte{
			link(1, unix.ARPHRD_LOOPBACK, on|unix.IFF_LOOPBACK, name("lo"), attribute(unix.IFLA_MTU, u32(65536)), attribute(unix.IFLA_ADDRESS, make([]byte, 6))),
			link(2, unix.ARPHRD_ETHER, on, name("enp0s31f6"), mtu, up, attribute(unix.IFLA_ADDRESS, []byte{0x54, 0xe1, 0xad, 1, 2, 3}), attribute(unix.IFLA_PERM_ADDRESS, []byte{0x54, 0xe1, 0xad, 1, 2, 3})),
			link(3, unix.ARPHRD_ETHER, on, name("wlp2s0"), mtu, attribute(unix.IFLA_OPERSTATE, []byte{2})),
			link(4, unix.ARPHRD_ETHER, on, name("docker0"), mtu, up, kind("bridge")),
			link(5, unix.ARPHRD_ETHER, on, name("veth12ab"), mtu, up, kind("veth"), attribute(unix.IFLA_LINK_NETNSID, u32(0)), attribute(unix.IFLA_MASTER, u32(4))),
			link(6, unix.ARPHRD_NONE, on, name("wg0"), mtu, kind("wireguard")),
		}, nil),
		syscall.RTM_GETADDR: bytes.Join([][]byte{
			address(unix.AF_INET, 8, unix.RT_SCOPE_HOST, unix.IFA_F_PERMANENT, 1, "127.0.0.1"),
			address(unix.AF_INET, 24, unix.RT_SCOPE_UNIVERSE, 0, 2, "10.20.0.57"),
			address(unix.AF_INET6, 64, unix.RT_SCOPE_UNIVERSE, unix.IFA_F_TEMPORARY, 2, "2001:db8::dead"),
			address(unix.AF_INET6, 64, unix.RT_SCOPE_UNIVERSE, unix.IFA_F_MANAGETEMPADDR, 2, "2001:db8::1:57"),
			address(unix.AF_INET6, 64, unix.RT_SCOPE_LINK, unix.IFA_F_PERMANENT, 5, "fe80::5"),
		}, nil),
		syscall.RTM_GETROUTE: bytes.Join([][]byte{
			route(unix.AF_INET, 0, unix.RTPROT_DHCP, unix.RTN_UNICAST, attribute(unix.RTA_GATEWAY, ipBytes("10.20.0.1")), attribute(unix.RTA_OIF, u32(2)), attribute(unix.RTA_PRIORITY, u32(100))),
			route(unix.AF_INET, 0, unix.RTPROT_DHCP, unix.RTN_UNICAST, attribute(unix.RTA_GATEWAY, ipBytes("10.20.0.9")), attribute(unix.RTA_OIF, u32(2)), attribute(unix.RTA_PRIORITY, u32(600))),
			route(unix.AF_INET, 24, unix.RTPROT_KERNEL, unix.RTN_UNICAST, attribute(unix.RTA_DST, ipBytes("10.20.0.0")), attribute(unix.RTA_OIF, u32(2)), attribute(unix.RTA_PREFSRC, ipBytes("10.20.0.57"))),
			route(unix.AF_INET, 32, unix.RTPROT_KERNEL, unix.RTN_LOCAL, attribute(unix.RTA_DST, ipBytes("10.20.0.57")), attribute(unix.RTA_TABLE, u32(255)), attribute(unix.RTA_OIF, u32(2))),
			route(unix.AF_INET, 24, unix.RTPROT_BGP, unix.RTN_UNICAST, attribute(unix.RTA_DST, ipBytes("203.0.113.0")), attribute(unix.RTA_OIF, u32(2))),
			route(unix.AF_INET, 16, unix.RTPROT_STATIC, unix.RTN_UNICAST, attribute(unix.RTA_DST, ipBytes("10.99.0.0")), attribute(unix.RTA_MULTIPATH, bytes.Join([][]byte{
				hop(2, "10.20.0.3"), hop(6, "10.20.0.4"),
			}, nil))),
			route(unix.AF_INET6, 0, unix.RTPROT_RA, unix.RTN_UNICAST, attribute(unix.RTA_GATEWAY, ipBytes("fe80::1")), attribute(unix.RTA_OIF, u32(2)), attribute(unix.RTA_PRIORITY, u32(1024))),
			route(unix.AF_INET6, 64, unix.RTPROT_KERNEL, unix.RTN_UNICAST, attribute(unix.RTA_DST, ipBytes("fe80::")), attribute(unix.RTA_OIF, u32(5))),
		}, nil),
	}
	return func(request int) ([]byte, error) { return answers[request], nil }
}

func message(kind uint16, body []byte, attributes ...[]byte) []byte {
	body = append(bytes.Clone(body), bytes.Join(attributes, nil)...)
	m := binary.NativeEndian.AppendUint32(nil, uint32(syscall.NLMSG_HDRLEN+len(body)))
	m = binary.NativeEndian.AppendUint16(m, kind)
	m = append(m, make([]byte, syscall.NLMSG_HDRLEN-len(m))...)
	return padded(append(m, body...))
}

func attribute(kind uint16, value []byte) []byte {
	a := binary.NativeEndian.AppendUint16(nil, uint16(4+len(value)))
	return padded(append(binary.NativeEndian.AppendUint16(a, kind), value...))
}

func hop(index uint32, gateway string) []byte {
	via := attribute(unix.RTA_GATEWAY, ipBytes(gateway))
	h := binary.NativeEndian.AppendUint16(nil, uint16(8+len(via)))
	return append(append(append(h, 0, 0), u32(index)...), via...)
}

func padded(data []byte) []byte { return append(data, make([]byte, -len(data)&3)...) }

func u32(n uint32) []byte { return binary.NativeEndian.AppendUint32(nil, n) }

func ipBytes(text string) []byte { return netip.MustParseAddr(text).AsSlice() }

// TestEveryClassIsCollected holds the table of classes against what the sources
// say they fill.
func TestEveryClassIsCollected(t *testing.T) {
	t.Parallel()
	filled := map[string]int{}
	for _, s := range allSources() {
		for _, class := range s.classes {
			filled[class]++
		}
	}
	for _, class := range wire.InventoryClasses() {
		if filled[class.Name] != 1 {
			t.Errorf("class %s is filled by %d sources, want one", class.Name, filled[class.Name])
		}
		delete(filled, class.Name)
	}
	for class := range filled {
		t.Errorf("class %s is collected and not in the table", class)
	}
}
