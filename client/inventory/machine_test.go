package inventory

import (
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mainstay/wire"
)

// The tests of this file compare what is collected of the machine they run on
// with what its own tools say. Only these tests start programs.

// tool runs a program of the system; missing, it fails with the package to
// install.
func tool(t *testing.T, debianPackage, name string, arguments ...string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		// Administrators' programs may not be in the path of a user.
		if path, err = exec.LookPath("/usr/sbin/" + name); err != nil {
			t.Fatalf("%s is needed to compare with; install the package %s", name, debianPackage)
		}
	}
	command := exec.Command(path, arguments...)
	command.Env = append(os.Environ(), "LC_ALL=C")
	out, err := command.Output()
	if err != nil {
		t.Fatalf("%s %q: %v", name, arguments, err)
	}
	return string(out)
}

// here collects classes of this machine while a tool says the same before and
// after, so that what changes on the machine meanwhile does not disturb.
func here(t *testing.T, ask func() string) (string, *Snapshot) {
	t.Helper()
	for range 20 {
		before := ask()
		s := collect(t, Config{})
		if len(s.Unread) > 0 {
			t.Fatalf("unread: %q, errors %+v", s.Unread, s.Errors)
		}
		if after := ask(); after == before {
			return after, s
		}
	}
	t.Fatal("the machine changes all the time")
	return "", nil
}

func rowsOf[T any](t *testing.T, s *Snapshot, class string) []T {
	t.Helper()
	var all []T
	for _, row := range s.Classes[class] {
		var one T
		if err := json.Unmarshal(row.JSON, &one); err != nil {
			t.Fatal(err)
		}
		all = append(all, one)
	}
	return all
}

func compareSets(t *testing.T, what string, want, got []string) {
	t.Helper()
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(slices.Compact(want), slices.Compact(got)); diff != "" {
		t.Errorf("%s (-tool +collected):\n%s", what, diff)
	}
}

func fromJSON[T any](t *testing.T, text string) T {
	t.Helper()
	var v T
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v: %.200s", err, text)
	}
	return v
}

func TestProcessorIsThatOfLscpu(t *testing.T) {
	t.Parallel()
	text, s := here(t, func() string { return tool(t, "util-linux", "lscpu") })
	said := map[string]string{}
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(line, ":")
		said[strings.TrimSpace(name)] = strings.TrimSpace(value)
	}
	number := func(name string) uint64 {
		n, err := strconv.ParseUint(said[name], 10, 64)
		if err != nil {
			t.Errorf("lscpu says %q of %s", said[name], name)
		}
		return n
	}
	processors := rowsOf[wire.Processor](t, s, wire.ClassProcessor)
	var threads, cores uint64
	for _, p := range processors {
		threads += p.NumberOfLogicalProcessors
		cores += p.NumberOfCores
		if runtime.GOARCH == "amd64" && (p.Name != said["Model name"] || p.Manufacturer != said["Vendor ID"] || p.Family != said["CPU family"] || p.Model != said["Model"] || p.Stepping != said["Stepping"]) {
			t.Errorf("got %+v, lscpu says %v", p, said)
		}
		if p.Architecture != said["Architecture"] {
			t.Errorf("architecture %q, lscpu says %q", p.Architecture, said["Architecture"])
		}
	}
	if online := uint64(len(parseCPUList(said["On-line CPU(s) list"]))); threads != online {
		t.Errorf("%d threads, lscpu says %d are online", threads, online)
	}
	if sockets := number("Socket(s)"); uint64(len(processors)) != sockets || cores != sockets*number("Core(s) per socket") {
		t.Errorf("%d packages with %d cores, lscpu says %s and %s each", len(processors), cores, said["Socket(s)"], said["Core(s) per socket"])
	}
	computer := rowsOf[wire.ComputerSystem](t, s, wire.ClassComputerSystem)[0]
	if computer.NumberOfLogicalProcessors != threads || computer.SystemType != said["Architecture"] {
		t.Errorf("got %+v, lscpu says %v", computer, said)
	}
	machine := rowsOf[wire.Virtualization](t, s, wire.ClassVirtualization)[0]
	if vendor := strings.ToLower(said["Hypervisor vendor"]); machine.Hypervisor != vendor && vendor != "" {
		t.Errorf("hypervisor %q, lscpu says %q", machine.Hypervisor, vendor)
	}
	if machine.Hypervisor != "" && runtime.GOARCH == "amd64" && said["Hypervisor vendor"] == "" {
		t.Errorf("hypervisor %q, lscpu sees none", machine.Hypervisor)
	}
	for level, p := range map[string]uint64{"L2 cache": sum(processors, func(p wire.Processor) uint64 { return p.L2CacheSize }), "L3 cache": sum(processors, func(p wire.Processor) uint64 { return p.L3CacheSize })} {
		if text, ok := said[level]; ok && !strings.HasPrefix(text, binarySize(p)) {
			t.Errorf("%s %d, lscpu says %s", level, p, text)
		}
	}
}

func sum[T any](all []T, of func(T) uint64) uint64 {
	var total uint64
	for _, one := range all {
		total += of(one)
	}
	return total
}

// binarySize writes a size as lscpu does.
func binarySize(n uint64) string {
	for _, unit := range []struct {
		size uint64
		name string
	}{{1 << 30, "GiB"}, {1 << 20, "MiB"}, {1 << 10, "KiB"}} {
		if n >= unit.size {
			return strings.TrimSuffix(strconv.FormatFloat(float64(n)/float64(unit.size), 'f', 1, 64), ".0") + " " + unit.name
		}
	}
	return fmt.Sprint(n)
}

func TestMemoryIsThatOfFree(t *testing.T) {
	t.Parallel()
	text, s := here(t, func() string {
		// Only the totals, since the rest changes all the time.
		var totals []string
		for line := range strings.Lines(tool(t, "procps", "free", "-b")) {
			if f := strings.Fields(line); len(f) > 1 && strings.HasSuffix(f[0], ":") {
				totals = append(totals, f[0]+f[1])
			}
		}
		return strings.Join(totals, " ")
	})
	memory := rowsOf[wire.Memory](t, s, wire.ClassMemory)[0]
	if want := fmt.Sprintf("Mem:%d Swap:%d", memory.TotalPhysicalMemory, memory.TotalPageFileSpace); text != want {
		t.Errorf("got %q, free says %q", want, text)
	}
}

func TestDisksAreThoseOfLsblk(t *testing.T) {
	t.Parallel()
	type device struct {
		Name, Type, Path string
		Size             uint64
		RO               bool
		Start            *uint64
		Mountpoints      []*string
		Children         []device
	}
	text, s := here(t, func() string {
		return tool(t, "util-linux", "lsblk", "--json", "--bytes", "-o", "NAME,TYPE,PATH,SIZE,RO,START,MOUNTPOINTS")
	})
	var disks, parts, mounts []string
	var visit func(devices []device)
	visit = func(devices []device) {
		for _, d := range devices {
			// What the kernel makes out of other things is no physical disk.
			link, err := os.Readlink("/sys/class/block/" + d.Name)
			if err != nil {
				t.Fatal(err)
			}
			virtual := strings.Contains(link, "/virtual/") && !strings.HasPrefix(d.Name, "nvme")
			switch {
			case (d.Type == "disk" || d.Type == "rom") && !virtual:
				disks = append(disks, fmt.Sprint(d.Name, " ", d.Size, " ", d.RO))
			case d.Type == "part" && !virtual && d.Start != nil:
				parts = append(parts, fmt.Sprint(d.Name, " ", d.Size, " ", *d.Start*sector, " ", d.RO))
			}
			for _, point := range d.Mountpoints {
				if point != nil && *point != "[SWAP]" {
					mounts = append(mounts, d.Path)
				}
			}
			visit(d.Children)
		}
	}
	visit(fromJSON[struct{ Blockdevices []device }](t, text).Blockdevices)
	var gotDisks, gotParts, gotMounts []string
	for _, d := range rowsOf[wire.PhysicalDisk](t, s, wire.ClassPhysicalDisk) {
		gotDisks = append(gotDisks, fmt.Sprint(d.Name, " ", d.Size, " ", d.ReadOnly))
	}
	for _, p := range rowsOf[wire.Partition](t, s, wire.ClassPartition) {
		gotParts = append(gotParts, fmt.Sprint(p.Name, " ", p.Size, " ", p.StartingOffset, " ", p.ReadOnly))
	}
	for _, l := range rowsOf[wire.LogicalDisk](t, s, wire.ClassLogicalDisk) {
		if strings.HasPrefix(l.Name, "/dev/") {
			gotMounts = append(gotMounts, l.Name)
		}
		if l.Size != nil && (*l.FreeSpace > *l.Size || *l.Size == 0) {
			t.Errorf("%s: %d of %d free", l.DeviceID, *l.FreeSpace, *l.Size)
		}
	}
	compareSets(t, "disks", disks, gotDisks)
	compareSets(t, "partitions", parts, gotParts)
	// Images that are software are mounted too, and are no disks.
	mounts = slices.DeleteFunc(mounts, func(path string) bool { return strings.HasPrefix(path, "/dev/loop") })
	gotMounts = slices.DeleteFunc(gotMounts, func(path string) bool { return strings.HasPrefix(path, "/dev/loop") })
	compareSets(t, "mounted devices", mounts, gotMounts)
}

func TestNetworkIsThatOfIP(t *testing.T) {
	t.Parallel()
	type link struct {
		Ifname, Address, Operstate, Master string
		MTU                                uint64
		Flags                              []string
		LinkNetnsid                        *int `json:"link_netnsid"`
		Linkinfo                           struct {
			InfoKind string `json:"info_kind"`
		}
		AddrInfo []struct {
			Family, Local, Scope          string
			Prefixlen                     uint64
			Dynamic, Temporary, Tentative bool
		} `json:"addr_info"`
	}
	type route struct {
		Dst, Gateway, Dev, Protocol, Prefsrc, Type string
		Metric                                     uint64
		Nexthops                                   []struct{ Gateway, Dev string }
	}
	parts := func() []string {
		return []string{
			tool(t, "iproute2", "ip", "-json", "-details", "link"), tool(t, "iproute2", "ip", "-json", "addr"),
			tool(t, "iproute2", "ip", "-json", "-4", "route"), tool(t, "iproute2", "ip", "-json", "-6", "route"),
		}
	}
	// Lifetimes run down while one looks.
	text, s := here(t, func() string {
		var steady []string
		for line := range strings.SplitSeq(strings.Join(parts(), "\n"), ",") {
			if !strings.Contains(line, "life_time") && !strings.Contains(line, "expires") && !strings.Contains(line, "gc_") {
				steady = append(steady, line)
			}
		}
		return strings.Join(steady, ",")
	})
	_ = text
	said := parts()
	listed := map[string]bool{}
	var adapters, gotAdapters []string
	for _, l := range rowsOf[wire.NetworkAdapter](t, s, wire.ClassNetworkAdapter) {
		listed[l.Name] = true
		gotAdapters = append(gotAdapters, fmt.Sprintf("%s %s %d %s %s", l.Name, l.MACAddress, l.MTU, l.NetConnectionStatus, l.Master))
	}
	for _, l := range fromJSON[[]link](t, said[0]) {
		if l.Ifname == "" || l.Linkinfo.InfoKind == "veth" && l.LinkNetnsid != nil && !listed[l.Ifname] {
			continue
		}
		state := strings.ToLower(strings.ReplaceAll(l.Operstate, "LOWERLAYERDOWN", "lower layer down"))
		if state == "unknown" {
			state = map[bool]string{true: "up", false: "down"}[slices.Contains(l.Flags, "UP")]
		}
		mac := l.Address
		if strings.Trim(mac, "0:") == "" {
			mac = ""
		}
		adapters = append(adapters, fmt.Sprintf("%s %s %d %s %s", l.Ifname, mac, l.MTU, state, l.Master))
	}
	compareSets(t, "adapters", adapters, gotAdapters)

	var addresses, gotAddresses []string
	for _, l := range fromJSON[[]link](t, said[1]) {
		for _, a := range l.AddrInfo {
			if listed[l.Ifname] && !a.Temporary {
				addresses = append(addresses, fmt.Sprintf("%s %s/%d %s %v", l.Ifname, a.Local, a.Prefixlen, a.Scope, a.Dynamic))
			}
		}
	}
	for _, a := range rowsOf[wire.NetworkAdapterConfiguration](t, s, wire.ClassNetworkAdapterConfiguration) {
		gotAddresses = append(gotAddresses, fmt.Sprintf("%s %s/%d %s %v", a.Interface, a.Address, a.PrefixLength, a.Scope, a.Dynamic))
	}
	compareSets(t, "addresses", addresses, gotAddresses)

	var routes, gotRoutes []string
	for i, text := range said[2:] {
		for _, r := range fromJSON[[]route](t, text) {
			if r.Type != "" && r.Type != "unicast" || r.Dev != "" && !listed[r.Dev] || len(r.Nexthops) > 0 {
				continue
			}
			if r.Dst == "default" {
				r.Dst = []string{"0.0.0.0/0", "::/0"}[i]
			} else if !strings.Contains(r.Dst, "/") {
				r.Dst += []string{"/32", "/128"}[i]
			}
			routes = append(routes, fmt.Sprintf("%s via %q dev %s metric %d src %q", r.Dst, r.Gateway, r.Dev, r.Metric, r.Prefsrc))
		}
	}
	for _, r := range rowsOf[wire.Route](t, s, wire.ClassRoute) {
		gotRoutes = append(gotRoutes, fmt.Sprintf("%s via %q dev %s metric %d src %q", r.Destination, r.Gateway, r.Interface, r.Metric, r.Source))
	}
	compareSets(t, "routes", routes, gotRoutes)
}

func TestSoftwareIsThatOfDpkg(t *testing.T) {
	t.Parallel()
	text, s := here(t, func() string {
		return tool(t, "dpkg", "dpkg-query", "-W", "-f", "${Package}|${Version}|${Architecture}|${db:Status-Status}|${Installed-Size}|${binary:Summary}|${Maintainer}|${source:Package}\n")
	})
	var want, got []string
	for line := range strings.Lines(text) {
		if f := strings.SplitN(strings.TrimSuffix(line, "\n"), "|", 8); f[3] != "not-installed" && f[3] != "config-files" {
			for i := range f {
				f[i] = strings.TrimSpace(f[i])
			}
			want = append(want, strings.Join(f, "|"))
		}
	}
	for _, p := range rowsOf[wire.InstalledSoftware](t, s, wire.ClassInstalledSoftware) {
		if p.Source != "dpkg" {
			continue
		}
		size := ""
		if p.InstalledSize > 0 {
			size = strconv.FormatUint(p.InstalledSize>>10, 10)
		}
		got = append(got, strings.Join([]string{p.Name, p.Version, p.Architecture, p.Status, size, p.DisplayName, p.Publisher, first(p.SourcePackage, p.Name)}, "|"))
		if p.InstallTime == 0 {
			t.Errorf("%s has no time of installation", p.Name)
		}
	}
	// dpkg-query says 0 of packages that only depend on others.
	for i := range want {
		want[i] = strings.Replace(want[i], "|0|", "||", 1)
	}
	compareSets(t, "packages", want, got)
}

func TestSystemIsThatOfUname(t *testing.T) {
	t.Parallel()
	text, s := here(t, func() string { return tool(t, "coreutils", "uname", "-nrvm") })
	system, computer := rowsOf[wire.OS](t, s, wire.ClassOS)[0], rowsOf[wire.ComputerSystem](t, s, wire.ClassComputerSystem)[0]
	if got := strings.Join([]string{computer.Name, system.Kernel, system.KernelVersion, system.Architecture}, " "); got != strings.TrimSpace(text) {
		t.Errorf("got %q, uname says %q", got, text)
	}
	if system.LastBootUpTime <= 0 || system.Name == "" || system.Caption == "" {
		t.Errorf("got %+v", system)
	}
}

// Where systemd is installed, running or not, its own command reads the same
// unit files.
func TestServicesAreThoseOfSystemctl(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("systemctl"); err != nil {
		return // nothing to compare with on a machine of another kind
	}
	text, s := here(t, func() string {
		return tool(t, "systemd", "systemctl", "--root=/", "list-unit-files", "--type=service", "--no-legend", "--no-pager")
	})
	want := map[string]string{}
	for line := range strings.Lines(text) {
		if f := strings.Fields(line); len(f) >= 2 && !strings.Contains(f[0], "@.") && f[1] != "alias" && f[1] != "bad" {
			want[strings.TrimSuffix(f[0], ".service")] = f[1]
		}
	}
	got := map[string]string{}
	for _, service := range rowsOf[wire.Service](t, s, wire.ClassService) {
		// The command lists instances only where they are files.
		if _, ok := want[service.Name]; ok || !strings.Contains(service.Name, "@") {
			got[service.Name] = service.StartMode
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("services (-systemctl +collected):\n%s", diff)
	}
}

func TestOwnListenerIsListed(t *testing.T) {
	t.Parallel()
	tcp, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	port := uint64(tcp.Addr().(*net.TCPAddr).Port)
	var found []wire.ListeningPort
	for _, p := range rowsOf[wire.ListeningPort](t, collect(t, Config{}), wire.ClassListeningPort) {
		if p.Protocol == "tcp" && p.LocalPort == port {
			found = append(found, p)
		}
	}
	// The kernel keeps fifteen characters of the name.
	name := filepath.Base(program)[:min(len(filepath.Base(program)), 15)]
	if len(found) != 1 || found[0].Path != program || found[0].ProcessName != name || found[0].LocalAddress != "127.0.0.1" {
		t.Errorf("got %+v, want port %d of %s", found, port, program)
	}
}

// TestSecondCollectionIsQuiet holds that nothing moves by itself. Ports and
// what others do on the machine are left aside.
func TestSecondCollectionIsQuiet(t *testing.T) {
	t.Parallel()
	c, err := New(Config{Disabled: []string{wire.ClassListeningPort, wire.ClassNetworkAdapter, wire.ClassNetworkAdapterConfiguration, wire.ClassRoute, wire.ClassLogicalDisk, wire.ClassInstalledSoftware}})
	if err != nil {
		t.Fatal(err)
	}
	_, base := Full(mustCollect(t, c))
	report, _ := Diff(base, mustCollect(t, c))
	if len(report.Classes) != 0 {
		t.Errorf("changed between two collections: %q", slices.Sorted(maps.Keys(report.Classes)))
	}
}
