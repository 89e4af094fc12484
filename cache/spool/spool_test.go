package spool

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"syscall"
	"testing"
)

func TestPutAndLoad(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, newDisk("b1"), dir)
	mustLoad(t, s)
	a, b := put(t, s, file(t, s, "/a\xff", 100)), put(t, s, file(t, s, "/b", 0))
	d := put(t, s, &Record{ID: s.NewID(), Path: "/", Dir: true})
	put(t, s, a)
	if a.Seq <= d.Seq || d.Seq <= b.Seq {
		t.Errorf("sequence numbers do not rise: %d %d %d", b.Seq, d.Seq, a.Seq)
	}
	if err := s.Drop(b.ID); err != nil {
		t.Fatal(err)
	}
	last := s.NewID()
	s.Close()

	s = mustOpen(t, newDisk("b1"), dir)
	if id := s.NewID(); id <= last {
		t.Errorf("id %d after %d", id, last)
	}
	recs := mustLoad(t, s)
	want := []Record{*d, *a}
	for i := range recs {
		recs[i].Created = want[i].Created // a zero time loads as UTC
	}
	if !reflect.DeepEqual(recs, want) {
		t.Errorf("got %+v\nwant %+v", recs, want)
	}
	if got := names(t, dir, "rec") + " " + names(t, dir, "data"); strings.Contains(got, fmt.Sprint(b.ID)) {
		t.Errorf("something of %d is left: %s", b.ID, got)
	}
	owed, n, parked, err := Peek(dir)
	if owed != 2 || n != 100 || parked != 0 || err != nil {
		t.Errorf("Peek: %d %d %d %v", owed, n, parked, err)
	}
}

func TestFullDiskLeavesTheOldRecordWhole(t *testing.T) {
	for _, op := range []string{"write", "blank"} {
		dir := t.TempDir()
		d := newDisk("b1")
		s := mustOpen(t, d, dir)
		mustLoad(t, s)
		r := put(t, s, file(t, s, "/a", 9))
		if err := s.groupSync(); err != nil {
			t.Fatal(err)
		}
		seq := r.Seq
		d.fail = func(o, path string) error {
			if o == "write" && strings.Contains(path, "/rec/") {
				if op == "blank" { // nor can what is left of it be cleared
					d.fail = nil
				}
				return syscall.ENOSPC
			}
			return nil
		}
		r.Open = true
		if err := s.Put(r); !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("%s: %v", op, err)
		}
		if r.Seq != seq {
			t.Errorf("%s: Seq became %d", op, r.Seq)
		}
		d.fail = nil
		if got := names(t, dir, "rec"); got != fmt.Sprintf("%d.json", r.ID) {
			t.Errorf("%s: rec holds %s", op, got)
		}
		put(t, s, r) // and it goes on
		stop(s, d)
	}
}

// Nothing needs to be written to start on a full disk: the uploads that would free
// it must run.
func TestOpenOnAFullDisk(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, newDisk("b1"), dir)
	put(t, s, file(t, s, "/a", 9))
	s.Close()
	d := newDisk("b1")
	d.fail = func(op, path string) error {
		if op == "write" {
			return syscall.ENOSPC
		}
		return nil
	}
	s = mustOpen(t, d, dir)
	recs := mustLoad(t, s)
	if paths(recs) != "/a" {
		t.Fatalf("got %s", paths(recs))
	}
	if err := s.Drop(recs[0].ID); err != nil {
		t.Error(err)
	}
}

func TestRefusals(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, OS, dir)
	s.SetHolder("/mnt/x")
	_, err := Open(OS, dir, "ftp://u@host/", nil)
	var locked *LockedError
	if !errors.As(err, &locked) || !strings.Contains(err.Error(), fmt.Sprintf("process %d (/mnt/x)", os.Getpid())) {
		t.Errorf("locked: %v", err)
	}
	put(t, s, file(t, s, "/a", 1))
	s.Close()
	var refused *RefusedError
	if _, err := Open(OS, dir, "ftp://other/", nil); !errors.As(err, &refused) || !strings.Contains(err.Error(), "ftp://other/") {
		t.Errorf("identity: %v", err)
	}
	for _, id := range []string{`{"format":2,"identity":"ftp://u@host/"}`, "", "garbage"} {
		if err := os.WriteFile(filepath.Join(dir, "id"), []byte(id), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(OS, dir, "ftp://u@host/", nil); !errors.As(err, &refused) {
			t.Errorf("id %q: %v", id, err)
		}
	}
	remove(t, filepath.Join(dir, "id"))
	if _, err := Open(OS, dir, "ftp://u@host/", nil); !errors.As(err, &refused) {
		t.Errorf("no id: %v", err)
	}
}

func TestLockedByAnotherProcess(t *testing.T) {
	if dir := os.Getenv("SPOOL_HOLD"); dir != "" {
		s, err := Open(OS, dir, "x", nil)
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		s.SetHolder("/mnt/there")
		fmt.Println("held")
		os.Stdin.Read(make([]byte, 1)) // until killed, or the parent is gone
		os.Exit(0)
	}
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0], "-test.run=^TestLockedByAnotherProcess$")
	cmd.Env = append(os.Environ(), "SPOOL_HOLD="+dir)
	in, _ := cmd.StdinPipe()
	defer in.Close()
	out, _ := cmd.StdoutPipe()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 5)
	if _, err := out.Read(line); err != nil || string(line) != "held\n" {
		t.Fatalf("the holder says %q %v", line, err)
	}
	_, err := Open(OS, dir, "x", nil)
	var locked *LockedError
	if want := fmt.Sprintf("process %d (/mnt/there)", cmd.Process.Pid); !errors.As(err, &locked) || locked.Holder != want {
		t.Errorf("got %v, want held by %s", err, want)
	}
	if _, _, _, err := Peek(dir); err != nil {
		t.Errorf("Peek at a spool in use: %v", err)
	}
	cmd.Process.Kill()
	cmd.Wait()
	s, err := Open(OS, dir, "x", nil)
	if err != nil {
		t.Fatalf("after the holder was killed: %v", err)
	}
	s.Close()
}

func TestNumbersGoOn(t *testing.T) {
	dir := t.TempDir()
	var high uint64
	for i := range 6 {
		d := newDisk("b1")
		s := mustOpen(t, d, dir)
		if i%2 == 1 {
			mustLoad(t, s)
		}
		id := s.NewID()
		r := put(t, s, file(t, s, fmt.Sprint("/", i), 1))
		if id <= high || r.ID <= high || r.Seq <= high {
			t.Fatalf("start %d: %d %d %d after %d", i, id, r.ID, r.Seq, high)
		}
		high = max(r.ID, r.Seq)
		if err := s.Drop(r.ID); err != nil { // nothing bears the number any more
			t.Fatal(err)
		}
		if i == 2 { // the mark is lost, and only the record tells
			r = put(t, s, file(t, s, "/stays", 1))
			high = r.Seq
		}
		stop(s, d)
		if i == 2 {
			truncate(t, filepath.Join(dir, "synced"), 10)
		}
	}
}

func TestIntents(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, newDisk("b1"), dir)
	a, b, c := &Intent{From: "/a\xff", To: "/b"}, &Intent{From: "/d", To: "/e", Dir: true}, &Intent{From: "/x", To: "/y"}
	for _, in := range []*Intent{a, b, c} {
		if err := s.PutIntent(in); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.DropIntent(a.Seq); err != nil {
		t.Fatal(err)
	}
	s.Close()
	truncate(t, s.intent(c.Seq), 30)
	s = mustOpen(t, newDisk("b2"), dir)
	_, got, err := s.Load(context.Background())
	if err != nil || len(got) != 1 || got[0].From != "/d" || got[0].To != "/e" || !got[0].Dir || got[0].Seq != b.Seq {
		t.Errorf("got %+v %v", got, err)
	}
	if s.Quarantined() != 1 {
		t.Errorf("the torn intent was not quarantined: %s", names(t, dir, "quarantine"))
	}
}

func TestMovingData(t *testing.T) {
	dir, out := t.TempDir(), t.TempDir()
	s := mustOpen(t, newDisk("b1"), dir)
	r := put(t, s, file(t, s, "/a", 5))
	if err := s.Detach(r.ID, filepath.Join(out, "a")); err != nil {
		t.Fatal(err)
	}
	if b, _ := os.ReadFile(filepath.Join(out, "a")); string(b) != "xxxxx" {
		t.Errorf("detached %q", b)
	}
	if got := names(t, dir, "rec") + names(t, dir, "data"); got != "" {
		t.Errorf("left: %s", got)
	}
	id := s.NewID()
	if err := s.Adopt(id, filepath.Join(out, "a")); err != nil {
		t.Fatal(err)
	}
	r = put(t, s, &Record{ID: id, Path: "/d/" + strings.Repeat("n", 240) + ".tar.gz", Size: 5, Have: r.Have, Dirty: r.Dirty})
	kept, err := s.Discard(id)
	if err != nil {
		t.Fatal(err)
	}
	if b, _ := os.ReadFile(kept); string(b) != "xxxxx" || !strings.HasSuffix(kept, "n.tar.gz") {
		t.Errorf("discarded as %s: %q", kept, b)
	}
	if _, err := os.Stat(kept + ".json"); err != nil {
		t.Error(err)
	}
	d := put(t, s, &Record{ID: s.NewID(), Path: "/", Dir: true})
	if kept, err := s.Discard(d.ID); err != nil || !strings.HasSuffix(kept, "root.json") {
		t.Errorf("%s %v", kept, err)
	}
	if got := names(t, dir, "rec") + names(t, dir, "data"); got != "" {
		t.Errorf("left: %s", got)
	}
}

func TestAcrossFileSystems(t *testing.T) {
	dir := t.TempDir()
	d := newDisk("b1")
	s := mustOpen(t, d, dir)
	r := put(t, s, file(t, s, "/a", 5))
	d.fail = func(op, path string) error {
		if op == "rename" && !strings.Contains(path, "/rec/") {
			return syscall.EXDEV
		}
		return nil
	}
	if err := s.Detach(r.ID, "/elsewhere"); !errors.Is(err, syscall.EXDEV) {
		t.Errorf("Detach: %v", err)
	}
	if err := s.Adopt(s.NewID(), "/elsewhere"); !errors.Is(err, syscall.EXDEV) {
		t.Errorf("Adopt: %v", err)
	}
	put(t, s, r)
	s.Close()
	s = mustOpen(t, newDisk("b1"), dir)
	if got := paths(mustLoad(t, s)); got != "/a" || s.Quarantined() != 0 {
		t.Errorf("got %q", got)
	}
}

func TestManyAtOnce(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, newDisk("b1"), dir)
	for range 20 {
		put(t, s, file(t, s, fmt.Sprint("/old/", s.NewID()), 3))
	}
	s.Close()
	s = mustOpen(t, newDisk("b1"), dir)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for k := range 20 {
				r := file(t, s, fmt.Sprintf("/%d/%d", i, k), 3)
				for range 3 {
					if err := s.Put(r); err != nil {
						t.Error(err)
					}
				}
				if k%2 == 0 {
					if err := s.Drop(r.ID); err != nil {
						t.Error(err)
					}
				}
				if k%5 == 0 {
					if err := s.groupSync(); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	if got := mustLoad(t, s); len(got) != 20 {
		t.Errorf("%d loaded", len(got))
	}
	wg.Wait()
	s.Close()
	s = mustOpen(t, newDisk("b2"), dir)
	if got := mustLoad(t, s); len(got) != 20+8*10 {
		t.Errorf("%d loaded", len(got))
	}
}

func TestWithoutLocksTheErrorSaysWhatToDo(t *testing.T) {
	err := lockError("/nfs/spool", &os.PathError{Op: "flock", Path: "/nfs/spool/lock", Err: syscall.ENOLCK})
	if !strings.Contains(err.Error(), "local disk") || !errors.Is(err, syscall.ENOLCK) {
		t.Errorf("got %v", err)
	}
	if err := lockError("/x", syscall.EIO); strings.Contains(err.Error(), "local disk") {
		t.Errorf("for another reason: %v", err)
	}
}
