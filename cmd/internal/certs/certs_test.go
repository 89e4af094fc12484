package certs_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ftpfs/cmd/internal/certs"
	made "ftpfs/test/certs"
)

func TestRead(t *testing.T) {
	pair, other := made.Issue(t, made.Options{}), made.Issue(t, made.Options{})
	dir := t.TempDir()
	file := func(name string, mode os.FileMode, content ...[]byte) string {
		name = filepath.Join(dir, name)
		var all []byte
		for _, c := range content {
			all = append(all, c...)
		}
		if err := os.WriteFile(name, all, mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(name, mode); err != nil {
			t.Fatal(err)
		}
		return name
	}
	cert, key := file("cert", 0o644, pair.PEM), file("key", 0o600, pair.Key)
	both, two := file("both", 0o600, pair.Key, pair.PEM), file("two", 0o644, pair.PEM, other.PEM)
	for _, c := range []struct{ ca, cert, key, want string }{
		{"", "", "", ""},
		{cert, "", "", ""},
		{two, "", "", ""},
		{"", cert, key, ""},
		{"", both, "", ""},
		{dir, "", "", "not a file"},
		{key, "", "", "no certificate in it"},
		{filepath.Join(dir, "none"), "", "", "no such file"},
		{"", "", key, "without cert=FILE"},
		{"", cert, file("open", 0o640, pair.Key), "can be read by others"},
		{"", file("both open", 0o644, pair.Key, pair.PEM), "", "can be read by others"},
		{"", file("no key", 0o600, pair.PEM), "", "key=FILE"},
		{"", cert, "", "key=FILE"}, // which is for everybody to read
		{"", cert, file("other", 0o600, other.Key), "does not match"},
		{"", key, key, "find certificate"},
		{"", cert, file("locked", 0o600, []byte("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAA==\n-----END ENCRYPTED PRIVATE KEY-----\n")), "passphrase"},
	} {
		f, err := certs.Read(c.ca, c.cert, c.key)
		if c.want != "" {
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Read(%q, %q, %q): %v, want %q", c.ca, c.cert, c.key, err, c.want)
			}
			continue
		}
		if err != nil {
			t.Errorf("Read(%q, %q, %q): %v", c.ca, c.cert, c.key, err)
			continue
		}
		roots, err1 := f.Roots()
		own, err2 := f.Own()
		if err1 != nil || err2 != nil || (roots != nil) != (c.ca != "") || (own != nil) != (c.cert != "") {
			t.Errorf("Read(%q, %q, %q) gives %v, %v, %v, %v", c.ca, c.cert, c.key, roots, err1, own, err2)
		}
	}
}
