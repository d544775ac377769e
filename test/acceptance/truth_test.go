package acceptance

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"mainstay/test/sitetest"
	"mainstay/wire"
)

// A fact is one column of one row of the inventory, written as
// "Class[key/key].Column", and its value as text.
type facts map[string]string

func (f facts) set(class, key, column string, value any) {
	f[class+"["+key+"]."+column] = fmt.Sprint(value)
}

// say sets what a tool says; what it does not know, it says as nothing or "-".
func (f facts) say(class, key, column, value string) {
	if value != "" && value != "-" {
		f.set(class, key, column, value)
	}
}

// whole are classes of which the tools know all rows.
var whole = []string{
	wire.ClassProcessor, wire.ClassPhysicalDisk, wire.ClassPartition, wire.ClassInstalledSoftware, wire.ClassLocalUserAccount, wire.ClassLocalGroup, wire.ClassKernelModule,
}

// untold are columns that no tool of every machine tells, and why. A new
// column must be compared, or stand here.
var untold = map[string]string{
	"ComputerSystem.Fqdn":         "hostname -f asks name servers, inventory does not",
	"ComputerSystem.Domain":       "part of Fqdn",
	"ComputerSystem.Manufacturer": "firmware", "ComputerSystem.Model": "firmware", "ComputerSystem.SystemFamily": "firmware",
	"ComputerSystem.SystemSKUNumber": "firmware", "ComputerSystem.Version": "firmware", "ComputerSystem.SerialNumber": "firmware", "ComputerSystem.UUID": "firmware",
	"Processor.MaxClockSpeed":    "lscpu rounds it",
	"Processor.Microcode":        "lscpu does not say it",
	"PhysicalDisk.MediaType":     "lsblk says that virtual disks rotate",
	"PhysicalDisk.SerialNumber":  "lsblk asks the device manager, which containers have not",
	"PhysicalDisk.InterfaceType": "lsblk knows fewer", "PhysicalDisk.PartitionStyle": "lsblk asks the device manager",
	"Partition.Index": "lsblk learnt it lately",
	"Partition.Label": "lsblk asks the device manager", "Partition.Type": "lsblk asks the device manager",
	"Partition.UUID": "lsblk asks the device manager", "Partition.FileSystem": "lsblk asks the device manager",
	"LogicalDisk.Description": "our words", "LogicalDisk.VolumeName": "lsblk asks the device manager", "LogicalDisk.UUID": "lsblk asks the device manager",
	"LogicalDisk.FreeSpace": "changes while one looks", "LogicalDisk.ReadOnly": "df does not say it",
	"LogicalDisk.Encrypted": "df does not say it", "LogicalDisk.Options": "df does not say it",
	"NetworkAdapter.AdapterType": "our words", "NetworkAdapter.Physical": "ip does not say it", "NetworkAdapter.Driver": "ip does not say it",
	"NetworkAdapter.DeviceID": "ip does not say it", "NetworkAdapter.Speed": "ip does not say it", "NetworkAdapter.PermanentAddress": "ip says it where it differs",
	"NetworkAdapterConfiguration.DNSServers": "ip does not say it", "NetworkAdapterConfiguration.DefaultIPGateway": "compared as a route",
	"InstalledSoftware.InstallTime": "dpkg-query does not say it",
	"Service.DisplayName":           "systemctl needs a running systemd", "Service.State": "systemctl needs a running systemd", "Service.StartName": "systemctl needs a running systemd",
	"Service.PathName": "systemctl needs a running systemd", "Service.UnitFile": "systemctl needs a running systemd", "Service.ServiceType": "systemctl needs a running systemd",
	"LocalUserAccount.PasswordStatus": "getent does not say it", "LocalUserAccount.SystemAccount": "a rule of ours",
	"LocalUserAccount.LoginAllowed": "a rule of ours", "LocalUserAccount.Administrator": "a rule of ours",
	"ListeningPort.Path": "ss does not say it", "ListeningPort.UserName": "ss does not say it",
	"KernelModule.Version": "lsmod does not say it", "KernelModule.Foreign": "lsmod does not say it",
	"Virtualization.Kind": "our words", "Virtualization.Container": "no tool of every machine",
	"TimeZone.StandardName": "date says the one of now", "TimeZone.DaylightName": "date says the one of now", "TimeZone.DaylightSaving": "a rule of the zone",
}

// fromFirmware are classes that come from the firmware, which only dmidecode reads.
var fromFirmware = []string{wire.ClassPhysicalMemory, wire.ClassBios, wire.ClassBaseBoard, wire.ClassSystemEnclosure}

// TestInventoryIsTrue compares what the command shows of this machine, after
// the whole way through client, site and API, with what its tools say.
func TestInventoryIsTrue(t *testing.T) {
	t.Parallel()
	r := newTrial(t)
	r.run()
	host, err := os.Hostname()
	must(t, err)
	state := filepath.Join(r.dir, "var", "client")

	// The machine changes while one looks, other tests see to that: once must
	// be right, and a change must reach the site.
	var got facts
	sitetest.Eventually(t, 90*time.Second, "the inventory is what the tools say", func() error {
		out, problem, code := run(t, exec.Command(sitetest.Program(t, "mainstay-client"), "inventory", "--now", "--state-dir", state))
		if code != 0 {
			return fmt.Errorf("inventory --now: %s%s", out, problem)
		}
		want := told(t)
		want.set(wire.ClassListeningPort, "tcp/127.0.0.1/"+r.clients, "ProcessName", "mainstay")
		var view deviceView
		decode(t, r.mainstay("device show "+host+" -o json"), &view)
		var problems []string
		got, problems = view.facts(t)
		problems = append(problems, compare(want, got)...)
		problems = append(problems, view.identity(t)...)
		if len(problems) > 0 {
			return errors.New(strings.Join(problems[:min(len(problems), 20)], "\n"))
		}
		problems = unconfirmed(want, got)
		if len(problems) > 0 {
			t.Fatalf("nothing confirms these columns; compare them or say why not in untold:\n%s", strings.Join(problems, "\n"))
		}
		t.Logf("%d facts confirmed", len(want))
		return nil
	})
}

// facts are the columns of all rows.
func (v deviceView) facts(t *testing.T) (facts, []string) {
	t.Helper()
	all := facts{}
	for name, raw := range v.Inventory {
		class, ok := wire.InventoryClassNamed(name)
		if !ok {
			t.Fatalf("the site shows a class %q that the client does not know", name)
		}
		decoder := json.NewDecoder(strings.NewReader(string(raw)))
		decoder.UseNumber()
		var rows []map[string]any
		must(t, decoder.Decode(&rows))
		for _, row := range rows {
			var keys []string
			for _, key := range class.KeyColumns {
				keys = append(keys, fmt.Sprint(row[key]))
			}
			for column, value := range row {
				if value != nil {
					all.set(name, strings.Join(keys, "/"), column, value)
				}
			}
		}
	}
	var problems []string
	for _, e := range v.Errors {
		problems = append(problems, "the client could not read: "+string(e))
	}
	return all, problems
}

// identity compares what stands beside the inventory.
func (v deviceView) identity(t *testing.T) []string {
	var problems []string
	for _, f := range []struct{ name, got, want string }{
		{"name", v.Device.Name, ask(t, "hostname")},
		{"arch", v.Device.Arch, ask(t, "dpkg", "--print-architecture")},
		{"os", v.Device.Os, release(t)["NAME"]},
		{"os_version", v.Device.OsVersion, release(t)["VERSION_ID"]},
	} {
		if f.got != f.want {
			problems = append(problems, fmt.Sprintf("device %s is %q, want %q", f.name, f.got, f.want))
		}
	}
	return problems
}

// TestUntoldColumnsExist keeps the list of what is not compared short.
func TestUntoldColumnsExist(t *testing.T) {
	t.Parallel()
	columns := map[string]bool{}
	for _, class := range wire.InventoryClasses() {
		for _, column := range class.Columns() {
			columns[class.Name+"."+column.Name] = true
		}
	}
	for name := range untold {
		if !columns[name] {
			t.Errorf("there is no column %s", name)
		}
	}
}

// compare says where the inventory differs from what the tools say.
func compare(want, got facts) []string {
	var problems []string
	for _, fact := range slices.Sorted(maps.Keys(want)) {
		if value, ok := got[fact]; !ok || value != want[fact] && !near(fact, value, want[fact]) {
			problems = append(problems, fmt.Sprintf("%s is %q, the tools say %q", fact, got[fact], want[fact]))
		}
	}
	rows := map[string]bool{}
	for fact := range want {
		rows[row(fact)] = true
	}
	for fact := range got {
		if class, _, _ := strings.Cut(fact, "["); slices.Contains(whole, class) && !rows[row(fact)] {
			problems = append(problems, row(fact)+" is not there, say the tools")
			rows[row(fact)] = true
		}
	}
	return problems
}

// near tells whether a moment is the same: the kernel computes when it was
// started from a clock that is being corrected.
func near(fact, got, want string) bool {
	if fact != bootTime {
		return false
	}
	a, errA := strconv.ParseInt(got, 10, 64)
	b, errB := strconv.ParseInt(want, 10, 64)
	return errA == nil && errB == nil && time.Duration(a-b).Abs()*time.Microsecond < 3*time.Minute
}

func row(fact string) string { return fact[:strings.LastIndex(fact, "].")+1] }

// unconfirmed lists the columns that have values which nothing confirms.
func unconfirmed(want, got facts) []string {
	column := func(fact string) string {
		class, _, _ := strings.Cut(fact, "[")
		return class + fact[strings.LastIndex(fact, "].")+1:]
	}
	confirmed := map[string]bool{}
	for fact := range want {
		confirmed[column(fact)] = true
	}
	missing := map[string]bool{}
	for fact := range got {
		name := column(fact)
		class, field, _ := strings.Cut(name, ".")
		known, _ := wire.InventoryClassNamed(class)
		switch {
		case confirmed[name], untold[name] != "", slices.Contains(fromFirmware, class):
		case slices.Contains(known.KeyColumns, field): // it is in the name of the row
		default:
			missing[name] = true
		}
	}
	return slices.Sorted(maps.Keys(missing))
}
