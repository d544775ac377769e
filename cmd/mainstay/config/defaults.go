package config

import _ "embed"

//go:embed defaults.yaml
var defaults string

// Defaults is a configuration file with every key documented.
func Defaults() string { return defaults }
