package test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"ftpfs/cache/remote"
	"ftpfs/ftpconn"
	"ftpfs/test/servers"
)

// TestSmallFilesInARow follows the dialogue of many small files one after the other on one
// connection. The port of the next data connection comes with the end of the download before, or
// with the answers before a rename, and a file's data goes with its command, so that a file costs two round trips out, and three
// in, or two if it is published in one go. pyftpdlib ends a download for a question that comes behind it, and an upload for data that comes
// early: it gets neither.
func TestSmallFilesInARow(t *testing.T) {
	const files, warm = 40, 3          // what the server stands is known after the first
	const rest = 10 * time.Millisecond // less than after which a connection that rests is prepared
	content := bytes.Repeat([]byte("content\n"), 1000)
	for _, server := range servers.All {
		t.Run(string(server), func(t *testing.T) {
			t.Parallel()
			srv := servers.Start(t, server, servers.Options{})
			var trace []string // the Store has one connection, and one user
			var paused []bool  // before that line
			heard := time.Now()
			s := ftpconn.New(ftpconn.Config{Host: srv.Host, Port: srv.Port, User: srv.User, Password: srv.Password,
				Timeout: 60 * time.Second, MaxConns: 1, MountTag: "row",
				Watch: func(_ int, line string) {
					trace, paused = append(trace, line), append(paused, time.Since(heard) > rest)
					heard = time.Now()
				}})
			defer s.Close()
			name := func(i int) string { return fmt.Sprintf("/file-%d", i) }
			rested := 0 // how often a port was asked for because this machine let the connection rest
			// inARow counts how often a port was asked for right behind or before a command, and in all,
			// and what should not be needed.
			inARow := func(first string, f func(i int)) (times, asked, sent, others int) {
				from := 0
				rested = 0
				for i := range files {
					if i == warm {
						from = len(trace)
					}
					f(i)
				}
				last := ""
				for i, line := range trace[from:] {
					cmd, ours := strings.CutPrefix(line, "> ")
					verb, _, _ := strings.Cut(cmd, " ")
					ask := ours && (verb == "EPSV" || verb == "PASV")
					switch {
					case ask && last == first, ours && verb == first && (last == "EPSV" || last == "PASV"):
						times++
					case ask && paused[from+i]:
						rested++
					case strings.HasSuffix(line, "bytes sent with it"):
						sent++
					case ours && (verb == "PASS" || verb == "CWD" || verb == "LIST" || verb == "MLSD"):
						others++
					}
					if ask {
						asked++
					}
					last = verb
				}
				return times, asked, sent, others
			}
			check := func(what string, got, want int) {
				t.Helper()
				if got != want {
					t.Errorf("%s %d times, not %d\n%s", what, got, want, strings.Join(trace[len(trace)-30:], "\n"))
				}
			}
			checkTimes := func(what string, got, want int) {
				t.Helper()
				check(what, max(got, min(want, got+rested)), want)
			}
			var versions [files]remote.Version
			times, asked, sent, others := inARow("RNFR", func(i int) {
				tmp := fmt.Sprintf("/.ftpfs-row-%d", i)
				if err := s.Write(t.Context(), tmp, bytes.NewReader(content), 0, int64(len(content))); err != nil {
					t.Fatal(err)
				}
				p, err := s.Publish(t.Context(), tmp, remote.Publish{Path: name(i), Size: int64(len(content))})
				if err != nil {
					t.Fatal(err)
				}
				versions[i] = p.Entry.Version()
			})
			checkTimes("in: a port was asked for before RNFR", times, files-warm)
			check("in: a port was asked for", asked, files-warm)
			behind := files - warm
			if server == servers.Pyftpdlib {
				behind = 0
			}
			check("in: a file went with its command", sent, behind)
			check("in: logged in, or listed", others, 0)

			// In one go: what is asked before the rename, and the next port, go with the upload, and the rename is all
			// that follows.
			from, agreed, at, mode := len(trace), 0, time.Unix(1_600_000_000, 0), uint32(0o640)
			times, asked, sent, others = inARow("STOR", func(i int) {
				if i == warm {
					from, agreed = len(trace), 0
				}
				tmp := fmt.Sprintf("/.ftpfs-row-again-%d", i)
				p := remote.Publish{Path: name(i), Size: int64(len(content)), Expect: &versions[i], MTime: &at, Mode: &mode}
				out, ok, err := s.Deliver(t.Context(), tmp, bytes.NewReader(content), remote.Delivery{Foreseen: p,
					Ready: func() (context.Context, remote.Publish, bool) { return t.Context(), p, true }})
				if ok {
					agreed++
				} else if err == nil {
					out, err = s.Publish(t.Context(), tmp, p)
				}
				if err != nil || !out.TimeSet || !out.ModeSet {
					t.Fatalf("%+v, %v", out, err)
				}
				versions[i] = out.Entry.Version()
				if info, err := os.Stat(filepath.Join(srv.Root, name(i))); err != nil || !info.ModTime().Equal(at) || info.Mode() != 0o640 {
					t.Fatalf("on the server: %v, %v", info, err)
				}
			})
			check("in one go", agreed, behind)
			checkTimes("in one go: a port was asked for behind STOR", times, behind)
			check("in one go: a port was asked for", asked, files-warm)
			check("in one go: a file went with its command", sent, behind)
			check("in one go: logged in, or listed", others, 0)
			if server == servers.ProFTPD {
				n := 0
				for _, line := range trace[from:] {
					if strings.HasPrefix(line, "> ") {
						n++
					}
				}
				check("in one go: commands", n, behind*len([]string{"STOR", "EPSV", "MFF", "MLST", "MLST", "SIZE", "RNFR", "RNTO", "MLST"}))
			}

			times, asked, _, others = inARow("RETR", func(i int) {
				r, err := s.Open(t.Context(), name(i), 0, &versions[i])
				if err != nil {
					t.Fatal(err)
				}
				got, err := io.ReadAll(r)
				r.Close()
				if err != nil || !bytes.Equal(got, content) {
					t.Fatalf("%s: %d bytes, %v", name(i), len(got), err)
				}
			})
			checkTimes("out: a port was asked for behind RETR", times, behind)
			check("out: a port was asked for", asked, files-warm)
			check("out: logged in, or listed", others, 0)
			for i := range files {
				if got, err := os.ReadFile(filepath.Join(srv.Root, name(i))); err != nil || !bytes.Equal(got, content) {
					t.Fatalf("%s on the server: %d bytes, %v", name(i), len(got), err)
				}
			}
		})
	}
}

// TestSomethingBetweenThatEndsBothWays has a relay between that takes the end of our side of a data connection for
// the end of all, as some proxies and firewalls do. ProFTPD is told of our end before it sends: what is
// cut so is fetched again otherwise, and listings are not affected.
func TestSomethingBetweenThatEndsBothWays(t *testing.T) {
	srv := servers.Start(t, servers.ProFTPD, servers.Options{})
	content := bytes.Repeat([]byte("content\n"), 1000)
	for i := range 8 {
		if err := os.WriteFile(filepath.Join(srv.Root, fmt.Sprintf("file-%d", i)), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cuts := new(atomic.Int64)
	s := ftpconn.New(ftpconn.Config{Host: srv.Host, Port: srv.Port, User: srv.User, Password: srv.Password, Timeout: 60 * time.Second,
		Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
			nc, err := new(net.Dialer).DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			return &impatient{TCPConn: nc.(*net.TCPConn), cuts: cuts}, nil
		}})
	defer s.Close()
	for range 3 {
		entries, err := s.List(t.Context(), "/")
		if err != nil || len(entries) != 8 {
			t.Fatalf("%d entries, %v", len(entries), err)
		}
		for _, e := range entries {
			v := e.Version()
			r, err := s.Open(t.Context(), "/"+e.Name, 0, &v)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(r)
			r.Close()
			if err != nil || !bytes.Equal(got, content) {
				t.Errorf("%s: %d bytes, %v", e.Name, len(got), err)
			}
		}
	}
	if n := cuts.Load(); n == 0 || n > 2 {
		t.Errorf("%d transfers were cut: none shows nothing, and after one it is to be known", n)
	}
}

// impatient ends both ways of a connection when one is ended.
type impatient struct {
	*net.TCPConn
	ended atomic.Bool
	cuts  *atomic.Int64
}

func (c *impatient) CloseWrite() error {
	c.cuts.Add(1)
	c.ended.Store(true)
	return c.TCPConn.Close()
}

func (c *impatient) Read(p []byte) (int, error) {
	if c.ended.Load() {
		return 0, io.EOF
	}
	return c.TCPConn.Read(p)
}
