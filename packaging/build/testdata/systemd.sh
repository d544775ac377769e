# Both services under a real systemd: they are not started by installing them,
# they may do what they need and nothing else, an upgrade starts them again, and
# what the client has begun goes on meanwhile.
. /test/common.sh
active() { systemctl is-active "$1" || true; }
begin() { systemctl start "$1" || { systemctl status --no-pager "$1"; exit 1; }; }
pid() { systemctl show --property MainPID --value "$1"; }

step 'install both'
dpkg -i /test/1/mainstay_*_"$ARCH".deb /test/1/mainstay-client_*_"$ARCH".deb
for unit in mainstay mainstay-client; do
	is "$unit" "$(active $unit) $(systemctl is-enabled $unit || true)" 'inactive disabled'
done

step 'no configuration: the server does not start'
mv /etc/mainstay/mainstay.yaml /tmp/mainstay.yaml
systemctl start mainstay
is 'server' "$(active mainstay)" inactive
mv /tmp/mainstay.yaml /etc/mainstay/mainstay.yaml

step 'the server runs, and is shut in'
mkdir -m 700 /var/lib/mainstay/keys # as root makes them with 'mainstay site init'
: >/var/lib/mainstay/keys/key
ln -s /etc/passwd /var/lib/mainstay/link
begin mainstay
is 'server' "$(active mainstay)" active
is 'its user' "$(stat -c '%U %G' "/proc/$(pid mainstay)")" 'mainstay mainstay'
is 'what root made' "$(stat -c %U /var/lib/mainstay/keys /var/lib/mainstay/keys/key /etc/passwd | tr '\n' ' ')" 'mainstay mainstay root '
is 'its socket folder' "$(stat -c '%a %U %G' /run/mainstay)" '750 mainstay mainstay'
is 'its state folder' "$(stat -c '%a %U %G' /var/lib/mainstay)" '700 mainstay mainstay'
is 'what it may do' "$(cat /var/lib/mainstay/report)" 'build: 1
keeps state: yes
has a socket: yes
listens on a high port: yes
listens on a low port: no
sees its addresses: yes
changes the system: no
changes the configuration: no
sees homes: no
opens raw network sockets: no
starts as another user: no'

step 'with the drop-in it listens on low ports, and gains nothing else'
mkdir -p /etc/systemd/system/mainstay.service.d
cp /usr/share/doc/mainstay/examples/privileged-ports.conf /etc/systemd/system/mainstay.service.d/
systemctl daemon-reload
systemctl restart mainstay
is 'low port' "$(grep 'low port' /var/lib/mainstay/report)" 'listens on a low port: yes'
is 'the rest' "$(grep -c ': no' /var/lib/mainstay/report)" 5

step 'the client runs, and can manage the machine'
systemctl start mainstay-client
is 'client without a site' "$(active mainstay-client)" inactive
: >/var/lib/mainstay-client/client.yaml # as 'mainstay-client install' makes it
systemctl enable --now mainstay-client 2>/dev/null
is 'client' "$(active mainstay-client)" active
is 'its state folder' "$(stat -c '%a %U %G' /var/lib/mainstay-client)" '700 root root'
is 'what it may do' "$(grep -c ': yes' /var/lib/mainstay-client/report)" 10
child=$(cat /var/lib/mainstay-client/child)

step 'an upgrade starts both again'
server=$(pid mainstay) client=$(pid mainstay-client)
dpkg -i /test/2/mainstay_*_"$ARCH".deb /test/2/mainstay-client_*_"$ARCH".deb
# The client is not waited for; asking once more is.
systemctl start mainstay-client
for unit in mainstay mainstay-client; do
	is "$unit" "$(active $unit) $(head -n 1 /var/lib/$unit/report)" 'active build: 2'
done
[ "$server" != "$(pid mainstay)" ] || { echo 'FAILED: the server was not started again'; exit 1; }
[ "$client" != "$(pid mainstay-client)" ] || { echo 'FAILED: the client was not started again'; exit 1; }
is 'what the client has begun' "$(cat "/proc/$child/comm")" sleep

step 'a service that dies comes back'
server=$(pid mainstay)
kill -KILL "$server"
for second in 1 2 3 4 5 6 7 8 9 10; do
	[ "$(pid mainstay)" = "$server" ] || [ "$(active mainstay)" != active ] || break
	sleep 1
done
is 'server' "$(active mainstay)" active
[ "$server" != "$(pid mainstay)" ] || { echo 'FAILED: the server was not killed'; exit 1; }

step 'removing both stops them'
dpkg -r mainstay mainstay-client
is 'server' "$(active mainstay)" inactive
is 'client' "$(active mainstay-client)" inactive
is 'client at start' "$(find /etc/systemd/system -name 'mainstay-client.service')" ''
is 'what the client has begun' "$(cat "/proc/$child/comm")" sleep

step 'a client that is installed again goes on as before'
dpkg -i /test/2/mainstay-client_*_"$ARCH".deb
systemctl start mainstay-client # the script did not wait
is 'client' "$(active mainstay-client) $(systemctl is-enabled mainstay-client)" 'active enabled'
