package ftpconn_test

import (
	"bytes"
	"testing"
	"time"

	"ftpfs/cache/remote"
	"ftpfs/ftpconn"
	"ftpfs/test/ftpscript"
)

func TestChecksum(t *testing.T) {
	for want, offered := range map[string][]string{
		"SHA-256": {"XCRC", "XMD5", "HASH"},
		"SHA-512": {"XSHA1", "XSHA512"},
		"SHA-1":   {"XMD5", "XSHA"},
		"MD5":     {"XMD5", "XCRC"},
		"CRC32":   {"XCRC"},
	} {
		srv, s := start(t, ftpscript.Options{Sums: offered}, nil)
		srv.Tree.Put("/a file", content)
		for range 2 {
			sum, err := s.Checksum(t.Context(), "/a file", int64(len(content)))
			ok(t, want, err)
			h := sum.Hash()
			h.Write(content)
			if sum.Algorithm != want || !bytes.Equal(sum.Sum, h.Sum(nil)) {
				t.Errorf("%v: got %s %x, want %s %x", offered, sum.Algorithm, sum.Sum, want, h.Sum(nil))
			}
		}
		_, err := s.Checksum(t.Context(), "/a file", int64(len(content))-1)
		kind(t, "another size", err, remote.Changed)
		_, err = s.Checksum(t.Context(), "/none", 1)
		kind(t, "no file", err, remote.NotExist)
	}
}

// A reply that is not understood is no checksum, and is not asked for again.
func TestChecksumNotUnderstood(t *testing.T) {
	for verb, replies := range map[string][]string{
		"HASH": {"213 SHA-3 0-320000 " + zeros(64) + " /f", "213 SHA-256 0-319998 " + zeros(64) + " /f",
			"213 SHA-256 1-320000 " + zeros(64) + " /f", "213 SHA-256 0-320000 " + zeros(63) + " /f", "213 SHA-256 0-320000 " + zeros(64),
			"213 " + zeros(64), "250 Done.", "500 What?", "502 No."},
		"XSHA256": {"250 done", "250 " + zeros(64) + " " + zeros(64), "250 " + zeros(62), "250 x" + zeros(63), "501 Syntax."},
	} {
		for _, reply := range replies {
			srv, s := start(t, ftpscript.Options{Sums: []string{verb}}, nil)
			srv.Tree.Put("/f", content)
			rule := srv.Add(ftpscript.Rule{Verb: verb, Instead: reply})
			_, err := s.Checksum(t.Context(), "/f", int64(len(content)))
			if verb == "HASH" { // it has other algorithms, which fail likewise
				if hits := rule.Hits(); hits < 1 {
					t.Errorf("%s: not asked", reply)
				}
			}
			kind(t, reply, err, remote.Unsupported)
			mark := srv.Mark()
			_, err = s.Checksum(t.Context(), "/f", int64(len(content)))
			kind(t, reply+", again", err, remote.Unsupported)
			if n := len(srv.Since(mark)); n > 0 {
				t.Errorf("%q: asked again: %v", reply, srv.Since(mark))
			}
		}
	}
}

func zeros(n int) string { return string(bytes.Repeat([]byte("0"), n)) }

// What the server will not compute of one file it may of another.
func TestChecksumRefusedForAFile(t *testing.T) {
	srv, s := start(t, ftpscript.Options{Sums: []string{"HASH"}}, nil)
	srv.Tree.Put("/f", content)
	rule := srv.Add(ftpscript.Rule{Verb: "HASH", Instead: "550 too large"})
	_, err := s.Checksum(t.Context(), "/f", int64(len(content)))
	kind(t, "refused", err, remote.Unsupported)
	rule.Remove()
	_, err = s.Checksum(t.Context(), "/f", int64(len(content)))
	ok(t, "later", err)
}

// Each connection must choose its algorithm.
func TestChecksumOnEachConnection(t *testing.T) {
	srv, s := start(t, ftpscript.Options{Sums: []string{"HASH"}}, nil)
	srv.Tree.Put("/f", content)
	for range 3 {
		sum, err := s.Checksum(t.Context(), "/f", int64(len(content)))
		ok(t, "checksum", err)
		if sum.Algorithm != "SHA-256" {
			t.Errorf("got %s", sum.Algorithm)
		}
		srv.KillSessions()
	}
}

// A server computes in silence: what might take longer than the timeout is not asked.
func TestChecksumNotOfAHugeFile(t *testing.T) {
	srv, s := start(t, ftpscript.Options{Sums: []string{"HASH"}}, func(c *ftpconn.Config) { c.Timeout = time.Second })
	_, err := s.Checksum(t.Context(), "/f", 1<<30)
	kind(t, "a GiB in a second", err, remote.Unsupported)
	if n := len(srv.Since(0)); n > 0 {
		t.Errorf("asked: %v", srv.Since(0))
	}
}
