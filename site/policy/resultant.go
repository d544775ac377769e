package policy

import (
	"context"
	"slices"
	"strings"

	"mainstay/lib/fault"
	"mainstay/lib/sqldb"
	"mainstay/site/access"
	"mainstay/site/device"
	"mainstay/site/sitedb"
	"mainstay/wire"
)

// Origin is where the value of one setting on one device comes from.
type Origin struct {
	Key string
	// Value in its JSON form.
	Value any
	// From are the client settings that gave it: one, or for merged lists
	// several, or none where it is the product's own default.
	From []Source
	// Overridden are client settings that say something else and lost.
	Overridden []Source
}

// Source names client settings.
type Source struct {
	ID, Name string
	Rank     int64
}

// Layer is one client settings object that applies to a device.
type Layer struct {
	Source
	Values Values
}

// Resultant computes what is in force: for each key the value of the custom
// client settings with the lowest rank that has one, else that of the default
// client settings, else the product's own. Lists that are merged are put
// together from all. The origins are in the order of Definitions.
func Resultant(defaults Layer, customs []Layer) (wire.ClientSettings, []Origin) {
	layers := slices.Clone(customs)
	slices.SortFunc(layers, func(a, b Layer) int {
		if a.Rank != b.Rank {
			return int(a.Rank - b.Rank)
		}
		return strings.Compare(a.ID, b.ID)
	})
	layers = append(layers, defaults)
	var settings wire.ClientSettings
	origins := []Origin{}
	for _, definition := range Definitions() {
		origin := definition.resolve(layers)
		definition.apply(&settings, origin.Value)
		origins = append(origins, origin)
	}
	return settings, origins
}

// resolve finds the value of one setting; layers come in order of precedence.
func (d SettingDefinition) resolve(layers []Layer) Origin {
	origin := Origin{Key: d.Key, Value: d.Default, From: []Source{}, Overridden: []Source{}}
	merged := []string{}
	for _, layer := range layers {
		value, chosen := layer.Values[d.Key]
		switch {
		case !chosen:
		case d.Merged:
			merged = append(merged, value.([]string)...)
			origin.From = append(origin.From, layer.Source)
		case len(origin.From) > 0:
			origin.Overridden = append(origin.Overridden, layer.Source)
		default:
			origin.Value = value
			origin.From = append(origin.From, layer.Source)
		}
	}
	if d.Merged && len(origin.From) > 0 {
		slices.Sort(merged)
		origin.Value = slices.Compact(merged)
	}
	return origin
}

var layersOf = sqldb.Define[struct {
	Device  string `db:"device"`
	All     string `db:"all_devices"`
	Default int64  `db:"default_rank"`
}, settingRow]("policy.layersOf",
	`SELECT `+settingColumns+` FROM client_setting
	 WHERE rank = @default_rank OR id IN (SELECT client_setting FROM client_setting_target WHERE device IN (@device, @all_devices))
	 ORDER BY rank, id`)

// ResultantOf computes what is in force on a device, for the component that
// makes its policy.
func ResultantOf(ctx context.Context, tx *sitedb.Tx, device string) (wire.ClientSettings, error) {
	settings, _, err := resultantOf(ctx, tx, device)
	return settings, err
}

// ResultantSet tells administrators what is in force on a device and why.
func ResultantSet(ctx context.Context, tx *sitedb.Tx, scope access.Scope, id string) ([]Origin, error) {
	if _, ok, err := device.Load(ctx, tx, id); err != nil || !ok || !scope.SeesAll() {
		if err == nil {
			err = fault.New(fault.NotFound, "no device has the identifier %q", clip(id))
		}
		return nil, err
	}
	_, origins, err := resultantOf(ctx, tx, id)
	return origins, err
}

func resultantOf(ctx context.Context, tx *sitedb.Tx, device string) (wire.ClientSettings, []Origin, error) {
	rows, err := layersOf.All(ctx, tx, struct {
		Device  string `db:"device"`
		All     string `db:"all_devices"`
		Default int64  `db:"default_rank"`
	}{device, everyDevice, DefaultRank})
	if err != nil {
		return wire.ClientSettings{}, nil, err
	}
	var defaults Layer
	var customs []Layer
	for _, row := range rows {
		values, err := decodeValues(row.Settings)
		if err != nil {
			return wire.ClientSettings{}, nil, fault.Wrap(fault.Internal, err, "client settings %s cannot be read", row.Name)
		}
		layer := Layer{Source{row.ID, row.Name, row.Rank}, values}
		if row.Rank == DefaultRank {
			defaults = layer
		} else {
			customs = append(customs, layer)
		}
	}
	settings, origins := Resultant(defaults, customs)
	return settings, origins, nil
}
