package mounted

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"ftpfs/test/ftpscript"
	"ftpfs/test/mount"
)

// calls are what a program may ask of a path that is not cached, with the errno
// it got.
func calls(dir func(...string) string) map[string]error {
	open := func(name string, flag int) error {
		f, err := os.OpenFile(name, flag, 0o644)
		if err == nil {
			_, err = f.Read(make([]byte, 10))
			f.Close()
		}
		return err
	}
	_, statErr := os.Lstat(dir("unknown", "x"))
	_, listErr := os.ReadDir(dir("unknown"))
	return map[string]error{
		"lstat in an unknown directory":  statErr,
		"list an unknown directory":      listErr,
		"open a file that is not cached": open(dir("known", "big"), os.O_RDONLY),
		"open in an unknown directory":   open(dir("unknown", "x"), os.O_RDONLY),
		"mkdir":                          os.Mkdir(dir("known", "new dir"), 0o755),
		"unlink":                         os.Remove(dir("known", "cached")),
		"rename of a directory":          os.Rename(dir("known", "sub"), dir("known", "sub2")),
		"rename of a file on the server": os.Rename(dir("known", "cached"), dir("known", "renamed")),
		"rmdir":                          syscall.Rmdir(dir("known", "sub")),
	}
}

// namesInDoubt lists a directory while the server is down: all that is known, and an
// error at the end.
func namesInDoubt(t testing.TB, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if !errors.Is(err, syscall.EIO) {
		t.Errorf("list %s while the server is down: %d entries and %v, want EIO behind them", dir, len(entries), err)
	}
	all := make([]string, len(entries))
	for i, e := range entries {
		all[i] = e.Name()
	}
	return all
}

// With the server stopped, everything that needs it fails with EIO or ETIMEDOUT,
// nothing is ENOENT, what is cached stays readable and writes go on. With the
// server back, all of it arrives.
func TestDeadServerIsNeverENOENT(t *testing.T) {
	onEach(t, func(t *testing.T, w work) {
		// Its own mount: with a timeout short enough to wait for.
		const timeout = 3 * time.Second
		w.Unmount()
		m := mountOf(t, w.srv, "timeout=3", "dir_cache_time=1")
		w.srv.Put("known/cached", []byte("cached content"))
		w.srv.Put("known/big", noise(1, 5<<20))
		w.srv.Put("known/sub/x", nil)
		w.srv.Put("unknown/x", []byte("x"))
		listing := names(t, m.Path("known"))
		names(t, m.Path("known", "sub"))
		names(t, m.Dir)
		holds(t, m.Path("known", "cached"), []byte("cached content"))

		for _, how := range []string{"stopped", "frozen"} {
			if how == "stopped" {
				w.srv.Stop()
			} else {
				w.srv.Freeze()
			}
			begun := time.Now()
			for what, err := range calls(m.Path) {
				if !errors.Is(err, syscall.EIO) && !errors.Is(err, syscall.ETIMEDOUT) {
					t.Errorf("server %s: %s: %v, want EIO or ETIMEDOUT", how, what, err)
				}
			}
			// The first call may spend the timeout, and no other: the rest is for slow
			// machines.
			if took := time.Since(begun); took > 20*timeout {
				t.Errorf("server %s: nine calls took %v with a timeout of %v", how, took, timeout)
			}
			holds(t, m.Path("known", "cached"), []byte("cached content"))
			if got := namesInDoubt(t, m.Path("known")); fmt.Sprint(got) != fmt.Sprint(listing) {
				t.Errorf("server %s: cached listing: %q, want %q", how, got, listing)
			}
			written := filepath.Join("known", "written while "+how)
			put(t, m.Path(written), []byte(how))
			holds(t, m.Path(written), []byte(how))
			listing = namesInDoubt(t, m.Path("known"))
			if s := m.Status(); s.Cache.Online || s.Cache.Owed != 1 {
				t.Errorf("server %s: status says online %v and %d owed, want offline and 1", how, s.Cache.Online, s.Cache.Owed)
			}
			if how == "stopped" {
				w.srv.Restart()
			} else {
				w.srv.Thaw()
			}
			syncNow(t, m)
			holds(t, filepath.Join(w.srv.Root, written), []byte(how))
		}
		holds(t, m.Path("known", "big"), noise(1, 5<<20))
		if _, err := os.Lstat(m.Path("known", "gone")); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("with the server back, a name that is not there: %v, want ENOENT", err)
		}
	})
}

// A listing that ends early or lies is an error, never a shorter directory.
func TestATornListingIsAnError(t *testing.T) {
	for name, o := range map[string]struct {
		options ftpscript.Options
		rule    ftpscript.Rule
	}{
		"cut":                    {ftpscript.Options{}, ftpscript.Rule{Verb: "MLSD", Path: "/d", Data: &ftpscript.DataFault{After: 100}}},
		"cut without 226":        {ftpscript.Options{}, ftpscript.Rule{Verb: "MLSD", Path: "/d", Data: &ftpscript.DataFault{After: 100}, Hangup: true}},
		"226 says truncated":     {ftpscript.Options{Refuse: []string{"MLSD", "MLST"}}, ftpscript.Rule{Verb: "LIST", Path: "/d", Final: "226 Output truncated to 10 matches"}},
		"a line nobody can read": {ftpscript.Options{Listing: func(_, dir string, l []string) []string { return append(l, "\x01\x02 garbage") }}, ftpscript.Rule{Verb: "NONE"}},
		"451":                    {ftpscript.Options{}, ftpscript.Rule{Verb: "MLSD", Path: "/d", Instead: "451 Local error."}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			listing := o.options.Listing
			if listing != nil {
				o.options.Listing = func(verb, dir string, l []string) []string {
					if dir != "/d" {
						return l
					}
					return listing(verb, dir, l)
				}
			}
			srv, m := scripted(t, o.options, "timeout=3")
			for i := range 50 {
				srv.Tree.Put(fmt.Sprintf("/d/file%02d", i), nil)
			}
			srv.Add(o.rule)
			entries, err := os.ReadDir(m.Path("d"))
			if err == nil {
				t.Errorf("listing: %d entries and no error, want EIO", len(entries))
			}
			wantErrno(t, "listing", err, syscall.EIO, syscall.ETIMEDOUT)
			_, err = os.Lstat(m.Path("d", "not there"))
			if errors.Is(err, os.ErrNotExist) && len(srv.Since(0).Verbs("MLST")) == 0 {
				t.Error("lstat: ENOENT without the server having said so")
			}
		})
	}
}

// A password that is refused while mounted (changed, or the server's directory of users
// is away) is an outage and no matter of rights. A person is told, and it ends by itself.
func TestARefusedLoginIsAnOutage(t *testing.T) {
	t.Parallel()
	srv, m := scripted(t, ftpscript.Options{}, "dir_cache_time=1")
	srv.Tree.Put("/known/cached", []byte("cached content"))
	srv.Tree.Put("/unknown/x", []byte("x"))
	listing := names(t, m.Path("known"))
	names(t, m.Dir)
	holds(t, m.Path("known", "cached"), []byte("cached content"))
	refused := srv.Add(ftpscript.Rule{Verb: "PASS", Instead: "530 Login incorrect."})
	srv.KillSessions()
	eventually(t, "notice", func() bool {
		_, err := os.ReadDir(m.Path("known"))
		return err != nil
	})
	if got := namesInDoubt(t, m.Path("known")); !slices.Equal(got, listing) {
		t.Errorf("listing %q, want %q", got, listing)
	}
	holds(t, m.Path("known", "cached"), []byte("cached content"))
	put(t, m.Path("known", "new"), []byte("new"))
	put(t, m.Path("known", "cached"), []byte("written over"))
	if _, err := os.Lstat(m.Path("unknown", "x")); !errors.Is(err, syscall.EIO) {
		t.Errorf("lstat in an unknown directory: %v, want EIO", err)
	}
	if err := os.Mkdir(m.Path("known", "d"), 0o755); !errors.Is(err, syscall.EIO) {
		t.Errorf("mkdir: %v, want EIO", err)
	}
	said := mount.Ftpfs(t, "status", m.Dir).Out
	if !strings.Contains(said, "refuses the login: 530 Login incorrect.") {
		t.Errorf("status:\n%s", said)
	}
	refused.Remove()
	if r := mount.Ftpfs(t, "retry", m.Dir); r.Code != 0 {
		t.Errorf("retry: %+v", r)
	}
	if r := mount.Ftpfs(t, "sync", m.Dir); r.Code != 0 {
		t.Errorf("sync: %+v", r)
	}
	for name, want := range map[string]string{"new": "new", "cached": "written over"} {
		if got, ok := srv.Tree.Get("/known/" + name); !ok || string(got) != want {
			t.Errorf("%s on the server: %q, want %q", name, got, want)
		}
	}
}
