package mounted

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"ftpfs/test/mount"
	"ftpfs/test/servers"
)

// temporary returns the size and inode of the one upload under way on the server.
func temporary(root string) (size int64, ino uint64) {
	found, _ := filepath.Glob(filepath.Join(root, ".ftpfs-*"))
	if len(found) != 1 {
		return 0, 0
	}
	st, err := os.Stat(found[0])
	if err != nil {
		return 0, 0
	}
	return st.Size(), st.Sys().(*syscall.Stat_t).Ino
}

// write writes data to f a megabyte at a time.
func write(t *testing.T, f *os.File, data []byte) {
	t.Helper()
	for len(data) > 0 {
		n := min(len(data), 1<<20)
		_, err := f.Write(data[:n])
		must(t, err)
		data = data[n:]
	}
}

// Most of a large file is on the server before it is closed.
func TestLargeFileIsOnTheServerBeforeItsClose(t *testing.T) {
	w := on(t, "vsftpd")
	w.Watch(3 * time.Minute)
	data := noise(1, 256<<20)
	f, err := os.Create(w.Path("large"))
	must(t, err)
	write(t, f, data[:200<<20])
	eventually(t, "have 200 MiB under a temporary name", func() bool { n, _ := temporary(w.srv.Root); return n == 200<<20 })
	_, ino := temporary(w.srv.Root)
	absent(t, filepath.Join(w.srv.Root, "large"))
	write(t, f, data[200<<20:])
	must(t, f.Close())
	syncNow(t, w.Mount)
	holds(t, filepath.Join(w.srv.Root, "large"), data)
	if got := inode(t, filepath.Join(w.srv.Root, "large")); got != ino {
		t.Error("the file was sent again after its close")
	}
	noTemporaryNames(t, w.srv.Root)
}

// cp of a file larger than the spool ends well, and then the file is on the server.
func TestCopyOfMoreThanTheSpoolHolds(t *testing.T) {
	for _, kind := range []string{"vsftpd", "pyftpdlib"} {
		t.Run(kind, func(t *testing.T) {
			w := on(t, servers.Kind(kind), "spool_size=32M")
			w.Watch(3 * time.Minute)
			data := noise(2, 200<<20)
			from := filepath.Join(t.TempDir(), "from")
			put(t, from, data)
			if r := (mount.Command{}).Do(t, "cp", from, w.Path("large")); r.Code != 0 {
				t.Fatalf("cp: %+v", r)
			}
			holds(t, filepath.Join(w.srv.Root, "large"), data) // without a sync
			if s := w.Status(); s.Cache.Owed != 0 {
				t.Errorf("still owed after cp: %d", s.Cache.Owed)
			}
			got := sha256.Sum256(data)
			if sum(t, w.Path("large")) != hex.EncodeToString(got[:]) {
				t.Error("read back through the mount: other bytes")
			}
			noTemporaryNames(t, w.srv.Root)
		})
	}
}

// The daemon is killed in the middle of the upload of a file that was closed: the next
// one sends the rest of it.
func TestKilledUploadGoesOnAfterTheRestart(t *testing.T) {
	w := on(t, "pyftpdlib")
	w.Watch(3 * time.Minute)
	data := noise(3, 200<<20)
	f, err := os.Create(w.Path("large"))
	must(t, err)
	write(t, f, data[:30<<20])
	eventually(t, "have 20 MiB under a temporary name", func() bool { n, _ := temporary(w.srv.Root); return n >= 20<<20 })
	w.srv.Freeze()
	write(t, f, data[30<<20:])
	must(t, f.Close())
	w.Kill()
	w.srv.Thaw()
	n, ino := temporary(w.srv.Root)
	if n == 0 || n >= int64(len(data)) {
		t.Fatalf("%d bytes on the server at the kill: not in the middle", n)
	}
	m := w.Again(mount.Options{Password: w.srv.Password})
	syncNow(t, m)
	holds(t, filepath.Join(w.srv.Root, "large"), data)
	if got := inode(t, filepath.Join(w.srv.Root, "large")); got != ino {
		t.Error("the file was sent again from its beginning")
	}
	if !strings.Contains(m.Log(), "an upload goes on where it ended") {
		t.Errorf("nothing in the log of a resumed upload:\n%s", m.Log())
	}
	noTemporaryNames(t, w.srv.Root)
}
