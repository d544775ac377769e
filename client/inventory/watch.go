package inventory

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"mainstay/lib/rowhash"
)

// Reasons that Watch gives.
const (
	ReasonSoftware    = "software"
	ReasonAccounts    = "accounts"
	ReasonName        = "host name"
	ReasonSystem      = "operating system"
	ReasonTimeZone    = "time zone"
	ReasonFileSystems = "file systems"
	ReasonNetwork     = "network"
)

// watchedFiles are the files whose change is seen at once, by folder. Folders
// are watched and not files, because nearly all of these files are replaced and
// not written.
var watchedFiles = map[string]map[string]string{
	"/etc": {
		"passwd": ReasonAccounts, "group": ReasonAccounts, "shadow": ReasonAccounts,
		"hostname": ReasonName, "hosts": ReasonName, "os-release": ReasonSystem, "localtime": ReasonTimeZone, "timezone": ReasonTimeZone,
		"resolv.conf": ReasonNetwork,
	},
	"/usr/lib":              {"os-release": ReasonSystem},
	"/var/lib/dpkg":         {"status": ReasonSoftware},
	"/var/lib/rpm":          {"rpmdb.sqlite": ReasonSoftware, "Packages.db": ReasonSoftware, "Packages": ReasonSoftware},
	"/usr/lib/sysimage/rpm": {"rpmdb.sqlite": ReasonSoftware, "Packages.db": ReasonSoftware, "Packages": ReasonSoftware},
}

const (
	// settleQuiet and settleMost are how long events are gathered.
	settleQuiet = 2 * time.Second
	settleMost  = time.Minute
	// watchRetry is how often folders are looked for that do not exist.
	watchRetry = 5 * time.Minute
)

// Watch calls notify when something has changed that is inventory: the package
// databases, accounts, the machine's name, system and time zone, mounted file
// systems, network links and addresses. Events are gathered until they have
// been quiet for two seconds, for a minute at most; reason then names what
// changed, separated by commas. Of mounts and the network only what changes
// rows is told, so that containers that come and go are not.
//
// It waits in the kernel and costs nothing while nothing happens. It returns
// nil when ctx ends, and an error when the kernel cannot watch; then changes
// are found by the next collection. notify is called by the same goroutine and
// should not wait.
func Watch(ctx context.Context, config Config, notify func(reason string)) error {
	config, err := config.withDefaults()
	if err != nil {
		return err
	}
	w := watcher{
		config:  config,
		machine: machine{root: config.Root, kernel: config.kernel},
		settler: settler{quiet: settleQuiet, most: settleMost},
		folders: map[int]string{},
		notify:  notify,
		inotify: -1, netlink: -1, mounts: -1, ended: -1,
	}
	if config.settle > 0 {
		w.settler.quiet = config.settle
	}
	defer w.close()
	if err := w.open(); err != nil {
		return err
	}
	// A late wake must not write to a file that was closed and is another's by
	// then.
	woken := make(chan struct{})
	stop := context.AfterFunc(ctx, func() { defer close(woken); w.wake() })
	defer func() {
		if !stop() {
			<-woken
		}
	}()
	w.prints = map[string]rowhash.Sum{ReasonNetwork: w.networkPrint(ctx), ReasonFileSystems: w.mountsPrint()}
	if config.watching != nil {
		config.watching()
	}
	return w.loop(ctx)
}

type watcher struct {
	config  Config
	machine machine
	settler settler
	notify  func(string)

	// files of the kernel; -1 is none. ended is written to when ctx ends.
	inotify, netlink, mounts, ended int
	// folders are those watched, by the kernel's number.
	folders map[int]string
	retryAt time.Time
	// prints are what was so at the last notice.
	prints map[string]rowhash.Sum
}

func (w *watcher) open() (err error) {
	if w.ended, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return fmt.Errorf("cannot watch this machine: %w", err)
	}
	if w.inotify, err = unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK); err != nil {
		return fmt.Errorf("cannot watch files (fs.inotify.max_user_instances may be reached): %w", err)
	}
	if err := w.watchFolders(); err != nil {
		return err
	}
	if w.machine.kernel.dump == nil {
		return nil
	}
	if w.netlink, err = netlinkEvents(); err != nil {
		return fmt.Errorf("cannot watch the network: %w", err)
	}
	for _, file := range w.machine.mountFiles() {
		if w.mounts, err = unix.Open(w.machine.path(file), unix.O_RDONLY|unix.O_CLOEXEC, 0); err == nil {
			return nil
		}
	}
	return fmt.Errorf("cannot watch the mounts: %w", err)
}

// netlinkEvents is a socket that hears of links and addresses.
func netlinkEvents() (int, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return -1, err
	}
	groups := uint32(unix.RTMGRP_LINK | unix.RTMGRP_IPV4_IFADDR | unix.RTMGRP_IPV6_IFADDR)
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: groups}); err != nil {
		return -1, errors.Join(err, unix.Close(fd))
	}
	return fd, nil
}

func (w *watcher) close() {
	for _, fd := range []int{w.inotify, w.netlink, w.mounts, w.ended} {
		if fd >= 0 {
			// Nothing was written; there is nothing that closing could lose.
			_ = unix.Close(fd)
		}
	}
}

// wake ends the wait of the loop.
func (w *watcher) wake() {
	var one [8]byte
	binary.NativeEndian.PutUint64(one[:], 1)
	// It can only fail when it was woken before.
	_, _ = unix.Write(w.ended, one[:])
}

// watchFolders adds the folders that are not watched yet. One that does not
// exist or may not be read is tried again later.
func (w *watcher) watchFolders() error {
	const events = unix.IN_CLOSE_WRITE | unix.IN_MOVED_TO | unix.IN_CREATE | unix.IN_DELETE | unix.IN_ONLYDIR
	watched := map[string]bool{}
	for _, folder := range w.folders {
		watched[folder] = true
	}
	for folder := range watchedFiles {
		if watched[folder] {
			continue
		}
		number, err := unix.InotifyAddWatch(w.inotify, w.machine.path(folder), events)
		switch {
		case err == nil:
			w.folders[number] = folder
		case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.EACCES):
		default:
			return fmt.Errorf("cannot watch %s (fs.inotify.max_user_watches may be reached): %w", folder, err)
		}
	}
	w.retryAt = time.Time{}
	if len(w.folders) < len(watchedFiles) {
		w.retryAt = w.config.Now().Add(watchRetry)
	}
	return nil
}

func (w *watcher) loop(ctx context.Context) error {
	files := []unix.PollFd{
		{Fd: int32(w.ended), Events: unix.POLLIN},
		{Fd: int32(w.inotify), Events: unix.POLLIN},
		{Fd: int32(w.netlink), Events: unix.POLLIN},
		{Fd: int32(w.mounts), Events: unix.POLLPRI},
	}
	for {
		_, err := unix.Poll(files, w.timeout())
		if ctx.Err() != nil {
			return nil
		}
		if err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("cannot wait for changes of this machine: %w", err)
		}
		if err := w.gather(files); err != nil {
			return err
		}
		if reasons := w.changed(ctx, w.settler.take(w.config.Now())); len(reasons) > 0 {
			w.notify(strings.Join(reasons, ", "))
		}
	}
}

// timeout is how long to wait, in milliseconds; -1 for ever.
func (w *watcher) timeout() int {
	now := w.config.Now()
	wait, any := w.settler.wait(now)
	if retry := max(w.retryAt.Sub(now), 0); !w.retryAt.IsZero() && (!any || retry < wait) {
		wait, any = retry, true
	}
	if !any {
		return -1
	}
	// Rounded up, or the last millisecond would be spent in a circle.
	return int((wait + time.Millisecond - 1) / time.Millisecond)
}

// gather takes in what has happened.
func (w *watcher) gather(files []unix.PollFd) error {
	if files[1].Revents != 0 {
		if err := w.readFiles(); err != nil {
			return err
		}
	}
	if files[2].Revents != 0 {
		if err := drain(w.netlink); err != nil {
			return fmt.Errorf("cannot hear of the network: %w", err)
		}
		w.settler.event(w.config.Now(), ReasonNetwork)
	}
	if files[3].Revents != 0 {
		w.settler.event(w.config.Now(), ReasonFileSystems)
	}
	if now := w.config.Now(); !w.retryAt.IsZero() && !now.Before(w.retryAt) {
		before := len(w.folders)
		if err := w.watchFolders(); err != nil {
			return err
		}
		if len(w.folders) > before {
			// The folder that is new is one of a package database.
			w.settler.event(now, ReasonSoftware)
		}
	}
	return nil
}

// drain empties a netlink socket. That messages were lost (ENOBUFS) is no
// matter: what changed is found by asking.
func drain(fd int) error {
	var buffer [8192]byte
	for range 1000 {
		_, err := unix.Read(fd, buffer[:])
		switch {
		case err == nil, errors.Is(err, unix.ENOBUFS), errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EAGAIN):
			return nil
		default:
			return err
		}
	}
	return nil
}

// readFiles takes in events of files.
func (w *watcher) readFiles() error {
	var buffer [16 << 10]byte
	for {
		n, err := unix.Read(w.inotify, buffer[:])
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EAGAIN):
			return nil
		case err != nil:
			return fmt.Errorf("cannot hear of files: %w", err)
		}
		w.fileEvents(buffer[:n])
	}
}

// fileEvents reads events: number, mask, cookie, length of the name, name.
func (w *watcher) fileEvents(data []byte) {
	now := w.config.Now()
	for len(data) >= unix.SizeofInotifyEvent {
		number, mask := int(int32(binary.NativeEndian.Uint32(data))), binary.NativeEndian.Uint32(data[4:])
		length := int(binary.NativeEndian.Uint32(data[12:]))
		data = data[unix.SizeofInotifyEvent:]
		name := zeroEnded(data[:min(length, len(data))])
		data = data[min(length, len(data)):]
		folder := w.folders[number]
		switch reason := watchedFiles[folder][path.Base(name)]; {
		case mask&unix.IN_Q_OVERFLOW != 0:
			w.settler.event(now, ReasonSoftware)
			w.settler.event(now, ReasonAccounts)
		case mask&unix.IN_IGNORED != 0:
			// The folder is gone; it may come back.
			delete(w.folders, number)
			w.retryAt = now
		case reason != "":
			w.settler.event(now, reason)
		}
	}
}

// changed drops the reasons that turn out to have changed no row.
func (w *watcher) changed(ctx context.Context, reasons []string) []string {
	var real []string
	for _, reason := range reasons {
		var print rowhash.Sum
		switch reason {
		case ReasonNetwork:
			print = w.networkPrint(ctx)
		case ReasonFileSystems:
			print = w.mountsPrint()
		default:
			real = append(real, reason)
			continue
		}
		if print != w.prints[reason] {
			w.prints[reason] = print
			real = append(real, reason)
		}
	}
	return real
}

// networkPrint is the hash of the rows of the network.
func (w *watcher) networkPrint(ctx context.Context) rowhash.Sum {
	r := run{config: &w.config, machine: w.machine, out: newSink()}
	if err := collectNetwork(ctx, &r); err != nil {
		// What cannot be read is left to the next collection.
		return w.prints[ReasonNetwork]
	}
	var hashes []rowhash.Hash
	for _, rows := range r.out.classes {
		hashes = append(hashes, hashesOf(rows)...)
	}
	return rowhash.Set(hashes)
}

// mountsPrint is a hash of the mounts without their sizes.
func (w *watcher) mountsPrint() rowhash.Sum {
	mounts, err := w.machine.mounts()
	if err != nil {
		return w.prints[ReasonFileSystems]
	}
	var hashes []rowhash.Hash
	for _, mt := range mounts {
		hashes = append(hashes, rowhash.Row("mount", fmt.Appendf(nil, "%q", mt)))
	}
	return rowhash.Set(hashes)
}
