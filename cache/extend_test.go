package cache

import (
	"context"
	"testing"

	"ftpfs/cache/remote/mem"
)

// A file that is made longer by a truncation reads as before, and zeros behind, at every
// moment: not as broken in the one in which its new size counts and the disk lags.
func TestReadsBesideAnExtensionSeeNoEnd(t *testing.T) {
	m := mountMem(t, mem.New(mem.Options{}), nil)
	h := m.make("/f")
	m.writeAt(h, []byte("0123456789"), 0)
	f := m.fileAt("/f")
	c := f.cur
	p := make([]byte, 100_000)
	for size, caught := int64(11), 0; caught < 3; size++ {
		if size == int64(len(p)) {
			t.Fatal("never came in between")
		}
		extended := make(chan error, 1)
		go func() { extended <- h.Truncate(context.Background(), size) }()
		for over := false; !over; {
			m.mu.Lock() // which an extension needs that has just begun to count
			c.mu.Lock()
			between := c.size == size && f.size < size
			c.mu.Unlock()
			if between {
				caught++
				if n, _, err := c.readHeld(p, 0); err != nil || n != int(size) {
					t.Errorf("got %d bytes, %v, in the middle of an extension to %d", n, err, size)
				}
			}
			m.mu.Unlock()
			select {
			case err := <-extended:
				m.must(err)
				over = true
			default:
				over = between
				if between {
					m.must(<-extended)
				}
			}
		}
	}
	h.Release()
}
