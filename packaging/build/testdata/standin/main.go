// Command standin plays a service under systemd: it tries what its unit should
// let it do and what it should not, writes down how that went, says that it is
// ready, and waits to be stopped. The first argument says which service.
package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
)

// Build is set by the linker, to tell two builds apart.
var Build = "0"

func main() {
	switch {
	case len(os.Args) > 1 && (os.Args[1] == "server" || os.Args[1] == "run"):
		if err := serve(os.Args[1] == "run"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	case len(os.Args) > 1 && os.Args[1] == "config":
		fmt.Println("# defaults")
	default:
		fmt.Println("# stand-in", Build, filepath.Base(os.Args[0]), strings.Join(os.Args[1:], " "))
	}
}

// serve is the service.
func serve(client bool) error {
	state, runtime := os.Getenv("STATE_DIRECTORY"), os.Getenv("RUNTIME_DIRECTORY")
	var report strings.Builder
	note := func(what string, err error) {
		answer := "yes"
		if err != nil {
			answer = "no"
		}
		fmt.Fprintf(&report, "%s: %s\n", what, answer)
	}
	fmt.Fprintf(&report, "build: %s\n", Build)
	note("keeps state", os.WriteFile(filepath.Join(state, "state"), []byte("state"), 0o600))
	note("has a socket", listen("unix", filepath.Join(runtime, "socket")))
	note("listens on a high port", listen("tcp", "127.0.0.1:18443"))
	note("listens on a low port", listen("tcp", "127.0.0.1:443"))
	_, err := net.Interfaces()
	note("sees its addresses", err)
	note("changes the system", os.WriteFile("/usr/changed-by-service", nil, 0o600))
	note("changes the configuration", os.WriteFile("/etc/changed-by-service", nil, 0o600))
	_, err = os.ReadDir("/root")
	note("sees homes", err)
	note("opens raw network sockets", raw())
	note("starts as another user", exec.Command("/bin/su", "-s", "/bin/true", "daemon").Run())
	if err := os.WriteFile(filepath.Join(state, "report"), []byte(report.String()), 0o644); err != nil {
		return err
	}

	if client {
		// Work that must go on when the client is restarted.
		child := filepath.Join(state, "child")
		if _, err := os.Stat(child); os.IsNotExist(err) {
			work := exec.Command("/bin/sleep", "1000")
			if err := work.Start(); err != nil {
				return err
			}
			if err := os.WriteFile(child, fmt.Append(nil, work.Process.Pid), 0o600); err != nil {
				return err
			}
		}
	}

	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGTERM)
	ready, err := net.Dial("unixgram", os.Getenv("NOTIFY_SOCKET"))
	if err != nil {
		return fmt.Errorf("cannot say that it is ready: %w", err)
	}
	if _, err := ready.Write([]byte("READY=1")); err != nil {
		return err
	}
	<-end
	return nil
}

func listen(network, address string) error {
	listener, err := net.Listen(network, address)
	if err == nil && network != "unix" {
		err = listener.Close()
	}
	return err
}

func raw() error {
	socket, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_RAW, syscall.IPPROTO_ICMP)
	if err == nil {
		err = syscall.Close(socket)
	}
	return err
}
