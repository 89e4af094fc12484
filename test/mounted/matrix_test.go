package mounted

import (
	"crypto/tls"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ftpfs/test/certs"
	"ftpfs/test/mount"
	"ftpfs/test/servers"
)

var matrixAll = flag.Bool("matrix", false, "TestMatrix in all cells")

// TestMatrix has rsync carry a tree there and back, by a mount in each cell of the matrix,
// with no other options than the cell says. Without -matrix each server is met encrypted
// in each way it has and in both modes, and with both listings.
func TestMatrix(t *testing.T) {
	for _, c := range servers.Cells() {
		if !*matrixAll && !pickedToMount(c) {
			continue
		}
		t.Run(c.String(), func(t *testing.T) {
			t.Parallel()
			t.Log(c.Line("rsync there and back"))
			if why := c.Missing(); why != "" {
				t.Skip("by design: " + why)
			}
			var cert, key []byte
			var options []string
			if c.Encryption != servers.Plain {
				pair := certs.Issue(t, certs.Options{})
				cert, key = pair.PEM, pair.Key
				options = append(options, believed(t, pair))
			}
			if c.Version == tls.VersionTLS12 {
				options = append(options, "disable_tls13")
			}
			if c.Active {
				options = append(options, "active")
			}
			srv := servers.Start(t, c.Kind, c.Options(cert, key))
			thereAndBack(t, srv.Root, func() *mount.Mount { return mountOf(t, srv, options...) }, func(m *mount.Mount) { spoken(t, c, m) })
		})
	}
}

// pickedToMount are the cells of make test.
func pickedToMount(c servers.Cell) bool {
	if testing.Short() {
		return c.String() == "proftpd explicit TLS 1.3 active MLSD"
	}
	switch c.String() {
	case "vsftpd explicit TLS 1.3 passive LIST", "vsftpd implicit TLS 1.2 active LIST",
		"proftpd plain active LIST", "proftpd explicit TLS 1.3 active MLSD", "proftpd implicit TLS 1.2 passive LIST",
		"pureftpd plain active MLSD", "pureftpd explicit TLS 1.3 passive MLSD",
		"pyftpdlib explicit TLS 1.2 active LIST", "pyftpdlib implicit TLS 1.3 passive MLSD":
		return true
	}
	return false
}

// thereAndBack has rsync carry a tree into a mount, twice, and out of another that knows
// nothing of the first. root is the server's own directory, "" if there is none to look
// into. asked is called before the first mount ends.
func thereAndBack(t *testing.T, root string, mountIt func() *mount.Mount, asked func(*mount.Mount)) {
	mount.Need(t, "rsync")
	local := assorted(t)
	m := mountIt()
	mount.Run(t, local, "rsync", "-a", "./", m.Path("in")+"/")
	syncNow(t, m)
	if root != "" {
		same(t, local, filepath.Join(root, "in"))
		noTemporaryNames(t, root)
	}
	if sent := fileSent.FindAllString(mount.Run(t, local, "rsync", "-ai", "./", m.Path("in")+"/"), 10); sent != nil {
		t.Errorf("a second rsync -ai sent files: %q", sent)
	}
	asked(m)
	m.Unmount()
	m = mountIt()
	back := mount.TempDir(t)
	mount.Run(t, back, "rsync", "-a", m.Path("in")+"/", "./")
	same(t, local, back)
	if root != "" { // all of them can set a file's time
		if diffs := timeDiffs.FindAllString(mount.Run(t, local, "rsync", "-nai", "./", back+"/"), 10); diffs != nil {
			t.Errorf("times that came back are not exact: %q", diffs)
		}
	}
	m.Unmount()
}

// assorted makes a local tree of some dozens of files: names that are odd and that every
// server keeps, sizes from nothing to 3 MiB, times of every age, and a directory with
// nothing in it.
func assorted(t *testing.T) string {
	t.Helper()
	dir := mount.TempDir(t)
	odd := []string{"two  words", "[brackets]", "hash#mark", "percent%20", "semi;colon", "comma,", "amp&ersand", "plus+", "-dash", "--help", ".hidden",
		"single'quote", "~tilde", "{brace}", "dollar$HOME", "Grüße", "日本語", "226 done", "type=file;size=1; x", "total 12"}
	sizes := []int{0, 1, 2, 100, 1000, 4096, 20_000, 65_536, 65_537, 300_000}
	for i := range 40 {
		name := filepath.Join(dir, fmt.Sprintf("section %d", i%3), fmt.Sprintf("%02d %s", i, odd[i%len(odd)]))
		if i%2 == 0 {
			name = filepath.Join(dir, odd[i%len(odd)]+" dir", odd[i%len(odd)])
		}
		mkdir(t, filepath.Dir(name))
		put(t, name, noise(uint64(i), sizes[i%len(sizes)]+i%3))
	}
	put(t, filepath.Join(dir, "empty file"), nil)
	put(t, filepath.Join(dir, "3 MiB"), noise(99, 3<<20))
	mkdir(t, filepath.Join(dir, "empty dir"))
	i := 0
	must(t, filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		i++
		at := time.Date(2001+i%24, time.Month(1+i%12), 1+i%28, i%24, i%60, (i*7)%60, 0, time.UTC)
		return os.Chtimes(p, at, at)
	}))
	return dir
}

// spoken checks that a mount speaks as its cell says.
func spoken(t *testing.T, c servers.Cell, m *mount.Mount) {
	t.Helper()
	got := m.Status().Connections.TLS
	if c.Encryption == servers.Plain {
		if got.Version != "" {
			t.Errorf("ftpfs status --json says %+v of a mount in clear", got)
		}
		return
	}
	version := tls.VersionName(c.Version)
	if got.Version != version || got.Data != "private" || got.Handshakes == 0 || got.Warning != "" {
		t.Errorf("ftpfs status --json says %+v, want %s and private data", got, version)
	}
	if got.Resumed != got.Handshakes && !(c.Kind == servers.PureFTPd && c.Version == tls.VersionTLS13) {
		t.Errorf("%d of %d data connections resumed the session", got.Resumed, got.Handshakes)
	}
	if said := mount.Run(t, "/", program(t), "status", m.Dir); !strings.Contains(said, "encryption   "+version) {
		t.Errorf("ftpfs status says:\n%s", said)
	}
}
