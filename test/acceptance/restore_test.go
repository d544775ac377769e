package acceptance

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mainstay/test/sitetest"
)

const passphrase = "correct horse battery"

// TestTheDayAfter loses a site after its backup was made, and puts it back on
// another machine: other folder, other ports.
func TestTheDayAfter(t *testing.T) {
	t.Parallel()
	old := sitetest.Start(t)
	clients, admin := sitetest.FreePort(t), sitetest.FreePort(t)
	token := old.Token()
	register := func(name string) *managed {
		m := newManaged(t, name, old.Clients, clients)
		if said, code := m.install(token); code != 0 {
			t.Fatalf("%s: exit code %d\n%s\n%s", name, code, said, old.Log())
		}
		m.run()
		return m
	}
	changes, quiet, reinstalled := register("changes"), register("quiet"), register("reinstalled")
	all := []*managed{changes, quiet, reinstalled}
	for _, m := range all {
		awaitInventory(t, old, m.id())
	}

	backup := filepath.Join(t.TempDir(), "LAB.mainstay")
	if said := old.Must("site", "backup", backup, "--config", old.Config); !strings.Contains(said, "site LAB is in "+backup) {
		t.Errorf("it says %q", said)
	}
	if _, err := old.Command("site", "backup", backup, "--config", old.Config); exitOf(err) != 6 {
		t.Errorf("a backup over another: %v", err)
	}
	if info, err := os.Stat(backup); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the backup has mode %v, want one for its owner alone (%v)", info.Mode(), err)
	}

	// More happens, of which the backup knows nothing.
	watched := filepath.Join(t.TempDir(), "watched.conf")
	must(t, os.WriteFile(watched, []byte("hello"), 0o600))
	late := register("late")
	awaitInventory(t, old, late.id())
	old.Must("client-setting", "create", "Watch a file", "--set", "software_inventory.files=hash:"+watched)
	old.Must("client-setting", "deploy", "Watch a file", "--device", changes.id())
	sitetest.Eventually(t, 30*time.Second, "the file is in the inventory", func() error {
		changes.ask("policy", "--now")
		changes.ask("inventory", "--now")
		if out := old.Must("device", "show", changes.id(), "--class", "File", "-o", "json"); !strings.Contains(out, filepath.Base(watched)) {
			return fmt.Errorf("it shows %s", out)
		}
		return nil
	})
	before := reinstalled.id()
	reinstalled.stop()
	must(t, os.RemoveAll(reinstalled.dir))
	must(t, os.Mkdir(reinstalled.dir, 0o700))
	reinstalled.configure("reinstalled", old.Clients, clients)
	if said, code := reinstalled.install(token); code != 0 {
		t.Fatalf("reinstalling: %d\n%s", code, said)
	}
	reinstalled.run()
	if reinstalled.id() != before {
		t.Fatalf("the reinstalled machine is %s, and was %s", reinstalled.id(), before)
	}
	all = append(all, late)
	ids, versions := map[*managed]string{}, map[*managed]int64{}
	for _, m := range all {
		m.ask("policy", "--now")
		sitetest.Eventually(t, 20*time.Second, "it has policy", func() error {
			s := m.status()
			if ids[m], versions[m] = s.DeviceID, s.PolicyVersion; s.PolicyVersion == 0 {
				return fmt.Errorf("its status is %+v", s)
			}
			return nil
		})
	}
	old.Kill()

	target := filepath.Join(t.TempDir(), "new")
	restore := func(file string, env ...string) (said string, code int) {
		cmd := exec.Command(sitetest.Program(t, "mainstay"), "site", "restore", file, "--config", filepath.Join(target, "mainstay.yaml"),
			"--data", filepath.Join(target, "data"), "--client-listen", clients, "--admin-listen", admin, "--socket", sitetest.SocketPath(t))
		cmd.Env = append(append(os.Environ(), "MAINSTAY_PASSPHRASE="+passphrase), env...)
		out, problem, code := run(t, cmd)
		return out + problem, code
	}
	refusesBadBackups(t, backup, target, restore)

	said, code := restore(backup)
	if code != 0 || !strings.Contains(said, "Site LAB is as it was at ") || !strings.Contains(said, "Never run it beside") {
		t.Fatalf("restore: exit code %d\n%s", code, said)
	}
	again, code := restore(backup)
	if code != 6 || !strings.Contains(again, "exists") {
		t.Errorf("restoring over it: exit code %d\n%s", code, again)
	}
	site := sitetest.At(t, target, clients, admin, socketOf(t, filepath.Join(target, "mainstay.yaml")))
	site.Run()

	for _, m := range all {
		name := filepath.Base(m.dir)
		// What it would do within five minutes, now.
		m.ask("policy", "--now")
		sitetest.Eventually(t, 60*time.Second, name+" carries on", func() error {
			s := m.status()
			if s.DeviceID != ids[m] || s.Phase != "registered" || s.ManagementPoint != clients || s.PolicyVersion <= versions[m] {
				return fmt.Errorf("its status is %+v, and it was device %s with policy %d\n%s\n%s", s, ids[m], versions[m], m.process.everything(), site.Log())
			}
			return nil
		})
	}
	var devices []struct {
		ID           string `json:"id"`
		RegisteredBy string `json:"registered_by"`
	}
	site.JSON(&devices, "device", "list")
	by := map[string]string{}
	for _, d := range devices {
		by[d.ID] = d.RegisteredBy
	}
	for m, want := range map[*managed]string{changes: "token test", quiet: "token test", reinstalled: "certificate", late: "certificate"} {
		if by[ids[m]] != want {
			t.Errorf("%s registered by %q, want %q", filepath.Base(m.dir), by[ids[m]], want)
		}
	}
	if len(devices) != len(all) {
		t.Errorf("there are %d devices, want %d: %v", len(devices), len(all), by)
	}

	t.Run("inventory that differs is asked for", func(t *testing.T) {
		// The restored site knows nothing of the file, which is no more asked for.
		changes.ask("inventory", "--now")
		sitetest.Eventually(t, 60*time.Second, "the site has the inventory of its client", func() error {
			changes.ask("policy", "--now")
			if !strings.Contains(changes.ask("policy", "-o", "json"), "resync") {
				return fmt.Errorf("it was not asked for all of it:\n%s", site.Log())
			}
			if strings.Count(changes.process.errOut.String(), "kind=full") < 2 {
				return fmt.Errorf("it has not reported all of it:\n%s", changes.process.everything())
			}
			if out := site.Must("device", "show", ids[changes], "--class", "File", "-o", "json"); strings.Contains(out, filepath.Base(watched)) {
				return fmt.Errorf("it still shows %s", out)
			}
			return nil
		})
		for _, m := range []*managed{late, reinstalled} {
			awaitInventory(t, site, ids[m])
		}
		if n := strings.Count(quiet.process.errOut.String(), "kind=full"); n != 1 {
			t.Errorf("the client whose inventory is the same reported all of it %d times, want once, before the backup", n)
		}
		if out := site.Must("dead-letter", "list", "-o", "json"); strings.TrimSpace(out) != "[]" {
			t.Errorf("dead letters: %s", out)
		}
	})
	if err := site.Stop(); err != nil {
		t.Errorf("the restored site ended with %v:\n%s", err, site.Log())
	}
	for _, m := range all {
		m.stop()
	}
}

// refusesBadBackups tries to restore what no backup is any more. Nothing may
// appear where the site is to go.
func refusesBadBackups(t *testing.T, backup, target string, restore func(string, ...string) (string, int)) {
	t.Helper()
	whole, err := os.ReadFile(backup)
	must(t, err)
	seed := uint64(time.Now().UnixNano())
	t.Logf("bytes are flipped by seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	flipped := func(at int) func() []byte {
		return func() []byte {
			data := append([]byte{}, whole...)
			data[at] ^= 1 << random.IntN(8)
			return data
		}
	}
	for _, test := range []struct {
		name   string
		damage func() []byte
		env    string
		codes  string // of the exit
		want   string
	}{
		{"wrong passphrase", nil, "MAINSTAY_PASSPHRASE=wrong horse battery", "4", "passphrase"},
		{"no passphrase", nil, "MAINSTAY_PASSPHRASE=", "2", "--passphrase-file"},
		{"first half", func() []byte { return whole[:len(whole)/2] }, "", "2", "damaged"},
		{"without its last byte", func() []byte { return whole[:len(whole)-1] }, "", "2", "damaged"},
		{"with more at its end", func() []byte { return append(append([]byte{}, whole...), 0) }, "", "2", "damaged"},
		{"empty", func() []byte { return nil }, "", "2", "no backup"},
		{"first byte", flipped(0), "", "2", "no backup"},
		{"a byte of the header", flipped(random.IntN(200)), "", "24", "damaged"},
		{"a byte somewhere", flipped(200 + random.IntN(len(whole)-200)), "", "2", "damaged"},
		{"last byte", flipped(len(whole) - 1), "", "2", "damaged"},
		{"another file", func() []byte { return []byte("data: /var/lib/mainstay\n") }, "", "2", "no backup"},
	} {
		file := backup
		if test.damage != nil {
			file = filepath.Join(t.TempDir(), "damaged")
			must(t, os.WriteFile(file, test.damage(), 0o600))
		}
		env := []string{}
		if test.env != "" {
			env = append(env, test.env)
		}
		said, code := restore(file, env...)
		if !strings.Contains(test.codes, fmt.Sprint(code)) || !strings.Contains(said, test.want) {
			t.Errorf("%s: exit code %d, want one of %s and a word about %q:\n%s", test.name, code, test.codes, test.want, said)
		}
		if left, err := filepath.Glob(filepath.Join(target, "*")); err != nil || len(left) > 0 {
			t.Errorf("%s: it left %v", test.name, left)
		}
	}
	if said, code := restore(backup + ".gone"); code != 3 {
		t.Errorf("no file: exit code %d\n%s", code, said)
	}
	for _, name := range []string{"data/site.db", "data/site.db-wal", "data/keys/site-server.key"} {
		path := filepath.Join(target, name)
		must(t, os.MkdirAll(filepath.Dir(path), 0o700))
		must(t, os.WriteFile(path, []byte("somebody's"), 0o600))
		said, code := restore(backup)
		data, err := os.ReadFile(path)
		must(t, err)
		if code != 6 || !strings.Contains(said, "exists already") || string(data) != "somebody's" {
			t.Errorf("%s is there: exit code %d, and it holds %q\n%s", name, code, data, said)
		}
		if _, err := os.Stat(filepath.Join(target, "mainstay.yaml")); err == nil {
			t.Errorf("%s is there, and a configuration was written all the same", name)
		}
		must(t, os.RemoveAll(target))
	}
}

// awaitInventory waits until a site shows the inventory of a device.
func awaitInventory(t *testing.T, site *sitetest.Site, id string) {
	t.Helper()
	sitetest.Eventually(t, 60*time.Second, "inventory of "+id, func() error {
		out, err := site.Command("device", "show", id, "-o", "json")
		if err != nil {
			return err
		}
		var view deviceView
		if err := json.Unmarshal([]byte(out), &view); err != nil || view.Device.InventoryAt == "" {
			return fmt.Errorf("there is none yet (%v)\n%s", err, site.Log())
		}
		return nil
	})
}

// socketOf reads where the local socket of a configuration is.
func socketOf(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	must(t, err)
	for line := range strings.Lines(string(data)) {
		if socket, ok := strings.CutPrefix(strings.TrimSpace(line), "socket: "); ok {
			return socket
		}
	}
	t.Fatalf("%s names no socket:\n%s", path, data)
	return ""
}

// exitOf is the exit code of a command that failed; 0 of one that did not.
func exitOf(err error) int {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	return 0
}
