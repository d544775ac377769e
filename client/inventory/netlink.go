package inventory

import (
	"encoding/binary"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"
)

// netLink, netAddress and netRoute are what the kernel says by netlink, as far
// as it is used.
type netLink struct {
	index        uint32
	name, kind   string
	hardware     uint16
	flags        uint32
	mtu, master  uint32
	state        byte
	mac, factory []byte
	// elsewhere: the other end is in another network namespace.
	elsewhere bool
}

type netAddress struct {
	index            uint32
	prefix           netip.Prefix
	scope            byte
	dynamic, passing bool
}

type netRoute struct {
	destination     netip.Prefix
	gateway, source netip.Addr
	index, metric   uint32
	protocol        byte
}

// attributes walks over the attributes of a message, without trust in their
// lengths.
func attributes(data []byte, visit func(kind uint16, value []byte)) {
	for len(data) >= 4 {
		length := int(binary.NativeEndian.Uint16(data))
		if length < 4 || length > len(data) {
			return
		}
		// The two highest bits say how the value is written.
		visit(binary.NativeEndian.Uint16(data[2:])&0x3fff, data[4:length])
		data = data[min((length+3)&^3, len(data)):]
	}
}

func number32(value []byte) uint32 {
	if len(value) < 4 {
		return 0
	}
	return binary.NativeEndian.Uint32(value)
}

func zeroEnded(value []byte) string { return unix.ByteSliceToString(value) }

// messages calls visit for every message of a kind.
func messages(data []byte, kind uint16, visit func(body []byte)) error {
	all, err := syscall.ParseNetlinkMessage(data)
	if err != nil {
		return err
	}
	for _, message := range all {
		if message.Header.Type == kind {
			visit(message.Data)
		}
	}
	return nil
}

func parseLink(body []byte) (netLink, bool) {
	if len(body) < unix.SizeofIfInfomsg {
		return netLink{}, false
	}
	l := netLink{
		hardware: binary.NativeEndian.Uint16(body[2:]),
		index:    binary.NativeEndian.Uint32(body[4:]),
		flags:    binary.NativeEndian.Uint32(body[8:]),
	}
	attributes(body[unix.SizeofIfInfomsg:], func(kind uint16, value []byte) {
		switch kind {
		case unix.IFLA_IFNAME:
			l.name = zeroEnded(value)
		case unix.IFLA_ADDRESS:
			l.mac = value
		case unix.IFLA_PERM_ADDRESS:
			l.factory = value
		case unix.IFLA_MTU:
			l.mtu = number32(value)
		case unix.IFLA_MASTER:
			l.master = number32(value)
		case unix.IFLA_LINK_NETNSID:
			l.elsewhere = true
		case unix.IFLA_OPERSTATE:
			if len(value) > 0 {
				l.state = value[0]
			}
		case unix.IFLA_LINKINFO:
			attributes(value, func(kind uint16, value []byte) {
				if kind == unix.IFLA_INFO_KIND {
					l.kind = zeroEnded(value)
				}
			})
		}
	})
	return l, l.name != ""
}

func parseAddress(body []byte) (netAddress, bool) {
	if len(body) < unix.SizeofIfAddrmsg {
		return netAddress{}, false
	}
	family, bits, flags := body[0], int(body[1]), uint32(body[2])
	a := netAddress{scope: body[3], index: binary.NativeEndian.Uint32(body[4:])}
	var address, local netip.Addr
	attributes(body[unix.SizeofIfAddrmsg:], func(kind uint16, value []byte) {
		switch kind {
		case unix.IFA_ADDRESS:
			address, _ = netip.AddrFromSlice(value)
		case unix.IFA_LOCAL:
			local, _ = netip.AddrFromSlice(value)
		case unix.IFA_FLAGS:
			flags = number32(value)
		}
	})
	// On a link with one peer, the address is the peer's.
	if local.IsValid() {
		address = local
	}
	a.prefix = netip.PrefixFrom(address, bits)
	a.dynamic = flags&unix.IFA_F_PERMANENT == 0
	a.passing = family == unix.AF_INET6 && flags&unix.IFA_F_TEMPORARY != 0
	return a, a.prefix.IsValid()
}

// daemonProtocols are those of routing daemons: what they learn changes all the
// time and may be a million routes.
var daemonProtocols = map[byte]bool{
	unix.RTPROT_GATED: true, unix.RTPROT_ZEBRA: true, unix.RTPROT_BIRD: true, unix.RTPROT_BABEL: true, unix.RTPROT_BGP: true,
	unix.RTPROT_ISIS: true, unix.RTPROT_OSPF: true, unix.RTPROT_RIP: true, unix.RTPROT_EIGRP: true, unix.RTPROT_XORP: true, unix.RTPROT_OPENR: true,
	unix.RTPROT_REDIRECT: true,
}

// parseRoute reads a unicast route of the main table; one with several next
// hops becomes several.
func parseRoute(body []byte) []netRoute {
	if len(body) < unix.SizeofRtMsg {
		return nil
	}
	family, bits, table, protocol, kind := body[0], int(body[1]), uint32(body[4]), body[5], body[7]
	flags := binary.NativeEndian.Uint32(body[8:])
	if kind != unix.RTN_UNICAST || flags&unix.RTM_F_CLONED != 0 || daemonProtocols[protocol] {
		return nil
	}
	route := netRoute{protocol: protocol}
	destination := netip.IPv4Unspecified()
	if family == unix.AF_INET6 {
		destination = netip.IPv6Unspecified()
	} else if family != unix.AF_INET {
		return nil
	}
	var hops []netRoute
	attributes(body[unix.SizeofRtMsg:], func(kind uint16, value []byte) {
		switch kind {
		case unix.RTA_TABLE:
			table = number32(value)
		case unix.RTA_DST:
			destination, _ = netip.AddrFromSlice(value)
		case unix.RTA_PRIORITY:
			route.metric = number32(value)
		case unix.RTA_PREFSRC:
			route.source, _ = netip.AddrFromSlice(value)
		case unix.RTA_MULTIPATH:
			hops = parseHops(value)
		default:
			route.hop(kind, value)
		}
	})
	route.destination = netip.PrefixFrom(destination, bits)
	if table != unix.RT_TABLE_MAIN || !route.destination.IsValid() || destination.IsMulticast() {
		return nil
	}
	if len(hops) == 0 {
		return []netRoute{route}
	}
	for i := range hops {
		next := route
		next.gateway, next.index = hops[i].gateway, hops[i].index
		hops[i] = next
	}
	return hops
}

// hop reads the attributes that a next hop may have of its own.
func (r *netRoute) hop(kind uint16, value []byte) {
	switch kind {
	case unix.RTA_OIF:
		r.index = number32(value)
	case unix.RTA_GATEWAY:
		r.gateway, _ = netip.AddrFromSlice(value)
	case unix.RTA_VIA:
		// The family of the address stands before it.
		if len(value) > 2 {
			r.gateway, _ = netip.AddrFromSlice(value[2:])
		}
	}
}

// parseHops reads next hops: length, flags, weight, interface, attributes.
func parseHops(data []byte) []netRoute {
	var hops []netRoute
	for len(data) >= 8 && len(hops) < 256 {
		length := int(binary.NativeEndian.Uint16(data))
		if length < 8 || length > len(data) {
			break
		}
		hop := netRoute{index: binary.NativeEndian.Uint32(data[4:])}
		attributes(data[8:length], hop.hop)
		hops = append(hops, hop)
		data = data[min((length+3)&^3, len(data)):]
	}
	return hops
}
