#!/bin/sh
# After files are in place. A first installation starts nothing: the machine
# belongs to no site yet, and 'mainstay-client install' enables and starts the
# service. A client that was removed and is installed again goes on as before.
# After an upgrade a client that runs is started again. It is not waited for:
# this script may itself have been started by the client.
set -eu

case "$1:${2:-}" in
configure: | 1:*) upgraded=no ;;
configure:* | [2-9]:*) upgraded=yes ;;
*) exit 0 ;; # Debian puts an earlier state back
esac

again=no
if [ -e /var/lib/mainstay-client/enabled-before-removal ]; then
	again=yes
	rm /var/lib/mainstay-client/enabled-before-removal
	# This works on files and needs no running systemd.
	systemctl enable mainstay-client.service || again=no
fi

# In a chroot, a container or an image that is being built no systemd runs.
[ -d /run/systemd/system ] || exit 0
systemctl daemon-reload
if [ "$again" = yes ]; then
	systemctl --no-block start mainstay-client.service
elif [ "$upgraded" = yes ]; then
	systemctl --no-block try-restart mainstay-client.service
fi || echo "mainstay-client could not be started; 'journalctl -u mainstay-client' tells why" >&2
