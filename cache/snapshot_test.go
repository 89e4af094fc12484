package cache

import (
	"bytes"
	"context"
	"crypto/sha1"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ftpfs/cache/remote"
	"ftpfs/cache/remote/mem"
)

// Snapshots of a file that is written at random all the time: each state that appears
// on the server is one the file was in at one moment.
func TestSnapshotIsAStateTheFileWasIn(t *testing.T) { synctest.Test(t, snapshots) }

func snapshots(t *testing.T) {
	store := mem.New(mem.Options{})
	m := mountMem(t, store, func(c *Config) { c.MaxDirtyAge = time.Millisecond })
	r := rand.New(rand.NewPCG(7, 7))
	var data []byte
	var mu sync.Mutex // guards what follows and data, and is held from a change until it is noted
	states := map[[20]byte]int{}
	note := func() { states[fingerprint(data)] = len(states) + 1 }
	note()
	seen := map[string]bool{}
	var h *Handle
	// Each chunk of an upload lets some writes in, so that they fall between claims.
	store.Hook(func(op, p string) error {
		switch op {
		case mem.OpData:
			mu.Lock()
			defer mu.Unlock()
			for range 3 {
				off := r.IntN(len(data))
				p := pattern(r.Uint64(), 1+r.IntN(9000))
				if r.IntN(12) == 0 {
					if err := h.Truncate(context.Background(), int64(off)); err != nil {
						return err
					}
					data = data[:off:off]
				} else {
					if _, err := h.WriteAt(context.Background(), p, int64(off)); err != nil {
						return err
					}
					data = append(append([]byte{}, data[:off]...), append(p, data[min(len(data), off+len(p)):]...)...)
				}
				note()
				if len(data) < 100<<10 { // and lets it grow again
					more := pattern(r.Uint64(), 200<<10)
					if _, err := h.WriteAt(context.Background(), more, int64(len(data))); err != nil {
						return err
					}
					data = append(data, more...)
					note()
				}
			}
		}
		return nil
	})
	var bad []byte
	store.HookAfter(func(op, p string) error {
		if op == mem.OpPublish {
			got, _ := store.Disk().ReadFile("/f")
			mu.Lock()
			defer mu.Unlock()
			if len(got) > 0 {
				seen[string(got)] = true
			}
			if states[fingerprint(got)] == 0 && bad == nil {
				bad = got
			}
		}
		return nil
	})
	// One write, not the harness's pieces: between two of them the file has a size of its own.
	mu.Lock()
	data = pattern(1, 300<<10)
	h = m.make("/f")
	_, err := h.WriteAt(context.Background(), data, 0)
	note()
	mu.Unlock()
	m.must(err)
	m.until("several snapshots were published", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(seen) >= 8 || bad != nil
	})
	store.Hook(nil)
	m.closeFile(h)
	m.sync()
	mu.Lock()
	defer mu.Unlock()
	if bad != nil {
		t.Errorf("a state of %d bytes was published that the file was never in; %d were published, %d states noted, seed 7",
			len(bad), len(seen), len(states))
	}
	m.holdsNow("/f", data)
}

func fingerprint(b []byte) [20]byte { return sha1.Sum(b) }

// A program that writes all the time keeps neither sync nor fsync on the server waiting.
func TestContinuousWriterDoesNotStarveSync(t *testing.T) {
	store := mem.New(mem.Options{})
	m := mountMem(t, store, func(c *Config) { c.FsyncServer = true })
	h := m.make("/log")
	m.writeAt(h, pattern(1, 300<<10), 0)
	store.Hook(func(op, p string) error { // one write for each chunk that is sent
		if op == mem.OpData {
			_, err := h.WriteAt(context.Background(), []byte("written on"), int64(10*store.Count(mem.OpData)))
			return err
		}
		return nil
	})
	m.sync()
	if _, err := store.Disk().ReadFile("/log"); err != nil {
		t.Errorf("after sync: %v", err)
	}
	m.writeAt(h, []byte("fsync this"), 0)
	m.must(h.Fsync(context.Background()))
	if got, err := store.Disk().ReadFile("/log"); err != nil || !bytes.HasPrefix(got, []byte("fsync this")) {
		t.Errorf("after fsync: %.20q, err %v", got, err)
	}
	store.Hook(nil)
	m.closeFile(h)
	m.sync()
	if m.Status().OwedFiles != 0 {
		t.Errorf("still owed: %+v", m.Status().Owed)
	}
}

// A log that is opened, appended to and closed again, always before the wait after its
// last close is over, gets to the server after MaxDirtyAge all the same.
func TestLogThatIsReopenedAllTheTimeIsPublished(t *testing.T) {
	store := mem.New(mem.Options{})
	m := mountMem(t, store, func(c *Config) { c.PublishDelay = time.Hour; c.MaxDirtyAge = 50 * time.Millisecond })
	var want []byte
	m.closeFile(m.make("/log"))
	there := func() bool { _, err := store.Disk().ReadFile("/log"); return err == nil }
	for end := time.Now().Add(20 * time.Second); !there(); {
		h, err := m.openAt("/log", OpenFlags{Write: true})
		m.must(err)
		m.writeAt(h, []byte("line\n"), int64(len(want)))
		want = append(want, "line\n"...)
		m.closeFile(h)
		if time.Now().After(end) {
			t.Fatalf("after %d lines nothing is on the server; status %+v", len(want)/5, m.Status())
		}
	}
	m.sync()
	m.onServer("/log", string(want))
}

// A recording that is written slowly while its upload follows it is published when it is
// due, without being sent anew.
func TestRecordingIsPublishedWhileItGoesOn(t *testing.T) {
	store := mem.New(mem.Options{})
	m := mountMem(t, store, func(c *Config) { c.MaxDirtyAge = 100 * time.Millisecond })
	data := pattern(3, 20<<20)
	h := m.make("/rec")
	n := 5 << 20
	m.writeAt(h, data[:n], 0)
	for there := false; !there && n < len(data); n += 32 << 10 {
		m.writeAt(h, data[n:n+32<<10], int64(n))
		time.Sleep(time.Millisecond) // the pace of a recording
		got, err := store.Disk().ReadFile("/rec")
		if there = err == nil; there && !bytes.HasPrefix(data, got) {
			t.Fatalf("what was published is no beginning of the recording")
		}
	}
	if _, err := store.Disk().ReadFile("/rec"); err != nil {
		t.Fatalf("nothing was published while %d bytes were written: %v", n, err)
	}
	m.closeFile(h)
	m.sync()
	m.holdsNow("/rec", data[:n])
}

// The disk refuses to keep aside what is overwritten: the write goes through, and the
// upload begins again.
func TestFailedKeepingAsideCostsTheSnapshotNotTheWrite(t *testing.T) {
	store := mem.New(mem.Options{})
	m := mountMem(t, store, nil)
	h := m.make("/f")
	data := pattern(4, 1<<20)
	m.writeAt(h, data, 0)
	f := m.fileAt("/f")
	tried := 0
	store.Hook(func(op, p string) error {
		if op == mem.OpData && tried < 2 {
			tried++
			full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			f.cur.mu.Lock()
			f.cur.out.side = full
			f.cur.mu.Unlock()
			if _, err := h.WriteAt(context.Background(), []byte("over"), 900_000); err != nil {
				return err
			}
		}
		return nil
	})
	copy(data[900_000:], "over")
	m.sync()
	m.holdsNow("/f", data)
	m.closeFile(h)
}

// What was kept aside and sent is not what the file holds: a snapshot that is cut is not
// gone on with over it.
func TestCutSnapshotDoesNotGoOnOverWhatWasKeptAside(t *testing.T) {
	store := mem.New(mem.Options{})
	m := mountMem(t, store, nil)
	h := m.make("/f")
	data := pattern(5, 1<<20)
	m.writeAt(h, data, 0)
	f := m.fileAt("/f")
	chunks := 0
	store.Hook(func(op, p string) error {
		if op != mem.OpData {
			return nil
		}
		switch chunks++; chunks {
		case 3: // far in front of what is sent
			_, err := h.WriteAt(context.Background(), []byte("over"), 900_000)
			return err
		case 31:
			return &remote.Error{Kind: remote.Temporary, Text: "cut"}
		}
		return nil
	})
	copy(data[900_000:], "over")
	m.mu.Lock()
	m.hurryLocked(f, f.changes)
	m.mu.Unlock()
	m.until("it was cut", func() bool { m.mu.Lock(); defer m.mu.Unlock(); return f.failed != nil })
	m.closeFile(h)
	m.until("it arrives", func() bool { m.retryNow(f); return !f.isOwed() })
	m.holdsNow("/f", data)
}
