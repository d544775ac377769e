package inventory

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"mainstay/wire"
)

// collectProcessors reads one row for each package.
func collectProcessors(_ context.Context, r *run) error {
	m := r.machine
	packages := m.topology()
	if len(packages) == 0 {
		return fmt.Errorf("neither /sys/devices/system/cpu nor /proc/cpuinfo tells the processors")
	}
	facts, err := m.cpuinfo()
	if err != nil {
		return err
	}
	for _, id := range slices.Sorted(maps.Keys(packages)) {
		p := packages[id]
		// The first processor of a package speaks for it; on machines where
		// the kernel writes its facts once, so does the last block.
		f := facts[p.processors[0]]
		if f == nil {
			f = facts[-1]
		}
		row := f.processor()
		row.DeviceID = "CPU" + strconv.Itoa(id)
		row.Architecture = m.architecture()
		row.NumberOfCores = uint64(p.cores)
		row.NumberOfLogicalProcessors = uint64(len(p.processors))
		if kHz, ok := m.number(fmt.Sprintf("/sys/devices/system/cpu/cpu%d/cpufreq/cpuinfo_max_freq", p.processors[0])); ok {
			row.MaxClockSpeed = kHz / 1000
		}
		row.L2CacheSize, row.L3CacheSize = m.cacheSize(p.processors, 2), m.cacheSize(p.processors, 3)
		r.add(wire.ClassProcessor, &row)
	}
	return nil
}

// processorPackage is what shares a socket.
type processorPackage struct {
	// processors are the numbers of its logical processors that are online.
	processors []int
	cores      int
}

// topology groups the processors that are online by package.
func (m machine) topology() map[int]processorPackage {
	packages := map[int]processorPackage{}
	seen := map[string]bool{}
	for _, cpu := range m.online() {
		folder := fmt.Sprintf("/sys/devices/system/cpu/cpu%d/topology/", cpu)
		// Kernels without tables of the firmware say -1: one package.
		id, err := strconv.Atoi(m.text(folder + "physical_package_id"))
		if err != nil || id < 0 {
			id = 0
		}
		threads := m.text(folder + "core_cpus_list")
		if threads == "" {
			threads = m.text(folder + "thread_siblings_list")
		}
		if threads == "" {
			threads = strconv.Itoa(cpu)
		}
		p := packages[id]
		p.processors = append(p.processors, cpu)
		if core := fmt.Sprint(id, " ", threads); !seen[core] {
			seen[core] = true
			p.cores++
		}
		packages[id] = p
	}
	return packages
}

// online lists the processors that are online.
func (m machine) online() []int {
	if cpus := parseCPUList(m.text("/sys/devices/system/cpu/online")); len(cpus) > 0 {
		return cpus
	}
	facts, err := m.cpuinfo()
	if err != nil {
		return nil
	}
	delete(facts, -1)
	return slices.Sorted(maps.Keys(facts))
}

// maxProcessors bounds what a damaged list can ask for.
const maxProcessors = 8192

// parseCPUList reads the kernel's form: 0-3,8,10-11.
func parseCPUList(text string) []int {
	var cpus []int
	for part := range strings.SplitSeq(text, ",") {
		from, to, isRange := strings.Cut(strings.TrimSpace(part), "-")
		first, err := strconv.Atoi(from)
		if err != nil {
			continue
		}
		last := first
		if isRange {
			if last, err = strconv.Atoi(to); err != nil {
				continue
			}
		}
		for cpu := max(first, 0); cpu <= last && len(cpus) < maxProcessors; cpu++ {
			cpus = append(cpus, cpu)
		}
	}
	slices.Sort(cpus)
	return slices.Compact(cpus)
}

// cacheSize adds up the caches of a level that the processors use, each once.
func (m machine) cacheSize(cpus []int, level int) uint64 {
	var total uint64
	covered := map[int]bool{}
	for _, cpu := range cpus {
		if covered[cpu] {
			continue
		}
		for index := range 8 {
			folder := fmt.Sprintf("/sys/devices/system/cpu/cpu%d/cache/index%d/", cpu, index)
			text := m.text(folder + "level")
			if text == "" {
				break
			}
			if text != strconv.Itoa(level) || m.text(folder+"type") == "Instruction" {
				continue
			}
			total += parseSize(m.text(folder + "size"))
			for _, sharing := range parseCPUList(m.text(folder + "shared_cpu_list")) {
				covered[sharing] = true
			}
		}
	}
	return total
}

// parseSize reads a number with a unit of the kernel: 32K, 8M.
func parseSize(text string) uint64 {
	shift := 0
	switch {
	case strings.HasSuffix(text, "K"):
		shift = 10
	case strings.HasSuffix(text, "M"):
		shift = 20
	case strings.HasSuffix(text, "G"):
		shift = 30
	}
	if shift > 0 {
		text = text[:len(text)-1]
	}
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		return 0
	}
	return n << shift
}

// cpuFacts is one block of /proc/cpuinfo.
type cpuFacts map[string]string

// cpuWanted are the names of the lines that are used, of all architectures.
var cpuWanted = map[string]bool{
	"processor": true, "vendor_id": true, "model name": true, "cpu family": true, "model": true, "stepping": true, "microcode": true,
	"CPU implementer": true, "CPU architecture": true, "CPU variant": true, "CPU part": true, "CPU revision": true,
	"cpu": true, "revision": true, "uarch": true, "isa": true, "Model Name": true, "CPU Family": true, "Hardware": true, "machine": true,
}

// cpuinfo reads the blocks of /proc/cpuinfo by the number of the processor; -1
// holds what stands outside a numbered block, or else the last block.
func (m machine) cpuinfo() (map[int]cpuFacts, error) {
	blocks := map[int]cpuFacts{}
	current := cpuFacts{}
	keep := func() {
		if len(current) == 0 {
			return
		}
		if n, err := strconv.Atoi(current["processor"]); err == nil && n >= 0 {
			blocks[n] = current
		}
		blocks[-1] = current
		current = cpuFacts{}
	}
	err := m.lines("/proc/cpuinfo", func(line []byte) bool {
		name, value, ok := strings.Cut(string(line), ":")
		if !ok {
			keep()
			return len(blocks) < maxProcessors
		}
		if name = strings.TrimSpace(name); cpuWanted[name] {
			current[name] = clean(value, maxText)
		}
		return true
	})
	if err != nil {
		return nil, fmt.Errorf("cannot read /proc/cpuinfo: %w", err)
	}
	keep()
	return blocks, nil
}

// processor names what the block describes.
func (f cpuFacts) processor() wire.Processor {
	if implementer := f["CPU implementer"]; implementer != "" {
		return f.arm(implementer)
	}
	row := wire.Processor{
		Name:         first(f["model name"], f["Model Name"], f["cpu"], f["uarch"], f["isa"]),
		Manufacturer: f["vendor_id"],
		Family:       first(f["cpu family"], f["CPU Family"]),
		Model:        f["model"],
		Stepping:     first(f["stepping"], f["revision"]),
		Microcode:    f["microcode"],
	}
	return row
}

// arm names a processor by the numbers that ARM gives to makers and designs.
func (f cpuFacts) arm(implementer string) wire.Processor {
	maker, part := armMakers[implementer], f["CPU part"]
	row := wire.Processor{
		Manufacturer: first(maker, implementer),
		Family:       f["CPU architecture"],
		Model:        part,
		Name:         first(f["model name"], armParts[implementer+" "+part]),
	}
	variant, err := strconv.ParseUint(strings.TrimPrefix(f["CPU variant"], "0x"), 16, 8)
	if err == nil && f["CPU revision"] != "" {
		row.Stepping = fmt.Sprintf("r%dp%s", variant, f["CPU revision"])
	}
	if row.Name == "" {
		row.Name = strings.TrimSpace(row.Manufacturer + " " + part)
	}
	return row
}

func first(texts ...string) string {
	for _, text := range texts {
		if text != "" {
			return text
		}
	}
	return ""
}

var armMakers = map[string]string{
	"0x41": "ARM", "0x42": "Broadcom", "0x43": "Cavium", "0x46": "Fujitsu", "0x48": "HiSilicon", "0x4e": "NVIDIA", "0x50": "APM",
	"0x51": "Qualcomm", "0x53": "Samsung", "0x56": "Marvell", "0x61": "Apple", "0x69": "Intel", "0x6d": "Microsoft", "0x70": "Phytium", "0xc0": "Ampere",
}

var armParts = map[string]string{
	"0x41 0xc07": "Cortex-A7", "0x41 0xc08": "Cortex-A8", "0x41 0xc09": "Cortex-A9", "0x41 0xc0f": "Cortex-A15", "0x41 0xd03": "Cortex-A53",
	"0x41 0xd04": "Cortex-A35", "0x41 0xd05": "Cortex-A55", "0x41 0xd07": "Cortex-A57", "0x41 0xd08": "Cortex-A72", "0x41 0xd09": "Cortex-A73",
	"0x41 0xd0a": "Cortex-A75", "0x41 0xd0b": "Cortex-A76", "0x41 0xd0c": "Neoverse-N1", "0x41 0xd0d": "Cortex-A77", "0x41 0xd40": "Neoverse-V1",
	"0x41 0xd41": "Cortex-A78", "0x41 0xd44": "Cortex-X1", "0x41 0xd46": "Cortex-A510", "0x41 0xd47": "Cortex-A710", "0x41 0xd48": "Cortex-X2",
	"0x41 0xd49": "Neoverse-N2", "0x41 0xd4a": "Neoverse-E1", "0x41 0xd4b": "Cortex-A78C", "0x41 0xd4d": "Cortex-A715", "0x41 0xd4e": "Cortex-X3",
	"0x41 0xd4f": "Neoverse-V2", "0x41 0xd80": "Cortex-A520", "0x41 0xd81": "Cortex-A720", "0x41 0xd82": "Cortex-X4", "0x41 0xd84": "Neoverse-V3",
	"0x41 0xd8e": "Neoverse-N3", "0x43 0x0a1": "ThunderX", "0x43 0x0af": "ThunderX2", "0x48 0xd01": "Kunpeng-920", "0x4e 0x004": "Carmel",
	"0x51 0xc00": "Falkor", "0xc0 0xac3": "Ampere-1", "0xc0 0xac4": "Ampere-1a", "0x70 0x663": "FTC663",
}
