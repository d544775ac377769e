package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// standIns makes programs that say which build they are and how they were
// called, for both architectures, as a build leaves them.
func standIns(t *testing.T, build string) string {
	t.Helper()
	folder := t.TempDir()
	for _, below := range []string{".", "linux-amd64", "linux-arm64"} {
		for _, name := range []string{"mainstay", "mainstay-client"} {
			path := filepath.Join(folder, below, name)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			// The default configuration is the same in all builds, as it is
			// between most releases.
			script := fmt.Sprintf("#!/bin/sh\n[ \"$1\" != config ] || { echo '# defaults'; exit; }\necho \"# stand-in %s %s: $*\"\n", build, name)
			if err := os.WriteFile(path, []byte(script), 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	return folder
}

// made builds with the arguments given and returns the folder of the packages.
func made(t *testing.T, binaries, version string, args ...string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "packages")
	args = append([]string{"-source", "../..", "-binaries", binaries, "-out", out, "-version", version, "-mtime", "1700000000"}, args...)
	if err := run(t.Context(), args, &bytes.Buffer{}, &bytes.Buffer{}); err != nil {
		t.Fatal(err)
	}
	return out
}

// names are the files of a folder, sorted.
func names(t *testing.T, folder string) []string {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, entry := range entries {
		all = append(all, entry.Name())
	}
	return all
}

// output runs a program of the machine, or skips the test where it is missing.
func output(t *testing.T, program string, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		t.Skipf("%s is not installed; 'make test-packages' installs it", program)
	}
	command := exec.CommandContext(t.Context(), program, args...)
	command.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "TZ=UTC")
	out, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", program, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// wantLines fails for each line that is wanted and not there. Blanks are
// compared as one.
func wantLines(t *testing.T, what, text string, wanted ...string) {
	t.Helper()
	lines := map[string]bool{}
	for line := range strings.Lines(text) {
		lines[strings.Join(strings.Fields(line), " ")] = true
	}
	for _, line := range wanted {
		if !lines[line] {
			t.Errorf("%s has no line %q; it is\n%s", what, line, text)
		}
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	out := made(t, standIns(t, "1"), "1.2.3")
	want := []string{
		"mainstay-client_1.2.3_aarch64.rpm", "mainstay-client_1.2.3_amd64.deb", "mainstay-client_1.2.3_arm64.deb", "mainstay-client_1.2.3_x86_64.rpm",
		"mainstay_1.2.3_aarch64.rpm", "mainstay_1.2.3_amd64.deb", "mainstay_1.2.3_arm64.deb", "mainstay_1.2.3_x86_64.rpm",
	}
	if got := names(t, out); !slices.Equal(got, want) {
		t.Errorf("built %q, want %q", got, want)
	}
}

func TestDeb(t *testing.T) {
	t.Parallel()
	out := made(t, standIns(t, "1"), "1.2.3", "-format", "deb")

	server := filepath.Join(out, "mainstay_1.2.3_arm64.deb")
	// mode, owner, size, date, time, path: the size says nothing.
	var listed strings.Builder
	for line := range strings.Lines(output(t, "dpkg-deb", "-c", server)) {
		fields := strings.Fields(line)
		fmt.Fprintln(&listed, fields[0], fields[1], fields[3], fields[4], strings.Join(fields[5:], " "))
	}
	wantLines(t, "the server's list", listed.String(),
		"-rwxr-xr-x root/root 2023-11-14 22:13 ./usr/bin/mainstay",
		"-rw-r--r-- root/root 2023-11-14 22:13 ./usr/lib/systemd/system/mainstay.service",
		"-rw-r--r-- root/root 2023-11-14 22:13 ./usr/share/bash-completion/completions/mainstay",
		"-rw-r--r-- root/root 2023-11-14 22:13 ./usr/share/zsh/vendor-completions/_mainstay",
		"-rw-r--r-- root/root 2023-11-14 22:13 ./usr/share/fish/vendor_completions.d/mainstay.fish",
		"-rw-r--r-- root/root 2023-11-14 22:13 ./usr/share/doc/mainstay/copyright",
		"-rw-r--r-- root/root 2023-11-14 22:13 ./usr/share/doc/mainstay/examples/privileged-ports.conf",
		"drwxr-x--- root/mainstay 2023-11-14 22:13 ./etc/mainstay/",
		"-rw-r----- root/mainstay 2023-11-14 22:13 ./etc/mainstay/mainstay.yaml",
		"drwx------ mainstay/mainstay 2023-11-14 22:13 ./var/lib/mainstay/",
		"-rw-r--r-- root/root 2023-11-14 22:13 ./usr/share/mainstay/client-packages/mainstay-client_1.2.3_amd64.deb",
		"-rw-r--r-- root/root 2023-11-14 22:13 ./usr/share/mainstay/client-packages/mainstay-client_1.2.3_aarch64.rpm",
	)
	if strings.Count(listed.String(), "\n") != strings.Count(listed.String(), "2023-11-14 22:13") {
		t.Errorf("not everything bears the time of the commit:\n%s", listed.String())
	}
	wantLines(t, "the server's head", output(t, "dpkg-deb", "-I", server),
		"Package: mainstay", "Version: 1.2.3", "Architecture: arm64", "Section: admin", "Pre-Depends: passwd",
		"Description: Site system server and administrator's command of Mainstay")
	wantLines(t, "the list of configuration files", output(t, "dpkg-deb", "-I", server, "conffiles"), "/etc/mainstay/mainstay.yaml")

	client := filepath.Join(out, "mainstay-client_1.2.3_amd64.deb")
	head := output(t, "dpkg-deb", "-I", client)
	wantLines(t, "the client's head", head, "Package: mainstay-client", "Architecture: amd64")
	if strings.Contains(head, "Depends:") {
		t.Errorf("the client needs another package; it must be installable anywhere:\n%s", head)
	}
	unpacked := t.TempDir()
	output(t, "dpkg-deb", "-x", client, unpacked)
	completion, err := os.ReadFile(filepath.Join(unpacked, "usr/share/zsh/vendor-completions/_mainstay-client"))
	if err != nil {
		t.Fatal(err)
	}
	wantLines(t, "the client's completion", string(completion), "# stand-in 1 mainstay-client: completion zsh")
}

func TestRPM(t *testing.T) {
	t.Parallel()
	out := made(t, standIns(t, "1"), "1.2.3", "-format", "rpm")
	const list = `[%{FILEMODES:perms} %{FILEUSERNAME} %{FILEGROUPNAME} %{FILEMTIMES} (%{FILEFLAGS:fflags}) %{FILENAMES}\n]`

	server := filepath.Join(out, "mainstay_1.2.3_aarch64.rpm")
	wantLines(t, "the server's list", output(t, "rpm", "-qp", "--qf", list, server),
		"-rwxr-xr-x root root 1700000000 () /usr/bin/mainstay",
		"-rw-r--r-- root root 1700000000 () /usr/lib/systemd/system/mainstay.service",
		"-rw-r--r-- root root 1700000000 () /usr/share/zsh/site-functions/_mainstay",
		"-rw-r--r-- root root 1700000000 (l) /usr/share/licenses/mainstay/LICENSE",
		"drwxr-x--- root mainstay 1700000000 () /etc/mainstay",
		"-rw-r----- root mainstay 1700000000 (cn) /etc/mainstay/mainstay.yaml",
		"drwx------ mainstay mainstay 1700000000 () /var/lib/mainstay",
		"-rw-r--r-- root root 1700000000 () /usr/share/mainstay/client-packages/mainstay-client_1.2.3_amd64.deb",
		"-rw-r--r-- root root 1700000000 () /usr/share/mainstay/client-packages/mainstay-client_1.2.3_x86_64.rpm",
	)
	wantLines(t, "the server's head", output(t, "rpm", "-qpi", server),
		"Name : mainstay", "Version : 1.2.3", "Architecture: aarch64", "License : Apache-2.0", "Build Host : localhost",
		"Build Date : Tue Nov 14 22:13:20 2023")
	wantLines(t, "what the server needs", output(t, "rpm", "-qpR", server), "/usr/sbin/useradd", "/usr/sbin/groupadd")
	scripts := output(t, "rpm", "-qp", "--scripts", server)
	for _, moment := range []string{"preinstall", "postinstall", "preuninstall", "postuninstall"} {
		if !strings.Contains(scripts, moment+" scriptlet (using /bin/sh)") {
			t.Errorf("the server has no %s script", moment)
		}
	}
	if got := output(t, "rpm", "-qp", "--qf", `%{ARCH}`, filepath.Join(out, "mainstay-client_1.2.3_x86_64.rpm")); got != "x86_64" {
		t.Errorf("the client's architecture is %q", got)
	}
}

// TestReproducible builds twice from programs that differ in nothing but when
// they were written, in different folders, and wants the same bytes.
func TestReproducible(t *testing.T) {
	t.Parallel()
	first, second := made(t, standIns(t, "1"), "1.2.3"), made(t, standIns(t, "1"), "1.2.3")
	for _, name := range names(t, first) {
		one, err := os.ReadFile(filepath.Join(first, name))
		if err != nil {
			t.Fatal(err)
		}
		two, err := os.ReadFile(filepath.Join(second, name))
		if err != nil {
			t.Fatal(err)
		}
		if sha256.Sum256(one) != sha256.Sum256(two) {
			t.Errorf("%s is not the same when it is built again", name)
		}
	}
}

func TestEarlierPackagesGo(t *testing.T) {
	t.Parallel()
	binaries := standIns(t, "1")
	out := made(t, binaries, "1.2.3", "-what", "client", "-arch", "amd64")
	for _, name := range []string{"mainstay-client_1.0.0_arm64.deb", "mainstay-client-notes.txt"} {
		if err := os.WriteFile(filepath.Join(out, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	args := []string{"-source", "../..", "-binaries", binaries, "-out", out, "-version", "1.2.4", "-mtime", "1700000000", "-what", "client", "-arch", "amd64"}
	if err := run(t.Context(), args, &bytes.Buffer{}, &bytes.Buffer{}); err != nil {
		t.Fatal(err)
	}
	want := []string{"mainstay-client-notes.txt", "mainstay-client_1.0.0_arm64.deb", "mainstay-client_1.2.4_amd64.deb", "mainstay-client_1.2.4_x86_64.rpm"}
	if got := names(t, out); !slices.Equal(got, want) {
		t.Errorf("the folder holds %q, want %q", got, want)
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	binaries := standIns(t, "1")
	broken := standIns(t, "1")
	if err := os.WriteFile(filepath.Join(broken, "mainstay-client"), []byte("#!/bin/sh\necho no such command >&2\nexit 2\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	silent := standIns(t, "1")
	if err := os.WriteFile(filepath.Join(silent, "mainstay-client"), []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name string
		args []string
		want string
	}{
		{"what", []string{"-what", "client,toaster"}, `-what names "toaster": it can be client, server`},
		{"architecture", []string{"-arch", "vax"}, `-arch names "vax": it can be amd64, arm64`},
		{"format", []string{"-format", ""}, `-format names "": it can be deb, rpm`},
		{"compression", []string{"-compression", "zip"}, `-compression is "zip": it can be xz or gzip`},
		{"time", []string{"-mtime", "yesterday"}, `-mtime is "yesterday"`},
		{"version", []string{"-version", "banana"}, `version "banana" cannot be a package's version`},
		{"argument", []string{"client"}, `argument "client" is not understood`},
		{"missing programs", []string{"-binaries", t.TempDir()}, "the program mainstay-client for"},
		{"failing program", []string{"-binaries", broken}, "no such command"},
		{"silent program", []string{"-binaries", silent}, "prints nothing"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			out := filepath.Join(t.TempDir(), "packages")
			args := append([]string{"-source", "../..", "-binaries", binaries, "-out", out, "-version", "1.2.3", "-mtime", "1700000000"}, test.args...)
			err := run(t.Context(), args, &bytes.Buffer{}, &bytes.Buffer{})
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("run() = %v, want an error with %q", err, test.want)
			}
			if entries, _ := os.ReadDir(out); len(entries) > 0 {
				t.Errorf("left %q behind", entries[0].Name())
			}
		})
	}
}

func TestCancelled(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	args := []string{"-source", "../..", "-binaries", standIns(t, "1"), "-out", t.TempDir(), "-version", "1.2.3", "-mtime", "1700000000"}
	if err := run(ctx, args, &bytes.Buffer{}, &bytes.Buffer{}); err == nil {
		t.Error("built packages although it was told to stop")
	}
}

func TestPackageVersion(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ version, want string }{
		{"1.2.3", "1.2.3"},
		{"1.2.3-rc1", "1.2.3~rc1"},
		{"1.2.3-beta.2", "1.2.3~beta.2"},
		{"1.2.3-5-g0123456789ab", "1.2.3+5.g0123456789ab"},
		{"1.2.3-rc1-5-g0123456789ab", "1.2.3~rc1+5.g0123456789ab"},
		{"1.2.3-dirty", "1.2.3+0.dirty"},
		{"0.0.0-12-g0123456789ab-dirty", "0.0.0+12.g0123456789ab.dirty"},
		{"0.0.0-0-gunknown", "0.0.0+0.gunknown"},
		{"", ""}, {"1.2", ""}, {"v1.2.3", ""}, {"1.2.3-", ""}, {"1.2.3_1", ""}, {"1.2.3\n", ""}, {"1.2.3-4-g../x", ""},
	} {
		got, err := packageVersion(test.version)
		if got != test.want || (err == nil) != (test.want != "") {
			t.Errorf("packageVersion(%q) = %q, %v, want %q", test.version, got, err, test.want)
		}
	}
}

// TestVersionOrder asks dpkg whether versions follow each other as they were
// made, because machines upgrade in that order.
func TestVersionOrder(t *testing.T) {
	t.Parallel()
	order := []string{"1.2.3-beta1", "1.2.3-rc1", "1.2.3-rc1-4-g0123abc", "1.2.3", "1.2.3-dirty", "1.2.3-9-gfff", "1.2.3-10-g000", "1.2.4"}
	for i := range order[1:] {
		older, err1 := packageVersion(order[i])
		newer, err2 := packageVersion(order[i+1])
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		output(t, "dpkg", "--compare-versions", older, "lt", newer)
	}
}
