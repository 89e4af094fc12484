package ftpconn_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"ftpfs/cache/remote"
	"ftpfs/ftpconn"
	"ftpfs/test/ftpscript"
)

// checked uploads content and publishes it as /f, compared by the algorithm that the
// Store proposes, want if there is one.
func checked(t *testing.T, s *ftpconn.Store, want string) error {
	t.Helper()
	ok(t, "upload", s.Write(t.Context(), "/.tag7", bytes.NewReader(content), 0, int64(len(content))))
	p := remote.Publish{Path: "/f", Size: int64(len(content)), Force: true}
	sum := remote.Checksum{Algorithm: s.Caps().Sum}
	if sum.Algorithm != want {
		t.Errorf("checksums by %q, want %q", sum.Algorithm, want)
	}
	if h := sum.Hash(); h != nil {
		h.Write(content)
		sum.Sum = h.Sum(nil)
		p.Sum = &sum
	}
	_, err := s.Publish(t.Context(), "/.tag7", p)
	return err
}

// What arrived corrupted is not published, by whatever command the server tells; what is
// right is, with no round trip more.
func TestUploadsAreComparedByChecksum(t *testing.T) {
	for verb, algorithm := range map[string]string{"HASH": "SHA-256", "XCRC": "CRC32", "XMD5": "MD5", "XSHA": "SHA-1", "XSHA256": "SHA-256", "XSHA512": "SHA-512"} {
		srv, s := start(t, ftpscript.Options{Sums: []string{verb}}, nil)
		ok(t, "connect", s.Connect(t.Context()))
		ok(t, verb, checked(t, s, algorithm))
		mark := srv.Mark()
		ok(t, verb+" again", checked(t, s, algorithm))
		if n := len(srv.Since(mark).Verbs(verb)); n != 1 {
			t.Errorf("%s was sent %d times: %v", verb, n, srv.Since(mark))
		}
		rule := srv.Add(ftpscript.Rule{Verb: "STOR", Then: func(c ftpscript.Command) {
			bad := bytes.Clone(content)
			bad[len(bad)/2] ^= 1
			srv.Tree.Put(c.Path, bad)
		}})
		kind(t, verb+", a bit flipped", checked(t, s, algorithm), remote.Corrupt)
		rule.Remove()
		if got, _ := srv.Tree.Get("/f"); !bytes.Equal(got, content) {
			t.Errorf("%s: the corrupted file was published", verb)
		}
		ok(t, verb+", after that", checked(t, s, algorithm))
	}
}

// A server whose checksums are wrong, or no checksums, or never come, is not asked again,
// and its uploads are published all the same.
func TestChecksumsOfNoUseAreGivenUp(t *testing.T) {
	wrong := "250 " + zeros(32)
	for name, rule := range map[string]ftpscript.Rule{
		"wrong":      {Verb: "XMD5", Instead: wrong},
		"unknown":    {Verb: "XMD5", Instead: "500 What?"},
		"no sum":     {Verb: "XMD5", Instead: "250 done"},
		"silence":    {Verb: "XMD5", Swallow: true, Times: 1},
		"hangs up":   {Verb: "XMD5", Drop: true},
		"no such of": {Verb: "XMD5", Instead: "504 not for you"},
		"no syntax":  {Verb: "XMD5", Instead: "501 Syntax error."},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv, s := start(t, ftpscript.Options{Sums: []string{"XMD5"}}, func(c *ftpconn.Config) { c.Timeout = 2 * time.Second })
			ok(t, "connect", s.Connect(t.Context()))
			applied := srv.Add(rule)
			for range 4 { // an outage may follow the first
				if err := checked(t, s, "MD5"); err == nil {
					break
				} else if !remote.KindOf(err).Offline() {
					t.Fatalf("publish: %v", err)
				}
				if s.Caps().Sum == "" {
					break
				}
			}
			if got := s.Caps().Sum; got != "" {
				t.Errorf("checksums by %q are still used", got)
			}
			hits := applied.Hits()
			ok(t, "up again", s.Connect(t.Context()))
			ok(t, "publish", checked(t, s, ""))
			if applied.Hits() != hits {
				t.Error("asked again")
			}
		})
	}
}

// A server that computes slowly is asked about small files only.
func TestASlowChecksumIsNotWaitedForTwice(t *testing.T) {
	srv, s := start(t, ftpscript.Options{Sums: []string{"XMD5"}}, func(c *ftpconn.Config) { c.Timeout = 6 * time.Second })
	ok(t, "connect", s.Connect(t.Context()))
	slow := srv.Add(ftpscript.Rule{Verb: "XMD5", Delay: 1500 * time.Millisecond})
	ok(t, "the first", checked(t, s, "MD5"))
	if slow.Hits() != 1 {
		t.Fatalf("asked %d times", slow.Hits())
	}
	slow.Remove()
	// At that rate a larger file would take longer than a third of the timeout.
	big := make([]byte, 2*len(content))
	ok(t, "upload", s.Write(t.Context(), "/.tag7", bytes.NewReader(big), 0, int64(len(big))))
	sum := remote.Checksum{Algorithm: "MD5"}
	sum.Sum = bytes.Repeat([]byte{1}, 16) // never compared
	mark := srv.Mark()
	_, err := s.Publish(t.Context(), "/.tag7", remote.Publish{Path: "/big", Size: int64(len(big)), Force: true, Sum: &sum})
	ok(t, "a large one", err)
	if n := len(srv.Since(mark).Verbs("XMD5")); n != 0 {
		t.Errorf("asked %d times", n)
	}
}

// What is asked is what was computed here, in the server's first way to do that; of an empty
// file nothing is. A name with a blank is quoted, as a range may follow it.
func TestTheChecksumThatWasComputedIsAskedFor(t *testing.T) {
	srv, s := start(t, ftpscript.Options{Sums: []string{"XSHA256", "XMD5"}}, nil)
	srv.Tree.MkdirAll("/a dir")
	ok(t, "connect", s.Connect(t.Context()))
	for _, c := range []struct {
		data []byte
		want string
	}{{content, `XMD5 "/a dir/.tag7"`}, {nil, ""}} {
		sum := remote.Checksum{Algorithm: "MD5"}
		h := sum.Hash()
		h.Write(c.data)
		sum.Sum = h.Sum(nil)
		ok(t, "upload", s.Write(t.Context(), "/a dir/.tag7", bytes.NewReader(c.data), 0, int64(len(c.data))))
		mark := srv.Mark()
		_, err := s.Publish(t.Context(), "/a dir/.tag7", remote.Publish{Path: "/a dir/f", Size: int64(len(c.data)), Force: true, Sum: &sum})
		ok(t, "publish", err)
		asked := ""
		for _, cmd := range srv.Since(mark) {
			if strings.HasPrefix(cmd.Verb, "X") {
				asked += cmd.Verb + " " + cmd.Arg
			}
		}
		if asked != c.want {
			t.Errorf("of %d bytes asked %q, want %q", len(c.data), asked, c.want)
		}
	}
}

// The algorithm of HASH is chosen once for a connection. Where it cannot be chosen, the sum
// that comes is another one, and says nothing.
func TestTheAlgorithmOfHASH(t *testing.T) {
	srv, s := start(t, ftpscript.Options{Sums: []string{"HASH"}}, func(c *ftpconn.Config) { c.MaxConns = 1 })
	ok(t, "connect", s.Connect(t.Context()))
	ok(t, "publish", checked(t, s, "SHA-256"))
	mark := srv.Mark()
	ok(t, "again", checked(t, s, "SHA-256"))
	if n := srv.Since(mark).Verbs("OPTS"); len(n) > 0 {
		t.Errorf("chosen again: %v", n)
	}

	srv, s = start(t, ftpscript.Options{Sums: []string{"HASH", "XMD5"}}, nil)
	srv.Add(ftpscript.Rule{Verb: "OPTS", Match: func(c ftpscript.Command) bool { return strings.Contains(c.Arg, "SHA-256") }, Instead: "501 Unknown algorithm."})
	ok(t, "connect", s.Connect(t.Context()))
	ok(t, "publish", checked(t, s, "SHA-256"))
	if got := s.Caps().Sum; got == "SHA-256" || got == "" {
		t.Errorf("now by %q, want another algorithm", got)
	}
	if n := srv.Since(0).Verbs("RETR"); len(n) > 0 {
		t.Errorf("what was sent was read back, as if the sum were wrong: %v", n)
	}
}

// What the server will not compute of one file it may of the next.
func TestAChecksumRefusedForOneUpload(t *testing.T) {
	srv, s := start(t, ftpscript.Options{Sums: []string{"XMD5"}}, nil)
	ok(t, "connect", s.Connect(t.Context()))
	srv.Add(ftpscript.Rule{Verb: "XMD5", Times: 1, Instead: "550 Too large."})
	ok(t, "publish", checked(t, s, "MD5"))
	ok(t, "again", checked(t, s, "MD5"))
}
