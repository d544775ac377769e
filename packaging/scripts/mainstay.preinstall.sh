#!/bin/sh
# Makes the user that the server runs as, before files that belong to it are
# unpacked. Runs with Debian's arguments (install, upgrade) and with RPM's (the
# number of installed versions), and alike for both.
set -eu

getent group mainstay >/dev/null || groupadd --system mainstay
getent passwd mainstay >/dev/null || useradd --system --gid mainstay --no-create-home \
	--home-dir /var/lib/mainstay --shell /usr/sbin/nologin --comment 'Mainstay site system' mainstay
