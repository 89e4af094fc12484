package mounted

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"ftpfs/test/ftpscript"
	"ftpfs/test/mount"
)

// deed is what a program does in the mount, and the commands that it comes down to.
type deed struct {
	name  string
	verbs []string // the fault is at these
	do    func(p func(...string) string) error
	// done looks at the server; nil for what only asks, and checks its answer in do.
	done  func(t *ftpscript.Tree) bool
	later bool // done after the call, in the background
}

var (
	faultSmall = noise(31, 3000)
	faultLarge = noise(32, 3<<20)
	faultNew   = noise(33, 200_000)
	faultTime  = time.Date(2022, 2, 3, 4, 5, 6, 0, time.UTC)
)

func plantForFaults(t *ftpscript.Tree) {
	for _, name := range []string{"small", "stat", "over", "from", "target", "unlink", "rename", "time", "mode", "cut", "log"} {
		t.Put("/d/"+name, faultSmall)
	}
	t.Put("/d/large", faultLarge)
	t.MkdirAll("/d/empty")
	t.Put("/d/dir/inside", faultSmall)
	t.Put("/d/list/one", nil)
	t.Put("/d/list/two", nil)
}

func serverHolds(name string, want []byte) func(*ftpscript.Tree) bool {
	return func(t *ftpscript.Tree) bool {
		got, ok := t.Get("/d/" + name)
		return ok && bytes.Equal(got, want)
	}
}

func onServer(name string, is bool) func(*ftpscript.Tree) bool {
	return func(t *ftpscript.Tree) bool { _, ok := t.Stat("/d/" + name); return ok == is }
}

func allOf(fs ...func(*ftpscript.Tree) bool) func(*ftpscript.Tree) bool {
	return func(t *ftpscript.Tree) bool {
		for _, f := range fs {
			if !f(t) {
				return false
			}
		}
		return true
	}
}

// readsAs reads a file from off and compares; a difference is no errno.
func readsAs(name string, off int64, want []byte) func(func(...string) string) error {
	return func(p func(...string) string) error {
		f, err := os.Open(p("d", name))
		if err != nil {
			return err
		}
		defer f.Close()
		got := make([]byte, len(want)+1)
		n := 0
		for n < len(got) && err == nil {
			var m int
			m, err = f.ReadAt(got[n:], off+int64(n))
			n += m
		}
		if !bytes.HasPrefix(want, got[:n]) || err != nil && err.Error() == "EOF" && n != len(want) {
			return fmt.Errorf("a false answer: %d bytes, %v", n, err)
		}
		if n == len(want) {
			return nil
		}
		return err
	}
}

func writes(name string, flag int, data []byte) func(func(...string) string) error {
	return func(p func(...string) string) error {
		f, err := os.OpenFile(p("d", name), os.O_WRONLY|flag, 0o644)
		if err != nil {
			return err
		}
		_, err = f.Write(data)
		return errors.Join(err, f.Close())
	}
}

var deeds = []deed{
	{name: "lookup", verbs: []string{"MLST", "SIZE", "MLSD"}, do: func(p func(...string) string) error {
		fi, err := os.Lstat(p("d", "stat"))
		if err == nil && fi.Size() != int64(len(faultSmall)) {
			return fmt.Errorf("a false answer: %d bytes", fi.Size())
		}
		return err
	}},
	{name: "readdir", verbs: []string{"MLSD", "LIST"}, do: func(p func(...string) string) error {
		entries, err := os.ReadDir(p("d", "list"))
		if err == nil && len(entries) != 2 {
			return fmt.Errorf("a false answer: %d entries", len(entries))
		}
		return err
	}},
	{name: "read of a small file", verbs: []string{"RETR"}, do: readsAs("small", 0, faultSmall)},
	{name: "read of a large file", verbs: []string{"RETR"}, do: readsAs("large", 0, faultLarge)},
	{name: "read at an offset", verbs: []string{"RETR"}, do: readsAs("large", 2<<20, faultLarge[2<<20:])},
	{name: "create", verbs: []string{"STOR"}, later: true, do: writes("new", os.O_CREATE, faultNew), done: serverHolds("new", faultNew)},
	{name: "overwrite", verbs: []string{"STOR"}, later: true, do: writes("over", os.O_TRUNC, faultNew), done: serverHolds("over", faultNew)},
	{name: "append", verbs: []string{"STOR", "APPE"}, later: true, do: writes("log", os.O_APPEND, faultNew), done: serverHolds("log", append(bytes.Clone(faultSmall), faultNew...))},
	{name: "publishing", verbs: []string{"RNTO"}, later: true, do: writes("new2", os.O_CREATE, faultNew), done: serverHolds("new2", faultNew)},
	{name: "mkdir", verbs: []string{"MKD"}, do: func(p func(...string) string) error { return os.Mkdir(p("d", "made"), 0o755) }, done: onServer("made", true)},
	{name: "rmdir", verbs: []string{"RMD"}, do: func(p func(...string) string) error { return syscall.Rmdir(p("d", "empty")) }, done: onServer("empty", false)},
	{name: "unlink", verbs: []string{"DELE"}, do: func(p func(...string) string) error { return syscall.Unlink(p("d", "unlink")) }, done: onServer("unlink", false)},
	{name: "rename", verbs: []string{"RNTO"}, do: func(p func(...string) string) error { return os.Rename(p("d", "rename"), p("d", "renamed")) },
		done: allOf(serverHolds("renamed", faultSmall), onServer("rename", false))},
	{name: "rename of a directory", verbs: []string{"RNTO"}, do: func(p func(...string) string) error { return os.Rename(p("d", "dir"), p("d", "dir2")) },
		done: allOf(serverHolds("dir2/inside", faultSmall), onServer("dir", false))},
	{name: "rename over", verbs: []string{"RNTO"}, do: func(p func(...string) string) error { return os.Rename(p("d", "from"), p("d", "target")) },
		done: allOf(serverHolds("target", faultSmall), onServer("from", false))},
	{name: "truncate", verbs: []string{"STOR", "RETR"}, later: true, do: func(p func(...string) string) error { return os.Truncate(p("d", "cut"), 100) }, done: serverHolds("cut", faultSmall[:100])},
	{name: "utimens", verbs: []string{"MFMT"}, later: true, do: func(p func(...string) string) error { return os.Chtimes(p("d", "time"), faultTime, faultTime) },
		done: func(t *ftpscript.Tree) bool { f, _ := t.Stat("/d/time"); return f.MTime.Equal(faultTime) }},
	{name: "chmod", verbs: []string{"SITE CHMOD"}, later: true, do: func(p func(...string) string) error { return os.Chmod(p("d", "mode"), 0o600) },
		done: func(t *ftpscript.Tree) bool { f, _ := t.Stat("/d/mode"); return f.Mode == 0o600 }},
	{name: "statfs", verbs: []string{"SITE QUOTA"}, do: func(p func(...string) string) error { var s syscall.Statfs_t; return syscall.Statfs(p("d"), &s) }},
}

// faultsInMount are rules without a verb; hold is closed when the fault is lifted.
func faultsInMount(hold <-chan struct{}) map[string]ftpscript.Rule {
	return map[string]ftpscript.Rule{
		"reset before":          {Drop: true},
		"reset after":           {Hangup: true},
		"421":                   {Instead: "421 Going down."},
		"451":                   {Instead: "451 Local error."},
		"no reply":              {Swallow: true},
		"stuck":                 {Hold: hold},
		"garbage":               {Speak: ftpscript.Raw("\x00\xff what?\r\n")},
		"endless line":          {Speak: ftpscript.Endless("250 ", "x")},
		"data cut, 226":         {Data: &ftpscript.DataFault{After: 50, Reply: "226 Transfer complete."}},
		"data reset":            {Data: &ftpscript.DataFault{After: 50, Reset: true}},
		"data stuck":            {Data: &ftpscript.DataFault{After: 50, Hold: hold}},
		"disk full, in between": {Data: &ftpscript.DataFault{After: 50, Reply: "552 Quota exceeded."}},
	}
}

// TestFaultsThroughTheMount does what programs do, in the mounted program, on a
// server that fails at the very command; then the fault is lifted. No fault is ever
// ENOENT or a false answer, no call hangs, what was closed arrives, what failed can
// be done again, and the daemon keeps no descriptor.
func TestFaultsThroughTheMount(t *testing.T) {
	cells := 0
	names := faultsInMount(nil)
	if testing.Short() {
		names = map[string]ftpscript.Rule{"reset after": {}, "data cut, 226": {}}
	}
	var all sync.WaitGroup
	for name := range names {
		cells += len(deeds)
		// Most of it is waiting for timeouts: all at once, and not as many at a time as
		// there are processors, which is what t.Parallel does.
		all.Go(func() {
			t.Run(name, func(t *testing.T) {
				srv := ftpscript.Start(t, ftpscript.Options{ListSelf: true})
				plantForFaults(srv.Tree)
				m := mount.New(t, mount.Options{URL: srv.URL(""), Password: ftpscript.Password, Watchdog: 8 * time.Minute,
					O: []string{"timeout=1", "dir_cache_time=0"}})
				lists(t, m.Path("d", "list"))
				for _, d := range deeds {
					faultAndLift(t, srv, m, name, d)
				}
				// Content that is held keeps its file open: what was opened for the first
				// round is not opened again for another.
				before := openFiles(t, m)
				for _, d := range deeds {
					if d.done == nil {
						faultAndLift(t, srv, m, name, d)
					}
				}
				if n := openFiles(t, m); n > before+1 {
					t.Errorf("%d open files, %d before", n, before)
				}
				if n := srv.Open(); n > 8 {
					t.Errorf("%d sessions", n)
				}
			})
		})
	}
	all.Wait()
	t.Logf("figure: faults through the mount: %d kinds × %d operations = %d cells", len(names), len(deeds), cells)
}

// openFiles counts the daemon's descriptors without its sockets.
func openFiles(t *testing.T, m *mount.Mount) int {
	t.Helper()
	links, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", m.PID()))
	must(t, err)
	n := 0
	for _, l := range links {
		if to, err := os.Readlink(l); err == nil && !bytes.HasPrefix([]byte(to), []byte("socket:")) {
			n++
		}
	}
	return n
}

func faultAndLift(t *testing.T, srv *ftpscript.Server, m *mount.Mount, name string, d deed) {
	t.Helper()
	hold := make(chan struct{})
	var rules []*ftpscript.Applied
	hit := make(chan struct{}, 100)
	for _, v := range d.verbs {
		rule := faultsInMount(hold)[name]
		rule.Verb = v
		rule.Match = func(ftpscript.Command) bool {
			select {
			case hit <- struct{}{}:
			default:
			}
			return true
		}
		rules = append(rules, srv.Add(rule))
	}
	err := d.do(m.Path)
	if err != nil {
		wantErrno(t, name+": "+d.name, err, syscall.EIO, syscall.ETIMEDOUT, syscall.ENOSPC)
	} else if d.later {
		select {
		case <-hit:
		case <-time.After(4 * time.Minute):
			t.Errorf("%s: %s: nothing was sent", name, d.name)
		}
	} else if d.done != nil && !d.done(srv.Tree) {
		t.Errorf("%s: %s: no error, and it is not done", name, d.name)
	}
	for _, r := range rules {
		r.Remove()
	}
	close(hold)
	eventually(t, "find the server well after "+d.name, func() bool {
		_, err := os.ReadDir(m.Path("d", "list"))
		return err == nil
	})
	if err != nil && (d.done == nil || !d.done(srv.Tree)) {
		if err := d.do(m.Path); err != nil {
			t.Errorf("%s: %s afterwards: %v", name, d.name, err)
		}
	}
	if d.done == nil {
		return
	}
	mount.Ftpfs(t, "retry", m.Dir) // a full disk parks
	m.Sync()
	if !d.done(srv.Tree) {
		t.Errorf("%s: %s: afterwards it is not on the server (error at first: %v)", name, d.name, err)
	}
}
