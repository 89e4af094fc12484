package listing

import (
	"fmt"
	"testing"
	"time"
)

// benchmarkLines parses listings of a thousand names; bytes are those of the lines.
func benchmarkLines(b *testing.B, line func(i int) string, parser func() func(string) error) {
	lines := make([]string, 1000)
	size := 0
	for i := range lines {
		lines[i] = line(i)
		size += len(lines[i]) + len("\r\n")
	}
	b.SetBytes(int64(size))
	b.ReportAllocs()
	for b.Loop() {
		parse := parser()
		for _, l := range lines {
			if err := parse(l); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(lines)), "ns/line")
}

func BenchmarkMLSD(b *testing.B) {
	benchmarkLines(b, func(i int) string {
		return fmt.Sprintf("modify=20240105123456;perm=adfrw;size=%d;type=file;unique=803U%xA;UNIX.group=1000;UNIX.groupname=users;UNIX.mode=0644;UNIX.owner=1000;UNIX.ownername=alice; photo %05d.jpg", i*4711, i, i)
	}, func() func(string) error {
		return func(l string) error { _, _, err := ParseMLSx(l); return err }
	})
}

// BenchmarkLIST reads the three formats that are in use.
func BenchmarkLIST(b *testing.B) {
	now := time.Date(2024, 1, 5, 12, 0, 0, 0, time.UTC)
	for name, format := range map[string]string{
		"Unix": "-rw-r--r--   1 alice    users    %8d Jan  3 12:34 photo %05d.jpg",
		"DOS":  "01-03-24  12:34PM %20d photo %05d.jpg",
		"EPLF": "+m1704285240,r,s%d,\tphoto %05d.jpg",
	} {
		b.Run(name, func(b *testing.B) {
			benchmarkLines(b, func(i int) string { return fmt.Sprintf(format, i*4711, i) }, func() func(string) error {
				p := NewParser(now, nil)
				return func(l string) error { _, _, err := p.Line(l); return err }
			})
		})
	}
}
