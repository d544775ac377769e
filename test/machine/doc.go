// Package machine gives tests machines of their own: as many as they want, on
// a network of their own, with or without an operating system of their own.
//
//	net := machine.NewNetwork(t)
//	server, client := net.Machine("server"), net.Machine("client")
//	cmd := server.Command(ctx, "mainstay", "server", "--config", ...)
//	fresh := client.Chroot(machine.CleanRoot(t))
//	net.Cut(server, client)
//
// # What a machine is
//
// A machine is a network namespace, a mount namespace and a host name. It sees
// the files of the real machine, but has its own /etc/hosts (all machines of
// the network by name), no name server, its own machine-id, its own /sys with
// its own network devices, and a data folder. Chroot gives the same machine
// another root file system, with processes, /proc, /dev and /sys of its own:
// that is what a test of an installation wants. The kernel, the clock and the
// hardware are those of the real machine in both cases.
//
// A network is a bridge in a namespace of its own. Each machine hangs on it
// with one device, eth0, and an address in 10.0.0.0/24. There is no way out:
// nothing reaches the network of the real machine or the Internet, networks do
// not reach each other, and addresses may be the same in each.
//
// # How it ends
//
// Nothing has a name outside the process: a namespace lives as long as the
// holder, a small process that waits for its standard input to end. So all is
// gone when the test ends, and also when it is killed. Whatever still runs in
// a machine when the test ends is killed.
//
// # What it needs
//
// Linux, root, and the Debian packages iproute2, util-linux and, for clean
// roots, debootstrap. What is missing is installed (see Need); what cannot be
// installed fails the test with the reason. Nothing is skipped.
package machine
