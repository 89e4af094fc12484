package cache

import (
	"bytes"
	"path"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"ftpfs/cache/remote"
	"ftpfs/cache/remote/mem"
)

// flipping makes the uploads of store arrive with a bit flipped, as long as left is more
// than zero.
func flipping(store *mem.Store, left *atomic.Int32) {
	store.HookAfter(func(op, p string) error {
		if op == mem.OpWrite && isTemp(path.Base(p)) && left.Add(-1) >= 0 {
			b, err := store.Disk().ReadFile(p)
			if err != nil || len(b) == 0 {
				return err
			}
			b[len(b)/2] ^= 4
			return store.Disk().WriteFile(p, b)
		}
		return nil
	})
}

// What arrives corrupted is sent again. What does so each time is parked, with the reason,
// and reaches the server at a retry.
func TestACorruptedUploadIsSentAgain(t *testing.T) {
	for _, algorithm := range []string{"SHA-256", "CRC32"} {
		synctest.Test(t, func(t *testing.T) {
			store := mem.New(mem.Options{Sums: algorithm})
			var left atomic.Int32
			flipping(store, &left)
			m := mountMem(t, store, nil)
			content := string(bytes.Repeat([]byte("content "), 40_000))
			left.Store(2)
			m.must(m.write("/f", []byte(content)))
			m.wantEventually("/f", content)
			left.Store(1 << 20)
			m.must(m.write("/g", []byte(content)))
			time.Sleep(time.Hour)
			s := m.Status()
			if s.Parked != 1 {
				t.Fatalf("parked %d, want 1: %+v", s.Parked, s)
			}
			n, err := m.walk("/g")
			m.must(err)
			if why := m.State(n); !strings.Contains(why, "checksum") {
				t.Errorf("the state is %q", why)
			}
			m.Forget(n)
			if _, there := store.Disk().Stat("/g"); there {
				t.Error("a corrupted file was published")
			}
			left.Store(0)
			if n, err := m.Retry("/"); n != 1 || err != nil {
				t.Fatalf("Retry: %d, %v", n, err)
			}
			m.wantEventually("/g", content)
			m.wantRead("/g", content)
		})
	}
}

func (m *mount) wantEventually(p, want string) {
	m.t.Helper()
	time.Sleep(time.Minute)
	m.sync()
	m.onServer(p, want)
}

// The checksum of an upload that was cut and goes on, also of a snapshot that is written
// over meanwhile, is that of what was sent.
func TestTheChecksumOfAnUploadThatGoesOn(t *testing.T) {
	store := mem.New(mem.Options{Sums: "SHA-256"})
	m := mountMem(t, store, nil)
	content := bytes.Repeat([]byte("0123456789abcdef"), 100_000)
	var cut atomic.Bool
	store.HookAfter(func(op, p string) error {
		if op == mem.OpWrite && !cut.Swap(true) {
			b, err := store.Disk().ReadFile(p)
			if err != nil {
				return err
			}
			m.must(store.Disk().WriteFile(p, b[:len(b)/3]))
			return &remote.Error{Kind: remote.Down}
		}
		return nil
	})
	m.must(m.write("/f", content))
	m.sync()
	m.onServer("/f", string(content))
	if n := store.Count(mem.OpSum); n == 0 {
		t.Error("the upload did not go on where it was cut")
	}
}
