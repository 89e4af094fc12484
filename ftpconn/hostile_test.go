package ftpconn

import (
	"bytes"
	"strings"
	"testing"
)

// endlessly repeats a line.
type endlessly struct {
	line string
	n    int64
}

func (e *endlessly) Read(p []byte) (int, error) {
	n := 0
	for n+len(e.line) <= len(p) {
		n += copy(p[n:], e.line)
	}
	e.n += int64(n)
	return n, nil
}

// A listing without end ends, whatever its lines are.
func TestListingWithoutEnd(t *testing.T) {
	most := bounds{lines: 1000, bytes: 1 << 20}
	for _, line := range []string{"\r\n", strings.Repeat("x", 50_000) + "\r\n"} {
		src := &endlessly{line: line}
		if err := scan(src, most, func(string) error { return nil }); err == nil {
			t.Errorf("%.10q: no error", line)
		}
		if src.n > 2<<20 {
			t.Errorf("%.10q: read %d bytes", line, src.n)
		}
	}
	if err := scan(bytes.NewReader([]byte("a\r\nb\n")), most, func(string) error { return nil }); err != nil {
		t.Error(err)
	}
}
