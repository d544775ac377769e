package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// scratch is a copy of this machine that keeps nothing: the disk is read
// through, and every change goes to a folder of the test.
type scratch struct{ folder string }

// newScratch makes such a copy. Its /test holds testdata and, in 1 and 2, the
// packages of two builds. It skips the test where that cannot be.
func newScratch(t *testing.T, build func(t *testing.T, build string) string, args ...string) scratch {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("installing a package needs root")
	}
	for _, program := range []string{"unshare", "chroot", "mount", "dpkg", "rpm", "ip"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("%s is not installed; 'make test-packages' installs it", program)
		}
	}
	s := scratch{t.TempDir()}
	for _, below := range []string{"changes/test", "work", "root"} {
		if err := os.MkdirAll(filepath.Join(s.folder, below), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	overlay := `mount -t overlay overlay -o "lowerdir=/,upperdir=$1/changes,workdir=$1/work" "$1/root"`
	if out, err := exec.CommandContext(t.Context(), "unshare", "--mount", "sh", "-c", overlay, "sh", s.folder).CombinedOutput(); err != nil {
		t.Skipf("this machine does not let root lay one folder over another: %v\n%s", err, out)
	}

	inside := filepath.Join(s.folder, "changes/test")
	for name, version := range map[string]string{"1": "1.2.3", "2": "1.2.4"} {
		if err := os.CopyFS(filepath.Join(inside, name), os.DirFS(made(t, build(t, name), version, args...))); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.CopyFS(inside, os.DirFS("testdata")); err != nil {
		t.Fatal(err)
	}
	arch := "ARCH=" + archNames["deb"][hostArch] + "\nRPM_ARCH=" + archNames["rpm"][hostArch] + "\n"
	if err := os.WriteFile(filepath.Join(inside, "arch.sh"), []byte(arch), 0o644); err != nil {
		t.Fatal(err)
	}
	return s
}

// run runs a script of testdata there, with nothing else running.
func (s scratch) run(t *testing.T, script string) {
	t.Helper()
	const enter = `mount -t overlay overlay -o "lowerdir=/,upperdir=$1/changes,workdir=$1/work" "$1/root"
		mount --rbind /dev "$1/root/dev"
		mount -t proc proc "$1/root/proc"
		mount -t tmpfs tmpfs "$1/root/run"
		exec chroot "$1/root" sh "/test/$2"`
	command := exec.CommandContext(t.Context(), "unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-ec", enter, "sh", s.folder, script)
	out, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", script, err, out)
	}
	t.Logf("%s", out)
}

// boot starts systemd there, which runs a script of testdata and ends as that
// did.
func (s scratch) boot(t *testing.T, script string) {
	t.Helper()
	if _, err := os.Stat("/lib/systemd/systemd"); err != nil {
		t.Skip("systemd is not installed; 'make test-packages' installs it")
	}
	if err := os.Rename(filepath.Join(s.folder, "changes/test", script), filepath.Join(s.folder, "changes/test/script")); err != nil {
		t.Fatal(err)
	}
	group := controlGroup(t)
	units := filepath.Join(s.folder, "changes/etc/systemd/system")
	if err := os.MkdirAll(units, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(units, os.DirFS("testdata/units")); err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), "unshare", "--mount", "--pid", "--fork", "--kill-child", "--cgroup", "--net", "--uts", "--ipc",
		"sh", "testdata/boot.sh", s.folder)
	command.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(group.Fd())}
	said, err := command.CombinedOutput()
	out, readErr := os.ReadFile(filepath.Join(s.folder, "changes/test/output"))
	if err != nil || readErr != nil {
		t.Fatalf("%v, %v\n%s\nsystemd said:\n%s", err, readErr, out, said)
	}
	t.Logf("%s", out)
}

// controlGroup makes a control group for one test, which is gone after it.
func controlGroup(t *testing.T) *os.File {
	t.Helper()
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Skipf("cannot tell where control groups are: %v", err)
	}
	for line := range strings.Lines(string(mounts)) {
		fields := strings.Fields(line)
		if len(fields) < 3 || fields[2] != "cgroup2" {
			continue
		}
		folder, err := os.MkdirTemp(fields[1], "mainstay-packages-")
		if err != nil {
			t.Skipf("this machine does not let root make a control group: %v", err)
		}
		group, err := os.Open(folder)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			group.Close()
			var below []string
			_ = filepath.WalkDir(folder, func(path string, entry os.DirEntry, err error) error {
				if err == nil && entry.IsDir() {
					below = append(below, path)
				}
				return nil
			})
			for _, path := range slices.Backward(below) {
				if err := os.Remove(path); err != nil {
					t.Errorf("a control group is left over: %v", err)
				}
			}
		})
		return group
	}
	t.Skip("this machine has no control groups of version 2")
	return nil
}

// services makes programs that can run as services, for this architecture; the
// others are never started.
func services(t *testing.T, build string) string {
	t.Helper()
	folder := standIns(t, build)
	for _, name := range []string{"mainstay", "mainstay-client"} {
		if err := os.Remove(filepath.Join(folder, name)); err != nil {
			t.Fatal(err) // the compiler does not write over what is no program
		}
		compile := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w -X main.Build="+build, "-o", filepath.Join(folder, name), "./testdata/standin")
		compile.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := compile.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	return folder
}

func TestLifeOnDebian(t *testing.T) {
	t.Parallel()
	newScratch(t, standIns).run(t, "deb.sh")
}

func TestLifeWithRPM(t *testing.T) {
	t.Parallel()
	newScratch(t, standIns).run(t, "rpm.sh")
}

func TestUnderSystemd(t *testing.T) {
	t.Parallel()
	newScratch(t, services, "-arch", hostArch, "-format", "deb", "-compression", "gzip").boot(t, "systemd.sh")
}

// TestSite installs the real programs, where they have been built, makes a site
// and registers the machine with it.
func TestSite(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("packing the real programs takes a while")
	}
	for _, p := range products {
		if _, err := os.Stat(filepath.Join("../../bin", p.name)); err != nil {
			t.Skipf("bin/%s has not been built; 'make build' builds it", p.name)
		}
	}
	newScratch(t, realPrograms, "-arch", hostArch, "-format", "deb", "-compression", "gzip").boot(t, "site.sh")
}

// realPrograms are those of bin/; for other architectures they stand in, since
// they are never started.
func realPrograms(t *testing.T, build string) string {
	t.Helper()
	folder := standIns(t, build)
	for _, p := range products {
		program, err := os.ReadFile(filepath.Join("../../bin", p.name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, p.name), program, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return folder
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
				output(t, opts.binary(hostArch, p.name), "config", "check", filepath.Join(folder, "config"))
			}
		})
	}
}
