package cache

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ftpfs/cache/remote/mem"
)

// poured is a mount that a program makes files in, one each step, and when each of them
// was published.
type poured struct {
	*mount
	began time.Time

	mu sync.Mutex
	at map[string]time.Duration
}

func pourInto(t *testing.T, change ...func(*Config)) *poured {
	store := mem.New(mem.Options{})
	p := &poured{began: time.Now(), at: map[string]time.Duration{}}
	store.Hook(func(op, name string) error {
		if op == mem.OpPublish {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.at[name] = time.Since(p.began)
		}
		return nil
	})
	p.mount = mountMem(t, store, func(c *Config) {
		c.PublishDelay = 400 * time.Millisecond
		for _, f := range change {
			f(c)
		}
	})
	<-p.loaded
	return p
}

func (p *poured) files(n int, step time.Duration) {
	for i := range n {
		p.must(p.write(fmt.Sprintf("/f%03d", i), []byte("content")))
		time.Sleep(step)
	}
}

// published is how many files were, and the first of them.
func (p *poured) published() (n int, first time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	first = time.Hour
	for _, at := range p.at {
		first = min(first, at)
	}
	return len(p.at), first
}

func TestPublicationsWaitUntilARowOfCreationsIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pourInto(t)
		p.files(150, 10*time.Millisecond)
		if n, first := p.published(); n != 0 {
			t.Errorf("%d files were published while others were made, the first after %v", n, first)
		}
		time.Sleep(400*time.Millisecond + pourGap)
		synctest.Wait()
		if n, _ := p.published(); n != 150 {
			t.Errorf("%d of 150 files were published once their time had come", n)
		}
		p.stop()
	})
}

// A row that does not end holds no file back for longer than four times the usual.
func TestARowThatGoesOnIsPublishedMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pourInto(t)
		p.files(1000, 10*time.Millisecond)
		synctest.Wait()
		n, first := p.published()
		if first > (1+pourHold)*p.cfg.PublishDelay {
			t.Errorf("the first file was published after %v", first)
		}
		if n < 790 {
			t.Errorf("%d of 1000 files were published after 10 s", n)
		}
		p.stop()
	})
}

func TestFilesMadeNowAndThenAreNotHeldBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pourInto(t)
		p.files(30, pourGap+10*time.Millisecond)
		if n, first := p.published(); first > 420*time.Millisecond || n < 25 {
			t.Errorf("%d were published, the first after %v", n, first)
		}
		p.stop()
	})
}

// Whoever waits for a file to be on the server waits for that alone.
func TestWhoWaitsForAPublicationDoesNotWaitForARowToEnd(t *testing.T) {
	for name, wait := range map[string]func(p *poured) error{
		"sync": func(p *poured) error { p.sync(); return nil },
		"sync of a file": func(p *poured) error {
			_, err := p.Sync(context.Background(), "/f000", func(Progress) {})
			return err
		},
		"retry": func(p *poured) error {
			p.kick()
			time.Sleep(pourGap)
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := pourInto(t)
				p.files(100, 5*time.Millisecond)
				ended := make(chan struct{})
				go func() { // the row goes on
					defer close(ended)
					for i := range 200 {
						if err := p.write(fmt.Sprintf("/more%03d", i), nil); err != nil {
							t.Error(err)
						}
						time.Sleep(5 * time.Millisecond)
					}
				}()
				before := time.Now()
				if err := wait(p); err != nil {
					t.Error(err)
				}
				if took := time.Since(before); took > pourGap+50*time.Millisecond {
					t.Errorf("it took %v", took)
				}
				p.mu.Lock()
				_, there := p.at["/f000"]
				p.mu.Unlock()
				if !there {
					t.Error("the first file is not there")
				}
				<-ended
				p.stop()
			})
		})
	}
}

// Who waits for room in the spool waits for uploads, and these not for the row of somebody
// else.
func TestWhoWaitsForRoomDoesNotWaitForARowToEnd(t *testing.T) {
	for name, write := range map[string]func(p *poured) error{
		"for a new file": func(p *poured) error { return p.write("/next", make([]byte, 90_000)) },
		"for the rest of a file that is changed": func(p *poured) error {
			h, err := p.openAt("/theirs", OpenFlags{Read: true, Write: true})
			if err != nil {
				return err
			}
			defer h.Release()
			_, err = h.WriteAt(context.Background(), []byte("x"), 5)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := pourInto(t, func(c *Config) { c.SpoolSize = 100_000 })
				p.must(p.store.Disk().WriteFile("/theirs", make([]byte, 90_000)))
				p.must(p.write("/large", make([]byte, 90_000)))
				ended := make(chan struct{})
				go func() {
					defer close(ended)
					for i := range 300 { // empty ones need no room
						if err := p.write(fmt.Sprintf("/more%03d", i), nil); err != nil {
							t.Error(err)
						}
						time.Sleep(5 * time.Millisecond)
					}
				}()
				time.Sleep(p.cfg.PublishDelay + 2*pourGap)
				if n, first := p.published(); n != 0 {
					t.Fatalf("%d files are published, the first after %v: nothing is held back", n, first)
				}
				before := time.Now()
				p.must(write(p))
				if took := time.Since(before); took > pourGap+50*time.Millisecond {
					t.Errorf("it took %v", took)
				}
				select {
				case <-ended:
					t.Error("the row had ended")
				default:
				}
				<-ended
				p.stop()
			})
		})
	}
}
