package cache

import (
	"context"
	"strings"
	"testing"
	"time"

	"ftpfs/cache/remote"
	"ftpfs/cache/remote/mem"
)

// While a conflict copy is being published somebody writes on: that was accepted too.
func TestWriteDuringTheBirthOfAConflictCopyIsKept(t *testing.T) {
	store := mem.New(mem.Options{})
	m := mountMem(t, store, func(c *Config) { c.PublishDelay = time.Hour })
	m.must(store.Disk().WriteFile("/doc.txt", []byte("base")))
	m.wantRead("/doc.txt", "base")
	m.must(m.write("/doc.txt", []byte("ours")))
	m.must(store.Disk().WriteFile("/doc.txt", []byte("theirs!")))
	hold := store.Hold(func(op, p string) bool { return op == mem.OpPublish && strings.Contains(p, ".conflict-") })
	f := m.fileAt("/doc.txt")
	m.schedule(f, 0)
	<-hold.Arrived()
	m.must(m.write("/doc.txt", []byte("ours, and more of it")))
	hold.Release()
	m.sync()
	m.onServer("/doc.txt", "theirs!")
	for _, p := range store.Disk().Paths() {
		if got, _ := store.Disk().ReadFile(p); string(got) == "ours, and more of it" {
			return
		}
	}
	t.Errorf("what was written last is nowhere on the server: %q", store.Disk().Paths())
}

// Two attempts in a row end without an answer: the first had arrived, the second not.
func TestOwnPublicationIsRecognisedAfterTwoLostAnswers(t *testing.T) {
	store := mem.New(mem.Options{})
	m := mountMem(t, store, nil)
	m.must(store.Disk().WriteFile("/f", []byte("base")))
	m.wantRead("/f", "base")
	n := 0
	store.HookAfter(func(op, _ string) error {
		if op == mem.OpPublish && n == 0 {
			n++
			return &remote.Error{Kind: remote.Down}
		}
		return nil
	})
	m.must(m.write("/f", []byte("first")))
	m.waitFailed("/f")
	store.HookAfter(nil)
	store.Hook(func(op, _ string) error {
		if op == mem.OpPublish {
			return &remote.Error{Kind: remote.Timeout}
		}
		return nil
	})
	m.must(m.write("/f", []byte("second and last")))
	m.waitFailed("/f")
	store.Hook(nil)
	m.sync()
	m.onServer("/f", "second and last")
	if got := store.Disk().Paths(); len(got) != 1 {
		t.Errorf("server has %q, want /f alone: nobody but us wrote", got)
	}
}

// waitFailed waits until the last attempt to publish p has failed.
func (m *mount) waitFailed(p string) {
	m.t.Helper()
	f := m.fileAt(p)
	for {
		m.mu.Lock()
		failed, changed := f.failed, m.changed
		m.mu.Unlock()
		if failed != nil {
			return
		}
		<-changed
	}
}

// The unmount breaks off the wait for a publication's answer.
func TestPublicationInFlightAtUnmountIsRecognisedAtTheNextMount(t *testing.T) {
	store := mem.New(mem.Options{})
	m := mountMem(t, store, nil)
	stopping := m.Tree.ctx.Done()
	sent := make(chan bool)
	store.HookAfter(func(op, _ string) error {
		if op != mem.OpPublish {
			return nil
		}
		close(sent)
		<-stopping
		return context.Canceled
	})
	m.must(m.write("/f", []byte("content")))
	<-sent
	f := m.fileAt("/f")
	m.stop()
	if f.sent == nil {
		t.Error("the daemon forgot what it may have published")
	}
	store.HookAfter(nil)
	m.open()
	m.sync()
	m.onServer("/f", "content")
	if got := store.Disk().Paths(); len(got) != 1 {
		t.Errorf("server has %q, want /f alone", got)
	}
}
