package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/goreleaser/nfpm/v2"
	_ "github.com/goreleaser/nfpm/v2/deb" // makes the format "deb" known
	_ "github.com/goreleaser/nfpm/v2/rpm" // makes the format "rpm" known
)

// hostArch is the architecture of this machine, as Go names it.
const hostArch = runtime.GOARCH

// archNames is what each format calls an architecture.
var archNames = map[string]map[string]string{
	"deb": {"amd64": "amd64", "arm64": "arm64"},
	"rpm": {"amd64": "x86_64", "arm64": "aarch64"},
}

// build makes the packages and returns where they are. The packages of the
// client for all architectures and in all formats are part of the server's, so
// they are made whenever a server's is.
func build(ctx context.Context, opts options) ([]string, error) {
	version, err := packageVersion(opts.version)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(opts.out, 0o755); err != nil {
		return nil, fmt.Errorf("cannot make the folder of the packages: %w", err)
	}
	scratch, err := os.MkdirTemp("", "mainstay-packages-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(scratch)

	withServer := slices.Contains(opts.what, "server")
	var clients, paths []string
	if withServer || slices.Contains(opts.what, "client") {
		wide := opts
		if withServer {
			wide.arches, wide.formats = []string{"amd64", "arm64"}, []string{"deb", "rpm"}
		}
		if clients, err = buildProduct(ctx, wide, products["client"], version, scratch, nil); err != nil {
			return nil, err
		}
		paths = append(paths, clients...)
	}
	if withServer {
		servers, err := buildProduct(ctx, opts, products["server"], version, scratch, clients)
		if err != nil {
			return paths, err
		}
		paths = append(paths, servers...)
	}
	return paths, nil
}

// buildProduct makes the packages of one product, one for each architecture
// and format.
func buildProduct(ctx context.Context, opts options, p product, version, scratch string, clients []string) ([]string, error) {
	for _, arch := range append([]string{opts.hostArch}, opts.arches...) {
		if _, err := os.Stat(opts.binary(arch, p.name)); err != nil {
			return nil, fmt.Errorf("the program %s for %s is not there, 'make package' builds it: %w", p.name, arch, err)
		}
	}
	folder := filepath.Join(scratch, p.name)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, err
	}
	made, err := generate(ctx, opts, p, folder)
	if err != nil {
		return nil, err
	}

	var paths []string
	for _, arch := range opts.arches {
		for _, format := range opts.formats {
			if err := ctx.Err(); err != nil {
				return paths, err
			}
			path, err := write(opts, p, version, arch, format, made, clients)
			if err != nil {
				return paths, fmt.Errorf("cannot build %s for %s as %s: %w", p.name, arch, format, err)
			}
			paths = append(paths, path)
		}
	}
	return paths, nil
}

// describe is one package as the library wants it described.
func describe(opts options, p product, version, arch string, made generated, clients []string) *nfpm.Info {
	script := func(moment string) string {
		return filepath.Join(opts.source, "packaging", "scripts", p.name+"."+moment+".sh")
	}
	info := &nfpm.Info{
		Name:            p.name,
		Arch:            arch,
		Platform:        "linux",
		Version:         version,
		VersionSchema:   "none", // packageVersion has already written it for both formats
		Section:         "admin",
		Priority:        "optional",
		Maintainer:      "The Mainstay authors <packages@mainstay.invalid>",
		Vendor:          "The Mainstay authors",
		Description:     p.description,
		License:         "Apache-2.0",
		DisableGlobbing: true,
		MTime:           time.Unix(opts.mtime, 0).UTC(),
	}
	info.Contents = contents(opts, p, arch, made, clients)
	info.Scripts = nfpm.Scripts{PostInstall: script("postinstall"), PreRemove: script("preremove"), PostRemove: script("postremove")}
	info.RPM.Summary = p.summary
	info.RPM.Group = "System Environment/Daemons"
	info.RPM.BuildHost = "localhost" // the name of the machine that builds is no fact of the package
	// Both are read by every release of both families that is still looked after.
	info.RPM.Compression, info.Deb.Compression = opts.compression, opts.compression
	if p.hasPreInstall {
		info.Scripts.PreInstall = script("preinstall")
	}
	return info
}

// adapt sets what differs between the formats. Of other packages ours need only
// those that their scripts call, because programs of ours are static.
func adapt(info *nfpm.Info, p product, format string) {
	if format == "deb" {
		// Debian takes the first line for the summary; RPM has a field for it.
		info.Description = p.summary + "\n" + p.description
	}
	switch {
	case p.ownUser && format == "deb":
		// Before unpacking, or its files would belong to nobody.
		info.Deb.Predepends = []string{"passwd"}
	case p.ownUser && format == "rpm":
		// Paths, because distributions name the package differently.
		info.Depends = []string{"/usr/sbin/useradd", "/usr/sbin/groupadd"}
	}
}

// write makes one package. It appears under its name only when it is whole,
// and takes the place of earlier versions of itself.
func write(opts options, p product, version, arch, format string, made generated, clients []string) (string, error) {
	packager, err := nfpm.Get(format)
	if err != nil {
		return "", err
	}
	info := describe(opts, p, version, arch, made, clients)
	adapt(info, p, format)
	nfpm.WithDefaults(info)

	suffix := "_" + archNames[format][arch] + "." + format
	name := p.name + "_" + version + suffix
	temporary, err := os.CreateTemp(opts.out, ".package-*")
	if err != nil {
		return "", err
	}
	defer os.Remove(temporary.Name())
	err = packager.Package(info, temporary)
	if err = errors.Join(err, temporary.Chmod(0o644), temporary.Close()); err != nil {
		return "", err
	}
	if err := removeOther(opts.out, p.name+"_", suffix); err != nil {
		return "", err
	}
	path := filepath.Join(opts.out, name)
	return path, os.Rename(temporary.Name(), path)
}

// removeOther removes packages whose name begins and ends so: a folder that is
// offered to machines must not hold two versions.
func removeOther(folder, prefix, suffix string) error {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), prefix) && strings.HasSuffix(entry.Name(), suffix) {
			if err := os.Remove(filepath.Join(folder, entry.Name())); err != nil {
				return fmt.Errorf("cannot remove an earlier package: %w", err)
			}
		}
	}
	return nil
}
