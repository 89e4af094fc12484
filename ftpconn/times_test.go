package ftpconn_test

import (
	"fmt"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // of Berlin

	"ftpfs/cache/remote"
	"ftpfs/ftpconn"
	"ftpfs/test/ftpscript"
)

var noMLSD = []string{"MLSD", "MLST"}

// aged puts files of these ages, a minute apart and with odd seconds, and a directory.
func aged(srv *ftpscript.Server, ages ...time.Duration) {
	srv.Tree.MkdirAll("/d/sub")
	for i, age := range ages {
		p := fmt.Sprintf("/d/f%d", i)
		srv.Tree.Put(p, []byte(p))
		srv.Tree.SetTime(p, time.Now().Add(-age).Truncate(time.Minute).Add(time.Duration(7+i)*time.Second))
	}
	srv.Tree.SetTime("/d/sub", time.Now().Add(-time.Hour).Truncate(time.Minute))
}

// exactly checks that files have the server's times to the second, and the directory
// to what LIST tells.
func exactly(t *testing.T, what string, srv *ftpscript.Server, entries []remote.Entry, err error) {
	t.Helper()
	ok(t, what, err)
	for _, e := range entries {
		f, there := srv.Tree.Stat("/d/" + e.Name)
		switch {
		case !there:
			t.Errorf("%s: %q is not there", what, e.Name)
		case e.Type == remote.File && (!e.MTime.Equal(f.MTime) || e.MGrain != time.Second):
			t.Errorf("%s: %s has the time %v ± %v, the server %v", what, e.Name, e.MTime, e.MGrain, f.MTime)
		case e.Type == remote.Dir && (e.MGrain != time.Minute || !e.MTime.Equal(f.MTime)):
			t.Errorf("%s: directory %s has the time %v ± %v, the server %v", what, e.Name, e.MTime, e.MGrain, f.MTime)
		}
	}
}

// Where LIST is in another zone, files have exact times, and MDTM tells the zone for what
// it says nothing of.
func TestZoneOfListIsFound(t *testing.T) {
	for _, minutes := range []int{0, 5*60 + 30, -9*60 - 30, 14 * 60} {
		for _, dos := range []bool{false, true} {
			zone := time.FixedZone("", minutes*60)
			srv, s := start(t, ftpscript.Options{Refuse: noMLSD, Zone: zone, DOSLines: dos}, nil)
			aged(srv, time.Hour, 2*time.Hour, 100*24*time.Hour, 300*24*time.Hour)
			entries, err := s.List(t.Context(), "/d")
			exactly(t, fmt.Sprintf("%d minutes, DOS %v", minutes, dos), srv, entries, err)
			if got, want := s.Stats().Zone, time.Now().In(zone).Format("-07:00"); got != want {
				t.Errorf("the zone is %s, want %s", got, want)
			}
		}
	}
}

// A server that lists winter's files by winter's clock has no one zone. That of late is
// taken, and no file's time hangs on it.
func TestZoneWithSummerTime(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	ok(t, "tzdata", err)
	srv, s := start(t, ftpscript.Options{Refuse: noMLSD, Zone: berlin}, nil)
	const days = 24 * time.Hour
	aged(srv, time.Hour, time.Hour+time.Minute, time.Hour+2*time.Minute, time.Hour+3*time.Minute, 170*days, 171*days, 172*days, 350*days)
	entries, err := s.List(t.Context(), "/d")
	exactly(t, "list", srv, entries, err)
}

// What List says of a file whose MDTM it could not have, whatever the zone is taken for, does
// not make it another version than the one that MDTM tells later; a change of a day does.
func TestWrongZoneIsNoChange(t *testing.T) {
	for _, age := range []time.Duration{time.Hour, 300 * 24 * time.Hour} {
		for _, wrong := range []*time.Location{nil, time.FixedZone("", -12*3600), time.FixedZone("", 14*3600)} {
			srv, s := start(t, ftpscript.Options{Refuse: noMLSD, Zone: time.FixedZone("", 5*3600+1800)},
				func(c *ftpconn.Config) { c.Zone = wrong })
			aged(srv, age, age)
			srv.Add(ftpscript.Rule{Verb: "MDTM", Path: "/d/f0", Instead: "550 not now", Times: 1})
			entries, err := s.List(t.Context(), "/d")
			ok(t, "list", err)
			for _, e := range entries {
				if e.Name != "f0" {
					continue
				}
				now, err := s.Stat(t.Context(), "/d/f0")
				ok(t, "stat", err)
				if v := e.Version(); v.Differs(now.Version()) {
					t.Errorf("%v old, read in %v: %v ± %v and %v ± %v", age, wrong, e.MTime, e.MGrain, now.MTime, now.MGrain)
				}
				srv.Tree.Put("/.tag7", []byte("new"))
				v := e.Version()
				_, err = s.Publish(t.Context(), "/.tag7", remote.Publish{Path: "/d/f0", Size: 3, Expect: &v})
				ok(t, "publish over it", err)
			}
		}
	}
}

// A change is seen in the listing also where the zone is wrong: by MDTM.
func TestWrongZoneHidesNoChange(t *testing.T) {
	srv, s := start(t, ftpscript.Options{Refuse: noMLSD, Zone: time.FixedZone("", 5*3600+1800)},
		func(c *ftpconn.Config) { c.Zone = time.FixedZone("", -3600) })
	aged(srv, time.Hour, time.Hour)
	before, err := s.List(t.Context(), "/d")
	ok(t, "list", err)
	for _, p := range []string{"/d/f0", "/d/f1"} {
		f, _ := srv.Tree.Stat(p)
		srv.Tree.SetTime(p, f.MTime.Add(time.Second))
	}
	after, err := s.List(t.Context(), "/d")
	ok(t, "list again", err)
	for i, e := range after {
		v := before[i].Version()
		if e.Type == remote.File && !v.Differs(e.Version()) {
			t.Errorf("%s changed within its minute: %v and %v", e.Name, before[i].MTime, e.MTime)
		}
	}
}

// Where there is no MDTM, whatever FEAT says, LIST's minute counts.
func TestListWithoutMDTM(t *testing.T) {
	srv, s := start(t, ftpscript.Options{Refuse: []string{"MLSD", "MLST", "MDTM"}}, nil)
	aged(srv, time.Hour, 2*time.Hour)
	for range 2 {
		entries, err := s.List(t.Context(), "/d")
		ok(t, "list", err)
		for _, e := range entries {
			if f, _ := srv.Tree.Stat("/d/" + e.Name); e.MGrain != time.Minute || !e.MTime.Equal(f.MTime.Truncate(time.Minute)) {
				t.Errorf("%s: %v ± %v, the server has %v", e.Name, e.MTime, e.MGrain, f.MTime)
			}
		}
	}
	if n := len(srv.Since(0).Verbs("MDTM")); n != 1 {
		t.Errorf("MDTM was tried %d times", n)
	}
}

// MDTM that FEAT does not tell of is found.
func TestMDTMIsNotInFEAT(t *testing.T) {
	srv, s := start(t, ftpscript.Options{Refuse: noMLSD, Feat: []string{"SIZE", "REST STREAM"}}, nil)
	aged(srv, time.Hour, 2*time.Hour, 300*24*time.Hour)
	entries, err := s.List(t.Context(), "/d")
	exactly(t, "list", srv, entries, err)
}

// Formats without sizes, or with those of blocks, have SIZE asked for, in the same go as
// MDTM.
func TestListWithoutSizes(t *testing.T) {
	var seg segments
	srv := ftpscript.Start(t, ftpscript.Options{Refuse: noMLSD, Listing: func(verb, _ string, lines []string) []string {
		out := []string{"Directory DISK:[D]", ""}
		for _, l := range lines {
			name := l[strings.LastIndexByte(l, ' ')+1:]
			if l[0] == 'd' {
				name += ".DIR"
			}
			out = append(out, name+";1", "                1/3    2-JUN-2023 07:32:04  [ANN]  (RWED,RWED,RE,)")
		}
		return append(out, "", fmt.Sprintf("Total of %d files, 7/9 blocks.", len(lines)))
	}})
	aged(srv, time.Hour, 2*time.Hour, 300*24*time.Hour)
	s := open(t, srv, func(c *ftpconn.Config) { c.Dial = seg.dial(srv.Port, nil) })
	_, err := s.List(t.Context(), "/d")
	ok(t, "list", err)
	seg.take()
	entries, err := s.List(t.Context(), "/d")
	ok(t, "list again", err)
	if len(entries) != 4 {
		t.Errorf("listed %s", names(entries))
	}
	for _, e := range entries {
		f, there := srv.Tree.Stat("/d/" + e.Name)
		if !there || e.Type == remote.File && (e.Size != int64(f.Size) || !e.MTime.Equal(f.MTime) || e.MGrain != time.Second) {
			t.Errorf("%+v, the server has %+v", e, f)
		}
	}
	if sent := seg.take(); len(sent) > 3 {
		t.Errorf("took %d segments: %q", len(sent), sent)
	}
}
