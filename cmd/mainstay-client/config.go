package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/goccy/go-yaml"

	"mainstay/client"
	"mainstay/lib/fault"
	"mainstay/lib/filesys"
	"mainstay/lib/mtls"
	"mainstay/lib/registrationtoken"
	"mainstay/lib/strictyaml"
	"mainstay/wire"
)

// maxConfig bounds the configuration file, and files that it names, in bytes.
const maxConfig = 256 << 10

// maxSocketPath is what the kernel takes.
const maxSocketPath = 107

// config is the configuration file. Each key's comment is written into a new
// file.
type config struct {
	Site                 string    `yaml:"site"`
	ManagementPoints     []string  `yaml:"management_points"`
	FallbackStatusPoints []string  `yaml:"fallback_status_points,omitempty"`
	TokenFile            string    `yaml:"token_file,omitempty"`
	RootKeyFile          string    `yaml:"root_key_file,omitempty"`
	Socket               string    `yaml:"socket,omitempty"`
	OutboxMegabytes      int64     `yaml:"outbox_megabytes,omitempty"`
	LogLevel             string    `yaml:"log_level,omitempty"`
	Hardware             *hardware `yaml:"hardware,omitempty"`
}

// hardware replaces what the machine says of itself, for tests and for fleets
// of machines that all say the same.
type hardware struct {
	ProductUUID string   `yaml:"product_uuid,omitempty"`
	Serial      string   `yaml:"serial,omitempty"`
	MachineID   string   `yaml:"machine_id,omitempty"`
	MACs        []string `yaml:"macs,omitempty"`
}

// comments explain the keys in a new file.
func comments() yaml.CommentMap {
	say := func(lines ...string) []*yaml.Comment { return []*yaml.Comment{yaml.HeadComment(lines...)} }
	return yaml.CommentMap{
		"$.site":                   say(" Configuration of the Mainstay client of this machine; 'mainstay-client install'", " writes it, and a change is read when the client is started again.", "", " The site, three capital letters or digits."),
		"$.management_points":      say(" Where to begin, HOST or HOST:PORT. The site tells the client the full list."),
		"$.fallback_status_points": say(" HOST or HOST:PORT."),
		"$.token_file":             say(" File with the registration token. It is removed when it is not needed any more."),
		"$.root_key_file":          say(" The site's root certificate (PEM). The client obeys nobody else."),
		"$.socket":                 say(" Socket of the local door, which only root can open."),
		"$.outbox_megabytes":       say(" How much the outbox may hold while no management point can be reached."),
		"$.log_level":              say(" debug, info, warn or error."),
		"$.hardware":               say(" Replaces what the firmware says (product_uuid, serial, machine_id, macs)."),
	}
}

// readConfig reads the configuration file.
func readConfig(path string) (config, error) {
	data, err := filesys.ReadFile(path, maxConfig)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return config{}, fault.New(fault.NotFound, "there is no configuration file %s: this machine is no client yet, 'mainstay-client install' makes it one", path)
	case errors.Is(err, os.ErrPermission):
		return config{}, fault.New(fault.Denied, "configuration file %s may be read by root alone: run this with sudo", path)
	case err != nil:
		return config{}, err
	}
	c, err := decodeConfig(data)
	if err != nil {
		return config{}, fault.New(fault.Invalid, "%s: %s", path, strings.TrimSpace(err.Error()))
	}
	return c, nil
}

// decodeConfig refuses unknown and duplicate keys, with their line, and values
// that cannot be meant.
func decodeConfig(data []byte) (config, error) {
	var c config
	file, err := strictyaml.Decode(data, &c)
	if err != nil {
		return config{}, err
	}
	return c, c.check(file)
}

func (c config) check(file *strictyaml.File) error {
	wrong := func(key, format string, args ...any) error {
		return fault.InvalidField(key, "line %d: %s", file.Line(key), fmt.Sprintf(format, args...))
	}
	if len(c.Site) != 3 || strings.Trim(c.Site, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") != "" {
		return wrong("site", "%q is no site code: write three capital letters or digits", c.Site)
	}
	if len(c.ManagementPoints) == 0 {
		return wrong("management_points", "is empty: name at least one as HOST or HOST:PORT")
	}
	for _, list := range []struct {
		key    string
		values []string
	}{{"management_points", c.ManagementPoints}, {"fallback_status_points", c.FallbackStatusPoints}} {
		for _, value := range list.values {
			if _, err := client.Address(value); err != nil {
				return wrong(list.key, "%q is no address: write HOST or HOST:PORT, without https://", value)
			}
		}
	}
	if c.OutboxMegabytes < 0 || c.OutboxMegabytes > 10_000 {
		return wrong("outbox_megabytes", "%d is not between 1 and 10000; leave it out for 50", c.OutboxMegabytes)
	}
	if _, err := parseLevel(c.LogLevel); err != nil {
		return wrong("log_level", "%q is no level: write debug, info, warn or error", c.LogLevel)
	}
	if len(c.Socket) > maxSocketPath {
		return wrong("socket", "path has %d characters, and a socket's may have %d", len(c.Socket), maxSocketPath)
	}
	return nil
}

func parseLevel(text string) (slog.Level, error) {
	var level slog.Level
	if text == "" {
		return slog.LevelInfo, nil
	}
	return level, level.UnmarshalText([]byte(text))
}

// write stores the configuration, with a comment to each key.
func (c config) write(path string) error {
	data, err := yaml.MarshalWithOptions(c, yaml.WithComment(comments()))
	if err != nil {
		return fmt.Errorf("cannot encode the configuration: %w", err)
	}
	return filesys.WriteFile(path, data, 0o600)
}

// socketOf is the socket of a state folder.
func socketOf(stateDir string) string {
	if stateDir == defaultStateDir {
		return defaultSocket
	}
	return filepath.Join(stateDir, "client.sock")
}

func (c config) socket(stateDir string) string {
	if c.Socket != "" {
		return c.Socket
	}
	return socketOf(stateDir)
}

// client makes the client's configuration of it.
func (c config) client(stateDir string) (client.Config, error) {
	out := client.Config{
		StateDir: stateDir, SocketPath: c.socket(stateDir), SiteCode: c.Site, ManagementPoints: c.ManagementPoints,
		FallbackStatusPoints: c.FallbackStatusPoints, OutboxBytes: c.OutboxMegabytes << 20,
	}
	if len(out.SocketPath) > maxSocketPath {
		return out, fault.InvalidField("socket", "path %s has %d characters, and a socket's may have %d: set 'socket' in the configuration, or choose a shorter --state-dir", out.SocketPath, len(out.SocketPath), maxSocketPath)
	}
	var err error
	if c.RootKeyFile != "" {
		if out.RootKey, err = readRootKey(c.RootKeyFile); err != nil {
			return out, err
		}
	}
	if c.TokenFile != "" {
		if out.Token, err = readToken(c.TokenFile); err != nil && !errors.Is(err, os.ErrNotExist) {
			return out, err
		}
	}
	if h := c.Hardware; h != nil {
		out.Hardware = func() wire.HardwareIdentity {
			return wire.HardwareIdentity{ProductUUID: h.ProductUUID, Serial: h.Serial, MachineID: h.MachineID, MACs: h.MACs}
		}
	}
	return out, nil
}

func readToken(path string) (registrationtoken.Token, error) {
	data, err := filesys.ReadFile(path, maxConfig)
	if err != nil {
		return registrationtoken.Token{}, err
	}
	return registrationtoken.Parse(string(data))
}

// readRootKey reads the first certificate of a PEM file.
func readRootKey(path string) ([]byte, error) {
	data, err := filesys.ReadFile(path, maxConfig)
	if err != nil {
		return nil, fault.InvalidField("root_key_file", "cannot read %s: give the site's root certificate as a PEM file", path)
	}
	chain, err := mtls.DecodeChain(data)
	if err != nil {
		return nil, fault.InvalidField("root_key_file", "%s holds no certificate in PEM form: give the site's root certificate", path)
	}
	return chain[0], nil
}
