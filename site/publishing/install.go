package publishing

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"strings"

	"mainstay/lib/fault"
	"mainstay/site"
	"mainstay/site/sitedb"
	"mainstay/wire"
)

//go:embed install.sh
var installTemplate string

// InstallScript is the script that a new machine fetches from a management
// point. It holds the fingerprint of every package, so that whoever knows the
// script's own fingerprint can trust what it installs. It is the same for all
// management points and tokens.
func InstallScript(ctx context.Context, db sitedb.Reader) (string, error) {
	s, err := site.Load(ctx, db)
	if err != nil {
		return "", err
	}
	var packages []wire.ClientPackage
	err = db.Read(ctx, func(tx *sitedb.Tx) (err error) {
		packages, err = Packages(ctx, tx)
		return err
	})
	if err != nil {
		return "", err
	}
	var cases strings.Builder
	for _, pkg := range packages {
		fmt.Fprintf(&cases, "%s/%s) file='%s' sum='%s' ;;\n", pkg.Format, pkg.Arch, pkg.File, pkg.SHA256)
	}
	return strings.NewReplacer("@SITE@", s.Code, "@PACKAGES@", cases.String(), "@DOOR@", wire.DoorInstall).Replace(installTemplate), nil
}

// InstallLine is one line for a shell on another machine: it fetches the
// script from a management point, compares it with the fingerprint in the
// line, and installs and registers the client with the token.
func InstallLine(ctx context.Context, db sitedb.Reader, token string) (string, error) {
	script, err := InstallScript(ctx, db)
	if err != nil {
		return "", err
	}
	var points []string
	var packages []wire.ClientPackage
	err = db.Read(ctx, func(tx *sitedb.Tx) (err error) {
		if points, err = site.ManagementPoints(ctx, tx); err != nil {
			return err
		}
		packages, err = Packages(ctx, tx)
		return err
	})
	switch {
	case err != nil:
		return "", err
	case len(points) == 0:
		return "", fault.New(fault.Unavailable, "the site has no management point yet; try again in a moment")
	case len(packages) == 0:
		return "", fault.New(fault.Conflict, "the site has no client packages; run 'make package' and name their folder in client_packages of the configuration")
	}
	sum := sha256.Sum256([]byte(script))
	return strings.NewReplacer(
		"@URL@", "https://"+points[0]+wire.DoorInstall, "@SUM@", hex.EncodeToString(sum[:]), "@TOKEN@", token, "@POINTS@", strings.Join(points, ","),
	).Replace(strings.Join(installLine, " ")), nil
}

// installLine is the line in parts. What it fetches is of no value until the
// fingerprint is right, so nobody's certificate is checked.
var installLine = []string{
	`f=$(mktemp) &&`,
	`{ wget -qO "$f" --no-check-certificate '@URL@' || curl -gfsSko "$f" '@URL@' ||`,
	`{ echo "mainstay: cannot fetch @URL@; check that this machine reaches it and has wget or curl" >&2; false; }; } &&`,
	`{ echo "@SUM@  $f" | sha256sum -c --status ||`,
	`{ echo "mainstay: @URL@ is not what this line was made for, and was not run; make a new line with 'mainstay token create --install'" >&2; false; }; } &&`,
	`MAINSTAY_TOKEN='@TOKEN@' sh "$f" '@POINTS@'; s=$?; rm -f "$f"; (exit $s)`,
}
