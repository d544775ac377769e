#!/bin/sh
# Before files go: a client whose program is removed is stopped first, and it
# is remembered whether it was in use. An upgrade leaves it running until the
# new program is there.
set -eu

case "$1" in
remove | deconfigure | 0) ;;
*) exit 0 ;;
esac

if [ -d /run/systemd/system ]; then
	systemctl stop mainstay-client.service || true
fi
# What follows works on files and needs no running systemd.
if command -v systemctl >/dev/null; then
	if systemctl is-enabled --quiet mainstay-client.service; then
		: >/var/lib/mainstay-client/enabled-before-removal
	fi
	systemctl disable mainstay-client.service || true
fi
