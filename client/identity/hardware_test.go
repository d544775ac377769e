package identity

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"mainstay/wire"
)

// machine writes files below a new root of a file system.
func machine(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestHardware(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		files map[string]string
		want  wire.HardwareIdentity
	}{
		{"nothing", nil, wire.HardwareIdentity{}},
		{"a good machine", map[string]string{
			"sys/class/dmi/id/product_uuid":              "4C4C4544-0051-3510-8052-B4C04F564433\n",
			"sys/class/dmi/id/product_serial":            "ABC1234\n",
			"etc/machine-id":                             "0f0e0d0c0b0a09080706050403020100\n",
			"sys/class/net/eth1/device/x":                "",
			"sys/class/net/eth1/address":                 "00:16:3E:00:00:02\n",
			"sys/class/net/eth1/addr_assign_type":        "0\n",
			"sys/class/net/eth0/device/x":                "",
			"sys/class/net/eth0/address":                 "00:16:3e:00:00:01\n",
			"sys/class/net/eth0/addr_assign_type":        "0\n",
			"sys/class/net/docker0/address":              "00:16:3e:00:00:09\n",
			"sys/class/net/docker0/addr_assign_type":     "0\n",
			"sys/class/net/veth/device/x":                "",
			"sys/class/net/veth/address":                 "00:16:3e:00:00:08\n",
			"sys/class/net/veth/addr_assign_type":        "3\n",
			"sys/class/net/sw/device/x":                  "",
			"sys/class/net/sw/address":                   "02:16:3e:00:00:07\n",
			"sys/class/net/sw/addr_assign_type":          "0\n",
			"sys/class/net/zero/device/x":                "",
			"sys/class/net/zero/address":                 "00:00:00:00:00:00\n",
			"sys/class/net/zero/addr_assign_type":        "0\n",
			"sys/class/net/b1/device/x":                  "",
			"sys/class/net/b1/address":                   "00:16:3e:00:00:01\n",
			"sys/class/net/b1/addr_assign_type":          "3\n",
			"sys/class/net/b1/bonding_slave/perm_hwaddr": "00:16:3e:00:00:03\n",
		}, wire.HardwareIdentity{
			ProductUUID: "4c4c4544-0051-3510-8052-b4c04f564433", Serial: "ABC1234",
			MachineID: "0f0e0d0c0b0a09080706050403020100",
			MACs:      []string{"00:16:3e:00:00:01", "00:16:3e:00:00:02", "00:16:3e:00:00:03"},
		}},
		{"makers' placeholders", map[string]string{
			"sys/class/dmi/id/product_uuid":   "03000200-0400-0500-0006-000700080009\n",
			"sys/class/dmi/id/product_serial": "To be filled by O.E.M.\n",
			"sys/class/dmi/id/chassis_serial": "0000000000\n",
			"sys/class/dmi/id/board_serial":   "BOARD77\n",
			"etc/machine-id":                  "uninitialized\n",
		}, wire.HardwareIdentity{Serial: "BOARD77"}},
		{"all ones", map[string]string{
			"sys/class/dmi/id/product_uuid": "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF\n",
		}, wire.HardwareIdentity{}},
		{"all zeros", map[string]string{
			"sys/class/dmi/id/product_uuid": "00000000-0000-0000-0000-000000000000\n",
		}, wire.HardwareIdentity{}},
		{"no identifier at all", map[string]string{
			"sys/class/dmi/id/product_uuid":   "Not Settable\n",
			"sys/class/dmi/id/product_serial": "\xff\xfe\n",
		}, wire.HardwareIdentity{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := Hardware(machine(t, test.files)); !reflect.DeepEqual(got, test.want) {
				t.Errorf("Hardware is\n%+v, want\n%+v", got, test.want)
			}
		})
	}
}

func TestIsCopy(t *testing.T) {
	t.Parallel()
	uuid := func(u, machine string) wire.HardwareIdentity {
		return wire.HardwareIdentity{ProductUUID: u, MachineID: machine}
	}
	for _, test := range []struct {
		name      string
		then, now wire.HardwareIdentity
		want      bool
	}{
		{"same", uuid("a", "1"), uuid("a", "1"), false},
		{"same in other letters", uuid("a", "1"), uuid("A", "1"), false},
		{"other firmware", uuid("a", "1"), uuid("b", "1"), true},
		{"same firmware, operating system installed anew", uuid("a", "1"), uuid("a", "2"), false},
		{"no firmware, other machine-id", uuid("", "1"), uuid("", "2"), true},
		{"no firmware, same machine-id", uuid("", "1"), uuid("", "1"), false},
		{"firmware no longer readable", uuid("a", "1"), uuid("", "2"), false},
		{"firmware readable at last", uuid("", "1"), uuid("a", "2"), false},
		{"nothing known", uuid("", ""), uuid("", ""), false},
		{"other adapters", wire.HardwareIdentity{ProductUUID: "a", MACs: []string{"x"}, Serial: "1"},
			wire.HardwareIdentity{ProductUUID: "a", MACs: []string{"y"}, Serial: "2"}, false},
	} {
		if got := IsCopy(test.then, test.now); got != test.want {
			t.Errorf("%s: IsCopy = %v, want %v", test.name, got, test.want)
		}
	}
}

func TestMachine(t *testing.T) {
	t.Parallel()
	root := machine(t, map[string]string{"etc/os-release": "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nNAME=\"Debian GNU/Linux\"\nVERSION_ID=\"12\"\n"})
	facts := Machine(root)
	if facts.OS != "Debian GNU/Linux" || facts.OSVersion != "12" || facts.Name == "" || facts.Arch == "" {
		t.Errorf("facts are %+v", facts)
	}
	if facts := Machine(t.TempDir()); facts.OS != "Linux" {
		t.Errorf("a system without os-release is %q, want Linux", facts.OS)
	}
}
