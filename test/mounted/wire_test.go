package mounted

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"ftpfs/test/ftpscript"
)

// long is a lifetime of listings that no test outlasts.
const long = "dir_cache_time=3600"

// costs runs f and returns what it sent over the wire until f ended.
func costs(srv *ftpscript.Server, f func()) ftpscript.Commands {
	mark := srv.Mark()
	f()
	return srv.Since(mark)
}

// asked leaves out what is done for the connection's own sake.
func asked(c ftpscript.Commands) ftpscript.Commands {
	return c.Filter(func(c ftpscript.Command) bool {
		switch c.Verb {
		case "CONNECT", "USER", "PASS", "FEAT", "OPTS", "SYST", "TYPE", "PWD", "EPSV", "PASV", "NOOP", "QUIT", "CLNT":
			return false
		}
		return true
	})
}

// tree fills a scripted server with dirs directories of files each.
func tree(srv *ftpscript.Server, dirs, files int) {
	for d := range dirs {
		for f := range files {
			srv.Tree.Put(fmt.Sprintf("/dir%d/file%d", d, f), fmt.Appendf(nil, "content %d %d", d, f))
		}
	}
}

func eachListing(t *testing.T, f func(t *testing.T, o ftpscript.Options)) {
	t.Run("MLSD", func(t *testing.T) { f(t, ftpscript.Options{}) })
	t.Run("LIST", func(t *testing.T) { f(t, ftpscript.Options{Refuse: []string{"MLSD", "MLST"}}) })
}

func TestADirectoryCostsAtMostOneListing(t *testing.T) {
	eachListing(t, func(t *testing.T, o ftpscript.Options) {
		srv, m := scripted(t, o, long)
		tree(srv, 3, 20)
		if got := asked(costs(srv, func() { names(t, m.Path("dir0")) })); len(got.Listings().About("/dir0")) != 1 {
			t.Errorf("ls of a new directory: want one listing of it, got:\n%s", got)
		}
		got := asked(costs(srv, func() {
			for range 3 {
				for _, n := range names(t, m.Path("dir0")) {
					_, err := os.Stat(m.Path("dir0", n))
					must(t, err)
				}
			}
		}))
		if len(got.Filter(func(c ftpscript.Command) bool { return c.Path == "/dir0" || len(c.Path) > 6 && c.Path[:6] == "/dir0/" })) != 0 {
			t.Errorf("ls -l again, three times: want nothing on the wire, got:\n%s", got)
		}
	})
}

func TestAStatInAKnownDirectoryCostsNothing(t *testing.T) {
	eachListing(t, func(t *testing.T, o ftpscript.Options) {
		srv, m := scripted(t, o, long)
		tree(srv, 1, 5)
		names(t, m.Path("dir0"))
		got := asked(costs(srv, func() {
			_, err := os.Stat(m.Path("dir0", "file3"))
			must(t, err)
			absent(t, m.Path("dir0", "not there"))
		}))
		if len(got) != 0 {
			t.Errorf("stat and ENOENT in a known directory: want nothing on the wire, got:\n%s", got)
		}
	})
}

func TestReadingASmallFileCostsOneTransfer(t *testing.T) {
	eachListing(t, func(t *testing.T, o ftpscript.Options) {
		srv, m := scripted(t, o, long)
		tree(srv, 1, 5)
		srv.Tree.SetTime("/dir0/file2", time.Now().Add(-time.Hour)) // a change now could be told from it
		names(t, m.Path("dir0"))
		got := asked(costs(srv, func() { holds(t, m.Path("dir0", "file2"), []byte("content 0 2")) }))
		if len(got.Transfers().About("/dir0/file2")) != 1 || len(got.Listings()) != 0 {
			t.Errorf("reading a small file: want one transfer of it and no listing, got:\n%s", got)
		}
		// Whether what was fetched is of one version is asked once, by the first that opens it
		// after the end of the transfer: the bytes are there before that.
		got = nil
		eventually(t, "ask about what was fetched", func() bool {
			got = append(got, asked(costs(srv, func() { holds(t, m.Path("dir0", "file2"), []byte("content 0 2")) }))...)
			return len(got) > 0
		})
		if len(got.Transfers().About("/dir0/file2")) != 0 || len(got.Listings())+len(got.Verbs("MLST")) != 1 {
			t.Errorf("reading it again: want one question, got:\n%s", got)
		}
		got = asked(costs(srv, func() { holds(t, m.Path("dir0", "file2"), []byte("content 0 2")) }))
		if len(got) != 0 {
			t.Errorf("reading it after that: want nothing on the wire, got:\n%s", got)
		}
	})
}

// A scripted server that answers nothing shows what the foreground waits for:
// creating, writing and closing a file goes on.
func TestWritingAFileCostsNothingInTheForeground(t *testing.T) {
	srv, m := scripted(t, ftpscript.Options{}, long)
	tree(srv, 1, 5)
	names(t, m.Path("dir0"))
	gate := make(chan struct{})
	srv.Add(ftpscript.Rule{Match: func(c ftpscript.Command) bool { return c.Verb != "CONNECT" }, Hold: gate})
	mark := srv.Mark()
	put(t, m.Path("dir0", "new"), []byte("new content"))
	put(t, m.Path("dir0", "file1"), []byte("replaced"))
	holds(t, m.Path("dir0", "new"), []byte("new content"))
	close(gate)
	syncNow(t, m)
	if got, _ := srv.Tree.Get("/dir0/new"); string(got) != "new content" {
		t.Errorf("on the server: %q, want %q", got, "new content")
	}
	if got, _ := srv.Tree.Get("/dir0/file1"); string(got) != "replaced" {
		t.Errorf("on the server: %q, want %q", got, "replaced")
	}
	got := asked(srv.Since(mark))
	if len(got.Verbs("STOR", "APPE")) != 2 || len(got.Verbs("RNTO")) != 2 {
		t.Errorf("two small files: want two STOR and two RNTO, got:\n%s", got)
	}
}

func TestSequentialReadIsOneStream(t *testing.T) {
	srv, m := scripted(t, ftpscript.Options{}, long)
	data := noise(1, 8<<20)
	srv.Tree.Put("/big", data)
	names(t, m.Path())
	got := asked(costs(srv, func() { holds(t, m.Path("big"), data) }))
	if len(got.Transfers()) != 1 {
		t.Errorf("reading 8 MiB front to back: want one transfer, got:\n%s", got)
	}
	questions := 0 // one more comes with the first: does the server tell /BIG from it?
	for _, c := range got.Verbs("MLST") {
		if c.Path == "/big" {
			questions++
		}
	}
	if questions != 2 {
		t.Errorf("reading 8 MiB front to back: want two questions, with the transfer and at its end, got:\n%s", got)
	}
}

func TestTemporaryNamesUsuallyNeverReachTheServer(t *testing.T) {
	srv, m := scripted(t, ftpscript.Options{}, long)
	// An upload begins 400 ms after the close. A name that this machine let stand for longer
	// may be on the server, and counts for nothing: another file is written instead.
	const delay, files = 400 * time.Millisecond, 10
	late := map[string]bool{}
	mark := srv.Mark()
	for i := 0; i < files+len(late)/2; i++ {
		name := fmt.Sprintf("file%d", i)
		temp := "." + name + ".AbCdEf"
		begun := time.Now()
		put(t, m.Path(temp), []byte("x"))
		time.Sleep(delay / 8) // long enough for an upload that does not wait
		must(t, os.Rename(m.Path(temp), m.Path(name)))
		if time.Since(begun) > delay*3/4 {
			late["/"+name], late["/"+temp] = true, true
		}
		if i > 50*files {
			t.Fatalf("%d of %d files took longer than %v", len(late)/2, i, delay*3/4)
		}
	}
	syncNow(t, m)
	got := srv.Since(mark)
	if n := len(got.Verbs("RNTO").Filter(func(c ftpscript.Command) bool { return !late[c.Path] })); n != files {
		t.Errorf("%d files written as rsync does: %d renames on the server:\n%s", files, n, asked(got))
	}
}

func TestAnIdleMountIsSilent(t *testing.T) {
	srv, m := scripted(t, ftpscript.Options{}, long)
	tree(srv, 1, 3)
	names(t, m.Path("dir0"))
	mark := srv.Mark()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	got, _ := srv.Await(ctx, mark, func(c ftpscript.Commands) bool { return len(asked(c)) > 0 })
	if len(asked(got)) > 0 {
		t.Errorf("an idle mount sent:\n%s", got)
	}
}
