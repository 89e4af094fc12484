package cache

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"ftpfs/cache/remote"
	"ftpfs/cache/remote/mem"
)

const gib = 1 << 30

func (m *mount) wantSpace(when string, total, free int64) {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	got, err := m.Statfs(ctx)
	if want := (remote.Space{Total: total, Free: free}); err != nil || got != want {
		m.t.Fatalf("%s: got %+v, err %v; want %+v", when, got, err, want)
	}
}

func TestQuotaFillsWhatTheServerDoesNotTell(t *testing.T) {
	silent := &remote.Error{Kind: remote.Unsupported}
	for _, c := range []struct {
		name string
		told remote.Space
		err  error
		want remote.Space
	}{
		{"nothing", remote.Space{}, silent, remote.Space{Total: 10 * gib, Free: 10 * gib}},
		{"a failure", remote.Space{}, &remote.Error{Kind: remote.Temporary}, remote.Space{Total: 10 * gib, Free: 10 * gib}},
		{"all", remote.Space{Total: 3 * gib, Free: 1 * gib}, nil, remote.Space{Total: 3 * gib, Free: 1 * gib}},
		{"what is free", remote.Space{Total: -1, Free: 4 * gib}, nil, remote.Space{Total: 10 * gib, Free: 4 * gib}},
		{"that more is free", remote.Space{Total: -1, Free: 40 * gib}, nil, remote.Space{Total: 10 * gib, Free: 10 * gib}},
		{"that it is full", remote.Space{Total: -1, Free: 0}, nil, remote.Space{Total: 10 * gib, Free: 0}},
		{"the total", remote.Space{Total: 3 * gib, Free: -1}, nil, remote.Space{Total: 3 * gib, Free: -1}},
	} {
		store := &telling{mem.New(mem.Options{}), c.told, c.err}
		cfg := testConfig(t)
		cfg.Quota = 10 * gib
		tree, err := New(cfg, store)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := tree.Statfs(t.Context()); err != nil || got != c.want {
			t.Errorf("the server tells %s: got %+v, err %v; want %+v", c.name, got, err, c.want)
		}
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if err := tree.Close(ctx); err != nil {
			t.Error(err)
		}
	}
}

// telling is a server that tells this of its space.
type telling struct {
	*mem.Store
	space remote.Space
	err   error
}

func (s *telling) Statfs(context.Context) (remote.Space, error) { return s.space, s.err }

func TestStatfsCostsNoRoundTripEachTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := mem.New(mem.Options{Quota: gib})
		m := mountMem(t, store, func(c *Config) { c.DirCacheTime = 0 })
		for range 5 {
			m.wantSpace("at first", gib, gib)
		}
		if n := store.Count(mem.OpStatfs); n != 1 {
			t.Errorf("5 questions in a row: the server was asked %d times", n)
		}
		m.must(m.write("/f", make([]byte, 1<<20)))
		m.sync()
		time.Sleep(spaceTime) // of synctest
		m.wantSpace("later", gib, gib-1<<20)
		if n := store.Count(mem.OpStatfs); n != 2 {
			t.Errorf("and once later: the server was asked %d times", n)
		}
		m.stop()
	})
}

func TestStatfsIsOneQuestionForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := mem.New(mem.Options{Quota: gib})
		m := mountMem(t, store, nil)
		hold := store.HoldOp(mem.OpStatfs, "/")
		done := make(chan remote.Space)
		for range 4 {
			go func() {
				s, _ := m.Statfs(context.Background())
				done <- s
			}()
		}
		synctest.Wait()
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if _, err := m.Statfs(ctx); !remote.Is(err, remote.Canceled) {
			t.Errorf("interrupted: %v", err)
		}
		hold.Release()
		for range 4 {
			if s := <-done; s.Total != gib {
				t.Errorf("got %+v", s)
			}
		}
		if n := store.Count(mem.OpStatfs); n != 1 {
			t.Errorf("the server was asked %d times", n)
		}
		m.stop()
	})
}

// df over all mounts must not stop at a server that is down.
func TestStatfsOfAServerThatIsDownAnswersAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := mem.New(mem.Options{Quota: gib})
		m := mountMem(t, store, func(c *Config) { c.Quota = 10 * gib })
		hold := store.HoldOp(mem.OpStatfs, "/") // whoever asks now hangs until the link is cut
		store.SetOnline(false)
		began := time.Now()
		m.wantSpace("down from the start", 10*gib, 10*gib)
		store.SetOnline(true)
		hold.Release()
		m.wantSpace("up", gib, gib)
		store.SetOnline(false)
		time.Sleep(time.Hour) // of synctest
		began = began.Add(time.Hour)
		m.wantSpace("down for an hour", gib, gib)
		if took := time.Since(began); took != 0 {
			t.Errorf("it took %v", took)
		}
		if n := store.Count(mem.OpStatfs); n != 1 {
			t.Errorf("the server was asked %d times, want once while it was up", n)
		}
		m.stop()
	})
}

// Before a server that does not answer counts as down, a whole timeout passes.
func TestStatfsDoesNotWaitForAServerThatDoesNotAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := mem.New(mem.Options{Quota: gib})
		m := mountMem(t, store, nil)
		m.wantSpace("up", gib, gib)
		m.must(m.write("/f", make([]byte, 1<<20)))
		m.sync()
		hold := store.HoldOp(mem.OpStatfs, "/")
		time.Sleep(time.Hour) // of synctest
		began := time.Now()
		m.wantSpace("no answer", gib, gib)
		if took := time.Since(began); took > spacePatience {
			t.Errorf("it took %v", took)
		}
		hold.Release()
		synctest.Wait()
		m.wantSpace("the answer came late", gib, gib-1<<20)
		m.stop()
	})
}

// The first answer is waited for, however long it takes: there is nothing to show instead. A
// failure counts for as long as an answer, or each df would ask.
func TestTheFirstFiguresAreWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := mem.New(mem.Options{Quota: gib})
		m := mountMem(t, store, nil)
		hold := store.HoldOp(mem.OpStatfs, "/")
		time.AfterFunc(3*spacePatience, hold.Release)
		m.wantSpace("a slow answer", gib, gib)
		m.stop()
	})
}

func TestAFailureToTellTheSpaceIsNotAskedForAgainAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &failing{Store: mem.New(mem.Options{}), err: &remote.Error{Kind: remote.Temporary}}
		tree, err := New(testConfig(t), store)
		if err != nil {
			t.Fatal(err)
		}
		ask := func(want remote.Space) {
			t.Helper()
			if got, err := tree.Statfs(t.Context()); err != nil || got != want {
				t.Errorf("got %+v, %v, want %+v", got, err, want)
			}
		}
		for range 3 {
			ask(remote.Space{Total: -1, Free: -1})
		}
		if store.asked != 1 {
			t.Errorf("asked %d times", store.asked)
		}
		store.err, store.told = nil, remote.Space{Total: 5, Free: 4}
		time.Sleep(spaceTime)
		ask(store.told)
		store.err = &remote.Error{Kind: remote.Temporary}
		time.Sleep(spaceTime)
		ask(store.told) // a failure says nothing
		store.err = &remote.Error{Kind: remote.Unsupported}
		time.Sleep(spaceTime)
		ask(remote.Space{Total: -1, Free: -1}) // this does
		if store.asked != 4 {
			t.Errorf("asked %d times", store.asked)
		}
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if err := tree.Close(ctx); err != nil {
			t.Error(err)
		}
	})
}

// failing counts who asks for its space, and fails while err is set.
type failing struct {
	*mem.Store
	told  remote.Space
	err   error
	asked int
}

func (s *failing) Statfs(context.Context) (remote.Space, error) {
	s.asked++
	return s.told, s.err
}
