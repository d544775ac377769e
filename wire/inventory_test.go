package wire

import (
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The tables are the contract between clients, sites and the query language:
// each column has a name that a question can use, a type that both engines
// know and a meaning.
func TestInventoryClassesAreWholeAndUnambiguous(t *testing.T) {
	t.Parallel()
	identifier := regexp.MustCompile(`^[A-Z][A-Za-z0-9]*$`)
	seen := map[string]string{}
	for _, class := range InventoryClasses() {
		for _, name := range append([]string{class.Name}, class.Aliases...) {
			if !identifier.MatchString(name) {
				t.Errorf("%s: name %q does not begin with a letter or holds more than letters and digits", class.Name, name)
			}
			if other, twice := seen[strings.ToLower(name)]; twice {
				t.Errorf("%s: name %q already means %s", class.Name, name, other)
			}
			seen[strings.ToLower(name)] = class.Name
		}
		if class.Description == "" {
			t.Errorf("%s: no description", class.Name)
		}
		columns := class.Columns()
		var names []string
		for _, c := range columns {
			if !identifier.MatchString(c.Name) {
				t.Errorf("%s.%s: not a column name", class.Name, c.Name)
			}
			if c.Description == "" {
				t.Errorf("%s.%s: no doc tag", class.Name, c.Name)
			}
			if slices.Contains(names, c.Name) {
				t.Errorf("%s.%s: stands twice", class.Name, c.Name)
			}
			names = append(names, c.Name)
		}
		if slices.Contains(names, "Device") {
			t.Errorf("%s: the column Device belongs to the query language", class.Name)
		}
		for _, key := range class.KeyColumns {
			if !slices.Contains(names, key) {
				t.Errorf("%s: key column %q does not exist", class.Name, key)
			}
		}
		checkRowTypes(t, class)
	}
}

func checkRowTypes(t *testing.T, class InventoryClass) {
	t.Helper()
	row := reflect.TypeOf(class.Row)
	if row.Name() != class.Name {
		t.Errorf("%s: its row is called %s", class.Name, row.Name())
	}
	for i := range row.NumField() {
		f := row.Field(i)
		kind := f.Type.Kind()
		if kind == reflect.Pointer {
			kind = f.Type.Elem().Kind()
		}
		switch kind {
		case reflect.String, reflect.Bool, reflect.Int64, reflect.Uint64:
		default:
			t.Errorf("%s.%s: type %s is none of string, bool, int64, uint64", class.Name, f.Name, f.Type)
		}
		if kind == reflect.Bool && strings.Contains(f.Tag.Get("json"), "omitempty") {
			t.Errorf("%s.%s: a boolean must always be there", class.Name, f.Name)
		}
		if f.Tag.Get("unit") == "us" && kind != reflect.Int64 {
			t.Errorf("%s.%s: a time is int64", class.Name, f.Name)
		}
	}
}

func TestInventoryClassNamed(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"OS": "OS", "operatingsystem": "OS", "Disk": "LogicalDisk", "ipconfig": "NetworkAdapterConfiguration", "Users": "LocalUserAccount",
	} {
		class, ok := InventoryClassNamed(name)
		if !ok || class.Name != want {
			t.Errorf("%s: got %q, %v, want %s", name, class.Name, ok, want)
		}
	}
	if _, ok := InventoryClassNamed("Registry"); ok {
		t.Error("a class that does not exist was found")
	}
}

func TestColumnsTellTypeUnitAndKey(t *testing.T) {
	t.Parallel()
	class, _ := InventoryClassNamed("InstalledSoftware")
	got := map[string]InventoryColumn{}
	for _, c := range class.Columns() {
		c.Description = ""
		got[c.Name] = c
	}
	for _, want := range []InventoryColumn{
		{Name: "Name", Type: "string", Key: true},
		{Name: "InstallTime", Type: "time"},
		{Name: "InstalledSize", Type: "integer", Unit: "bytes"},
		{Name: "Held", Type: "bool"},
	} {
		if got[want.Name] != want {
			t.Errorf("got %+v, want %+v", got[want.Name], want)
		}
	}
}
