package config

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// maxFileSize bounds one file, in bytes: a configuration of 10,000 agents is
// about 2 MiB.
const maxFileSize = 16 << 20

// Load reads the configuration at path and the fragments it includes. The error,
// when there is one, is a *Problems with everything that was found wrong.
func Load(path string) (*Config, error) {
	r := &reader{problems: &Problems{}, at: map[any]place{}, literal: map[*Secret]bool{}, sum: sha256.New()}
	main := r.open(path)
	files := []file{main}
	if main.root != nil {
		for _, p := range r.included(main) {
			files = append(files, r.open(p))
		}
	}
	c := &Config{Warnings: r.problems}
	for _, f := range files {
		c.Files = append(c.Files, f.path)
	}
	c.Sum = hex.EncodeToString(r.sum.Sum(nil))[:12]
	r.problems.Files = len(files)
	if r.problems.Errors() == 0 {
		r.config(c, files)
		inherit(c)
		check(r, c)
	}
	r.problems.sortBy(c.Files)
	if r.problems.Errors() > 0 {
		return nil, r.problems
	}
	return c, nil
}

// file is one file of the configuration; root is nil when it could not be read.
type file struct {
	path string
	root *ast.MappingNode
}

// open reads and parses one file.
func (r *reader) open(path string) file {
	f := file{path: path}
	whole := place{file: path}
	text, err := readLimited(path)
	if err != nil {
		r.errorf(whole, "cannot be read: %s", plain(err))
		return f
	}
	r.sum.Write(text)
	doc, err := parse(text)
	var syntax yaml.Error
	if errors.As(err, &syntax) && syntax.GetToken() != nil {
		at := syntax.GetToken().Position
		r.errorf(place{path, at.Line, at.Column}, "not YAML: %s", syntax.GetMessage())
		return f
	}
	if err != nil {
		r.errorf(whole, "not YAML: %s", err)
		return f
	}
	bodies := 0
	for _, d := range doc.Docs {
		if d.Body == nil {
			continue
		}
		if _, comment := d.Body.(*ast.CommentGroupNode); comment {
			continue
		}
		bodies++
		if bodies > 1 {
			r.errorf(r.placeOf(path, d.Body), "a second document in one file; a configuration is one document")
			return f
		}
		root, ok := d.Body.(*ast.MappingNode)
		if !ok {
			r.errorf(r.placeOf(path, d.Body), "must be a mapping of keys, as in version: 1")
			return f
		}
		f.root = root
	}
	if bodies == 0 {
		r.errorf(whole, "is empty")
	}
	return f
}

// maxDepth is how deep lists and mappings may lie in each other; what we read
// needs six.
const maxDepth = 32

// parse never panics, whatever the text: the parser is not ours. Nor does it get
// what it would choke on, nesting without end.
func parse(text []byte) (doc *ast.File, err error) {
	defer func() {
		if p := recover(); p != nil {
			doc, err = nil, fmt.Errorf("the parser gave up: %v", p)
		}
	}()
	tokens := lexer.Tokenize(string(text))
	if deep := tooDeep(tokens); deep != nil {
		return nil, &yaml.SyntaxError{Message: fmt.Sprintf("nested more than %d deep", maxDepth), Token: deep}
	}
	return parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
}

// tooDeep is the token that nests too deep, or nil: by brackets, or by signs
// that open something each on one line.
func tooDeep(tokens token.Tokens) *token.Token {
	brackets, opened, line := 0, 0, 0
	for _, t := range tokens {
		if t.Position.Line != line {
			opened, line = 0, t.Position.Line
		}
		switch t.Type {
		case token.SequenceStartType, token.MappingStartType:
			brackets++
		case token.SequenceEndType, token.MappingEndType:
			brackets--
		case token.SequenceEntryType, token.MappingKeyType, token.AnchorType, token.TagType:
			opened++
		}
		if brackets > maxDepth || opened > maxDepth {
			return t
		}
	}
	return nil
}

func readLimited(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return nil, errors.New("is a directory")
	}
	if info.Size() > maxFileSize {
		return nil, fmt.Errorf("is larger than %d MiB", maxFileSize>>20)
	}
	return os.ReadFile(path)
}

// plain is an error of the file system without its operation and path, which
// the place already says.
func plain(err error) string {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err.Error()
	}
	return err.Error()
}

// included is the paths the include patterns of a file match, sorted per
// pattern, each once.
func (r *reader) included(main file) []string {
	var paths []string
	seen := map[string]bool{filepath.Clean(main.path): true}
	for _, kv := range main.root.Values {
		if keyText(kv.Key) != "include" {
			continue
		}
		// The value itself is read again, and judged, with the other keys.
		list, _ := kv.Value.(*ast.SequenceNode)
		if list == nil {
			continue
		}
		for _, n := range list.Values {
			text, ok := scalarText(n)
			if !ok {
				continue
			}
			for _, p := range r.expand(main, n, text) {
				if !seen[filepath.Clean(p)] {
					seen[filepath.Clean(p)] = true
					paths = append(paths, p)
				}
			}
		}
	}
	return paths
}

func (r *reader) expand(main file, n ast.Node, pattern string) []string {
	if !filepath.IsAbs(pattern) {
		pattern = filepath.Join(filepath.Dir(main.path), pattern)
	}
	found, err := filepath.Glob(pattern)
	if err != nil {
		r.errorf(r.placeOf(main.path, n), "include pattern %q is not a valid pattern", pattern)
		return nil
	}
	// A pattern may match nothing yet; a name without wildcards is meant.
	if len(found) == 0 && !strings.ContainsAny(pattern, "*?[") {
		r.errorf(r.placeOf(main.path, n), "included file %q does not exist", pattern)
	}
	return found
}
