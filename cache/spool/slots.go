package spool

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/crc32"

	"ftpfs/cache/ranges"
)

// A record's file is a row of up to four slots of one size, each with one record on
// a line of its own, filled up with blanks. A Put overwrites one slot in place. It
// needs neither a rename nor a new inode (on ext4 making one costs the more, the more
// were deleted in the last minutes: it does not use those again, but looks at each).
// It never touches the slot of the record that stands, nor of one that a power cut
// must be able to bring back; slots are whole pages, so that writing one does not
// rewrite another. Of several records the one with the highest sequence number
// stands.
const (
	slotUnit  = 4096 // size of a slot; twice, four times … as much where a record is longer
	slotCount = 4
	sector    = 512 // what a disk writes whole
)

// head is the beginning of a slot. It lies in the first sector, and so tells of a
// slot of which a power cut stored only a part.
type head struct {
	slot int    // size of the slots
	seq  uint64 // of the record
	same bool   // the record claims the content that the record on disk before it does
}

const sumText = `"crc32c":"%08x","body":`

func (h head) text() []byte {
	return fmt.Appendf(nil, `{"format":%d,"slot":%d,"seq":%d,"same":%t,`, format, h.slot, h.seq, h.same)
}

// parseHead accepts what text wrote; rest is what follows it.
func parseHead(b []byte) (h head, rest []byte, ok bool) {
	begin := string(b[:min(len(b), 120)])
	if _, err := fmt.Sscanf(begin, fmt.Sprintf(`{"format":%d,"slot":%%d,"seq":%%d,"same":%%t,`, format), &h.slot, &h.seq, &h.same); err != nil {
		return head{}, nil, false
	}
	text := h.text()
	if !bytes.HasPrefix(b, text) || h.slot <= 0 || h.slot%slotUnit != 0 {
		return head{}, nil, false
	}
	return h, b[len(text):], true
}

// sealSlot makes body the content of a slot of at least size bytes, self-checking:
// what is torn, zero or from elsewhere is not accepted by unsealSlot.
func sealSlot(body any, seq uint64, same bool, size int) ([]byte, error) {
	b, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	size = max(size, slotUnit)
	for size < len(b)+256 {
		size *= 2
	}
	line := head{size, seq, same}.text()
	sum := crc32.Update(crc32.Checksum(line, castagnoli), castagnoli, b)
	line = append(fmt.Appendf(line, sumText, sum), b...)
	line = append(line, '}', '\n')
	return append(line, blanks(size-len(line))...), nil
}

func blanks(n int) []byte {
	b := bytes.Repeat([]byte{' '}, n)
	b[n-1] = '\n'
	return b
}

func unsealSlot(b []byte, body any) (head, error) {
	line, _, _ := bytes.Cut(b, []byte{'\n'})
	if blank(line) {
		return head{}, fmt.Errorf("%d bytes of nothing", len(b))
	}
	h, rest, ok := parseHead(line)
	if !ok {
		var n int
		if _, err := fmt.Sscanf(string(line[:min(len(line), 32)]), `{"format":%d,`, &n); err == nil && n != format {
			return head{}, fmt.Errorf("it is of format %d, this ftpfs knows %d", n, format)
		}
		return head{}, fmt.Errorf("%d bytes that are no record", len(line))
	}
	n := len(fmt.Sprintf(sumText, 0))
	if len(rest) <= n || rest[len(rest)-1] != '}' {
		return h, fmt.Errorf("cut off after %d bytes", len(line))
	}
	j := rest[n : len(rest)-1]
	sum := crc32.Update(crc32.Checksum(h.text(), castagnoli), castagnoli, j)
	if want := fmt.Sprintf(sumText, sum); string(rest[:n]) != want {
		return h, fmt.Errorf("checksum is %08x, not as written", sum)
	}
	return h, json.Unmarshal(j, body)
}

func blank(b []byte) bool { return len(bytes.Trim(b, " \n\x00")) == 0 }

// splitSlots cuts a record's file into its slots. Unused ones are nil.
func splitSlots(b []byte) (slots [][]byte, size int) {
	size = slotUnit
	for off := 0; off < len(b); off += slotUnit {
		if h, _, ok := parseHead(b[off:]); ok && off%h.slot == 0 {
			size = h.slot
			break
		}
	}
	for len(b) > 0 && len(slots) < slotCount {
		s := b[:min(size, len(b))]
		b = b[len(s):]
		if blank(s) {
			s = nil
		}
		slots = append(slots, s)
	}
	return slots, size
}

// claim is what a record says of the content.
type claim struct {
	size        int64
	have, dirty ranges.Set
	open        bool
}

func (r *Record) claim() claim {
	return claim{r.Size, r.Have.Clone(), r.Dirty.Clone(), r.Open}
}

// same says that both are closed and claim the same. By the owner's rule (doc.go)
// the data file did not change in between.
func (c *claim) same(o *claim) bool {
	return !c.open && !o.open && c.size == o.size && c.have.Equal(o.have) && c.dirty.Equal(o.dirty)
}

// slot is what is known of one slot of a file in rec/.
type slot struct {
	seq    uint64 // 0: nothing of worth in it
	synced bool   // the record says that its content was on disk when it was put
	placed bool   // the record itself was synced
	barred bool   // a later one that says open is on disk: it would come back as interrupted
	claim
}

// state is what is known of an id's file in rec/. It is guarded by the id's stripe.
type state struct {
	size  int // of a slot; 0: there is no file
	at    int // slot of the record that stands
	slots [slotCount]slot
}

// standing is the record that stands.
func (st *state) standing() *slot { return &st.slots[st.at] }

// plan is how a Put goes about.
type plan struct {
	at       int  // slot to write
	synced   bool // the new record can say that its content is on disk
	same     bool // because the standing record could, and it is the same content
	shrinks  bool // a record that a power cut may bring back claims bytes given up
	keep     [slotCount]bool
	reopens  bool // a record that a power cut may bring back says that the file is closed, and the new one that it is not
	doubtful bool
}

// planLocked finds a slot for a record of id that claims c. The slot of the standing
// record is kept, so that a killed daemon leaves it; that of the last one known to
// be on disk; and that of the one which a group sync, running or failed, may have
// vouched for. So one is always free.
func (s *Spool) planLocked(id uint64, st *state, c *claim) plan {
	p := plan{doubtful: s.doubt[id] != nil}
	if st.size == 0 {
		return p
	}
	known, tried := -1, -1
	for i := range st.slots {
		sl := &st.slots[i]
		if sl.seq == 0 {
			continue
		}
		if s.placedLocked(sl) && (known < 0 || sl.seq > st.slots[known].seq) {
			known = i
		}
		if sl.seq < s.tried && (tried < 0 || sl.seq > st.slots[tried].seq) {
			tried = i
		}
	}
	for _, i := range []int{st.at, known, tried} {
		if i >= 0 {
			p.keep[i] = true
		}
	}
	for p.keep[p.at] {
		p.at++
	}
	for i := range st.slots {
		sl := &st.slots[i]
		if sl.seq == 0 || known >= 0 && sl.seq < st.slots[known].seq {
			continue // cannot come back
		}
		if (i == known || i == tried || sl.synced) && !c.have.Includes(sl.have) {
			p.shrinks = true
		}
	}
	p.reopens = c.open && s.closedMayReturnLocked(st)
	cur := st.standing()
	if !p.shrinks && s.durableLocked(id, cur.seq, cur.synced) && c.same(&cur.claim) {
		p.synced, p.same = true, true
	}
	return p
}

// closedMayReturnLocked says whether a power cut may bring back a record that would be
// believed, and says that the file is closed. What it claims is about to be
// overwritten, so it must not stand then: it would be published with some of both.
func (s *Spool) closedMayReturnLocked(st *state) bool {
	newest := uint64(0) // on disk
	for i := range st.slots {
		if sl := &st.slots[i]; sl.seq > newest && s.placedLocked(sl) {
			newest = sl.seq
		}
	}
	for i := range st.slots {
		sl := &st.slots[i]
		if sl.seq >= max(newest, 1) && !sl.open && !sl.barred && !sl.have.Empty() && (sl.synced || s.placedLocked(sl) || sl.seq < s.tried) {
			return true
		}
	}
	return false
}

func (s *Spool) placedLocked(sl *slot) bool {
	return sl.placed || s.onDisk.Contains(int64(sl.seq), int64(sl.seq)+1)
}
