package ftpconn_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ftpfs/cache/remote"
	"ftpfs/ftpconn"
	"ftpfs/test/ftpscript"
)

// Everything at once on a server that fails in every way it can: whatever is
// answered is true, and nothing is left behind.
func TestChaos(t *testing.T) {
	before := runtime.NumGoroutine()
	var open atomic.Int64
	srv := ftpscript.Start(t, ftpscript.Options{MaxSessions: 5})
	s := openCounted(t, srv, &open)
	var whole []string
	for i := range 20 {
		p := fmt.Sprintf("/d/%02d", i)
		whole = append(whole, p)
		srv.Tree.Put(p, content[:1000*(i+1)])
	}
	ok(t, "connect", s.Connect(t.Context()))
	dice := rand.New(rand.NewPCG(1, 2))
	var rolling sync.Mutex
	roll := func(n int) bool { rolling.Lock(); defer rolling.Unlock(); return dice.IntN(n) == 0 }
	login := map[string]bool{"CONNECT": true, "USER": true, "PASS": true, "FEAT": true, "TYPE": true, "OPTS": true, "PWD": true}
	some := func(n int, any bool) func(ftpscript.Command) bool {
		return func(c ftpscript.Command) bool { return (any || !login[c.Verb]) && roll(n) }
	}
	var rules []*ftpscript.Applied
	for _, r := range []ftpscript.Rule{
		{Match: some(150, false), Drop: true},
		{Match: some(150, false), Hangup: true},
		{Match: some(300, false), Swallow: true},
		{Match: some(150, false), Instead: "421 going away"},
		{Match: some(150, false), Instead: "450 busy"},
		{Match: some(150, false), Before: "226 late"},
		{Match: some(50, true), Delay: 5 * time.Millisecond},
		{Verb: "RETR", Match: some(10, false), Data: &ftpscript.DataFault{After: 700, Reset: true}},
		{Verb: "RETR", Match: some(10, false), Data: &ftpscript.DataFault{After: 700, Reply: "226 all"}},
		{Verb: "STOR", Match: some(10, false), Data: &ftpscript.DataFault{After: 700}},
		{Verb: "MLSD", Match: some(10, false), Data: &ftpscript.DataFault{After: 90}},
	} {
		rules = append(rules, srv.Add(r))
	}
	ctx := t.Context()
	const each, kills = 20, 5
	var rounds atomic.Int64
	var wg sync.WaitGroup
	for g := range 12 {
		wg.Go(func() {
			for i := range each {
				if n := rounds.Add(1); n%(12*each/kills) == 0 {
					srv.KillSessions()
				}
				p := whole[(g*7+i)%len(whole)]
				want := content[:1000*((g*7+i)%len(whole)+1)]
				one, stop := context.WithTimeout(ctx, time.Duration(1+i%40)*10*time.Millisecond)
				if r, err := s.Open(one, p, int64(i%500), nil); err == nil {
					if got, err := io.ReadAll(io.LimitReader(r, int64(300+i%3*1e6))); err == nil && !bytes.HasPrefix(want[i%500:], got) {
						t.Errorf("%s reads as something else", p)
					} else if err == nil && i%3 > 0 && len(got) != len(want)-i%500 {
						t.Errorf("%s: %d bytes of %d without an error", p, len(got), len(want)-i%500)
					}
					r.Close()
				} else if remote.Is(err, remote.NotExist) {
					t.Errorf("open %s: %v", p, err)
				}
				if e, err := s.Stat(one, p); err == nil && (e.Size != int64(len(want)) || e.Type != remote.File) || remote.Is(err, remote.NotExist) {
					t.Errorf("stat %s: %+v, %v", p, e, err)
				}
				if list, err := s.List(one, "/d"); err == nil && len(list) != len(whole) || remote.Is(err, remote.NotExist) {
					t.Errorf("listed %d of %d, %v", len(list), len(whole), err)
				}
				tmp, final := fmt.Sprintf("/tag7.%d.%d", g, i), fmt.Sprintf("/final%d", g)
				if s.Write(one, tmp, bytes.NewReader(want), 0, int64(len(want))) == nil {
					if _, err := s.Publish(one, tmp, remote.Publish{Path: final, Size: int64(len(want)), Force: true}); err == nil {
						if b, _ := srv.Tree.Get(final); !bytes.Equal(b, want) {
							t.Errorf("%s has %d bytes of %d", final, len(b), len(want))
						}
						if err := s.Remove(one, final); err == nil {
							if _, there := srv.Tree.Stat(final); there {
								t.Errorf("%s is still there", final)
							}
						}
					}
				}
				stop()
			}
		})
	}
	wg.Wait()
	for _, r := range rules {
		r.Remove()
	}
	settled(t, "well again", func() (bool, string) {
		list, err := s.List(ctx, "/d")
		return err == nil && len(list) == len(whole), fmt.Sprintf("%v, %+v", err, s.Stats())
	})
	if st := s.Stats(); st.Busy != 0 || st.Waiting != 0 || st.Open > 5 {
		t.Errorf("at rest: %+v", st)
	}
	s.Close()
	srv.Stop()
	settled(t, "left behind", func() (bool, string) {
		n := runtime.NumGoroutine()
		return n <= before && open.Load() == 0, fmt.Sprintf("%d sockets open, %d goroutines, %d before", open.Load(), n, before)
	})
	if t.Failed() {
		buf := make([]byte, 1<<16)
		t.Logf("%s", buf[:runtime.Stack(buf, true)])
	}
}

// openCounted is open with every socket counted.
func openCounted(t *testing.T, srv *ftpscript.Server, n *atomic.Int64) *ftpconn.Store {
	return open(t, srv, func(c *ftpconn.Config) {
		c.Timeout = short
		c.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			nc, err := new(net.Dialer).DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			n.Add(1)
			return &countedClose{TCPConn: nc.(*net.TCPConn), n: n}, nil
		}
	})
}

type countedClose struct {
	*net.TCPConn
	n    *atomic.Int64
	once sync.Once
}

func (c *countedClose) Close() error {
	c.once.Do(func() { c.n.Add(-1) })
	return c.TCPConn.Close()
}
