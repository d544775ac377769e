package inventory

import (
	"context"
	"path"
	"strconv"
	"strings"

	"mainstay/wire"
)

// sector is the unit of sizes under /sys/block, whatever the disk's own is.
const sector = 512

// collectDisks reads disks and their partitions.
func collectDisks(_ context.Context, r *run) error {
	m := r.machine
	for _, name := range m.names("/sys/block") {
		if !m.isPhysicalDisk(name) {
			continue
		}
		disk := m.disk(name)
		r.add(wire.ClassPhysicalDisk, &disk)
		for _, part := range m.names("/sys/block/" + name) {
			if index, ok := m.number("/sys/block/" + name + "/" + part + "/partition"); ok {
				partition := m.partition(name, part, index)
				r.add(wire.ClassPartition, &partition)
			}
		}
	}
	return nil
}

// isPhysicalDisk tells disks from what the kernel makes out of other things:
// loop devices, memory, volumes, arrays. These are virtual to the kernel; so
// are NVMe disks with several paths, whose paths are hidden.
func (m machine) isPhysicalDisk(name string) bool {
	if strings.HasSuffix(name, "rpmb") || m.text("/sys/block/"+name+"/hidden") == "1" {
		return false
	}
	virtual := strings.Contains(m.link("/sys/block/"+name), "/virtual/")
	return !virtual || strings.HasPrefix(name, "nvme")
}

func (m machine) disk(name string) wire.PhysicalDisk {
	folder := "/sys/block/" + name + "/"
	udev := m.udev(m.text(folder + "dev"))
	disk := wire.PhysicalDisk{
		Name:             name,
		Model:            first(known(m.text(folder+"device/model")), known(m.text(folder+"device/name"))),
		Manufacturer:     diskVendor(known(m.text(folder + "device/vendor"))),
		SerialNumber:     m.diskSerial(folder, udev),
		FirmwareRevision: known(first(m.text(folder+"device/firmware_rev"), m.text(folder+"device/rev"), m.text(folder+"device/fwrev"))),
		WWN:              diskWWN(first(m.text(folder+"wwid"), m.text(folder+"device/wwid"), udev["ID_WWN"])),
		InterfaceType:    diskInterface(name, m.link("/sys/block/"+name)),
		ReadOnly:         m.text(folder+"ro") == "1",
		PartitionStyle:   udev["ID_PART_TABLE_TYPE"],
	}
	sectors, _ := m.number(folder + "size")
	disk.Size = sectors * sector
	disk.LogicalSectorSize, _ = m.number(folder + "queue/logical_block_size")
	disk.PhysicalSectorSize, _ = m.number(folder + "queue/physical_block_size")
	disk.Removable = m.text(folder+"removable") == "1" || disk.InterfaceType == "usb"
	disk.MediaType = m.mediaType(name, folder, disk.InterfaceType)
	return disk
}

// mediaType is not known of disks that a hypervisor makes: what they claim
// about rotation is a default.
func (m machine) mediaType(name, folder, connection string) string {
	switch {
	case strings.HasPrefix(name, "sr"):
		return "Optical"
	case connection == "virtio", connection == "xen", connection == "vmbus":
		return ""
	case m.text(folder+"queue/rotational") == "0":
		return "SSD"
	case m.text(folder+"queue/rotational") == "1":
		return "HDD"
	}
	return ""
}

// diskVendor drops what is no maker: the protocol, or the number of a bus.
func diskVendor(vendor string) string {
	if vendor == "ATA" || vendor == "USB" || strings.HasPrefix(vendor, "0x") {
		return ""
	}
	return vendor
}

// diskSerial asks the places of NVMe and MMC, virtio, SCSI and the device
// manager, in this order.
func (m machine) diskSerial(folder string, udev map[string]string) string {
	if serial := known(first(m.text(folder+"device/serial"), m.text(folder+"serial"))); serial != "" {
		return serial
	}
	// Page 80h of the vital product data: four bytes of header, then text.
	if page, err := m.head(folder+"device/vpd_pg80", 256); err == nil && len(page) > 4 {
		return known(clean(string(page[4:]), 255))
	}
	return known(udev["ID_SERIAL_SHORT"])
}

// diskWWN takes identifiers that the whole world shares; others are made out of
// model and serial number.
func diskWWN(id string) string {
	id = strings.ToLower(id)
	for _, prefix := range []string{"naa.", "eui.", "nvme.", "uuid.", "0x"} {
		if strings.HasPrefix(id, prefix) {
			return id
		}
	}
	return ""
}

// diskInterface is judged by where the disk hangs in the tree of devices.
func diskInterface(name, link string) string {
	for _, place := range []struct{ part, connection string }{
		{"/usb", "usb"}, {"/nvme", "nvme"}, {"/virtio", "virtio"}, {"/mmc_host/", "mmc"}, {"/vbd-", "xen"}, {"/VMBUS:", "vmbus"}, {"/vmbus", "vmbus"},
		{"/ata", "sata"}, {"/host", "scsi"},
	} {
		if strings.Contains(link, place.part) {
			return place.connection
		}
	}
	if strings.HasPrefix(name, "nvme") {
		return "nvme"
	}
	return ""
}

func (m machine) partition(disk, name string, index uint64) wire.Partition {
	folder := "/sys/block/" + disk + "/" + name + "/"
	udev := m.udev(m.text(folder + "dev"))
	event := m.uevent(folder + "uevent")
	partition := wire.Partition{
		Name: name, DiskName: disk, Index: index,
		Label:      first(udev["ID_PART_ENTRY_NAME"], event["PARTNAME"]),
		Type:       strings.ToLower(udev["ID_PART_ENTRY_TYPE"]),
		UUID:       strings.ToLower(first(udev["ID_PART_ENTRY_UUID"], event["PARTUUID"])),
		FileSystem: udev["ID_FS_TYPE"],
		ReadOnly:   m.text(folder+"ro") == "1",
	}
	start, _ := m.number(folder + "start")
	size, _ := m.number(folder + "size")
	partition.StartingOffset, partition.Size = start*sector, size*sector
	return partition
}

// uevent reads lines of the form NAME=value.
func (m machine) uevent(file string) map[string]string {
	values := map[string]string{}
	_ = m.lines(file, func(line []byte) bool {
		if name, value, ok := strings.Cut(string(line), "="); ok {
			values[name] = clean(value, maxText)
		}
		return len(values) < 200
	})
	return values
}

// udev is what the device manager has found out about a block device, by its
// number (8:1). Machines without it, as containers, have nothing there.
func (m machine) udev(number string) map[string]string {
	values := map[string]string{}
	if major, minor, ok := strings.Cut(number, ":"); !ok || !digits(major) || !digits(minor) {
		return values
	}
	_ = m.lines("/run/udev/data/b"+number, func(line []byte) bool {
		if text, ok := strings.CutPrefix(string(line), "E:"); ok {
			name, value, _ := strings.Cut(text, "=")
			values[name] = unescapeUdev(value)
		}
		return len(values) < 500
	})
	return values
}

func digits(text string) bool { return text != "" && strings.Trim(text, "0123456789") == "" }

// unescapeUdev undoes \x20 and the like.
func unescapeUdev(text string) string {
	if !strings.Contains(text, `\x`) {
		return clean(text, maxText)
	}
	var plain strings.Builder
	for i := 0; i < len(text); i++ {
		if i+4 <= len(text) && text[i:i+2] == `\x` {
			if n, err := strconv.ParseUint(text[i+2:i+4], 16, 8); err == nil {
				plain.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		plain.WriteByte(text[i])
	}
	return clean(plain.String(), maxText)
}

// encrypted tells whether disk encryption lies between a block device and every
// disk under it. Device is a name under /sys/class/block.
func (m machine) encrypted(device string, depth int) bool {
	folder := "/sys/class/block/" + device + "/"
	if device == "" || depth > 8 {
		return false
	}
	if strings.HasPrefix(m.text(folder+"dm/uuid"), "CRYPT-") {
		return true
	}
	below := m.names(folder + "slaves")
	for _, name := range below {
		if !m.encrypted(path.Base(name), depth+1) {
			return false
		}
	}
	return len(below) > 0
}
