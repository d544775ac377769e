#!/bin/sh
# After files are gone. Debian's 'purge' removes what the client knew, the
# identity of this machine included; a plain removal, and RPM which knows no
# other, leaves that, so that the machine comes back as itself.
set -eu

case "$1" in
purge)
	rm -rf /var/lib/mainstay-client /etc/systemd/system/mainstay-client.service.d
	;;
remove | 0) ;;
*) exit 0 ;;
esac

if [ -d /run/systemd/system ]; then
	systemctl daemon-reload || true
fi
