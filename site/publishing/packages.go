package publishing

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"mainstay/lib/fault"
	"mainstay/lib/filesys"
	"mainstay/lib/sqldb"
	"mainstay/site/sitedb"
	"mainstay/wire"
)

// maxPackage bounds one client package.
const maxPackage = 64 << 20

type packageRow struct {
	File          string `db:"file"`
	Arch          string `db:"arch"`
	Format        string `db:"format"`
	ClientVersion string `db:"client_version"`
	SHA256        string `db:"sha256"`
	Size          int64  `db:"size"`
	Data          []byte `db:"data"`
	ImportedAt    int64  `db:"imported_at"`
}

var (
	putPackage = sqldb.Define[packageRow, sqldb.None]("publishing.putPackage",
		`INSERT INTO client_package (file, arch, format, client_version, sha256, size, data, imported_at)
		 VALUES (@file, @arch, @format, @client_version, @sha256, @size, @data, @imported_at)
		 ON CONFLICT (file) DO UPDATE SET arch = excluded.arch, format = excluded.format, client_version = excluded.client_version,
		   sha256 = excluded.sha256, size = excluded.size, data = excluded.data, imported_at = excluded.imported_at`)
	dropOthers = sqldb.Define[packageRow, sqldb.None]("publishing.dropOthers",
		`DELETE FROM client_package WHERE arch = @arch AND format = @format AND file <> @file`)
	listPackages = sqldb.Define[sqldb.None, packageRow]("publishing.listPackages",
		`SELECT file, arch, format, client_version, sha256, size FROM client_package ORDER BY file`)
	readPackage = sqldb.Define[struct {
		File string `db:"file"`
	}, struct {
		Data []byte `db:"data"`
	}]("publishing.readPackage", `SELECT data FROM client_package WHERE file = @file`)
)

// packageName is how packages of the client are called, in Debian's and in
// rpm's manner: name, version, architecture, format.
var packageName = regexp.MustCompile(`^mainstay-client[_-]([0-9][A-Za-z0-9.+~_-]*)[_.](amd64|arm64|x86_64|aarch64)\.(deb|rpm)$`)

var goArch = map[string]string{"amd64": "amd64", "x86_64": "amd64", "arm64": "arm64", "aarch64": "arm64"}

// Packages lists the client's packages.
func Packages(ctx context.Context, tx *sitedb.Tx) ([]wire.ClientPackage, error) {
	rows, err := listPackages.All(ctx, tx, sqldb.None{})
	if err != nil {
		return nil, err
	}
	packages := []wire.ClientPackage{}
	for _, row := range rows {
		packages = append(packages, wire.ClientPackage{
			File: row.File, Arch: row.Arch, Format: row.Format, ClientVersion: row.ClientVersion, Size: row.Size, SHA256: row.SHA256,
		})
	}
	return packages, nil
}

// Package is the content of a client package.
func Package(ctx context.Context, db sitedb.Reader, file string) ([]byte, error) {
	var data []byte
	err := db.Read(ctx, func(tx *sitedb.Tx) error {
		row, ok, err := readPackage.One(ctx, tx, struct {
			File string `db:"file"`
		}{file})
		if err == nil && !ok {
			return fault.New(fault.NotFound, "the site has no client package of this name")
		}
		data = row.Data
		return err
	})
	return data, err
}

// importPackages takes new packages of the folder into the database, so that
// every site server has them.
func (p *Publisher) importPackages(ctx context.Context) error {
	if p.c.Packages == "" {
		return nil
	}
	entries, err := os.ReadDir(p.c.Packages)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("cannot read the folder of client packages: %w", err)
	}
	known, err := p.known(ctx)
	if err != nil {
		return err
	}
	for _, row := range newest(entries) {
		if err := p.importPackage(ctx, row, known[row.File]); err != nil {
			return err
		}
	}
	return nil
}

// newest picks, for each architecture and format, the package that was laid
// into the folder last.
func newest(entries []os.DirEntry) map[string]packageRow {
	picked, when := map[string]packageRow{}, map[string]time.Time{}
	for _, entry := range entries {
		match := packageName.FindStringSubmatch(entry.Name())
		info, err := entry.Info()
		if match == nil || err != nil || !info.Mode().IsRegular() {
			continue
		}
		row := packageRow{File: entry.Name(), ClientVersion: match[1], Arch: goArch[match[2]], Format: match[3]}
		key := row.Format + "/" + row.Arch
		if _, ok := picked[key]; !ok || info.ModTime().After(when[key]) {
			picked[key], when[key] = row, info.ModTime()
		}
	}
	return picked
}

func (p *Publisher) known(ctx context.Context) (map[string]string, error) {
	known := map[string]string{}
	err := p.c.DB.Read(ctx, func(tx *sitedb.Tx) error {
		packages, err := Packages(ctx, tx)
		for _, pkg := range packages {
			known[pkg.File] = pkg.SHA256
		}
		return err
	})
	return known, err
}

func (p *Publisher) importPackage(ctx context.Context, row packageRow, known string) error {
	data, err := filesys.ReadFile(filepath.Join(p.c.Packages, row.File), maxPackage)
	if err != nil {
		return fmt.Errorf("cannot read client package: %w", err)
	}
	sum := sha256.Sum256(data)
	row.SHA256, row.Size, row.Data = hex.EncodeToString(sum[:]), int64(len(data)), data
	if row.SHA256 == known {
		return nil
	}
	row.ImportedAt = sitedb.Micros(p.c.Now())
	return p.c.DB.Write(ctx, func(tx *sitedb.Tx) error {
		if _, err := dropOthers.Exec(ctx, tx, row); err != nil {
			return err
		}
		_, err := putPackage.Exec(ctx, tx, row)
		return err
	})
}
