package acceptance

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"mainstay/test/sitetest"
)

// managed is a client of its own on this machine: another machine as far as a
// site can tell.
type managed struct {
	t       *testing.T
	dir     string
	process *process
}

// newManaged prepares a client. Its hardware is told to be that of a machine
// called name, and its sockets have short paths.
func newManaged(t *testing.T, name string, points ...string) *managed {
	t.Helper()
	m := &managed{t: t, dir: filepath.Join(t.TempDir(), name)}
	must(t, os.Mkdir(m.dir, 0o700))
	m.configure(name, points...)
	return m
}

func (m *managed) configure(name string, points ...string) {
	m.t.Helper()
	text := fmt.Sprintf(`site: LAB
management_points: [%s]
socket: %s
hardware:
  product_uuid: uuid-of-%s
  serial: serial-of-%[3]s
  machine_id: id-of-%[3]s
  macs: ["mac-of-%[3]s"]
`, `"`+strings.Join(points, `", "`)+`"`, sitetest.SocketPath(m.t), name)
	must(m.t, os.WriteFile(filepath.Join(m.dir, "client.yaml"), []byte(text), 0o600))
}

func (m *managed) command(args ...string) *exec.Cmd {
	return exec.Command(sitetest.Program(m.t, "mainstay-client"), append(args, "--state-dir", m.dir)...)
}

// install registers with a token; without one it waits for approval.
func (m *managed) install(token string, args ...string) (said string, code int) {
	m.t.Helper()
	cmd := m.command(append([]string{"install", "--no-service"}, args...)...)
	cmd.Env = append(os.Environ(), "MAINSTAY_TOKEN="+token)
	out, problem, code := run(m.t, cmd)
	return out + problem, code
}

// run starts the client.
func (m *managed) run() {
	m.t.Helper()
	m.process = start(m.t, m.command("run"))
}

func (m *managed) stop() {
	m.t.Helper()
	if code := m.process.end(syscall.SIGTERM, 20*time.Second); code != 0 {
		m.t.Errorf("the client ended with %d:\n%s", code, m.process.everything())
	}
}

// ask runs a command of the client that must succeed, as soon as its door is
// open.
func (m *managed) ask(args ...string) string {
	m.t.Helper()
	var said string
	sitetest.Eventually(m.t, 20*time.Second, "mainstay-client "+strings.Join(args, " "), func() error {
		out, problem, code := run(m.t, m.command(args...))
		if code != 0 {
			return errors.New(out + problem)
		}
		said = out
		return nil
	})
	return said
}

type clientStatus struct {
	DeviceID        string `json:"device_id"`
	Phase           string `json:"phase"`
	Problem         string `json:"problem"`
	ManagementPoint string `json:"management_point"`
	PolicyVersion   int64  `json:"policy_version"`
	Queued          int    `json:"queued"`
}

func (m *managed) status() clientStatus {
	m.t.Helper()
	var s clientStatus
	decode(m.t, m.ask("status", "-o", "json"), &s)
	return s
}

func (m *managed) id() string {
	m.t.Helper()
	return m.status().DeviceID
}
