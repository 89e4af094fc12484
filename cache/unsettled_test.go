package cache

import (
	"context"
	"path"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ftpfs/cache/remote"
	"ftpfs/cache/remote/mem"
)

// unheard is a change on the server that nobody heard the answer of, and that the server
// will not tell about.
type unheard struct {
	name   string
	opts   mem.Options
	before map[string]string       // on the server
	owed   string                  // written here
	change func(m *mount)          // and the change
	lost   func(op, p string) bool // the step that gets no answer
	there  bool                    // it happened
	asked  func(op, p string) bool // the questions that are refused
	want   map[string]string       // on the server in the end
}

func stat(names ...string) func(op, p string) bool {
	return func(op, p string) bool { return op == mem.OpStat && slices.Contains(names, p) }
}

func step(what, name string) func(op, p string) bool {
	return func(op, p string) bool { return op == what && p == name }
}

func unheardOf() (all []unheard) {
	for _, there := range []bool{true, false} {
		is := map[bool]string{true: "happened", false: "did not happen"}[there]
		named := func(yes, no string) map[string]string {
			if there {
				return map[string]string{yes: "ours"}
			}
			return map[string]string{no: "ours"}
		}
		all = append(all,
			unheard{name: "a rename that " + is, before: map[string]string{"/a": "theirs"}, owed: "/a",
				change: func(m *mount) { m.wantKind(m.rename("/a", "/b"), remote.Down) },
				lost:   step(mem.OpRename, "/a"), there: there, asked: stat("/a", "/b"), want: named("/b", "/a")},
			unheard{name: "a directory's rename that " + is, before: map[string]string{"/d/f": "theirs"}, owed: "/d/f",
				change: func(m *mount) { m.wantKind(m.rename("/d", "/e"), remote.Down) },
				lost:   step(mem.OpRename, "/d"), there: there, asked: stat("/d", "/e"), want: named("/e/f", "/d/f")},
			unheard{name: "a replacement that " + is, opts: mem.Options{NoReplace: true}, before: map[string]string{"/f": "theirs"}, owed: "/f",
				change: func(m *mount) {
					ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
					defer cancel()
					m.Sync(ctx, "/f", func(Progress) {})
				},
				lost: step(mem.OpRename, "/f"), there: there, want: map[string]string{"/f": "ours"},
				asked: func(op, p string) bool { return op == mem.OpStat && isTemp(path.Base(p)) && path.Base(p)[15] == 'o' }})
	}
	return all
}

// begin does it, and leaves the server refusing, with kind, to tell.
func (u *unheard) begin(t *testing.T, kind remote.Kind) *mount {
	store := mem.New(u.opts)
	m := mountMem(t, store, func(c *Config) { c.PublishDelay = time.Hour })
	for p, text := range u.before {
		if d := path.Dir(p); d != "/" {
			m.must(store.Disk().Mkdir(d))
		}
		m.must(store.Disk().WriteFile(p, []byte(text)))
		m.wantRead(p, text)
	}
	m.must(m.write(u.owed, []byte("ours")))
	refuse := func(op, p string) error {
		if u.asked(op, p) {
			return &remote.Error{Kind: kind, Text: "by the test"}
		}
		return nil
	}
	lose := func(op, p string) error {
		if u.lost(op, p) {
			store.Hook(refuse)
			store.HookAfter(nil)
			return &remote.Error{Kind: remote.Down}
		}
		return nil
	}
	if u.there {
		store.HookAfter(lose)
	} else {
		store.Hook(lose)
	}
	u.change(m)
	return m
}

// wantHeld: what is owed of u alone is shown so, for this reason, and no part of it is sent.
func (u *unheard) wantHeld(m *mount, state string) {
	m.t.Helper()
	s := m.Status()
	if len(s.Owed) != 1 || s.Owed[0].Path != u.owed || s.Owed[0].State != state || !strings.Contains(s.Owed[0].Error, "by the test") {
		m.t.Errorf("got %+v, want %s alone, %s for what the server refuses", s.Owed, u.owed, state)
	}
	for _, p := range m.store.Disk().Paths() {
		if b, err := m.store.Disk().ReadFile(p); err == nil && string(b) == "ours" && !(u.opts.NoReplace && isTemp(path.Base(p))) {
			m.t.Errorf("it was sent, as %s", p)
		}
	}
}

func (u *unheard) wantSettled(m *mount) {
	m.t.Helper()
	synctest.Wait() // temporary names are removed in the background
	var got, want []string
	for _, p := range m.store.Disk().Paths() {
		if !strings.HasSuffix(p, "/") && !strings.HasPrefix(p, "/other") {
			got = append(got, p)
		}
	}
	for p, text := range u.want {
		want = append(want, p)
		m.onServer(p, text)
		m.wantRead(p, text)
	}
	if !slices.Equal(got, want) {
		m.t.Errorf("the server has %q, want %q", got, want)
	}
	if told := m.Status().Conflicts; len(told) > 0 {
		m.t.Errorf("conflicts are told: %+v", told)
	}
	m.wantClean()
}

// A server refuses to tell what became of a change: what that concerns waits, over any
// number of restarts, and is shown so. All else goes out. An unmount is not held up, and
// once the server tells, what waited is sent.
func TestOnlyWhatIsConcernedWaitsForWhatTheServerWillNotTell(t *testing.T) {
	for _, u := range unheardOf() {
		t.Run(u.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := u.begin(t, remote.Permission)
				m.must(m.write("/other1", []byte("in the same session")))
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				m.Sync(ctx, "/other1", func(Progress) {})
				m.onServer("/other1", "in the same session")
				time.Sleep(10 * time.Second) // until a pause is over
				u.wantHeld(m, "parked")
				m.must(m.write("/other2", []byte("before a restart")))
				for _, other := range []string{"/other3", "/other4"} {
					m.crash()
					m.must(m.write(other, []byte("after a restart")))
					began := time.Now()
					if out, err := m.Drain(t.Context(), func(Progress) {}); out != SomeParked || err != nil || time.Since(began) > time.Second {
						t.Errorf("drain: %v, %v after %v; want SomeParked at once", out, err, time.Since(began))
					}
					m.onServer("/other2", "before a restart")
					m.onServer(other, "after a restart")
					m.wantRead(u.owed, "ours")
					time.Sleep(10 * time.Hour)
					u.wantHeld(m, "parked")
				}
				m.store.Hook(nil)
				began := time.Now()
				if n, err := m.Retry("/"); n != 1 || err != nil {
					t.Errorf("retry: %d, %v; want 1", n, err)
				}
				synctest.Wait()
				m.sync()
				if d := time.Since(began); d > 500*time.Millisecond {
					t.Errorf("retry took %v, so it was not tried at once", d)
				}
				u.wantSettled(m)
				m.stop()
			})
		})
	}
}

// The server fails to tell, for now: what is concerned is not parked. Unmounting waits as
// long as it was told to, and the next session goes on by itself when the server tells.
func TestWhatTheServerCannotTellNowIsSettledWhenItCan(t *testing.T) {
	for _, u := range unheardOf() {
		t.Run(u.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := u.begin(t, remote.Temporary)
				time.Sleep(10 * time.Second)
				u.wantHeld(m, "waiting")
				m.crash()
				ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
				defer cancel()
				began := time.Now()
				if out, err := m.Drain(ctx, func(Progress) {}); out != StillOwed || err != nil || time.Since(began) != 30*time.Second {
					t.Errorf("drain: %v, %v after %v; want StillOwed after 30 s", out, err, time.Since(began))
				}
				u.wantHeld(m, "waiting")
				m.stop()
				m.open()
				time.Sleep(time.Hour)
				u.wantHeld(m, "waiting")
				m.store.Hook(nil)
				time.Sleep(2 * time.Minute)
				u.wantSettled(m)
				m.stop()
			})
		})
	}
}
