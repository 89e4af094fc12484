package mounted

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"runtime/debug"
	"syscall"
	"testing"
	"time"
)

// What another client adds, removes, renames, replaces and changes on the server is
// seen here after dir_cache_time, in whatever way the kernel had it before.
func TestOtherPeoplesChangesAreSeen(t *testing.T) {
	onEach(t, func(t *testing.T, w work) {
		at := time.Now().Add(-time.Hour).Truncate(time.Minute)
		for _, p := range []string{"removed", "renamed", "file to directory", "same size", "directory to file/inside"} {
			w.srv.Put("d/"+p, []byte("before"))
		}
		must(t, os.Chtimes(w.behind(w.Path("d", "same size")), at, at))
		for _, p := range []string{"removed", "renamed", "file to directory", "same size", "directory to file/inside"} {
			holds(t, w.Path("d", p), []byte("before"))
		}
		absent(t, w.Path("d", "added"))
		absent(t, w.Path("d", "moved"))

		w.srv.Put("d/added", []byte("added"))
		must(t, os.Remove(w.behind(w.Path("d", "removed"))))
		must(t, os.Rename(w.behind(w.Path("d", "renamed")), w.behind(w.Path("d", "moved"))))
		must(t, os.Remove(w.behind(w.Path("d", "file to directory"))))
		w.srv.Put("d/file to directory/inside", []byte("after"))
		must(t, os.RemoveAll(w.behind(w.Path("d", "directory to file"))))
		w.srv.Put("d/directory to file", []byte("after"))
		// Same size, same minute: LIST of vsftpd shows no difference, MDTM does.
		w.srv.Put("d/same size", []byte("AFTER!"))
		must(t, os.Chtimes(w.behind(w.Path("d", "same size")), at.Add(time.Second), at.Add(time.Second)))

		reads := func(p, want string) func() bool {
			return func() bool {
				got, err := os.ReadFile(w.Path("d", p))
				if err == nil && string(got) != want && string(got) != "before" {
					t.Fatalf("%s: %q is neither version", p, got)
				}
				return err == nil && string(got) == want
			}
		}
		gone := func(p string) func() bool {
			return func() bool { _, err := os.Lstat(w.Path("d", p)); return errors.Is(err, fs.ErrNotExist) }
		}
		begun := time.Now()
		eventually(t, "see the new file", reads("added", "added"))
		eventually(t, "see a removal", gone("removed"))
		eventually(t, "see a rename", reads("moved", "before"))
		eventually(t, "miss the old name", gone("renamed"))
		eventually(t, "see a directory in a file's place", reads("file to directory/inside", "after"))
		eventually(t, "see a file in a directory's place", reads("directory to file", "after"))
		eventually(t, "see a change that left size and minute", reads("same size", "AFTER!"))
		t.Logf("all seen after %v", time.Since(begun).Round(time.Millisecond))
		same(t, w.behind(w.Path("d")), w.Path("d"))
	}, "dir_cache_time=1")
}

// A file is replaced on the server while programs here have it open and mapped: they
// have the old version whole, or an error, and a new open has the new one whole.
func TestAnOpenFileIsNeverAMixOfVersions(t *testing.T) {
	onEach(t, func(t *testing.T, w work) {
		const size = 6 << 20
		before, after := bytes.Repeat([]byte("a"), size), bytes.Repeat([]byte("b"), size-4096)
		w.srv.Put("f", before)
		f, err := os.Open(w.Path("f"))
		must(t, err)
		defer f.Close()
		mapped, err := syscall.Mmap(int(f.Fd()), 0, size, syscall.PROT_READ, syscall.MAP_SHARED)
		must(t, err)
		defer func() { must(t, syscall.Munmap(mapped)) }()
		if !bytes.Equal(mapped[:size/2], before[:size/2]) {
			t.Fatal("the mapping does not show the file")
		}
		_, err = io.ReadFull(f, make([]byte, size)) // all of it is held now
		must(t, err)
		defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))

		w.srv.Put("f.new", after)
		must(t, os.Rename(w.behind(w.Path("f.new")), w.behind(w.Path("f"))))
		eventually(t, "see the new version", func() bool {
			got, err := os.ReadFile(w.Path("f"))
			must(t, err)
			if !bytes.Equal(got, before) && !bytes.Equal(got, after) {
				t.Fatalf("a mix: %s", difference(got, after))
			}
			return bytes.Equal(got, after)
		})
		if !faults(func() bool { return bytes.Equal(mapped, before) }) {
			t.Errorf("the mapping: %s", difference(mapped, before))
		}
		got := make([]byte, size)
		if n, err := f.ReadAt(got, 0); !bytes.Equal(got[:n], before) && !errors.Is(err, syscall.ESTALE) && !errors.Is(err, syscall.EIO) {
			t.Errorf("the old descriptor: %v, %s", err, difference(got[:n], before))
		}
		holds(t, w.Path("f"), after)
	}, "dir_cache_time=1")
}

// What the kernel keeps of a file is dropped when a change of it is noticed before the
// server has confirmed that what was read was of one version: the open descriptor gets
// ESTALE, where it would read for ever what may be a mix.
func TestTheKernelsPagesOfAMixAreDropped(t *testing.T) {
	w := on(t, "vsftpd", "dir_cache_time=4")
	const size = 2 << 20
	before := bytes.Repeat([]byte("a"), size)
	w.srv.Put("f", before)
	now := time.Now().Truncate(time.Second)
	must(t, os.Chtimes(w.behind(w.Path("f")), now.Add(time.Hour), now.Add(time.Hour))) // too recent to be sure of
	f, err := os.Open(w.Path("f"))
	must(t, err)
	defer f.Close()
	_, err = io.ReadFull(f, make([]byte, size))
	must(t, err)
	must(t, os.WriteFile(w.behind(w.Path("f")), bytes.Repeat([]byte("b"), size), 0o644))
	got := make([]byte, size)
	eventually(t, "refuse what may be a mix", func() bool {
		n, err := f.ReadAt(got, 0)
		if !bytes.Equal(got[:n], before[:n]) {
			t.Fatalf("the old descriptor: %s", difference(got[:n], before))
		}
		return errors.Is(err, syscall.ESTALE)
	})
	if _, err := f.ReadAt(got[:4096], size/2); !errors.Is(err, syscall.ESTALE) {
		t.Errorf("a page that the kernel had: %v, want ESTALE", err)
	}
}

// faults says whether ok is true, or what it looks at cannot be had (SIGBUS).
func faults(ok func() bool) (yes bool) {
	defer func() {
		if recover() != nil {
			yes = true
		}
	}()
	return ok()
}

// Who writes into a file that somebody else removed from the server hears of it.
func TestWriteToARemovedFileIsStale(t *testing.T) {
	w := on(t, "pyftpdlib", "dir_cache_time=1")
	w.srv.Put("log", []byte("one\n"))
	f, err := os.OpenFile(w.Path("log"), os.O_WRONLY|os.O_APPEND, 0)
	must(t, err)
	defer f.Close()
	must(t, os.Remove(w.behind(w.Path("log"))))
	eventually(t, "see the removal", func() bool { _, err := os.Lstat(w.Path("log")); return errors.Is(err, fs.ErrNotExist) })
	_, err = f.WriteString("two\n")
	wantErrno(t, "write", err, syscall.ESTALE)
	put(t, w.Path("log"), []byte("anew"))
	syncNow(t, w.Mount)
	holds(t, w.behind(w.Path("log")), []byte("anew"))
}
