package inventory

import (
	"encoding/json"
	"os"
	"testing"

	"mainstay/wire"
)

func TestKindOfMachine(t *testing.T) {
	t.Parallel()
	const inside = "pid:[4026532200]"
	for _, test := range []struct {
		name      string
		files     map[string]string
		processes string // the process namespace
		signature string
		want      wire.Virtualization
	}{
		{name: "nothing says anything", want: wire.Virtualization{Kind: physicalMachine}},
		{name: "KVM by its signature", signature: "KVMKVMKVM", want: wire.Virtualization{Kind: virtualMachine, Hypervisor: "kvm"}},
		{name: "a signature that nobody knows", signature: "NewNewNew", want: wire.Virtualization{Kind: virtualMachine, Hypervisor: "unknown"}},
		{
			name: "QEMU without KVM", files: map[string]string{"sys/class/dmi/id/sys_vendor": "QEMU"}, signature: "TCGTCGTCGTCG",
			want: wire.Virtualization{Kind: virtualMachine, Hypervisor: "qemu"},
		},
		{
			name: "VirtualBox with KVM's signature", files: map[string]string{"sys/class/dmi/id/product_name": "VirtualBox"}, signature: "KVMKVMKVM",
			want: wire.Virtualization{Kind: virtualMachine, Hypervisor: "virtualbox"},
		},
		{
			name: "Hyper-V", files: map[string]string{"sys/class/dmi/id/sys_vendor": "Microsoft Corporation", "sys/class/dmi/id/product_name": "Virtual Machine"},
			want: wire.Virtualization{Kind: virtualMachine, Hypervisor: "microsoft"},
		},
		{
			name: "a tablet of the same maker", files: map[string]string{"sys/class/dmi/id/sys_vendor": "Microsoft Corporation", "sys/class/dmi/id/product_name": "Surface Pro 7"},
			want: wire.Virtualization{Kind: physicalMachine},
		},
		{
			name: "rented machine", files: map[string]string{"sys/class/dmi/id/sys_vendor": "Amazon EC2", "sys/class/dmi/id/product_name": "m5.large"},
			want: wire.Virtualization{Kind: virtualMachine, Hypervisor: "kvm"},
		},
		{
			name: "rented whole machine", files: map[string]string{"sys/class/dmi/id/sys_vendor": "Amazon EC2", "sys/class/dmi/id/product_name": "m5.metal"},
			want: wire.Virtualization{Kind: physicalMachine},
		},
		{name: "Xen guest", files: map[string]string{"sys/hypervisor/type": "xen"}, want: wire.Virtualization{Kind: virtualMachine, Hypervisor: "xen"}},
		{
			name: "Xen's own machine", files: map[string]string{"sys/hypervisor/type": "xen", "proc/xen/capabilities": "control_d"}, signature: "XenVMMXenVMM",
			want: wire.Virtualization{Kind: physicalMachine},
		},
		{
			name: "ARM guest", files: map[string]string{"proc/device-tree/hypervisor/compatible": "linux,kvm\x00"},
			want: wire.Virtualization{Kind: virtualMachine, Hypervisor: "kvm"},
		},
		{
			name: "only a flag", files: map[string]string{"proc/cpuinfo": "flags\t\t: fpu hypervisor vme\n"},
			want: wire.Virtualization{Kind: virtualMachine, Hypervisor: "unknown"},
		},
		{
			name: "Docker", files: map[string]string{".dockerenv": ""}, processes: inside, signature: "KVMKVMKVM",
			want: wire.Virtualization{Kind: container, Hypervisor: "kvm", Container: "docker"},
		},
		{
			name: "virtual machine made from an image", files: map[string]string{".dockerenv": ""}, processes: firstProcesses, signature: "KVMKVMKVM",
			want: wire.Virtualization{Kind: virtualMachine, Hypervisor: "kvm"},
		},
		{
			name: "Kubernetes", files: map[string]string{".dockerenv": "", "proc/1/environ": "A=b\x00KUBERNETES_SERVICE_HOST=10.0.0.1\x00"}, processes: inside,
			want: wire.Virtualization{Kind: container, Container: "kubernetes"},
		},
		{
			name: "podman", files: map[string]string{"run/.containerenv": "", "proc/1/environ": "container=oci\x00"}, processes: inside,
			want: wire.Virtualization{Kind: container, Container: "podman"},
		},
		{
			name: "LXC", files: map[string]string{"proc/1/environ": "PATH=/bin\x00container=lxc\x00"}, processes: inside,
			want: wire.Virtualization{Kind: container, Container: "lxc"},
		},
		{
			name: "WSL", files: map[string]string{"proc/sys/kernel/osrelease": "5.15.133.1-microsoft-standard-WSL2"}, processes: inside,
			want: wire.Virtualization{Kind: container, Container: "wsl"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			for name, text := range test.files {
				put(t, root, name, []byte(text))
			}
			if test.processes != "" {
				place(t, root, "proc/self/ns/pid", func(at string) error { return os.Symlink(test.processes, at) })
			}
			s := collect(t, Config{
				Root: root, kernel: &kernel{hypervisor: func() string { return test.signature }},
				sources: []source{{name: "virtualization", classes: []string{wire.ClassVirtualization}, collect: collectVirtualization}},
			})
			var got wire.Virtualization
			if err := json.Unmarshal(s.Classes[wire.ClassVirtualization][0].JSON, &got); err != nil {
				t.Fatal(err)
			}
			if got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}
