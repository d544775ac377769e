package inventory

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"mainstay/wire"
)

// mount is one line of mountinfo.
type mount struct {
	device, root, point, kind, source string
	options                           []string
}

// networkKinds are file systems behind which stands a server. They are never
// asked for their size: one that is dead would hold the caller for ever.
var networkKinds = []string{
	"nfs", "nfs4", "cifs", "smb3", "smbfs", "ceph", "glusterfs", "lustre", "afs", "9p", "virtiofs", "gfs2", "beegfs", "ncpfs", "orangefs",
	"fuse.sshfs", "fuse.glusterfs", "fuse.ceph", "fuse.s3fs", "fuse.rclone", "fuse.lustre", "fuse.beegfs",
}

func (mt mount) network() bool { return slices.Contains(networkKinds, mt.kind) }

// local tells file systems on disks of the machine. Packages that are mounted
// as images (squashfs) are software, not disks; overlays are layers of
// containers, unless one carries the machine itself.
func (mt mount) local() bool {
	switch {
	case mt.kind == "squashfs", strings.HasPrefix(mt.kind, "fuse."), mt.kind == "fuse":
		return false
	case mt.kind == "zfs", mt.kind == "bcachefs":
		return true
	case mt.point == "/" && mt.kind == "overlay":
		return true
	}
	return strings.HasPrefix(mt.source, "/dev/")
}

func (mt mount) readOnly() bool { return slices.Contains(mt.options, "ro") }

// mounts reads the mounted file systems that are inventory: each once, without
// bind mounts and what lies hidden under another mount.
func (m machine) mounts() ([]mount, error) {
	var all []mount
	add := func(line []byte) bool {
		if mt, ok := parseMount(string(line)); ok {
			all = append(all, mt)
		}
		return len(all) < 100_000
	}
	for _, file := range m.mountFiles() {
		all = nil
		if err := m.lines(file, add); err != nil && !errors.Is(err, fs.ErrPermission) {
			return nil, fmt.Errorf("cannot read the mounts: %w", err)
		}
		if len(all) > 0 {
			break
		}
	}
	return selectMounts(all), nil
}

// mountFiles are where mounts may be read. The first process sees the machine
// as it is; this one may be shut in with other mounts and with less right to
// write.
func (m machine) mountFiles() []string {
	if m.kernel.mountinfo != "" {
		return []string{m.kernel.mountinfo}
	}
	return []string{"/proc/1/mountinfo", "/proc/self/mountinfo"}
}

func selectMounts(all []mount) []mount {
	top := map[string]int{}
	for i, mt := range all {
		top[mt.point] = i
	}
	best := map[string]mount{}
	for i, mt := range all {
		if top[mt.point] != i || !mt.local() && !mt.network() {
			continue
		}
		// A part of a file system is a bind mount, unless it is where the
		// machine lives, or a kind that is always mounted in parts.
		whole := mt.root == "/" || mt.point == "/" || mt.kind == "btrfs" || mt.network()
		if !whole {
			continue
		}
		key := mt.device
		if mt.network() {
			key = mt.source + "\n" + mt.point
		}
		if old, ok := best[key]; !ok || mt.better(old) {
			best[key] = mt
		}
	}
	var chosen []mount
	for _, mt := range best {
		chosen = append(chosen, mt)
	}
	slices.SortFunc(chosen, func(a, b mount) int { return strings.Compare(a.point, b.point) })
	return chosen
}

// better prefers the whole file system, then the shorter path.
func (mt mount) better(old mount) bool {
	if (mt.root == "/") != (old.root == "/") {
		return mt.root == "/"
	}
	return cmp.Or(cmp.Compare(len(mt.point), len(old.point)), strings.Compare(mt.point, old.point)) < 0
}

// parseMount reads: id parent major:minor root point options tags... - kind
// source superoptions.
func parseMount(line string) (mount, bool) {
	head, tail, ok := strings.Cut(line, " - ")
	before, after := strings.Fields(head), strings.Fields(tail)
	if !ok || len(before) < 6 || len(after) < 2 {
		return mount{}, false
	}
	mt := mount{
		device: before[2], root: unescapeMount(before[3]), point: unescapeMount(before[4]),
		kind: after[0], source: unescapeMount(after[1]),
		options: strings.Split(before[5], ","),
	}
	// A file system that is read-only as a whole says so in its own options.
	if len(after) > 2 && slices.Contains(strings.Split(after[2], ","), "ro") {
		mt.options = append(mt.options, "ro")
	}
	return mt, path.IsAbs(mt.point)
}

// unescapeMount undoes the octal form of blanks and backslashes.
func unescapeMount(text string) string {
	if !strings.Contains(text, `\`) {
		return text
	}
	var plain strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] == '\\' && i+4 <= len(text) {
			if n, err := strconv.ParseUint(text[i+1:i+4], 8, 8); err == nil {
				plain.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		plain.WriteByte(text[i])
	}
	return plain.String()
}

// collectFileSystems reads the mounted file systems.
func collectFileSystems(ctx context.Context, r *run) error {
	mounts, err := r.machine.mounts()
	if err != nil {
		return err
	}
	for _, mt := range mounts {
		if err := ctx.Err(); err != nil {
			return err
		}
		row := r.logicalDisk(mt)
		r.add(wire.ClassLogicalDisk, &row)
	}
	return nil
}

func (r *run) logicalDisk(mt mount) wire.LogicalDisk {
	m := r.machine
	row := wire.LogicalDisk{
		DeviceID:    clean(mt.point, maxText),
		Name:        clean(mt.source, maxText),
		Description: "Local disk",
		FileSystem:  mt.kind,
		ReadOnly:    mt.readOnly(),
	}
	for _, option := range []string{"nosuid", "nodev", "noexec"} {
		if slices.Contains(mt.options, option) {
			row.Options = strings.TrimPrefix(row.Options+","+option, ",")
		}
	}
	if mt.network() {
		row.Description = "Network file system"
		return row
	}
	device := m.blockDevice(mt)
	if device != "" && mt.source == "/dev/root" {
		row.Name = "/dev/" + device
	}
	udev := m.udev(first(m.text("/sys/class/block/"+device+"/dev"), mt.device))
	row.UUID, row.VolumeName = udev["ID_FS_UUID"], udev["ID_FS_LABEL"]
	row.Encrypted = m.encrypted(device, 0)
	r.addSpace(&row, mt)
	return row
}

// blockDevice is the name of the device under /sys/class/block; empty where no
// block device is behind the file system.
func (m machine) blockDevice(mt mount) string {
	name := path.Base(mt.source)
	if target := m.link(mt.source); target != "" {
		name = path.Base(target)
	}
	if strings.HasPrefix(mt.source, "/dev/") && m.exists("/sys/class/block/"+name) {
		return name
	}
	return m.uevent("/sys/dev/block/" + mt.device + "/uevent")["DEVNAME"]
}

// addSpace adds size and free space. The first process may see another file
// system under the path than this one; then they stay unknown. btrfs shows a
// device of its own for each part and cannot be compared.
func (r *run) addSpace(row *wire.LogicalDisk, mt mount) {
	if r.machine.kernel.space == nil {
		return
	}
	size, free, device, err := r.machine.kernel.space(r.machine.path(mt.point))
	if err != nil || size == 0 {
		return
	}
	seen := fmt.Sprintf("%d:%d", unix.Major(device), unix.Minor(device))
	if seen != mt.device && mt.kind != "btrfs" {
		return
	}
	free = r.steady("free "+mt.point, free, freeStep(size))
	row.Size, row.FreeSpace = &size, &free
}

// freeStep is one percent of the size, and one mebibyte at least.
func freeStep(size uint64) uint64 { return max(size/100>>20, 1) << 20 }

// steady rounds down to a multiple of the step, and keeps what was reported
// until the value has left that step by half of one on either side, so that a
// value near an edge does not go to and fro.
func (r *run) steady(name string, value, step uint64) uint64 {
	return r.hold(name, value/step*step, func(old uint64) bool {
		return old%step == 0 && value+step/2 >= old && value < old+step+step/2
	})
}
