package cache

import (
	"context"
	"strings"
	"testing"
	"time"

	"ftpfs/cache/remote/mem"
)

// A killed daemon must not lose what write(2) had accepted of a file that was still
// open, also where the file's length does not tell what was written.
func TestKilledDaemonKnowsWhatWasWrittenInOpenFiles(t *testing.T) {
	ctx := context.Background()
	store := mem.New(mem.Options{})
	m := mountMem(t, store, func(c *Config) { c.PublishDelay = time.Hour })
	base := strings.Repeat("0123456789", 10_000)
	for _, p := range []string{"/patched", "/cut", "/untouched"} {
		m.must(store.Disk().WriteFile(p, []byte(base)))
	}
	m.names("/")

	patched, err := m.openAt("/patched", OpenFlags{Read: true, Write: true})
	m.must(err)
	defer patched.Release()
	for _, at := range []int64{50_000, 50_006, 2, 99_998, 70_000} {
		_, err := patched.WriteAt(ctx, []byte("EDITED"), at)
		m.must(err)
	}
	cut, err := m.openAt("/cut", OpenFlags{Write: true, Truncate: true})
	m.must(err)
	defer cut.Release()
	_, err = cut.WriteAt(ctx, []byte(strings.Repeat("n", 7000)), 0)
	m.must(err)
	untouched, err := m.openAt("/untouched", OpenFlags{Read: true, Write: true})
	m.must(err)
	defer untouched.Release()

	m.crash()
	want := []byte(base + "    ")
	for _, at := range []int64{50_000, 50_006, 2, 99_998, 70_000} {
		copy(want[at:], "EDITED")
	}
	m.wantRead("/patched", string(want))
	m.wantRead("/cut", strings.Repeat("n", 7000))
	if s := m.Status(); s.Parked != 2 {
		t.Errorf("%d interrupted files, want 2: %+v", s.Parked, s.Owed)
	}
	m.crash() // the marks are in the records now
	if n, err := m.Retry("/"); n != 2 || err != nil {
		t.Fatalf("Retry: %d, %v", n, err)
	}
	m.sync()
	m.onServer("/patched", string(want))
	m.onServer("/cut", strings.Repeat("n", 7000))
	m.onServer("/untouched", base)
}
