package ftpconn_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"ftpfs/cache/remote"
	"ftpfs/ftpconn"
	"ftpfs/test/ftpscript"
)

// logged is a log that may be read while it is written.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// with are the lines that hold all of these.
func (l *logged) with(parts ...string) (lines []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
next:
	for line := range strings.Lines(l.b.String()) {
		for _, p := range parts {
			if !strings.Contains(line, p) {
				continue next
			}
		}
		lines = append(lines, line)
	}
	return lines
}

func (l *logged) into(c *ftpconn.Config) { c.Log = slog.New(slog.NewTextHandler(l, nil)) }

// A line that nobody understands makes the listing an error, and is in the log with what
// it says: once for each kind of line, cut, escaped, and not for ever.
func TestUnreadLineIsInTheLog(t *testing.T) {
	eachMode(t, func(t *testing.T, verb string, refuse []string) {
		var log logged
		var mu sync.Mutex
		more := ""
		srv, s := start(t, ftpscript.Options{Refuse: refuse, Listing: func(_, _ string, lines []string) []string {
			mu.Lock()
			defer mu.Unlock()
			return append(lines, more)
		}}, log.into)
		tree(srv)
		list := func(line string) error {
			mu.Lock()
			more = line
			mu.Unlock()
			_, err := s.List(t.Context(), "/d")
			return err
		}
		kind(t, "a line nobody understands", list("Quota: 1234 files left"), remote.Protocol)
		kind(t, "again, with another number", list("Quota: 5678 files left"), remote.Protocol)
		if got := log.with("level=WARN", "directory=/d", "Quota: 1234 files left"); len(got) != 1 {
			t.Errorf("logged %q", got)
		}
		if got := log.with("5678"); len(got) != 0 {
			t.Errorf("the same kind of line is logged again: %q", got)
		}

		kind(t, "a long line", list("?? "+strings.Repeat("x", 5000)), remote.Protocol)
		got := log.with("?? xxx")
		if len(got) != 1 || len(got[0]) > 1000 || !strings.Contains(got[0], "bytes=5003") {
			t.Errorf("of a long line: %d lines, %.100q", len(got), got)
		}
		kind(t, "a line to deceive", list("!\x1b[2J\x07\r level=ERROR msg=all is lost \xff"), remote.Protocol)
		if got := log.with("\x1b"); len(got) != 0 || len(log.with(`\x1b[2J`)) != 1 {
			t.Errorf("unescaped: %q, escaped: %q", got, log.with(`\x1b[2J`))
		}

		for i := range 200 {
			if err := list(strings.Repeat("- ", i) + "what is this"); err == nil {
				t.Errorf("listed %d", i)
			}
		}
		if n := len(log.with("was not understood")); n > 60 {
			t.Errorf("%d lines of the log are about lines that were not understood", n)
		}
	})
}

// Known noise is silent. What has no letter and no digit hides no file: it is logged,
// and is no error.
func TestNoiseInAListing(t *testing.T) {
	var log logged
	srv, s := start(t, ftpscript.Options{Refuse: []string{"MLSD", "MLST"}, ListSelf: true, Listing: func(_, _ string, lines []string) []string {
		return append([]string{".:", "total 12", "-----"}, append(lines, "", "=====")...)
	}}, log.into)
	tree(srv)
	entries, err := s.List(t.Context(), "/d")
	if err != nil || len(entries) != 3 {
		t.Errorf("listed %s, %v", names(entries), err)
	}
	if got := log.with("level=WARN", "line="); len(got) != 2 || len(log.with("line=-----")) != 1 || len(log.with("=====")) != 1 {
		t.Errorf("logged %q", got)
	}
}

// A listing in which another format begins is an error: who knows what its lines hide.
func TestTwoFormatsInAListing(t *testing.T) {
	for i, odd := range []string{"01-29-24  11:32PM                  589 y", "+r,\ty", "Y.TXT;1  1/3  2-JUN-2023 07:32:04  [ANN]  (RWED,RWED,RE,)"} {
		srv, s := start(t, ftpscript.Options{Refuse: []string{"MLSD", "MLST"}, Listing: func(_, _ string, lines []string) []string {
			return append(lines, odd)
		}}, nil)
		tree(srv)
		_, err := s.List(t.Context(), "/d")
		kind(t, fmt.Sprint(i), err, remote.Protocol)
	}
}
