package inventory

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"mainstay/wire"
)

// collectFirmware reads what the firmware says of itself, of the board, the
// chassis and the memory modules. A machine without SMBIOS tables has no rows.
func collectFirmware(_ context.Context, r *run) error {
	m := r.machine
	bios := wire.Bios{
		Manufacturer:      m.dmi("bios_vendor"),
		SMBIOSBIOSVersion: m.dmi("bios_version"),
		Version:           m.dmi("bios_release"),
		ReleaseDate:       releaseDate(m.dmi("bios_date")),
		SerialNumber:      m.dmi("product_serial"),
		SecureBoot:        m.secureBoot(),
	}
	bios.Name = strings.TrimSpace(bios.Manufacturer + " " + bios.SMBIOSBIOSVersion)
	switch {
	case m.exists("/sys/firmware/efi"):
		bios.FirmwareType = "UEFI"
	case bios.Name != "":
		bios.FirmwareType = "BIOS"
	}
	if bios != (wire.Bios{}) {
		r.add(wire.ClassBios, &bios)
	}
	board := wire.BaseBoard{
		Manufacturer: m.dmi("board_vendor"), Product: m.dmi("board_name"), Version: m.dmi("board_version"),
		SerialNumber: m.dmi("board_serial"), AssetTag: m.dmi("board_asset_tag"),
	}
	if board != (wire.BaseBoard{}) {
		r.add(wire.ClassBaseBoard, &board)
	}
	enclosure := wire.SystemEnclosure{
		Manufacturer: m.dmi("chassis_vendor"), ChassisType: chassisType(m.dmi("chassis_type")), Version: m.dmi("chassis_version"),
		SerialNumber: m.dmi("chassis_serial"), SMBIOSAssetTag: m.dmi("chassis_asset_tag"),
	}
	if enclosure != (wire.SystemEnclosure{}) {
		r.add(wire.ClassSystemEnclosure, &enclosure)
	}
	return r.memoryModules()
}

func (r *run) memoryModules() error {
	table, err := r.machine.head("/sys/firmware/dmi/tables/DMI", 1<<20)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("cannot read the firmware tables: %w", err)
	}
	for _, structure := range parseSMBIOS(table) {
		if module, ok := memoryModule(structure); ok {
			r.add(wire.ClassPhysicalMemory, &module)
		}
	}
	return nil
}

// dmi is one attribute that the kernel has read from the firmware.
// Serial numbers are for root alone.
func (m machine) dmi(name string) string {
	data, err := m.head("/sys/class/dmi/id/"+name, 4*maxText)
	if errors.Is(err, fs.ErrPermission) {
		return wire.NeedsRoot
	}
	// What is not there is not known.
	return known(clean(string(data), maxText))
}

// placeholders are what makers leave where they should have written something,
// in lower case. They must not pass for serial numbers: many machines share
// them.
var placeholders = map[string]bool{
	"to be filled by o.e.m.": true, "to be filled by o.e.m": true, "default string": true, "none": true, "not specified": true,
	"not available": true, "not applicable": true, "n/a": true, "na": true, "unknown": true, "undefined": true, "empty": true, "invalid": true,
	"system manufacturer": true, "system product name": true, "system version": true, "system serial number": true, "sku": true,
	"base board": true, "base board version": true, "base board serial number": true, "chassis manufacturer": true,
	"chassis version": true, "chassis serial number": true, "chassis asset tag": true, "asset tag": true, "asset-1234567890": true, "no asset tag": true,
	"no asset information": true, "type1productconfigid": true, "o.e.m.": true, "oem": true, "123456789": true, "0123456789": true, "1234567890": true,
	"serial number": true, "part number": true, "manufacturer": true, "not settable": true, "03000200-0400-0500-0006-000700080009": true,
}

// known is the text, or nothing where it only says that nothing is known.
func known(text string) string {
	if placeholders[strings.ToLower(text)] || strings.Trim(text, "0-. ") == "" || strings.Trim(strings.ToLower(text), "fx- ") == "" {
		return ""
	}
	return text
}

// releaseDate reads the form of the standard, month/day/year, as midnight UTC.
func releaseDate(text string) int64 {
	for _, layout := range []string{"01/02/2006", "01/02/06", "2006-01-02"} {
		if day, err := time.Parse(layout, text); err == nil {
			return day.UnixMicro()
		}
	}
	return 0
}

// secureBoot reads the firmware variable: four bytes of attributes, then 1.
func (m machine) secureBoot() bool {
	data, err := m.head("/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c", 8)
	return err == nil && len(data) >= 5 && data[4] == 1
}

// chassisTypes are those of the SMBIOS standard, from 1.
var chassisTypes = [...]string{
	"Other", "Unknown", "Desktop", "Low Profile Desktop", "Pizza Box", "Mini Tower", "Tower", "Portable", "Laptop", "Notebook", "Hand Held",
	"Docking Station", "All in One", "Sub Notebook", "Space-saving", "Lunch Box", "Main Server Chassis", "Expansion Chassis", "Sub Chassis",
	"Bus Expansion Chassis", "Peripheral Chassis", "RAID Chassis", "Rack Mount Chassis", "Sealed-case PC", "Multi-system Chassis",
	"Compact PCI", "Advanced TCA", "Blade", "Blade Enclosure", "Tablet", "Convertible", "Detachable", "IoT Gateway", "Embedded PC", "Mini PC", "Stick PC",
}

func chassisType(text string) string {
	n, err := strconv.Atoi(text)
	// The highest bit says that there is a lock; 1 is "other", 2 "unknown".
	if n &= 0x7f; err != nil || n < 3 || n > len(chassisTypes) {
		return ""
	}
	return chassisTypes[n-1]
}
