package test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestTheREADMEIsTrueOfTheSources holds README.md and docs/design.md to what can be
// looked up: each test that they name exists, each option of the program is in the
// README, and its map shows every package.
func TestTheREADMEIsTrueOfTheSources(t *testing.T) {
	tests, packages := sources(t)
	for _, page := range []string{"../README.md", "../docs/design.md"} {
		for _, m := range regexp.MustCompile("`(Test[A-Z]\\w+)`").FindAllStringSubmatch(read(t, page), -1) {
			if !tests[m[1]] {
				t.Errorf("%s names %s, which does not exist", page, m[1])
			}
		}
	}
	readme := read(t, "../README.md")
	_, plan, ok := strings.Cut(readme, "\n## How it is built\n")
	if !ok {
		t.Fatal("no map in the README")
	}
	plan, _, _ = strings.Cut(plan, "\n###")
	for dir := range packages {
		name := dir
		if inside, ok := strings.CutPrefix(dir, "cmd/internal/"); ok {
			name = inside
		}
		if !strings.Contains(plan, "`"+name+"`") {
			t.Errorf("the map in the README does not show %s", dir)
		}
	}
	for _, m := range regexp.MustCompile("(?m)^\\| (`[a-z/`, ]+`) \\|").FindAllStringSubmatch(plan, -1) {
		for _, dir := range strings.Split(strings.ReplaceAll(m[1], "`", ""), ", ") {
			if !packages[dir] {
				t.Errorf("the map in the README shows %s, which is no package", dir)
			}
		}
	}
	options := regexp.MustCompile(`(?m)^\s\{name: "([a-z_]+)"`).FindAllStringSubmatch(read(t, "../cmd/internal/option/table.go"), -1)
	if len(options) < 20 {
		t.Errorf("found only %d options in the table", len(options))
	}
	for _, m := range options {
		if !regexp.MustCompile("`" + m[1] + "[`=]").MatchString(readme) {
			t.Errorf("the README does not show the option %s", m[1])
		}
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// sources finds the tests of the module, and its packages by their folders.
func sources(t *testing.T) (tests, packages map[string]bool) {
	t.Helper()
	tests, packages = map[string]bool{}, map[string]bool{}
	err := filepath.WalkDir("..", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() && p != ".." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata") {
			return errOrSkip(err)
		}
		if d.IsDir() || filepath.Ext(p) != ".go" {
			return nil
		}
		dir, _ := filepath.Rel("..", filepath.Dir(p))
		packages[dir] = true
		if !strings.HasSuffix(p, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), p, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, decl := range file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil {
				tests[f.Name.Name] = true
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return tests, packages
}

func errOrSkip(err error) error {
	if err != nil {
		return err
	}
	return fs.SkipDir
}
