package cache

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ftpfs/cache/remote/mem"
)

// dataFilesOpen counts the descriptors of this process on data files below dir.
func dataFilesOpen(t *testing.T, dir string) (n int) {
	t.Helper()
	fds, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		if target, err := os.Readlink(fd); err == nil && strings.HasPrefix(target, filepath.Join(dir, "spool", "data")+"/") {
			n++
		}
	}
	return n
}

// More files can be owed than a process may have open: written while the server is
// down, and taken up at the next start.
func TestOwedFilesNobodyUsesHoldNoDescriptor(t *testing.T) {
	const files = manyOwed + 300
	store := mem.New(mem.Options{})
	m := mountMem(t, store, func(c *Config) { c.PublishDelay = time.Hour })
	for i := range files {
		m.must(m.write(fmt.Sprintf("/f%d", i), fmt.Append(nil, i)))
	}
	if n := dataFilesOpen(t, m.cfg.StateDir); n > manyOwed {
		t.Errorf("%d owed files hold %d descriptors, want at most %d", files, n, manyOwed)
	}
	m.wantRead(fmt.Sprintf("/f%d", files-1), fmt.Sprint(files-1))
	h, err := m.openAt(fmt.Sprintf("/f%d", files-2), OpenFlags{Read: true})
	m.must(err)
	m.must(m.remove(fmt.Sprintf("/f%d", files-2))) // readable as long as somebody has it open
	b := make([]byte, 10)
	if n, err := h.ReadAt(context.Background(), b, 0); err != nil || string(b[:n]) != fmt.Sprint(files-2) {
		t.Errorf("an unlinked file that is open: %q, %v", b[:n], err)
	}
	h.Release()
	m.stop()
	store.SetOnline(false)
	m.open()
	m.wantRead("/f7", "7")
	if n := dataFilesOpen(t, m.cfg.StateDir); n > 10 {
		t.Errorf("after a start %d owed files hold %d descriptors", files, n)
	}
	h, err = m.openAt("/f8", OpenFlags{Read: true, Write: true})
	m.must(err)
	_, err = h.WriteAt(context.Background(), []byte("+"), 1)
	m.must(err)
	m.must(h.Fsync(context.Background()))
	m.must(h.Flush(context.Background()))
	h.Release()
	store.SetOnline(true)
	m.sync()
	m.onServer("/f7", "7")
	m.onServer("/f8", "8+")
	m.wantRead("/f9", "9")
}
