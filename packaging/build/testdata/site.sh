# The real programs from their packages under a real systemd, as an
# administrator would go about it: make a site, look at it, make this machine
# its client, upgrade, remove everything.
. /test/common.sh
active() { systemctl is-active "$1" || true; }
explain() { systemctl status --no-pager --lines 0 "$1"; cat "/var/log/$1.log"; exit 1; }

# eventually WHAT COMMAND... tries again for a minute.
eventually() {
	what=$1
	shift
	for second in $(seq 60); do
		if "$@"; then return; fi
		sleep 1
	done
	echo "FAILED: $what"
	mainstay device show "$(hostname)" || true
	mainstay component list || true
	mainstay dead-letter list || true
	mainstay status-message list || true
	mainstay-client status || true
	cat /var/log/mainstay.log /var/log/mainstay-client.log
	exit 1
}

# There is no journal on this machine.
for unit in mainstay mainstay-client; do
	mkdir -p /etc/systemd/system/$unit.service.d
	printf '[Service]\nStandardError=append:/var/log/%s.log\n' $unit >/etc/systemd/system/$unit.service.d/test-log.conf
done

step 'install the server and make a site'
dpkg -i /test/1/mainstay_*_"$ARCH".deb
sed -i 's/^# address: .*/address: 127.0.0.1/' /etc/mainstay/mainstay.yaml
mainstay config check
mainstay site init --site-code LAB
systemctl start mainstay || explain mainstay

step 'root administers it without signing in'
mainstay site status
is 'owner of what is kept' "$(find /var/lib/mainstay ! -user mainstay)" ''

step 'install the client: it is nobody'\''s yet'
dpkg -i /test/1/mainstay-client_*_"$ARCH".deb
is 'client' "$(active mainstay-client)" inactive

step 'register with a token'
mainstay token create -o json >/test/token
MAINSTAY_TOKEN=$(sed -n 's/.*"\(mst1[^"]*\)".*/\1/p' /test/token | head -n 1)
[ -n "$MAINSTAY_TOKEN" ] || { echo 'FAILED: no token in'; cat /test/token; exit 1; }
export MAINSTAY_TOKEN
mainstay-client install --mp 127.0.0.1 --wait 1m || { cat /var/log/mainstay.log; exit 1; }
is 'client' "$(active mainstay-client) $(systemctl is-enabled mainstay-client)" 'active enabled'
mainstay-client status
mainstay-client inventory --now
has_inventory() { mainstay device show "$(hostname)" --class OS 2>&1 | grep -qi debian; }
eventually 'the inventory has arrived' has_inventory

step 'upgrade both'
dpkg -i /test/2/mainstay_*_"$ARCH".deb /test/2/mainstay-client_*_"$ARCH".deb
systemctl start mainstay-client # the script did not wait
is 'services' "$(active mainstay) $(active mainstay-client)" 'active active'
mainstay site status >/dev/null
mainstay-client status

step 'remove both for good'
dpkg -P mainstay-client mainstay
absent /etc/mainstay /var/lib/mainstay /var/lib/mainstay-client /run/mainstay/provider.sock
