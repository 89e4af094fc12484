package cache

import (
	"os"
	"path/filepath"
	"testing"

	"ftpfs/cache/spool"
)

// FuzzMarks: whatever stands in a file of marks, what comes out are ranges of a file,
// and only of this boot.
func FuzzMarks(f *testing.F) {
	header, err := markHeader(spool.OS)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(true, make([]byte, 16))
	f.Add(true, []byte{0, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 1})
	f.Add(true, []byte{255, 255, 255, 255, 255, 255, 255, 255, 5, 0, 0, 0, 0, 0, 0, 0})
	f.Add(false, make([]byte, 64))
	f.Fuzz(func(t *testing.T, ours bool, b []byte) {
		tree := &Tree{cfg: Config{StateDir: t.TempDir(), fs: spool.OS}}
		if err := os.MkdirAll(filepath.Dir(tree.marksPath(1)), 0o700); err != nil {
			t.Fatal(err)
		}
		if ours {
			b = append(append([]byte(nil), header...), b...)
		}
		if err := os.WriteFile(tree.marksPath(1), b, 0o600); err != nil {
			t.Fatal(err)
		}
		got := tree.readMarks(1)
		if len(got) > len(b)/markSize || len(got) > 0 && string(b[:len(header)]) != string(header) {
			t.Fatalf("%d marks of %q", len(got), b)
		}
		for _, r := range got {
			if r.Off < 0 || r.End <= r.Off {
				t.Fatalf("the mark %v of %q", r, b)
			}
		}
	})
}
