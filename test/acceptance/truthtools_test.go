package acceptance

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"mainstay/wire"
)

// ask runs a tool of the machine and returns its first line, or all of it.
func ask(t testing.TB, name string, args ...string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		// Administrators' programs may not be in the path of a user.
		if path, err = exec.LookPath(filepath.Join("/usr/sbin", name)); err != nil {
			t.Fatalf("%s is needed to compare with; 'make test-packages' installs what the tests call", name)
		}
	}
	cmd := exec.Command(path, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %q: %v", name, args, err)
	}
	return strings.TrimRight(string(out), "\n")
}

func askJSON[T any](t testing.TB, name string, args ...string) T {
	t.Helper()
	var value T
	if err := json.Unmarshal([]byte(ask(t, name, args...)), &value); err != nil {
		t.Fatalf("%s %q: %v", name, args, err)
	}
	return value
}

// told is everything that the tools say.
func told(t testing.TB) facts {
	t.Helper()
	f := facts{}
	for _, tell := range []func(testing.TB, facts){
		tellSystem, tellProcessor, tellMemory, tellDisks, tellLinks, tellRoutes, tellSoftware, tellAccounts, tellModules, tellServices, tellZone,
	} {
		tell(t, f)
	}
	return f
}

// release is /etc/os-release as a shell reads it.
func release(t testing.TB) map[string]string {
	t.Helper()
	values := map[string]string{}
	for _, name := range []string{"NAME", "PRETTY_NAME", "ID", "ID_LIKE", "VERSION_ID", "VERSION_CODENAME", "VARIANT", "BUILD_ID", "SUPPORT_END"} {
		values[name] = ask(t, "env", "-i", "sh", "-c", ". /etc/os-release; printf %s \"$"+name+"\"")
	}
	return values
}

// bootTime is the fact that is compared with a tolerance.
const bootTime = "OS[].LastBootUpTime"

func tellSystem(t testing.TB, f facts) {
	values := release(t)
	if version, err := os.ReadFile("/etc/debian_version"); err == nil && values["BUILD_ID"] == "" && values["ID"] == "debian" {
		values["BUILD_ID"] = strings.TrimSpace(string(version))
	}
	f[bootTime] = ask(t, "date", "-d", ask(t, "uptime", "-s"), "+%s") + "000000"
	for column, name := range map[string]string{
		"Name": "NAME", "Caption": "PRETTY_NAME", "ID": "ID", "IDLike": "ID_LIKE", "Version": "VERSION_ID",
		"Codename": "VERSION_CODENAME", "Variant": "VARIANT", "BuildID": "BUILD_ID", "SupportEnd": "SUPPORT_END",
	} {
		f.say(wire.ClassOS, "", column, values[name])
	}
	f.say(wire.ClassOS, "", "Kernel", ask(t, "uname", "-r"))
	f.say(wire.ClassOS, "", "KernelVersion", ask(t, "uname", "-v"))
	f.say(wire.ClassOS, "", "Architecture", ask(t, "uname", "-m"))
	f.say(wire.ClassComputerSystem, "", "SystemType", ask(t, "uname", "-m"))
	f.say(wire.ClassComputerSystem, "", "Name", ask(t, "hostname"))
}

func tellProcessor(t testing.TB, f facts) {
	said := map[string]string{}
	for line := range strings.Lines(ask(t, "lscpu", "-B")) {
		name, value, _ := strings.Cut(line, ":")
		said[strings.TrimSpace(name)] = strings.TrimSpace(value)
	}
	number := func(name string) int64 {
		digits, _, _ := strings.Cut(said[name], " ")
		n, err := strconv.ParseInt(digits, 10, 64)
		if err != nil && said[name] != "" {
			t.Fatalf("lscpu says %q of %s", said[name], name)
		}
		return n
	}
	sockets := number("Socket(s)")
	online := strings.Count(ask(t, "lscpu", "-p=CPU"), "\n") - 3 // four lines of comment
	f.set(wire.ClassComputerSystem, "", "NumberOfProcessors", sockets)
	f.set(wire.ClassComputerSystem, "", "NumberOfLogicalProcessors", online)
	for socket := range sockets {
		key := fmt.Sprintf("CPU%d", socket)
		f.say(wire.ClassProcessor, key, "Architecture", said["Architecture"])
		f.set(wire.ClassProcessor, key, "NumberOfCores", number("Core(s) per socket"))
		f.set(wire.ClassProcessor, key, "NumberOfLogicalProcessors", int64(online)/sockets)
		for column, name := range map[string]string{"L2CacheSize": "L2", "L3CacheSize": "L3"} {
			for _, label := range []string{name, name + " cache"} {
				if n := number(label); n > 0 {
					f.set(wire.ClassProcessor, key, column, n/sockets)
				}
			}
		}
		if runtime.GOARCH == "amd64" {
			for column, name := range map[string]string{"Name": "Model name", "Manufacturer": "Vendor ID", "Family": "CPU family", "Model": "Model", "Stepping": "Stepping"} {
				f.say(wire.ClassProcessor, key, column, said[name])
			}
		}
	}
	f.say(wire.ClassVirtualization, "", "Hypervisor", strings.ToLower(said["Hypervisor vendor"]))
}

func tellMemory(t testing.TB, f facts) {
	for line := range strings.Lines(ask(t, "free", "-b")) {
		switch fields := strings.Fields(line); fields[0] {
		case "Mem:":
			f.set(wire.ClassMemory, "", "TotalPhysicalMemory", fields[1])
			f.set(wire.ClassComputerSystem, "", "TotalPhysicalMemory", fields[1])
		case "Swap:":
			f.set(wire.ClassMemory, "", "TotalPageFileSpace", fields[1])
		}
	}
}

type blockDevice struct {
	Name, Type, Path, Model, Vendor, Rev, Wwn, Pkname string
	Size                                              uint64
	RO, RM                                            bool
	Start                                             *uint64
	LogSec                                            uint64 `json:"log-sec"`
	PhySec                                            uint64 `json:"phy-sec"`
	Children                                          []blockDevice
}

func tellDisks(t testing.TB, f facts) {
	var tell func(devices []blockDevice)
	tell = func(devices []blockDevice) {
		for _, d := range devices {
			// What the kernel makes out of other things is no physical disk.
			link, err := os.Readlink("/sys/class/block/" + d.Name)
			if err != nil || strings.Contains(link, "/virtual/") && !strings.HasPrefix(d.Name, "nvme") {
				continue
			}
			switch {
			case d.Type == "disk" || d.Type == "rom":
				f.set(wire.ClassPhysicalDisk, d.Name, "Size", d.Size)
				f.set(wire.ClassPhysicalDisk, d.Name, "ReadOnly", d.RO)
				f.set(wire.ClassPhysicalDisk, d.Name, "Removable", d.RM)
				f.set(wire.ClassPhysicalDisk, d.Name, "LogicalSectorSize", d.LogSec)
				f.set(wire.ClassPhysicalDisk, d.Name, "PhysicalSectorSize", d.PhySec)
				f.say(wire.ClassPhysicalDisk, d.Name, "Model", strings.TrimSpace(d.Model))
				if !strings.HasPrefix(d.Vendor, "0x") { // a number of virtio is no name
					f.say(wire.ClassPhysicalDisk, d.Name, "Manufacturer", strings.TrimSpace(d.Vendor))
				}
				f.say(wire.ClassPhysicalDisk, d.Name, "FirmwareRevision", strings.TrimSpace(d.Rev))
				f.say(wire.ClassPhysicalDisk, d.Name, "WWN", d.Wwn)
			case d.Type == "part" && d.Start != nil:
				f.set(wire.ClassPartition, d.Name, "DiskName", d.Pkname)
				f.set(wire.ClassPartition, d.Name, "StartingOffset", *d.Start*512)
				f.set(wire.ClassPartition, d.Name, "Size", d.Size)
				f.set(wire.ClassPartition, d.Name, "ReadOnly", d.RO)
			}
			tell(d.Children)
		}
	}
	tell(askJSON[struct{ Blockdevices []blockDevice }](t, "lsblk", "--json", "--bytes", "-o",
		"NAME,TYPE,PATH,SIZE,RO,RM,START,MODEL,VENDOR,REV,WWN,PKNAME,LOG-SEC,PHY-SEC").Blockdevices)
	// Of mounted file systems the root is one on every machine.
	lines := strings.Split(ask(t, "df", "-B1", "--output=source,fstype,size", "/"), "\n")
	fields := strings.Fields(lines[len(lines)-1])
	if strings.HasPrefix(fields[0], "/dev/") && fields[0] != "/dev/root" {
		f.set(wire.ClassLogicalDisk, "/", "Name", fields[0])
		f.set(wire.ClassLogicalDisk, "/", "FileSystem", fields[1])
		f.set(wire.ClassLogicalDisk, "/", "Size", fields[2])
	}
}

func tellLinks(t testing.TB, f facts) {
	type link struct {
		Ifname, Address, Operstate, Master string
		MTU                                uint64
		Flags                              []string
		LinkNetnsid                        *int `json:"link_netnsid"`
		AddrInfo                           []struct {
			Family, Local, Scope string
			Prefixlen            uint64
			Dynamic, Temporary   bool
		} `json:"addr_info"`
	}
	for _, l := range askJSON[[]link](t, "ip", "-json", "-details", "addr") {
		if l.Ifname == "" || l.LinkNetnsid != nil {
			continue // the end of a pair that leads elsewhere
		}
		state := strings.ToLower(strings.ReplaceAll(l.Operstate, "LOWERLAYERDOWN", "lower layer down"))
		if state == "unknown" {
			state = "down"
			for _, flag := range l.Flags {
				if flag == "UP" {
					state = "up"
				}
			}
		}
		mac := l.Address
		if strings.Trim(mac, "0:") == "" {
			mac = ""
		}
		f.set(wire.ClassNetworkAdapter, l.Ifname, "MTU", l.MTU)
		f.set(wire.ClassNetworkAdapter, l.Ifname, "NetConnectionStatus", state)
		f.say(wire.ClassNetworkAdapter, l.Ifname, "MACAddress", mac)
		f.say(wire.ClassNetworkAdapter, l.Ifname, "Master", l.Master)
		for _, a := range l.AddrInfo {
			if a.Temporary {
				continue
			}
			key := fmt.Sprintf("%s/%s/%d", l.Ifname, a.Local, a.Prefixlen)
			f.set(wire.ClassNetworkAdapterConfiguration, key, "Family", map[string]string{"inet": "ipv4", "inet6": "ipv6"}[a.Family])
			f.set(wire.ClassNetworkAdapterConfiguration, key, "Scope", a.Scope)
			f.set(wire.ClassNetworkAdapterConfiguration, key, "Dynamic", a.Dynamic)
			f.set(wire.ClassNetworkAdapterConfiguration, key, "MTU", l.MTU)
			f.say(wire.ClassNetworkAdapterConfiguration, key, "MACAddress", mac)
		}
	}
}

func tellRoutes(t testing.TB, f facts) {
	type route struct {
		Dst, Gateway, Dev, Protocol, Prefsrc, Type string
		Metric                                     uint64
		Nexthops                                   []struct{ Gateway, Dev string }
	}
	for family, flag := range map[string]string{"ipv4": "-4", "ipv6": "-6"} {
		for _, r := range askJSON[[]route](t, "ip", "-json", flag, "route") {
			if r.Type != "" && r.Type != "unicast" || len(r.Nexthops) > 0 {
				continue
			}
			switch {
			case r.Dst == "default":
				r.Dst = map[string]string{"ipv4": "0.0.0.0/0", "ipv6": "::/0"}[family]
			case !strings.Contains(r.Dst, "/"):
				r.Dst += map[string]string{"ipv4": "/32", "ipv6": "/128"}[family]
			}
			gateway := r.Gateway
			if gateway == "" {
				gateway = "<nil>" // no value is a part of the key too
			}
			key := fmt.Sprintf("%s/%s/%s/%d", r.Dst, gateway, r.Dev, r.Metric)
			f.set(wire.ClassRoute, key, "Family", family)
			f.say(wire.ClassRoute, key, "Source", r.Prefsrc)
			protocol := r.Protocol
			if protocol == "" {
				protocol = "boot"
			}
			f.set(wire.ClassRoute, key, "Protocol", protocol)
		}
	}
}

func tellSoftware(t testing.TB, f facts) {
	const form = "${Package}|${Version}|${Architecture}|${db:Status-Status}|${Installed-Size}|${binary:Summary}|${Maintainer}|${source:Package}|${db:Status-Want}\n"
	for line := range strings.Lines(ask(t, "dpkg-query", "-W", "-f", form)) {
		p := strings.Split(strings.TrimRight(line, "\n"), "|")
		if len(p) < 9 || p[3] == "not-installed" || p[3] == "config-files" {
			continue
		}
		key := p[0] + "/" + p[2] + "/dpkg/" + p[1]
		f.set(wire.ClassInstalledSoftware, key, "Status", p[3])
		f.set(wire.ClassInstalledSoftware, key, "Held", p[8] == "hold")
		f.say(wire.ClassInstalledSoftware, key, "DisplayName", strings.TrimSpace(p[5]))
		f.say(wire.ClassInstalledSoftware, key, "Publisher", strings.TrimSpace(p[6]))
		if p[7] != p[0] {
			f.say(wire.ClassInstalledSoftware, key, "SourcePackage", p[7])
		}
		if kib, err := strconv.ParseUint(p[4], 10, 64); err == nil && kib > 0 {
			f.set(wire.ClassInstalledSoftware, key, "InstalledSize", kib<<10)
		}
	}
}

func tellAccounts(t testing.TB, f facts) {
	for line := range strings.Lines(ask(t, "getent", "-s", "files", "passwd")) {
		p := strings.Split(strings.TrimRight(line, "\n"), ":")
		name, _, _ := strings.Cut(p[4], ",")
		f.set(wire.ClassLocalUserAccount, p[0], "UID", p[2])
		f.set(wire.ClassLocalUserAccount, p[0], "GID", p[3])
		f.say(wire.ClassLocalUserAccount, p[0], "FullName", name)
		f.say(wire.ClassLocalUserAccount, p[0], "HomeDirectory", p[5])
		f.say(wire.ClassLocalUserAccount, p[0], "Shell", p[6])
	}
	for line := range strings.Lines(ask(t, "getent", "-s", "files", "group")) {
		p := strings.Split(strings.TrimRight(line, "\n"), ":")
		f.set(wire.ClassLocalGroup, p[0], "GID", p[2])
		f.say(wire.ClassLocalGroup, p[0], "Members", p[3])
	}
}

func tellModules(t testing.TB, f facts) {
	if _, err := os.Stat("/proc/modules"); err != nil {
		return // a kernel that can load none
	}
	for i, line := range strings.Split(ask(t, "lsmod"), "\n") {
		if fields := strings.Fields(line); i > 0 && len(fields) > 1 {
			f.set(wire.ClassKernelModule, fields[0], "Size", fields[1])
		}
	}
}

func tellServices(t testing.TB, f facts) {
	if _, err := exec.LookPath("systemctl"); err != nil {
		return // nothing to compare with on a machine of another kind
	}
	for line := range strings.Lines(ask(t, "systemctl", "--root=/", "list-unit-files", "--type=service", "--no-legend", "--no-pager")) {
		if p := strings.Fields(line); len(p) >= 2 && !strings.Contains(p[0], "@") && p[1] != "alias" && p[1] != "bad" {
			f.set(wire.ClassService, strings.TrimSuffix(p[0], ".service"), "StartMode", p[1])
		}
	}
}

func tellZone(t testing.TB, f facts) {
	if target, err := filepath.EvalSymlinks("/etc/localtime"); err == nil {
		if name, ok := strings.CutPrefix(target, "/usr/share/zoneinfo/"); ok {
			f.set(wire.ClassTimeZone, "", "Name", name)
		}
	}
	// Without summer time the offset is that of any day.
	winter := strconv.Itoa(time.Now().Year()) + "-01-01"
	offset := ask(t, "date", "+%z")
	if offset != ask(t, "date", "-d", winter, "+%z") || offset != ask(t, "date", "-d", strings.Replace(winter, "-01-", "-07-", 1), "+%z") {
		return
	}
	hours, err := strconv.Atoi(offset[:3])
	must(t, err)
	minutes, err := strconv.Atoi(offset[:1] + offset[3:])
	must(t, err)
	f.set(wire.ClassTimeZone, "", "Bias", -(hours*60 + minutes))
}
