package wire

// The rows of the inventory classes. Every number is an integer; a time is
// int64 microseconds since 1970, UTC (unit "us"). A string, a number or a time
// that is not known is absent. See InventoryClass.Columns for the tags.

// ComputerSystem is the machine as a whole.
type ComputerSystem struct {
	Name                      string `json:"Name" doc:"host name as the kernel has it"`
	Fqdn                      string `json:"Fqdn,omitempty" doc:"full name, from the host name or the hosts file; no name server is asked"`
	Domain                    string `json:"Domain,omitempty" doc:"the part of Fqdn after the first dot"`
	Manufacturer              string `json:"Manufacturer,omitempty" doc:"maker of the machine, from the firmware"`
	Model                     string `json:"Model,omitempty" doc:"product name, from the firmware or the device tree"`
	SystemFamily              string `json:"SystemFamily,omitempty" doc:"product family, from the firmware"`
	SystemSKUNumber           string `json:"SystemSKUNumber,omitempty" doc:"order number of the product, from the firmware"`
	Version                   string `json:"Version,omitempty" doc:"product version, from the firmware"`
	SerialNumber              string `json:"SerialNumber,omitempty" doc:"serial number of the machine; root only"`
	UUID                      string `json:"UUID,omitempty" doc:"identifier of the machine from the firmware, lower case; root only"`
	SystemType                string `json:"SystemType,omitempty" doc:"machine architecture as the kernel names it (x86_64, aarch64)"`
	NumberOfProcessors        uint64 `json:"NumberOfProcessors,omitempty" doc:"processor packages (sockets)"`
	NumberOfLogicalProcessors uint64 `json:"NumberOfLogicalProcessors,omitempty" doc:"processors that are online, as the scheduler sees them"`
	TotalPhysicalMemory       uint64 `json:"TotalPhysicalMemory,omitempty" unit:"bytes" doc:"memory that the kernel can use"`
}

// OS is the operating system that runs now.
type OS struct {
	Name           string `json:"Name" doc:"name of the distribution (Debian GNU/Linux)"`
	Caption        string `json:"Caption" doc:"name with version for display (Debian GNU/Linux 12 (bookworm))"`
	ID             string `json:"ID,omitempty" doc:"short name of the distribution (debian, rhel)"`
	IDLike         string `json:"IDLike,omitempty" doc:"short names of the distributions it descends from, separated by a space"`
	Version        string `json:"Version,omitempty" doc:"version number of the distribution (12, 9.4)"`
	Codename       string `json:"Codename,omitempty" doc:"code name of the version (bookworm)"`
	Variant        string `json:"Variant,omitempty" doc:"edition (server, workstation)"`
	BuildID        string `json:"BuildID,omitempty" doc:"build or image of the distribution, where it says one"`
	SupportEnd     string `json:"SupportEnd,omitempty" doc:"last day of support as the distribution states it, YYYY-MM-DD"`
	Kernel         string `json:"Kernel,omitempty" doc:"kernel release (6.1.0-18-amd64)"`
	KernelVersion  string `json:"KernelVersion,omitempty" doc:"kernel build (#1 SMP PREEMPT_DYNAMIC ...)"`
	Architecture   string `json:"Architecture,omitempty" doc:"machine architecture as the kernel names it"`
	LastBootUpTime int64  `json:"LastBootUpTime,omitempty" unit:"us" doc:"when the kernel was started, to about a second"`
}

// Processor is one processor package.
type Processor struct {
	DeviceID                  string `json:"DeviceID" doc:"CPU and the number of the package (CPU0)"`
	Name                      string `json:"Name,omitempty" doc:"name as the processor or the kernel gives it"`
	Manufacturer              string `json:"Manufacturer,omitempty" doc:"vendor (GenuineIntel, AuthenticAMD, ARM)"`
	Architecture              string `json:"Architecture,omitempty" doc:"machine architecture as the kernel names it"`
	Family                    string `json:"Family,omitempty" doc:"family or architecture level, as the processor counts it"`
	Model                     string `json:"Model,omitempty" doc:"model number or part, as the processor counts it"`
	Stepping                  string `json:"Stepping,omitempty" doc:"stepping or revision"`
	NumberOfCores             uint64 `json:"NumberOfCores,omitempty" doc:"cores that are online"`
	NumberOfLogicalProcessors uint64 `json:"NumberOfLogicalProcessors,omitempty" doc:"threads that are online"`
	MaxClockSpeed             uint64 `json:"MaxClockSpeed,omitempty" unit:"MHz" doc:"highest clock, where the kernel governs it"`
	L2CacheSize               uint64 `json:"L2CacheSize,omitempty" unit:"bytes" doc:"second-level cache of the package, all instances"`
	L3CacheSize               uint64 `json:"L3CacheSize,omitempty" unit:"bytes" doc:"third-level cache of the package, all instances"`
	Microcode                 string `json:"Microcode,omitempty" doc:"revision of the microcode"`
}

// Memory is memory and swap.
type Memory struct {
	TotalPhysicalMemory uint64 `json:"TotalPhysicalMemory" unit:"bytes" doc:"memory that the kernel can use"`
	TotalPageFileSpace  uint64 `json:"TotalPageFileSpace" unit:"bytes" doc:"swap space, all areas"`
}

// PhysicalMemory is one memory module.
type PhysicalMemory struct {
	DeviceLocator        string `json:"DeviceLocator" doc:"label of the slot"`
	BankLocator          string `json:"BankLocator,omitempty" doc:"label of the bank"`
	Capacity             uint64 `json:"Capacity" unit:"bytes" doc:"size of the module"`
	MemoryType           string `json:"MemoryType,omitempty" doc:"kind of memory (DDR4, DDR5)"`
	FormFactor           string `json:"FormFactor,omitempty" doc:"shape of the module (DIMM, SODIMM)"`
	Speed                uint64 `json:"Speed,omitempty" unit:"MT/s" doc:"highest speed of the module"`
	ConfiguredClockSpeed uint64 `json:"ConfiguredClockSpeed,omitempty" unit:"MT/s" doc:"speed that the firmware has set"`
	Manufacturer         string `json:"Manufacturer,omitempty" doc:"maker of the module"`
	PartNumber           string `json:"PartNumber,omitempty" doc:"part number of the module"`
	SerialNumber         string `json:"SerialNumber,omitempty" doc:"serial number of the module"`
}

// PhysicalDisk is one disk.
type PhysicalDisk struct {
	Name               string `json:"Name" doc:"name of the device (nvme0n1)"`
	Model              string `json:"Model,omitempty" doc:"model as the disk names it"`
	Manufacturer       string `json:"Manufacturer,omitempty" doc:"vendor as the disk names it"`
	SerialNumber       string `json:"SerialNumber,omitempty" doc:"serial number as the disk names it"`
	FirmwareRevision   string `json:"FirmwareRevision,omitempty" doc:"firmware revision"`
	WWN                string `json:"WWN,omitempty" doc:"world-wide name"`
	Size               uint64 `json:"Size" unit:"bytes" doc:"capacity; 0 without a medium"`
	MediaType          string `json:"MediaType,omitempty" doc:"SSD, HDD or Optical"`
	InterfaceType      string `json:"InterfaceType,omitempty" doc:"how it is connected: nvme, sata, scsi, usb, virtio, mmc, xen, vmbus"`
	Removable          bool   `json:"Removable" doc:"the medium or the disk can be taken out"`
	ReadOnly           bool   `json:"ReadOnly" doc:"the disk does not accept writes"`
	LogicalSectorSize  uint64 `json:"LogicalSectorSize,omitempty" unit:"bytes" doc:"smallest unit that can be addressed"`
	PhysicalSectorSize uint64 `json:"PhysicalSectorSize,omitempty" unit:"bytes" doc:"smallest unit that is written at once"`
	PartitionStyle     string `json:"PartitionStyle,omitempty" doc:"kind of partition table (gpt, dos)"`
}

// Partition is one partition of a physical disk.
type Partition struct {
	Name           string `json:"Name" doc:"name of the device (nvme0n1p1)"`
	DiskName       string `json:"DiskName" doc:"name of the disk"`
	Index          uint64 `json:"Index" doc:"number of the partition"`
	StartingOffset uint64 `json:"StartingOffset" unit:"bytes" doc:"where it begins on the disk"`
	Size           uint64 `json:"Size" unit:"bytes" doc:"its size"`
	Label          string `json:"Label,omitempty" doc:"name in the partition table"`
	Type           string `json:"Type,omitempty" doc:"type in the partition table"`
	UUID           string `json:"UUID,omitempty" doc:"identifier in the partition table, lower case"`
	FileSystem     string `json:"FileSystem,omitempty" doc:"what is on it (ext4, LVM2_member, swap), where the device manager has found out"`
	ReadOnly       bool   `json:"ReadOnly" doc:"it does not accept writes"`
}

// LogicalDisk is one mounted file system.
type LogicalDisk struct {
	DeviceID    string  `json:"DeviceID" doc:"folder on which it is mounted"`
	Name        string  `json:"Name" doc:"what is mounted: a device, or server and share"`
	Description string  `json:"Description" doc:"Local disk or Network file system"`
	FileSystem  string  `json:"FileSystem" doc:"type of the file system (ext4, xfs, nfs4)"`
	VolumeName  string  `json:"VolumeName,omitempty" doc:"label of the file system"`
	UUID        string  `json:"UUID,omitempty" doc:"identifier of the file system"`
	Size        *uint64 `json:"Size,omitempty" unit:"bytes" doc:"size of the file system; not known for network file systems"`
	FreeSpace   *uint64 `json:"FreeSpace,omitempty" unit:"bytes" doc:"space that users other than root can still fill, in steps of one percent of Size"`
	ReadOnly    bool    `json:"ReadOnly" doc:"mounted so that nothing can be written"`
	Encrypted   bool    `json:"Encrypted" doc:"a layer of disk encryption lies between it and every disk that it is on"`
	Options     string  `json:"Options,omitempty" doc:"nosuid, nodev, noexec, where set, separated by commas"`
}

// NetworkAdapter is one network interface.
type NetworkAdapter struct {
	Name                string `json:"Name" doc:"name of the interface (eth0)"`
	AdapterType         string `json:"AdapterType" doc:"ethernet, wireless, loopback, bridge, bond, vlan, tunnel, virtual or other"`
	MACAddress          string `json:"MACAddress,omitempty" doc:"address in use, lower case with colons"`
	PermanentAddress    string `json:"PermanentAddress,omitempty" doc:"address that the hardware was made with, where the kernel tells"`
	Driver              string `json:"Driver,omitempty" doc:"driver or kind of link"`
	DeviceID            string `json:"DeviceID,omitempty" doc:"bus, vendor and device number (pci 8086:1533)"`
	MTU                 uint64 `json:"MTU" doc:"largest packet, in bytes"`
	Speed               uint64 `json:"Speed,omitempty" unit:"bit/s" doc:"speed of the link, when it is up and tells"`
	NetConnectionStatus string `json:"NetConnectionStatus" doc:"up, down, or another state of the kernel"`
	Physical            bool   `json:"Physical" doc:"there is a device behind it"`
	Master              string `json:"Master,omitempty" doc:"bridge or bond that it belongs to"`
}

// NetworkAdapterConfiguration is one address of an interface.
type NetworkAdapterConfiguration struct {
	Interface        string `json:"Interface" doc:"name of the interface"`
	MACAddress       string `json:"MACAddress,omitempty" doc:"address of the interface"`
	Family           string `json:"Family" doc:"ipv4 or ipv6"`
	Address          string `json:"Address" doc:"the address"`
	PrefixLength     uint64 `json:"PrefixLength" unit:"bits" doc:"length of the network part"`
	Scope            string `json:"Scope,omitempty" doc:"global, site, link or host"`
	Dynamic          bool   `json:"Dynamic" doc:"the address has an end, as one from DHCP or router advertisement"`
	DefaultIPGateway string `json:"DefaultIPGateway,omitempty" doc:"gateway of the default route of this family through this interface"`
	DNSServers       string `json:"DNSServers,omitempty" doc:"name servers of the machine, separated by a comma"`
	MTU              uint64 `json:"MTU" doc:"largest packet of the interface, in bytes"`
}

// Route is one route.
type Route struct {
	Family      string `json:"Family" doc:"ipv4 or ipv6"`
	Destination string `json:"Destination" doc:"network with its prefix length; 0.0.0.0/0 and ::/0 are default routes"`
	Gateway     string `json:"Gateway,omitempty" doc:"next machine; absent for a network that is connected"`
	Interface   string `json:"Interface,omitempty" doc:"name of the interface"`
	Source      string `json:"Source,omitempty" doc:"address that packets are given"`
	Metric      uint64 `json:"Metric" doc:"lower is preferred"`
	Protocol    string `json:"Protocol,omitempty" doc:"who made it: kernel, boot, static, dhcp, ra or a number"`
}

// Bios is the firmware.
type Bios struct {
	Manufacturer      string `json:"Manufacturer,omitempty" doc:"maker of the firmware"`
	Name              string `json:"Name,omitempty" doc:"maker and version, for display"`
	Version           string `json:"Version,omitempty" doc:"release of the firmware (major.minor), where it says one"`
	SMBIOSBIOSVersion string `json:"SMBIOSBIOSVersion,omitempty" doc:"version as the maker writes it"`
	ReleaseDate       int64  `json:"ReleaseDate,omitempty" unit:"us" doc:"midnight UTC of the day of the release"`
	SerialNumber      string `json:"SerialNumber,omitempty" doc:"serial number of the machine; root only"`
	FirmwareType      string `json:"FirmwareType,omitempty" doc:"UEFI or BIOS"`
	SecureBoot        bool   `json:"SecureBoot" doc:"the firmware started only what was signed"`
}

// BaseBoard is the main board.
type BaseBoard struct {
	Manufacturer string `json:"Manufacturer,omitempty" doc:"maker of the board"`
	Product      string `json:"Product,omitempty" doc:"product name of the board"`
	Version      string `json:"Version,omitempty" doc:"version of the board"`
	SerialNumber string `json:"SerialNumber,omitempty" doc:"serial number of the board; root only"`
	AssetTag     string `json:"AssetTag,omitempty" doc:"tag that the owner has set"`
}

// SystemEnclosure is the chassis.
type SystemEnclosure struct {
	Manufacturer   string `json:"Manufacturer,omitempty" doc:"maker of the chassis"`
	ChassisType    string `json:"ChassisType,omitempty" doc:"shape (Desktop, Notebook, Rack Mount Chassis)"`
	Version        string `json:"Version,omitempty" doc:"version of the chassis"`
	SerialNumber   string `json:"SerialNumber,omitempty" doc:"serial number of the chassis; root only"`
	SMBIOSAssetTag string `json:"SMBIOSAssetTag,omitempty" doc:"tag that the owner has set"`
}

// InstalledSoftware is one installed package.
type InstalledSoftware struct {
	Name          string `json:"Name" doc:"name of the package"`
	Version       string `json:"Version" doc:"whole version as the package manager writes it: [epoch:]version[-release]"`
	Architecture  string `json:"Architecture,omitempty" doc:"architecture of the package (amd64, x86_64, all, noarch)"`
	Source        string `json:"Source" doc:"package manager: dpkg or rpm"`
	SourcePackage string `json:"SourcePackage,omitempty" doc:"source package that it was built from, where it has another name"`
	Publisher     string `json:"Publisher,omitempty" doc:"maintainer (dpkg) or vendor (rpm)"`
	DisplayName   string `json:"DisplayName,omitempty" doc:"one line about the package"`
	InstalledSize uint64 `json:"InstalledSize,omitempty" unit:"bytes" doc:"space that it needs, as the package says"`
	InstallTime   int64  `json:"InstallTime,omitempty" unit:"us" doc:"when this version was unpacked"`
	Status        string `json:"Status" doc:"installed, or the state in which the package manager left it (unpacked, half-configured, ...)"`
	Held          bool   `json:"Held" doc:"an administrator has told the package manager to keep this version"`
}

// Service is one service unit.
type Service struct {
	Name        string `json:"Name" doc:"name of the unit without .service"`
	DisplayName string `json:"DisplayName,omitempty" doc:"description of the unit"`
	StartMode   string `json:"StartMode" doc:"enabled, enabled-runtime, disabled, static, masked, indirect or generated"`
	State       string `json:"State,omitempty" doc:"running, exited, stopped or failed; absent where systemd does not run, and of services that are started on demand unless they have failed"`
	ServiceType string `json:"ServiceType,omitempty" doc:"type of the unit (simple, notify, oneshot, ...)"`
	PathName    string `json:"PathName,omitempty" doc:"first command that it starts, as written in the unit"`
	StartName   string `json:"StartName,omitempty" doc:"user that it runs as, when not root"`
	UnitFile    string `json:"UnitFile,omitempty" doc:"file that defines it"`
}

// LocalUserAccount is one account.
type LocalUserAccount struct {
	Name           string `json:"Name" doc:"login name"`
	UID            int64  `json:"UID" doc:"number of the user"`
	GID            int64  `json:"GID" doc:"number of the primary group"`
	FullName       string `json:"FullName,omitempty" doc:"name of the person or purpose"`
	HomeDirectory  string `json:"HomeDirectory,omitempty" doc:"home folder"`
	Shell          string `json:"Shell,omitempty" doc:"login shell"`
	PasswordStatus string `json:"PasswordStatus,omitempty" doc:"set, locked or empty; root only. The password's hash is never read into inventory"`
	SystemAccount  bool   `json:"SystemAccount" doc:"made for a service and not for a person, judged by its number"`
	LoginAllowed   bool   `json:"LoginAllowed" doc:"the shell lets somebody in"`
	Administrator  bool   `json:"Administrator" doc:"number 0, or a member of one of the groups sudo, wheel, admin"`
}

// LocalGroup is one group.
type LocalGroup struct {
	Name    string `json:"Name" doc:"name of the group"`
	GID     int64  `json:"GID" doc:"number of the group"`
	Members string `json:"Members,omitempty" doc:"users that the group file lists, sorted, separated by a comma"`
}

// ListeningPort is one port on which something waits.
type ListeningPort struct {
	Protocol     string `json:"Protocol" doc:"tcp, tcp6, udp or udp6"`
	LocalAddress string `json:"LocalAddress" doc:"address that it waits on; 0.0.0.0 and :: mean every one"`
	LocalPort    uint64 `json:"LocalPort" doc:"number of the port"`
	ProcessName  string `json:"ProcessName,omitempty" doc:"name of the program; absent for the kernel's own and for other users' unless root asks"`
	Path         string `json:"Path,omitempty" doc:"file of the program"`
	UserName     string `json:"UserName,omitempty" doc:"owner of the socket, name or number"`
}

// KernelModule is one loaded module.
type KernelModule struct {
	Name    string `json:"Name" doc:"name of the module"`
	Size    uint64 `json:"Size" unit:"bytes" doc:"memory that its code and data take"`
	Version string `json:"Version,omitempty" doc:"version that the module states"`
	Foreign bool   `json:"Foreign" doc:"proprietary, unsigned or not part of the kernel"`
}

// Virtualization says what kind of machine this is.
type Virtualization struct {
	Kind       string `json:"Kind" doc:"physical machine, virtual machine or container"`
	Hypervisor string `json:"Hypervisor,omitempty" doc:"kvm, qemu, vmware, microsoft, xen, virtualbox, parallels, bhyve, acrn, apple or unknown; of a container, that around it"`
	Container  string `json:"Container,omitempty" doc:"docker, podman, lxc, systemd-nspawn, kubernetes, wsl or other"`
}

// TimeZone is the machine's time zone.
type TimeZone struct {
	Name           string `json:"Name" doc:"name in the zone database (Europe/Zurich)"`
	StandardName   string `json:"StandardName,omitempty" doc:"abbreviation of standard time (CET)"`
	DaylightName   string `json:"DaylightName,omitempty" doc:"abbreviation of daylight saving time (CEST), where there is one this year"`
	Bias           int64  `json:"Bias" unit:"minutes" doc:"standard time minus UTC, positive to the east"`
	DaylightSaving bool   `json:"DaylightSaving" doc:"clocks are changed this year"`
}

// File is one file that client settings ask for.
type File struct {
	FileName     string `json:"FileName" doc:"name without the folder"`
	Directory    string `json:"Directory" doc:"folder"`
	Size         uint64 `json:"Size" unit:"bytes" doc:"length of the content"`
	LastModified int64  `json:"LastModified" unit:"us" doc:"when the content was last changed"`
	Mode         string `json:"Mode" doc:"permissions in octal with four digits (0644)"`
	Owner        string `json:"Owner" doc:"owner, name or number"`
	Group        string `json:"Group" doc:"group, name or number"`
	SHA256Hash   string `json:"SHA256Hash,omitempty" doc:"SHA-256 of the content, hex, where the rule asks and the file is not too large"`
}
