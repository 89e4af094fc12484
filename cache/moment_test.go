package cache

import (
	"testing"
	"time"

	"ftpfs/cache/remote"
	"ftpfs/cache/remote/mem"
)

// What is written in the moment between a refusal and its being noted has not been
// refused: it is sent, and not parked.
func TestWhatIsWrittenAfterARefusalIsNotParked(t *testing.T) {
	store := mem.New(mem.Options{})
	m := mountMem(t, store, func(c *Config) { c.PublishDelay = time.Hour })
	m.must(m.write("/f", []byte("refused")))
	full := &remote.Error{Op: "write", Path: "/f", Kind: remote.NoSpace, Code: 552}
	store.Hook(func(op, _ string) error {
		if op == mem.OpWrite {
			return full
		}
		return nil
	})
	f := m.fileAt("/f")
	err := m.publish(t.Context(), f, false)
	m.wantKind(err, remote.NoSpace)
	store.Hook(nil)
	m.must(m.write("/f", []byte("smaller")))
	m.uploadFailed(f, err)
	m.mu.Lock()
	parked := f.parked
	m.mu.Unlock()
	if parked != nil {
		t.Errorf("what was written since is parked: %v", parked)
	}
	m.sync()
	m.onServer("/f", "smaller")
}

// One program appends, another writes to the beginning, and has looked before the first
// made the file one of which only the tail is owed: room for the rest is reserved all the
// same, and the rest is fetched.
func TestAWriteBesideTheFirstAppendHasItsRoom(t *testing.T) {
	_, m, base := logs(t, leanAbove+1, mem.Options{}, func(c *Config) { c.PublishDelay = time.Hour })
	h, err := m.openAt("/log", OpenFlags{Write: true})
	m.must(err)
	defer h.Release()
	f := m.fileAt("/log")
	c := h.content()
	m.must(f.touchBase(t.Context(), c, 0)) // nothing is owed yet
	m.must(m.grow("/log", []byte("tail")))
	c.mu.Lock()
	lean := c.lean
	c.mu.Unlock()
	if !lean {
		t.Fatal("the file is not lean, so nothing was tried")
	}
	m.must(f.beginWrite(t.Context(), c, 0))
	f.rec.RUnlock()
	c.mu.Lock()
	lean = c.lean
	c.mu.Unlock()
	m.mu.Lock()
	reserved := f.reserved
	m.mu.Unlock()
	if lean || reserved < int64(len(base)) {
		t.Errorf("lean %t, %d bytes reserved of %d", lean, reserved, len(base))
	}
}
