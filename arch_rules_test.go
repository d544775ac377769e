package mainstay_test

import (
	"fmt"
	"go/ast"
	"path"
	"regexp"
	"slices"
	"strings"
)

// folderRule says what the packages of one top-level folder may import of this
// module. The order is that in which data travels.
type folderRule struct {
	folder string
	may    []string // folders, each with all below it
	why    string
}

var folderRules = []folderRule{
	{"cmd", []string{"role", "client", "adminapi", "console", "lib", "site/sitedb"},
		"a program joins roles or a client together and decides nothing itself; it opens the site database once for all roles (site/sitedb). Move the decision into a slice and let a role offer it"},
	{"client", []string{"client", "wire", "lib"},
		"a managed machine has no database and no role; it knows a site by what wire says. Move what both sides need into wire (shape) or lib (machinery)"},
	{"wire", nil,
		"wire is the language between machines and holds no logic; what it imports, every client and server of every version would carry"},
	{"role", []string{"site", "wire", "lib"},
		"roles meet over the network or in the database, so that all in one process and one per machine are the same code"},
	{"site", []string{"site", "wire", "lib"},
		"a site decides and remembers; who asks (a role, a command) is none of its business"},
	{"lib", []string{"lib"},
		"lib is machinery that would make sense in another product, so it knows nothing of this one"},
	{"adminapi", nil,
		"adminapi is generated from role/provider/apiv1/openapi.json, and others may use it without our server"},
	{"console", nil,
		"the console is embedded files; it talks to the site through the admin API alone"},
	{"test", []string{"."},
		"tests of the whole may use everything"},
}

// importExceptions are single imports that the table forbids and that stand all
// the same, each with its reason.
var importExceptions = map[string]map[string]string{
	"cmd/mainstay":          {"site/backup": "a backup is written to and read from files of the administrator where no site may run, so there is no role that could do it"},
	"cmd/mainstay-client":   {"wire": "the program shows what the package client hands out, in the types of wire, and must not invent its own"},
	"lib/signed":            {"wire": "client and site must check a statement with the same code, and wire, which describes statements, holds no logic"},
	"lib/registrationtoken": {"wire": "client and site must read a token with the same code, and wire, which describes tokens, holds no logic"},
}

// fleetFolder is the program of simulated clients.
const fleetFolder = "cmd/mainstay-fleet"

// siteTiers are the slices of site/ by tier. A slice imports earlier tiers
// only; "." is the root package of the folder.
var siteTiers = [][]string{
	{"sitedb"},
	{"."},
	{"status", "access", "inbox", "maintenance", "failover"},
	{"alert", "trust"},
	{"device", "boundary"},
	{"content", "statemessage", "collection"},
	{"policy"},
	{"deployment", "fastchannel"},
	{"application", "softwareupdate", "compliance", "inventory", "statemigration", "script", "livequery"},
	{"reporting", "replication", "backup", "publishing", "servicing"},
}

// outsideFolders are the packages whose machines have no site database. They
// must not reach site, whatever lies between.
var outsideFolders = []string{
	"client", "cmd/mainstay-client", fleetFolder,
	"role/distributionpoint", "role/softwareupdatepoint", "role/statemigrationpoint", "role/fallbackstatuspoint",
}

// testModules are third-party modules that no program may carry.
var testModules = []string{
	"testing", "net/http/httptest",
	"pgregory.net/rapid", "go.uber.org/goleak", "github.com/rogpeppe/go-internal",
	"github.com/google/go-cmp", "github.com/anishathalye/porcupine", "github.com/johannesboyne/gofakes3",
}

// undone are the words by which such notes are known, with the sign that
// follows them.
var undone = regexp.MustCompile(`\b(TODO|FIXME|XXX|HACK)\b[:( ]`)

// maxLines is the length above which a file is split.
const maxLines = 600

// longFiles are the files that may be longer than maxLines, each with the
// reason why it stays in one piece.
var longFiles = map[string]string{}

// importBreaches checks every import line against the table.
func importBreaches(tree *sourceTree) []breach {
	var found []breach
	for _, pkg := range tree.sorted() {
		for _, file := range pkg.files {
			for _, imported := range tree.imports(file) {
				if what, why := judgeImport(pkg.folder, file.isTest, imported.path); what != "" {
					found = append(found, breach{fmt.Sprintf("%s:%d", file.name, imported.line), what, why})
				}
			}
		}
	}
	return found
}

// judgeImport says what is wrong with one import and why, or nothing.
func judgeImport(folder string, isTest bool, imported string) (what, why string) {
	target := ownFolder(imported)
	if target == "" {
		return judgeForeign(folder, isTest, imported)
	}
	what = "imports " + imported

	if within(target, "test") && !within(folder, "test") {
		return what, "test/ is built on everything else; code that needs something of it is itself a test of the whole and belongs there"
	}
	if !isTest && !forTests(folder) && forTests(target) {
		return what, "production code never imports a test package: suites and doubles would become part of the program"
	}
	if within(target, "adminapi") && !within(folder, "adminapi") && !within(folder, "cmd") && !within(folder, "test") {
		return what, "adminapi is the door for programs outside the site; only commands and tests of the whole use it. Inside, call the slice"
	}
	if folder == "." || within(folder, "test") {
		return "", ""
	}

	top, _, _ := strings.Cut(folder, "/")
	index := slices.IndexFunc(folderRules, func(r folderRule) bool { return r.folder == top })
	if index < 0 {
		return "the folder " + top + "/ is not on the map", "the top-level folders are the architecture; a new one is a decision: add it to folderRules in arch_rules_test.go with its reason"
	}
	rule := folderRules[index]

	switch {
	case within(folder, fleetFolder):
		if !within(target, fleetFolder) && !within(target, "client") && !within(target, "wire") && !within(target, "lib") {
			return what, "simulated clients are the real client many times over: cmd/mainstay-fleet uses client, wire and lib and nothing else"
		}
		return "", ""
	case top == "cmd" && isTest:
		return "", ""
	case (top == "cmd" || top == "role") && secondFolder(folder) == secondFolder(target):
		return "", "" // the parts of one program or role
	case top == "role" && within(target, "role"):
		return what, rule.why
	case top == "site" && within(target, "site"):
		return judgeTiers(folder, target)
	case top != "cmd" && within(target, top):
		return "", ""
	}
	if importExceptions[folder][target] != "" {
		return "", ""
	}
	for _, allowed := range rule.may {
		if within(target, allowed) {
			return "", ""
		}
	}
	return what, rule.why
}

// judgeForeign judges an import from outside this module.
func judgeForeign(folder string, isTest bool, imported string) (what, why string) {
	what = "imports " + imported
	if isTest || forTests(folder) {
		return "", ""
	}
	for _, tool := range testModules {
		if within(imported, tool) {
			return what, "production code never imports a test package: it would become part of the program"
		}
	}
	if within(folder, "wire") && !standard(imported) {
		return what, "wire imports the standard library only: what it imports, every client and server of every version would carry"
	}
	if within(folder, fleetFolder) {
		for _, encoding := range []string{"encoding", "compress", "crypto", "github.com/klauspost/compress", "filippo.io/age", "golang.org/x/crypto"} {
			if within(imported, encoding) {
				return what, "cmd/mainstay-fleet may have no encoding, compression or signing of its own: what it measures must be what real clients do. Use client, wire and lib"
			}
		}
	}
	if imported == "golang.org/x/sync/errgroup" && !within(folder, "lib/lifecycle") {
		return what, "every goroutine has an owner and a name: start it with lib/lifecycle, which turns panics into errors and records who stopped whom"
	}
	return "", ""
}

// judgeTiers judges an import of one slice by another.
func judgeTiers(folder, target string) (what, why string) {
	from, to := siteSlice(folder), siteSlice(target)
	if from == to {
		return "", ""
	}
	fromTier, toTier := siteTier(from), siteTier(to)
	for slice, tier := range map[string]int{from: fromTier, to: toTier} {
		if tier == 0 {
			return "the slice site/" + slice + " has no tier", "slices import earlier tiers only, so each needs a place: add it to siteTiers in arch_rules_test.go and to the map in ARCHITECTURE.md"
		}
	}
	if toTier < fromTier {
		return "", ""
	}
	return fmt.Sprintf("imports %s (tier %d) from tier %d", path.Join(module, target), toTier, fromTier),
		"a slice imports earlier tiers only, or features grow into each other. Declare a small interface where it is needed and let the later slice implement it, or let the later one call the earlier"
}

// siteSlice is the slice that a folder of site/ belongs to.
func siteSlice(folder string) string {
	rest, below := strings.CutPrefix(folder, "site/")
	if !below {
		return "."
	}
	slice, _, _ := strings.Cut(rest, "/")
	return slice
}

// siteTier is the tier of a slice, counted from 1, or 0 when it has none.
func siteTier(slice string) int {
	return 1 + slices.IndexFunc(siteTiers, func(tier []string) bool { return slices.Contains(tier, slice) })
}

// secondFolder is the first two elements of a folder: one program, one role.
func secondFolder(folder string) string {
	parts := strings.SplitN(folder, "/", 3)
	return strings.Join(parts[:min(2, len(parts))], "/")
}

// reachBreaches follows imports as far as they go.
func reachBreaches(tree *sourceTree) []breach {
	var found []breach
	for _, pkg := range tree.sorted() {
		outside := slices.ContainsFunc(outsideFolders, func(top string) bool { return within(pkg.folder, top) })
		if !outside {
			continue
		}
		chain := tree.chain(pkg.folder, func(folder string) bool { return within(folder, "site") })
		if chain != nil {
			found = append(found, breach{pkg.folder, "reaches the site: " + strings.Join(chain, " -> "),
				"machines outside the trusted network have no database; what they carry of site/ is dead weight at best and a way in at worst. Move what they need into wire or lib"})
		}
	}
	return found
}

// chain is the shortest way by production imports from one folder to one that
// is wanted, or nil.
func (tree *sourceTree) chain(from string, wanted func(folder string) bool) []string {
	before := map[string]string{from: ""}
	for queue := []string{from}; len(queue) > 0; queue = queue[1:] {
		folder := queue[0]
		if wanted(folder) {
			var way []string
			for ; folder != ""; folder = before[folder] {
				way = append([]string{folder}, way...)
			}
			return way
		}
		pkg := tree.packages[folder]
		if pkg == nil {
			continue
		}
		for _, file := range pkg.production() {
			for _, imported := range tree.imports(file) {
				next := ownFolder(imported.path)
				if _, seen := before[next]; next != "" && !seen {
					before[next] = folder
					queue = append(queue, next)
				}
			}
		}
	}
	return nil
}

// forbiddenBreaches finds what may stand in no file: goroutines without an
// owner, sleeping, panics, code that runs before main, and notes of work that
// was left undone.
func forbiddenBreaches(tree *sourceTree) []breach {
	var found []breach
	for _, pkg := range tree.sorted() {
		for _, file := range pkg.files {
			if ast.IsGenerated(file.syntax) {
				continue
			}
			inTest := file.isTest || forTests(pkg.folder)
			found = append(found, tree.forbiddenIn(file, inTest, within(pkg.folder, "lib/lifecycle"))...)
		}
	}
	return found
}

// forbiddenIn is forbiddenBreaches for one file.
func (tree *sourceTree) forbiddenIn(file *sourceFile, inTest, isLifecycle bool) []breach {
	var found []breach
	report := func(node ast.Node, what, why string) {
		found = append(found, breach{tree.at(node.Pos()), what, why})
	}
	timeName, httpName := importName(file.syntax, "time"), importName(file.syntax, "net/http")
	bubbles := synctestBubbles(file.syntax)
	bubbled := func(node ast.Node) bool {
		return slices.ContainsFunc(bubbles, func(b ast.Node) bool { return b.Pos() <= node.Pos() && node.End() <= b.End() })
	}

	for _, group := range file.syntax.Comments {
		for _, comment := range group.List {
			if word := undone.FindString(comment.Text); word != "" {
				report(comment, "has a note "+word, "what is left undone is an issue, where it can be found and planned; the code says what is")
			}
		}
	}
	ast.Inspect(file.syntax, func(node ast.Node) bool {
		switch node := node.(type) {
		case *ast.GoStmt:
			if !inTest && !isLifecycle {
				report(node, "has a go statement", "every goroutine has an owner and a name: start it with lib/lifecycle, which turns panics into errors and records who stopped whom")
			}
		case *ast.FuncDecl:
			if node.Recv == nil && node.Name.Name == "init" {
				report(node, "has a function init", "what runs because a package is imported cannot be ordered, configured or left out in a test: register in an explicit table where the program is put together")
			}
		case *ast.CallExpr:
			if len(node.Args) == 1 && isSelector(node.Args[0], httpName, "ErrAbortHandler") {
				return true // the one way in which net/http lets a handler end a connection
			}
			if name, ok := node.Fun.(*ast.Ident); ok && name.Name == "panic" && !inTest {
				report(node, "panics", "one program carries every role of a machine, and a panic ends them all: return an error, which says what is wrong to somebody who can act")
			}
		case *ast.SelectorExpr:
			if isSelector(node, timeName, "Sleep") && !bubbled(node) {
				report(node, "uses time.Sleep", "sleeping is either too short or too long, and cannot be cancelled: wait for a signal, use the clock that was passed in, or testing/synctest")
			}
		}
		return true
	})
	return found
}

// synctestBubbles are the parts of a file that run in a bubble of synctest,
// where sleeping takes no time and is how the clock moves: what is given to
// synctest.Test, and functions that call synctest.Wait, which works nowhere
// else.
func synctestBubbles(file *ast.File) []ast.Node {
	name := importName(file, "testing/synctest")
	var bubbles []ast.Node
	for _, declaration := range file.Decls {
		ast.Inspect(declaration, func(node ast.Node) bool {
			if call, ok := node.(*ast.CallExpr); ok && isSelector(call.Fun, name, "Test") {
				bubbles = append(bubbles, call)
			} else if ok && isSelector(call.Fun, name, "Wait") {
				bubbles = append(bubbles, declaration)
			}
			return true
		})
	}
	return bubbles
}

// importName is the name under which a file uses an import, or "".
func importName(file *ast.File, imported string) string {
	for _, spec := range file.Imports {
		if spec.Path.Value != `"`+imported+`"` {
			continue
		}
		if spec.Name != nil {
			return spec.Name.Name
		}
		return path.Base(imported)
	}
	return ""
}

// isSelector reports whether an expression is pkg.name.
func isSelector(expr ast.Expr, pkg, name string) bool {
	selector, ok := expr.(*ast.SelectorExpr)
	if !ok || pkg == "" || selector.Sel.Name != name {
		return false
	}
	left, ok := selector.X.(*ast.Ident)
	return ok && left.Name == pkg
}

// commentBreaches finds packages that do not say what they are for.
func commentBreaches(tree *sourceTree) []breach {
	var found []breach
	for _, pkg := range tree.sorted() {
		files := pkg.production()
		if len(files) == 0 {
			files = pkg.files // a package of tests only
		}
		commented := slices.ContainsFunc(files, func(f *sourceFile) bool {
			return f.syntax.Doc != nil && len(strings.TrimSpace(f.syntax.Doc.Text())) > 0
		})
		if !commented {
			found = append(found, breach{pkg.folder, "has no package comment",
				"a package says what it is for and what it must not know, or it will come to know everything: write it above the package clause (doc.go when it is long)"})
		}
	}
	return found
}

// sizeBreaches finds files that should have been split.
func sizeBreaches(tree *sourceTree) []breach {
	var found []breach
	for _, pkg := range tree.sorted() {
		for _, file := range pkg.files {
			long := file.lines > maxLines && !ast.IsGenerated(file.syntax)
			reason, excepted := longFiles[file.name]
			switch {
			case long && !excepted:
				found = append(found, breach{file.name, fmt.Sprintf("has %d lines, more than %d", file.lines, maxLines),
					"a file that seems to need everything is in the wrong place: move the decision into a slice, the loop into a component, the wiring into Run; or name it in longFiles with the reason"})
			case excepted && (!long || reason == ""):
				found = append(found, breach{file.name, "is named in longFiles without need or reason", "an exception that is not needed hides the next one: take it off the list"})
			}
		}
	}
	for name := range longFiles {
		if pkg := tree.packages[path.Dir(name)]; pkg == nil || !slices.ContainsFunc(pkg.files, func(f *sourceFile) bool { return f.name == name }) {
			found = append(found, breach{name, "is named in longFiles and does not exist", "an exception that is not needed hides the next one: take it off the list"})
		}
	}
	return found
}
