package spool

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// careless is the disk without waiting for it.
type careless struct{ FS }

func (careless) SyncData(*os.File) error { return nil }
func (careless) SyncDir(string) error    { return nil }
func (careless) SyncFS(*os.File) error   { return nil }

func (c careless) WriteFile(path string, b []byte, _ bool) error {
	if strings.HasSuffix(filepath.Dir(path), "ballast") {
		return syscall.ENOSPC // none is needed
	}
	return c.FS.WriteFile(path, b, false)
}

func (c careless) WriteAt(path string, b []byte, off int64, _ bool) error {
	return c.FS.WriteAt(path, b, off, false)
}

// FuzzDirectory opens a spool in which strangers have written: whatever stands in
// its files, it is opened or refused, and what a data file holds is still somewhere
// afterwards: owed, by a record that claims no more than there is, or in quarantine.
func FuzzDirectory(f *testing.F) {
	record, _ := encodeRecord(&Record{ID: 1, Path: "/a", Size: 9}, 3, proof{}, 0)
	claims := full(1, "/b")
	claimed, _ := encodeRecord(claims, 7, proof{"boot", true, false}, 0)
	intent, _ := encodeIntent(&Intent{From: "/a", To: "/b"}, 2)
	mark, _ := seal(&mark{Ceiling: 70_000})
	for _, rec := range [][]byte{record, claimed, bytes.Repeat(record, 2), append(blanks(slotUnit), claimed...), record[:100], nil, make([]byte, 4096), []byte("{}")} {
		f.Add(rec, intent, mark)
	}
	f.Add(record, []byte(`{"format":9}`), []byte(`{"format":1,"crc32c":"00000000","body":{}}`))
	f.Fuzz(func(t *testing.T, rec, intent, mark []byte) {
		dir := t.TempDir()
		content := []byte("123456789")
		for name, b := range map[string][]byte{"id": []byte(`{"format":1,"identity":"x"}`), "rec/1.json": rec, "intent/2.json": intent, "synced": mark, "data/1": content} {
			if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		s, err := Open(careless{OS}, dir, "x", nil)
		if err != nil {
			return // refused: nothing was touched
		}
		recs, intents, err := s.Load(t.Context())
		if err != nil {
			t.Fatalf("load: %v", err)
		}
		owed := false
		for _, r := range recs {
			if err := r.valid(); err != nil || r.ID != 1 {
				t.Errorf("loaded %+v: %v", r, err)
			}
			for _, h := range r.Have.Ranges() {
				if h.Off < 0 || h.End > r.Size || h.End > int64(len(content)) {
					t.Errorf("loaded a record that claims %v of %d bytes of size %d", h, len(content), r.Size)
				}
			}
			owed = owed || !r.Dir
		}
		for _, in := range intents {
			if in.Seq != 2 || !strings.HasPrefix(in.From, "/") || !strings.HasPrefix(in.To, "/") {
				t.Errorf("loaded intent %+v", in)
			}
		}
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		kept, _ := filepath.Glob(filepath.Join(dir, "quarantine", "*"))
		if owed {
			kept = []string{filepath.Join(dir, "data", "1")}
		}
		for _, name := range kept {
			if b, err := os.ReadFile(name); err == nil && bytes.Equal(b, content) {
				return
			}
		}
		t.Errorf("the content is neither owed nor in quarantine; records %+v", recs)
	})
}
