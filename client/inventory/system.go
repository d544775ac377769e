package inventory

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"mainstay/wire"
)

// collectSystem reads the machine and its operating system.
func collectSystem(_ context.Context, r *run) error {
	m := r.machine
	packages := m.topology()
	computer := wire.ComputerSystem{
		Name:                m.hostName(),
		SystemType:          m.architecture(),
		Manufacturer:        m.dmi("sys_vendor"),
		Model:               m.dmi("product_name"),
		SystemFamily:        m.dmi("product_family"),
		SystemSKUNumber:     m.dmi("product_sku"),
		Version:             m.dmi("product_version"),
		SerialNumber:        m.dmi("product_serial"),
		UUID:                strings.ToLower(m.dmi("product_uuid")),
		NumberOfProcessors:  uint64(len(packages)),
		TotalPhysicalMemory: m.memory()["MemTotal"],
	}
	for _, p := range packages {
		computer.NumberOfLogicalProcessors += uint64(len(p.processors))
	}
	// Machines without SMBIOS tables (most ARM boards) have a device tree.
	if computer.Model == "" {
		computer.Model = m.deviceTree("model")
	}
	if computer.SerialNumber == "" {
		computer.SerialNumber = known(m.deviceTree("serial-number"))
	}
	computer.Fqdn = m.fqdn(computer.Name)
	_, computer.Domain, _ = strings.Cut(computer.Fqdn, ".")
	r.add(wire.ClassComputerSystem, &computer)

	system, err := m.operatingSystem()
	if err != nil {
		return err
	}
	system.LastBootUpTime = r.bootTime()
	r.add(wire.ClassOS, &system)
	return nil
}

func (m machine) hostName() string {
	if name := m.text("/proc/sys/kernel/hostname"); name != "" {
		return name
	}
	return m.text("/etc/hostname")
}

// fqdn finds the full name without asking a name server, which would make an
// inventory depend on the network: the host name itself, or the name in the
// hosts file that begins with it.
func (m machine) fqdn(host string) string {
	if strings.Contains(host, ".") || host == "" {
		return host
	}
	full := ""
	// A hosts file that cannot be read leaves the name unknown.
	_ = m.lines("/etc/hosts", func(line []byte) bool {
		text, _, _ := strings.Cut(string(line), "#")
		for i, name := range strings.Fields(text) {
			if i > 0 && len(name) > len(host)+1 && strings.EqualFold(name[:len(host)+1], host+".") {
				full = clean(name, maxText)
			}
		}
		return full == ""
	})
	if full == "localhost.localdomain" {
		return ""
	}
	return full
}

func (m machine) architecture() string {
	if m.kernel.machine != nil {
		return clean(m.kernel.machine(), maxText)
	}
	return m.text("/proc/sys/kernel/arch")
}

// deviceTree is a text property of the root of the device tree.
func (m machine) deviceTree(property string) string {
	data, err := m.head("/proc/device-tree/"+property, maxText)
	if err != nil {
		return ""
	}
	return clean(strings.TrimRight(string(data), "\x00"), maxText)
}

// operatingSystem reads os-release, which every distribution since 2012 has.
func (m machine) operatingSystem() (wire.OS, error) {
	release, err := m.osRelease()
	if err != nil {
		return wire.OS{}, err
	}
	system := wire.OS{
		Name:          release["NAME"],
		Caption:       release["PRETTY_NAME"],
		ID:            release["ID"],
		IDLike:        release["ID_LIKE"],
		Version:       release["VERSION_ID"],
		Codename:      release["VERSION_CODENAME"],
		Variant:       release["VARIANT_ID"],
		BuildID:       release["BUILD_ID"],
		SupportEnd:    release["SUPPORT_END"],
		Kernel:        m.text("/proc/sys/kernel/osrelease"),
		KernelVersion: m.text("/proc/sys/kernel/version"),
		Architecture:  m.architecture(),
	}
	if system.Name == "" {
		system.Name = "Linux"
	}
	if system.Caption == "" {
		system.Caption = strings.TrimSpace(system.Name + " " + release["VERSION"])
	}
	// Distributions that have no code names leave theirs empty.
	if _, says := release["VERSION_CODENAME"]; !says {
		if _, after, ok := strings.Cut(release["VERSION"], "("); ok {
			system.Codename, _, _ = strings.Cut(after, ")")
		}
	}
	if system.BuildID == "" {
		system.BuildID = release["IMAGE_VERSION"]
	}
	// Debian keeps its point release (12.11) elsewhere.
	if system.BuildID == "" && system.ID == "debian" {
		system.BuildID = m.text("/etc/debian_version")
	}
	return system, nil
}

func (m machine) osRelease() (map[string]string, error) {
	values := map[string]string{}
	for _, file := range []string{"/etc/os-release", "/usr/lib/os-release"} {
		err := m.lines(file, func(line []byte) bool {
			name, value, ok := strings.Cut(string(line), "=")
			if ok && !strings.HasPrefix(name, "#") {
				values[strings.TrimSpace(name)] = clean(unquote(strings.TrimSpace(value)), maxText)
			}
			return len(values) < 200
		})
		if err != nil {
			return nil, fmt.Errorf("cannot read %s: %w", file, err)
		}
		if len(values) > 0 {
			break
		}
	}
	return values, nil
}

// unquote undoes the quoting of a shell assignment.
func unquote(value string) string {
	if len(value) < 2 {
		return value
	}
	quote := value[0]
	if quote != '"' && quote != '\'' || value[len(value)-1] != quote {
		return value
	}
	value = value[1 : len(value)-1]
	if quote == '\'' || !strings.Contains(value, `\`) {
		return value
	}
	var plain strings.Builder
	for i := 0; i < len(value); i++ {
		if value[i] == '\\' && i+1 < len(value) {
			i++
		}
		plain.WriteByte(value[i])
	}
	return plain.String()
}

// bootTime is when the kernel was started. The kernel computes it from the
// present time, so that it moves a little with every correction of the clock;
// it is held for as long as the boot is the same one.
func (r *run) bootTime() int64 {
	var seconds uint64
	// Without the file the time is unknown, as the column then says.
	_ = r.machine.lines("/proc/stat", func(line []byte) bool {
		value, ok := strings.CutPrefix(string(line), "btime ")
		if ok {
			seconds, _ = strconv.ParseUint(strings.TrimSpace(value), 10, 40)
		}
		return !ok
	})
	if seconds == 0 {
		return 0
	}
	boot := r.machine.text("/proc/sys/kernel/random/boot_id")
	held := r.hold("boot "+boot, seconds, func(old uint64) bool {
		return max(old, seconds)-min(old, seconds) <= 120
	})
	return time.Unix(int64(held), 0).UnixMicro()
}

var memoryLine = regexp.MustCompile(`^(\w+): +(\d+) kB`)

// memory is /proc/meminfo in bytes.
func (m machine) memory() map[string]uint64 {
	sizes := map[string]uint64{}
	_ = m.lines("/proc/meminfo", func(line []byte) bool {
		if match := memoryLine.FindSubmatch(line); match != nil {
			kilobytes, err := strconv.ParseUint(string(match[2]), 10, 53)
			if err == nil {
				sizes[string(match[1])] = kilobytes << 10
			}
		}
		return true
	})
	return sizes
}

// collectMemory reads memory and swap.
func collectMemory(_ context.Context, r *run) error {
	sizes := r.machine.memory()
	total, ok := sizes["MemTotal"]
	if !ok {
		return fmt.Errorf("/proc/meminfo does not tell the memory")
	}
	r.add(wire.ClassMemory, &wire.Memory{TotalPhysicalMemory: total, TotalPageFileSpace: sizes["SwapTotal"]})
	return nil
}

// collectModules reads the modules of the kernel.
func collectModules(_ context.Context, r *run) error {
	return r.machine.lines("/proc/modules", func(line []byte) bool {
		// name size references users state address [taints]
		fields := strings.Fields(string(line))
		if len(fields) < 5 || fields[4] != "Live" {
			return true
		}
		size, err := strconv.ParseUint(fields[1], 10, 64)
		if err != nil {
			return true
		}
		name := clean(fields[0], 64)
		taints := ""
		if last := fields[len(fields)-1]; strings.HasPrefix(last, "(") {
			taints = last
		}
		r.add(wire.ClassKernelModule, &wire.KernelModule{
			Name: name, Size: size,
			Version: r.machine.text("/sys/module/" + name + "/version"),
			Foreign: strings.ContainsAny(taints, "POE"),
		})
		return true
	})
}
