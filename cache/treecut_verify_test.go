package cache

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing/synctest"
	"time"

	"ftpfs/cache/remote"
	"ftpfs/cache/remote/mem"
	"ftpfs/cache/spool"
	"ftpfs/cache/spool/cutdisk"
)

func (x *afterCut) errorf(format string, args ...any) {
	x.t.Helper()
	x.t.Errorf("%s: %s", x.when, fmt.Sprintf(format, args...))
}

// verify cuts, mounts again, waits until all is published that can be, and looks.
func (x *afterCut) verify(log []cutdisk.Event, server *mem.Disk, v cutdisk.Variant) {
	if err := os.RemoveAll(x.dir); err != nil {
		x.t.Fatal(err)
	}
	if err := cutdisk.Cut(log, x.k, v.NamesOf(log, x.k), v.Content, x.disk.root, x.dir, x.rnd); err != nil {
		x.t.Fatal(err)
	}
	left, recs := x.files("data/*"), x.files("rec/*.json")
	atCut := server
	cfg := cutConfig(x.dir)
	cfg.fs = bootDisk{spool.OS, "b2"}
	cfg.Log = slog.New(slog.NewTextHandler(&x.log, nil))
	m := &mount{t: x.t, store: mem.Dial(server.Clone(), x.opts), cfg: cfg}
	m.open()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	out, err := m.Sync(ctx, "/", func(Progress) {})
	cancel()
	if err != nil || out == StillOwed {
		x.errorf("Sync: %v, %v: %+v", out, err, m.Status().Owed)
	}
	synctest.Wait() // a rename may have to be settled of what is interrupted, which nobody waits for
	there, read := map[string]string{}, map[string]string{}
	for _, p := range m.store.Disk().Paths() {
		b, _ := m.store.Disk().ReadFile(p)
		if !isTemp(path.Base(p)) {
			there[p] = string(b)
		}
	}
	for _, name := range m.names("/") {
		b, err := m.read("/" + name)
		if remote.Is(err, remote.Changed) {
			b, err = m.read("/" + name) // as the kernel does after ESTALE
		}
		if err != nil {
			b = []byte(err.Error()) // right if nothing of it was promised
		}
		read["/"+name] = string(b)
	}
	x.vows(there, read)
	x.published(there, atCut)
	x.kept(left, recs, log, m.store.Disk())
	m.stop()
}

// called says whether p is a name of l, or of a copy beside it.
func (l *life) called(p string) bool {
	for _, n := range l.names {
		if b := path.Base(p); b == n || strings.HasPrefix(b, strings.TrimSuffix(n, path.Ext(n))+".conflict-") {
			return true
		}
	}
	return false
}

// vows: what fsync or a publication covered is there, or newer.
func (x *afterCut) vows(there, read map[string]string) {
	for _, l := range x.lives {
		if l.gone != 0 && x.k > l.gone {
			continue
		}
		for i := len(l.vows) - 1; i >= 0; i-- {
			v := l.vows[i]
			if v.from > x.k || v.sent && len(l.theirs) > 0 {
				continue
			}
			since := l.states[v.state:]
			for len(since) > 1 && since[len(since)-1].at >= x.k {
				since = since[:len(since)-1]
			}
			ok := false
			var found []string
			for where, names := range map[string]map[string]string{"server": there, "mount": read} {
				for p, b := range names {
					if l.called(p) {
						ok = ok || where == "server" && isOneOf(b, since) || where == "mount" && !v.sent && madeOf(b, since)
						found = append(found, fmt.Sprintf("%s of the %s with %d bytes, unlike its state at %d: %.60q", p, where, len(b), differs(b, since[0].b), b))
					}
				}
			}
			if !ok {
				x.errorf("%s was promised at %d (sent: %v) with %d bytes, and was changed %d times since; found %q", l.p, v.from, v.sent, len(since[0].b), len(since)-1, found)
			}
			break // a later promise covers the earlier
		}
	}
}

func isOneOf(b string, states []state) bool {
	for _, s := range states {
		if s.b == b {
			return true
		}
	}
	return false
}

// madeOf says whether each byte of b is of one of the states. What was written since
// the first of them was not promised: it may be missing.
func madeOf(b string, states []state) bool {
	if isOneOf(b, states) {
		return true
	}
	if len(states) == 1 {
		return false
	}
	least := len(states[0].b)
	for _, s := range states {
		least = min(least, len(s.b))
	}
	if len(b) < least {
		return false
	}
next:
	for i := range len(b) {
		for _, s := range states {
			if i < len(s.b) && s.b[i] == b[i] {
				continue next
			}
		}
		if b[i] != 0 || i < least {
			return false
		}
	}
	return true
}

func differs(a, b string) int {
	i := 0
	for i < min(len(a), len(b)) && a[i] == b[i] {
		i++
	}
	return i
}

// published: under no name but temporary ones the server has anything that was
// neither closed nor synced, nor somebody else's. A tail that was under way at the cut
// may have been left as it was.
func (x *afterCut) published(there map[string]string, atCut *mem.Disk) {
	for p, b := range there {
		ok := false
		for _, l := range x.lives {
			if !l.called(p) {
				continue
			}
			was, _ := atCut.ReadFile(p)
			for _, s := range l.states {
				ok = ok || s.settled && s.at <= x.k && (s.b == b || string(was) == b && strings.HasPrefix(s.b, b))
			}
			for _, b2 := range l.theirs {
				ok = ok || b2 == b
			}
		}
		if !ok {
			was, _ := atCut.ReadFile(p)
			x.errorf("the server's %s holds %d bytes that it never was; at the cut it held %d, equal up to %d", p, len(b), len(was), differs(b, string(was)))
		}
	}
}

// files are those of the spool that match, by name.
func (x *afterCut) files(match string) map[string][]byte {
	left := map[string][]byte{}
	all, _ := filepath.Glob(filepath.Join(x.dir, "state/spool", match))
	for _, p := range all {
		b, err := os.ReadFile(p)
		if err != nil {
			x.t.Fatal(err)
		}
		left[filepath.Base(p)] = b
	}
	return left
}

// kept: of what was in a data file nothing is gone that nobody had given up: it is
// still there, on the server, or in quarantine.
func (x *afterCut) kept(left, recs map[string][]byte, log []cutdisk.Event, server *mem.Disk) {
	for id, b := range left {
		given := len(bytes.Trim(b, "\x00")) == 0
		old, based := beforeLastSync(b, log[:x.k], id), bytes.Contains(recs[id+".json"], []byte(`"base":`))
		for _, e := range log[:x.k] {
			given = given || e.Op == "rename" && strings.HasSuffix(e.To, "/rec/"+id+".gone") || e.Op == "remove" && strings.HasSuffix(e.Path, "/data/"+id)
		}
		for _, match := range []string{"data/" + id, "quarantine/" + id + ".data", "quarantine/" + id + "-*.data", "discarded/*-" + id + "-*"} {
			for _, now := range x.files(match) {
				// What no record tells of yet may have been overwritten since by a reader who had
				// the base fetched.
				given = given || within(b, now) || based && within(old, now)
			}
		}
		for _, p := range server.Paths() {
			now, err := server.ReadFile(p)
			begun := len(now) > 0 && len(now) < len(b) && len(old) <= len(now) && within(b[:len(now)], now) // what was closed before that time
			given = given || err == nil && (within(b, now) || within(old, now) && (based || len(old) > 0) || begun)
		}
		if !given {
			x.errorf("data file %s with %d bytes is neither owed, nor on the server, nor in quarantine", id, len(b))
		}
	}
}

// beforeLastSync is b, the content of a data file, with holes for what was written since
// the last group sync but one: records tell of it a second later, and one more may pass
// before these are on disk.
func beforeLastSync(b []byte, log []cutdisk.Event, id string) []byte {
	old := bytes.Clone(b)
	for i, syncs := len(log)-1, 0; i >= 0 && syncs < 2; i-- {
		if log[i].Op == "syncfs" {
			syncs++
		}
		if e := log[i]; e.Op == "data" && strings.HasSuffix(e.Path, "/data/"+id) && e.Off < int64(len(old)) {
			clear(old[e.Off:min(e.Off+int64(len(e.B)), int64(len(old)))])
		}
	}
	return bytes.TrimRight(old, "\x00")
}

// within says whether b, but for its holes, is found in whole.
func within(b, whole []byte) bool {
	for i, c := range bytes.TrimRight(b, "\x00") {
		if c != 0 && (i >= len(whole) || whole[i] != c) {
			return false
		}
	}
	return true
}
