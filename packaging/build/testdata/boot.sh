# Starts systemd on a copy of this machine that is thrown away, as a container
# would: processes, mounts, network and control groups of its own, the kernel's
# settings read-only. Its argument is the folder of the copy. Must run in new
# namespaces.
set -eu
root=$1/root

mount --make-rprivate /
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/changes,workdir=$1/work" "$root"
mount -t proc proc "$root/proc"
mount --bind "$root/proc/sys" "$root/proc/sys"
mount -o remount,bind,ro "$root/proc/sys"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for device in null zero full random urandom tty; do
	: >"$root/dev/$device"
	mount --bind "/dev/$device" "$root/dev/$device"
done
mkdir "$root/dev/shm" "$root/dev/pts"
mount -t tmpfs tmpfs "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
ip link set lo up
# What this machine starts is not started there.
for wants in "$root"/usr/lib/systemd/system/*.wants "$root"/etc/systemd/system/*.wants; do
	[ ! -d "$wants" ] || mount -t tmpfs tmpfs "$wants"
done

export container=other
exec chroot "$root" /lib/systemd/systemd --system --unit=boot.target --show-status=no
