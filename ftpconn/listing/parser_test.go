package listing

import (
	"strings"
	"testing"
	"time"

	"ftpfs/cache/remote"
)

func TestParserUnix(t *testing.T) {
	p := NewParser(utc(2026, 3, 10, 12, 0, 0), time.UTC)
	const F, D, L, O = remote.File, remote.Dir, remote.Symlink, remote.Other
	entry := func(name string, ty remote.EntryType, size int64, mode uint32, nlink uint32, owner, group string, mtime time.Time, grain time.Duration) remote.Entry {
		return remote.Entry{Name: name, Type: ty, Size: size, Mode: mode, HasMode: true, Nlink: nlink, Owner: owner, Group: group, MTime: mtime, MGrain: grain}
	}
	link := func(e remote.Entry, target string) remote.Entry { e.Target = target; return e }
	old, recent := utc(2024, 1, 5, 0, 0, 0), utc(2026, 1, 5, 12, 34, 0)

	runLines(t, p.Line, []lineCase{
		{line: "total 12", class: Noise},
		{line: "total 1.2M", class: Noise},
		{line: "insgesamt 12", class: Noise},
		{line: "", class: Noise},
		{line: "drwxr-xr-x   2 0        0            4096 Jan 05 12:34 .", class: Noise},
		{line: "drwxr-xr-x   2 0        0            4096 Jan 05 12:34 ..", class: Noise},
		// vsftpd, ProFTPD, Pure-FTPd, pyftpdlib
		{line: "-rw-r--r--    1 0        0            1234 Jan 05 12:34 a.txt", class: IsEntry, want: entry("a.txt", F, 1234, 0o644, 1, "0", "0", recent, time.Minute)},
		{line: "drwxr-xr-x   2 ftp      ftp          4096 Jan 05  2024 sub", class: IsEntry, want: entry("sub", D, 4096, 0o755, 2, "ftp", "ftp", old, day)},
		{line: "lrwxrwxrwx    1 0          0                 6 Jan  5 12:34 link -> target", class: IsEntry, want: link(entry("link", L, 6, 0o777, 1, "0", "0", recent, time.Minute), "target")},
		{line: "-rw-r--r--   1 root     root            0 Jan 05 12:34 empty", class: IsEntry, want: entry("empty", F, 0, 0o644, 1, "root", "root", recent, time.Minute)},
		// marks after the mode
		{line: "drwxr-xr-x.  2 root root 4096 Jan  5  2024 selinux", class: IsEntry, want: entry("selinux", D, 4096, 0o755, 2, "root", "root", old, day)},
		{line: "-rw-rw-r--+  1 root root 1 Jan  5  2024 acl", class: IsEntry, want: entry("acl", F, 1, 0o664, 1, "root", "root", old, day)},
		{line: "-rw-r--r--@  1 ann  staff 1 Jan  5  2024 mac", class: IsEntry, want: entry("mac", F, 1, 0o644, 1, "ann", "staff", old, day)},
		{line: "drwxr-xr-x1234 root root 4096 Jan  5  2024 crowded", class: IsEntry, want: entry("crowded", D, 4096, 0o755, 1234, "root", "root", old, day)},
		// modes
		{line: "-rwsr-Sr-t 1 a b 1 Jan  5  2024 x", class: IsEntry, want: entry("x", F, 1, 0o7745, 1, "a", "b", old, day)},
		{line: "-rwSr-sr-T 1 a b 1 Jan  5  2024 x", class: IsEntry, want: entry("x", F, 1, 0o7654, 1, "a", "b", old, day)},
		{line: "-rwxr-lr-- 1 a b 1 Jan  5  2024 x", class: IsEntry, want: entry("x", F, 1, 0o2744, 1, "a", "b", old, day)},
		{line: "---------- 1 a b 1 Jan  5  2024 x", class: IsEntry, want: entry("x", F, 1, 0, 1, "a", "b", old, day)},
		// owners
		{line: "-rw-r--r-- 1 ann 1234 Jan  5  2024 no group", class: IsEntry, want: entry("no group", F, 1234, 0o644, 1, "ann", "", old, day)},
		{line: "-rw-r--r-- 1 1234 Jan  5  2024 no owner", class: IsEntry, want: entry("no owner", F, 1234, 0o644, 1, "", "", old, day)},
		{line: `-rw-r--r-- 1 CORP\ann Domain Users 1234 Jan  5  2024 x`, class: IsEntry, want: entry("x", F, 1234, 0o644, 1, `CORP\ann`, "Domain Users", old, day)},
		{line: "drwxrwxr-x               folder        2 May 10  1996 network", class: IsEntry, want: entry("network", D, 2, 0o775, 0, "folder", "", utc(1996, 5, 10, 0, 0, 0), day)},
		{line: "-rw-r--r-- 1 1000 5 5 Jan  5  2024 numbers", class: IsEntry, want: entry("numbers", F, 5, 0o644, 1, "1000", "5", old, day)},
		// dates
		{line: "-rw-r--r-- 1 a b 5  5 Jan  2024 day first", class: IsEntry, want: entry("day first", F, 5, 0o644, 1, "a", "b", old, day)},
		{line: "-rw-r--r-- 1 a b 5  5. Jan 12:34 day first", class: IsEntry, want: entry("day first", F, 5, 0o644, 1, "a", "b", recent, time.Minute)},
		{line: "-rw-r--r-- 1 a b 5 jan  5 9:34 x", class: IsEntry, want: entry("x", F, 5, 0o644, 1, "a", "b", utc(2026, 1, 5, 9, 34, 0), time.Minute)},
		{line: "-rw-r--r-- 1 a b 5 2024-01-05 12:34 iso", class: IsEntry, want: entry("iso", F, 5, 0o644, 1, "a", "b", utc(2024, 1, 5, 12, 34, 0), time.Minute)},
		{line: "-rw-r--r-- 1 a b 5 2024-01-05 12:34:56 iso", class: IsEntry, want: entry("iso", F, 5, 0o644, 1, "a", "b", utc(2024, 1, 5, 12, 34, 56), time.Second)},
		{line: "-rw-r--r-- 1 a b 5 2024-01-05 12:34:56.789000000 +0130 iso", class: IsEntry, want: entry("iso", F, 5, 0o644, 1, "a", "b", utc(2024, 1, 5, 11, 4, 56), time.Second)},
		{line: "-rw-r--r-- 1 a b 5 01-05 12:34 iso", class: IsEntry, want: entry("iso", F, 5, 0o644, 1, "a", "b", recent, time.Minute)},
		{line: "-rw-r--r-- 1 a b 5 2024-01-05  iso", class: IsEntry, want: entry("iso", F, 5, 0o644, 1, "a", "b", old, day)},
		{line: "-rw-r--r-- 1 a b 5 Jan  5 12:34:56 2024 bsd", class: IsEntry, want: entry("bsd", F, 5, 0o644, 1, "a", "b", utc(2024, 1, 5, 12, 34, 56), time.Second)},
		{line: "-rw-r--r-- 1 a b 5 Jan  0 12:34 no such day", class: IsEntry, want: entry("no such day", F, 5, 0o644, 1, "a", "b", time.Time{}, 0)},
		{line: "-rw-r--r-- 1 a b 5 Feb 30  2024 no such day", class: IsEntry, want: entry("no such day", F, 5, 0o644, 1, "a", "b", time.Time{}, 0)},
		{line: "-rw-r--r-- 1 a b 5 Jan  5 12:34 2024 is in the name", class: IsEntry, want: entry("2024 is in the name", F, 5, 0o644, 1, "a", "b", recent, time.Minute)},
		// types
		{line: "crw-rw-rw- 1 root root 1, 3 Jan  5  2024 null", class: IsEntry, want: entry("null", O, -1, 0o666, 1, "root", "root", old, day)},
		{line: "brw-rw---- 1 root disk 8,0 Jan  5  2024 sda", class: IsEntry, want: entry("sda", O, -1, 0o660, 1, "root", "disk", old, day)},
		{line: "prw-r--r-- 1 root root 0 Jan  5  2024 fifo", class: IsEntry, want: entry("fifo", O, -1, 0o644, 1, "root", "root", old, day)},
		{line: "srw-r--r-- 1 root root 0 Jan  5  2024 socket", class: IsEntry, want: entry("socket", O, -1, 0o644, 1, "root", "root", old, day)},
		{line: "-????????? ? ? ? ?            ? nobody knows", class: IsEntry, want: remote.Entry{Name: "nobody knows", Type: O, Size: -1}},
		{line: "-rw-r--r-- 1 a b -294967296 Jan  5  2024 overflow", class: IsEntry, want: entry("overflow", F, -1, 0o644, 1, "a", "b", old, day)},
		// names
		{line: "-rw-r--r-- 1 a b 5 Jan  5  2024   two blanks", class: IsEntry, want: entry("  two blanks", F, 5, 0o644, 1, "a", "b", old, day)},
		{line: "-rw-r--r-- 1 a b 5 Jan  5  2024 trailing ", class: IsEntry, want: entry("trailing ", F, 5, 0o644, 1, "a", "b", old, day)},
		{line: "-rw-r--r-- 1 a b 5 Jan  5  2024  ", class: IsEntry, want: entry(" ", F, 5, 0o644, 1, "a", "b", old, day)},
		{line: "-rw-r--r-- 1 a b 5 Jan  5  2024 a -> b", class: IsEntry, want: entry("a -> b", F, 5, 0o644, 1, "a", "b", old, day)},
		{line: "lrwxrwxrwx 1 a b 1 Jan  5  2024 a -> b -> c", class: IsEntry, want: link(entry("a -> b", L, 1, 0o777, 1, "a", "b", old, day), "c")},
		{line: "lrwxrwxrwx 1 a b 6 Jan  5  2024 a -> b -> c", class: IsEntry, want: link(entry("a", L, 6, 0o777, 1, "a", "b", old, day), "b -> c")},
		{line: "lrwxrwxrwx 1 a b 99 Jan  5  2024 a -> b -> c", class: IsEntry, want: link(entry("a", L, 99, 0o777, 1, "a", "b", old, day), "b -> c")},
		{line: "lrwxrwxrwx 1 a b 4 Jan  5  2024 dangling", class: IsEntry, want: entry("dangling", L, 4, 0o777, 1, "a", "b", old, day)},
		{line: "lrwxrwxrwx 1 a b 12 Jan  5  2024 up -> ../../secret", class: IsEntry, want: link(entry("up", L, 12, 0o777, 1, "a", "b", old, day), "../../secret")},
		{line: "-rw-r--r-- 1 a b 5 Jan  5  2024 -rw-r--r-- 1 a b 5 Jan 5 2024 x", class: IsEntry, want: entry("-rw-r--r-- 1 a b 5 Jan 5 2024 x", F, 5, 0o644, 1, "a", "b", old, day)},
		{line: "-rw-r--r-- 1 a b 5 Jan  5  2024 \xe9t\xe9", class: IsEntry, want: entry("\xe9t\xe9", F, 5, 0o644, 1, "a", "b", old, day)},
		// refused
		{line: "-rw-r--r-- 1 a b 5 Jan  5  2024 ..", err: ErrHostile},
		{line: "lrwxrwxrwx 1 a b 5 Jan  5  2024 .. -> x", err: ErrHostile},
		{line: "-rw-r--r-- 1 a b 5 Jan  5  2024 ../../etc/passwd", err: ErrHostile},
		{line: "-rw-r--r-- 1 a b 5 Jan  5  2024 /etc/passwd", err: ErrHostile},
		{line: "-rw-r--r-- 1 a b 5 Jan  5  2024 a\x00b", err: ErrHostile},
		{line: "-rw-r--r-- 1 a b 5 Jan  5  2024 ", err: ErrHostile},
		{line: "-rw-r--r-- 1 a b 5 Jan  5  2024", err: ErrSyntax},
		{line: "-rw-r--r-- 1 a b 5 Foo  5  2024 x", err: ErrSyntax},
		{line: "-rw-r--r-- 1 a b five Jan  5  2024 x", err: ErrSyntax},
		{line: "-rw-r--r8- 1 a b 5 Jan  5  2024 x", err: ErrSyntax},
		{line: "ls: cannot access 'x': Permission denied", err: ErrSyntax},
		{line: "Output truncated to 10000 matches", err: ErrSyntax},
		{line: "total surprise", err: ErrSyntax},
		{line: "name.txt", err: ErrSyntax},
		{line: "-rw-r--r-- 1 a b 5 Jan  5  2024 " + strings.Repeat("x", maxLine), err: ErrSyntax},
	})
}

func TestParserDOS(t *testing.T) {
	p := NewParser(utc(2026, 3, 10, 12, 0, 0), nil)
	file := func(name string, size int64, at time.Time) remote.Entry {
		return remote.Entry{Name: name, Size: size, MTime: at, MGrain: time.Minute}
	}
	late := utc(2024, 1, 29, 23, 32, 0)
	runLines(t, p.Line, []lineCase{
		{line: "01-29-24  11:32PM       <DIR>          inetpub logs", class: IsEntry, want: remote.Entry{Name: "inetpub logs", Type: remote.Dir, Size: -1, MTime: late, MGrain: time.Minute}},
		{line: "01-29-24  11:32PM       <DIR>            two blanks", class: IsEntry, want: remote.Entry{Name: "  two blanks", Type: remote.Dir, Size: -1, MTime: late, MGrain: time.Minute}},
		{line: "01-29-24  11:32PM                  589 readme.htm", class: IsEntry, want: file("readme.htm", 589, late)},
		{line: "01-29-24  11:32PM            1,234,567 comma.bin", class: IsEntry, want: file("comma.bin", 1234567, late)},
		{line: "01-29-2024  23:32                  589   blanks ", class: IsEntry, want: file("  blanks ", 589, late)},
		{line: "01/29/2024  11:32 PM                 7 slash", class: IsEntry, want: file("slash", 7, late)},
		{line: "2024-01-29  23:32                    7 iso", class: IsEntry, want: file("iso", 7, late)},
		{line: "29.01.2024  23:32                    7 dots", class: IsEntry, want: file("dots", 7, late)},
		{line: "29-01-24  23:32                    7 day first", class: IsEntry, want: file("day first", 7, late)},
		{line: "01-29-98  12:05AM                  7 midnight", class: IsEntry, want: file("midnight", 7, utc(1998, 1, 29, 0, 5, 0))},
		{line: "01-29-98  12:05PM                  7 noon", class: IsEntry, want: file("noon", 7, utc(1998, 1, 29, 12, 5, 0))},
		{line: `01-29-24  11:32PM    <SYMLINKD>     link [D:\data]`, class: IsEntry, want: remote.Entry{Name: "link", Type: remote.Symlink, Target: `D:\data`, Size: -1, MTime: late, MGrain: time.Minute}},
		{line: "01-29-24  11:32PM       <DIR>          ..", class: Noise},
		{line: "01-29-24  11:32PM                  589 a/b", err: ErrHostile},
		{line: "01-29-24  11:32PM                  5,8 x", err: ErrSyntax},
		{line: "01-29-24  13:32PM                  589 x", err: ErrSyntax},
		{line: "01-29-24  11:32PM       <DIR>", err: ErrSyntax},
		{line: "13-32-24  11:32PM       <DIR>          x", err: ErrSyntax},
	})
}

func TestParserEPLF(t *testing.T) {
	p := NewParser(utc(2026, 3, 10, 12, 0, 0), time.UTC)
	runLines(t, p.Line, []lineCase{
		{line: "+i8388621.29609,m824255902,/,\tdev", class: IsEntry, want: remote.Entry{Name: "dev", Type: remote.Dir, Size: -1, MTime: time.Unix(824255902, 0).UTC(), MGrain: time.Second, Unique: "8388621.29609"}},
		{line: "+i8388621.44468,m839956783,r,s10376,up640,\t RFC EPLF", class: IsEntry, want: remote.Entry{Name: " RFC EPLF", Size: 10376, MTime: time.Unix(839956783, 0).UTC(), MGrain: time.Second, Unique: "8388621.44468", Mode: 0o640, HasMode: true}},
		{line: "+,\tsecret", class: IsEntry, want: remote.Entry{Name: "secret", Type: remote.Other, Size: -1}},
		{line: "+r,\t../x", err: ErrHostile},
		{line: "+r,s1", err: ErrSyntax},
	})
}

// TestParserYear: ls leaves the year out for the last half year; the rest is a
// guess that must hold across New Year, fast clocks and other zones.
func TestParserYear(t *testing.T) {
	for _, c := range []struct {
		now  time.Time
		text string
		want time.Time
	}{
		{utc(2026, 1, 2, 0, 0, 0), "Dec 31 23:59", utc(2025, 12, 31, 23, 59, 0)},
		{utc(2026, 1, 2, 0, 0, 0), "Jan  1 00:00", utc(2026, 1, 1, 0, 0, 0)},
		{utc(2025, 12, 31, 23, 59, 0), "Jan  1 00:30", utc(2026, 1, 1, 0, 30, 0)},
		{utc(2026, 6, 30, 12, 0, 0), "Jan  1 00:30", utc(2026, 1, 1, 0, 30, 0)},
		{utc(2026, 6, 30, 12, 0, 0), "Jul  1 12:00", utc(2026, 7, 1, 12, 0, 0)},
		{utc(2026, 6, 30, 12, 0, 0), "Jul  3 12:00", utc(2025, 7, 3, 12, 0, 0)},
		{utc(2024, 3, 10, 12, 0, 0), "Feb 29 12:00", utc(2024, 2, 29, 12, 0, 0)},
		{utc(2026, 3, 10, 12, 0, 0), "Feb 29 12:00", utc(2024, 2, 29, 12, 0, 0)},
	} {
		e, class, err := NewParser(c.now, time.UTC).Line("-rw-r--r-- 1 a b 5 " + c.text + " x")
		if class != IsEntry || !e.MTime.Equal(c.want) || e.MGrain != time.Minute {
			t.Errorf("at %v, %q is %v (%v), %v; want %v", c.now, c.text, e.MTime, e.MGrain, err, c.want)
		}
	}
}

func TestParserZone(t *testing.T) {
	berlin := time.FixedZone("", 3600)
	now := utc(2025, 12, 31, 23, 30, 0) // there it is 2026
	for line, want := range map[string]time.Time{
		"-rw-r--r-- 1 a b 5 Jan  1 00:15 x":                               utc(2025, 12, 31, 23, 15, 0),
		"-rw-r--r-- 1 a b 5 Jan  1  2024 x":                               utc(2023, 12, 31, 23, 0, 0),
		"01-29-24  11:32PM                  589 x":                        utc(2024, 1, 29, 22, 32, 0),
		"+m824255902,r,\tx":                                               time.Unix(824255902, 0).UTC(),
		"-rw-r--r-- 1 a b 5 2024-01-05 12:34:56.789000000 +0000 absolute": utc(2024, 1, 5, 12, 34, 56),
	} {
		if e, _, err := NewParser(now, berlin).Line(line); err != nil || !e.MTime.Equal(want) {
			t.Errorf("%q: %v, %v; want %v", line, e.MTime, err, want)
		}
	}
}

func TestFormatOfAListing(t *testing.T) {
	for line, want := range map[string]string{
		"-rw-r--r-- 1 a b 5 Jan  1  2024 x":                            "Unix",
		"01-29-24  11:32PM                  589 x":                     "DOS",
		"+m824255902,r,\tx":                                            "EPLF",
		"X.TXT;1   1/3    2-JUN-2023 07:32:04  [ANN]  (RWED,RWED,RE,)": "VMS",
		"total 12": "",
		"what?":    "",
	} {
		p := NewParser(utc(2026, 1, 1, 0, 0, 0), time.UTC)
		_, _, _ = p.Line(line)
		if got := p.Format(); got != want {
			t.Errorf("%q is of %q, want %q", line, got, want)
		}
	}
}

// A server east of us may be in the next year already, also by what it may be ahead.
func TestTheYearIsThatOfTheServersZone(t *testing.T) {
	now := utc(2026, 12, 30, 11, 0, 0) // and 36 hours later there it is 2027, and here 2026
	e, _, err := NewParser(now, time.FixedZone("", 5*3600)).Line("-rw-r--r-- 1 a b 5 Jan  1 03:00 x")
	if want := utc(2026, 12, 31, 22, 0, 0); err != nil || !e.MTime.Equal(want) {
		t.Errorf("%v, %v; want %v", e.MTime, err, want)
	}
}
