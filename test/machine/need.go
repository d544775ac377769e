package machine

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// Need makes sure that Debian packages are installed. What is missing is
// installed with apt-get, without asking; a test that cannot have it fails
// with the command that a human would have to run.
func Need(t testing.TB, packages ...string) {
	t.Helper()
	missing, err := notInstalled(packages)
	if err != nil {
		t.Fatalf("machine: cannot tell whether the packages %s are installed: %v; these tests run on Debian",
			strings.Join(packages, ", "), err)
	}
	if len(missing) == 0 {
		return
	}
	if os.Geteuid() != 0 {
		t.Fatalf("machine: the test needs packages that are not installed; run as root: apt-get install %s",
			strings.Join(missing, " "))
	}
	if out, err := install(missing); err != nil {
		t.Fatalf("machine: cannot install what the test needs: apt-get install %s: %v\n%s",
			strings.Join(missing, " "), err, out)
	}
}

// needRoot fails the test where it may not make namespaces.
func needRoot(t testing.TB, what string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatalf("machine: %s needs root; run the test as root", what)
	}
}

func notInstalled(packages []string) ([]string, error) {
	var missing []string
	for _, name := range packages {
		out, err := exec.Command("dpkg-query", "--show", "--showformat", "${db:Status-Status}", name).Output()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			return nil, err
		}
		if string(out) != "installed" {
			missing = append(missing, name)
		}
	}
	return missing, nil
}

// install asks for the lists of packages only when the installation fails: on
// a new machine there are none yet, on an old one they may be out of date.
func install(packages []string) ([]byte, error) {
	out, err := apt(append([]string{"install", "--yes", "--no-install-recommends"}, packages...))
	if err == nil {
		return nil, nil
	}
	if updated, err := apt([]string{"update"}); err != nil {
		return append(out, updated...), fmt.Errorf("apt-get update: %w", err)
	}
	return apt(append([]string{"install", "--yes", "--no-install-recommends"}, packages...))
}

func apt(args []string) ([]byte, error) {
	// Tests of several packages run at once: wait for each other's lock.
	cmd := exec.Command("apt-get", append([]string{"--option", "DPkg::Lock::Timeout=300"}, args...)...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C.UTF-8")
	return cmd.CombinedOutput()
}
