package inventory

import (
	"context"
	"syscall"

	"golang.org/x/sys/unix"
)

// kernel answers what no file tells. A nil function means that it cannot be
// asked, as when the root is not that of the running system; the columns that
// depend on it are then absent.
type kernel struct {
	// machine is the architecture as uname names it.
	machine func() string
	// hypervisor is the signature that the processor gives under one, at most
	// twelve characters; empty on the bare machine.
	hypervisor func() string
	// space is the size of a file system and what is free in it for others
	// than root, in bytes, and the device that path is on.
	space func(path string) (size, free, device uint64, err error)
	// dump asks the kernel by netlink for all links, addresses or routes.
	dump func(request int) ([]byte, error)
	// mountinfo is the file of mounts that counts; empty means that of the
	// first process, which sees the machine as it is, or else the own.
	mountinfo string
	// units lists the services that systemd has loaded.
	units func(context.Context) ([]unitState, error)
}

// unitState is what systemd says of one service.
type unitState struct {
	// Name is the unit's name with its suffix.
	Name string
	// Active is active, failed, inactive, activating or deactivating; Sub is
	// running, exited, dead and others.
	Active, Sub string
}

func runningKernel() *kernel {
	return &kernel{
		machine:    kernelMachine,
		hypervisor: hypervisorSignature,
		space:      fileSystemSpace,
		dump:       func(request int) ([]byte, error) { return syscall.NetlinkRIB(request, unix.AF_UNSPEC) },
		units:      systemdUnits,
	}
}

func kernelMachine() string {
	var name unix.Utsname
	if unix.Uname(&name) != nil {
		return ""
	}
	return unix.ByteSliceToString(name.Machine[:])
}

func fileSystemSpace(path string) (size, free, device uint64, err error) {
	var space unix.Statfs_t
	if err := unix.Statfs(path, &space); err != nil {
		return 0, 0, 0, err
	}
	var folder unix.Stat_t
	if err := unix.Lstat(path, &folder); err != nil {
		return 0, 0, 0, err
	}
	// Frsize is the unit of the counts; some file systems leave it 0.
	unit := uint64(space.Frsize)
	if unit == 0 {
		unit = uint64(space.Bsize)
	}
	return space.Blocks * unit, space.Bavail * unit, uint64(folder.Dev), nil
}
