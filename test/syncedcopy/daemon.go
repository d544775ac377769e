package syncedcopy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"

	"mainstay/test/syncedcopy/control"
)

// missing says what this machine lacks to mount a file system, and how to get
// it.
func missing() error {
	device, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	switch {
	case errors.Is(err, os.ErrNotExist), errors.Is(err, syscall.ENODEV), errors.Is(err, syscall.ENXIO):
		return fmt.Errorf("/dev/fuse: %w: load the kernel module (modprobe fuse); "+
			"a container needs the device and the right to mount (--device /dev/fuse --cap-add SYS_ADMIN)", err)
	case err != nil:
		return fmt.Errorf("/dev/fuse: %w: run the test as root, or as a user who may open the device", err)
	}
	device.Close()
	if os.Geteuid() == 0 {
		return nil
	}
	if _, err := exec.LookPath("fusermount3"); err != nil {
		return fmt.Errorf("%w: run the test as root, or install the package fuse3", err)
	}
	return nil
}

// daemonProgram builds the file system process once per test process. The
// program has no name any more when it is returned, so nobody has to remove it.
var daemonProgram = sync.OnceValues(func() (*os.File, error) {
	folder, err := os.MkdirTemp("", "syncedcopy")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(folder)
	path := filepath.Join(folder, "daemon")
	out, err := exec.Command("go", "build", "-o", path, "mainstay/test/syncedcopy/daemon").CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("cannot build the file system process: %w\n%s", err, out)
	}
	return os.Open(path)
})

// daemon is a running file system process.
type daemon struct {
	command *exec.Cmd
	errors  bytes.Buffer // what it wrote to standard error, once it has ended
	forget  func(path string) bool
	ended   chan struct{} // closed after its output has ended

	in io.WriteCloser

	mu      sync.Mutex // guards everything below
	encoder *json.Encoder
	lastID  int64
	waiting map[int64]chan<- control.Event // 0 is the start
	closed  bool
}

var errEnded = errors.New("the file system process has ended")

func startDaemon(program *os.File, folder, mount string, forget func(string) bool) (*daemon, error) {
	d := &daemon{forget: forget, ended: make(chan struct{}), waiting: map[int64]chan<- control.Event{}}
	d.command = exec.Command(fmt.Sprintf("/proc/self/fd/%d", program.Fd()),
		"-folder", folder, "-mount", mount, fmt.Sprintf("-ask=%t", forget != nil))
	d.command.Args[0] = "syncedcopy"
	d.command.Stderr = &d.errors
	// An interrupt from the terminal must not reach it before the programs
	// that use its files.
	d.command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	in, err := d.command.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := d.command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	d.in, d.encoder = in, json.NewEncoder(in)

	ready := make(chan control.Event, 1)
	d.waiting[0] = ready
	if err := d.command.Start(); err != nil {
		return nil, err
	}
	go d.listen(json.NewDecoder(out))
	if _, err := d.receive(ready); err != nil {
		return nil, errors.Join(err, d.stop())
	}
	return d, nil
}

// listen hands on what the process says until it ends.
func (d *daemon) listen(out *json.Decoder) {
	defer close(d.ended)
	for {
		var e control.Event
		if err := out.Decode(&e); err != nil {
			return
		}
		if e.Ask != nil {
			// The question stops one sync of one program and nothing else; it
			// is answered here so that match is never called twice at once.
			d.send(control.Request{ID: e.Ask.ID, Answer: &control.Answer{Forget: d.forget(e.Ask.Path)}})
			continue
		}
		d.mu.Lock()
		waiting := d.waiting[e.ID]
		delete(d.waiting, e.ID)
		d.mu.Unlock()
		if waiting != nil {
			waiting <- e
		}
	}
}

// ask sends a request and waits for its answer.
func (d *daemon) ask(r control.Request) (control.Event, error) {
	answer := make(chan control.Event, 1)
	d.mu.Lock()
	d.lastID++
	r.ID = d.lastID
	d.waiting[r.ID] = answer
	d.mu.Unlock()
	if err := d.send(r); err != nil {
		return control.Event{}, err
	}
	return d.receive(answer)
}

func (d *daemon) send(r control.Request) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return errors.New("it is unmounted")
	}
	if err := d.encoder.Encode(r); err != nil {
		return fmt.Errorf("%w: %w", errEnded, err)
	}
	return nil
}

func (d *daemon) receive(answer <-chan control.Event) (control.Event, error) {
	var e control.Event
	select {
	case e = <-answer:
	case <-d.ended:
		select {
		case e = <-answer: // it was the last thing said
		default:
			return e, errEnded
		}
	}
	if e.Error != "" {
		return e, errors.New(e.Error)
	}
	return e, nil
}

// stop ends the process, which unmounts.
func (d *daemon) stop() error {
	d.mu.Lock()
	d.closed = true
	d.in.Close()
	d.mu.Unlock()
	<-d.ended // before Wait, which closes our end of the pipe
	if err := d.command.Wait(); err != nil {
		return fmt.Errorf("%w\n%s", err, d.errors.String())
	}
	return nil
}
