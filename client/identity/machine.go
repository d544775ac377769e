package identity

import (
	"bufio"
	"net"
	"os"
	"runtime"
	"slices"
	"strings"
)

// Facts are what a machine says of itself when it registers and in each
// heartbeat.
type Facts struct {
	// Name is the host name.
	Name string
	// OS and OSVersion are the distribution ("Debian GNU/Linux", "12").
	OS, OSVersion string
	// Arch is Go's name of the architecture.
	Arch string
	// Addresses are the global unicast addresses of the machine, sorted.
	Addresses []string
}

// Machine reads the facts of this machine. root is the root of the file
// system, "/" but in tests.
func Machine(root string) Facts {
	facts := Facts{OS: "Linux", Arch: runtime.GOARCH, Addresses: addresses()}
	facts.Name, _ = os.Hostname()
	release := fact(root, "etc/os-release")
	if release == "" {
		release = fact(root, "usr/lib/os-release")
	}
	lines := bufio.NewScanner(strings.NewReader(release))
	for lines.Scan() {
		key, value, _ := strings.Cut(lines.Text(), "=")
		value = strings.Trim(value, `"'`)
		switch {
		case key == "NAME" && value != "":
			facts.OS = value
		case key == "VERSION_ID":
			facts.OSVersion = value
		}
	}
	return facts
}

func addresses() []string {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	var list []string
	for _, a := range all {
		if ip, ok := a.(*net.IPNet); ok && ip.IP.IsGlobalUnicast() {
			list = append(list, ip.IP.String())
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}
