package inventory

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"mainstay/wire"
)

// network is what the kernel says of the network of this machine.
type network struct {
	links     map[uint32]netLink
	addresses []netAddress
	routes    []netRoute
}

// collectNetwork reads adapters, addresses and routes.
func collectNetwork(_ context.Context, r *run) error {
	if r.machine.kernel.dump == nil {
		return nil
	}
	n, err := readNetwork(r.machine.kernel.dump)
	if err != nil {
		return err
	}
	n.dropForeignEnds()
	for _, l := range n.links {
		row := r.machine.adapter(l, n.links)
		r.add(wire.ClassNetworkAdapter, &row)
	}
	servers := r.machine.nameServers()
	for _, a := range n.addresses {
		if l, ok := n.links[a.index]; ok && !a.passing {
			row := n.configuration(l, a, servers)
			r.add(wire.ClassNetworkAdapterConfiguration, &row)
		}
	}
	for _, route := range n.routes {
		if l, ok := n.links[route.index]; ok {
			r.add(wire.ClassRoute, routeRow(l, route))
		}
	}
	return nil
}

func readNetwork(dump func(int) ([]byte, error)) (network, error) {
	n := network{links: map[uint32]netLink{}}
	for _, part := range []struct {
		what    string
		request int
		answer  uint16
		visit   func([]byte)
	}{
		{"links", syscall.RTM_GETLINK, syscall.RTM_NEWLINK, func(body []byte) {
			if l, ok := parseLink(body); ok {
				n.links[l.index] = l
			}
		}},
		{"addresses", syscall.RTM_GETADDR, syscall.RTM_NEWADDR, func(body []byte) {
			if a, ok := parseAddress(body); ok {
				n.addresses = append(n.addresses, a)
			}
		}},
		{"routes", syscall.RTM_GETROUTE, syscall.RTM_NEWROUTE, func(body []byte) {
			n.routes = append(n.routes, parseRoute(body)...)
		}},
	} {
		data, err := dump(part.request)
		if err == nil {
			err = messages(data, part.answer, part.visit)
		}
		if err != nil {
			return n, fmt.Errorf("the kernel does not tell the network %s: %w", part.what, err)
		}
	}
	return n, nil
}

// dropForeignEnds leaves out the ends of pairs that lead into containers: they
// come and go with them. An end that is in a bridge, or that has no address
// that others can reach, is one; in a container the only adapter is an end too,
// and stays.
func (n *network) dropForeignEnds() {
	reachable := map[uint32]bool{}
	for _, a := range n.addresses {
		if a.scope == unix.RT_SCOPE_UNIVERSE {
			reachable[a.index] = true
		}
	}
	for index, l := range n.links {
		if l.containerEnd(reachable[index]) {
			delete(n.links, index)
		}
	}
}

func (l netLink) containerEnd(reachable bool) bool {
	return l.kind == "veth" && l.elsewhere && (l.master != 0 || !reachable)
}

func (m machine) adapter(l netLink, links map[uint32]netLink) wire.NetworkAdapter {
	folder := "/sys/class/net/" + l.name + "/"
	row := wire.NetworkAdapter{
		Name:                clean(l.name, 64),
		AdapterType:         m.adapterType(l, folder),
		MACAddress:          hardwareAddress(l.mac),
		PermanentAddress:    hardwareAddress(l.factory),
		MTU:                 uint64(l.mtu),
		NetConnectionStatus: l.status(),
		Physical:            m.exists(folder + "device"),
		Master:              clean(links[l.master].name, 64),
	}
	row.Driver = l.kind
	if driver := m.link(folder + "device/driver"); driver != "" {
		row.Driver = clean(path.Base(driver), 64)
	}
	vendor, device := m.text(folder+"device/vendor"), m.text(folder+"device/device")
	if vendor != "" && device != "" {
		bus := path.Base(m.link(folder + "device/subsystem"))
		row.DeviceID = fmt.Sprintf("%s %s:%s", bus, strings.TrimPrefix(vendor, "0x"), strings.TrimPrefix(device, "0x"))
	}
	// Drivers that do not know the speed answer -1, 0 or the largest number.
	if megabits, ok := m.number(folder + "speed"); ok && row.NetConnectionStatus == "up" && megabits < 10_000_000 {
		row.Speed = megabits * 1_000_000
	}
	return row
}

func (m machine) adapterType(l netLink, folder string) string {
	switch {
	case l.flags&unix.IFF_LOOPBACK != 0:
		return "loopback"
	case m.exists(folder + "wireless"), m.exists(folder + "phy80211"):
		return "wireless"
	}
	switch l.kind {
	case "bridge", "bond":
		return l.kind
	case "team":
		return "bond"
	case "vlan", "macvlan", "macvtap", "ipvlan":
		return "vlan"
	case "tun", "wireguard", "ipip", "gre", "gretap", "ip6gre", "ip6tnl", "sit", "vxlan", "geneve", "xfrm", "vti", "ppp", "erspan":
		return "tunnel"
	case "veth", "dummy", "ifb", "nlmon", "vcan", "vrf", "netdevsim":
		return "virtual"
	}
	switch l.hardware {
	case unix.ARPHRD_ETHER:
		return "ethernet"
	case unix.ARPHRD_PPP, unix.ARPHRD_TUNNEL, unix.ARPHRD_TUNNEL6, unix.ARPHRD_SIT, unix.ARPHRD_IPGRE, unix.ARPHRD_NONE:
		return "tunnel"
	}
	return "other"
}

// status is the kernel's operational state. Drivers that do not keep one leave
// it unknown; then it is whether the interface was switched on.
func (l netLink) status() string {
	names := [...]string{"unknown", "not present", "down", "lower layer down", "testing", "dormant", "up"}
	switch {
	case l.state == 0 && l.flags&unix.IFF_UP != 0:
		return "up"
	case l.state == 0:
		return "down"
	case int(l.state) < len(names):
		return names[l.state]
	}
	return "unknown"
}

func hardwareAddress(mac []byte) string {
	if len(mac) == 0 || len(mac) > 20 || !slices.ContainsFunc(mac, func(b byte) bool { return b != 0 }) {
		return ""
	}
	return net.HardwareAddr(mac).String()
}

func (n network) configuration(l netLink, a netAddress, servers string) wire.NetworkAdapterConfiguration {
	row := wire.NetworkAdapterConfiguration{
		Interface:        clean(l.name, 64),
		MACAddress:       hardwareAddress(l.mac),
		Family:           family(a.prefix.Addr()),
		Address:          a.prefix.Addr().String(),
		PrefixLength:     uint64(a.prefix.Bits()),
		Scope:            map[byte]string{unix.RT_SCOPE_UNIVERSE: "global", unix.RT_SCOPE_SITE: "site", unix.RT_SCOPE_LINK: "link", unix.RT_SCOPE_HOST: "host"}[a.scope],
		Dynamic:          a.dynamic,
		DefaultIPGateway: n.defaultGateway(a),
		MTU:              uint64(l.mtu),
	}
	if l.flags&unix.IFF_LOOPBACK == 0 {
		row.DNSServers = servers
	}
	return row
}

func family(a netip.Addr) string {
	if a.Is4() {
		return "ipv4"
	}
	return "ipv6"
}

// defaultGateway is that of the best default route of the address's family
// through its interface.
func (n network) defaultGateway(a netAddress) string {
	var best *netRoute
	for i, route := range n.routes {
		if route.index == a.index && route.destination.Bits() == 0 && route.gateway.IsValid() &&
			route.destination.Addr().Is4() == a.prefix.Addr().Is4() && (best == nil || route.metric < best.metric) {
			best = &n.routes[i]
		}
	}
	if best == nil {
		return ""
	}
	return best.gateway.String()
}

func routeRow(l netLink, route netRoute) *wire.Route {
	row := wire.Route{
		Family:      family(route.destination.Addr()),
		Destination: route.destination.String(),
		Interface:   clean(l.name, 64),
		Metric:      uint64(route.metric),
		Protocol:    routeProtocol(route.protocol),
	}
	if route.gateway.IsValid() {
		row.Gateway = route.gateway.String()
	}
	if route.source.IsValid() {
		row.Source = route.source.String()
	}
	return &row
}

func routeProtocol(n byte) string {
	name, ok := map[byte]string{
		unix.RTPROT_UNSPEC: "", unix.RTPROT_KERNEL: "kernel", unix.RTPROT_BOOT: "boot", unix.RTPROT_STATIC: "static", unix.RTPROT_RA: "ra",
		unix.RTPROT_DHCP: "dhcp",
	}[n]
	if !ok {
		return strconv.Itoa(int(n))
	}
	return name
}

// nameServers lists the name servers of the machine; behind the resolver of
// systemd, those that it asks.
func (m machine) nameServers() string {
	servers := m.resolvers("/etc/resolv.conf")
	if len(servers) == 1 && servers[0] == "127.0.0.53" {
		if real := m.resolvers("/run/systemd/resolve/resolv.conf"); len(real) > 0 {
			servers = real
		}
	}
	return strings.Join(servers, ",")
}

func (m machine) resolvers(file string) []string {
	var servers []string
	// Without the file there are none.
	_ = m.lines(file, func(line []byte) bool {
		fields := strings.Fields(string(line))
		if len(fields) >= 2 && fields[0] == "nameserver" {
			if _, err := netip.ParseAddr(fields[1]); err == nil && !slices.Contains(servers, fields[1]) {
				servers = append(servers, fields[1])
			}
		}
		return len(servers) < 16
	})
	return servers
}
