package test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestPromisesHaveTests holds the package comment of fs to its word: each promise
// names a test of the mounted program, and each of these exists.
func TestPromisesHaveTests(t *testing.T) {
	doc, err := os.ReadFile("../fs/doc.go")
	if err != nil {
		t.Fatal(err)
	}
	name := regexp.MustCompile(`\bTest[A-Z]\w+`)
	named := name.FindAllString(string(doc), -1)
	promises := regexp.MustCompile(`(?m)^//  \d\. `).Split(string(doc), -1)[1:]
	if len(promises) != 9 {
		t.Errorf("%d promises, want nine", len(promises))
	}
	for i, p := range promises {
		if p, _, _ = strings.Cut(p, "\n//\n"); !name.MatchString(p) {
			t.Errorf("promise %d names no test", i+1)
		}
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
