package test

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// TestPromisesHaveTests holds the package comment of fs to its word: each promise
// names a test of the mounted program, and each of these exists.
func TestPromisesHaveTests(t *testing.T) {
	doc, err := os.ReadFile("../fs/doc.go")
	if err != nil {
		t.Fatal(err)
	}
	promises := regexp.MustCompile(`(?m)^//  \d\. `).FindAllString(string(doc), -1)
	named := regexp.MustCompile(`\bTest[A-Z]\w+`).FindAllString(string(doc), -1)
	if len(promises) != 9 || len(named) != len(promises) {
		t.Errorf("%d promises, %d tests named: %q; want nine of each", len(promises), len(named), named)
	}
	there := map[string]bool{}
	files, _ := filepath.Glob("mounted/*_test.go")
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`(?m)^func (Test\w+)\(t \*testing\.T\)`).FindAllSubmatch(text, -1) {
			there[string(m[1])] = true
		}
	}
	for _, name := range named {
		if !there[name] {
			t.Errorf("fs/doc.go names %s, which is not in test/mounted", name)
		}
	}
}
