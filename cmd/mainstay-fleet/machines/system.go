package machines

import (
	"fmt"
	"strings"

	"mainstay/client/inventory"
	"mainstay/wire"
)

// rows gathers rows by class; the first that cannot be made is its error.
type rows struct {
	classes map[string][]inventory.Row
	err     error
}

func newRows() *rows { return &rows{classes: map[string][]inventory.Row{}} }

func (r *rows) add(class string, value any) {
	row, err := rowOf(class, value)
	if err != nil {
		r.err = err
		return
	}
	r.classes[class] = append(r.classes[class], row)
}

// systemAccounts are on every machine, with their numbers in order.
const systemAccounts = `root daemon bin sys sync games man lp mail news uucp proxy www-data backup list irc _apt nobody
systemd-network systemd-timesync messagebus sshd tss polkitd chrony`

// commonServices run everywhere.
const commonServices = `ssh cron rsyslog dbus systemd-journald systemd-logind systemd-udevd systemd-timesyncd polkit
getty@tty1 networking apparmor auditd chrony unattended-upgrades e2scrub_reap fstrim logrotate man-db apt-daily
systemd-resolved systemd-tmpfiles-clean systemd-random-seed systemd-sysctl systemd-modules-load kmod-static-nodes
systemd-update-utmp systemd-remount-fs console-setup keyboard-setup ldconfig emergency rescue debug-shell
systemd-fsck-root systemd-hwdb-update systemd-machine-id-commit systemd-sysusers systemd-binfmt quotaon user@1000`

// commonModules are loaded nearly everywhere.
const commonModules = `ext4 jbd2 mbcache crc16 crc32c_intel crc32_pclmul ghash_clmulni_intel sha512_ssse3 sha256_ssse3 aesni_intel
crypto_simd cryptd rapl intel_rapl_msr intel_rapl_common evdev serio_raw button loop fuse dm_mod configfs efi_pstore ip_tables
x_tables autofs4 nf_tables nfnetlink nf_conntrack nf_defrag_ipv4 nf_defrag_ipv6 libcrc32c nft_ct nft_limit nft_reject nf_reject_ipv4
tls binfmt_misc nls_ascii nls_cp437 vfat fat pcspkr sg drm drm_kms_helper ttm i2c_core hid hid_generic usbhid usbcore usb_common`

// systemRows are the rows that all machines of the image have, besides their
// software.
func (im *image) systemRows() (map[string][]inventory.Row, error) {
	r := newRows()
	im.accounts(r)
	im.services(r)
	modules := commonModules
	if im.profile.desktop {
		modules += " snd snd_hda_intel snd_hda_codec snd_pcm snd_timer bluetooth btusb iwlwifi cfg80211 uvcvideo videodev i915"
	} else {
		modules += " overlay br_netfilter bridge stp llc veth xt_conntrack xt_MASQUERADE nf_nat vxlan"
	}
	for _, name := range strings.Fields(modules) {
		r.add(wire.ClassKernelModule, wire.KernelModule{Name: name, Size: 16384 + mix(name+im.release.kernel)%120*4096})
	}
	for _, protocol := range []string{"tcp", "tcp6"} {
		address := map[string]string{"tcp": "0.0.0.0", "tcp6": "::"}[protocol]
		for _, p := range append([]port{{22, "sshd", "/usr/sbin/sshd", "root"}}, im.profile.ports...) {
			r.add(wire.ClassListeningPort, wire.ListeningPort{Protocol: protocol, LocalAddress: address,
				LocalPort: p.number, ProcessName: p.process, Path: p.path, UserName: p.user})
		}
	}
	zones := []wire.TimeZone{
		{Name: "Etc/UTC", StandardName: "UTC"},
		{Name: "Europe/Zurich", StandardName: "CET", DaylightName: "CEST", Bias: 60, DaylightSaving: true},
		{Name: "America/New_York", StandardName: "EST", DaylightName: "EDT", Bias: -300, DaylightSaving: true},
	}
	r.add(wire.ClassTimeZone, zones[im.edition%len(zones)])
	return r.classes, r.err
}

func (im *image) accounts(r *rows) {
	for i, name := range strings.Fields(systemAccounts) {
		number := int64(i)
		if number > 17 {
			number += 80
		}
		a := wire.LocalUserAccount{Name: name, UID: number, GID: number, FullName: name, HomeDirectory: "/var/lib/" + name,
			Shell: "/usr/sbin/nologin", PasswordStatus: "locked", SystemAccount: true}
		if name == "root" {
			a.HomeDirectory, a.Shell, a.LoginAllowed, a.Administrator = "/root", "/bin/bash", true, true
		}
		r.add(wire.ClassLocalUserAccount, a)
		r.add(wire.ClassLocalGroup, wire.LocalGroup{Name: name, GID: number})
	}
	for i, name := range []string{"adm", "tty", "disk", "audio", "video", "plugdev", "users", "input", "render", "kvm"} {
		r.add(wire.ClassLocalGroup, wire.LocalGroup{Name: name, GID: int64(120 + i)})
	}
}

func (im *image) services(r *rows) {
	for i, name := range append(strings.Fields(commonServices), im.profile.services...) {
		s := wire.Service{Name: name, DisplayName: strings.ReplaceAll(name, "-", " ") + " service", StartMode: "enabled", State: "running",
			ServiceType: "simple", PathName: "/usr/sbin/" + name, UnitFile: "/usr/lib/systemd/system/" + name + ".service"}
		switch mix(name) % 5 {
		case 0:
			s.StartMode, s.State = "static", "exited"
			s.ServiceType = "oneshot"
		case 1:
			s.StartMode, s.State = "disabled", "stopped"
		case 2:
			s.ServiceType = "notify"
		}
		if i >= len(im.profile.services) && s.State == "running" && mix(name)%3 == 0 {
			s.StartName = fmt.Sprintf("_%.24s", strings.Trim(name, "@0123456789"))
		}
		r.add(wire.ClassService, s)
	}
}
