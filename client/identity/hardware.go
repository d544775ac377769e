package identity

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"mainstay/lib/filesys"
	"mainstay/wire"
)

// maxFact bounds a file of /sys or /etc that holds one fact, in bytes.
const maxFact = 64 << 10

// Hardware reads what ties this machine to its record: from the firmware's
// tables, the operating system's machine identifier and the permanent
// addresses of physical network adapters. root is the root of the file system,
// "/" but in tests. What cannot be read or is a known placeholder of a maker
// stays empty, because an empty value compares with nothing.
func Hardware(root string) wire.HardwareIdentity {
	dmi := func(name string) string { return fact(root, "sys/class/dmi/id", name) }
	return wire.HardwareIdentity{
		ProductUUID: goodUUID(dmi("product_uuid")),
		Serial:      firstGood(dmi("product_serial"), dmi("chassis_serial"), dmi("board_serial")),
		MachineID:   goodMachineID(fact(root, "etc/machine-id")),
		MACs:        physicalMACs(root),
	}
}

// IsCopy tells whether a machine with the hardware now runs from a disk that
// was copied from the machine with the hardware then. The firmware's
// identifier decides where both have one; without any, the operating system's
// does. Adapters and serial numbers may be replaced in one and the same
// machine.
func IsCopy(then, now wire.HardwareIdentity) bool {
	if then.ProductUUID != "" && now.ProductUUID != "" {
		return !strings.EqualFold(then.ProductUUID, now.ProductUUID)
	}
	if then.ProductUUID == "" && now.ProductUUID == "" {
		return then.MachineID != "" && now.MachineID != "" && then.MachineID != now.MachineID
	}
	return false
}

func fact(root string, parts ...string) string {
	data, err := filesys.ReadFile(filepath.Join(append([]string{root}, parts...)...), maxFact)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(strings.ToValidUTF8(string(data), ""))
}

// goodUUID gives an identifier in lower case, or nothing when it is one that
// makers write into every machine.
func goodUUID(s string) string {
	s = strings.ToLower(s)
	digits := strings.ReplaceAll(s, "-", "")
	if len(digits) != 32 || strings.Trim(digits, "0123456789abcdef") != "" || allEqual(digits) {
		return ""
	}
	known := []string{
		"03000200040005000006000700080009", "12345678123456781234567812345678",
		"00020003000400050006000700080009", "12345678123456789012123456789012",
		"fefefefefefefefefefefefefefefefe", "4c4c454400002010802080c04f202020",
	}
	if slices.Contains(known, digits) {
		return ""
	}
	return s
}

func goodMachineID(s string) string {
	if len(s) != 32 || strings.Trim(s, "0123456789abcdef") != "" || allEqual(s) {
		return ""
	}
	return s
}

// firstGood is the first serial number that is none of the placeholders.
func firstGood(values ...string) string {
	for _, v := range values {
		if goodSerial(v) {
			return v
		}
	}
	return ""
}

func goodSerial(s string) bool {
	if len(s) < 3 || len(s) > 128 || allEqual(strings.ToLower(s)) {
		return false
	}
	placeholders := []string{
		"to be filled by o.e.m.", "to be filled by oem", "default string", "system serial number",
		"chassis serial number", "base board serial number", "not specified", "not applicable",
		"not available", "none", "n/a", "na", "unknown", "invalid", "empty", "o.e.m.", "oem",
		"serial", "serial number", "0123456789", "123456789", "1234567890", "01234567890123456789",
		"0123456789abcdef", "system_serial_number", "not set",
	}
	return !slices.Contains(placeholders, strings.ToLower(s))
}

func allEqual(s string) bool { return s == "" || strings.Trim(s, s[:1]) == "" }

// physicalMACs lists the permanent addresses of adapters that are devices of
// the machine and not made by software.
func physicalMACs(root string) []string {
	dir := filepath.Join(root, "sys/class/net")
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	var macs []string
	for _, entry := range entries {
		adapter := filepath.Join(dir, entry.Name())
		if _, err := os.Stat(filepath.Join(adapter, "device")); err != nil {
			continue
		}
		// A member of a bond wears the bond's address and keeps its own here.
		mac := fact(adapter, "bonding_slave/perm_hwaddr")
		if mac == "" && fact(adapter, "addr_assign_type") == "0" {
			mac = fact(adapter, "address")
		}
		if mac = strings.ToLower(mac); goodMAC(mac) {
			macs = append(macs, mac)
		}
	}
	slices.Sort(macs)
	return slices.Compact(macs)
}

func goodMAC(mac string) bool {
	digits := strings.ReplaceAll(mac, ":", "")
	if len(mac) != 17 || len(digits) != 12 || strings.Trim(digits, "0123456789abcdef") != "" || allEqual(digits) {
		return false
	}
	// The second bit of the first byte marks an address that software chose.
	return !strings.ContainsRune("2367abef", rune(digits[1]))
}
