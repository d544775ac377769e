package inventory

import (
	"context"
	"strings"
	"time"

	"mainstay/wire"
)

// collectTimeZone reads the time zone. The offset of the moment is no column:
// it would change twice a year on every machine.
func collectTimeZone(_ context.Context, r *run) error {
	m := r.machine
	zone := wire.TimeZone{Name: m.timeZoneName()}
	data, err := m.timeZoneData(zone.Name)
	if err != nil {
		// A machine without zone data keeps UTC, as the C library does.
		if zone.Name == "" {
			zone.Name = "UTC"
		}
		r.add(wire.ClassTimeZone, &zone)
		return nil
	}
	if zone.Name == "" {
		zone.Name = "Local"
	}
	location, err := time.LoadLocationFromTZData(zone.Name, data)
	if err != nil {
		return err
	}
	year := r.config.Now().In(location).Year()
	for month := time.January; month <= time.December; month++ {
		at := time.Date(year, month, 15, 12, 0, 0, 0, location)
		name, offset := at.Zone()
		if at.IsDST() {
			zone.DaylightSaving, zone.DaylightName = true, name
		} else {
			zone.StandardName, zone.Bias = name, int64(offset/60)
		}
	}
	r.add(wire.ClassTimeZone, &zone)
	return nil
}

// timeZoneName is the name to which /etc/localtime links, or what the text file
// of Debian says; empty when neither tells.
func (m machine) timeZoneName() string {
	if _, name, ok := strings.Cut(m.link("/etc/localtime"), "zoneinfo/"); ok {
		return clean(name, 100)
	}
	return clean(m.text("/etc/timezone"), 100)
}

// timeZoneData reads the zone itself, below the root also where /etc/localtime
// is a link to an absolute path.
func (m machine) timeZoneData(name string) ([]byte, error) {
	file := "/etc/localtime"
	if target := m.link(file); strings.HasPrefix(target, "/") {
		file = target
	}
	data, err := m.head(file, 256<<10)
	if err != nil && name != "" && !strings.Contains(name, "..") {
		return m.head("/usr/share/zoneinfo/"+name, 256<<10)
	}
	return data, err
}
