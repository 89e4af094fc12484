package fs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
)

// The daemon sends the kernel no message that waits for a lock: see attributesOnly. Which of
// go-fuse's calls do is known by their names.
func TestNoMessageToTheKernelWaits(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	allowed := map[string]int{"InodeNotify": 1, "NotifyContent": 0} // where the offset stands
	sent := 0
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			method, ok := call.Fun.(*ast.SelectorExpr)
			if !ok || !strings.Contains(method.Sel.Name, "Notify") {
				return true
			}
			sent++
			offset, known := allowed[method.Sel.Name]
			if !known {
				t.Errorf("%v: %s may wait for a lock that a program holds that waits for us", set.Position(call.Pos()), method.Sel.Name)
				return true
			}
			if arg, ok := call.Args[offset].(*ast.Ident); !ok || arg.Name != "attributesOnly" {
				t.Errorf("%v: %s of pages may wait for one that is being read from us", set.Position(call.Pos()), method.Sel.Name)
			}
			return true
		})
	}
	if sent == 0 {
		t.Error("no message found: the test looks for the wrong names")
	}
}
