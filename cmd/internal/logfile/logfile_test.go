package logfile

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	l := New(path, 100)
	line := strings.Repeat("x", 39) + "\n"
	for range 5 {
		if n, err := l.Write([]byte(line)); n != 40 || err != nil {
			t.Fatal(n, err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	now, _ := os.ReadFile(path)
	before, _ := os.ReadFile(path + ".1")
	if len(now) != 40 || len(before) != 80 {
		t.Errorf("after 5 lines of 40 with a limit of 100: %d bytes now, %d before; want 40 and 80", len(now), len(before))
	}
	again := New(path, 100)
	defer again.Close()
	again.Write([]byte(line))
	if now, _ := os.ReadFile(path); len(now) != 80 {
		t.Errorf("opening again lost what was there: %d bytes", len(now))
	}
	fi, err := os.Stat(path)
	if err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v; want mode 0600", fi, err)
	}
}

// What is logged before the directory is made, as the login of a first mount is, is in the
// log later, before the rest; it is bounded.
func TestLinesFromBeforeTheDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "later")
	l := New(filepath.Join(dir, "log"), 1<<20)
	defer l.Close()
	l.Write([]byte("first\n"))
	l.Write([]byte(strings.Repeat("x", earlyLimit) + "\n")) // too much
	l.Write([]byte("second\n"))
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	l.Write([]byte("third\n"))
	if got, err := os.ReadFile(filepath.Join(dir, "log")); string(got) != "first\nsecond\nthird\n" {
		t.Errorf("%q, %v", got, err)
	}
}
