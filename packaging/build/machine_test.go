package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// scratchMachine runs a script of testdata as root in a copy of this machine
// that keeps nothing: the disk is read through and every change goes to a
// folder of the test. Packages of two builds are in /test/1 and /test/2 there.
func scratchMachine(t *testing.T, script string) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("installing a package needs root")
	}
	for _, program := range []string{"unshare", "chroot", "mount", "dpkg", "rpm"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("%s is not installed; 'make test-packages' installs it", program)
		}
	}
	folder := t.TempDir()
	for _, below := range []string{"changes/test", "work", "root"} {
		if err := os.MkdirAll(filepath.Join(folder, below), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	inside := filepath.Join(folder, "changes/test")
	for build, version := range map[string]string{"1": "1.2.3", "2": "1.2.4"} {
		if err := os.CopyFS(filepath.Join(inside, build), os.DirFS(made(t, standIns(t, build), version))); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.CopyFS(inside, os.DirFS("testdata")); err != nil {
		t.Fatal(err)
	}

	enter := `mount -t overlay overlay -o "lowerdir=/,upperdir=$1/changes,workdir=$1/work" "$1/root"`
	if out, err := exec.CommandContext(t.Context(), "unshare", "--mount", "sh", "-c", enter, "sh", folder).CombinedOutput(); err != nil {
		t.Skipf("this machine does not let root lay one folder over another: %v\n%s", err, out)
	}
	enter += ` && mount --rbind /dev "$1/root/dev" && mount -t proc proc "$1/root/proc" && mount -t tmpfs tmpfs "$1/root/run" && exec chroot "$1/root" sh "/test/$2"`
	command := exec.CommandContext(t.Context(), "unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", enter, "sh", folder, script)
	command.Env = append(os.Environ(), "ARCH="+archNames["deb"][hostArch], "RPM_ARCH="+archNames["rpm"][hostArch])
	out, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", script, err, out)
	}
	t.Logf("%s", out)
}

func TestLifeOnDebian(t *testing.T) {
	t.Parallel()
	scratchMachine(t, "deb.sh")
}

func TestLifeWithRPM(t *testing.T) {
	t.Parallel()
	scratchMachine(t, "rpm.sh")
}

// unitHere is a copy of a unit whose program exists on this machine, since a
// unit without its program is not accepted.
func unitHere(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "units", name+".service"))
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(standIns(t, "1"), name)
	unit := filepath.Join(t.TempDir(), name+".service")
	if err := os.WriteFile(unit, []byte(strings.ReplaceAll(string(text), "/usr/bin/"+name+" ", program+" ")), 0o644); err != nil {
		t.Fatal(err)
	}
	return unit
}

func TestUnits(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		// exposure is what systemd's own judgement may be at most, in tenths,
		// from 0 (nothing can be reached) to 100.
		exposure string
	}{
		{"mainstay", "15"},
		{"mainstay-client", "97"}, // manages the whole machine
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			unit := unitHere(t, test.name)
			if said := output(t, "systemd-analyze", "verify", "--man=no", "--recursive-errors=no", unit); strings.TrimSpace(said) != "" {
				t.Errorf("systemd says about the unit:\n%s", said)
			}
			output(t, "systemd-analyze", "security", "--offline=yes", "--no-pager", "--threshold="+test.exposure, unit)
		})
	}
}

// TestScripts lets the shell read every script, and refuses what only one
// family of distributions has.
func TestScripts(t *testing.T) {
	t.Parallel()
	scripts, err := filepath.Glob("../scripts/*.sh")
	if err != nil || len(scripts) != 7 {
		t.Fatalf("found scripts %q, %v, want 7", scripts, err)
	}
	for _, script := range scripts {
		output(t, "sh", "-n", script)
		text, err := os.ReadFile(script)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(string(text), "#!/bin/sh\n") || !strings.Contains(string(text), "\nset -eu\n") {
			t.Errorf("%s does not begin with #!/bin/sh or does not set -eu", script)
		}
		for _, command := range []string{"adduser", "addgroup", "deb-systemd", "invoke-rc.d", "chkconfig", "[["} {
			if strings.Contains(string(text), command) {
				t.Errorf("%s uses %s, which not every distribution has", script, command)
			}
		}
	}
}

// TestPrograms asks the real programs, where they have been built, for what
// packages take from them.
func TestPrograms(t *testing.T) {
	t.Parallel()
	opts := options{source: "../..", binaries: "../../bin", hostArch: hostArch}
	for _, p := range products {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			if _, err := os.Stat(opts.binary(hostArch, p.name)); err != nil {
				t.Skipf("bin/%s has not been built; 'make build' builds it", p.name)
			}
			folder := t.TempDir()
			made, err := generate(t.Context(), opts, p, folder)
			if err != nil {
				t.Fatal(err)
			}
			output(t, "bash", "-n", filepath.Join(folder, "bash"))
			if made.config {
				output(t, opts.binary(hostArch, p.name), "config", "check", "--config", filepath.Join(folder, "config"))
			}
		})
	}
}
