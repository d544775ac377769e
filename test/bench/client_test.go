package bench

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"mainstay/test/sitetest"
)

// BenchmarkClientAtRest measures the real client with the inventory of this
// machine, registered with a real server: memory once its inventory is
// delivered, and processor time over a minute with one poll in it.
func BenchmarkClientAtRest(b *testing.B) {
	const rest = time.Minute
	site := sitetest.Start(b)
	program, state := stripped(b, "mainstay-client"), b.TempDir()
	install := exec.Command(program, "install", "--mp", site.Clients, "--site", "LAB", "--state-dir", state, "--no-service")
	install.Env = append(os.Environ(), "MAINSTAY_TOKEN="+site.Token())
	if output, err := install.CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, output)
	}
	run := exec.Command(program, "run", "--state-dir", state)
	run.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := run.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = run.Process.Signal(syscall.SIGTERM) // it may have ended
		_ = run.Wait()
	})
	sitetest.Eventually(b, 5*time.Minute, "the inventory is delivered", func() error {
		output, err := exec.Command(program, "status", "--state-dir", state, "-o", "json").Output()
		if err != nil {
			return err
		}
		var status struct {
			Phase         string     `json:"phase"`
			LastInventory *time.Time `json:"last_inventory"`
			Queued        int        `json:"queued"`
		}
		if err := json.Unmarshal(output, &status); err != nil {
			return err
		}
		if status.Phase != "registered" || status.LastInventory == nil || status.Queued > 0 {
			return fmt.Errorf("status: %s", output)
		}
		return nil
	})
	wait(b, 15*time.Second) // what comes after an inventory
	resident, anonymous := memory(b, run.Process.Pid)
	before, err := processorTime(run.Process.Pid)
	if err != nil {
		b.Fatal(err)
	}
	began := time.Now()
	wait(b, rest/2)
	// One poll, so that the minute is not one of those in which nothing
	// happens at all: by itself a client polls each five minutes.
	if output, err := exec.Command(program, "policy", "--now", "--state-dir", state).CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, output)
	}
	wait(b, rest/2)
	after, err := processorTime(run.Process.Pid)
	if err != nil {
		b.Fatal(err)
	}
	share := float64(after-before) / float64(time.Since(began)) * 100
	later, laterAnonymous := memory(b, run.Process.Pid)
	const mib = 1 << 20
	say("resident %.1f MiB (anonymous %.1f), a minute later %.1f (%.1f); %.1f ms of processor in that minute",
		float64(resident)/mib, float64(anonymous)/mib, float64(later)/mib, float64(laterAnonymous)/mib, float64(after-before)/1e6)
	b.ReportMetric(float64(max(resident, later))/mib, "MiB-resident")
	b.ReportMetric(float64(max(anonymous, laterAnonymous))/mib, "MiB-anonymous")
	b.ReportMetric(share, "%-of-a-core")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkProgramSize measures the released programs.
func BenchmarkProgramSize(b *testing.B) {
	for _, name := range []string{"mainstay-client", "mainstay"} {
		b.Run(name, func(b *testing.B) {
			info, err := os.Stat(stripped(b, name))
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(info.Size())/1e6, "MB")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// stripped builds a program as it is released.
func stripped(b *testing.B, name string) string {
	b.Helper()
	path := filepath.Join(b.TempDir(), name)
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", path, "mainstay/cmd/"+name)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		b.Fatalf("cannot build %s: %v\n%s", name, err, output)
	}
	return path
}
