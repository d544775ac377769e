package inventory

import (
	"context"
	"fmt"
	"path"
	"strings"

	"mainstay/wire"
)

// unitFolders hold unit files; the first that has a name decides.
var unitFolders = []string{
	"/etc/systemd/system", "/run/systemd/system", "/run/systemd/generator", "/usr/local/lib/systemd/system",
	"/usr/lib/systemd/system", "/lib/systemd/system", "/run/systemd/generator.late",
}

// unit is one service unit on disk.
type unit struct {
	name, file, target string
	description, kind  string
	command, user      string
	bus                bool
	// install tells that the unit says how it is enabled, also that it only
	// points at others.
	install, also bool
}

// units are those of a machine.
type units struct {
	// byName holds services, without masked ones' content.
	byName map[string]*unit
	// wanted holds the names that an administrator's folder pulls in: true
	// when for good, false when until the next boot.
	wanted map[string]bool
	// triggers are the names of services that a timer or a socket starts.
	triggers map[string]bool
}

// collectServices reads services from their unit files, and from systemd what
// has become of them.
func collectServices(ctx context.Context, r *run) error {
	m := r.machine
	all := m.unitFiles()
	if len(all.byName) == 0 {
		return nil
	}
	states, err := m.unitStates(ctx)
	if err != nil {
		return err
	}
	for name, u := range all.byName {
		if err := ctx.Err(); err != nil {
			return err
		}
		if row, ok := all.service(name, u, states); ok {
			r.add(wire.ClassService, &row)
		}
	}
	return nil
}

// unitFiles reads the unit files of services.
func (m machine) unitFiles() units {
	all := units{byName: map[string]*unit{}, wanted: map[string]bool{}, triggers: map[string]bool{}}
	for _, folder := range unitFolders {
		// /lib is a link to /usr/lib nearly everywhere.
		if folder == "/lib/systemd/system" && m.link("/lib") != "" {
			continue
		}
		for _, name := range m.names(folder) {
			file := folder + "/" + name
			switch path.Ext(name) {
			case ".timer", ".socket", ".path":
				all.triggers[strings.TrimSuffix(name, path.Ext(name))+".service"] = true
			case ".service":
				if all.byName[name] == nil {
					all.byName[name] = m.unitFile(name, file)
				}
			case ".wants", ".requires":
				m.wants(folder, name, all.wanted)
			}
		}
	}
	all.addInstances()
	return all
}

// wants notes which services a folder pulls in. Only the administrator's count:
// those of the vendor cannot be switched.
func (m machine) wants(folder, name string, wanted map[string]bool) {
	permanent := folder == "/etc/systemd/system"
	if !permanent && folder != "/run/systemd/system" {
		return
	}
	for _, service := range m.names(folder + "/" + name) {
		if strings.HasSuffix(service, ".service") {
			wanted[service] = wanted[service] || permanent
		}
	}
}

// addInstances adds a unit for each instance of a template that is pulled in.
func (u *units) addInstances() {
	for name := range u.wanted {
		before, after, ok := strings.Cut(name, "@")
		if template := u.byName[before+"@.service"]; ok && template != nil && u.byName[name] == nil {
			instance := *template
			instance.name = name
			which := strings.TrimSuffix(after, ".service")
			instance.description = strings.NewReplacer("%i", which, "%I", which).Replace(template.description)
			u.byName[name] = &instance
		}
	}
}

func (m machine) unitFile(name, file string) *unit {
	u := &unit{name: name, file: file, target: m.link(file)}
	if u.target == "/dev/null" {
		return u
	}
	// A link may lead to another folder of the same root.
	read := file
	if path.IsAbs(u.target) {
		read = u.target
	}
	section := ""
	pending := ""
	// A unit that cannot be read is still there; it has only no details.
	_ = m.lines(read, func(line []byte) bool {
		text := pending + strings.TrimSpace(string(line))
		pending = ""
		switch {
		case strings.HasPrefix(text, "#"), strings.HasPrefix(text, ";"):
		case strings.HasSuffix(text, `\`) && len(text) < 16<<10:
			pending = strings.TrimSuffix(text, `\`) + " "
		case strings.HasPrefix(text, "["):
			section = text
		default:
			key, value, _ := strings.Cut(text, "=")
			u.set(section, strings.TrimSpace(key), strings.TrimSpace(value))
		}
		return true
	})
	return u
}

func (u *unit) set(section, key, value string) {
	if value == "" {
		return
	}
	switch section + key {
	case "[Unit]Description":
		u.description = clean(value, maxText)
	case "[Service]Type":
		u.kind = clean(value, 64)
	case "[Service]BusName":
		u.bus = true
	case "[Service]User":
		u.user = clean(value, 256)
	case "[Service]ExecStart":
		if u.command == "" {
			u.command = clean(strings.TrimLeft(value, "@-:+!|"), maxText)
		}
	case "[Install]WantedBy", "[Install]RequiredBy", "[Install]Alias", "[Install]UpheldBy":
		u.install = true
	case "[Install]Also":
		u.also = true
	}
}

// serviceType is the type that systemd assumes where the unit says none.
func (u *unit) serviceType() string {
	switch {
	case u.kind != "":
		return u.kind
	case u.bus:
		return "dbus"
	case u.command == "" && u.target != "/dev/null":
		return "oneshot"
	}
	return "simple"
}

// service makes the row of a unit; false for names that only stand for another
// unit and for templates.
func (u units) service(name string, one *unit, states map[string]unitState) (wire.Service, bool) {
	if strings.HasSuffix(name, "@.service") {
		return wire.Service{}, false
	}
	masked := one.target == "/dev/null"
	if target := path.Base(one.target); one.target != "" && !masked && target != name && u.byName[target] != nil {
		return wire.Service{}, false
	}
	row := wire.Service{
		Name:      clean(strings.TrimSuffix(name, ".service"), 256),
		StartMode: u.startMode(name, one),
		UnitFile:  clean(one.file, maxText),
	}
	if !masked {
		row.DisplayName, row.PathName, row.StartName, row.ServiceType = one.description, one.command, one.user, one.serviceType()
		if row.StartName == "root" {
			row.StartName = ""
		}
	}
	row.State = u.state(name, row, states)
	return row, true
}

func (u units) startMode(name string, one *unit) string {
	permanent, wanted := u.wanted[name]
	switch {
	case one.target == "/dev/null":
		return "masked"
	case strings.HasPrefix(one.file, "/run/systemd/generator"):
		return "generated"
	case permanent, u.aliased(name):
		return "enabled"
	case wanted:
		return "enabled-runtime"
	case one.install:
		return "disabled"
	case one.also:
		return "indirect"
	}
	return "static"
}

// aliased tells whether the administrator's folder has another name for the
// unit, which is how a unit with an Alias is enabled.
func (u units) aliased(name string) bool {
	for other, one := range u.byName {
		if other != name && path.Base(one.target) == name && strings.HasPrefix(one.file, "/etc/systemd/system/") {
			return true
		}
	}
	return false
}

// state is what has become of a service. What is started when something asks
// for it, or runs to its end, would change all day: of these only a failure
// counts.
func (u units) state(name string, row wire.Service, states map[string]unitState) string {
	if states == nil {
		return ""
	}
	s, loaded := states[name]
	if s.Active == "failed" {
		return "failed"
	}
	if u.triggers[name] || row.ServiceType == "oneshot" || row.ServiceType == "dbus" {
		return ""
	}
	switch {
	case !loaded, s.Active == "inactive", s.Active == "deactivating":
		return "stopped"
	case s.Sub == "exited":
		return "exited"
	}
	return "running"
}

// unitStates asks systemd, where it runs; nil means that it does not.
func (m machine) unitStates(ctx context.Context) (map[string]unitState, error) {
	// The folder is systemd's own sign that it was booted.
	if m.kernel.units == nil || !m.exists("/run/systemd/system") {
		return nil, nil
	}
	list, err := m.kernel.units(ctx)
	if err != nil {
		return nil, fmt.Errorf("systemd does not tell the state of services: %w", err)
	}
	states := map[string]unitState{}
	for _, s := range list {
		states[s.Name] = s
	}
	return states, nil
}
