package policy

import (
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"mainstay/lib/fault"
	"mainstay/wire"
)

// SettingType is what a client setting holds.
type SettingType string

// The types. In JSON a duration is text such as "5m", "12h" or "7d", a list is
// an array of strings.
const (
	SettingDuration SettingType = "duration"
	SettingBool     SettingType = "bool"
	SettingList     SettingType = "list"
)

// SettingDefinition describes one client setting.
type SettingDefinition struct {
	// Key is group and name: "client_policy.polling_interval".
	Key  string
	Type SettingType
	// Default is our value when no client settings say another, in its JSON
	// form. Original is that of Configuration Manager, nil where it has none.
	Default, Original any
	// Min and Max bound a duration, both allowed.
	Min, Max time.Duration
	// Merged lists of several client settings are put together; of other
	// settings the one with the lowest order number wins.
	Merged      bool
	Description string

	check func(item string) error
	apply func(to *wire.ClientSettings, value any)
}

// maxItems bounds a list, maxItem the bytes of one item.
const (
	maxItems = 200
	maxItem  = 1024
)

// hashPrefix before a path pattern asks for the hash of each file.
const hashPrefix = "hash:"

// Definitions lists every client setting, in the order in which they are shown.
func Definitions() []SettingDefinition {
	const day = 24 * time.Hour
	return []SettingDefinition{
		duration("client_policy.polling_interval", "5m", "1h", time.Minute, day,
			"How often a client asks for policy.",
			func(s *wire.ClientSettings) *int64 { return &s.ClientPolicy.PollingIntervalSeconds }),
		duration("state_messaging.report_interval", "1m", "15m", 10*time.Second, day,
			"How often a client sends the messages that wait in its outbox.",
			func(s *wire.ClientSettings) *int64 { return &s.StateMessaging.ReportIntervalSeconds }),
		duration("heartbeat.interval", "1d", "7d", time.Hour, 30*day,
			"How often a client says that it is there and who it is. A change that the client sees is told at once.",
			func(s *wire.ClientSettings) *int64 { return &s.Heartbeat.IntervalSeconds }),
		duration("heartbeat.random_delay", "30m", "0s", 0, day,
			"The longest random delay before a heartbeat, so that a fleet does not march in step.",
			func(s *wire.ClientSettings) *int64 { return &s.Heartbeat.RandomDelaySeconds }),
		boolean("hardware_inventory.enabled", true, true,
			"Whether hardware and installed software are inventoried.",
			func(s *wire.ClientSettings) *bool { return &s.HardwareInventory.Enabled }),
		duration("hardware_inventory.interval", "1d", "7d", time.Hour, 90*day,
			"How often inventory is taken.",
			func(s *wire.ClientSettings) *int64 { return &s.HardwareInventory.IntervalSeconds }),
		duration("hardware_inventory.random_delay", "30m", "4h", 0, 8*time.Hour,
			"The longest random delay before inventory is taken.",
			func(s *wire.ClientSettings) *int64 { return &s.HardwareInventory.RandomDelaySeconds }),
		boolean("hardware_inventory.on_change", true, false,
			"Whether a change that the client can see is reported at once.",
			func(s *wire.ClientSettings) *bool { return &s.HardwareInventory.OnChange }),
		{
			Key: "hardware_inventory.disabled_classes", Type: SettingList, Default: []string{}, Merged: true,
			Description: "Names of inventory classes that are not collected. Those of all client settings count.",
			check:       checkClass,
			apply:       func(s *wire.ClientSettings, v any) { s.HardwareInventory.Disabled = v.([]string) },
		},
		{
			Key: "software_inventory.files", Type: SettingList, Default: []string{}, Merged: true,
			Description: "Path patterns of files to inventory, with *, ? and ** for any folders; hash: before a pattern asks for the SHA-256 of each file. Those of all client settings count.",
			check:       checkPattern,
			apply:       func(s *wire.ClientSettings, v any) { s.SoftwareInventory.Files = fileRules(v.([]string)) },
		},
	}
}

func duration(key, value, original string, least, most time.Duration, description string, field func(*wire.ClientSettings) *int64) SettingDefinition {
	return SettingDefinition{
		Key: key, Type: SettingDuration, Default: value, Original: original, Min: least, Max: most, Description: description,
		apply: func(s *wire.ClientSettings, v any) {
			if d, err := ParseDuration(v.(string)); err == nil {
				*field(s) = int64(d.Seconds())
			}
		},
	}
}

func boolean(key string, value, original bool, description string, field func(*wire.ClientSettings) *bool) SettingDefinition {
	return SettingDefinition{
		Key: key, Type: SettingBool, Default: value, Original: original, Description: description,
		apply: func(s *wire.ClientSettings, v any) { *field(s) = v.(bool) },
	}
}

func checkClass(item string) error {
	if _, ok := wire.InventoryClassNamed(item); ok {
		return nil
	}
	names := []string{}
	for _, c := range wire.InventoryClasses() {
		names = append(names, c.Name)
	}
	return fmt.Errorf("%q is no inventory class; did you mean %s?", clip(item), closest(item, names))
}

func checkPattern(item string) error {
	pattern := strings.TrimPrefix(item, hashPrefix)
	if !strings.HasPrefix(pattern, "/") || pattern == "/" {
		return fmt.Errorf("%q is no absolute path pattern such as /etc/ssh/*.conf or hash:/usr/local/bin/*", clip(item))
	}
	if slices.Contains(strings.Split(pattern, "/"), "..") {
		return fmt.Errorf("%q goes up with '..'; write the path in full", clip(item))
	}
	if _, err := path.Match(strings.ReplaceAll(pattern, "**", "*"), "/"); err != nil {
		return fmt.Errorf("%q is no pattern: a bracket is never closed", clip(item))
	}
	return nil
}

func fileRules(items []string) []wire.FileRule {
	rules := make([]wire.FileRule, len(items))
	for i, item := range items {
		pattern, hash := strings.CutPrefix(item, hashPrefix)
		rules[i] = wire.FileRule{Pattern: pattern, Hash: hash}
	}
	return rules
}

// Values are chosen client settings by key, in canonical JSON form: a duration
// as text in its largest unit, a bool, a sorted list of strings.
type Values map[string]any

// ParseValues checks client settings as they come from outside. An unknown key
// is refused with the one that is closest to it.
func ParseValues(in map[string]any) (Values, error) {
	out := Values{}
	for key, value := range in {
		definition, err := definitionOf(key)
		if err != nil {
			return nil, err
		}
		if out[key], err = definition.parse(value); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func definitionOf(key string) (SettingDefinition, error) {
	definitions := Definitions()
	keys := make([]string, len(definitions))
	for i, d := range definitions {
		if d.Key == key {
			return d, nil
		}
		keys[i] = d.Key
	}
	return SettingDefinition{}, fault.InvalidField("settings."+clip(key), "there is no client setting %q; did you mean %s?", clip(key), closest(key, keys))
}

func (d SettingDefinition) parse(value any) (any, error) {
	field := "settings." + d.Key
	switch d.Type {
	case SettingDuration:
		text, ok := value.(string)
		if !ok {
			return nil, fault.InvalidField(field, "%v is no duration; write text such as %q", value, d.Default)
		}
		length, err := ParseDuration(text)
		if err != nil || length < d.Min || length > d.Max {
			return nil, fault.InvalidField(field, "%q is no duration between %s and %s", clip(text), FormatDuration(d.Min), FormatDuration(d.Max))
		}
		return FormatDuration(length), nil
	case SettingBool:
		yes, ok := value.(bool)
		if !ok {
			return nil, fault.InvalidField(field, "%v is neither true nor false", value)
		}
		return yes, nil
	}
	return d.parseList(field, value)
}

func (d SettingDefinition) parseList(field string, value any) (any, error) {
	var items []string
	switch list := value.(type) {
	case []string:
		items = slices.Clone(list)
	case []any:
		for _, item := range list {
			text, ok := item.(string)
			if !ok {
				return nil, fault.InvalidField(field, "%v in the list is no text", item)
			}
			items = append(items, text)
		}
	default:
		return nil, fault.InvalidField(field, "%v is no list of texts", value)
	}
	if len(items) > maxItems {
		return nil, fault.InvalidField(field, "has %d items; at most %d are allowed", len(items), maxItems)
	}
	for _, item := range items {
		if len(item) > maxItem || !utf8.ValidString(item) || strings.ContainsFunc(item, func(r rune) bool { return r < 0x20 || r == 0x7f }) {
			return nil, fault.InvalidField(field, "%q is longer than %d bytes or holds characters that cannot be printed", clip(item), maxItem)
		}
		if err := d.check(item); err != nil {
			return nil, fault.InvalidField(field, "%s", err)
		}
	}
	slices.Sort(items)
	return append([]string{}, slices.Compact(items)...), nil
}

// decode reads what encode wrote. Keys that this program does not know are
// left out: a newer one wrote them.
func decodeValues(data string) (Values, error) {
	var raw map[string]any
	if err := json.Unmarshal([]byte(data), &raw); err != nil {
		return nil, fmt.Errorf("stored client settings are no JSON object: %w", err)
	}
	for key := range raw {
		if _, err := definitionOf(key); err != nil {
			delete(raw, key)
		}
	}
	return ParseValues(raw)
}

func (v Values) encode() (string, error) {
	data, err := json.Marshal(map[string]any(v))
	if err != nil {
		return "", fmt.Errorf("cannot encode client settings: %w", err)
	}
	return string(data), nil
}

// ParseDuration reads a duration as Go writes it, or in days ("7d").
func ParseDuration(text string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(text, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 15)
		return time.Duration(n) * 24 * time.Hour, err
	}
	d, err := time.ParseDuration(text)
	if err == nil && d%time.Second != 0 {
		err = fmt.Errorf("%q is no whole number of seconds", text)
	}
	return d, err
}

// FormatDuration writes a duration in the largest unit that divides it.
func FormatDuration(d time.Duration) string {
	for _, unit := range []struct {
		length time.Duration
		name   string
	}{{24 * time.Hour, "d"}, {time.Hour, "h"}, {time.Minute, "m"}} {
		if d > 0 && d%unit.length == 0 {
			return strconv.FormatInt(int64(d/unit.length), 10) + unit.name
		}
	}
	return strconv.FormatInt(int64(d/time.Second), 10) + "s"
}

// clip shortens what a user wrote for an error message.
func clip(s string) string {
	if r := []rune(s); len(r) > 60 {
		return string(r[:60]) + "…"
	}
	return s
}

// closest finds the candidate with the fewest changes from what was written; of
// equals the one that begins most like it.
func closest(written string, candidates []string) string {
	written = strings.ToLower(clip(written))
	best, bestCost, bestStart := "", -1, 0
	for _, candidate := range candidates {
		low := strings.ToLower(candidate)
		cost, start := distance(written, low), common(written, low)
		if bestCost < 0 || cost < bestCost || cost == bestCost && start > bestStart {
			best, bestCost, bestStart = candidate, cost, start
		}
	}
	return best
}

// common is the length of the beginning that two words share.
func common(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

// distance is the number of single-byte changes between two words.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
