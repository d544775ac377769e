package machine

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// Chroot is this machine with another root file system: same name, address,
// network and data folder, but the programs, files and processes of the root.
// Any number of roots may be in use at once, each as often as wanted; a
// machine-id is made when the root has none.
//
// root is a folder such as CleanRoot gives. The test may change files in it
// meanwhile.
func (m *Machine) Chroot(root string) *Machine {
	t := m.network.t
	t.Helper()
	inside := *m
	inside.root = root
	if err := m.prepare(root); err != nil {
		t.Fatalf("machine: cannot prepare the root %s: %v", root, err)
	}
	command := m.holder.enter("--net", "--",
		"unshare", "--mount", "--pid", "--uts", "--ipc", "--fork", "--kill-child", "--propagation", "slave", "sh")
	// Process 1 takes over processes whose parent has ended; as it ignores
	// the death of children, none stays behind as a zombie. Ready is said from
	// inside the root, because entering it asks where process 1 is.
	inside.chroot = hold(t, command, `
root=$1
mount --bind "$3" "$root/etc/hosts"
mount --bind "$4" "$root$4"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t tmpfs -o mode=755,nosuid,size=64m devices "$root/dev"
for device in null:3 zero:5 full:7 random:8 urandom:9; do
	mknod -m 666 "$root/dev/${device%:*}" c 1 ${device#*:}
done
mknod -m 666 "$root/dev/tty" c 5 0
mkdir -m 755 "$root/dev/pts"
mkdir -m 1777 "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666,mode=0620 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
ln -s /proc/self/fd/0 "$root/dev/stdin"
ln -s /proc/self/fd/1 "$root/dev/stdout"
ln -s /proc/self/fd/2 "$root/dev/stderr"
echo "$2" >/proc/sys/kernel/hostname
mount -t proc proc "$root/proc"
trap '' CHLD
exec chroot "$root" sh -c 'echo $1; exec cat' sh $pid`, root, m.name, m.network.hosts(), m.folder)
	return &inside
}

// prepare writes what a root must have of its own. Files that are there are
// written in place: in another Chroot of the same root something may be mounted
// on them.
func (m *Machine) prepare(root string) error {
	etc := filepath.Join(root, "etc")
	if err := os.MkdirAll(etc, 0o755); err != nil {
		return err
	}
	files := map[string]string{"hostname": m.name + "\n", "hosts": "", "resolv.conf": ""}
	id, err := os.ReadFile(filepath.Join(etc, "machine-id"))
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && len(id) == 0:
		files["machine-id"] = machineID()
	case err != nil:
		return err
	}
	for name := range files {
		if err := removeLink(filepath.Join(etc, name)); err != nil {
			return err
		}
	}
	if err := writeFiles(etc, files); err != nil {
		return err
	}
	for _, folder := range []string{"proc", "sys", "dev", m.folder} {
		if err := os.MkdirAll(filepath.Join(root, folder), 0o755); err != nil {
			return err
		}
	}
	return nil
}

// removeLink removes a symbolic link, which may lead out of the root.
func removeLink(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil || info.Mode()&fs.ModeSymlink == 0 {
		return err
	}
	return os.Remove(path)
}

func (m *Machine) commandInRoot(ctx context.Context, name string, args []string) *exec.Cmd {
	// nsenter stays outside and waits; should it be killed, the program is.
	argv := append(m.chroot.enter("--net", "--mount", "--pid", "--uts", "--ipc", "--root", "--wdns="+m.folder, "--",
		"setpriv", "--pdeathsig", "KILL", "--", name), args...)
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = []string{
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"HOME=/root", "LANG=C.UTF-8", "TERM=dumb", "DEBIAN_FRONTEND=noninteractive",
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}
