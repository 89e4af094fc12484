package place

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// Where control sockets are looked for, in order: another version of the program has to
// find those of a mount that runs.
func TestRuntimeDirsInOrder(t *testing.T) {
	for _, c := range []struct {
		uid  int
		xdg  string
		want []string
	}{
		{0, "", []string{"/run/ftpfs", "/tmp/ftpfs-0"}},
		{0, "/run/user/0", []string{"/run/ftpfs", "/tmp/ftpfs-0"}},
		{1000, "/run/user/1000", []string{"/run/user/1000/ftpfs", "/tmp/ftpfs-1000"}},
		{1000, "", []string{"/tmp/ftpfs-1000"}},
		{1000, "run", []string{"/tmp/ftpfs-1000"}},
	} {
		if got := runtimeDirs(c.uid, c.xdg); !slices.Equal(got, c.want) {
			t.Errorf("for user %d with XDG_RUNTIME_DIR=%q: %q, want %q", c.uid, c.xdg, got, c.want)
		}
	}
}

// A plain user's sockets are where the login put them, and nobody else's to enter.
func TestRuntimeDirIsPrivate(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("by design: root's is in /run; test.TestAsAPlainUser runs this")
	}
	login := t.TempDir()
	t.Setenv("XDG_RUNTIME_DIR", login)
	dir, err := RuntimeDir()
	if err != nil || dir != filepath.Join(login, "ftpfs") {
		t.Fatalf("RuntimeDir: %q, %v; want it below %s", dir, err, login)
	}
	if fi, err := os.Stat(dir); err != nil || fi.Mode().Perm() != 0o700 {
		t.Errorf("%s: %v, %v; want 0700", dir, fi, err)
	}
	socket := SocketPath(dir, "/mnt", 1)
	if err := os.WriteFile(socket, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := FindSockets(os.Geteuid(), "/mnt"); !slices.Equal(got, []string{socket}) {
		t.Errorf("FindSockets: %q, want %q", got, socket)
	}
}
