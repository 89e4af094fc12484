package cache

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ftpfs/cache/remote"
	"ftpfs/cache/remote/mem"
)

// Somebody puts another, longer file in the place of a log while a tail is appended:
// the tail went into the file that is gone, and is not given up.
func TestATailIntoAFileThatWasReplacedIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, size := range []int{leanAbove / 2, large} {
			store, m, base := logs(t, size, mem.Options{}, func(c *Config) { c.PublishDelay = time.Hour })
			hold := store.HoldOp(mem.OpData, "/log")
			m.must(m.grow("/log", []byte("what nobody else has")))
			if size != large {
				m.waitWhole("/log")
			}
			f := m.fileAt("/log")
			m.mu.Lock()
			m.hurryLocked(f, f.changes)
			m.mu.Unlock()
			<-hold.Arrived()
			theirs := bytes.Repeat([]byte("another"), size)
			m.must(store.Disk().WriteFile("/new", theirs))
			m.must(store.Disk().Rename("/new", "/log"))
			hold.Release()
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			m.Sync(ctx, "/", func(Progress) {})
			cancel()
			m.onServer("/log", string(theirs))
			kept := m.Status().Parked == 1
			for _, p := range store.Disk().Paths() {
				got, _ := store.Disk().ReadFile(p)
				kept = kept || strings.Contains(p, ".conflict-") && string(got) == string(base)+"what nobody else has"
			}
			if !kept {
				t.Errorf("base of %d bytes: the tail is nowhere: %q, %+v", size, store.Disk().Paths(), m.Status())
			}
		}
	})
}

// Another client appended before: theirs stays. With the base here ours goes beside it,
// else it is parked until the server's file is as expected, or discarded.
func TestAppendAfterSomebodyElses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, size := range []int{leanAbove / 2, large} {
			store, m, base := logs(t, size, mem.Options{}, func(c *Config) { c.PublishDelay = time.Hour })
			was, _ := store.Disk().Stat("/log")
			m.must(m.grow("/log", []byte("ours")))
			if size == large {
				m.must(store.Disk().WriteFile("/log", append(bytes.Clone(base), "theirs"...)))
			} else {
				m.waitWhole("/log")
				m.must(store.Disk().WriteFile("/log", append(bytes.Clone(base), "theirs"...)))
			}
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			m.Sync(ctx, "/", func(Progress) {})
			cancel()
			m.onServer("/log", string(base)+"theirs")
			if size != large {
				found := false
				for _, p := range store.Disk().Paths() {
					got, _ := store.Disk().ReadFile(p)
					found = found || strings.Contains(p, ".conflict-") && string(got) == string(base)+"ours"
				}
				if !found {
					t.Errorf("no conflict copy: %q", store.Disk().Paths())
				}
				continue
			}
			s := m.Status()
			if s.Parked != 1 || !strings.Contains(fmt.Sprint(s.Owed), "changed there while only what was appended is held") {
				t.Fatalf("status %+v, want it parked", s)
			}
			m.must(store.Disk().WriteFile("/log", base))
			m.must(store.Disk().Chtimes("/log", was.MTime))
			_, err := m.Retry("/log")
			m.must(err)
			m.sync()
			m.onServer("/log", string(base)+"ours")
			m.wantClean()
		}
	})
}

// Somebody else's bytes behind the base are not taken for the beginning of our tail,
// though the record says that one was under way.
func TestTheirsIsNotTakenForABeginningOfOurs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, m, base := logs(t, large, mem.Options{}, nil)
		store.Hook(func(op, _ string) error {
			if op == mem.OpWrite {
				return &remote.Error{Kind: remote.Down}
			}
			return nil
		})
		m.must(m.grow("/log", noise(50_000)))
		m.waitFailed("/log")
		m.must(store.Disk().WriteFile("/log", append(bytes.Clone(base), "theirs"...)))
		store.Hook(nil)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		m.Sync(ctx, "/", func(Progress) {})
		m.onServer("/log", string(base)+"theirs")
		if s := m.Status(); s.Parked != 1 {
			t.Errorf("status %+v, want it parked", s)
		}
		kept, dir, err := m.Discard("/log")
		if err != nil || kept != 1 || dir == "" {
			t.Errorf("discard: %d in %q, %v", kept, dir, err)
		}
		m.wantRead("/log", string(base)+"theirs")
	})
}

// Both append in the same moment: both are there, and the mount shows both.
func TestAppendTogetherWithSomebodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, m, base := logs(t, large, mem.Options{}, nil)
		hold := store.HoldOp(mem.OpData, "/log")
		m.must(m.grow("/log", []byte("ours")))
		<-hold.Arrived()
		m.must(store.Disk().WriteFile("/log", append(bytes.Clone(base), "theirs"...)))
		hold.Release()
		m.sync()
		m.onServer("/log", string(base)+"theirsours")
		m.wantClean()
		m.wantRead("/log", string(base)+"theirsours")
	})
}
