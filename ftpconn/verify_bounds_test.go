package ftpconn_test

import (
	"bytes"
	"context"
	"testing"
	"time"

	"ftpfs/cache/remote"
	"ftpfs/ftpconn"
	"ftpfs/test/ftpscript"
)

// sent uploads and publishes a file of so many bytes, with the MD5 that it has, and reports
// whether the server was asked for it; took is how long the publication took.
func sent(t *testing.T, srv *ftpscript.Server, s *ftpconn.Store, size int) (asked bool, took time.Duration, err error) {
	t.Helper()
	data := make([]byte, size)
	ok(t, "upload", s.Write(t.Context(), "/.tag7", bytes.NewReader(data), 0, int64(size)))
	sum := remote.Checksum{Algorithm: "MD5"}
	h := sum.Hash()
	h.Write(data)
	sum.Sum = h.Sum(nil)
	mark, begun := srv.Mark(), time.Now()
	_, err = s.Publish(t.Context(), "/.tag7", remote.Publish{Path: "/f", Size: int64(size), Force: true, Sum: &sum})
	return len(srv.Since(mark).Verbs("XMD5")) > 0, time.Since(begun), err
}

// The rate at which a server computes checksums is that of a large file, or of one that it
// took a second for; that of a small one is the round trip's. However slow it was, files
// of some size are asked about.
func TestTheRateOfChecksums(t *testing.T) {
	for name, c := range map[string]struct {
		timeout time.Duration // a third of it may be taken
		size    int           // of the first file
		delay   time.Duration // of its checksum
		asked   map[int]bool  // of what size after that
	}{
		"a small file, soon":    {3 * time.Second, 300_000, 300 * time.Millisecond, map[int]bool{2 << 20: true}},
		"a large file":          {3 * time.Second, 4 << 20, 500 * time.Millisecond, map[int]bool{9 << 20: false, 1 << 20: true}},
		"almost a large file":   {3 * time.Second, 4<<20 - 1, 500 * time.Millisecond, map[int]bool{9 << 20: true}},
		"a tiny file, and late": {6 * time.Second, 100, 1100 * time.Millisecond, map[int]bool{100_000: true, 200_000: false}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for {
				srv, s := start(t, ftpscript.Options{Sums: []string{"XMD5"}}, func(cfg *ftpconn.Config) { cfg.Timeout = c.timeout })
				ok(t, "connect", s.Connect(t.Context()))
				slow := srv.Add(ftpscript.Rule{Verb: "XMD5", Delay: c.delay})
				asked, took, err := sent(t, srv, s, c.size)
				if err != nil || !asked {
					t.Fatalf("the first: asked %v, %v", asked, err)
				}
				if c.delay < time.Second && took > time.Second {
					continue // it is this machine that took so long
				}
				slow.Remove()
				for size, want := range c.asked {
					if asked, _, err := sent(t, srv, s, size); err != nil || asked != want {
						t.Errorf("of %d bytes: asked %v, want %v, %v", size, asked, want, err)
					}
				}
				return
			}
		})
	}
}

// That somebody gave up waiting says nothing of the server's checksums.
func TestAChecksumThatNobodyWaitedFor(t *testing.T) {
	srv, s := start(t, ftpscript.Options{Sums: []string{"XMD5"}}, nil)
	ok(t, "connect", s.Connect(t.Context()))
	ok(t, "the first", checked(t, s, "MD5")) // segments are known to work
	hold := make(chan struct{})
	rule := srv.Add(ftpscript.Rule{Verb: "XMD5", Times: 1, Hold: hold})
	ok(t, "upload", s.Write(t.Context(), "/.tag7", bytes.NewReader(content), 0, int64(len(content))))
	sum := remote.Checksum{Algorithm: "MD5", Sum: make([]byte, 16)}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := s.Publish(ctx, "/.tag7", remote.Publish{Path: "/f", Size: int64(len(content)), Force: true, Sum: &sum})
		done <- err
	}()
	<-rule.Hit()
	cancel()
	kind(t, "publish", <-done, remote.Canceled)
	close(hold)
	ok(t, "the next", checked(t, s, "MD5"))
}

// A file of which the server tells another checksum is read back up to a size, all of it;
// above that it does not go out.
func TestWhatIsReadBack(t *testing.T) {
	for size, readBack := range map[int]bool{16 << 20: true, 16<<20 + 1: false} {
		srv, s := start(t, ftpscript.Options{Sums: []string{"XMD5"}}, nil)
		ok(t, "connect", s.Connect(t.Context()))
		srv.Add(ftpscript.Rule{Verb: "XMD5", Instead: "250 " + zeros(32)})
		_, _, err := sent(t, srv, s, size)
		if readBack {
			ok(t, "one that is right", err)
		} else {
			kind(t, "one that is too large to tell", err, remote.Corrupt)
		}
		if n := len(srv.Since(0).Verbs("RETR")); n > 0 != readBack {
			t.Errorf("of %d bytes: read back %d times", size, n)
		}
	}

	// More came back than was sent: the server is right that it is another file.
	srv, s := start(t, ftpscript.Options{Sums: []string{"XMD5"}}, nil)
	ok(t, "connect", s.Connect(t.Context()))
	srv.Add(ftpscript.Rule{Verb: "XMD5", Times: 1, Instead: "250 " + zeros(32), Then: func(c ftpscript.Command) {
		srv.Tree.Put("/.tag7", append(bytes.Clone(content), "more"...))
	}})
	kind(t, "one that is longer", checked(t, s, "MD5"), remote.Corrupt)
	if got := s.Caps().Sum; got != "MD5" {
		t.Errorf("checksums by %q after that", got)
	}
}
