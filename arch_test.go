// Package mainstay_test holds the rules of the source tree as tests: which
// folder may import which, what may appear in no file at all, and which
// third-party modules each program carries. docs/contributing says how to work
// with them. A rule stands here together with the reason for it, and a breach
// prints that reason, so that nobody has to ask why.
package mainstay_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"slices"
	"sort"
	"strconv"
	"strings"
	"testing"
)

// module is the path under which every package of this tree is imported.
const module = "mainstay"

// sourceTree is what the rules look at: every Go package below one folder, as
// parsed and not as built, so that a build tag hides nothing.
type sourceTree struct {
	files    *token.FileSet
	packages map[string]*sourcePackage // by folder, "." for the root
}

// sourcePackage is all Go files of one folder, its external tests included.
type sourcePackage struct {
	folder string
	files  []*sourceFile
}

// sourceFile is one parsed file.
type sourceFile struct {
	name   string // path from the root of the tree
	isTest bool   // its name ends in _test.go
	lines  int
	syntax *ast.File
}

// sourceImport is one import line of a file.
type sourceImport struct {
	path string
	line int
}

// breach is one place that breaks a rule.
type breach struct {
	where string // file:line, or a folder
	what  string
	why   string // the reason of the rule, and what to do instead
}

func (b breach) String() string { return fmt.Sprintf("%s: %s\n\twhy: %s", b.where, b.what, b.why) }

// loadTree parses every Go file of root. It leaves out what the go command
// leaves out too (testdata, names that begin with "." or "_"), modules of
// their own, and what npm installs.
func loadTree(root fs.FS) (*sourceTree, error) {
	tree := &sourceTree{files: token.NewFileSet(), packages: map[string]*sourcePackage{}}
	err := fs.WalkDir(root, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := path.Base(name)
		if entry.IsDir() {
			if name == "." {
				return nil
			}
			if strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") ||
				base == "testdata" || base == "node_modules" || base == "vendor" {
				return fs.SkipDir
			}
			if _, err := fs.Stat(root, path.Join(name, "go.mod")); err == nil {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(base, ".go") || strings.HasPrefix(base, "_") || strings.HasPrefix(base, ".") {
			return nil
		}
		return tree.add(root, name)
	})
	return tree, err
}

// add parses one file into its package.
func (tree *sourceTree) add(root fs.FS, name string) error {
	text, err := fs.ReadFile(root, name)
	if err != nil {
		return err
	}
	syntax, err := parser.ParseFile(tree.files, name, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return fmt.Errorf("cannot parse %s: %w", name, err)
	}
	folder := path.Dir(name)
	if tree.packages[folder] == nil {
		tree.packages[folder] = &sourcePackage{folder: folder}
	}
	tree.packages[folder].files = append(tree.packages[folder].files, &sourceFile{
		name:   name,
		isTest: strings.HasSuffix(name, "_test.go"),
		lines:  strings.Count(string(text), "\n"),
		syntax: syntax,
	})
	return nil
}

// sorted is the packages in the order of their folders, so that output does
// not change from run to run.
func (tree *sourceTree) sorted() []*sourcePackage {
	all := make([]*sourcePackage, 0, len(tree.packages))
	for _, pkg := range tree.packages {
		all = append(all, pkg)
	}
	sort.Slice(all, func(i, j int) bool { return all[i].folder < all[j].folder })
	return all
}

// at is the place of a node, as editors understand it.
func (tree *sourceTree) at(pos token.Pos) string {
	p := tree.files.Position(pos)
	return fmt.Sprintf("%s:%d", p.Filename, p.Line)
}

// imports are the import lines of a file.
func (tree *sourceTree) imports(file *sourceFile) []sourceImport {
	var all []sourceImport
	for _, spec := range file.syntax.Imports {
		value, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			continue
		}
		all = append(all, sourceImport{path: value, line: tree.files.Position(spec.Pos()).Line})
	}
	return all
}

// production are the files of a package that end up in a program.
func (pkg *sourcePackage) production() []*sourceFile {
	return slices.DeleteFunc(slices.Clone(pkg.files), func(f *sourceFile) bool { return f.isTest })
}

// forTests reports whether a package exists for tests alone: everything below
// test/, and suites and doubles that stand beside the code in a folder whose
// name is that of the tested package with "test" added.
func forTests(folder string) bool {
	return within(folder, "test") || strings.HasSuffix(path.Base(folder), "test")
}

// within reports whether folder is top or lies below it.
func within(folder, top string) bool {
	return folder == top || strings.HasPrefix(folder, top+"/")
}

// ownFolder is the folder of an import of this module, or "" for every other.
func ownFolder(importPath string) string {
	if importPath == module {
		return "."
	}
	folder, ok := strings.CutPrefix(importPath, module+"/")
	if !ok {
		return ""
	}
	return folder
}

// standard reports whether a path is in the standard library: such paths have
// no dot in their first element.
func standard(importPath string) bool {
	first, _, _ := strings.Cut(importPath, "/")
	return ownFolder(importPath) == "" && !strings.Contains(first, ".")
}

// check fails the test for every breach.
func check(t *testing.T, breaches []breach) {
	t.Helper()
	for _, b := range breaches {
		t.Error(b)
	}
}

// thisTree is the tree that the test stands in.
func thisTree(t *testing.T) *sourceTree {
	t.Helper()
	tree, err := loadTree(os.DirFS("."))
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

func TestImports(t *testing.T) {
	t.Parallel()
	check(t, importBreaches(thisTree(t)))
}

func TestReach(t *testing.T) {
	t.Parallel()
	check(t, reachBreaches(thisTree(t)))
}

func TestForbidden(t *testing.T) {
	t.Parallel()
	check(t, forbiddenBreaches(thisTree(t)))
}

func TestPackageComments(t *testing.T) {
	t.Parallel()
	check(t, commentBreaches(thisTree(t)))
}

func TestFileSizes(t *testing.T) {
	t.Parallel()
	check(t, sizeBreaches(thisTree(t)))
}

// TestLockFile keeps addresses of package registries out of the console's lock
// file: with them it could be installed from that one registry only.
func TestLockFile(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("console/package-lock.json")
	if os.IsNotExist(err) {
		t.Skip("the tree has no console")
	}
	if err != nil {
		t.Fatal(err)
	}
	for number, line := range strings.Split(string(text), "\n") {
		if strings.Contains(line, `"resolved": "http`) {
			t.Fatalf("console/package-lock.json:%d: names the address of a registry\n\twhy: people behind another registry cannot install from it; "+
				"write the file again with 'npm install --package-lock-only --omit-lockfile-registry-resolved'", number+1)
		}
	}
}
