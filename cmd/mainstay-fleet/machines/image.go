package machines

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"

	"mainstay/client/inventory"
	"mainstay/lib/rowhash"
	"mainstay/wire"
)

// image is what machines are installed from. Its rows stand on all of them.
type image struct {
	release release
	profile profile
	family  *familyNames
	// wanted is how many packages it has.
	wanted int
	// edition tells images of one release and profile apart, which were made
	// at different times.
	edition int

	once     sync.Once
	err      error
	packages []int // places in family.names, growing
	software []inventory.Row
	// shared holds the rows of the other classes that all its machines have.
	shared map[string][]inventory.Row
}

// editions is how many images of one release and profile are in use.
const editions = 3

// prepare makes the rows of the image when the first machine needs them.
func (im *image) prepare() error {
	im.once.Do(func() {
		if im.packages = im.choose(); im.err == nil {
			im.software = make([]inventory.Row, len(im.packages))
			for i, p := range im.packages {
				if im.software[i], im.err = im.packageRow(p, 0, im.builtAt()); im.err != nil {
					return
				}
			}
		}
		im.shared, im.err = im.systemRows()
	})
	return im.err
}

// builtAt is when the image was made, in microseconds.
func (im *image) builtAt() int64 {
	const month = 30 * 24 * 3600
	return (im.release.built - int64(im.edition)*month) * 1_000_000
}

// choose draws the packages: all of the base, and of the others the common
// ones rather than the rare ones.
func (im *image) choose() []int {
	random := rand.New(rand.NewPCG(mix(im.release.caption+im.profile.name), uint64(im.edition)))
	type ranked struct {
		place int
		score float64
	}
	others := make([]ranked, 0, len(im.family.names)-im.family.base)
	for place := im.family.base; place < len(im.family.names); place++ {
		others = append(others, ranked{place, float64(place) * (0.4 + 1.2*random.Float64())})
	}
	slices.SortFunc(others, func(a, b ranked) int { return cmp.Compare(a.score, b.score) })
	packages := make([]int, 0, im.wanted)
	for place := range min(im.family.base, im.wanted) {
		packages = append(packages, place)
	}
	for _, o := range others[:min(len(others), im.wanted-len(packages))] {
		packages = append(packages, o.place)
	}
	slices.Sort(packages)
	return packages
}

// packageRow is a package in the version to which it was updated so many
// times, unpacked at a time in microseconds.
func (im *image) packageRow(place, updates int, unpacked int64) (inventory.Row, error) {
	name := im.family.names[place]
	h := mix(name)
	row := wire.InstalledSoftware{
		Name: name, Version: im.version(h, updates), Source: "dpkg", Architecture: "amd64", Publisher: im.release.publisher,
		DisplayName: describe(name), InstalledSize: (20 + h>>9%9000*(1+h>>23%4)) << 10, InstallTime: unpacked, Status: "installed",
	}
	anywhere := strings.HasPrefix(name, "fonts-") || strings.HasSuffix(name, "-common") || strings.HasSuffix(name, "-data") ||
		strings.HasSuffix(name, "-perl") || strings.HasSuffix(name, "-doc") || strings.HasSuffix(name, "-fonts")
	switch {
	case im.release.rpm:
		row.Source, row.Architecture = "rpm", "x86_64"
		if anywhere {
			row.Architecture = "noarch"
		}
	case anywhere:
		row.Architecture = "all"
	}
	if source, ok := strings.CutSuffix(name, "-common"); ok {
		row.SourcePackage = source
	} else if source, ok := strings.CutSuffix(name, "-dev"); ok {
		row.SourcePackage = strings.TrimPrefix(source, "lib")
	}
	return rowOf(wire.ClassInstalledSoftware, row)
}

// version writes a version as the family does.
func (im *image) version(h uint64, updates int) string {
	upstream := fmt.Sprintf("%d.%d.%d", 1+h%9, h>>4%30, h>>9%20)
	revision := 1 + h>>14%9
	epoch := ""
	if h>>18%20 == 0 {
		epoch = "1:"
	}
	switch r := im.release; {
	case r.rpm && strings.HasPrefix(r.suffix, "fc"):
		return fmt.Sprintf("%s%s-%d.%s", epoch, upstream, revision+uint64(updates), r.suffix)
	case r.rpm && updates == 0:
		base, _, _ := strings.Cut(r.suffix, "_")
		return fmt.Sprintf("%s%s-%d.%s", epoch, upstream, revision, base)
	case r.rpm:
		return fmt.Sprintf("%s%s-%d.%s.%d", epoch, upstream, revision, r.suffix, updates)
	case updates == 0 && r.id == "ubuntu":
		return fmt.Sprintf("%s%s-%dubuntu1", epoch, upstream, revision)
	case updates == 0:
		return fmt.Sprintf("%s%s-%d", epoch, upstream, revision)
	}
	return fmt.Sprintf("%s%s-%d%s%d", epoch, upstream, revision, im.release.suffix, updates)
}

func describe(name string) string {
	what := strings.ReplaceAll(name, "-", " ")
	switch {
	case strings.HasSuffix(name, "-dev"), strings.HasSuffix(name, "-devel"):
		return "development files for " + what
	case strings.HasPrefix(name, "python3-"):
		return strings.TrimPrefix(what, "python3 ") + " for Python 3"
	case strings.HasPrefix(name, "lib"), strings.HasSuffix(name, "-libs"):
		return "shared library of " + what
	case strings.Contains(name, "fonts"):
		return what + " in several weights"
	}
	return what + " and what belongs to it"
}

// rowOf makes a row of a class.
func rowOf(class string, value any) (inventory.Row, error) {
	text, err := rowhash.Marshal(nil, value)
	if err != nil {
		return inventory.Row{}, fmt.Errorf("cannot make a row of %s: %w", class, err)
	}
	return inventory.Row{Hash: rowhash.Row(class, text), JSON: text}, nil
}

// mix makes a number of a name, the same on every machine and in every run
// (FNV-1a, finished so that all bits are worth something).
func mix(name string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(name) {
		h = (h ^ uint64(name[i])) * 1099511628211
	}
	h = (h ^ h>>33) * 0xff51afd7ed558ccd
	return h ^ h>>29
}
