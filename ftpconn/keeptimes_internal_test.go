package ftpconn

import (
	"fmt"
	"testing"
	"time"

	"ftpfs/cache/remote"
	"ftpfs/test/ftpscript"
)

// In a large directory the exact times of what has not changed are not asked for again;
// those of what has changed are, and of what may be changing.
func TestTimesOfManyFilesAreKept(t *testing.T) {
	srv := ftpscript.Start(t, ftpscript.Options{Refuse: []string{"MLSD", "MLST"}})
	s := New(Config{Host: srv.Host, Port: srv.Port, User: ftpscript.User, Password: ftpscript.Password, Timeout: 10 * time.Second})
	defer s.Close()
	s.times.many = 10
	old, late := time.Now().Add(-100*time.Hour).Truncate(time.Minute), time.Now().Add(-time.Hour).Truncate(time.Minute)
	put := func(i int, size int, at time.Time) {
		p := fmt.Sprintf("/d/f%d", i)
		srv.Tree.Put(p, make([]byte, size))
		srv.Tree.SetTime(p, at)
	}
	for i := range 20 {
		put(i, 5, old.Add(time.Duration(i)*time.Second))
	}
	for i := 20; i < 23; i++ {
		put(i, 5, late.Add(time.Duration(i)*time.Second))
	}
	asked := func(what string, want int) {
		t.Helper()
		from := len(srv.Since(0))
		entries, err := s.List(t.Context(), "/d")
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if n := len(srv.Since(from).Verbs("MDTM")); n != want {
			t.Errorf("%s: asked for %d times, want %d", what, n, want)
		}
		for _, e := range entries {
			if f, _ := srv.Tree.Stat("/d/" + e.Name); e.Type == remote.File && (!e.MTime.Equal(f.MTime) || e.MGrain != time.Second) {
				t.Errorf("%s: %s has the time %v ± %v, the server %v", what, e.Name, e.MTime, e.MGrain, f.MTime)
			}
		}
	}
	asked("at first", 23)
	asked("again", 3)
	put(20, 5, late.Add(50*time.Second)) // within its minute
	put(1, 6, old.Add(time.Second))      // another size
	put(2, 5, old.Add(90*time.Second))   // another minute
	put(30, 5, old)                      // new
	srv.Tree.Remove("/d/f3")
	asked("after changes", 6)
	asked("again after them", 3)
	put(3, 5, old.Add(33*time.Second)) // it is back
	asked("with one that had gone", 4)
	s.times.many = 100
	asked("as a small directory", 24)
}

func TestKeptTimesAreBounded(t *testing.T) {
	var k keptTimes
	k.init()
	k.many, k.most = 1, 2000
	now := time.Now()
	times, lines := newStamps(500), make([]string, 500)
	for i := range lines {
		lines[i], times[i] = fmt.Sprint(i), now.Add(-72*time.Hour).Unix()
	}
	for d := range 6 {
		k.keep(fmt.Sprint(d), lines, times, now)
	}
	held := 0
	for _, of := range k.dirs {
		held += len(of)
	}
	if held > k.most || held == 0 || held != k.held {
		t.Errorf("%d times are held, %d counted", held, k.held)
	}
}
