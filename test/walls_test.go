package test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "ftpfs"

// only names the packages that may import a library; a folder stands for all in it.
// Tests and what is below test/ may import anything.
var only = map[string][]string{
	"github.com/hanwen/go-fuse/v2":      {"fs"},
	"github.com/jlaffaye/ftp":           {"ftpconn"},
	"github.com/spf13/pflag":            {"cmd"},
	"github.com/hashicorp/golang-lru":   {"cache"},
	"github.com/fclairamb/ftpserverlib": {"test"},
	"golang.org/x/net":                  {"ftpconn/proxy"},
}

// within names what of this module a folder's packages may import; the longest
// folder that fits a package counts. A folder without an entry is free.
var within = map[string][]string{
	"cache/remote":            {},
	"cache/remote/mem":        {"cache/remote"},
	"cache/remote/remotetest": {"cache/remote"},
	"cache":                   {"cache", "lastwords"},
	"ftpconn":                 {"cache/remote!", "ftpconn", "lastwords"},
	"ftpconn/wire":            {"ftpconn/wire"},
	"ftpconn/listing":         {"cache/remote!"},
	"ftpconn/proxy":           {},
	"fs":                      {"cache", "fs", "lastwords"},
	"lastwords":               {},
	"test/servers":            {},
}

// standardOnly are packages that nothing but the standard library may enter.
var standardOnly = []string{"cache/remote", "ftpconn/listing", "cache/ranges"}

type pkg struct {
	ImportPath   string
	Imports      []string
	TestImports  []string
	XTestImports []string
}

// TestWalls fails when an import crosses a wall of the design: the kernel is
// known to fs alone, the protocol to ftpconn alone, and all policy is in cache,
// which knows neither.
func TestWalls(t *testing.T) {
	pkgs := packages(t)
	for _, p := range pkgs {
		rel := strings.TrimPrefix(p.ImportPath, module+"/")
		for _, imp := range p.Imports {
			if why := forbidden(rel, imp); why != "" {
				t.Errorf("%s imports %s: %s", p.ImportPath, imp, why)
			}
		}
		// The tests of cache and of the vocabulary run without a mount or a server too.
		for _, imp := range slices.Concat(p.TestImports, p.XTestImports) {
			for _, other := range []string{"fs", "ftpconn", "cmd"} {
				if inFolder(rel, "cache") && inFolder(strings.TrimPrefix(imp, module+"/"), other) && strings.HasPrefix(imp, module+"/") {
					t.Errorf("a test of %s imports %s", p.ImportPath, imp)
				}
			}
		}
	}
	// A wall that guards nothing has been left behind by a move.
	for folder := range within {
		if !slices.ContainsFunc(pkgs, func(p pkg) bool { return inFolder(strings.TrimPrefix(p.ImportPath, module+"/"), folder) }) {
			t.Errorf("no package in %s, which has a wall", folder)
		}
	}
}

// forbidden says why package rel may not import imp, "" if it may.
func forbidden(rel, imp string) string {
	if inFolder(rel, "test") && !inFolder(rel, "test/servers") {
		return ""
	}
	own, isOwn := strings.CutPrefix(imp, module+"/")
	if slices.Contains(standardOnly, rel) && !isOwn && strings.Contains(strings.Split(imp, "/")[0], ".") {
		return "only the standard library may be imported here"
	}
	if !isOwn {
		for lib, homes := range only {
			if inFolder(imp, lib) && !slices.ContainsFunc(homes, func(h string) bool { return inFolder(rel, h) }) {
				return "only " + strings.Join(homes, ", ") + " may"
			}
		}
		return ""
	}
	wall := ""
	for folder := range within {
		if inFolder(rel, folder) && len(folder) >= len(wall) {
			wall = folder
		}
	}
	if wall == "" {
		return ""
	}
	for _, may := range within[wall] {
		exact, isExact := strings.CutSuffix(may, "!")
		if own == exact || !isExact && inFolder(own, may) {
			return ""
		}
	}
	if inFolder(own, rel) && own != rel { // its own subpackages are its own affair, unless a wall says otherwise
		if _, walled := within[own]; !walled {
			return ""
		}
	}
	return "a package of " + wall + " may import of this module only " + strings.Join(within[wall], ", ")
}

// inFolder says whether a path is the folder or below it.
func inFolder(path, folder string) bool {
	return path == folder || strings.HasPrefix(path, folder+"/")
}

// packages lists the module's packages and what they import.
func packages(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-e", "-json=ImportPath,Imports,TestImports,XTestImports", module+"/...")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	var all []pkg
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("go list: %v", err)
		}
		all = append(all, p)
	}
	if len(all) < 5 {
		t.Fatalf("go list found %d packages only", len(all))
	}
	return all
}

// TestForbidden: the walls themselves.
func TestForbidden(t *testing.T) {
	for _, c := range []struct {
		from, imp string
		may       bool
	}{
		{"fs", "github.com/hanwen/go-fuse/v2/fuse", true},
		{"cache", "github.com/hanwen/go-fuse/v2/fs", false},
		{"cmd/ftpfs", "github.com/hanwen/go-fuse/v2/fs", false},
		{"test/mount", "github.com/hanwen/go-fuse/v2/fs", true},
		{"ftpconn", "github.com/jlaffaye/ftp", true},
		{"ftpconn/wire", "github.com/jlaffaye/ftp", true},
		{"cache", "github.com/jlaffaye/ftp", false},
		{"cmd/ftpfs", "github.com/spf13/pflag", true},
		{"cmd/internal/option", "github.com/spf13/pflag", true},
		{"fs", "github.com/spf13/pflag", false},
		{"cache", "github.com/hashicorp/golang-lru/v2", true},
		{"fs", "github.com/hashicorp/golang-lru/v2", false},
		{"cache", "ftpfs/cache/remote", true},
		{"cache", "ftpfs/cache/spool", true},
		{"cache", "ftpfs/ftpconn", false},
		{"cache", "ftpfs/fs", false},
		{"cache/spool", "ftpfs/cmd/internal/option", false},
		{"ftpconn", "ftpfs/cache/remote", true},
		{"ftpconn", "ftpfs/ftpconn/listing", true},
		{"ftpconn", "ftpfs/cache/remote/mem", false},
		{"ftpconn", "ftpfs/cache", false},
		{"ftpconn", "ftpfs/cache/ranges", false},
		{"ftpconn/listing", "ftpfs/cache/remote", true},
		{"ftpconn/listing", "ftpfs/ftpconn", false},
		{"ftpconn/wire", "ftpfs/cache/remote", false},
		{"cache/remote", "context", true},
		{"cache/remote", "golang.org/x/sync/errgroup", false},
		{"cache/remote", "ftpfs/cache/ranges", false},
		{"cache/remote/mem", "ftpfs/cache/remote", true},
		{"cache/remote/mem", "ftpfs/cache", false},
		{"fs", "ftpfs/cache", true},
		{"fs", "ftpfs/cache/remote", true},
		{"fs", "ftpfs/ftpconn", false},
		{"cmd/ftpfs", "ftpfs/ftpconn", true},
		{"cmd/ftpfs", "ftpfs/fs", true},
	} {
		if why := forbidden(c.from, c.imp); (why == "") != c.may {
			t.Errorf("%s imports %s: allowed %v (%s), want %v", c.from, c.imp, why == "", why, c.may)
		}
	}
}
