package httpserve

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"mainstay/lib/fault"
)

// Listen opens a TCP port. A port that is taken is a Conflict that names the
// process that holds it, where this process may know; one that needs root says
// so.
func Listen(ctx context.Context, address string) (net.Listener, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	switch {
	case err == nil:
		return l, nil
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fault.New(fault.Conflict, "port %s is taken by %s; stop it or configure another port", address, holder(address))
	case errors.Is(err, syscall.EACCES):
		return nil, fault.New(fault.Denied, "port %s needs root or CAP_NET_BIND_SERVICE; use a port above 1023", address)
	}
	return nil, fault.Wrap(fault.Invalid, err, "cannot listen on %s", address)
}

// holder names the process that listens on the port of the address.
func holder(address string) string {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return "another process"
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return "another process"
	}
	for _, inode := range listeners("/proc", uint16(n)) {
		if name := ownerOf("/proc", inode); name != "" {
			return name
		}
	}
	return "another process (root can see which: ss -ltnp 'sport = :" + port + "')"
}

// listeners are the inodes of the sockets that listen on a port.
func listeners(proc string, port uint16) []string {
	const stateListen = "0A"
	var inodes []string
	for _, table := range []string{"net/tcp", "net/tcp6"} {
		data, err := os.ReadFile(filepath.Join(proc, table))
		if err != nil {
			continue
		}
		for _, line := range strings.Split(string(data), "\n") {
			fields := strings.Fields(line)
			if len(fields) > 9 && fields[3] == stateListen && strings.HasSuffix(fields[1], fmt.Sprintf(":%04X", port)) {
				inodes = append(inodes, fields[9])
			}
		}
	}
	return inodes
}

func ownerOf(proc, inode string) string {
	links, err := filepath.Glob(filepath.Join(proc, "[0-9]*", "fd", "*"))
	if err != nil {
		return ""
	}
	for _, link := range links {
		if target, err := os.Readlink(link); err != nil || target != "socket:["+inode+"]" {
			continue
		}
		pid := filepath.Base(filepath.Dir(filepath.Dir(link)))
		name, err := os.ReadFile(filepath.Join(proc, pid, "comm"))
		if err != nil {
			return "process " + pid
		}
		return strings.TrimSpace(string(name)) + " (process " + pid + ")"
	}
	return ""
}
