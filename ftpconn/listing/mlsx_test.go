package listing

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"ftpfs/cache/remote"
)

func utc(y int, m time.Month, d, h, min, s int) time.Time {
	return time.Date(y, m, d, h, min, s, 0, time.UTC)
}

type lineCase struct {
	line  string
	want  remote.Entry
	class Class
	err   error
}

func runLines(t *testing.T, parse func(string) (remote.Entry, Class, error), cases []lineCase) {
	t.Helper()
	for _, c := range cases {
		got, class, err := parse(c.line)
		if class != c.class || !errors.Is(err, c.err) || c.err == nil && err != nil {
			t.Errorf("%q\n  is %v, %v\nwant %v, %v", c.line, class, err, c.class, c.err)
			continue
		}
		if class == IsEntry && got != c.want {
			t.Errorf("%q\n got %+v\nwant %+v", c.line, got, c.want)
		}
	}
}

func TestParseMLSx(t *testing.T) {
	at := utc(2024, 1, 5, 12, 34, 56)
	runLines(t, ParseMLSx, []lineCase{
		// ProFTPD
		{line: "modify=20240105123456;perm=adfrw;size=1234;type=file;unique=801U2A;UNIX.group=1000;UNIX.groupname=users;UNIX.mode=0644;UNIX.owner=1000;UNIX.ownername=ann; a.txt", class: IsEntry,
			want: remote.Entry{Name: "a.txt", Type: remote.File, Size: 1234, MTime: at, MGrain: time.Second, Mode: 0o644, HasMode: true, Owner: "ann", Group: "users", Unique: "801U2A"}},
		{line: "modify=20240105123456;perm=flcdmpe;type=cdir;unique=801U1;UNIX.mode=0755; /", class: Noise},
		{line: "modify=20240105123456;perm=flcdmpe;type=pdir;unique=801U1;UNIX.mode=0755; ..", class: Noise},
		{line: "modify=20240105123456;perm=adfrw;size=3;type=OS.unix=symlink;unique=801U3;UNIX.mode=0777; l", class: IsEntry,
			want: remote.Entry{Name: "l", Type: remote.Symlink, Size: 3, MTime: at, MGrain: time.Second, Mode: 0o777, HasMode: true, Unique: "801U3"}},
		// Pure-FTPd
		{line: "type=dir;siz=4096;sizd=4096;modify=20240105123456;UNIX.mode=02755;UNIX.uid=0;UNIX.gid=7;unique=802g1; sub dir", class: IsEntry,
			want: remote.Entry{Name: "sub dir", Type: remote.Dir, Size: 4096, MTime: at, MGrain: time.Second, Mode: 0o2755, HasMode: true, Owner: "0", Group: "7", Unique: "802g1"}},
		{line: "type=OS.unix=slink:../real name;size=12;modify=20240105123456;UNIX.mode=0777;UNIX.uid=1;UNIX.gid=1;unique=x; link", class: IsEntry,
			want: remote.Entry{Name: "link", Type: remote.Symlink, Target: "../real name", Size: 12, MTime: at, MGrain: time.Second, Mode: 0o777, HasMode: true, Owner: "1", Group: "1", Unique: "x"}},
		{line: "type=OS.unix=slink:/a;b;size=4; link", class: IsEntry,
			want: remote.Entry{Name: "link", Type: remote.Symlink, Target: "/a;b", Size: 4}},
		// pyftpdlib, before and after OPTS MLST
		{line: "type=file;size=0;perm=r;modify=20240105123456.789;unique=fd01g2; empty", class: IsEntry,
			want: remote.Entry{Name: "empty", Type: remote.File, MTime: at, MGrain: time.Second, Unique: "fd01g2"}},
		{line: "modify=20240105123456;perm=radfwMT;size=1000;type=file;unique=fe00g9880cb;unix.gid=1;unix.mode=0o644;unix.uid=1; usable", class: IsEntry,
			want: remote.Entry{Name: "usable", Size: 1000, MTime: at, MGrain: time.Second, Mode: 0o644, HasMode: true, Owner: "1", Group: "1", Unique: "fe00g9880cb"}},
		// anything else a server may do
		{line: "Type=File;Size=5; no date", class: IsEntry, want: remote.Entry{Name: "no date", Size: 5}},
		{line: "TYPE=DIR;MODIFY=20240105123456; D", class: IsEntry, want: remote.Entry{Name: "D", Type: remote.Dir, Size: -1, MTime: at, MGrain: time.Second}},
		{line: "type=file;size=;modify=; blank facts", class: IsEntry, want: remote.Entry{Name: "blank facts", Size: -1}},
		{line: "type=file;size=010; ten, not eight", class: IsEntry, want: remote.Entry{Name: "ten, not eight", Size: 10}},
		{line: "type=file;size=99999999999999999999; huge", class: IsEntry, want: remote.Entry{Name: "huge", Size: -1}},
		{line: "type=file;size=-1;modify=20241345123456; bad date", class: IsEntry, want: remote.Entry{Name: "bad date", Size: -1}},
		{line: "type=file;modify=191240105123456; year of 1970s code", class: IsEntry, want: remote.Entry{Name: "year of 1970s code", Size: -1, MTime: utc(2024, 1, 5, 12, 34, 56), MGrain: time.Second}},
		{line: "type=file;size=1;   two blanks first", class: IsEntry, want: remote.Entry{Name: "  two blanks first", Size: 1}},
		{line: "type=file;size=1; blank last ", class: IsEntry, want: remote.Entry{Name: "blank last ", Size: 1}},
		{line: "type=file;size=1; a;b=c; d", class: IsEntry, want: remote.Entry{Name: "a;b=c; d", Size: 1}},
		{line: "type=file;size=1 no last semicolon", class: IsEntry, want: remote.Entry{Name: "no last semicolon", Size: 1}},
		{line: "type=file;size=1 no last; semicolon", class: IsEntry, want: remote.Entry{Name: "no last; semicolon", Size: 1}},
		{line: "type=file;UNIX.group=Domain Users;size=1; x", class: IsEntry, want: remote.Entry{Name: "x", Size: 1, Group: "Domain Users"}},
		{line: "type=file;x.unknown=;other=1=2; \xff\xfe", class: IsEntry, want: remote.Entry{Name: "\xff\xfe", Size: -1}},
		{line: "type=OS.unix=chr-1/3; null", class: IsEntry, want: remote.Entry{Name: "null", Type: remote.Other, Size: -1}},
		{line: "type=OS.unix=fifo; pipe", class: IsEntry, want: remote.Entry{Name: "pipe", Type: remote.Other, Size: -1}},
		{line: "type=link; l", class: IsEntry, want: remote.Entry{Name: "l", Type: remote.Symlink, Size: -1}},
		{line: " type=file;size=7; from MLST", class: IsEntry, want: remote.Entry{Name: "from MLST", Size: 7}},
		{line: "type=dir; .", class: Noise},
		{line: "type=dir; ..", class: Noise},
		{line: "", class: Noise},
		{line: " ", class: Noise},
		// refused
		{line: "type=file; ..", err: ErrHostile},
		{line: "type=file; ../x", err: ErrHostile},
		{line: "type=dir; /abs", err: ErrHostile},
		{line: "type=file; a\x00b", err: ErrHostile},
		{line: "type=file; a\nb", err: ErrHostile},
		{line: "type=file; ", err: ErrHostile},
		{line: "type=file;", err: ErrSyntax},
		{line: "size=1; no type", err: ErrSyntax},
		{line: " name without facts", err: ErrSyntax},
		{line: "-rw-r--r-- 1 a a 1 Jan 1 2024 x", err: ErrSyntax},
		{line: "426 Failure writing network stream.", err: ErrSyntax},
		{line: "type=file; " + strings.Repeat("x", maxLine), err: ErrSyntax},
	})
}

func TestParseMLST(t *testing.T) {
	at := utc(2024, 1, 5, 12, 34, 56)
	runLines(t, ParseMLST, []lineCase{
		{line: " modify=20240105123456;size=3;type=file;UNIX.mode=0600; /pub/a b", class: IsEntry,
			want: remote.Entry{Size: 3, MTime: at, MGrain: time.Second, Mode: 0o600, HasMode: true}},
		{line: "   type=cdir;modify=20240105123456; /", class: IsEntry, want: remote.Entry{Type: remote.Dir, Size: -1, MTime: at, MGrain: time.Second}},
		{line: "type=dir; ..", class: IsEntry, want: remote.Entry{Type: remote.Dir, Size: -1}},
		{line: " type=file; ", class: IsEntry, want: remote.Entry{Size: -1}},
		{line: "", class: Noise},
		{line: "550 no such file", err: ErrSyntax},
	})
}

func FuzzParseMLSx(f *testing.F) {
	for _, s := range []string{
		"modify=20240105123456;perm=adfrw;size=1234;type=file;unique=801U2A;UNIX.mode=0644;UNIX.owner=1000; a.txt",
		"type=OS.unix=slink:/a;b;size=4; link", "type=cdir; /", " type=dir; x", "type=file;size=1 x", "type=file; ../x", ";", "=;", "type=",
		"type=file;modify=191240105123456; y",
	} {
		f.Add(s)
	}
	for _, s := range corpus(f) {
		if strings.HasSuffix(s.file, "mlsd.txt") {
			f.Add(s.line)
		}
	}
	f.Fuzz(func(t *testing.T, line string) {
		e, class, err := ParseMLSx(line)
		checkResult(t, line, e, class, err)
		if class == IsEntry && !strings.HasSuffix(line, e.Name) {
			t.Errorf("%q: name %q is not the end of the line", line, e.Name)
		}
		if m, class, _ := ParseMLST(line); class == IsEntry && m.Name != "" {
			t.Errorf("%q: MLST gave a name", line)
		}
	})
}

// checkResult states what holds of every line, whoever wrote it.
func checkResult(t *testing.T, line string, e remote.Entry, class Class, err error) {
	t.Helper()
	if (class == Invalid) != (err != nil) {
		t.Fatalf("%q: class %v with error %v", line, class, err)
	}
	if err != nil && len(err.Error()) > 1000 {
		t.Errorf("an error of %d bytes", len(err.Error()))
	}
	if class != IsEntry {
		return
	}
	if e.Name == "" || e.Name == "." || e.Name == ".." || strings.ContainsAny(e.Name, "/\x00\n") {
		t.Errorf("%q: name %q", line, e.Name)
	}
	if e.Size < -1 || e.Mode&^0o7777 != 0 || !e.HasMode && e.Mode != 0 {
		t.Errorf("%q: %+v", line, e)
	}
	if (e.MGrain == 0) != e.MTime.IsZero() && e.MTime.Year() != 1 {
		t.Errorf("%q: time %v, grain %v", line, e.MTime, e.MGrain)
	}
	if e.MTime.Location() != time.UTC {
		t.Errorf("%q: time in %v", line, e.MTime.Location())
	}
}

// Times are those that package time reads, with every number out of its range too.
func TestTimesAreAsPackageTimeReadsThem(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	read := 0
	for range 200_000 {
		v := fmt.Sprintf("%04d%02d%02d%02d%02d%02d", 1896+rnd.IntN(220), rnd.IntN(14), rnd.IntN(34), rnd.IntN(26), rnd.IntN(62), rnd.IntN(62))
		want, err := time.Parse("20060102150405", v)
		got, ok := ParseTime(v)
		if ok != (err == nil) || ok && !got.Equal(want) {
			t.Fatalf("%s is %v, %v; want %v, %v", v, got, ok, want, err)
		}
		if ok {
			read++
		}
	}
	if read == 0 || read == 200_000 {
		t.Errorf("%d of 200,000 are times", read)
	}
	for _, v := range []string{"", "2024010512345", "20240105123456x", "+0240105123456", "2024 105123456", "２024010512345"} {
		if got, ok := ParseTime(v); ok {
			t.Errorf("%q is taken for %v", v, got)
		}
	}
}
