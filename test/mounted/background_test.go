package mounted

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ftpfs/test/ftpscript"
	"ftpfs/test/mount"
)

// Without -f the command returns when the mount is usable; unmounting ends the
// daemon. The password shows nowhere.
func TestBackground(t *testing.T) {
	srv := ftpscript.Start(t, ftpscript.Options{})
	srv.Tree.Put("/d/f", []byte("hello"))
	dir := mount.TempDir(t)
	point := mkdir(t, filepath.Join(dir, "mnt"))
	t.Cleanup(func() { mount.Detach(point) })
	env := []string{"FTPFS_PASSWORD=" + ftpscript.Password}
	program, err := mount.Program()
	must(t, err)
	helper := filepath.Join(dir, "mount.ftpfs")
	must(t, os.Symlink(program, helper))

	for name, argv := range map[string][]string{
		"ftpfs":          {program, "-o", "cache_dir=" + dir + "/cache", srv.URL("d"), point},
		"options last":   {program, srv.URL("d"), point, "-o", "cache_dir=" + dir + "/cache"},
		"mount.ftpfs":    {helper, srv.URL("d"), point, "-o", "rw,_netdev,user,x-systemd.automount,cache_dir=" + dir + "/cache"},
		"password in it": {program, "-o", "cache_dir=" + dir + "/cache", strings.Replace(srv.URL("d"), "@", ":"+ftpscript.Password+"@", 1), point},
	} {
		t.Run(name, func(t *testing.T) {
			c := mount.Command{Env: env}
			if name == "password in it" {
				c.Env = nil
			}
			if r := c.Do(t, argv[0], argv[1:]...); r.Code != 0 {
				t.Fatalf("mount: %+v", r)
			}
			holds(t, filepath.Join(point, "f"), []byte("hello"))
			r := mount.Ftpfs(t, "status", "--json", point)
			var report struct{ Mounts []mount.Status }
			if err := json.Unmarshal([]byte(r.Out), &report); err != nil || len(report.Mounts) != 1 {
				t.Fatalf("status: %v: %+v", err, r)
			}
			pid := report.Mounts[0].PID
			mounts := ""
			for line := range strings.Lines(string(get(t, "/proc/mounts"))) {
				if strings.Contains(line, point) { // others' may hold anything
					mounts += line
				}
			}
			for what, text := range map[string]string{"/proc/mounts": mounts, "argv": mount.CommandLine(pid), "status": r.Out} {
				if strings.Contains(text, ftpscript.Password) {
					t.Errorf("the password is in %s: %s", what, text)
				}
			}
			if !strings.Contains(mounts, point+" fuse.ftpfs ") {
				t.Errorf("/proc/mounts has no fuse.ftpfs at %s", point)
			}
			put(t, filepath.Join(point, "new "+name), []byte(name))
			if r := mount.Ftpfs(t, "unmount", point); r.Code != 0 {
				t.Fatalf("unmount: %+v", r)
			}
			if got, _ := srv.Tree.Get("/d/new " + name); string(got) != name {
				t.Errorf("on the server after unmount: %q", got)
			}
			if !mount.Gone(pid) {
				t.Errorf("the daemon (%d) outlives ftpfs unmount", pid)
			}
			if len(names(t, point)) != 0 {
				t.Error("still mounted after ftpfs unmount")
			}
		})
	}
}

// A dead mount at the mountpoint is replaced; SIGTERM ends a daemon cleanly and
// what is owed stays in the spool.
func TestSIGTERMKeepsWhatIsOwed(t *testing.T) {
	srv, m := scripted(t, ftpscript.Options{}, "timeout=3")
	names(t, m.Dir)
	srv.Stop()
	put(t, m.Path("owed"), []byte("owed"))
	m.Signal(15)
	m.AwaitEnd()
	must(t, srv.Restart())
	again := m.Again(mount.Options{Password: ftpscript.Password})
	holds(t, again.Path("owed"), []byte("owed"))
	syncNow(t, again)
	if got, _ := srv.Tree.Get("/owed"); string(got) != "owed" {
		t.Errorf("on the server: %q, want %q", got, "owed")
	}
}

// The names of mount point and directory may be any bytes: the daemon gets them as they
// are, and the commands find the mount by them.
func TestAMountPointOfAnyBytes(t *testing.T) {
	srv := ftpscript.Start(t, ftpscript.Options{})
	srv.Tree.Put("/d\xff/f", []byte("hello"))
	dir := mount.TempDir(t)
	point := mkdir(t, filepath.Join(dir, "M\xffz"))
	t.Cleanup(func() { mount.Detach(point) })
	program, err := mount.Program()
	must(t, err)
	c := mount.Command{Env: []string{"FTPFS_PASSWORD=" + ftpscript.Password}}
	if r := c.Do(t, program, "-o", "cache_dir="+dir+"/cache\xff", srv.URL("d%FF"), point); r.Code != 0 {
		t.Fatalf("mount: %+v", r)
	}
	holds(t, filepath.Join(point, "f"), []byte("hello"))
	put(t, filepath.Join(point, "new"), []byte("new"))
	for _, command := range []string{"sync", "status", "unmount"} {
		if r := mount.Ftpfs(t, command, point); r.Code != 0 {
			t.Errorf("%s: %+v", command, r)
		}
	}
	if got, _ := srv.Tree.Get("/d\xff/new"); string(got) != "new" {
		t.Errorf("on the server: %q", got)
	}
	if len(names(t, point)) != 0 {
		t.Error("still mounted after ftpfs unmount")
	}
}
