package main

import (
	"fmt"
	"regexp"
)

var (
	// releaseVersion is MAJOR.MINOR.PATCH, a pre-release after "-", the
	// distance from that release as git tells it, and whether files differed.
	releaseVersion = regexp.MustCompile(`^([0-9]+\.[0-9]+\.[0-9]+)(?:-((?:alpha|beta|rc)[.0-9]*))?(?:-([0-9]+)-g([0-9a-z]+))?(-dirty)?$`)
)

// packageVersion writes the version of the programs as Debian and RPM order
// versions: "~" is before the release and "+" after it. Neither has "-", which
// both use to separate the packaging's own number.
func packageVersion(version string) (string, error) {
	parts := releaseVersion.FindStringSubmatch(version)
	if parts == nil {
		return "", fmt.Errorf("version %q cannot be a package's version: it must be like 1.2.3, 1.2.3-rc1 or 1.2.3-4-g0123abc, each with or without -dirty", version)
	}
	release, pre, commits, hash, dirty := parts[1], parts[2], parts[3], parts[4], parts[5]
	if pre != "" {
		release += "~" + pre
	}
	if commits != "" {
		release += "+" + commits + ".g" + hash
	}
	if dirty != "" {
		if commits == "" {
			release += "+0"
		}
		release += ".dirty"
	}
	return release, nil
}
