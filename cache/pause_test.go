package cache

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"ftpfs/cache/remote"
	"ftpfs/cache/remote/mem"
)

// The pause after a failed attempt holds whatever is done with the file meanwhile: a log
// that is appended to all the time and is overdue makes no attempt for each line. Who
// waits for it, and the server's return, end the pause.
func TestAppendsRespectThePauseAfterAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := mem.New(mem.Options{})
		m := mountMem(t, store, func(c *Config) { c.MaxDirtyAge = time.Nanosecond })
		store.Hook(func(op, p string) error {
			if op == mem.OpWrite {
				return &remote.Error{Kind: remote.Down, Text: "no route"}
			}
			return nil
		})
		h := m.make("/log")
		m.writeAt(h, []byte("line\n"), 0)
		f := m.fileAt("/log")
		attempts := func() int {
			m.mu.Lock()
			defer m.mu.Unlock()
			return f.attempts
		}
		failed := func(n int) func() bool { return func() bool { return attempts() == n } }
		pause := func() { // the one set, made long enough for any machine
			m.mu.Lock()
			defer m.mu.Unlock()
			if f.ship == nil && f.attempts > 0 {
				f.retryAt = time.Now().Add(time.Hour)
			}
		}
		m.until("the first attempt failed", func() bool { return attempts() > 0 })
		pause()
		before := attempts()
		for i := range 20 {
			m.writeAt(h, []byte("line\n"), int64(5+5*i))
			h.Flush(context.Background())
			m.job(context.Background(), f)
		}
		if got := attempts(); got != before {
			t.Fatalf("%d attempts within the pause", got-before)
		}
		m.mu.Lock()
		changes := f.changes
		m.mu.Unlock()
		if err := m.publishNow(context.Background(), f, changes); err == nil {
			t.Fatal("what the server does not take is said to be there")
		}
		m.until("who waits has an attempt of their own", failed(before+1))
		pause()
		store.Hook(nil)
		store.SetOnline(false)
		store.SetOnline(true)
		m.until("the server's return ends the pause", func() bool { return !f.isOwed() || attempts() == 0 })
		h.Release()
		m.sync()
	})
}

// No pause is longer than what users are told.
func TestPausesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for n := 1; n < 100; n++ {
			for range 20 {
				if d := backoff(n); d <= time.Second || d > 5*time.Minute {
					t.Fatalf("pause of %v after %d failures", d, n)
				}
			}
		}
	})
}

// A person's retry is for the files that wait after a failure, too, and counts them.
func TestRetryCountsWhatWaitsAfterAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := mem.New(mem.Options{})
		m := mountMem(t, store, nil)
		store.Hook(func(op, p string) error {
			if op == mem.OpWrite {
				return &remote.Error{Kind: remote.Temporary, Text: "busy"}
			}
			return nil
		})
		m.must(m.write("/f", []byte("text")))
		f := m.fileAt("/f")
		m.until("the first attempt failed", func() bool {
			m.mu.Lock()
			defer m.mu.Unlock()
			return f.failed != nil
		})
		store.Hook(nil)
		m.mu.Lock()
		f.retryAt = time.Now().Add(time.Hour)
		m.mu.Unlock()
		if n, err := m.Retry("/f"); n != 1 || err != nil {
			t.Fatalf("Retry: %d files, %v", n, err)
		}
		m.until("it went out", func() bool { _, err := store.Disk().ReadFile("/f"); return err == nil })
		m.sync()
		if n, err := m.Retry("/"); n != 0 || err != nil {
			t.Fatalf("Retry with nothing to do: %d files, %v", n, err)
		}
	})
}
