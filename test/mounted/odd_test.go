package mounted

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ftpfs/test/ftpscript"
	"ftpfs/test/mount"
)

// TestOddServers does an everyday round by a mount without options on each of the scripted
// servers as they are found: rsync there and back, cp, ls, mv over a file, an append.
func TestOddServers(t *testing.T) {
	for _, p := range ftpscript.Odd() {
		if testing.Short() && p.Name != "IIS" && !strings.HasPrefix(p.Name, "1 connection by 421 banner") {
			continue
		}
		t.Run(p.Name, func(t *testing.T) {
			t.Parallel()
			t.Log(p.Line("rsync there and back"))
			srv := ftpscript.Start(t, p.Options)
			srv.Tree.Put("/theirs", []byte("theirs\n"))
			thereAndBack(t, "", func() *mount.Mount { return mountScript(t, srv) }, func(m *mount.Mount) { everydayRound(t, srv, m) })
		})
	}
}

func everydayRound(t *testing.T, srv *ftpscript.Server, m *mount.Mount) {
	t.Helper()
	dir := mkdir(t, m.Path("round"))
	from := mount.TempDir(t)
	first, second := noise(1, 70_000), noise(2, 50_000)
	put(t, filepath.Join(from, "first"), first)
	put(t, filepath.Join(from, "second"), second)
	mount.Run(t, from, "cp", "first", "second", dir)
	syncNow(t, m)
	if got := strings.Fields(mount.Run(t, dir, "ls", "-1")); len(got) != 2 {
		t.Errorf("ls says %q", got)
	}
	said := mount.Run(t, dir, "ls", "-l")
	if !strings.Contains(said, " 70000 ") || !strings.Contains(said, " 50000 ") {
		t.Errorf("ls -l says:\n%s", said)
	}
	holds(t, m.Path("theirs"), []byte("theirs\n"))
	mount.Run(t, dir, "mv", "-f", "second", "first")
	holds(t, filepath.Join(dir, "first"), second)
	absent(t, filepath.Join(dir, "second"))
	f, err := os.OpenFile(filepath.Join(dir, "first"), os.O_WRONLY|os.O_APPEND, 0)
	must(t, err)
	_, err = f.WriteString("and more\n")
	must(t, err)
	must(t, f.Close())
	syncNow(t, m)
	want := append(bytes.Clone(second), "and more\n"...)
	if got, ok := srv.Tree.Get("/round/first"); !ok || !bytes.Equal(got, want) {
		t.Errorf("after an append the server has: %s", difference(got, want))
	}
	mount.Run(t, dir, "rm", "first")
	must(t, os.Remove(dir))
	for _, f := range srv.Tree.All() {
		if strings.Contains(f.Path, ".ftpfs") || strings.HasPrefix(f.Path, "/round") {
			t.Errorf("left on the server: %s", f.Path)
		}
	}
}
