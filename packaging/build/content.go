package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/goreleaser/nfpm/v2/files"
)

// product is one of the things that are packed. Everything else about it
// follows from its name.
type product struct {
	name        string // of package, program and unit
	summary     string
	description string
	// ownUser is set where the service runs as a user of its own, which has
	// the name of the product.
	ownUser bool
	// hasConfig is set where the service reads /etc/NAME/NAME.yaml.
	hasConfig bool
	// hasPreInstall is set where something must happen before unpacking.
	hasPreInstall bool
	// carriesClients is set where the package has those of the client in it.
	carriesClients bool
	// examples are files of packaging/examples.
	examples []string
}

var products = map[string]product{
	"client": {
		name:    "mainstay-client",
		summary: "Lets a Mainstay site manage this machine",
		description: "The client registers this machine with a site, reports its inventory and\n" +
			"state, and carries out the site's signed policy, with or without a server in\n" +
			"reach. After installing the package, 'mainstay-client install' joins a site.",
	},
	"server": {
		name:    "mainstay",
		summary: "Site system server and administrator's command of Mainstay",
		description: "One program is every role of a site (site server, management point, provider)\n" +
			"and the command that administers it. After installing the package,\n" +
			"'mainstay site init' makes a site. The packages of the client for all\n" +
			"machines are in it, because clients fetch them from their management point.",
		ownUser:        true,
		hasConfig:      true,
		hasPreInstall:  true,
		carriesClients: true,
		examples:       []string{"privileged-ports.conf"},
	},
}

// binary is where a program of one architecture lies.
func (opts options) binary(arch, name string) string {
	if arch == opts.hostArch {
		return filepath.Join(opts.binaries, name)
	}
	return filepath.Join(opts.binaries, "linux-"+arch, name)
}

// generated is what a program says about itself: the same for every
// architecture, so it is asked once, from the program that can run here.
type generated struct {
	folder string // where the files are
	config bool   // whether there is a default configuration
}

// generate asks a program for its completions and its default configuration,
// and writes them below folder.
func generate(ctx context.Context, opts options, p product, folder string) (generated, error) {
	made := generated{folder: folder}
	program := opts.binary(opts.hostArch, p.name)
	for _, shell := range []string{"bash", "zsh", "fish"} {
		text, err := ask(ctx, program, "completion", shell)
		if err != nil {
			return made, err
		}
		if err := os.WriteFile(filepath.Join(folder, shell), text, 0o600); err != nil {
			return made, err
		}
	}
	if p.hasConfig {
		text, err := ask(ctx, program, "config", "defaults")
		if err != nil {
			return made, err
		}
		if err := os.WriteFile(filepath.Join(folder, "config"), text, 0o600); err != nil {
			return made, err
		}
		made.config = true
	}
	return made, nil
}

// ask runs a program of ours and returns what it prints.
func ask(ctx context.Context, program string, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	path, err := filepath.Abs(program)
	if err != nil {
		return nil, err
	}
	command := exec.CommandContext(ctx, path, args...)
	// Nothing of who builds may get into a package.
	command.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent", "LC_ALL=C.UTF-8", "TZ=UTC"}
	var stderr bytes.Buffer
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("cannot run '%s %s': %w\n%s", program, strings.Join(args, " "), err, stderr.String())
	}
	if len(bytes.TrimSpace(out)) == 0 {
		return nil, fmt.Errorf("'%s %s' prints nothing", program, strings.Join(args, " "))
	}
	return out, nil
}

// contents lists what a package holds, each with owner and mode. The files of
// clients are paths of finished packages.
func contents(opts options, p product, arch string, made generated, clients []string) files.Contents {
	owned := func(source, destination, kind, group string, mode os.FileMode) *files.Content {
		return &files.Content{
			Source: source, Destination: destination, Type: kind,
			FileInfo: &files.ContentFileInfo{Owner: "root", Group: group, Mode: mode},
		}
	}
	file := func(source, destination string, mode os.FileMode) *files.Content {
		return owned(source, destination, files.TypeFile, "root", mode)
	}
	only := func(format string, content *files.Content) *files.Content {
		content.Packager = format
		return content
	}
	packaging := filepath.Join(opts.source, "packaging")
	licence := filepath.Join(opts.source, "LICENSE")
	completion := func(shell string) string { return filepath.Join(made.folder, shell) }

	all := files.Contents{
		file(opts.binary(arch, p.name), "/usr/bin/"+p.name, 0o755),
		file(filepath.Join(packaging, "units", p.name+".service"), "/usr/lib/systemd/system/"+p.name+".service", 0o644),
		file(completion("bash"), "/usr/share/bash-completion/completions/"+p.name, 0o644),
		file(completion("fish"), "/usr/share/fish/vendor_completions.d/"+p.name+".fish", 0o644),
		only("deb", file(completion("zsh"), "/usr/share/zsh/vendor-completions/_"+p.name, 0o644)),
		only("rpm", file(completion("zsh"), "/usr/share/zsh/site-functions/_"+p.name, 0o644)),
		only("deb", file(licence, "/usr/share/doc/"+p.name+"/copyright", 0o644)),
		only("rpm", owned(licence, "/usr/share/licenses/"+p.name+"/LICENSE", files.TypeRPMLicense, "root", 0o644)),
	}
	for _, name := range p.examples {
		all = append(all, file(filepath.Join(packaging, "examples", name), "/usr/share/doc/"+p.name+"/examples/"+name, 0o644))
	}

	state := owned("", "/var/lib/"+p.name, files.TypeDir, "root", 0o700)
	if p.ownUser {
		state.FileInfo.Owner, state.FileInfo.Group = p.name, p.name
	}
	all = append(all, state)
	if p.hasConfig {
		all = append(all, owned("", "/etc/"+p.name, files.TypeDir, p.name, 0o750))
	}
	if made.config {
		all = append(all, owned(filepath.Join(made.folder, "config"), "/etc/"+p.name+"/"+p.name+".yaml", files.TypeConfigNoReplace, p.name, 0o640))
	}
	for _, client := range clients {
		all = append(all, file(client, "/usr/share/"+p.name+"/client-packages/"+filepath.Base(client), 0o644))
	}
	return all
}
