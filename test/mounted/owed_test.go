package mounted

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"ftpfs/cache/spool"
	"ftpfs/test/ftpscript"
	"ftpfs/test/mount"
)

var owedFiles = flag.Int("owed.files", 5000, "how many files TestMountWithManyOwedFiles owes; make crash takes 100,000")

// A hundred thousand files are owed: the mount is there, with the server down and with
// it up, what is owed can be read, and sending begins.
func TestMountWithManyOwedFiles(t *testing.T) {
	files := *owedFiles
	srv, m := scripted(t, ftpscript.Options{})
	m.Watch(6 * time.Minute)
	for i := range files / 1000 {
		srv.Tree.MkdirAll(fmt.Sprintf("/d%02d", i))
	}
	m.Unmount()
	fillSpool(t, m.CacheDir, files)

	srv.Stop()
	begun := time.Now()
	m = m.Again(mount.Options{Password: ftpscript.Password, O: []string{"nofail", "timeout=5"}, Watchdog: 6 * time.Minute})
	up := time.Since(begun)
	begun = time.Now()
	m.Status()
	asked := time.Since(begun)
	begun = time.Now()
	holds(t, m.Path("d02", "f2042"), []byte("owed 2042"))
	seen := time.Since(begun)
	if st := m.Status().Cache; st.Owed != files || st.Quarantined != 0 {
		t.Errorf("status: %d owed, %d in quarantine; want %d and none", st.Owed, st.Quarantined, files)
	}
	t.Logf("figure: %d owed files: mounted after %v, status after %v more, first file read after %v more, %d MB resident", files,
		up.Round(time.Millisecond), asked.Round(time.Millisecond), seen.Round(time.Millisecond), resident(t, m.PID())>>20)

	must(t, srv.Restart())
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := srv.Await(ctx, 0, func(c ftpscript.Commands) bool { return len(c.Verbs("STOR")) > 100 }); err != nil {
		t.Errorf("with the server back: %d uploads after a minute", len(srv.Since(0).Verbs("STOR")))
	}
	m.Signal(15)
	m.AwaitEnd()

	begun = time.Now()
	m = m.Again(mount.Options{Password: ftpscript.Password, Watchdog: 6 * time.Minute})
	t.Logf("with the server up: mounted after %v", time.Since(begun).Round(time.Millisecond))
	holds(t, m.Path("d03", "f3042"), []byte("owed 3042"))
}

// The mount is there before the spool has been read: a record that cannot be read to
// its end, as it is a pipe into which nobody has written yet, holds up nothing but the
// answers that depend on what is owed.
func TestMountDoesNotWaitForItsSpool(t *testing.T) {
	srv, m := scripted(t, ftpscript.Options{})
	m.Unmount()
	fillSpool(t, m.CacheDir, 10)
	recs, err := filepath.Glob(filepath.Join(m.CacheDir, "state", "*", "spool", "rec"))
	must(t, err)
	pipe := filepath.Join(recs[0], "1000000.json")
	must(t, syscall.Mkfifo(pipe, 0o600))
	srv.Tree.MkdirAll("/d00")
	m = m.Again(mount.Options{Password: ftpscript.Password})
	if s := m.Status(); s.Cache.SpoolDir == "" {
		t.Errorf("status while the spool is being read: %+v", s)
	}
	read := make(chan error, 1)
	go func() {
		_, err := os.ReadFile(m.Path("d00", "f7"))
		read <- err
	}()
	w, err := os.OpenFile(pipe, os.O_WRONLY, 0) // returns when the loader has come to it
	must(t, err)
	select {
	case err := <-read:
		t.Errorf("a file was read before it was known what is owed: %v", err)
	default:
	}
	must(t, w.Close())
	must(t, <-read)
	holds(t, m.Path("d00", "f7"), []byte("owed 7"))
	syncNow(t, m)
}

// fillSpool has the spool below dir, where a mount made it, owe so many files.
func fillSpool(t *testing.T, dir string, files int) {
	t.Helper()
	ids, err := filepath.Glob(filepath.Join(dir, "state", "*", "spool", "id"))
	if err != nil || len(ids) != 1 {
		t.Fatalf("spools below %s: %q, %v", dir, ids, err)
	}
	var id struct{ Identity string }
	must(t, json.Unmarshal(get(t, ids[0]), &id))
	s, err := spool.Open(spool.OS, filepath.Dir(ids[0]), id.Identity, nil)
	must(t, err)
	_, _, err = s.Load(t.Context())
	must(t, err)
	for i := range files {
		content := fmt.Sprintf("owed %d", i)
		r := spool.Record{ID: s.NewID(), Path: fmt.Sprintf("/d%02d/f%d", i/1000, i), Size: int64(len(content)), Created: time.Now()}
		r.Have.Add(0, r.Size)
		r.Dirty.Add(0, r.Size)
		f, err := s.Create(r.ID)
		if err == nil {
			_, err = f.WriteString(content)
		}
		must(t, errors.Join(err, f.Close(), s.Put(&r)))
	}
	must(t, s.Close())
}

// resident is the memory of a process, in bytes.
func resident(t *testing.T, pid int) (n int) {
	t.Helper()
	for line := range strings.Lines(string(get(t, fmt.Sprintf("/proc/%d/status", pid)))) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			if _, err := fmt.Sscan(rest, &n); err != nil {
				t.Fatal(err)
			}
			return n << 10
		}
	}
	t.Fatalf("no VmRSS of process %d", pid)
	return 0
}
