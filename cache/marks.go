package cache

import (
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"ftpfs/cache/ranges"
	"ftpfs/cache/spool"
)

// marks notes which parts of an owed file were written since its record was saved,
// so that a killed daemon knows them of a file that was still open: in a file over
// which a version of the server's lies, its length does not tell. One mark is 16
// bytes, in a file named after the record's id beside the spool. Marks are for a
// daemon that died, not for a power cut: those of another boot are not believed.
//
// Guarded by the content's mu; reset only while nobody writes (file.rec).
type marks struct {
	path string   // immutable
	disk spool.FS // immutable; says which boot this is
	f    *os.File
	n    int64        // marks in the file
	last ranges.Range // the last of them
}

const markSize = 16

// markHeader is the boot during which the marks were made.
func markHeader(disk spool.FS) ([]byte, error) {
	b, err := disk.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return nil, err
	}
	h := make([]byte, 48)
	copy(h, strings.TrimSpace(string(b)))
	return h, nil
}

func (t *Tree) marksPath(id uint64) string {
	return filepath.Join(t.cfg.StateDir, "marks", strconv.FormatUint(id, 10))
}

// add notes that [off, end) was written. A stretch that goes on where the last ended
// makes it longer.
func (m *marks) add(off, end int64) error {
	if m.f == nil {
		header, err := markHeader(m.disk)
		if err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Dir(m.path), 0o700); err != nil {
			return err
		}
		f, err := os.OpenFile(m.path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
		if err != nil {
			return err
		}
		if _, err := f.Write(header); err != nil {
			return errors.Join(err, f.Close())
		}
		m.f = f
	}
	at, r := m.n, ranges.Range{Off: off, End: end}
	if m.n > 0 && off == m.last.End {
		at, r.Off = m.n-1, m.last.Off
	}
	var b [markSize]byte
	binary.LittleEndian.PutUint64(b[:8], uint64(r.Off))
	binary.LittleEndian.PutUint64(b[8:], uint64(r.End))
	if _, err := m.f.WriteAt(b[:], 48+at*markSize); err != nil {
		return err
	}
	m.n, m.last = at+1, r
	return nil
}

// reset forgets the marks: the record knows.
func (m *marks) reset() error {
	if m.f == nil || m.n == 0 {
		return nil
	}
	if err := m.f.Truncate(48); err != nil {
		return err
	}
	m.n = 0
	return nil
}

// end removes them.
func (m *marks) end() {
	if m.f != nil {
		m.leave()
		os.Remove(m.path)
	}
}

// leave keeps them for the next daemon.
func (m *marks) leave() {
	if m.f != nil {
		m.f.Close()
		m.f = nil
	}
}

// unmarkedError: a write was not accepted, and what it was to write over is not what it was.
type unmarkedError struct{ err error }

func (e *unmarkedError) Error() string { return e.err.Error() }
func (e *unmarkedError) Unwrap() error { return e.err }

// readMarks returns what was marked for record id by a daemon that died during this
// boot. Whatever else is there, or is not, is no mark.
func (t *Tree) readMarks(id uint64) []ranges.Range {
	f, err := os.Open(t.marksPath(id))
	if err != nil {
		return nil
	}
	defer f.Close()
	want, err := markHeader(t.cfg.fs)
	if err != nil {
		return nil
	}
	got := make([]byte, len(want))
	if _, err := io.ReadFull(f, got); err != nil || string(got) != string(want) {
		return nil
	}
	b, err := io.ReadAll(f)
	if err != nil {
		return nil
	}
	var out []ranges.Range
	for ; len(b) >= markSize; b = b[markSize:] {
		r := ranges.Range{Off: int64(binary.LittleEndian.Uint64(b)), End: int64(binary.LittleEndian.Uint64(b[8:]))}
		if r.Off >= 0 && r.Off < r.End {
			out = append(out, r)
		}
	}
	return out
}

// dropOldMarks removes all marks; the records they were for have taken them over.
func (t *Tree) dropOldMarks() {
	if err := os.RemoveAll(filepath.Join(t.cfg.StateDir, "marks")); err != nil {
		t.cfg.Log.Warn("cannot remove the marks of an earlier daemon", "err", err)
	}
}
