package machines

import (
	"strings"
)

// familyNames are the packages that one family of distributions knows, those
// that every machine has first.
type familyNames struct {
	names []string
	// base is how many at the beginning stand on every machine.
	base int
}

// debianBase and redHatBase stand on every machine of their family.
const debianBase = `adduser apt apt-listchanges apt-utils base-files base-passwd bash bash-completion bind9-host
bsdextrautils bsdutils busybox bzip2 ca-certificates console-setup console-setup-linux coreutils cpio cron cron-daemon-common
dash dbus dbus-bin dbus-daemon debconf debconf-i18n debian-archive-keyring debianutils diffutils discover dmidecode dmsetup
dosfstools dpkg e2fsprogs eject fdisk file findutils firmware-linux-free gcc-12-base gettext-base gpg gpg-agent gpgconf gpgv
grep groff-base grub-common grub-pc gzip hostname ifupdown inetutils-telnet init init-system-helpers initramfs-tools
initramfs-tools-core installation-report iproute2 iptables iputils-ping isc-dhcp-client isc-dhcp-common keyboard-configuration
klibc-utils kmod krb5-locales laptop-detect less libacl1 libapparmor1 libapt-pkg6.0 libargon2-1 libassuan0 libattr1
libaudit-common libaudit1 libblkid1 libbpf1 libbrotli1 libbsd0 libbz2-1.0 libc-bin libc-l10n libc6 libcap-ng0 libcap2
libcap2-bin libcom-err2 libcrypt1 libcryptsetup12 libcurl3-gnutls libdb5.3 libdebconfclient0 libdevmapper1.02.1 libedit2
libelf1 libevent-core-2.1-7 libexpat1 libext2fs2 libfdisk1 libffi8 libfido2-1 libfreetype6 libfstrm0 libfuse2 libgcc-s1
libgcrypt20 libgdbm6 libgmp10 libgnutls30 libgpg-error0 libgssapi-krb5-2 libhogweed6 libicu72 libidn2-0 libip4tc2 libjansson4
libjson-c5 libk5crypto3 libkeyutils1 libklibc libkmod2 libkrb5-3 libkrb5support0 libksba8 libldap-2.5-0 liblmdb0 liblocale-gettext-perl
liblockfile-bin liblognorm5 liblz4-1 liblzma5 libmagic-mgc libmagic1 libmaxminddb0 libmd0 libmnl0 libmount1 libncursesw6 libnetfilter-conntrack3
libnettle8 libnewt0.52 libnfnetlink0 libnftables1 libnftnl11 libnghttp2-14 libnpth0 libnsl2 libnss-systemd libp11-kit0 libpam-modules
libpam-modules-bin libpam-runtime libpam-systemd libpam0g libpci3 libpcre2-8-0 libperl5.36 libpipeline1 libpng16-16 libpopt0 libproc2-0
libprotobuf-c1 libpsl5 libpython3-stdlib libpython3.11-minimal libpython3.11-stdlib libreadline8 librtmp1 libsasl2-2 libseccomp2
libselinux1 libsemanage-common libsemanage2 libsepol2 libslang2 libsmartcols1 libsqlite3-0 libss2 libssh2-1 libssl3 libstdc++6
libsystemd-shared libsystemd0 libtasn1-6 libtext-charwidth-perl libtext-iconv-perl libtinfo6 libtirpc-common libtirpc3 libuchardet0
libudev1 libunistring2 libusb-1.0-0 libuuid1 libuv1 libwrap0 libxml2 libxtables12 libxxhash0 libzstd1 linux-base linux-image-amd64
locales login logrotate logsave lsb-release lsof man-db manpages mawk media-types mime-support mount nano ncurses-base ncurses-bin
ncurses-term netbase netcat-traditional nftables openssh-client openssh-server openssh-sftp-server openssl os-prober passwd pci.ids
pciutils perl perl-base perl-modules-5.36 pinentry-curses procps psmisc publicsuffix python-apt-common python3 python3-apt
python3-minimal python3.11 python3.11-minimal readline-common reportbug rsync rsyslog runit-helper sed sensible-utils sudo systemd
systemd-sysv systemd-timesyncd sysvinit-utils tar task-english tasksel tasksel-data tcpdump traceroute tzdata ucf udev usbutils
util-linux util-linux-extra util-linux-locales vim-common vim-tiny wamerican wget whiptail xauth xkb-data xz-utils zerofree zlib1g zstd`

const redHatBase = `NetworkManager NetworkManager-libnm NetworkManager-team NetworkManager-tui acl alternatives audit audit-libs authselect
authselect-libs basesystem bash bind-libs bind-license bind-utils binutils brotli bzip2 bzip2-libs c-ares ca-certificates chkconfig
chrony coreutils coreutils-common cpio cracklib cracklib-dicts cronie cronie-anacron crontabs crypto-policies crypto-policies-scripts
cryptsetup-libs curl cyrus-sasl-lib dbus dbus-broker dbus-common dbus-libs device-mapper device-mapper-event device-mapper-libs
device-mapper-persistent-data diffutils dmidecode dnf dnf-data dnf-plugins-core dracut dracut-config-rescue dracut-network
dracut-squash e2fsprogs e2fsprogs-libs efi-filesystem efibootmgr efivar-libs elfutils-debuginfod-client elfutils-default-yama-scope
elfutils-libelf elfutils-libs ethtool expat file file-libs filesystem findutils firewalld firewalld-filesystem flashrom fonts-filesystem
fuse-libs fwupd gawk gawk-all-langpacks gdbm-libs gettext gettext-libs glib2 glibc glibc-common glibc-gconv-extra glibc-langpack-en
gmp gnupg2 gnutls gobject-introspection gpgme grep groff-base grub2-common grub2-efi-x64 grub2-pc grub2-tools grub2-tools-minimal grubby
gzip hostname hwdata ima-evm-utils info inih initscripts-rename-device initscripts-service ipcalc iproute iproute-tc ipset ipset-libs
iptables-libs iptables-nft iputils irqbalance iwl100-firmware iwl1000-firmware iwl3160-firmware jansson jq json-c json-glib kbd kbd-legacy
kbd-misc kernel kernel-core kernel-modules kernel-modules-core kernel-tools kernel-tools-libs kexec-tools keyutils keyutils-libs kmod kmod-libs
kpartx krb5-libs langpacks-core-en langpacks-en less libacl libarchive libassuan libattr libbasicobjects libblkid libbpf libbrotli libcap
libcap-ng libcap-ng-python3 libcbor libcollection libcom_err libcomps libcurl libdaemon libdb libdhash libdnf libeconf libedit libestr
libevent libfastjson libfdisk libffi libfido2 libgcab1 libgcc libgcrypt libgomp libgpg-error libgudev libgusb libini_config libjcat libkcapi
libkcapi-hmaccalc libksba libldb libmaxminddb libmnl libmodulemd libmount libndp libnetfilter_conntrack libnfnetlink libnfsidmap libnftnl
libnghttp2 libnl3 libnl3-cli libpath_utils libpcap libpipeline libproxy libpsl libpwquality libref_array librepo libreport-filesystem libseccomp
libselinux libselinux-utils libsemanage libsepol libsigsegv libsmartcols libsolv libss libssh libssh-config libsss_certmap libsss_idmap
libsss_nss_idmap libsss_sudo libstdc++ libsysfs libtalloc libtasn1 libtdb libteam libtevent libtool-ltdl libunistring libusbx libuser libutempter
libuuid libverto libxcrypt libxml2 libxmlb libyaml libzstd linux-firmware lmdb-libs logrotate lshw lsscsi lua-libs lz4-libs man-db mokutil
mozjs78 mpfr ncurses ncurses-base ncurses-libs nettle newt nftables npth nspr nss numactl-libs oniguruma openldap openssh openssh-clients
openssh-server openssl openssl-libs os-prober p11-kit p11-kit-trust pam parted passwd pcre pcre2 pcre2-syntax pigz policycoreutils polkit
polkit-libs polkit-pkla-compat popt prefixdevname procps-ng protobuf-c psmisc publicsuffix-list-dafsa python3 python3-audit python3-dateutil
python3-dbus python3-distro python3-dnf python3-firewall python3-gobject-base python3-gpg python3-hawkey python3-libcomps python3-libdnf
python3-libs python3-libselinux python3-libsemanage python3-nftables python3-policycoreutils python3-rpm python3-setools python3-setuptools
python3-six python3-systemd readline rootfiles rpm rpm-build-libs rpm-libs rpm-plugin-audit rpm-plugin-selinux rpm-sign-libs rsync rsyslog
rsyslog-logrotate sed selinux-policy selinux-policy-targeted setup sg3_utils sg3_utils-libs shadow-utils shared-mime-info shim-x64 slang
snappy sqlite-libs squashfs-tools sssd-client sssd-common sssd-kcm sudo systemd systemd-libs systemd-pam systemd-rpm-macros systemd-udev tar
teamd tmux tpm2-tss tzdata usermode userspace-rcu util-linux util-linux-core vim-minimal virt-what which xfsprogs xz xz-libs yum zlib`

// stems are the words of which the names of further packages are made, the
// common ones first.
const stems = `json yaml xml http curl ssl tls crypt jwt ldap kerberos oauth saml sql mysql postgres sqlite redis mongo kafka
amqp mqtt zmq grpc proto thrift avro snappy lz zip tar archive regex pcre unicode icu locale gettext iconv text template
markdown html css sass font image jpeg png gif tiff webp svg cairo pango gtk qt wx tk widget window theme icon cursor
audio sound alsa pulse jack midi video codec ffmpeg stream media player camera scan print cups ppd pdf ps dvi latex
math number matrix linear blas lapack fft stats plot graph chart geo map gps proj gdal raster vector mesh
thread async event loop timer queue cache pool lock log trace debug profile test mock fuzz bench build make cmake meson
autoconf automake libtool compile parser lexer grammar ast tree hash list array string buffer stream io file path glob
watch notify mount disk block volume raid crypt backup sync copy mirror rsync ftp sftp ssh shell term console tty curses
readline color prompt editor vim emacs git svn hg patch diff merge review bug issue wiki blog feed mail imap pop smtp
mime spam filter virus scan audit policy rule acl auth pam user group session token cookie form field model schema
migrate record entity rest soap rpc api client server proxy gateway router switch bridge tunnel vpn wire route bgp ospf
dns dhcp ntp snmp syslog netflow packet capture sniff probe ping monitor metric alert dash report sheet calc office
draw paint photo scanner spell dict translate speech voice chat irc jabber sip phone fax modem serial usb bluetooth
wifi radio nfc rfid smart card reader sensor thermal power battery fan cpu memory kernel module driver firmware boot`

// patterns make names of stems, the common ones first.
var (
	debianPatterns = []string{"lib%1", "python3-%", "lib%-perl", "%-common", "lib%-dev", "gir1.2-%-1.0", "fonts-%", "ruby-%", "%-utils", "node-%", "lib%-java", "golang-%-dev"}
	redHatPatterns = []string{"%-libs", "python3-%", "perl-%", "%-common", "%-devel", "lib%", "%-fonts", "rubygem-%", "%-utils", "nodejs-%", "%-java", "texlive-%"}
)

// namesOf lists the packages of a family.
func namesOf(rpm bool) familyNames {
	base, patterns := debianBase, debianPatterns
	if rpm {
		base, patterns = redHatBase, redHatPatterns
	}
	f := familyNames{names: strings.Fields(base)}
	f.base = len(f.names)
	known := map[string]bool{}
	for _, name := range f.names {
		known[name] = true
	}
	words := strings.Fields(stems)
	// Diagonals: common words in common forms come first.
	for sum := 0; sum < len(words)+12*len(patterns); sum++ {
		for form, pattern := range patterns {
			word := sum - 12*form
			if word < 0 || word >= len(words) {
				continue
			}
			name := strings.Replace(pattern, "%", words[word], 1)
			if !known[name] {
				known[name] = true
				f.names = append(f.names, name)
			}
		}
	}
	return f
}
