// Package config reads the configuration of a site system: one YAML file in
// which every key is documented, unknown keys and bad values are refused with
// file, line, key, value and remedy. It knows no role.
package config

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"mainstay/lib/fault"
	"mainstay/lib/filesys"
	"mainstay/lib/strictyaml"
)

// maxFile bounds the configuration file.
const maxFile = 1 << 20

// Config is the configuration of a site system. Defaults documents each key.
type Config struct {
	Data           string `yaml:"data"`
	Database       string `yaml:"database"`
	Name           string `yaml:"name"`
	Address        string `yaml:"address"`
	ClientListen   string `yaml:"client_listen"`
	AdminListen    string `yaml:"admin_listen"`
	Socket         string `yaml:"socket"`
	SocketGroup    string `yaml:"socket_group"`
	ClientPackages string `yaml:"client_packages"`
	LogLevel       string `yaml:"log_level"`
	LogFormat      string `yaml:"log_format"`

	file string
	keys *strictyaml.File
}

// Default is the configuration in force where the file says nothing.
func Default() Config {
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	return Config{
		Data: "/var/lib/mainstay", Name: host, Address: host,
		ClientListen: ":8443", AdminListen: ":9443",
		Socket: "/run/mainstay/provider.sock", SocketGroup: "mainstay",
		ClientPackages: "/usr/share/mainstay/client-packages",
		LogLevel:       "info", LogFormat: "text",
	}
}

// Load reads and checks a file. Every error names the file, and the line and
// key where there is one.
func Load(path string) (Config, error) {
	data, err := filesys.ReadFile(path, maxFile)
	if errors.Is(err, os.ErrNotExist) {
		return Config{}, fault.New(fault.NotFound, "there is no configuration at %s; write one with 'mainstay config defaults > %s'", path, path)
	}
	if err != nil {
		return Config{}, fault.Wrap(fault.Invalid, err, "cannot read configuration %s; check its owner and mode", path)
	}
	return Parse(path, data)
}

// Parse is Load for content that was read already.
func Parse(path string, data []byte) (Config, error) {
	c := Default()
	c.file = path
	var err error
	if c.keys, err = strictyaml.Decode(data, &c); err != nil {
		return c, fault.New(fault.Invalid, "%s: %s\nknown keys are: %s", path, err, strings.Join(keys(), ", "))
	}
	return c, c.check()
}

func keys() []string {
	return []string{"data", "database", "name", "address", "client_listen", "admin_listen", "socket", "socket_group", "client_packages", "log_level", "log_format"}
}

func (c *Config) check() error {
	if c.Database == "" {
		c.Database = "sqlite:" + filepath.Join(c.Data, "site.db")
	}
	for _, rule := range []struct {
		key, value string
		check      func(string) error
	}{
		{"data", c.Data, absolute}, {"database", c.Database, database}, {"name", c.Name, hostName}, {"address", c.Address, hostName},
		{"client_listen", c.ClientListen, listen}, {"admin_listen", c.AdminListen, listen}, {"socket", c.Socket, socket},
		{"client_packages", c.ClientPackages, optionalAbsolute}, {"log_level", c.LogLevel, level}, {"log_format", c.LogFormat, format},
	} {
		if err := rule.check(rule.value); err != nil {
			return c.bad(rule.key, rule.value, err)
		}
	}
	if c.ClientListen == c.AdminListen {
		return c.bad("admin_listen", c.AdminListen, errors.New("is the same as client_listen; give another port, such as :9443"))
	}
	return nil
}

// bad names file, line, key and value.
func (c *Config) bad(key, value string, err error) error {
	return fault.New(fault.Invalid, "%s:%d: %s: %q %s", c.file, c.keys.Line(key), key, value, err)
}

// IsDefault tells whether the file says nothing but the defaults.
func (c *Config) IsDefault() bool {
	defaults := Default()
	// The defaults are good.
	_ = defaults.check()
	said := *c
	said.file, said.keys = "", nil
	return said == defaults
}

// DatabasePath is the path of the SQLite database.
func (c *Config) DatabasePath() string { return strings.TrimPrefix(c.Database, "sqlite:") }

// KeysDir is the folder of this machine's keys.
func (c *Config) KeysDir() string { return filepath.Join(c.Data, "keys") }

// File is the path that the configuration came from.
func (c *Config) File() string { return c.file }

// Logger makes the logger that the configuration asks for, writing to stderr.
func (c *Config) Logger() *slog.Logger {
	var l slog.Level
	// The level was checked when the configuration was read.
	_ = l.UnmarshalText([]byte(c.LogLevel))
	options := &slog.HandlerOptions{Level: l}
	if c.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(os.Stderr, options))
	}
	return slog.New(slog.NewTextHandler(os.Stderr, options))
}

func absolute(path string) error {
	if !filepath.IsAbs(path) {
		return errors.New("is not an absolute path; begin it with /")
	}
	return nil
}

// maxSocket is how long the path of a socket may be; the kernel takes no more.
const maxSocket = 107

func socket(path string) error {
	if len(path) > maxSocket {
		return fmt.Errorf("has %d characters, and the path of a socket may have %d; give a shorter one", len(path), maxSocket)
	}
	return absolute(path)
}

func optionalAbsolute(path string) error {
	if path == "" {
		return nil
	}
	return absolute(path)
}

func database(value string) error {
	path, ok := strings.CutPrefix(value, "sqlite:")
	if !ok {
		return errors.New("names no database that this version knows; give sqlite:/path/to/site.db")
	}
	return absolute(path)
}

func hostName(name string) error {
	if name == "" || len(name) > 253 || strings.ContainsAny(name, " /\\:\t\n\"'") && net.ParseIP(name) == nil {
		return errors.New("is no host name or address; give one that clients can reach, without a port")
	}
	return nil
}

func listen(address string) error {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return errors.New("is not HOST:PORT; give an address such as :8443 or 127.0.0.1:8443")
	}
	if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
		return errors.New("has no port between 1 and 65535")
	}
	return nil
}

func level(text string) error {
	var l slog.Level
	if l.UnmarshalText([]byte(text)) != nil {
		return errors.New("is no log level; give debug, info, warn or error")
	}
	return nil
}

func format(text string) error {
	if text != "text" && text != "json" {
		return errors.New("is no log format; give text or json")
	}
	return nil
}
