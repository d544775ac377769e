// Package console_test drives the console in a real browser against a real
// site with a real client.
package console_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"mainstay/test/sitetest"
)

func TestConsole(t *testing.T) {
	if testing.Short() {
		t.Skip("a browser takes long to start")
	}
	root := sitetest.ModuleRoot(t)
	if _, err := os.Stat(filepath.Join(root, "console", "dist", "index.html")); err != nil {
		t.Fatal("the console is not built; run 'make console' first")
	}
	site := sitetest.Start(t)
	startClient(t, site)
	site.Must("administrator", "create", "trial", "--role", "full-administrator")
	link := regexp.MustCompile(`https://\S+`).FindString(site.Must("administrator", "sign-in-link", "trial"))
	if link == "" {
		t.Fatal("no sign-in link")
	}
	shots := filepath.Join(t.TempDir(), "screenshots")
	if err := os.MkdirAll(shots, 0o755); err != nil {
		t.Fatal(err)
	}
	browser := exec.CommandContext(t.Context(), "npm", "run", "--silent", "e2e")
	browser.Dir = filepath.Join(root, "console")
	browser.Env = append(os.Environ(), "MAINSTAY_URL=https://"+site.Admin, "MAINSTAY_SIGN_IN="+link, "SCREENSHOTS="+shots)
	output, err := browser.CombinedOutput()
	if err != nil || !strings.Contains(string(output), " 0 failed") {
		t.Fatalf("the console does not do what it should (%v):\n%s", err, output)
	}
	t.Logf("%s", output)
}

// startClient registers this machine in a folder of the test, runs its client,
// and waits for its inventory.
func startClient(t *testing.T, site *sitetest.Site) {
	t.Helper()
	state := filepath.Join(t.TempDir(), "client")
	program := sitetest.Program(t, "mainstay-client")
	install := exec.Command(program, "install", "--mp", site.Clients, "--site", "LAB", "--state-dir", state, "--no-service")
	install.Env = append(os.Environ(), "MAINSTAY_TOKEN="+site.Token())
	if output, err := install.CombinedOutput(); err != nil {
		t.Fatalf("cannot install the client: %v\n%s", err, output)
	}
	client := exec.Command(program, "run", "--state-dir", state)
	client.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := client.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		client.Process.Kill()
		client.Wait()
	})
	sitetest.Eventually(t, time.Minute, "the machine's inventory is there", func() error {
		var list []struct {
			InventoryAt *time.Time `json:"inventory_at"`
		}
		site.JSON(&list, "device", "list")
		if len(list) != 1 || list[0].InventoryAt == nil {
			return fmt.Errorf("%d devices, none with inventory", len(list))
		}
		return nil
	})
}
