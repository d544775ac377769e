// Package strictyaml reads YAML files that people write: unknown and duplicate
// keys are errors with their line, what the file does not say keeps its
// default, and a text that the parser cannot bear is an error and not a panic.
// It knows no key.
package strictyaml

import (
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"mainstay/lib/fault"
)

// File is a file that was read; it knows where its keys stand.
type File struct{ tree *ast.File }

// Decode reads data into out. The error is Invalid and shows line and place;
// its text does not name the file.
func Decode(data []byte, out any) (f *File, err error) {
	defer func() {
		// The parser panics on some texts, such as a tag in front of nothing.
		if recover() != nil {
			f, err = nil, fault.New(fault.Invalid, "this is no YAML that can be read")
		}
	}()
	tree, err := parser.ParseBytes(data, 0)
	if err != nil {
		return nil, invalid(err)
	}
	if empty(tree) {
		// Decoding nothing would undo the defaults.
		return &File{tree}, nil
	}
	if err := yaml.UnmarshalWithOptions(data, out, yaml.Strict()); err != nil {
		return nil, invalid(err)
	}
	return &File{tree}, nil
}

func invalid(err error) error {
	return fault.New(fault.Invalid, "%s", strings.TrimSpace(yaml.FormatError(err, false, true)))
}

func empty(tree *ast.File) bool {
	for _, doc := range tree.Docs {
		if doc.Body != nil && doc.Body.Type() != ast.CommentType && doc.Body.Type() != ast.NullType {
			return false
		}
	}
	return true
}

// Has tells whether the file has a key; the path is as in "steps[2].name".
func (f *File) Has(path string) bool { return f.node(path) != nil }

// Line is the line of a key, or of what it would stand in where it is absent;
// 1 at the least.
func (f *File) Line(path string) int {
	for path != "" {
		if line := f.line(path); line > 0 {
			return line
		}
		path = path[:max(0, strings.LastIndexAny(path, ".["))]
	}
	return 1
}

func (f *File) line(path string) int {
	node := f.node(path)
	if node == nil || node.GetToken() == nil {
		return 0
	}
	// The value of a key may begin on a line below it.
	parent, key := "", path
	if i := strings.LastIndexByte(path, '.'); i >= 0 {
		parent, key = path[:i], path[i+1:]
	}
	for _, pair := range pairs(f.node(parent)) {
		if pair.Key.GetToken() != nil && pair.Key.GetToken().Value == key {
			return pair.Key.GetToken().Position.Line
		}
	}
	return node.GetToken().Position.Line
}

func pairs(node ast.Node) []*ast.MappingValueNode {
	switch n := node.(type) {
	case *ast.MappingNode:
		return n.Values
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}
	}
	return nil
}

func (f *File) node(path string) ast.Node {
	if f == nil || f.tree == nil {
		return nil
	}
	if path != "" && !strings.HasPrefix(path, "[") {
		path = "." + path
	}
	p, err := yaml.PathString("$" + path)
	if err != nil {
		return nil
	}
	node, err := p.FilterFile(f.tree)
	if err != nil {
		return nil
	}
	return node
}
