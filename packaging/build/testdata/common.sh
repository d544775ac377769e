# What both scripts use. The first expectation that is not met ends the script.
set -eu
. /test/arch.sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive

step() { echo "== $*"; }

# is WHAT ACTUAL WANTED
is() {
	[ "$2" = "$3" ] || { echo "FAILED: $1 is '$2', want '$3'"; exit 1; }
}

# absent PATH...
absent() {
	for path in "$@"; do
		[ ! -e "$path" ] || { echo "FAILED: $path is still there"; exit 1; }
	done
}

# play_systemd lets this machine look as if systemd ran.
play_systemd() {
	mkdir -p /run/systemd/system
	rm -f /usr/bin/systemctl
	printf '#!/bin/sh\necho "$*" >>/test/calls\n' >/usr/bin/systemctl
	chmod 755 /usr/bin/systemctl
	: >/test/calls
}

# fail_systemd is play_systemd where no service starts.
fail_systemd() {
	printf '#!/bin/sh\ncase "$*" in *restart*) exit 1 ;; esac\n' >/usr/bin/systemctl
}

# called CALL... compares how systemctl was called since the last time. Calls
# for other services are those of other packages on this machine.
called() {
	wanted=$(printf '%s\n' "$@")
	is 'calls of systemctl' "$(grep -E 'daemon-reload|mainstay' /test/calls)" "$wanted"
	: >/test/calls
}
