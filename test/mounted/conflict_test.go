package mounted

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ftpfs/test/mount"
	"ftpfs/test/servers"
)

// Somebody else changes, removes, renames or replaces a file on the server while it is
// changed here. Both versions survive; the log, ftpfs status and its --json name them,
// also after the next mount.
func TestConflictsAreTold(t *testing.T) {
	cases := []struct {
		name, what string
		do         func(t *testing.T, theirs string)
		theirs     func(t *testing.T, theirs string)
	}{
		{"changed", "changed",
			func(t *testing.T, p string) { must(t, os.WriteFile(p, []byte("their longer edit"), 0o644)) },
			func(t *testing.T, p string) { holds(t, p, []byte("their longer edit")) }},
		{"removed", "removed",
			func(t *testing.T, p string) { must(t, os.Remove(p)) },
			func(t *testing.T, p string) { holds(t, p, []byte("ours")) }},
		{"renamed", "removed",
			func(t *testing.T, p string) { must(t, os.Rename(p, p+" elsewhere")) },
			func(t *testing.T, p string) { holds(t, p, []byte("ours")); holds(t, p+" elsewhere", []byte("base")) }},
		{"a directory", "replaced",
			func(t *testing.T, p string) {
				must(t, os.Remove(p))
				must(t, os.Mkdir(p, 0o755))
				put(t, filepath.Join(p, "inside"), []byte("x"))
			},
			func(t *testing.T, p string) {
				// The kernel asks nobody whether what it has for a file is a directory now,
				// for as long as it was told that the name is good.
				eventually(t, "see that "+p+" is a directory", func() bool {
					info, err := os.Stat(p)
					return err == nil && info.IsDir()
				})
				holds(t, filepath.Join(p, "inside"), []byte("x"))
			}},
	}
	onEach(t, func(t *testing.T, w work) {
		for _, c := range cases {
			w.srv.Put("d/"+c.name+".txt", []byte("base"))
		}
		for _, c := range cases {
			holds(t, w.Path("d", c.name+".txt"), []byte("base"))
		}
		var open []*os.File
		for _, c := range cases {
			f, err := os.OpenFile(w.Path("d", c.name+".txt"), os.O_WRONLY|os.O_TRUNC, 0)
			must(t, err)
			_, err = f.WriteString("ours")
			must(t, err)
			open = append(open, f)
			c.do(t, w.behind(w.Path("d", c.name+".txt")))
		}
		w.srv.Own(w.srv.Root)
		for _, f := range open {
			must(t, f.Close())
		}
		syncNow(t, w.Mount)
		log := w.Log()
		check := func(m *mount.Mount, when string) {
			told := m.Status().Cache.Conflicts
			text := mount.Ftpfs(t, "status", m.Dir).Out
			if len(told) != len(cases) {
				t.Fatalf("%s: %+v, want %d conflicts", when, told, len(cases))
			}
			for _, c := range cases {
				p := "/d/" + c.name + ".txt"
				found := false
				for _, k := range told {
					if k.Path != p {
						continue
					}
					found = true
					if k.What != c.what || (k.Copy == "") != (c.what == "removed") {
						t.Errorf("%s: %+v, want %s", when, k, c.what)
					}
					if !strings.Contains(text, filepath.Join(m.Dir, p)) || !strings.Contains(text, filepath.Join(m.Dir, k.Copy)) {
						t.Errorf("%s: ftpfs status does not name %s and its copy:\n%s", when, p, text)
					}
					if !strings.Contains(log, p) {
						t.Errorf("the log does not name %s", p)
					}
					if k.Copy != "" {
						holds(t, filepath.Join(w.srv.Root, k.Copy), []byte("ours"))
						holds(t, m.Path(k.Copy), []byte("ours"))
					}
				}
				if !found {
					t.Errorf("%s: %s is not among %+v", when, p, told)
				}
				c.theirs(t, filepath.Join(w.srv.Root, p))
				c.theirs(t, m.Path(p))
			}
		}
		check(w.Mount, "while mounted")
		w.Unmount()
		check(w.Again(mount.Options{Password: w.srv.Password}), "after the next mount")
		noTemporaryNames(t, w.srv.Root)
	})
}

// A conflict that nobody could notice before: the daemon was killed, and the file
// changed on the server before the next mount.
func TestConflictFoundAtTheNextMount(t *testing.T) {
	w := on(t, servers.VSFTPD, "timeout=3")
	w.srv.Put("f", []byte("base"))
	holds(t, w.Path("f"), []byte("base"))
	w.srv.Freeze()
	put(t, w.Path("f"), []byte("ours"))
	w.Kill()
	w.srv.Thaw()
	w.srv.Put("f", []byte("their edit"))
	m := w.Again(mount.Options{Password: w.srv.Password})
	syncNow(t, m)
	holds(t, filepath.Join(w.srv.Root, "f"), []byte("their edit"))
	told := m.Status().Cache.Conflicts
	if len(told) != 1 || told[0].Path != "/f" {
		t.Fatalf("conflicts told: %+v, want one, of /f", told)
	}
	holds(t, filepath.Join(w.srv.Root, told[0].Copy), []byte("ours"))
}

// After a conflict stat by the old name shows their file, also when nothing was opened or
// listed since, and however long the kernel was told that it may keep the name.
func TestStatAfterAConflictIsOfTheirs(t *testing.T) {
	w := on(t, servers.VSFTPD, "dir_cache_time=600")
	w.srv.Put("f", []byte("base"))
	holds(t, w.Path("f"), []byte("base"))
	f, err := os.OpenFile(w.Path("f"), os.O_WRONLY|os.O_TRUNC, 0)
	must(t, err)
	_, err = f.WriteString(" ours")
	must(t, err)
	const theirs = "their edit, which is longer"
	w.srv.Put("f", []byte(theirs))
	w.srv.Own(w.srv.Root)
	must(t, f.Close())
	syncNow(t, w.Mount)
	eventually(t, "their size", func() bool {
		fi, err := os.Stat(w.Path("f"))
		return err == nil && fi.Size() == int64(len(theirs))
	})
}
