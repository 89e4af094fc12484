package test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ftpfs/cache/remote"
	"ftpfs/ftpconn"
	"ftpfs/test/servers"
)

// TestSmallFilesInARow follows the dialogue of many small files one after the other on one
// connection. The port of the next data connection comes with the end of the download before, or
// with the answers before a rename, and a file's data goes with its command, so that a file costs two round trips out and three
// in. pyftpdlib ends a download for a question that comes behind it, and an upload for data that comes
// early: it gets neither.
func TestSmallFilesInARow(t *testing.T) {
	const files, warm = 40, 3 // what the server stands is known after the first
	content := bytes.Repeat([]byte("content\n"), 1000)
	for _, server := range servers.All {
		t.Run(string(server), func(t *testing.T) {
			t.Parallel()
			srv := servers.Start(t, server, servers.Options{})
			var trace []string // the Store has one connection, and one user
			s := ftpconn.New(ftpconn.Config{Host: srv.Host, Port: srv.Port, User: srv.User, Password: srv.Password,
				Timeout: 60 * time.Second, MaxConns: 1, MountTag: "row",
				Watch: func(_ int, line string) { trace = append(trace, line) }})
			defer s.Close()
			name := func(i int) string { return fmt.Sprintf("/file-%d", i) }
			// inARow counts how often a port was asked for right behind or before a command, and in all,
			// and what should not be needed.
			inARow := func(first string, f func(i int)) (times, asked, sent, others int) {
				from := 0
				for i := range files {
					if i == warm {
						from = len(trace)
					}
					f(i)
				}
				last := ""
				for _, line := range trace[from:] {
					cmd, ours := strings.CutPrefix(line, "> ")
					verb, _, _ := strings.Cut(cmd, " ")
					ask := ours && (verb == "EPSV" || verb == "PASV")
					switch {
					case ask && last == first, ours && verb == first && (last == "EPSV" || last == "PASV"):
						times++
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
			check("in: a port was asked for before RNFR", times, files-warm)
			check("in: a port was asked for", asked, files-warm)
			behind := files - warm
			if server == servers.Pyftpdlib {
				behind = 0
			}
			check("in: a file went with its command", sent, behind)
			check("in: logged in, or listed", others, 0)

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
			check("out: a port was asked for behind RETR", times, behind)
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
