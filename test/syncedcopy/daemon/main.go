// Command daemon serves the file system of test/syncedcopy. Only that package
// starts it; it ends, and unmounts, when its standard input ends, so that
// nothing stays mounted when a test is killed.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"mainstay/test/syncedcopy/control"
	"mainstay/test/syncedcopy/fusefs"
)

func main() {
	folder := flag.String("folder", "", "backing folder")
	mount := flag.String("mount", "", "folder to mount on")
	ask := flag.Bool("ask", false, "ask before a sync of a path is obeyed for the first time")
	flag.Parse()

	// An interrupt from the terminal is for the test, which then closes our
	// standard input.
	signal.Ignore(os.Interrupt)
	// The modes that arrive have been masked by the caller's process.
	syscall.Umask(0)

	c := &conversation{in: json.NewDecoder(os.Stdin), out: json.NewEncoder(os.Stdout)}
	if err := run(c, *folder, *mount, *ask); err != nil {
		c.say(control.Event{Error: err.Error()})
		os.Exit(1)
	}
}

func run(c *conversation, folder, mount string, ask bool) error {
	var forget func(string) bool
	if ask {
		forget = c.forgets
	}
	fs, err := fusefs.New(folder, forget)
	if err != nil {
		return err
	}
	server, err := fuse.NewServer(fs, mount, &fuse.MountOptions{
		FsName:                   "syncedcopy",
		Name:                     "syncedcopy",
		AllowOther:               os.Geteuid() == 0,
		Options:                  []string{"default_permissions"},
		DirectMount:              true,
		DirectMountStrict:        os.Geteuid() == 0,
		MaxWrite:                 1 << 20,
		DisableXAttrs:            true,
		DisableReadDirPlus:       true,
		ExplicitDataCacheControl: true,
	})
	if err != nil {
		return fmt.Errorf("cannot mount on %s: %w", mount, err)
	}
	go server.Serve()
	if err := server.WaitMount(); err != nil {
		return fmt.Errorf("cannot mount on %s: %w", mount, err)
	}
	c.say(control.Event{Ready: true})
	err = c.listen(fs)
	return errors.Join(err, unmount(server, mount))
}

// unmount also works while somebody uses a file: then the kernel takes the
// file system away when they are done, and answers them with errors from the
// end of this process on.
func unmount(server *fuse.Server, mount string) error {
	if err := syscall.Unmount(mount, 0); err == nil {
		server.Wait()
		return nil
	}
	if os.Geteuid() != 0 {
		return server.Unmount()
	}
	return syscall.Unmount(mount, unix.MNT_DETACH)
}

// conversation is the exchange with the test.
type conversation struct {
	in *json.Decoder

	mu      sync.Mutex // guards everything below
	out     *json.Encoder
	lastAsk int64
	known   map[string]bool      // answers, by path
	asked   map[string]*question // questions without an answer yet, by path
}

// question is one path that was asked about.
type question struct {
	id   int64
	done chan struct{}
}

func (c *conversation) say(e control.Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sayLocked(e)
}

// sayLocked ignores an error: the test is gone, and the end of the input will
// tell the same.
func (c *conversation) sayLocked(e control.Event) { _ = c.out.Encode(e) }

// listen obeys requests until the input ends.
func (c *conversation) listen(fs *fusefs.FileSystem) error {
	for {
		var r control.Request
		if err := c.in.Decode(&r); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("cannot read a request: %w", err)
		}
		switch {
		case r.Answer != nil:
			c.answer(r.ID, r.Answer.Forget)
		case r.Copy != nil:
			// Beside the loop, because a copy may have to wait for an
			// operation, and an operation for an answer.
			go c.copy(fs, r)
		case r.Counts != nil:
			n := fs.Counts()
			c.say(control.Event{ID: r.ID, Counts: &control.Counts{Writes: n.Writes, Syncs: n.Syncs, Forgotten: n.Forgotten}})
		}
	}
}

func (c *conversation) copy(fs *fusefs.FileSystem, r control.Request) {
	var torn *rand.Rand
	if r.Copy.Torn != nil {
		torn = rand.New(rand.NewPCG(*r.Copy.Torn, 0))
	}
	e := control.Event{ID: r.ID}
	if err := fs.Copy(r.Copy.Dest, torn); err != nil {
		e.Error = err.Error()
	}
	c.say(e)
}

// forgets asks the test about a path, once.
func (c *conversation) forgets(path string) bool {
	c.mu.Lock()
	if forget, ok := c.known[path]; ok {
		c.mu.Unlock()
		return forget
	}
	q := c.asked[path]
	if q == nil {
		q = c.askLocked(path)
	}
	c.mu.Unlock()

	<-q.done
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.known[path]
}

func (c *conversation) askLocked(path string) *question {
	if c.asked == nil {
		c.asked, c.known = map[string]*question{}, map[string]bool{}
	}
	c.lastAsk++
	q := &question{id: c.lastAsk, done: make(chan struct{})}
	c.asked[path] = q
	c.sayLocked(control.Event{Ask: &control.Ask{ID: q.id, Path: path}})
	return q
}

func (c *conversation) answer(id int64, forget bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for path, q := range c.asked {
		if q.id == id {
			c.known[path] = forget
			delete(c.asked, path)
			close(q.done)
			return
		}
	}
}
