package mounted

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"ftpfs/test/mount"
	"ftpfs/test/servers"
)

// accepted writes files of all sizes until one is refused, and returns those whose
// write and close returned success, and the error that ended it.
func accepted(t *testing.T, dir func(...string) string, most int) (files map[string][]byte, end error) {
	t.Helper()
	files = map[string][]byte{}
	for i := range most {
		name, data := fmt.Sprintf("file %03d", i), noise(uint64(i), 1+i*7919%300_000)
		if err := os.WriteFile(dir(name), data, 0o644); err != nil {
			return files, err
		}
		files[name] = data
	}
	return files, nil
}

// withDisk mounts a server with what it owes (state) or holds (cache) on a disk
// made by the test.
func withDisk(t *testing.T, part string, disk func(dir string), options ...string) (w work, dir string) {
	t.Helper()
	srv := servers.Start(t, servers.ProFTPD, servers.Options{})
	cache := mount.TempDir(t)
	dir = filepath.Join(cache, part)
	disk(dir)
	m := mount.New(t, mount.Options{URL: srv.URL(""), Password: srv.Password, CacheDir: cache, O: append([]string{"timeout=3"}, options...)})
	return work{m, srv}, dir
}

// few fails the test if the log says the same again and again.
func few(t *testing.T, m *mount.Mount, lines int) {
	t.Helper()
	n, first := 0, ""
	for line := range strings.Lines(m.Log()) {
		if !strings.Contains(line, "DEBUG") && !strings.Contains(line, "INFO") {
			if n++; n <= 200 {
				first += line
			}
		}
	}
	if n > lines {
		t.Errorf("the log has %d lines of warnings and errors, want at most %d:\n%s", n, lines, first)
	}
}

// A full disk under the spool is ENOSPC for whoever writes. What was accepted
// before is read, survives a kill on the full disk, and arrives; then there is
// room again.
func TestAFullSpoolDiskLosesNothingAccepted(t *testing.T) {
	t.Parallel()
	w, dir := withDisk(t, "state", func(dir string) { tmpfsAt(t, dir, "size=12m") }, "spool_size=1g", "dir_cache_time=300")
	m := w.Mount
	w.srv.Put("known/old", noise(9, 100_000))
	holds(t, m.Path("known", "old"), noise(9, 100_000))
	names(t, m.Dir)
	w.srv.Freeze() // nothing leaves the spool
	files, err := accepted(t, m.Path, 1000)
	wantErrno(t, "write to a full disk", err, syscall.ENOSPC)
	if len(files) < 20 {
		t.Fatalf("%d files were accepted on a disk of 12 MiB, want more", len(files))
	}
	// The last kilobytes: records and single pages fail too, each at its own place.
	free := hog(t, dir)
	for i := range 40 {
		name, data := fmt.Sprintf("late %d", i), noise(uint64(i), 50)
		if err := os.WriteFile(m.Path(name), data, 0o644); err == nil {
			files[name] = data
		} else {
			wantErrno(t, "create on a full disk", err, syscall.ENOSPC)
		}
	}
	for name, data := range files {
		holds(t, m.Path(name), data)
	}
	holds(t, m.Path("known", "old"), noise(9, 100_000))
	if s := m.Status(); s.Cache.Owed < len(files) {
		t.Errorf("status: %d files owed, want at least the %d that were accepted", s.Cache.Owed, len(files))
	}
	// What is tried again and again with a server that does not answer, on a disk
	// without a page, must not use up what it takes to send it later.
	eventually(t, "try every file twice", func() bool {
		for _, f := range m.Status().Cache.Files {
			if f.Attempts < 2 {
				return false
			}
		}
		return true
	})
	few(t, m, 60)

	m.Kill()
	w.srv.Thaw()
	m = m.Again(mount.Options{Password: w.srv.Password, O: []string{"timeout=3", "spool_size=1g", "dir_cache_time=300"}})
	for name, data := range files {
		holds(t, m.Path(name), data)
	}
	settleInterrupted(t, m, files)
	syncNow(t, m) // on the full disk: sending makes room, and needs none
	for name, data := range files {
		holds(t, filepath.Join(w.srv.Root, name), data)
	}
	if s := m.Status(); s.Cache.Quarantined != 0 || s.Cache.Owed != 0 {
		t.Errorf("status: %d in quarantine, %d owed, want none", s.Cache.Quarantined, s.Cache.Owed)
	}
	free()
	put(t, m.Path("afterwards"), noise(1, 1<<20))
	syncNow(t, m)
	holds(t, filepath.Join(w.srv.Root, "afterwards"), noise(1, 1<<20))
	few(t, m, 60)
	t.Logf("figure: %d files accepted by a disk that then was full, all arrived", len(files))
}

// settleInterrupted gives up what was open at a kill and had not been accepted.
func settleInterrupted(t *testing.T, m *mount.Mount, files map[string][]byte) {
	t.Helper()
	for _, f := range m.Status().Cache.Files {
		if f.State != "interrupted" {
			continue
		}
		if _, ok := files[strings.TrimPrefix(f.Path, "/")]; ok {
			t.Errorf("%s had been accepted, and is interrupted", f.Path)
		}
		if r := mount.Ftpfs(t, "discard", m.Path(f.Path)); r.Code != 0 {
			t.Errorf("ftpfs discard %s: %+v", f.Path, r)
		}
	}
}

// Uploads make room on a full disk: without anybody's help writing goes on.
func TestUploadsFreeAFullSpoolDisk(t *testing.T) {
	t.Parallel()
	w, _ := withDisk(t, "state", func(dir string) { tmpfsAt(t, dir, "size=12m") }, "spool_size=1g", "dir_cache_time=300")
	names(t, w.Dir)
	w.srv.Freeze()
	files, err := accepted(t, w.Path, 1000)
	wantErrno(t, "write to a full disk", err, syscall.ENOSPC)
	w.srv.Thaw()
	syncNow(t, w.Mount)
	for i := range 3 {
		name := fmt.Sprintf("round %d", i)
		put(t, w.Path(name), noise(uint64(i), 6<<20))
		files[name] = noise(uint64(i), 6<<20)
		syncNow(t, w.Mount)
	}
	for name, data := range files {
		holds(t, filepath.Join(w.srv.Root, name), data)
	}
}

// A full disk under the cache is nobody's error: reads go on without it, also of
// files larger than what is left.
func TestReadsGoOnWithAFullCacheDisk(t *testing.T) {
	t.Parallel()
	w, dir := withDisk(t, "cache", func(dir string) { tmpfsAt(t, dir, "size=4m") })
	for i := range 6 {
		w.srv.Put(fmt.Sprintf("medium %d", i), noise(uint64(i), 1<<20))
	}
	w.srv.Put("large", noise(7, 20<<20))
	w.srv.Put("later", noise(8, 20<<20))
	w.srv.Put("small", []byte("small"))
	holds(t, w.Path("large"), noise(7, 20<<20))
	for i := range 6 {
		holds(t, w.Path(fmt.Sprintf("medium %d", i)), noise(uint64(i), 1<<20))
	}
	free := hog(t, dir) // not a single block
	holds(t, w.Path("small"), []byte("small"))
	holds(t, w.Path("later"), noise(8, 20<<20))
	f, err := os.Open(w.Path("later")) // and not from front to back only
	must(t, err)
	defer f.Close()
	for _, off := range []int64{15 << 20, 3, 19 << 20, 7 << 20, 4096} {
		p := make([]byte, 70_000)
		if _, err := f.ReadAt(p, off); err != nil || string(p) != string(noise(8, 20<<20)[off:off+70_000]) {
			t.Errorf("read at %d: %v, or other bytes than the server's", off, err)
		}
	}
	put(t, w.Path("written"), noise(2, 100_000)) // the spool has its own disk
	syncNow(t, w.Mount)
	holds(t, filepath.Join(w.srv.Root, "written"), noise(2, 100_000))
	free()
	holds(t, w.Path("medium 3"), noise(3, 1<<20))
	few(t, w.Mount, 40)
}

// The disk under the spool fails: what is written is refused, with an errno that
// tells, and nothing half is published; what is on the server can be read, and the
// mount can be taken down.
func TestASpoolDiskThatFailsRefusesWrites(t *testing.T) {
	for name, how := range map[string]func(t *testing.T, dir string){
		"read-only": breakDisk,
		"detached":  loseDisk,
		"removed":   func(t *testing.T, dir string) { must(t, removeBelow(dir)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, dir := withDisk(t, "state", func(dir string) { ext4At(t, dir, "64M") })
			m := w.Mount
			w.srv.Put("sub/old", noise(1, 300_000))
			w.srv.Put("sub/unread", noise(2, 300_000))
			holds(t, m.Path("sub", "old"), noise(1, 300_000))
			put(t, m.Path("before"), noise(3, 300_000))
			syncNow(t, m)
			open, err := os.Create(m.Path("open"))
			must(t, err)
			_, err = open.Write(noise(4, 10_000))
			must(t, err)

			how(t, dir)
			err = os.WriteFile(m.Path("after"), noise(5, 10_000), 0o644)
			wantErrno(t, "write a new file", err, syscall.EIO, syscall.EROFS)
			old, err := os.OpenFile(m.Path("sub", "old"), os.O_RDWR, 0)
			if err == nil {
				_, err = old.WriteAt([]byte("patch"), 1000)
				if cerr := old.Close(); err == nil {
					err = cerr
				}
			}
			wantErrno(t, "patch a file", err, syscall.EIO, syscall.EROFS)
			_, werr := open.Write(noise(4, 10_000))
			if cerr := open.Close(); werr == nil && cerr == nil && name == "read-only" {
				t.Error("write and close on a read-only spool: success")
			}
			// Reading goes on.
			holds(t, m.Path("sub", "unread"), noise(2, 300_000))
			holds(t, m.Path("before"), noise(3, 300_000))
			if got := names(t, m.Path("sub")); fmt.Sprint(got) != "[old unread]" {
				t.Errorf("listing: %q", got)
			}
			_ = m.Status()
			few(t, m, 60)
			r := mount.Ftpfs(t, "unmount", m.Dir)
			if r.Code != 0 && r.Code != 3 && r.Code != 4 {
				t.Errorf("ftpfs unmount: %+v", r)
			}
			m.AwaitEnd()
			holds(t, filepath.Join(w.srv.Root, "sub", "old"), noise(1, 300_000))
			holds(t, filepath.Join(w.srv.Root, "before"), noise(3, 300_000))
			absent(t, filepath.Join(w.srv.Root, "after"))
			if got, err := os.ReadFile(filepath.Join(w.srv.Root, "open")); err == nil && werr != nil && len(got) != 0 && len(got) != 10_000 {
				t.Errorf("a file whose writing failed was published with %d bytes", len(got))
			}
		})
	}
}

func removeBelow(dir string) error {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		err = errors.Join(err, os.RemoveAll(filepath.Join(dir, e.Name())))
	}
	return err
}

// A spool that cannot be written is no place for what a mount would accept: the
// mount is refused with a line that names it.
func TestAReadOnlySpoolIsRefused(t *testing.T) {
	t.Parallel()
	w, dir := withDisk(t, "state", func(dir string) { tmpfsAt(t, dir, "size=12m") }, "dir_cache_time=300")
	m := w.Mount
	names(t, m.Dir)
	w.srv.Freeze()
	put(t, m.Path("owed"), noise(1, 10_000))
	m.Kill()
	w.srv.Thaw()
	must(t, syscall.Mount("", dir, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, "mode=700"))
	_, err := mount.Try(t, mount.Options{URL: m.URL, Password: w.srv.Password, CacheDir: m.CacheDir, Dir: m.Dir})
	if err == nil || !strings.Contains(err.Error(), "read-only") || !strings.Contains(err.Error(), dir) {
		t.Errorf("mount with a read-only spool: %v, want a refusal that names %s", err, dir)
	}
	must(t, syscall.Mount("", dir, "", syscall.MS_REMOUNT, "mode=700"))
	m = m.Again(mount.Options{Password: w.srv.Password})
	syncNow(t, m)
	holds(t, filepath.Join(w.srv.Root, "owed"), noise(1, 10_000))
}

// With few descriptors left, opening fails and says why; what is open can be written and
// closed, and what was accepted arrives, as the last descriptors are kept for that.
func TestOutOfDescriptors(t *testing.T) {
	t.Parallel()
	w := on(t, servers.ProFTPD, "timeout=3", "dir_cache_time=300")
	w.srv.Put("here", noise(1, 300_000))
	put(t, w.Path("first"), noise(2, 10_000))
	syncNow(t, w.Mount) // from here on the daemon has nothing to do
	fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", w.PID()))
	must(t, err)
	var was unix.Rlimit
	must(t, unix.Prlimit(w.PID(), unix.RLIMIT_NOFILE, nil, &was))
	limit := uint64(len(fds)) + 120 // eight connections and their records take thirty
	must(t, unix.Prlimit(w.PID(), unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: limit, Max: was.Max}, nil))

	files := map[string][]byte{}
	var open []*os.File
	for i := range 300 {
		f, err := os.Create(w.Path(fmt.Sprintf("many %d", i)))
		if err != nil {
			wantErrno(t, "create without a descriptor", err, syscall.ENFILE)
			continue
		}
		open = append(open, f)
	}
	if len(open) == 0 || len(open) > int(limit) {
		t.Fatalf("%d files could be opened with %d descriptors", len(open), limit)
	}
	for i, f := range open {
		name, data := filepath.Base(f.Name()), noise(uint64(i), 5000)
		_, err := f.Write(data)
		must(t, errors.Join(err, f.Close()))
		files[name] = data
	}
	for i := range 200 { // one after the other needs no more than one
		name, data := fmt.Sprintf("one %d", i), noise(uint64(i), 300)
		put(t, w.Path(name), data)
		files[name] = data
	}
	holds(t, w.Path("here"), noise(1, 300_000))
	syncNow(t, w.Mount)
	for name, data := range files {
		holds(t, filepath.Join(w.srv.Root, name), data)
	}
	few(t, w.Mount, 10)
}
