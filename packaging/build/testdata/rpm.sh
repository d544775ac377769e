# The life of both packages as rpm sees it. The machine is Debian, so rpm is
# told not to mind and starts with a database of its own; scripts, owners and
# modes are the packages' own. Runs as root in a copy of the machine that is
# thrown away.
. /test/common.sh
rpm() { command rpm --dbpath /var/lib/rpm-test --force-debian --nodeps "$@"; }

step 'install both: nothing is enabled or started'
play_systemd
rpm -i /test/1/mainstay_*_"$RPM_ARCH".rpm /test/1/mainstay-client_*_"$RPM_ARCH".rpm
called 'daemon-reload' 'daemon-reload'
is 'user' "$(id -un mainstay):$(id -gn mainstay)" 'mainstay:mainstay'
is 'state folder' "$(stat -c '%a %U %G' /var/lib/mainstay)" '700 mainstay mainstay'
is 'configuration folder' "$(stat -c '%a %U %G' /etc/mainstay)" '750 root mainstay'
is 'configuration' "$(stat -c '%a %U %G' /etc/mainstay/mainstay.yaml)" '640 root mainstay'
is 'state folder of the client' "$(stat -c '%a %U %G' /var/lib/mainstay-client)" '700 root root'
is 'verified' "$(rpm -V mainstay mainstay-client)" ''

step 'upgrade both: what runs is started again, what was changed stays'
echo '# changed here' >>/etc/mainstay/mainstay.yaml
echo site >/var/lib/mainstay/site.db
rpm -U /test/2/mainstay_*_"$RPM_ARCH".rpm
called 'daemon-reload' 'try-restart mainstay.service'
rpm -U /test/2/mainstay-client_*_"$RPM_ARCH".rpm
called 'daemon-reload' '--no-block try-restart mainstay-client.service'
is 'new program' "$(mainstay version)" '# stand-in 2 mainstay: version'
is 'configuration' "$(tail -n 1 /etc/mainstay/mainstay.yaml)" '# changed here'

step 'remove both: they stop, and what they know stays'
rpm -e mainstay
called 'stop mainstay.service' 'disable mainstay.service' 'daemon-reload'
rpm -e mainstay-client
called 'stop mainstay-client.service' 'is-enabled --quiet mainstay-client.service' 'disable mainstay-client.service' 'daemon-reload'
absent /usr/bin/mainstay /usr/bin/mainstay-client
is 'site' "$(cat /var/lib/mainstay/site.db)" site
is 'configuration' "$(tail -n 1 /etc/mainstay/mainstay.yaml.rpmsave)" '# changed here'

step 'install the client again: it goes on as before'
rpm -i /test/2/mainstay-client_*_"$RPM_ARCH".rpm
called 'enable mainstay-client.service' 'daemon-reload' '--no-block start mainstay-client.service'
rpm -e mainstay-client
: >/test/calls
rm -r /var/lib/mainstay-client

step 'install and remove where no systemd runs'
rm -rf /run/systemd /usr/bin/systemctl
rpm -i /test/1/mainstay_*_"$RPM_ARCH".rpm /test/1/mainstay-client_*_"$RPM_ARCH".rpm
rpm -e mainstay mainstay-client
