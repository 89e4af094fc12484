package cache

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"ftpfs/cache/remote"
	"ftpfs/cache/remote/mem"
	"ftpfs/cache/spool"
)

// filesOpen counts the descriptors of this process on files below dir.
func filesOpen(t *testing.T, dir ...string) (n int) {
	t.Helper()
	fds, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		if target, err := os.Readlink(fd); err == nil && strings.HasPrefix(target, filepath.Join(dir...)+"/") {
			n++
		}
	}
	return n
}

func dataFilesOpen(t *testing.T, dir string) int { return filesOpen(t, dir, "spool", "data") }

// mountFew mounts where a process may have few descriptors more than this one has.
func mountFew(t *testing.T, more int) *mount {
	t.Helper()
	return mountMem(t, mem.New(mem.Options{}), func(c *Config) { c.maxFiles = filesOpen(t, "/") + more })
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

// More small files can be read than a process may have open, and then written: what is
// cached of the others gives way.
func TestMoreFilesAreReadThanDescriptorsThere(t *testing.T) {
	m := mountFew(t, 100)
	for i := range 300 {
		m.must(m.store.Disk().WriteFile(fmt.Sprintf("/f%d", i), fmt.Append(nil, i)))
	}
	for i := range 300 {
		m.wantRead(fmt.Sprintf("/f%d", i), fmt.Sprint(i))
	}
	if n, most := filesOpen(t, m.cfg.CacheDir), m.cfg.maxFiles/4; n > most {
		t.Errorf("%d cached files are open, want at most %d", n, most)
	}
	var open []*Handle
	for i := range 25 { // each needs another one for its marks
		h, err := m.openAt(fmt.Sprintf("/f%d", i), OpenFlags{Read: true, Write: true})
		m.must(err)
		defer h.Release()
		_, err = h.WriteAt(t.Context(), []byte("+"), 0)
		m.must(err)
		open = append(open, h)
	}
	for _, h := range open {
		m.must(h.Flush(t.Context()))
		h.Release()
	}
	m.sync()
	for i := range open {
		m.onServer(fmt.Sprintf("/f%d", i), "+"+fmt.Sprint(i)[1:])
	}
}

// The last descriptors are not for opening more: what could be opened can be written,
// closed and sent, and afterwards there are descriptors again.
func TestWhatCouldBeOpenedCanBeSent(t *testing.T) {
	m := mountFew(t, 100)
	for i := range 100 {
		m.must(m.store.Disk().WriteFile(fmt.Sprintf("/c%d", i), []byte("c")))
	}
	for i := range 100 { // cached, so that there is something to give way
		m.wantRead(fmt.Sprintf("/c%d", i), "c")
	}
	for round := range 3 {
		var open []*Handle
		for {
			h, err := m.create(fmt.Sprintf("/%d-%d", round, len(open)))
			if err != nil {
				if !errors.Is(err, syscall.EMFILE) {
					t.Fatalf("create: %v, want EMFILE", err)
				}
				break
			}
			defer h.Release()
			if open = append(open, h); len(open) > 100 {
				t.Fatal("more could be opened than there are descriptors")
			}
		}
		if len(open) < 40 {
			t.Fatalf("round %d: %d files could be opened, want at least 40", round, len(open))
		}
		if _, err := m.openAt("/c0", OpenFlags{Read: true, Write: true, Truncate: true}); !errors.Is(err, syscall.EMFILE) {
			t.Errorf("truncate without a descriptor: %v, want EMFILE", err)
		}
		for i, h := range open {
			_, err := h.WriteAt(t.Context(), fmt.Append(nil, round, i), 0)
			m.must(err)
			m.must(h.Fsync(t.Context()))
			m.must(h.Flush(t.Context()))
		}
		m.sync() // as they stand
		for i, h := range open {
			m.onServer(fmt.Sprintf("/%d-%d", round, i), fmt.Sprint(round, i))
			h.Release()
		}
		m.onServer("/c0", "c")
	}
	if names, err := filepath.Glob(filepath.Join(m.cfg.StateDir, "spool", "data", "*")); err != nil || len(names) > 0 {
		t.Errorf("left in the spool: %q, %v", names, err)
	}
}

// With few descriptors many files can be owed nevertheless, to a server that is down and
// to one that refuses them.
func TestManyOwedWithFewDescriptors(t *testing.T) {
	for name, down := range map[string]bool{"down": true, "refusing": false} {
		t.Run(name, func(t *testing.T) {
			const files = 300
			m := mountFew(t, 100)
			m.names("/")
			if m.store.SetOnline(!down); !down {
				m.store.Hook(func(op, _ string) error {
					if op == mem.OpData {
						return &remote.Error{Kind: remote.NoSpace, Code: 552}
					}
					return nil
				})
			}
			for i := range files {
				m.must(m.write(fmt.Sprintf("/f%d", i), fmt.Append(nil, i)))
			}
			m.until("each was tried", func() bool {
				for _, o := range m.Status().Owed {
					if o.Attempts == 0 {
						return false
					}
				}
				return true
			})
			most := m.cfg.maxFiles / 8
			m.until("few are open", func() bool { return dataFilesOpen(t, m.cfg.StateDir) <= most })
			m.store.Hook(nil)
			m.store.SetOnline(true)
			_, err := m.Retry("/")
			m.must(err)
			m.sync()
			for i := range files {
				m.onServer(fmt.Sprintf("/f%d", i), fmt.Sprint(i))
			}
		})
	}
}

// noMore is a disk on which data files cannot be opened, once told so.
type noMore struct {
	spool.FS
	now *atomic.Bool
}

func (d noMore) OpenFile(path string, flag int) (*os.File, error) {
	if d.now.Load() && filepath.Base(filepath.Dir(path)) == "data" {
		return nil, &os.PathError{Op: "open", Path: path, Err: syscall.EMFILE}
	}
	return d.FS.OpenFile(path, flag)
}

// A data file that cannot be opened to be sent is no refusal by the server: it is tried
// again, and not parked.
func TestOwedFileThatCannotBeOpenedIsTriedAgain(t *testing.T) {
	var none atomic.Bool
	m := mountMem(t, mem.New(mem.Options{}), func(c *Config) {
		c.fs, c.maxFiles, c.PublishDelay = noMore{spool.OS, &none}, filesOpen(t, "/")+100, time.Hour
	})
	for i := range 50 {
		m.must(m.write(fmt.Sprintf("/f%d", i), fmt.Append(nil, i)))
	}
	f := m.fileAt("/f49")
	none.Store(true)
	m.mu.Lock()
	gen := f.changes
	m.mu.Unlock()
	err := m.publishNow(t.Context(), f, gen)
	if !errors.Is(err, syscall.EMFILE) {
		t.Fatalf("publish: %v, want EMFILE", err)
	}
	if s := m.Status(); s.Parked != 0 {
		t.Errorf("%d files are parked: %+v", s.Parked, s.Owed[0])
	}
	none.Store(false)
	m.sync()
	for i := range 50 {
		m.onServer(fmt.Sprintf("/f%d", i), fmt.Sprint(i))
	}
}
