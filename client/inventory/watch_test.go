package inventory

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestSettlerGathersWhatBelongsTogether(t *testing.T) {
	t.Parallel()
	start := time.Unix(1000, 0)
	at := func(seconds float64) time.Time { return start.Add(time.Duration(seconds * float64(time.Second))) }
	s := settler{quiet: 2 * time.Second, most: 10 * time.Second}
	expect := func(seconds float64, want string) {
		t.Helper()
		if got := strings.Join(s.take(at(seconds)), ","); got != want {
			t.Errorf("after %gs: got %q, want %q", seconds, got, want)
		}
	}
	if _, any := s.wait(at(0)); any {
		t.Error("it waits for nothing")
	}
	expect(0, "")
	s.event(at(1), "software")
	s.event(at(2), "accounts")
	s.event(at(2.5), "software")
	expect(4, "")
	if wait, any := s.wait(at(4)); !any || wait != 500*time.Millisecond {
		t.Errorf("waits %s, %v", wait, any)
	}
	expect(4.5, "software,accounts")
	expect(100, "")
	// What never ends is told within the limit.
	for i := 20.0; i < 30; i++ {
		s.event(at(i), "network")
		expect(i, "")
	}
	expect(29.9, "")
	expect(30, "network")
}

// watching runs Watch until the test ends and returns what it says.
func watching(t *testing.T, config Config) <-chan string {
	t.Helper()
	said, ready, ended := make(chan string, 100), make(chan struct{}), make(chan error, 1)
	config.settle = time.Millisecond
	config.watching = func() { close(ready) }
	ctx, cancel := context.WithCancel(context.Background())
	go func() { ended <- Watch(ctx, config, func(reason string) { said <- reason }) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the watch ended with %v", err)
		}
	})
	select {
	case <-ready:
	case err := <-ended:
		t.Fatalf("the watch did not begin: %v", err)
	}
	return said
}

// next is what a watch says next; it must hold a reason.
func next(t *testing.T, said <-chan string, want string) {
	t.Helper()
	select {
	case got := <-said:
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	case <-t.Context().Done():
		t.Fatalf("nothing was said of %q", want)
	}
}

// replace writes a file as most programs do: a new one, then a rename.
func replace(t *testing.T, root, name string) {
	t.Helper()
	put(t, root, name+".new", []byte(time.Now().String()))
	if err := os.Rename(filepath.Join(root, name+".new"), filepath.Join(root, name)); err != nil {
		t.Fatal(err)
	}
}

func TestWatchSeesFiles(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	for _, name := range []string{"etc/passwd", "etc/shells", "var/lib/dpkg/status", "var/lib/rpm/rpmdb.sqlite", "usr/lib/os-release"} {
		put(t, root, name, nil)
	}
	said := watching(t, Config{Root: root})
	replace(t, root, "etc/passwd")
	next(t, said, ReasonAccounts)
	replace(t, root, "var/lib/dpkg/status")
	next(t, said, ReasonSoftware)
	// rpm writes into its database.
	put(t, root, "var/lib/rpm/rpmdb.sqlite", []byte("more"))
	next(t, said, ReasonSoftware)
	replace(t, root, "usr/lib/os-release")
	next(t, said, ReasonSystem)
	place(t, root, "etc/localtime", func(at string) error { return os.Symlink("/usr/share/zoneinfo/UTC", at) })
	next(t, said, ReasonTimeZone)
	// Neighbours are no matter, and reading is no change.
	replace(t, root, "etc/shells")
	replace(t, root, "var/lib/dpkg/status-old")
	if _, err := os.ReadFile(filepath.Join(root, "etc/passwd")); err != nil {
		t.Fatal(err)
	}
	replace(t, root, "etc/hostname")
	next(t, said, ReasonName)
}

func TestWatchFindsFoldersThatAppear(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	put(t, root, "etc/passwd", nil)
	put(t, root, "var/lib/dpkg/status", nil)
	// The clock leaps an hour at each look, so that a retry is always due.
	now := time.Unix(0, 0)
	said := watching(t, Config{Root: root, Now: func() time.Time { now = now.Add(time.Hour); return now }})
	put(t, root, "var/lib/rpm/Packages", nil)
	next(t, said, ReasonSoftware)
}

func TestWatchEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	err := Watch(ctx, Config{Root: t.TempDir(), watching: cancel}, func(string) { t.Error("it said something") })
	if err != nil {
		t.Error(err)
	}
	if err := Watch(ctx, Config{Root: "not/absolute"}, nil); err == nil {
		t.Error("a root that is not absolute was accepted")
	}
}

// TestWatchSeesTheKernel changes the network and the mounts of namespaces of
// its own, where nobody else is disturbed.
func TestWatchSeesTheKernel(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("needs root for namespaces of its own")
	}
	ready, said, ended := make(chan int), make(chan string, 100), make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	onOwnThread(func() {
		err := unix.Unshare(unix.CLONE_NEWNET | unix.CLONE_NEWNS)
		if err == nil {
			err = unix.Mount("none", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
		}
		if err != nil {
			ended <- err
			return
		}
		kernel := runningKernel()
		kernel.mountinfo = "/proc/thread-self/mountinfo"
		config := Config{kernel: kernel, settle: time.Millisecond, watching: func() { ready <- unix.Gettid() }}
		ended <- Watch(ctx, config, func(reason string) { said <- reason })
	})
	var thread int
	select {
	case thread = <-ready:
	case err := <-ended:
		t.Fatal(err)
	}
	done := make(chan error)
	inside := func(change func() error) {
		t.Helper()
		onOwnThread(func() {
			done <- func() error {
				for _, space := range []struct {
					name string
					kind int
				}{{"net", unix.CLONE_NEWNET}, {"mnt", unix.CLONE_NEWNS}} {
					fd, err := unix.Open(filepath.Join("/proc/self/task", strconv.Itoa(thread), "ns", space.name), unix.O_RDONLY|unix.O_CLOEXEC, 0)
					if err != nil {
						return err
					}
					// A thread that shares its folder with others may not
					// change its mounts.
					if err := errors.Join(unix.Unshare(unix.CLONE_FS), unix.Setns(fd, space.kind), unix.Close(fd)); err != nil {
						return err
					}
				}
				return change()
			}()
		})
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	inside(func() error { return setLink("lo", unix.IFF_UP) })
	next(t, said, ReasonNetwork)
	// A file system in memory is no inventory; that everything is read-only is.
	folder := t.TempDir()
	inside(func() error {
		return errors.Join(unix.Mount("tmpfs", folder, "tmpfs", 0, ""), setLink("lo", 0))
	})
	next(t, said, ReasonNetwork)
	inside(func() error { return unix.Mount("", "/", "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, "") })
	next(t, said, ReasonFileSystems)
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	select {
	case reason := <-said:
		t.Errorf("%q was told once more", reason)
	default:
	}
}

// onOwnThread runs f in a thread that ends with it, and with it the namespaces
// that it has entered. The first thread is spared: the system shows its
// namespaces as those of the process.
func onOwnThread(f func()) {
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() != unix.Getpid() {
			f()
			return
		}
		// While this goroutine holds the first thread, another cannot get it.
		done := make(chan struct{})
		go func() {
			defer close(done)
			runtime.LockOSThread()
			f()
		}()
		<-done
		runtime.UnlockOSThread()
	}()
}

// setLink sets the flags of an interface.
func setLink(name string, flags uint16) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	request, err := unix.NewIfreq(name)
	if err != nil {
		return err
	}
	request.SetUint16(flags)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, request)
}

// FuzzNetlink holds that no answer of the kernel makes the readers panic.
func FuzzNetlink(f *testing.F) {
	dump := laptopNetwork()
	for _, request := range []int{syscall.RTM_GETLINK, syscall.RTM_GETADDR, syscall.RTM_GETROUTE} {
		data, err := dump(request)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		n, err := readNetwork(func(int) ([]byte, error) { return bytes.Clone(data), nil })
		if err != nil {
			return
		}
		for _, a := range n.addresses {
			if !a.prefix.IsValid() {
				t.Errorf("an address without value: %+v", a)
			}
		}
		for _, r := range n.routes {
			if !r.destination.IsValid() {
				t.Errorf("a route to nowhere: %+v", r)
			}
		}
	})
}

// FuzzSMBIOS holds that no table makes the reader panic or a module without a
// size.
func FuzzSMBIOS(f *testing.F) {
	f.Add(dmiTable())
	f.Add([]byte{17, 4, 0, 0, 0, 0})
	f.Add([]byte{17, 200, 0, 0})
	f.Fuzz(func(t *testing.T, table []byte) {
		for _, s := range parseSMBIOS(table) {
			if module, ok := memoryModule(s); ok && (module.Capacity == 0 || module.DeviceLocator == "") {
				t.Errorf("got %+v", module)
			}
		}
	})
}
