package mounts

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

const table = `22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:50 / /mnt/a\040b rw,nosuid,nodev - fuse.ftpfs ftp://h/x\040y rw,user_id=1000,group_id=1000,allow_other
31 22 0:50 /sub /srv/bind rw shared:7 master:3 - fuse.ftpfs ftp://h/x rw,user_id=0,group_id=0
32 22 0:51 / /mnt/auto rw - autofs systemd-1 rw,fd=3
33 32 0:52 / /mnt/auto rw - fuse.ftpfs ftp://h rw,user_id=0
bad line
34 22 0:53 / /mnt/a rw - tmpfs tmpfs rw
`

func TestParse(t *testing.T) {
	all, err := parse(strings.NewReader(table))
	if err != nil || len(all) != 6 {
		t.Fatalf("%d mounts, %v; want 6", len(all), err)
	}
	m := all[1]
	if m.Point != "/mnt/a b" || m.Source != "ftp://h/x y" || !m.Ours() || m.Owner() != 1000 || m.ID != 30 {
		t.Errorf("got %+v, owner %d", m, m.Owner())
	}
	if at, ok := At(all, "/mnt/auto"); !ok || at.ID != 33 {
		t.Errorf("topmost at /mnt/auto is %+v", at)
	}
	for _, c := range []struct {
		path, within string
		id           int
	}{
		{"/mnt/a b", "/", 30}, {"/mnt/a b/f/g", "/f/g", 30}, {"/srv/bind/f", "/sub/f", 31}, {"/srv/bindx", "/srv/bindx", 22},
		{"/mnt/auto/x", "/x", 33}, {"/mnt/a/z", "/z", 34}, {"/", "/", 22},
	} {
		m, within, ok := Containing(all, c.path)
		if !ok || m.ID != c.id || within != c.within {
			t.Errorf("Containing(%q) = mount %d, %q, %v; want %d, %q", c.path, m.ID, within, ok, c.id, c.within)
		}
	}
}

func TestPrepare(t *testing.T) {
	base := t.TempDir()
	mk := func(name string, dir bool) string {
		p := filepath.Join(base, name)
		var err error
		if dir {
			err = os.Mkdir(p, 0o755)
		} else {
			err = os.WriteFile(p, nil, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	empty, full, file := mk("empty", true), mk("full", true), mk("file", false)
	mk("full/x", false)
	link := filepath.Join(base, "link")
	if err := os.Symlink(empty, link); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		dir      string
		nonempty bool
		want     string
	}{
		{empty, false, ""}, {full, true, ""}, {link, false, ""},
		{full, false, "not empty"},
		{file, false, "not a directory"},
		{file, true, "not a directory"},
		{file + "/below", false, "not a directory"},
		{base + "/missing", false, "does not exist"},
		{"/proc", false, "already a mount point (proc"},
		{"/dev/fd/3", false, "drop_privileges"},
	} {
		got, err := Prepare(c.dir, c.nonempty, nil)
		switch {
		case c.want == "" && err != nil:
			t.Errorf("Prepare(%s, %v): %v", c.dir, c.nonempty, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("Prepare(%s, %v) = %q, %v; want an error with %q", c.dir, c.nonempty, got, err, c.want)
		}
	}
	if got, _ := Prepare(link, false, nil); got != empty {
		t.Errorf("a link to %s resolves to %s", empty, got)
	}
}

func TestResolveStopsAtOurMounts(t *testing.T) {
	base := t.TempDir()
	for _, d := range []string{"real/mnt", "real/other"} {
		if err := os.MkdirAll(filepath.Join(base, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, to := range map[string]string{"abs": base + "/real", "rel": "real/mnt", "loop": "loop", "real/mnt/in": "/etc", "real/up": "../rel"} {
		if err := os.Symlink(to, filepath.Join(base, name)); err != nil {
			t.Fatal(err)
		}
	}
	all := []Mount{{Point: base + "/real/mnt", Type: Type}, {Point: base + "/real/other", Type: "tmpfs"}}
	t.Chdir(base)
	for in, want := range map[string]string{
		"abs/mnt": "/real/mnt", "rel": "/real/mnt", "rel/in/passwd": "/real/mnt/in/passwd", "abs/up/in": "/real/mnt/in",
		"abs/other/none/x": "/real/other/none/x", "./rel/../": "", "loop": "/loop",
	} {
		if got, err := Resolve(in, all); err != nil || got != base+want {
			t.Errorf("Resolve(%q) = %q, %v; want %q", in, got, err, base+want)
		}
	}
}

func TestGone(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("none", dir, "tmpfs", 0, ""); err != nil {
		t.Skipf("cannot mount a tmpfs: %v", err)
	}
	all, err := All()
	if err != nil {
		t.Fatal(err)
	}
	m, ok := At(all, dir)
	if !ok {
		t.Fatalf("%s is not in the table", dir)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Gone(ctx, m.ID); err != context.Canceled {
		t.Errorf("with an ended context: %v", err)
	}
	done := make(chan error, 1)
	go func() { done <- Gone(t.Context(), m.ID) }()
	if err := unix.Unmount(dir, 0); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Errorf("after the unmount: %v", err)
	}
}
