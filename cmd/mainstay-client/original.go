package main

import (
	"strings"

	"mainstay/lib/fault"
)

// translate turns the original's spelling of an installation
// (/mp:HOST SMSSITECODE=LAB FSP=HOST SMSROOTKEYPATH=FILE /regtoken:T) into
// flags of the install command. Everything else stays as it is.
func translate(args []string) ([]string, error) {
	install := -1
	for i, arg := range args {
		if arg == "install" {
			install = i
			break
		}
	}
	if install < 0 {
		return args, nil
	}
	out := append([]string(nil), args[:install+1]...)
	isValue := false
	for _, arg := range args[install+1:] {
		flags, err := translateOne(arg)
		switch {
		case isValue || flags == nil && err == nil:
			out = append(out, arg)
		case err != nil:
			return nil, err
		default:
			out = append(out, flags...)
		}
		// The argument after a flag without '=' is its value, never ours.
		isValue = !isValue && strings.HasPrefix(arg, "--") && !strings.Contains(arg, "=") && !switches[arg]
	}
	return out, nil
}

// switches are the flags of install that have no value.
var switches = map[string]bool{"--no-service": true, "--no-wait": true, "--help": true, "--": true}

// translateOne gives the flags for an argument in the original's spelling, and
// nothing for one in ours.
func translateOne(arg string) ([]string, error) {
	name, value, property := strings.Cut(arg, "=")
	if strings.HasPrefix(arg, "/") {
		name, value, _ = strings.Cut(arg[1:], ":")
		if name == "" || strings.Trim(strings.ToLower(name), "abcdefghijklmnopqrstuvwxyz") != "" {
			return nil, nil // a path
		}
		name = "/" + strings.ToLower(name)
	} else if !property || name == "" || strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") != "" {
		return nil, nil
	}
	value = strings.Trim(value, `"'`)
	switch name {
	case "/mp", "SMSMP":
		var flags []string
		for _, host := range strings.Split(value, ";") {
			host = strings.TrimPrefix(strings.TrimPrefix(host, "https://"), "http://")
			flags = append(flags, "--mp", strings.TrimSuffix(host, "/"))
		}
		return flags, nil
	case "SMSSITECODE":
		if strings.EqualFold(value, "AUTO") {
			return nil, fault.InvalidField("SMSSITECODE", "a site is not found by itself: write SMSSITECODE=XXX, or give a token, which names its site")
		}
		return []string{"--site", strings.ToUpper(value)}, nil
	case "FSP":
		return []string{"--fsp", value}, nil
	case "SMSROOTKEYPATH":
		return []string{"--root-key", value}, nil
	case "/regtoken":
		return []string{"--token", value}, nil
	case "/config":
		return []string{"--config", value}, nil
	}
	return nil, fault.InvalidField(name, "is not understood; of the original's arguments these are: "+
		"/mp:HOST[;HOST] /regtoken:TOKEN /config:FILE SMSSITECODE=XXX SMSMP=HOST FSP=HOST SMSROOTKEYPATH=FILE")
}
