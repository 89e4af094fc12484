package ftpconn

import (
	"bytes"
	"context"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/time/rate"

	"ftpfs/cache/remote"
	"ftpfs/test/ftpscript"
)

// Many transfers together keep the rate, and each gets on all the time.
func TestRateIsKept(t *testing.T) {
	for _, bytes := range []int64{1 << 10, 100 << 10, 10 << 20} {
		synctest.Test(t, func(t *testing.T) {
			th := newThrottle(bytes)
			var mu sync.Mutex
			var total int64
			var pause time.Duration
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			var wg sync.WaitGroup
			const transfers = 3
			for range transfers {
				wg.Go(func() {
					for buf := make([]byte, 256<<10); ; {
						from, n := time.Now(), len(th.part(buf))
						if th.moved(ctx, n) != nil {
							return
						}
						mu.Lock()
						total += int64(n)
						pause = max(pause, time.Since(from))
						mu.Unlock()
					}
				})
			}
			wg.Wait()
			if want := 60 * bytes; total < want*98/100 || total > want*102/100 {
				t.Errorf("%d bytes a second: %d moved in a minute, want %d", bytes, total, want)
			}
			if most := transfers * time.Second / 2; pause > most {
				t.Errorf("%d bytes a second: a transfer stood still for %v", bytes, pause)
			}
		})
	}
	if th := newThrottle(0); th != nil || th.moved(t.Context(), 1<<30) != nil {
		t.Error("no rate is a bound")
	}
}

// What is bounded is the content of files, both ways and apart, on all connections
// together; and nothing else waits for it.
func TestRatesBoundTransfersOnly(t *testing.T) {
	const n = 100_000
	content := bytes.Repeat([]byte("x"), n)
	for _, up := range []bool{true, false} {
		srv := ftpscript.Start(t, ftpscript.Options{})
		srv.Tree.Put("/f", content)
		s := hurriedStore(t, srv, func(c *Config) { c.Rates = Rates{Up: 1 << 30, Down: 1 << 30} })
		bound := s.down
		if up {
			bound = s.up
		}
		bound.bucket = rate.NewLimiter(0, 2*n) // two files, and then nothing more
		move := func(ctx context.Context, upload bool) error {
			if upload {
				return s.Write(ctx, "/.ftpfs-tag7u00000001", bytes.NewReader(content), 0, n)
			}
			r, err := s.Open(ctx, "/f", 0, nil)
			if err != nil {
				return err
			}
			defer r.Close()
			_, err = io.Copy(io.Discard, r)
			return err
		}
		for range 2 {
			if err := move(t.Context(), up); err != nil {
				t.Fatalf("up %v: %v", up, err)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- move(ctx, up) }()
		if _, err := s.List(t.Context(), "/"); err != nil {
			t.Errorf("up %v: list: %v", up, err)
		}
		if err := move(t.Context(), !up); err != nil {
			t.Errorf("up %v: the other way: %v", up, err)
		}
		cancel()
		if err := <-done; !remote.Is(err, remote.Canceled) {
			t.Errorf("up %v: a third file: %v, want it to have waited", up, err)
		}
	}
}
