#!/bin/sh
# After files are gone. Debian's 'purge' removes what the server knew, its site
# included; a plain removal, and RPM which knows no other, leaves that. The user
# stays: a content library elsewhere may belong to it, and its number must not
# be given to somebody else.
set -eu

case "$1" in
purge)
	rm -rf /var/lib/mainstay /etc/mainstay /etc/systemd/system/mainstay.service.d
	;;
remove | 0) ;;
*) exit 0 ;;
esac

if [ -d /run/systemd/system ]; then
	systemctl daemon-reload || true
fi
