package ftpconn_test

import (
	"bytes"
	"context"
	"io"
	"testing"

	"ftpfs/cache/remote"
	"ftpfs/test/ftpscript"
)

// A server that refuses REST sends from the beginning, and what comes before the offset is
// dropped; it is asked once, and no trick is given up for it.
func TestReadsWithoutREST(t *testing.T) {
	for _, code := range []int{500, 501, 502, 503, 550} {
		srv, s := start(t, ftpscript.NoRestart(code), nil)
		content := bytes.Repeat([]byte("0123456789abcde\n"), 40_000)
		srv.Tree.Put("/file", content)
		for _, at := range []int{100_000, 0, 1, 639_999, 640_000, 700_000} {
			r, err := s.Open(context.Background(), "/file", int64(at), nil)
			ok(t, "open", err)
			got, err := io.ReadAll(r)
			r.Close()
			if want := content[min(at, len(content)):]; err != nil || !bytes.Equal(got, want) {
				t.Errorf("%d: read from %d: %d bytes, %v; want %d", code, at, len(got), err, len(want))
			}
		}
		if n := len(srv.Since(0).Verbs("REST")); n != 1 {
			t.Errorf("%d: REST was sent %d times, want once", code, n)
		}
		if n := srv.Opened(); n != 1 {
			t.Errorf("%d: %d connections, want 1", code, n)
		}
		_, err := s.Open(context.Background(), "/missing", 10, nil)
		kind(t, "open a missing file", err, remote.NotExist)
	}
}

// An offset beyond 31 bits that is refused says nothing of others.
func TestALargeOffsetMayBeRefused(t *testing.T) {
	srv, s := start(t, ftpscript.Options{}, nil)
	srv.Tree.Put("/file", []byte("0123456789"))
	refused := srv.Add(ftpscript.Rule{Verb: "REST", Match: func(c ftpscript.Command) bool { return len(c.Arg) > 9 }, Instead: "501 Not an offset."})
	r, err := s.Open(context.Background(), "/file", 3<<31, nil)
	ok(t, "open", err)
	if got, err := io.ReadAll(r); err != nil || len(got) > 0 {
		t.Errorf("read far behind the end: %q, %v", got, err)
	}
	r.Close()
	r, err = s.Open(context.Background(), "/file", 3, nil)
	ok(t, "open", err)
	got, err := io.ReadAll(r)
	if r.Close(); err != nil || string(got) != "3456789" {
		t.Errorf("read from 3: %q, %v", got, err)
	}
	if n := len(srv.Since(0).Verbs("REST")); n != 2 || refused.Hits() != 1 {
		t.Errorf("REST was sent %d times, want twice", n)
	}
}
