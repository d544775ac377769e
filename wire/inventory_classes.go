package wire

import (
	"reflect"
	"strings"
)

// InventoryClass describes one class (table) of inventory, so that a site, a
// console and the query language know it without knowing the collectors.
//
// Names are those of CMPivot where it has one, so that questions written for
// it work; Aliases are further names that mean the same table.
//
// What changes all the time (free memory, counters, process identifiers) is no
// column of any class: an inventory that nobody has changed has the hash of
// yesterday. The few columns that move at all say so in Volatile.
type InventoryClass struct {
	Name    string
	Aliases []string
	// Row is a zero value of the struct of its rows; see Columns.
	Row any
	// KeyColumns tell rows apart over time. Empty: there is at most one row.
	KeyColumns []string
	// Volatile names columns that change without anybody's doing, and what
	// keeps them quiet.
	Volatile    string
	Description string
}

// InventoryColumn describes one column of a class.
type InventoryColumn struct {
	Name string
	// Type is "string", "bool", "integer" or "time" (integer microseconds
	// since 1970, UTC).
	Type string
	// Unit is the unit of a number, empty for a plain count.
	Unit string
	// Key tells that it is one of the KeyColumns.
	Key         bool
	Description string
}

// Columns lists the columns of the class in the order of the struct. They come
// from its tags: json is the name, unit the unit ("us" marks a time), doc the
// meaning. A column whose value is not known is absent from a row, which reads
// as null; booleans are always there.
func (c InventoryClass) Columns() []InventoryColumn {
	t := reflect.TypeOf(c.Row)
	columns := make([]InventoryColumn, 0, t.NumField())
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		column := InventoryColumn{Name: name, Type: "integer", Unit: f.Tag.Get("unit"), Description: f.Tag.Get("doc")}
		switch {
		case f.Type.Kind() == reflect.String:
			column.Type = "string"
		case f.Type.Kind() == reflect.Bool:
			column.Type = "bool"
		case column.Unit == "us":
			column.Type, column.Unit = "time", ""
		}
		for _, key := range c.KeyColumns {
			column.Key = column.Key || key == name
		}
		columns = append(columns, column)
	}
	return columns
}

// InventoryClassNamed finds a class by its name or one of its aliases, without
// regard to case.
func InventoryClassNamed(name string) (InventoryClass, bool) {
	for _, c := range InventoryClasses() {
		if strings.EqualFold(c.Name, name) {
			return c, true
		}
		for _, alias := range c.Aliases {
			if strings.EqualFold(alias, name) {
				return c, true
			}
		}
	}
	return InventoryClass{}, false
}

// Names of the classes.
const (
	ClassComputerSystem              = "ComputerSystem"
	ClassOS                          = "OS"
	ClassProcessor                   = "Processor"
	ClassMemory                      = "Memory"
	ClassPhysicalMemory              = "PhysicalMemory"
	ClassPhysicalDisk                = "PhysicalDisk"
	ClassPartition                   = "Partition"
	ClassLogicalDisk                 = "LogicalDisk"
	ClassNetworkAdapter              = "NetworkAdapter"
	ClassNetworkAdapterConfiguration = "NetworkAdapterConfiguration"
	ClassRoute                       = "Route"
	ClassBios                        = "Bios"
	ClassBaseBoard                   = "BaseBoard"
	ClassSystemEnclosure             = "SystemEnclosure"
	ClassInstalledSoftware           = "InstalledSoftware"
	ClassService                     = "Service"
	ClassLocalUserAccount            = "LocalUserAccount"
	ClassLocalGroup                  = "LocalGroup"
	ClassListeningPort               = "ListeningPort"
	ClassKernelModule                = "KernelModule"
	ClassVirtualization              = "Virtualization"
	ClassTimeZone                    = "TimeZone"
	ClassFile                        = "File"
)

// InventoryClasses returns every class, in the order in which a console shows
// them.
func InventoryClasses() []InventoryClass {
	return []InventoryClass{
		{Name: ClassComputerSystem, Row: ComputerSystem{},
			Description: "The machine as a whole: its name, its maker, its size."},
		{Name: ClassOS, Aliases: []string{"OperatingSystem"}, Row: OS{},
			Volatile:    "LastBootUpTime is kept as it was until it moves by more than two minutes, because the kernel computes it from a clock that is being corrected.",
			Description: "The operating system that runs now."},
		{Name: ClassProcessor, Row: Processor{}, KeyColumns: []string{"DeviceID"},
			Description: "One row for each processor package (socket)."},
		{Name: ClassMemory, Row: Memory{},
			Description: "Memory and swap as the kernel counts them. A virtual machine whose memory the host takes and gives (ballooning) changes it."},
		{Name: ClassPhysicalMemory, Row: PhysicalMemory{}, KeyColumns: []string{"DeviceLocator", "BankLocator"},
			Description: "One row for each memory module; needs firmware tables, which only root may read."},
		{Name: ClassPhysicalDisk, Row: PhysicalDisk{}, KeyColumns: []string{"Name"},
			Description: "Disks of the machine; neither loop devices nor what is made out of other block devices."},
		{Name: ClassPartition, Aliases: []string{"DiskPartition"}, Row: Partition{}, KeyColumns: []string{"Name"},
			Description: "Partitions of the physical disks."},
		{Name: ClassLogicalDisk, Aliases: []string{"Disk", "Volume"}, Row: LogicalDisk{}, KeyColumns: []string{"DeviceID"},
			Volatile:    "FreeSpace is in steps of one percent of Size and stays until it has left its step by half of one.",
			Description: "Mounted file systems on disks and from file servers; no bind mounts, no layers of containers. Sizes of network file systems are not asked for, because a dead server would hold the client up."},
		{Name: ClassNetworkAdapter, Row: NetworkAdapter{}, KeyColumns: []string{"Name"},
			Volatile:    "Speed and NetConnectionStatus follow the cable.",
			Description: "Network interfaces, without the ends of pairs that lead into containers."},
		{Name: ClassNetworkAdapterConfiguration, Aliases: []string{"IPConfig"}, Row: NetworkAdapterConfiguration{}, KeyColumns: []string{"Interface", "Address", "PrefixLength"},
			Volatile:    "Temporary IPv6 addresses are left out, since they are replaced every day.",
			Description: "One row for each address of an interface."},
		{Name: ClassRoute, Aliases: []string{"IP4RouteTable"}, Row: Route{}, KeyColumns: []string{"Destination", "Gateway", "Interface", "Metric"},
			Volatile:    "Routes that a routing daemon has learnt are left out.",
			Description: "Unicast routes of the main table."},
		{Name: ClassBios, Row: Bios{},
			Description: "The firmware. No row where the machine shows none, as many virtual machines."},
		{Name: ClassBaseBoard, Aliases: []string{"Motherboard"}, Row: BaseBoard{},
			Description: "The main board. No row where the firmware names none."},
		{Name: ClassSystemEnclosure, Row: SystemEnclosure{},
			Description: "The chassis. No row where the firmware names none."},
		{Name: ClassInstalledSoftware, Row: InstalledSoftware{}, KeyColumns: []string{"Name", "Architecture", "Source", "Version"},
			Description: "Packages of dpkg and rpm. Several versions of one package may stand side by side (kernels)."},
		{Name: ClassService, Aliases: []string{"Services"}, Row: Service{}, KeyColumns: []string{"Name"},
			Volatile:    "State of a service that is started on demand (timer, socket, D-Bus) or runs to its end is told only when it has failed.",
			Description: "Service units of systemd that have a file, instances of templates included when enabled."},
		{Name: ClassLocalUserAccount, Aliases: []string{"Users", "SystemAccount"}, Row: LocalUserAccount{}, KeyColumns: []string{"Name"},
			Description: "Accounts of the machine's own account file; those of a directory service are not local."},
		{Name: ClassLocalGroup, Aliases: []string{"Groups"}, Row: LocalGroup{}, KeyColumns: []string{"Name"},
			Description: "Groups of the machine's own group file."},
		{Name: ClassListeningPort, Aliases: []string{"Port"}, Row: ListeningPort{}, KeyColumns: []string{"Protocol", "LocalAddress", "LocalPort"},
			Volatile:    "UDP sockets of programs in the range of ports that the kernel hands out are left out: they are clients.",
			Description: "Ports of the machine's own network namespace on which something waits, and what."},
		{Name: ClassKernelModule, Row: KernelModule{}, KeyColumns: []string{"Name"},
			Description: "Loaded modules of the kernel; empty where it has none or may load none."},
		{Name: ClassVirtualization, Row: Virtualization{},
			Description: "Whether this is a physical machine, a virtual machine or a container, and whose."},
		{Name: ClassTimeZone, Row: TimeZone{},
			Description: "The machine's time zone."},
		{Name: ClassFile, Row: File{}, KeyColumns: []string{"Directory", "FileName"},
			Description: "Files that client settings ask for by path pattern."},
	}
}
