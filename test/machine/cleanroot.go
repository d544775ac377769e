package machine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// oldest is the age at which a cached root is made again, so that it does not
// fall too far behind the packages of the day.
const oldest = 30 * 24 * time.Hour

// CleanRoot returns a root file system with a minimal Debian, of the release
// and architecture of the running system, that belongs to the test alone: what
// it writes there is gone afterwards. Beyond what every Debian has, wget is
// installed; there are no certificates of public authorities (ca-certificates)
// and no lists of packages.
//
// The first use takes half a minute: the system is installed with debootstrap
// from the source that apt has, and kept in the user's cache folder, under
// mainstay-test, for 30 days.
func CleanRoot(t testing.TB) string {
	t.Helper()
	needRoot(t, "a clean root file system")
	Need(t, "debootstrap", "util-linux")
	base, err := cachedRoot(t)
	if err != nil {
		t.Fatalf("machine: cannot make a clean root: %v", err)
	}
	if err := sweep(); err != nil {
		t.Logf("machine: cannot remove what killed tests left: %v", err)
	}
	root, err := overlay(t, base)
	if err != nil {
		// Not every file system can carry an overlay, another overlay for one.
		root = filepath.Join(t.TempDir(), "root")
		if out, err := exec.Command("cp", "--archive", "--reflink=auto", base, root).CombinedOutput(); err != nil {
			t.Fatalf("machine: cannot copy the clean root: %v\n%s", err, out)
		}
	}
	return root
}

// cachedRoot makes the root that all tests start from, unless there is one that
// is new enough, and keeps others from replacing it until the test ends.
func cachedRoot(t testing.TB) (string, error) {
	suite, err := release("/etc/os-release", "VERSION_CODENAME")
	if err != nil {
		return "", err
	}
	arch, err := exec.Command("dpkg", "--print-architecture").Output()
	if err != nil {
		return "", err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("no place to keep it: %w", err)
	}
	cache = filepath.Join(cache, "mainstay-test")
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", err
	}
	base := filepath.Join(cache, fmt.Sprintf("debian-%s-%s", suite, strings.TrimSpace(string(arch))))

	lock, err := os.OpenFile(base+".lock", os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return "", err
	}
	t.Cleanup(func() { lock.Close() })
	return base, freshen(lock, base, func() error { return bootstrap(suite, base) })
}

// freshen calls make when base is missing or too old and keeps a shared lock.
// An old one in use stays for now: it is better than waiting for other tests.
func freshen(lock *os.File, base string, make func() error) error {
	fd := int(lock.Fd())
	for {
		if err := unix.Flock(fd, unix.LOCK_SH); err != nil {
			return err
		}
		age, err := ageOf(base)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		missing := err != nil
		if !missing && age < oldest {
			return nil
		}
		how := unix.LOCK_EX
		if !missing {
			how |= unix.LOCK_NB
		}
		if err := unix.Flock(fd, how); errors.Is(err, unix.EWOULDBLOCK) {
			// A failed conversion has given up the shared lock.
			if err := unix.Flock(fd, unix.LOCK_SH); err != nil {
				return err
			}
			if _, err := ageOf(base); err == nil {
				return nil
			}
			continue
		} else if err != nil {
			return err
		}
		// Another one may have made it while this one waited.
		if age, err := ageOf(base); err != nil || age >= oldest {
			if err := make(); err != nil {
				return err
			}
		}
	}
}

func ageOf(path string) (time.Duration, error) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	return time.Since(info.ModTime()), nil
}

// bootstrap installs a minimal system at base. What is at base is complete:
// it is renamed to there at the end.
func bootstrap(suite, base string) error {
	sources, err := readSources("/etc/apt")
	if err != nil {
		return err
	}
	mirror, err := mirrorFor(sources, suite)
	if err != nil {
		return err
	}
	made := base + ".new"
	if err := os.RemoveAll(made); err != nil {
		return err
	}
	// In a mount namespace of its own, so that nothing stays mounted in a root
	// that was interrupted.
	args := []string{"--mount", "--pid", "--fork", "--kill-child", "--propagation", "slave",
		"debootstrap", "--variant=minbase", "--include=wget"}
	if mirror.keyring != "" {
		args = append(args, "--keyring="+mirror.keyring)
	}
	options, environment, err := aptTransport(base + ".wgetrc")
	if err != nil {
		return err
	}
	args = append(append(args, options...), suite, made, mirror.uri)
	cmd := exec.Command("unshare", args...)
	cmd.Env = append(os.Environ(), environment...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("debootstrap: %w\n%s", err, out)
	}
	if err := tidy(made); err != nil {
		return err
	}
	if err := os.RemoveAll(base); err != nil {
		return err
	}
	return os.Rename(made, base)
}

// tidy removes what a root has of the machine it was made on, and what only
// takes room.
func tidy(root string) error {
	for _, pattern := range []string{
		"etc/hostname", "etc/resolv.conf", "etc/machine-id",
		"var/cache/apt/archives/*.deb", "var/lib/apt/lists/*", "var/log/bootstrap.log",
	} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			return err
		}
		for _, path := range found {
			if err := os.RemoveAll(path); err != nil {
				return err
			}
		}
	}
	now := time.Now()
	return os.Chtimes(root, now, now) // its age counts from here
}

// aptTransport tells debootstrap, and the wget that it uses, about the proxies
// and certificates that apt uses to reach its sources.
func aptTransport(wgetrc string) (options, environment []string, err error) {
	settings := map[string]string{}
	for _, name := range []string{
		"Acquire::http::Proxy", "Acquire::https::Proxy", "Acquire::https::CaInfo", "Acquire::https::Verify-Peer",
	} {
		out, err := exec.Command("apt-config", "dump", "--format", "%v%n", name).Output()
		if err != nil {
			return nil, nil, fmt.Errorf("apt-config dump %s: %w", name, err)
		}
		value, _, _ := strings.Cut(string(out), "\n")
		settings[name] = value
	}
	for variable, name := range map[string]string{
		"http_proxy": "Acquire::http::Proxy", "https_proxy": "Acquire::https::Proxy",
	} {
		if proxy := settings[name]; proxy != "" && proxy != "DIRECT" {
			environment = append(environment, variable+"="+proxy)
		}
	}
	if file := settings["Acquire::https::CaInfo"]; file != "" {
		if err := os.WriteFile(wgetrc, []byte("ca_certificate = "+file+"\n"), 0o644); err != nil {
			return nil, nil, err
		}
		environment = append(environment, "WGETRC="+wgetrc)
	}
	if settings["Acquire::https::Verify-Peer"] == "false" {
		options = append(options, "--no-check-certificate")
	}
	return options, environment, nil
}

// sourcePrefix begins the name under which an overlay is mounted; the number of
// the test's process follows.
const sourcePrefix = "mainstay-test:"

// overlay mounts a folder over base that takes all changes.
func overlay(t testing.TB, base string) (string, error) {
	own := t.TempDir()
	upper, work, root := filepath.Join(own, "upper"), filepath.Join(own, "work"), filepath.Join(own, "root")
	for _, folder := range []string{upper, work, root} {
		if err := os.Mkdir(folder, 0o755); err != nil {
			return "", err
		}
	}
	source := sourcePrefix + strconv.Itoa(os.Getpid())
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", base, upper, work)
	if err := unix.Mount(source, root, "overlay", 0, options); err != nil {
		return "", &os.PathError{Op: "mount", Path: root, Err: err}
	}
	t.Cleanup(func() {
		// Detached, because a program may still be on its way out.
		if err := unix.Unmount(root, unix.MNT_DETACH); err != nil {
			t.Errorf("machine: cannot unmount %s: %v", root, err)
		}
	})
	return root, nil
}

// sweep unmounts the overlays of tests that were killed.
func sweep() error {
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(mounts)) {
		fields := strings.Fields(line)
		if len(fields) < 3 || fields[2] != "overlay" {
			continue
		}
		number, ok := strings.CutPrefix(fields[0], sourcePrefix)
		if !ok {
			continue
		}
		// One that was killed and not waited for is still there, with nothing.
		if _, err := os.Readlink("/proc/" + number + "/ns/mnt"); !errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err := unix.Unmount(fields[1], unix.MNT_DETACH); err != nil {
			return &os.PathError{Op: "unmount", Path: fields[1], Err: err}
		}
	}
	return nil
}
