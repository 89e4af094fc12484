package mounted

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ftpfs/test/ftpscript"
	"ftpfs/test/mount"
)

// Nothing that was written needs the server to be read back, through any handle
// or name.
func TestReadYourWrites(t *testing.T) {
	srv, m := scripted(t, ftpscript.Options{})
	srv.Tree.Put("/d/old", []byte("from the server"))
	names(t, m.Path("d"))
	holds(t, m.Path("d", "old"), []byte("from the server"))
	srv.Stop()
	name := m.Path("d", "new")
	first, err := os.Create(name)
	must(t, err)
	defer first.Close()
	second, err := os.OpenFile(name, os.O_RDWR, 0)
	must(t, err)
	defer second.Close()
	_, err = first.WriteString("hello world")
	must(t, err)
	_, err = second.WriteAt([]byte("W"), 6)
	must(t, err)
	got, err := io.ReadAll(second)
	if err != nil || string(got) != "hello World" {
		t.Errorf("through the other handle: %q, %v", got, err)
	}
	holds(t, name, []byte("hello World"))
	must(t, os.Rename(name, m.Path("d", "moved")))
	holds(t, m.Path("d", "moved"), []byte("hello World"))
	put(t, m.Path("d", "old"), []byte("mine"))
	holds(t, m.Path("d", "old"), []byte("mine"))
	if info, err := os.Stat(m.Path("d", "old")); err != nil || info.Size() != 4 {
		t.Errorf("size of what was written: %v, %v, want 4", info, err)
	}
	must(t, first.Close())
	must(t, second.Close())
	must(t, srv.Restart())
	syncNow(t, m)
	if got, _ := srv.Tree.Get("/d/moved"); string(got) != "hello World" {
		t.Errorf("on the server in the end: %q", got)
	}
}

// Somebody else changes the file on the server between our reading and our
// publishing: theirs keeps its name, ours is kept beside it.
func TestConflictKeepsBoth(t *testing.T) {
	onEach(t, func(t *testing.T, w work) {
		w.srv.Put("shared.txt", []byte("base"))
		holds(t, w.Path("shared.txt"), []byte("base"))
		f, err := os.OpenFile(w.Path("shared.txt"), os.O_WRONLY|os.O_TRUNC, 0)
		must(t, err)
		_, err = f.WriteString("our edit")
		must(t, err)
		w.srv.Put("shared.txt", []byte("their edit, of another length"))
		must(t, f.Close())
		mount.Ftpfs(t, "sync", w.Dir)
		holds(t, filepath.Join(w.srv.Root, "shared.txt"), []byte("their edit, of another length"))
		all := names(t, w.srv.Root)
		if len(all) != 2 {
			t.Fatalf("on the server: %q, want theirs and a copy of ours", all)
		}
		for _, name := range all {
			if name != "shared.txt" {
				holds(t, filepath.Join(w.srv.Root, name), []byte("our edit"))
				if !strings.Contains(name, "shared") {
					t.Errorf("the copy is named %q, which does not tell of what", name)
				}
			}
		}
	})
}

// sync returns when the file is on the server and not before, and tells by its
// exit code what is left.
func TestSyncWaits(t *testing.T) {
	srv, m := scripted(t, ftpscript.Options{}, "timeout=5")
	gate := make(chan struct{})
	held := srv.Add(ftpscript.Rule{Verb: "RNTO", Times: 1, Hold: gate})
	put(t, m.Path("f"), []byte("x"))
	done := make(chan mount.Result, 1)
	go func() { done <- mount.Ftpfs(t, "sync", m.Dir) }()
	<-held.Hit()
	select {
	case r := <-done:
		t.Errorf("sync returned before the file was there: %+v", r)
	default:
	}
	if s := m.State("f"); s == "clean" {
		t.Errorf("user.ftpfs.state of a file on its way: %q", s)
	}
	close(gate)
	if r := <-done; r.Code != 0 {
		t.Errorf("sync: %+v, want exit code 0", r)
	}
	if s := m.State("f"); s != "clean" {
		t.Errorf("user.ftpfs.state after sync: %q, want clean", s)
	}

	// Refused for good: parked, shown, kept.
	refused := srv.Add(ftpscript.Rule{Verb: "STOR", Instead: "552 Quota exceeded."})
	put(t, m.Path("g"), []byte("too much"))
	if r := mount.Ftpfs(t, "sync", m.Dir); r.Code != 4 {
		t.Errorf("sync of a parked file: %+v, want exit code 4", r)
	}
	holds(t, m.Path("g"), []byte("too much"))
	if s := m.State("g"); !strings.Contains(s, "parked") || !strings.Contains(s, "552") {
		t.Errorf("user.ftpfs.state of a parked file: %q, want parked and 552", s)
	}
	if s := m.Status(); s.Cache.Parked != 1 {
		t.Errorf("status: %d parked, want 1", s.Cache.Parked)
	}
	refused.Remove()
	if r := mount.Ftpfs(t, "retry", m.Dir); r.Code != 0 {
		t.Errorf("ftpfs retry: %+v", r)
	}
	syncNow(t, m)
	if got, _ := srv.Tree.Get("/g"); string(got) != "too much" {
		t.Errorf("after retry, on the server: %q", got)
	}

	// The server gone: still owed.
	srv.Stop()
	put(t, m.Path("h"), []byte("later"))
	if r := mount.Ftpfs(t, "sync", "--timeout", "1", m.Dir); r.Code != 3 {
		t.Errorf("sync with the server gone: %+v, want exit code 3", r)
	}
	must(t, srv.Restart())
	syncNow(t, m)
}

// sync_close: close returns when the file is on the server; fsync=server: fsync does.
func TestFsyncReachesServer(t *testing.T) {
	srv := ftpscript.Start(t, ftpscript.Options{})
	m := mountScript(t, srv, "fsync=server")
	f, err := os.Create(m.Path("f"))
	must(t, err)
	_, err = f.WriteString("synced")
	must(t, err)
	must(t, f.Sync())
	if got, _ := srv.Tree.Get("/f"); string(got) != "synced" {
		t.Errorf("on the server after fsync: %q", got)
	}
	must(t, f.Close())

	closing := mountScript(t, srv, "sync_close")
	put(t, closing.Path("g"), []byte("closed"))
	if got, _ := srv.Tree.Get("/g"); string(got) != "closed" {
		t.Errorf("on the server after close with sync_close: %q", got)
	}
	srv.Add(ftpscript.Rule{Verb: "STOR", Instead: "552 Quota exceeded."})
	if err := os.WriteFile(closing.Path("h"), []byte("x"), 0o644); err == nil {
		t.Error("close with sync_close reported nothing although the server refused the file")
	}
}

// What somebody else does on the server is seen within dir_cache_time, and never
// a mix of two versions.
func TestFreshWithinDirCacheTime(t *testing.T) {
	srv, m := scripted(t, ftpscript.Options{}, "dir_cache_time=1")
	before, after := bytes.Repeat([]byte("a"), 300_000), bytes.Repeat([]byte("b"), 400_000)
	srv.Tree.Put("/d/f", before)
	srv.Tree.SetTime("/d/f", time.Now().Add(-time.Hour))
	holds(t, m.Path("d", "f"), before)
	srv.Tree.Put("/d/f", after)
	srv.Tree.Put("/d/new", []byte("new"))
	srv.Tree.Remove("/d/gone")
	deadline := time.Now().Add(30 * time.Second)
	for {
		got := get(t, m.Path("d", "f"))
		if bytes.Equal(got, after) {
			break
		}
		if !bytes.Equal(got, before) {
			t.Fatalf("a mix of two versions: %s", difference(got, after))
		}
		if time.Now().After(deadline) {
			t.Fatal("the change on the server was never seen")
		}
	}
	holds(t, m.Path("d", "new"), []byte("new"))
}
