package cache

import (
	"testing"
	"testing/synctest"
	"time"

	"ftpfs/cache/remote/mem"
)

// A transfer is asked for, and before the server answers the file is changed there by this
// mount itself: it is no change by somebody else. The reader gets what the file is, and
// who has it open keeps it.
func TestATransferOvertakenByOurOwnChangeIsNoChange(t *testing.T) {
	for _, c := range []struct {
		name string
		at   string // where it is afterwards
		do   func(m *mount) error
		more string
	}{
		{"a tail", "/log", func(m *mount) error { return m.grow("/log", []byte("and more")) }, "and more"},
		{"a rename", "/log.1", func(m *mount) error { return m.rename("/log", "/log.1") }, ""},
		{"a rename of its directory", "/e/log", func(m *mount) error { return m.rename("/d", "/e") }, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store, m, want := logs(t, 2*tailAbove, mem.Options{}, nil)
				from := "/log"
				if c.at == "/e/log" {
					m.must(store.Disk().Mkdir("/d"))
					m.must(store.Disk().Rename("/log", "/d/log"))
					from = "/d/log"
				}
				h, err := m.openAt(from, OpenFlags{Read: true, Write: true})
				m.must(err)
				defer h.Release()
				hold := store.Hold(func(op, _ string) bool { return op == mem.OpOpen })
				var got []byte
				var rerr error
				done := make(chan struct{})
				go func() {
					defer close(done)
					got = make([]byte, len(want)+len(c.more))
					n, err := h.ReadAt(t.Context(), got, 0)
					got, rerr = got[:n], err
				}()
				<-hold.Arrived()
				m.must(c.do(m))
				m.sync()
				hold.Release()
				<-done
				if rerr != nil || string(got[:min(len(got), len(want))]) != string(want) {
					t.Errorf("read %d bytes, err %v; want the %d that it had", len(got), rerr, len(want))
				}
				time.Sleep(2 * confirmAfter)
				if _, err := h.WriteAt(t.Context(), []byte("X"), 0); err != nil {
					t.Errorf("write through the handle: %v", err)
				}
				m.must(h.Flush(t.Context()))
				h.Release()
				m.sync()
				m.onServer(c.at, "X"+string(want[1:])+c.more)
			})
		})
	}
}
