package acceptance

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mainstay/test/sitetest"
)

// standIn is a client on this machine that says it is another one.
type standIn struct {
	t     *testing.T
	name  string
	state string
}

func newStandIn(t *testing.T, name, token string, points ...string) standIn {
	t.Helper()
	c := standIn{t, name, filepath.Join(t.TempDir(), name)}
	must(t, os.Mkdir(c.state, 0o700))
	must(t, os.WriteFile(filepath.Join(c.state, "token"), []byte(token), 0o600))
	text := fmt.Sprintf("site: LAB\nmanagement_points: [%s]\ntoken_file: %s\nlog_level: debug\nhardware:\n  product_uuid: uuid-%s\n  machine_id: id-%s\n",
		quoted(points), filepath.Join(c.state, "token"), name, name)
	must(t, os.WriteFile(filepath.Join(c.state, "client.yaml"), []byte(text), 0o600))
	start(t, exec.Command(sitetest.Program(t, "mainstay-client"), "run", "--state-dir", c.state))
	return c
}

// polls tells how often the client polls by the policy that it has, after it
// was asked to look for a newer one.
func (c standIn) polls() (seconds int64, err error) {
	if _, err := c.ask("policy", "--now"); err != nil {
		return 0, err
	}
	out, err := c.ask("policy", "-o", "json")
	if err != nil {
		return 0, err
	}
	var policy struct {
		Settings struct {
			ClientPolicy struct {
				Interval int64 `json:"polling_interval_seconds"`
			} `json:"client_policy"`
		} `json:"settings"`
	}
	err = json.Unmarshal([]byte(out), &policy)
	return policy.Settings.ClientPolicy.Interval, err
}

func quoted(points []string) string {
	return `"` + strings.Join(points, `", "`) + `"`
}

// ask runs a command of the client.
func (c standIn) ask(args ...string) (string, error) {
	out, err := exec.Command(sitetest.Program(c.t, "mainstay-client"), append(args, "--state-dir", c.state)...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("mainstay-client %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return string(out), nil
}

// onSite is what the site knows of a device.
type onSite struct {
	ID            string     `json:"id"`
	HeartbeatAt   *time.Time `json:"heartbeat_at"`
	InventoryAt   *time.Time `json:"inventory_at"`
	PolicyVersion int64      `json:"policy_version"`
	Hardware      struct {
		MachineID string `json:"machine_id"`
	} `json:"hardware"`
}

// known are the devices of a site, by the name of the stand-in.
func known(site *sitetest.Site) (map[string]onSite, error) {
	out, err := site.Command("device", "list", "-o", "json")
	if err != nil {
		return nil, err
	}
	var list []onSite
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		return nil, err
	}
	devices := map[string]onSite{}
	for _, d := range list {
		devices[strings.TrimPrefix(d.Hardware.MachineID, "id-")] = d
	}
	return devices, nil
}

func awaitInventories(t *testing.T, site *sitetest.Site, names ...string) map[string]onSite {
	t.Helper()
	var devices map[string]onSite
	sitetest.Eventually(t, 90*time.Second, "inventories of "+strings.Join(names, ", "), func() (err error) {
		if devices, err = known(site); err != nil {
			return err
		}
		for _, name := range names {
			if devices[name].InventoryAt == nil {
				return fmt.Errorf("none of %s", name)
			}
		}
		return nil
	})
	return devices
}

// TestClientsCarryOnWithARestoredSite backs a running site up, lets more
// happen, kills it, and restores it elsewhere.
func TestClientsCarryOnWithARestoredSite(t *testing.T) {
	if testing.Short() {
		t.Skip("several processes")
	}
	t.Parallel()
	site := sitetest.Start(t)
	elsewhere := sitetest.FreePort(t)
	token := site.Token()
	clients := []standIn{newStandIn(t, "one", token, site.Clients, elsewhere), newStandIn(t, "two", token, site.Clients, elsewhere)}
	awaitInventories(t, site, "one", "two")

	backup := filepath.Join(t.TempDir(), "LAB.mainstay")
	site.Must("site", "backup", backup, "--config", site.Config)

	clients = append(clients, newStandIn(t, "three", token, site.Clients, elsewhere))
	awaitInventories(t, site, "one", "two", "three")
	site.Must("client-setting", "create", "later", "--set", "client_policy.polling_interval=2m")
	site.Must("client-setting", "deploy", "later", "--all")
	before := map[string]onSite{}
	sitetest.Eventually(t, time.Minute, "the clients work on the new policy", func() (err error) {
		for _, c := range clients {
			if every, err := c.polls(); err != nil || every != 120 {
				return fmt.Errorf("%s polls every %d s, %v", c.name, every, err)
			}
		}
		before, err = known(site)
		return err
	})
	site.Kill()

	restored := sitetest.Restored(t, backup, elsewhere)
	restored.Run()
	for _, c := range clients {
		sitetest.Eventually(t, 2*time.Minute, c.name+" works on the restored site's policy", func() error {
			if every, err := c.polls(); err != nil || every != 300 {
				return fmt.Errorf("polls every %d s, %v\n%s", every, err, restored.Log())
			}
			return nil
		})
		if _, err := c.ask("inventory", "--now"); err != nil {
			t.Error(err)
		}
	}
	after := awaitInventories(t, restored, "one", "two", "three")
	for name, device := range before {
		if after[name].ID != device.ID {
			t.Errorf("%s was device %s and is %s", name, device.ID, after[name].ID)
		}
	}
	if len(after) != len(before) {
		t.Errorf("%d devices, want %d", len(after), len(before))
	}
}
