package machines

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"mainstay/wire"
)

// model is a kind of machine that can be bought or rented.
type model struct {
	weight              int
	maker, name, family string
	chassis             string // empty for a virtual machine
	board               string
	bios, biosVersion   string
	hypervisor          string
	desktop             bool
	// oui begins the addresses of its network adapters.
	oui     string
	driver  string
	adapter string
	cpus    []cpu
	sockets uint64
	// memory in GiB and disks in GB are what it is sold with.
	memory []uint64
	disks  []uint64
	disk   string // bus and model
}

type cpu struct {
	name, maker          string
	family, model, step  string
	cores, threads       uint64
	megahertz, l2k, l3mb uint64
}

func models() []model {
	xeon := cpu{"Intel(R) Xeon(R) Gold 6338 CPU @ 2.00GHz", "GenuineIntel", "6", "106", "6", 32, 64, 3200, 40960, 48}
	epyc := cpu{"AMD EPYC 7543 32-Core Processor", "AuthenticAMD", "25", "1", "1", 32, 64, 3737, 16384, 256}
	i5 := cpu{"12th Gen Intel(R) Core(TM) i5-1245U", "GenuineIntel", "6", "154", "4", 10, 12, 4400, 9472, 12}
	i7 := cpu{"13th Gen Intel(R) Core(TM) i7-1365U", "GenuineIntel", "6", "186", "3", 10, 12, 5200, 6656, 12}
	ryzen := cpu{"AMD Ryzen 7 PRO 5850U with Radeon Graphics", "AuthenticAMD", "25", "80", "0", 8, 16, 4507, 4096, 16}
	guest := func(c cpu, n uint64) cpu { c.cores, c.threads = n, n; return c }
	return []model{
		{weight: 14, maker: "Dell Inc.", name: "PowerEdge R650", family: "PowerEdge", chassis: "Rack Mount Chassis", board: "0CP2RH", bios: "Dell Inc.", biosVersion: "1.12.1",
			oui: "d0:94:66", driver: "tg3", adapter: "pci 14e4:165f", cpus: []cpu{xeon}, sockets: 2, memory: []uint64{128, 256, 512}, disks: []uint64{960, 1920}, disk: "nvme Dell Ent NVMe CM6 RI"},
		{weight: 9, maker: "HPE", name: "ProLiant DL385 Gen10 Plus", family: "ProLiant", chassis: "Rack Mount Chassis", board: "ProLiant DL385 Gen10 Plus", bios: "HPE", biosVersion: "A42",
			oui: "94:40:c9", driver: "bnxt_en", adapter: "pci 14e4:16d7", cpus: []cpu{epyc}, sockets: 1, memory: []uint64{64, 128, 256}, disks: []uint64{480, 3840}, disk: "scsi VO000480JWZJP"},
		{weight: 24, maker: "QEMU", name: "Standard PC (Q35 + ICH9, 2009)", bios: "SeaBIOS", biosVersion: "1.16.2-debian-1.16.2-1", hypervisor: "kvm",
			oui: "52:54:00", driver: "virtio_net", adapter: "virtio 1af4:0001", cpus: []cpu{guest(xeon, 1), guest(epyc, 1)}, sockets: 4, memory: []uint64{2, 4, 8, 16}, disks: []uint64{20, 40, 80, 200}, disk: "virtio "},
		{weight: 20, maker: "VMware, Inc.", name: "VMware7,1", bios: "VMware, Inc.", biosVersion: "VMW71.00V.21805430.B64.2305221830", hypervisor: "vmware",
			oui: "00:50:56", driver: "vmxnet3", adapter: "pci 15ad:07b0", cpus: []cpu{guest(xeon, 2), guest(xeon, 4)}, sockets: 2, memory: []uint64{4, 8, 16, 32}, disks: []uint64{40, 60, 100, 500}, disk: "scsi Virtual disk"},
		{weight: 8, maker: "Amazon EC2", name: "m6i.large", bios: "Amazon EC2", biosVersion: "1.0", hypervisor: "amazon",
			oui: "0a:58:a9", driver: "ena", adapter: "pci 1d0f:ec20", cpus: []cpu{guest(xeon, 1)}, sockets: 1, memory: []uint64{8}, disks: []uint64{30, 100}, disk: "nvme Amazon Elastic Block Store"},
		{weight: 20, desktop: true, maker: "LENOVO", name: "21CB005UMZ", family: "ThinkPad X1 Carbon Gen 10", chassis: "Notebook", board: "21CB005UMZ", bios: "LENOVO", biosVersion: "N3AET78W (1.43 )",
			oui: "e8:6a:64", driver: "e1000e", adapter: "pci 8086:1a1e", cpus: []cpu{i5, i7}, sockets: 1, memory: []uint64{16, 32}, disks: []uint64{512, 1024}, disk: "nvme SAMSUNG MZVL2512HCJQ-00BL7"},
		{weight: 16, desktop: true, maker: "Dell Inc.", name: "Latitude 5430", family: "Latitude", chassis: "Notebook", board: "0VNVV4", bios: "Dell Inc.", biosVersion: "1.21.0",
			oui: "54:bf:64", driver: "e1000e", adapter: "pci 8086:15fb", cpus: []cpu{i5, i7}, sockets: 1, memory: []uint64{16, 32, 64}, disks: []uint64{256, 512}, disk: "nvme KBG50ZNS512G NVMe KIOXIA 512GB"},
		{weight: 8, desktop: true, maker: "HP", name: "HP EliteDesk 805 G8", family: "103C_53307F HP EliteDesk", chassis: "Desktop", board: "8873", bios: "HP", biosVersion: "S09 Ver. 02.14.00",
			oui: "b0:22:7a", driver: "r8169", adapter: "pci 10ec:8168", cpus: []cpu{ryzen}, sockets: 1, memory: []uint64{16, 32}, disks: []uint64{512, 1024}, disk: "nvme WD PC SN810 SDCPNRY-512G-1006"},
	}
}

// hardware is what one machine is made of.
type hardware struct {
	model  model
	cpu    cpu
	memory uint64 // GiB
	disks  []uint64
	uuid   string
	serial string
	macs   []string
}

func drawHardware(all []model, desktop bool, random *rand.Rand) hardware {
	m := pick(all, random, func(m model) int {
		if m.desktop != desktop {
			return 0
		}
		return m.weight
	})
	h := hardware{model: m, cpu: m.cpus[random.IntN(len(m.cpus))], memory: m.memory[random.IntN(len(m.memory))]}
	for range 1 + random.IntN(2) {
		h.disks = append(h.disks, m.disks[random.IntN(len(m.disks))])
	}
	a, b := random.Uint64(), random.Uint64()
	h.uuid = fmt.Sprintf("%08x-%04x-4%03x-%04x-%012x", a>>32, a>>16&0xffff, a&0xfff, b>>48&0x3fff|0x8000, b&0xffffffffffff)
	h.serial = strings.ToUpper(fmt.Sprintf("%07s", base36(random.Uint64()%78_364_164_096)))
	adapters := 1
	if m.chassis == "Rack Mount Chassis" {
		adapters = 2
	}
	for range adapters {
		n := random.Uint64()
		h.macs = append(h.macs, fmt.Sprintf("%s:%02x:%02x:%02x", m.oui, n&0xff, n>>8&0xff, n>>16&0xff))
	}
	return h
}

func base36(n uint64) string {
	const digits = "0123456789abcdefghijklmnopqrstuvwxyz"
	text := ""
	for ; n > 0; n /= 36 {
		text = digits[n%36:n%36+1] + text
	}
	return text
}

// pick draws one by weight.
func pick[T any](all []T, random *rand.Rand, weight func(T) int) T {
	sum := 0
	for _, one := range all {
		sum += weight(one)
	}
	at := random.IntN(max(sum, 1))
	for _, one := range all {
		if at -= weight(one); at < 0 {
			return one
		}
	}
	return all[len(all)-1]
}

// hardwareRows adds what is this machine's alone.
func (m *Machine) hardwareRows(r *rows) {
	h, model := m.hardware, m.hardware.model
	threads := model.sockets * h.cpu.threads
	bytes := h.memory<<30 - h.memory<<24
	r.add(wire.ClassComputerSystem, wire.ComputerSystem{
		Name: m.name, Fqdn: m.name + "." + domain, Domain: domain, Manufacturer: model.maker, Model: model.name, SystemFamily: model.family,
		SerialNumber: h.serial, UUID: h.uuid, SystemType: "x86_64", NumberOfProcessors: model.sockets, NumberOfLogicalProcessors: threads, TotalPhysicalMemory: bytes,
	})
	r.add(wire.ClassMemory, wire.Memory{TotalPhysicalMemory: bytes, TotalPageFileSpace: 1 << 30})
	for i := range model.sockets {
		r.add(wire.ClassProcessor, wire.Processor{DeviceID: fmt.Sprintf("CPU%d", i), Name: h.cpu.name, Manufacturer: h.cpu.maker, Architecture: "x86_64",
			Family: h.cpu.family, Model: h.cpu.model, Stepping: h.cpu.step, NumberOfCores: h.cpu.cores, NumberOfLogicalProcessors: h.cpu.threads,
			MaxClockSpeed: h.cpu.megahertz, L2CacheSize: h.cpu.l2k << 10, L3CacheSize: h.cpu.l3mb << 20})
	}
	r.add(wire.ClassBios, wire.Bios{Manufacturer: model.bios, Name: model.bios + " " + model.biosVersion, SMBIOSBIOSVersion: model.biosVersion,
		SerialNumber: h.serial, FirmwareType: "UEFI", SecureBoot: model.desktop, ReleaseDate: 1_700_438_400_000_000})
	kind := wire.Virtualization{Kind: "physical machine"}
	if model.chassis == "" {
		kind = wire.Virtualization{Kind: "virtual machine", Hypervisor: model.hypervisor}
	} else {
		r.add(wire.ClassBaseBoard, wire.BaseBoard{Manufacturer: model.maker, Product: model.board, Version: "A00", SerialNumber: "/" + h.serial + "/"})
		r.add(wire.ClassSystemEnclosure, wire.SystemEnclosure{Manufacturer: model.maker, ChassisType: model.chassis, SerialNumber: h.serial})
		for slot := range uint64(2) {
			r.add(wire.ClassPhysicalMemory, wire.PhysicalMemory{DeviceLocator: fmt.Sprintf("DIMM %d", slot), Capacity: h.memory << 29, MemoryType: "DDR4", FormFactor: "DIMM",
				Speed: 3200, ConfiguredClockSpeed: 3200, Manufacturer: "Micron", PartNumber: "18ASF4G72PDZ-3G2E1", SerialNumber: strings.ToUpper(fmt.Sprintf("%08x", mix(fmt.Sprint(h.serial, slot))>>32))})
		}
	}
	r.add(wire.ClassVirtualization, kind)
	m.diskRows(r)
	m.networkRows(r)
}

func (m *Machine) diskRows(r *rows) {
	bus, name, _ := strings.Cut(m.hardware.model.disk, " ")
	for i, gigabytes := range m.hardware.disks {
		device, part := fmt.Sprintf("sd%c", 'a'+i), ""
		switch bus {
		case "nvme":
			device, part = fmt.Sprintf("nvme%dn1", i), "p"
		case "virtio":
			device = fmt.Sprintf("vd%c", 'a'+i)
		}
		size := gigabytes * 1_000_000_000 / 4096 * 4096
		serial := strings.ToUpper(base36(mix(fmt.Sprint(m.hardware.uuid, device))))
		r.add(wire.ClassPhysicalDisk, wire.PhysicalDisk{Name: device, Model: name, SerialNumber: serial, Size: size, MediaType: "SSD", InterfaceType: bus,
			LogicalSectorSize: 512, PhysicalSectorSize: 4096, PartitionStyle: "gpt"})
		folder := "/"
		if i > 0 {
			folder = "/srv"
		}
		usable := size - 600<<20
		free := usable / 100 * (15 + mix(serial)%70)
		id := fmt.Sprintf("%08x-0000-4000-8000-%012x", mix(serial)>>32, mix(device+serial)&0xffffffffffff)
		r.add(wire.ClassPartition, wire.Partition{Name: device + part + "1", DiskName: device, Index: 1, StartingOffset: 1 << 20, Size: 512 << 20, Type: "c12a7328-f81f-11d2-ba4b-00a0c93ec93b", FileSystem: "vfat"})
		r.add(wire.ClassPartition, wire.Partition{Name: device + part + "2", DiskName: device, Index: 2, StartingOffset: 513 << 20, Size: usable, FileSystem: "ext4", UUID: id})
		r.add(wire.ClassLogicalDisk, wire.LogicalDisk{DeviceID: folder, Name: "/dev/" + device + part + "2", Description: "Local disk", FileSystem: "ext4", UUID: id, Size: &usable, FreeSpace: &free})
	}
}

func (m *Machine) networkRows(r *rows) {
	r.add(wire.ClassNetworkAdapter, wire.NetworkAdapter{Name: "lo", AdapterType: "loopback", MTU: 65536, NetConnectionStatus: "up"})
	r.add(wire.ClassNetworkAdapterConfiguration, wire.NetworkAdapterConfiguration{Interface: "lo", Family: "ipv4", Address: "127.0.0.1", PrefixLength: 8, Scope: "host", MTU: 65536})
	for i, mac := range m.hardware.macs {
		name := fmt.Sprintf("ens%d", 18+i)
		status, speed := "up", uint64(1_000_000_000)
		if i > 0 {
			status, speed = "down", 0
		}
		r.add(wire.ClassNetworkAdapter, wire.NetworkAdapter{Name: name, AdapterType: "ethernet", MACAddress: mac, PermanentAddress: mac, Driver: m.hardware.model.driver,
			DeviceID: m.hardware.model.adapter, MTU: 1500, Speed: speed, NetConnectionStatus: status, Physical: true})
	}
	gateway := m.network + ".1"
	r.add(wire.ClassNetworkAdapterConfiguration, wire.NetworkAdapterConfiguration{Interface: "ens18", MACAddress: m.hardware.macs[0], Family: "ipv4", Address: m.address,
		PrefixLength: 24, Scope: "global", Dynamic: m.image.profile.desktop, DefaultIPGateway: gateway, DNSServers: "10.0.0.53,10.0.1.53", MTU: 1500})
	r.add(wire.ClassRoute, wire.Route{Family: "ipv4", Destination: "0.0.0.0/0", Gateway: gateway, Interface: "ens18", Protocol: "static"})
	r.add(wire.ClassRoute, wire.Route{Family: "ipv4", Destination: m.network + ".0/24", Interface: "ens18", Source: m.address, Protocol: "kernel"})
}
