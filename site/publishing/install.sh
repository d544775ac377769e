#!/bin/sh
# Installs the Mainstay client of site @SITE@ and registers this machine.
# usage: MAINSTAY_TOKEN=... sh install.sh MANAGEMENT-POINT[,MANAGEMENT-POINT]
set -eu

say() { printf '%s\n' "mainstay: $*"; }
die() { printf '%s\n' "mainstay: $*" >&2; exit 1; }

[ "$(id -u)" = 0 ] || die "needs root; run the same line as root, or in 'sudo sh'"
[ $# = 1 ] || die "usage: MAINSTAY_TOKEN=... sh install.sh MANAGEMENT-POINT[,MANAGEMENT-POINT]"
[ -n "${MAINSTAY_TOKEN:-}" ] || die "MAINSTAY_TOKEN is empty; make a token with 'mainstay token create --install'"

case "$(uname -m)" in
x86_64) arch=amd64 ;;
aarch64) arch=arm64 ;;
*) die "there is no client for $(uname -m); it runs on x86_64 and aarch64" ;;
esac
if command -v dpkg >/dev/null; then format=deb
elif command -v rpm >/dev/null; then format=rpm
else die "neither dpkg nor rpm found; this machine is of no family that the client supports"
fi

file='' sum=''
case "$format/$arch" in
@PACKAGES@*) die "the site has no client package for $format/$arch" ;;
esac

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
got=''
for point in $(printf '%s' "$1" | tr ',' ' '); do
	url="https://$point@DOOR@/$file"
	say "fetching $file from $point"
	# The certificate is not checked here: the fingerprint is.
	if command -v curl >/dev/null; then curl -gfsSk -o "$dir/$file" "$url" && got=1 && break
	else wget -qO "$dir/$file" --no-check-certificate "$url" && got=1 && break
	fi
done
[ -n "$got" ] || die "no management point gave the package; check that this machine reaches $1"
echo "$sum  $dir/$file" | sha256sum -c --quiet >/dev/null 2>&1 || die "$file is not the package that the site published; nothing was installed"

# Who is refused below must not be left with a client that nobody wanted.
installed='' state=''
if [ "$format" = deb ]; then
	case "$(dpkg-query -W -f '${db:Status-Status}' mainstay-client 2>/dev/null || :)" in installed) installed=yes ;; esac
elif rpm -q mainstay-client >/dev/null 2>&1; then
	installed=yes
fi
[ ! -e /var/lib/mainstay-client/client.yaml ] || state=yes

say "installing $file"
if [ "$format" = deb ]; then dpkg -i "$dir/$file" >/dev/null
else rpm -U --replacepkgs "$dir/$file"
fi
say "registering with site @SITE@"
code=0
mainstay-client install --mp "$1" --site @SITE@ || code=$?
if [ "$code" = 4 ] && [ -z "$installed" ]; then
	if [ "$format" = rpm ]; then rpm -e mainstay-client
	elif [ -n "$state" ]; then dpkg -r mainstay-client >/dev/null
	else dpkg -P mainstay-client >/dev/null
	fi
	[ -n "$state" ] || rm -rf /var/lib/mainstay-client
	die "the site refuses this machine, so the client was removed again"
fi
exit "$code"
