# The life of both packages on a Debian machine: first without a running
# systemd, then with one that is played by a script which writes down how it is
# called. Runs as root in a copy of the machine that is thrown away.
. /test/common.sh

step 'install the server where no systemd runs'
dpkg -i /test/1/mainstay_*_"$ARCH".deb
is 'user' "$(id -un mainstay):$(id -gn mainstay):$(getent passwd mainstay | cut -d: -f6,7)" \
	'mainstay:mainstay:/var/lib/mainstay:/usr/sbin/nologin'
is 'state folder' "$(stat -c '%a %U %G' /var/lib/mainstay)" '700 mainstay mainstay'
is 'configuration folder' "$(stat -c '%a %U %G' /etc/mainstay)" '750 root mainstay'
is 'configuration' "$(stat -c '%a %U %G' /etc/mainstay/mainstay.yaml)" '640 root mainstay'
is 'program' "$(mainstay version)" '# stand-in 1 mainstay: version'
is 'not enabled' "$(systemctl is-enabled mainstay.service 2>/dev/null || true)" disabled
is 'packages of the client' "$(ls /usr/share/mainstay/client-packages | wc -l)" 4

step 'remove and purge it where no systemd runs'
dpkg -r mainstay
dpkg -P mainstay
absent /etc/mainstay /var/lib/mainstay /usr/share/mainstay

step 'install both under systemd: nothing is enabled or started'
play_systemd
dpkg -i /test/1/mainstay_*_"$ARCH".deb /test/1/mainstay-client_*_"$ARCH".deb
called 'daemon-reload' 'daemon-reload'
is 'state folder of the client' "$(stat -c '%a %U %G' /var/lib/mainstay-client)" '700 root root'

step 'upgrade both: what runs is started again, what was changed stays'
echo '# changed here' >>/etc/mainstay/mainstay.yaml
echo site >/var/lib/mainstay/site.db
echo identity >/var/lib/mainstay-client/identity
dpkg -i /test/2/mainstay_*_"$ARCH".deb /test/2/mainstay-client_*_"$ARCH".deb
called 'daemon-reload' 'try-restart mainstay.service' \
	'daemon-reload' '--no-block try-restart mainstay-client.service'
is 'new program' "$(mainstay version)" '# stand-in 2 mainstay: version'
is 'configuration' "$(tail -n 1 /etc/mainstay/mainstay.yaml)" '# changed here'

step 'remove both: they stop, and what they know stays'
dpkg -r mainstay mainstay-client
called 'stop mainstay.service' 'disable mainstay.service' 'daemon-reload' \
	'stop mainstay-client.service' 'is-enabled --quiet mainstay-client.service' 'disable mainstay-client.service' 'daemon-reload'
absent /usr/bin/mainstay /usr/bin/mainstay-client /usr/lib/systemd/system/mainstay.service
is 'site' "$(cat /var/lib/mainstay/site.db)" site
is 'identity' "$(cat /var/lib/mainstay-client/identity)" identity
is 'configuration' "$(tail -n 1 /etc/mainstay/mainstay.yaml)" '# changed here'

step 'install the client again: it goes on as before'
dpkg -i /test/2/mainstay-client_*_"$ARCH".deb
called 'enable mainstay-client.service' 'daemon-reload' '--no-block start mainstay-client.service'
absent /var/lib/mainstay-client/enabled-before-removal
dpkg -r mainstay-client
: >/test/calls

step 'purge both: nothing is left but the user'
dpkg -P mainstay mainstay-client
called 'daemon-reload' 'daemon-reload'
absent /etc/mainstay /var/lib/mainstay /var/lib/mainstay-client
is 'user' "$(id -un mainstay)" mainstay

step 'a server that does not start again does not break the upgrade'
dpkg -i /test/1/mainstay_*_"$ARCH".deb
fail_systemd
dpkg -i /test/2/mainstay_*_"$ARCH".deb 2>&1 | tee /tmp/output
grep -q 'mainstay did not start again' /tmp/output
is 'state' "$(dpkg-query -W -f='${db:Status-Abbrev}' mainstay)" 'ii '
