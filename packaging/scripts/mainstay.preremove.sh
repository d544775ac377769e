#!/bin/sh
# Before files go: a server whose program is removed is stopped first. An
# upgrade leaves it running until the new program is there.
set -eu

case "$1" in
remove | deconfigure | 0) ;;
*) exit 0 ;;
esac

if [ -d /run/systemd/system ]; then
	systemctl stop mainstay.service || true
fi
# This works on files and needs no running systemd.
if command -v systemctl >/dev/null; then
	systemctl disable mainstay.service || true
fi
