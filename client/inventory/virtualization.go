package inventory

import (
	"context"
	"strings"

	"mainstay/wire"
)

// Kinds of machines.
const (
	physicalMachine = "physical machine"
	virtualMachine  = "virtual machine"
	container       = "container"
)

// collectVirtualization finds out what kind of machine this is. A container is
// said to be one even in a virtual machine; Hypervisor then tells of the
// machine around it.
func collectVirtualization(_ context.Context, r *run) error {
	row := wire.Virtualization{Kind: physicalMachine, Hypervisor: r.machine.hypervisor(), Container: r.machine.container()}
	switch {
	case row.Container != "":
		row.Kind = container
	case row.Hypervisor != "":
		row.Kind = virtualMachine
	}
	r.add(wire.ClassVirtualization, &row)
	return nil
}

// firmwareMarks are what hypervisors write into the firmware tables.
var firmwareMarks = []struct{ text, hypervisor string }{
	{"VMware", "vmware"}, {"VMW", "vmware"}, {"VirtualBox", "virtualbox"}, {"innotek GmbH", "virtualbox"}, {"Parallels", "parallels"},
	{"BHYVE", "bhyve"}, {"Xen", "xen"}, {"QEMU", "qemu"}, {"Bochs", "qemu"}, {"SeaBIOS", "qemu"}, {"KubeVirt", "kvm"}, {"OpenStack", "kvm"},
	{"KVM", "kvm"}, {"RHEV", "kvm"}, {"Google Compute Engine", "kvm"}, {"Apple Virtualization", "apple"},
}

// signatures are what hypervisors answer through the processor.
var signatures = map[string]string{
	"KVMKVMKVM": "kvm", "Linux KVM Hv": "kvm", "VMwareVMware": "vmware", "Microsoft Hv": "microsoft", "XenVMMXenVMM": "xen", "VBoxVBoxVBox": "virtualbox",
	"TCGTCGTCGTCG": "qemu", "bhyve bhyve ": "bhyve", " lrpepyh  vr": "parallels", "prl hyperv": "parallels", "ACRNACRNACRN": "acrn",
}

// hypervisor names the hypervisor under this machine; empty on a physical one.
func (m machine) hypervisor() string {
	if m.xenControl() {
		return ""
	}
	mark := m.firmwareHypervisor()
	// QEMU's firmware says nothing of who runs the processors. Other marks are
	// better than a signature, since some hypervisors borrow another's.
	if mark != "" && mark != "qemu" {
		return mark
	}
	if m.kernel.hypervisor != nil {
		if signature := m.kernel.hypervisor(); signature != "" {
			return first(signatures[signature], signatures[strings.TrimSpace(signature)], mark, "unknown")
		}
	}
	for _, other := range []string{m.text("/sys/hypervisor/type"), m.deviceTreeHypervisor(), mark} {
		if other != "" {
			return other
		}
	}
	if m.hypervisorFlag() {
		return "unknown"
	}
	return ""
}

// xenControl tells the machine that controls Xen, which has the hardware.
func (m machine) xenControl() bool {
	return strings.Contains(m.text("/proc/xen/capabilities"), "control_d")
}

func (m machine) firmwareHypervisor() string {
	vendor, product := m.dmi("sys_vendor"), m.dmi("product_name")
	switch {
	case vendor == "Microsoft Corporation" && product == "Virtual Machine":
		return "microsoft"
	case vendor == "Amazon EC2":
		// The same maker also rents out whole machines.
		if strings.Contains(product, ".metal") {
			return ""
		}
		return "kvm"
	}
	for _, attribute := range []string{product, vendor, m.dmi("board_vendor"), m.dmi("bios_vendor")} {
		for _, mark := range firmwareMarks {
			if strings.HasPrefix(attribute, mark.text) {
				return mark.hypervisor
			}
		}
	}
	return ""
}

func (m machine) deviceTreeHypervisor() string {
	switch compatible := m.deviceTree("hypervisor/compatible"); {
	case strings.HasPrefix(compatible, "linux,kvm"):
		return "kvm"
	case strings.HasPrefix(compatible, "xen"):
		return "xen"
	case strings.HasPrefix(compatible, "vmware"):
		return "vmware"
	case compatible != "":
		return "unknown"
	}
	for _, node := range m.names("/proc/device-tree") {
		if strings.HasPrefix(node, "fw-cfg@") {
			return "qemu"
		}
	}
	return ""
}

// hypervisorFlag tells whether the processor says that it is not alone.
func (m machine) hypervisorFlag() bool {
	found := false
	_ = m.lines("/proc/cpuinfo", func(line []byte) bool {
		name, flags, ok := strings.Cut(string(line), ":")
		if !ok || strings.TrimSpace(name) != "flags" {
			return true
		}
		found = strings.Contains(flags+" ", " hypervisor ")
		return false
	})
	return found
}

// firstProcesses is the name of the process namespace in which the kernel
// starts.
const firstProcesses = "pid:[4026531836]"

// container names what runs this container; empty outside one. A machine that
// was made from an image of a container may carry its marks; what sees the
// kernel's first processes is none.
func (m machine) container() string {
	switch {
	case m.link("/proc/self/ns/pid") == firstProcesses:
		return ""
	case strings.Contains(strings.ToLower(m.text("/proc/sys/kernel/osrelease")), "microsoft"):
		return "wsl"
	case m.exists("/run/.containerenv"):
		return "podman"
	}
	// The first process knows what started it; root only.
	environment, err := m.head("/proc/1/environ", 64<<10)
	if err != nil {
		environment = nil
	}
	kind := m.text("/run/systemd/container")
	for variable := range strings.SplitSeq(string(environment), "\x00") {
		name, value, _ := strings.Cut(variable, "=")
		switch {
		case name == "KUBERNETES_SERVICE_HOST":
			return "kubernetes"
		case name == "container" && kind == "":
			kind = clean(value, 64)
		}
	}
	switch {
	case kind == "oci" && m.exists("/.dockerenv"), kind == "" && m.exists("/.dockerenv"):
		return "docker"
	case kind == "lxc-libvirt":
		return "lxc"
	}
	return kind
}
