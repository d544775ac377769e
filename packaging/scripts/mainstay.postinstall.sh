#!/bin/sh
# After files are in place. A first installation starts nothing: a server runs
# once it has a site ('mainstay site init' or 'mainstay site-system join').
# After an upgrade a server that runs is started again with the new program.
set -eu

case "$1:${2:-}" in
configure: | 1:*) upgraded=no ;;
configure:* | [2-9]:*) upgraded=yes ;;
*) exit 0 ;; # Debian puts an earlier state back
esac

# In a chroot, a container or an image that is being built no systemd runs.
[ -d /run/systemd/system ] || exit 0
systemctl daemon-reload
if [ "$upgraded" = yes ]; then
	systemctl try-restart mainstay.service ||
		echo "mainstay did not start again; 'journalctl -u mainstay' tells why" >&2
fi
