package foyer_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// domains are the rooms that know their own trade and nothing of each other,
// and the rooms each may look into nevertheless. cmd/foyer and loadtest may
// import any of them.
var domains = map[string][]string{
	"acd":      {},
	"sip":      {},
	"rtp":      {},
	"recorder": {"rtp"},
	"ledger":   {"acd"},
	"console":  {},
}

// tools are rooms that know nothing of the trade, so that every room may use them.
var tools = []string{"terse"}

// imports is the import paths of every package of the module, without tests.
func imports(t *testing.T) map[string][]string {
	t.Helper()
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, "./...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	packages := map[string][]string{}
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		packages[words[0]] = words[1:]
	}
	return packages
}

// room is the first folder of a package of this module: acd for foyer/acd/ring.
func room(path string) (string, bool) {
	inside, ours := strings.CutPrefix(path, "foyer/")
	name, _, _ := strings.Cut(inside, "/")
	return name, ours
}

// The packages form a star: the rooms do not import each other, and nobody
// imports the programs in the middle.
func TestArrowsFormAStar(t *testing.T) {
	for path, imported := range imports(t) {
		from, _ := room(path)
		may, domain := domains[from]
		for _, i := range imported {
			to, ours := room(i)
			if !ours || to == from || slices.Contains(tools, to) {
				continue
			}
			switch _, toDomain := domains[to]; {
			case slices.Contains(tools, from):
				t.Errorf("%s imports %s: a tool knows no room", path, i)
			case domain && !slices.Contains(may, to):
				t.Errorf("%s imports %s: only cmd/foyer and loadtest know several rooms", path, i)
			case to == "cmd" && from != "loadtest":
				t.Errorf("%s imports %s: nothing depends on the program", path, i)
			case !domain && toDomain && from != "cmd" && from != "loadtest":
				t.Errorf("%s imports %s: it is neither a room nor a program", path, i)
			}
		}
	}
}

// The floor decides and does nothing: it is told the time, and everything else.
// The ring at its centre is memory alone.
func TestArrowsKeepTheFloorPure(t *testing.T) {
	barred := []string{"os", "net", "net/http", "io", "bufio", "log", "log/slog", "syscall", "runtime", "context", "math/rand", "math/rand/v2", "crypto/rand"}
	for path, imported := range imports(t) {
		from, _ := room(path)
		if from != "acd" {
			continue
		}
		for _, i := range imported {
			switch {
			case slices.Contains(barred, i), strings.HasPrefix(i, "os/"):
				t.Errorf("%s imports %s: the floor has no outside", path, i)
			case path == "foyer/acd" && (i == "sync" || i == "sync/atomic"):
				t.Errorf("%s imports %s: one goroutine owns the floor, nothing is shared", path, i)
			case path == "foyer/acd/ring" && !slices.Contains([]string{"sync/atomic", "unsafe", "math/bits", "errors"}, i):
				t.Errorf("%s imports %s: the ring is atomics and memory alone", path, i)
			}
		}
	}
	for _, tree := range sources(t, "acd") {
		ast.Inspect(tree.syntax, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt:
				t.Errorf("%s: a goroutine in the floor", tree.at(n))
			case *ast.SelectorExpr:
				if p, ok := n.X.(*ast.Ident); ok && p.Name == "time" && slices.Contains([]string{"Now", "Since", "Until", "After", "AfterFunc", "Sleep", "NewTimer", "NewTicker", "Tick"}, n.Sel.Name) {
					t.Errorf("%s: time.%s in the floor; the time is an argument", tree.at(n), n.Sel.Name)
				}
			}
			return true
		})
	}
}

// What-if plays days on the floor from outside, like the switch: the floor must not
// know of it, and it knows nothing but the floor, or its figures would depend on more
// than the journal.
func TestArrowsKeepWhatIfOutsideTheFloor(t *testing.T) {
	seen := false
	for path, imported := range imports(t) {
		for _, i := range imported {
			_, ours := room(i)
			switch {
			case path == "foyer/acd/whatif" && ours && i != "foyer/acd":
				t.Errorf("%s imports %s: it may import acd only", path, i)
			case i == "foyer/acd/whatif" && path != "foyer/cmd/foyer":
				t.Errorf("%s imports %s: only the program asks what if", path, i)
			}
		}
		seen = seen || path == "foyer/acd/whatif"
	}
	if !seen {
		t.Error("foyer/acd/whatif is gone; so should be this test")
	}
}

// The keeper must not die of what the rest of the program does: it knows nothing of it.
func TestArrowsKeepTheKeeperAlone(t *testing.T) {
	imported, there := imports(t)["foyer/cmd/foyer/keeper"]
	if !there {
		t.Error("foyer/cmd/foyer/keeper is gone; so should be this test")
	}
	for _, i := range imported {
		if _, ours := room(i); ours {
			t.Errorf("foyer/cmd/foyer/keeper imports %s", i)
		}
	}
}

type source struct {
	syntax *ast.File
	set    *token.FileSet
}

func (s source) at(n ast.Node) string {
	p := s.set.Position(n.Pos())
	return p.Filename + ":" + strconv.Itoa(p.Line)
}

// sources is the Go files of a room, tests left out.
func sources(t *testing.T, dir string) map[string]source {
	t.Helper()
	files := map[string]source{}
	for _, pattern := range []string{"*.go", "*/*.go"} {
		paths, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range paths {
			if strings.HasSuffix(p, "_test.go") {
				continue
			}
			set := token.NewFileSet()
			syntax, err := parser.ParseFile(set, p, nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			files[p] = source{syntax, set}
		}
	}
	if len(files) == 0 {
		t.Fatalf("no Go files in %s", dir)
	}
	return files
}
