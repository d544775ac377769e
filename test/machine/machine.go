package machine

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// Machine is one simulated machine, or the same in another root file system.
type Machine struct {
	network *Network
	name    string
	address netip.Addr
	folder  string
	holder  *holder
	chroot  *holder // nil: the root file system of the real machine
	root    string
}

// Name is the host name.
func (m *Machine) Name() string { return m.name }

// Address is that of eth0, inside the network only.
func (m *Machine) Address() netip.Addr { return m.address }

// Folder is an empty folder for the machine's data. It has the same path
// outside the machine, inside it, and inside its roots.
func (m *Machine) Folder() string { return m.folder }

// startLocked makes the namespaces of a machine, not yet on the network.
func (n *Network) startLocked(name string) *Machine {
	n.t.Helper()
	address := prefix.Addr()
	for range len(n.machines) + 1 {
		address = address.Next()
	}
	m := &Machine{network: n, name: name, address: address, folder: n.t.TempDir()}
	own := filepath.Join(n.folder, name)
	files := map[string]string{"machine-id": machineID(), "hostname": name + "\n", "resolv.conf": ""}
	if err := writeFiles(own, files); err != nil {
		n.t.Fatalf("machine: %v", err)
	}
	m.holder = hold(n.t, []string{"unshare", "--net", "--mount", "--uts", "--propagation", "slave", "sh"}, `
mount -t sysfs sysfs /sys
mount --bind "$2" /etc/hosts
for file in machine-id hostname resolv.conf; do
	if test -e /etc/$file; then mount --bind "$3/$file" /etc/$file; fi
done
echo "$1" >/proc/sys/kernel/hostname
if test -e /proc/sys/net/ipv6/conf/default/disable_ipv6; then
	# A link-local address would be a second way to the others.
	echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6
fi
ip link set lo up`+killAll, name, n.hosts(), own)
	return m
}

func machineID() string {
	id := make([]byte, 16)
	rand.Read(id) // never fails
	return hex.EncodeToString(id) + "\n"
}

func writeFiles(folder string, files map[string]string) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// Command prepares a program to run on the machine, in its data folder. Without
// a root of its own the machine gives it the environment of the test; in a root
// it is a small fixed one.
//
// The end of ctx and Process.Kill kill the program as SIGKILL does. Use Signal
// for any other signal. What is still running when the test process ends is
// killed.
func (m *Machine) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	if m.chroot != nil {
		return m.commandInRoot(ctx, name, args)
	}
	argv := append(m.holder.enter("--net", "--mount", "--uts", "--wdns="+m.folder, "--", name), args...)
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// Signal sends a signal to a program that was started with Command.
func (m *Machine) Signal(cmd *exec.Cmd, signal syscall.Signal) error {
	if m.chroot == nil {
		return cmd.Process.Signal(signal)
	}
	// In a root the program is the child of the one that entered it.
	pid := cmd.Process.Pid
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return fmt.Errorf("cannot find the program of process %d: %w", pid, err)
	}
	child, err := strconv.Atoi(strings.TrimSpace(string(children)))
	if err != nil {
		return fmt.Errorf("cannot find the program of process %d: %w", pid, os.ErrProcessDone)
	}
	return syscall.Kill(child, signal)
}

// Bind shows source, a file or folder of the real machine, at target on this
// machine only. Target must be there and of the same kind.
func (m *Machine) Bind(source, target string) {
	t := m.network.t
	t.Helper()
	if m.root != "" {
		t.Fatalf("machine: Bind is for a machine without a root of its own; write into the root %s instead", m.root)
	}
	out, err := m.Command(context.Background(), "mount", "--bind", source, target).CombinedOutput()
	if err != nil {
		t.Fatalf("machine: cannot show %s at %s: %v\n%s", source, target, err, out)
	}
}
