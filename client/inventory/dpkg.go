package inventory

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"mainstay/wire"
)

// collectSoftware reads the package databases. Both fill one class, so that
// either's failure leaves all of it unread.
func collectSoftware(ctx context.Context, r *run) error {
	if err := r.dpkgPackages(ctx); err != nil {
		return fmt.Errorf("cannot read the packages of dpkg: %w", err)
	}
	if err := r.rpmPackages(ctx); err != nil {
		return fmt.Errorf("cannot read the packages of rpm: %w", err)
	}
	return nil
}

const dpkgFolder = "/var/lib/dpkg"

// dpkgPackages reads dpkg's status file. dpkg replaces it as a whole, so that
// what was opened is whole too.
func (r *run) dpkgPackages(ctx context.Context) error {
	file, err := r.machine.open(dpkgFolder + "/status")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer file.Close()
	p := dpkgParser{emit: func(row wire.InstalledSoftware, sameOnAll bool) {
		row.InstallTime = r.machine.dpkgInstallTime(row.Name, row.Architecture, sameOnAll)
		r.add(wire.ClassInstalledSoftware, &row)
	}}
	err = eachLine(file, func(line []byte) bool {
		p.line(line)
		return ctx.Err() == nil
	})
	p.end()
	return errors.Join(err, ctx.Err())
}

// dpkgInstallTime is when the list of the package's files was written, which
// dpkg does whenever it unpacks a version.
func (m machine) dpkgInstallTime(name, architecture string, sameOnAll bool) int64 {
	if strings.ContainsAny(name, "/") || strings.ContainsAny(architecture, "/") {
		return 0
	}
	file := dpkgFolder + "/info/" + name
	if sameOnAll {
		file += ":" + architecture
	}
	info, err := os.Stat(m.path(file + ".list"))
	if err != nil {
		return 0
	}
	return info.ModTime().UnixMicro()
}

// dpkgParser reads paragraphs of "Field: value", with lines that go on behind a
// blank, and an empty line between two packages.
type dpkgParser struct {
	emit func(row wire.InstalledSoftware, sameOnAll bool)

	row       wire.InstalledSoftware
	sameOnAll bool
	state     string
}

func (p *dpkgParser) line(line []byte) {
	if len(bytes.TrimSpace(line)) == 0 {
		p.end()
		return
	}
	// Only first lines matter here.
	if line[0] == ' ' || line[0] == '\t' {
		return
	}
	name, value, ok := bytes.Cut(line, []byte(":"))
	if !ok {
		return
	}
	text := func() string { return clean(string(value), maxText) }
	switch string(name) {
	case "Package":
		p.row.Name = text()
	case "Status":
		want, state := cutLast(text())
		p.row.Held = strings.HasPrefix(want, "hold ")
		p.state = state
	case "Version":
		p.row.Version = text()
	case "Architecture":
		p.row.Architecture = text()
	case "Multi-Arch":
		p.sameOnAll = text() == "same"
	case "Maintainer":
		p.row.Publisher = text()
	case "Source":
		// A version in parentheses may follow the name.
		p.row.SourcePackage, _, _ = strings.Cut(text(), " ")
	case "Description":
		p.row.DisplayName = text()
	case "Installed-Size":
		if kilobytes, err := strconv.ParseUint(text(), 10, 50); err == nil {
			p.row.InstalledSize = kilobytes << 10
		}
	}
}

// cutLast cuts a text before its last word.
func cutLast(text string) (before, last string) {
	if i := strings.LastIndexByte(text, ' '); i >= 0 {
		return text[:i], text[i+1:]
	}
	return "", text
}

// end ends a paragraph. Of a package that was removed dpkg may keep the
// configuration; that is not installed.
func (p *dpkgParser) end() {
	row, sameOnAll, state := p.row, p.sameOnAll, p.state
	p.row, p.sameOnAll, p.state = wire.InstalledSoftware{}, false, ""
	if row.Name == "" || state == "" || state == "not-installed" || state == "config-files" {
		return
	}
	row.Source, row.Status = "dpkg", state
	if row.SourcePackage == row.Name {
		row.SourcePackage = ""
	}
	p.emit(row, sameOnAll)
}
