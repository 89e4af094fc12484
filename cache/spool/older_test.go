package spool

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

var golden = flag.Bool("spool.golden", false, "write testdata/format1 anew: only when the format of the spool is given up")

// written is what the spool in testdata owes.
func written() []*Record {
	whole, part := full(1, "/dir/a\xff"), &Record{ID: 4, Path: "/new", Size: 5, Created: time.Unix(1700000000, 0).UTC()}
	whole.Open, whole.Interrupted, whole.Tail = false, false, nil // that build knew no tails
	part.Have.Add(0, 5)
	part.Dirty.Add(0, 5)
	dir := &Record{ID: 7, Path: "/dir", Dir: true, MTime: whole.MTime, Created: whole.Created}
	return []*Record{whole, part, dir}
}

// What an earlier build has left in the spool is read as it was meant. testdata was
// written by the first build of format 1, and is not to be written anew.
func TestSpoolOfAnEarlierBuild(t *testing.T) {
	const kept = "testdata/format1"
	want := written()
	if *golden {
		s := mustOpen(t, newDisk("b1"), kept)
		mustLoad(t, s)
		for _, r := range want {
			r.ID = s.NewID()
			if !r.Dir {
				f, err := s.Create(r.ID)
				if err == nil {
					_, err = f.WriteString(strings.Repeat("x", int(r.Have.End())))
				}
				if err = errors.Join(err, f.Close()); err != nil {
					t.Fatal(err)
				}
			}
			put(t, s, r)
			put(t, s, r) // in two slots
		}
		if err := errors.Join(s.PutIntent(&Intent{From: "/a", To: "/b\xff", Dir: true, At: time.Unix(1700000009, 0).UTC()}), s.Close()); err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(kept)); err != nil {
		t.Fatal(err)
	}
	for _, boot := range []string{"b1", "b2", "b3"} {
		d := newDisk(boot)
		s := mustOpen(t, d, dir)
		recs, intents, err := s.Load(context.Background())
		if err != nil || s.Quarantined() != 0 || len(recs) != len(want) || len(intents) != 1 || intents[0].To != "/b\xff" {
			t.Fatalf("boot %s: %d records, intents %+v, %d in quarantine (%s): %v", boot, len(recs), intents, s.Quarantined(), names(t, dir, "quarantine"), err)
		}
		for i := range recs {
			want[i].Seq, want[i].ModeKept = recs[i].Seq, false // which that build did not know
			if !reflect.DeepEqual(&recs[i], want[i]) {
				t.Errorf("boot %s: got %+v, want %+v", boot, recs[i], want[i])
			}
			put(t, s, &recs[i])
		}
		stop(s, d)
	}
}

// What cannot be understood is neither guessed at nor deleted, and the note says why.
func TestWhatOtherFormatsLeft(t *testing.T) {
	body := func(fields string) string {
		return fmt.Sprintf(`{"id":1,"seq":7,"boot":"b1","path":"/a","size":4,"have":[[0,4]],"dirty":[[0,4]],"created":"2024-01-01T00:00:00Z"%s}`, fields)
	}
	slot := func(text string) []byte {
		b, err := sealSlot(rawJSON(text), 7, false, 0)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	other := func(format int) []byte {
		return []byte(strings.Replace(string(slot(body(""))), `{"format":1,`, fmt.Sprintf(`{"format":%d,`, format), 1))
	}
	old, err := seal(rawJSON(body("")))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		rec  []byte
		want string // loaded
		why  string // in the note
	}{
		{"fields that are not known", slot(body(`,"colour":"red","chunks":[{"a":1}]`)), "/a", ""},
		{"an older format", other(0), "", "format 0"},
		{"a newer format", other(2), "", "format 2"},
		{"one record and no slots", old, "", "the record cannot be read"},
		{"a field of another kind", slot(strings.Replace(body(""), `"size":4`, `"size":"four"`, 1)), "", "the record cannot be read"},
	} {
		dir := t.TempDir()
		s := mustOpen(t, newDisk("b1"), dir)
		s.Close()
		for name, b := range map[string][]byte{"rec/1.json": c.rec, "data/1": []byte("data")} {
			if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		s = mustOpen(t, newDisk("b1"), dir)
		if got := paths(mustLoad(t, s)); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
		if c.why == "" {
			continue
		}
		note, err := os.ReadFile(filepath.Join(dir, "quarantine", "1.txt"))
		if err != nil || !strings.Contains(string(note), c.why) {
			t.Errorf("%s: the note says %q (%v), want %q", c.name, note, err, c.why)
		}
		if b, err := os.ReadFile(filepath.Join(dir, "quarantine", "1.data")); string(b) != "data" {
			t.Errorf("%s: in quarantine is %q, %v", c.name, b, err)
		}
		if b, err := os.ReadFile(filepath.Join(dir, "quarantine", "1.json")); string(b) != string(c.rec) {
			t.Errorf("%s: the record in quarantine is %.50q, %v", c.name, b, err)
		}
	}
}

// A spool of a newer ftpfs, or one whose id says nothing, is refused as it is.
func TestSpoolOfANewerFormatIsRefused(t *testing.T) {
	for id, why := range map[string]string{
		`{"format":2,"identity":"ftp://u@host/","more":true}`: "newer ftpfs (format 2, this one knows 1)",
		`{"format":2,"identity":{"host":"h"}}`:                "newer ftpfs (format 2, this one knows 1)",
		`{"format":1,"identity":"ftp://other@host/"}`:         `belongs to "ftp://other@host/"`,
		`{"identity":"ftp://u@host/"}`:                        "cannot be understood",
		`{"format":1`:                                         "cannot be understood",
		"\x00\x00\x00":                                        "cannot be understood",
	} {
		dir := t.TempDir()
		s := mustOpen(t, newDisk("b1"), dir)
		put(t, s, file(t, s, "/a", 3))
		s.Close()
		if err := os.WriteFile(filepath.Join(dir, "id"), []byte(id), 0o600); err != nil {
			t.Fatal(err)
		}
		before := names(t, dir, "rec") + names(t, dir, "data") + names(t, dir, "quarantine")
		_, err := Open(newDisk("b1"), dir, "ftp://u@host/", nil)
		var refused *RefusedError
		if !errors.As(err, &refused) || !strings.Contains(err.Error(), why) {
			t.Errorf("id %s: %v, want %q", id, err, why)
		}
		if after := names(t, dir, "rec") + names(t, dir, "data") + names(t, dir, "quarantine"); after != before {
			t.Errorf("id %s: the spool held %s, now %s", id, before, after)
		}
	}
}
