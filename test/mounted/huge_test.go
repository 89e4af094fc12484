package mounted

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"ftpfs/test/mount"
	"ftpfs/test/servers"
)

// 1 GiB in, its sha256 on the server, and out again, on one server after the
// other: the disk and both cores are one test's. The daemon's memory does not grow with the
// size of files.
func TestOneGiB(t *testing.T) {
	if testing.Short() {
		t.Skip("by design: not with -short")
	}
	for _, kind := range servers.All {
		t.Run(string(kind), func(t *testing.T) { oneGiB(t, on(t, kind)) })
	}
}

// mostForAFile is what the daemon may have resident, however large the files are.
const mostForAFile = 64 << 20

func oneGiB(t *testing.T, w work) {
	const size = 1 << 30
	w.Watch(6 * time.Minute)
	in := sha256.New()
	f, err := os.Create(w.Path("huge"))
	must(t, err)
	n, err := io.Copy(f, io.TeeReader(io.LimitReader(rand.NewChaCha8([32]byte{9}), size), in))
	if err != nil || n != size {
		t.Fatalf("write: %d bytes, %v", n, err)
	}
	must(t, f.Close())
	syncNow(t, w.Mount)
	want := hex.EncodeToString(in.Sum(nil))
	if got := sum(t, filepath.Join(w.srv.Root, "huge")); got != want {
		t.Errorf("on the server: sha256 %s, want %s", got, want)
	}
	flat := func(m *mount.Mount) {
		t.Helper()
		if n := peak(t, m); n > mostForAFile {
			t.Errorf("%d MiB resident at the peak, want at most %d", n>>20, mostForAFile>>20)
		}
	}
	flat(w.Mount)
	w.Unmount()
	m := mountOf(t, w.srv) // with nothing cached
	m.Watch(6 * time.Minute)
	if got := sum(t, m.Path("huge")); got != want {
		t.Errorf("read back: sha256 %s, want %s", got, want)
	}
	flat(m)
}

func sum(t *testing.T, name string) string {
	t.Helper()
	f, err := os.Open(name)
	must(t, err)
	defer f.Close()
	h := sha256.New()
	_, err = io.Copy(h, f)
	must(t, err)
	return hex.EncodeToString(h.Sum(nil))
}
