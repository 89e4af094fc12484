package mounted

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"ftpfs/test/mount"
)

// putOnServer puts a file on the server behind the mount's back, and waits until
// the mount sees it, which takes as long as a listing lives.
func (w work) putOnServer(t *testing.T, name string, data []byte) {
	t.Helper()
	w.srv.Put(strings.TrimPrefix(w.behind(name), w.srv.Root+"/"), data)
	eventually(t, "see "+name+", which is on the server", func() bool {
		info, err := os.Stat(name)
		return err == nil && info.Size() == int64(len(data))
	})
}

func patchInTheMiddle(t *testing.T, w work, dir string) {
	name := filepath.Join(dir, "image")
	data := noise(20, 20<<20)
	w.putOnServer(t, name, data)
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	must(t, err)
	patch := noise(21, 4096)
	at := 10<<20 + 123
	_, err = f.WriteAt(patch, int64(at))
	must(t, err)
	must(t, f.Close())
	copy(data[at:], patch)
	holds(t, name, data)
	syncNow(t, w.Mount)
	holds(t, w.behind(name), data)
}

func truncate(t *testing.T, w work, dir string) {
	name := filepath.Join(dir, "f")
	data := noise(30, 100_000)
	w.putOnServer(t, name, data)
	for _, size := range []int64{50_000, 70_000, 70_000, 0, 10} {
		must(t, os.Truncate(name, size))
		for int64(len(data)) < size {
			data = append(data, 0)
		}
		data = data[:size]
		holds(t, name, data)
		syncNow(t, w.Mount)
		holds(t, w.behind(name), data)
	}
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	must(t, err)
	defer f.Close()
	_, err = f.WriteAt([]byte("tail"), 5000)
	must(t, err)
	must(t, f.Truncate(5002))
	want := append(make([]byte, 5000), "ta"...)
	holds(t, name, want)
	must(t, f.Close())
	syncNow(t, w.Mount)
	holds(t, w.behind(name), want)
}

// appendByTwo has two shells append lines to one file at the same time: no line
// may be lost or torn.
func appendByTwo(t *testing.T, w work, dir string) {
	name := filepath.Join(dir, "log")
	w.putOnServer(t, name, []byte("first\n"))
	const lines = 200
	script := `i=0; while [ $i -lt ` + fmt.Sprint(lines) + ` ]; do echo "$0 $i" >>"$1"; i=$((i+1)); done`
	ended := make(chan mount.Result, 2)
	for _, who := range []string{"anna", "otto"} {
		go func() { ended <- mount.Command{}.Do(t, "sh", "-c", script, who, name) }()
	}
	for range 2 {
		if r := <-ended; r.Code != 0 {
			t.Errorf("a shell that appends: %+v", r)
		}
	}
	syncNow(t, w.Mount)
	for _, file := range []string{name, w.behind(name)} {
		got := strings.Split(strings.TrimSuffix(string(get(t, file)), "\n"), "\n")
		if len(got) != 2*lines+1 || got[0] != "first" {
			t.Fatalf("%s: %d lines, the first %q; want %d, the first %q", file, len(got), got[0], 2*lines+1, "first")
		}
		next := map[string]int{}
		for _, line := range got[1:] {
			who, n, _ := strings.Cut(line, " ")
			if n != fmt.Sprint(next[who]) {
				t.Fatalf("%s: line %q, want %s's line %d", file, line, who, next[who])
			}
			next[who]++
		}
	}
}

func exclusiveCreate(t *testing.T, w work, dir string) {
	name := filepath.Join(dir, "lock")
	w.putOnServer(t, filepath.Join(dir, "there already"), []byte("x"))
	wins := make(chan error, 8)
	for range cap(wins) {
		go func() {
			f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
			if err == nil {
				err = f.Close()
			}
			wins <- err
		}()
	}
	won := 0
	for range cap(wins) {
		switch err := <-wins; {
		case err == nil:
			won++
		case !errors.Is(err, os.ErrExist):
			t.Errorf("O_EXCL: %v, want EEXIST", err)
		}
	}
	if won != 1 {
		t.Errorf("O_EXCL by eight: %d won, want 1", won)
	}
	_, err := os.OpenFile(filepath.Join(dir, "there already"), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	wantErrno(t, "O_EXCL over a file on the server", err, syscall.EEXIST)
}

func unlinkWhileOpen(t *testing.T, w work, dir string) {
	for _, origin := range []string{"new", "on the server"} {
		name := filepath.Join(dir, origin)
		data := noise(40, 200_000)
		if origin == "new" {
			put(t, name, data)
		} else {
			w.putOnServer(t, name, data)
		}
		f, err := os.OpenFile(name, os.O_RDWR, 0)
		must(t, err)
		must(t, os.Remove(name))
		absent(t, name)
		_, err = f.WriteAt([]byte("still here"), 100)
		must(t, err)
		copy(data[100:], "still here")
		got, err := io.ReadAll(f)
		if err != nil || !bytes.Equal(got, data) {
			t.Errorf("%s: reading an unlinked file: %v, %s", origin, err, difference(got, data))
		}
		info, err := f.Stat()
		if err != nil || info.Size() != int64(len(data)) {
			t.Errorf("%s: fstat of an unlinked file: %v, %v", origin, info, err)
		}
		// The name is free for another file at once.
		put(t, name, []byte("another"))
		must(t, f.Close())
		holds(t, name, []byte("another"))
		syncNow(t, w.Mount)
		holds(t, w.behind(name), []byte("another"))
		must(t, os.Remove(name))
		syncNow(t, w.Mount)
		absent(t, w.behind(name))
	}
}

func renameWhileOpen(t *testing.T, w work, dir string) {
	from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
	f, err := os.Create(from)
	must(t, err)
	_, err = f.WriteString("before ")
	must(t, err)
	must(t, os.Rename(from, to))
	_, err = f.WriteString("after")
	must(t, err)
	must(t, f.Close())
	holds(t, to, []byte("before after"))
	absent(t, from)
	w.there(t, dir)
	holds(t, w.behind(to), []byte("before after"))
}

func mmapSharedAndPrivate(t *testing.T, w work, dir string) {
	name := filepath.Join(dir, "mapped")
	data := noise(50, 64<<10)
	w.putOnServer(t, name, data)
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	must(t, err)
	defer f.Close()
	private, err := syscall.Mmap(int(f.Fd()), 0, len(data), syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_PRIVATE)
	must(t, err)
	if !bytes.Equal(private, data) {
		t.Errorf("MAP_PRIVATE: %s", difference(private, data))
	}
	copy(private[10:], "mine alone")
	must(t, syscall.Munmap(private))
	holds(t, name, data)

	shared, err := syscall.Mmap(int(f.Fd()), 0, len(data), syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	must(t, err)
	copy(shared[30_000:], "for everybody")
	copy(data[30_000:], "for everybody")
	must(t, f.Close()) // the mapping outlives the descriptor
	must(t, syscall.Munmap(shared))
	holds(t, name, data)
	syncNow(t, w.Mount)
	holds(t, w.behind(name), data)
}

func emptyFile(t *testing.T, w work, dir string) {
	name := filepath.Join(dir, "empty")
	put(t, name, nil)
	syncNow(t, w.Mount)
	holds(t, w.behind(name), nil)
	put(t, name, []byte("filled"))
	put(t, name, nil)
	syncNow(t, w.Mount)
	holds(t, w.behind(name), nil)
	w.putOnServer(t, filepath.Join(dir, "theirs"), nil)
	holds(t, filepath.Join(dir, "theirs"), nil)
}

// randomWrites reads, writes and truncates anywhere, through two handles, and
// compares with the same done to a slice.
func randomWrites(t *testing.T, w work, dir string) {
	name := filepath.Join(dir, "f")
	want := noise(60, 3<<20)
	w.putOnServer(t, name, want)
	r := rand.New(rand.NewPCG(1, 2))
	handles := make([]*os.File, 2)
	for i := range handles {
		f, err := os.OpenFile(name, os.O_RDWR, 0)
		must(t, err)
		defer f.Close()
		handles[i] = f
	}
	for step := range 300 {
		f := handles[r.IntN(2)]
		at, n := r.IntN(len(want)+1), r.IntN(70_000)
		switch r.IntN(10) {
		case 0:
			size := r.IntN(4 << 20)
			must(t, f.Truncate(int64(size)))
			if size > len(want) {
				want = append(want, make([]byte, size-len(want))...)
			}
			want = want[:size]
		case 1, 2, 3, 4:
			p := noise(uint64(1000+step), n)
			_, err := f.WriteAt(p, int64(at))
			must(t, err)
			if at+n > len(want) {
				want = append(want, make([]byte, at+n-len(want))...)
			}
			copy(want[at:], p)
		case 5:
			if r.IntN(5) == 0 {
				must(t, f.Sync())
			}
		default:
			got := make([]byte, n)
			n, err := f.ReadAt(got, int64(at))
			if err != nil && err != io.EOF {
				t.Fatalf("step %d: read %d at %d: %v", step, len(got), at, err)
			}
			if wantHere := want[at:min(at+len(got), len(want))]; !bytes.Equal(got[:n], wantHere) {
				t.Fatalf("step %d: read at %d: %s", step, at, difference(got[:n], wantHere))
			}
		}
	}
	for _, f := range handles {
		must(t, f.Close())
	}
	holds(t, name, want)
	syncNow(t, w.Mount)
	holds(t, w.behind(name), want)
}

func timesAndModes(t *testing.T, w work, dir string) {
	name := filepath.Join(dir, "f")
	put(t, name, []byte("x"))
	at := time.Date(2019, 3, 4, 5, 6, 7, 0, time.UTC)
	must(t, os.Chtimes(name, at, at))
	must(t, os.Chmod(name, 0o600))
	check := func(name string) {
		t.Helper()
		info, err := os.Stat(name)
		must(t, err)
		if !info.ModTime().Equal(at) || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v, want %v -rw-------", name, info.ModTime().UTC(), info.Mode(), at)
		}
	}
	check(name)
	syncNow(t, w.Mount)
	check(name)
	check(w.behind(name))
	// On a file that is there already, the server is told at once.
	at = at.Add(1000 * time.Hour)
	must(t, os.Chtimes(name, at, at))
	check(name)
	syncNow(t, w.Mount)
	check(w.behind(name))
	if err := os.Chown(name, os.Getuid(), os.Getgid()); err != nil {
		t.Errorf("chown to the mount's own ids: %v", err)
	}
	wantErrno(t, "chown to another user", os.Chown(name, 12345, -1), syscall.EPERM)
}

func refusals(t *testing.T, w work, dir string) {
	name := filepath.Join(dir, "f")
	put(t, name, []byte("x"))
	wantErrno(t, "link", os.Link(name, name+"2"), syscall.EPERM)
	wantErrno(t, "symlink", os.Symlink("f", filepath.Join(dir, "s")), syscall.EPERM)
	wantErrno(t, "mkfifo", syscall.Mkfifo(filepath.Join(dir, "p"), 0o600), syscall.EPERM)
	wantErrno(t, "rmdir of a file", syscall.Rmdir(name), syscall.ENOTDIR)
	wantErrno(t, "unlink of a directory", syscall.Unlink(mkdir(t, filepath.Join(dir, "d"))), syscall.EISDIR, syscall.EPERM)
	wantErrno(t, "mkdir over a file", os.Mkdir(name, 0o755), syscall.EEXIST)
	wantErrno(t, "open below a file", func() error { _, err := os.Open(name + "/x"); return err }(), syscall.ENOTDIR)
	wantErrno(t, "foreign xattr", syscall.Setxattr(name, "user.mine", []byte("x"), 0), syscall.ENOTSUP)
	put(t, filepath.Join(dir, "d", "in"), []byte("x"))
	wantErrno(t, "rmdir of a full directory", syscall.Rmdir(filepath.Join(dir, "d")), syscall.ENOTEMPTY)
	mkdir(t, filepath.Join(dir, "e"))
	wantErrno(t, "rename over a full directory", os.Rename(filepath.Join(dir, "e"), filepath.Join(dir, "d")), syscall.ENOTEMPTY, syscall.EEXIST)
	holds(t, filepath.Join(dir, "d", "in"), []byte("x"))
	if got := strings.Join(names(t, dir), " "); got != "d e f" {
		t.Errorf("after all that was refused: %q, want d e f", got)
	}
}
