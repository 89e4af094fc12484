package cache

import (
	"testing"
	"testing/synctest"
	"time"

	"ftpfs/cache/remote"
	"ftpfs/cache/remote/mem"
)

// A program writes a file anew whenever the server has just refused it. The refusals
// count: the pauses grow, and status says why the file is not there. What was refused is
// not what the file is now, so that it is not parked for it.
func TestARefusalCountsAlthoughTheFileWasWrittenAnewMeanwhile(t *testing.T) {
	for _, at := range []string{mem.OpWrite, mem.OpPublish} {
		for _, kind := range []remote.Kind{remote.NoSpace, remote.BadName, remote.Temporary} {
			t.Run(at+" "+kind.String(), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					store := mem.New(mem.Options{})
					m := mountMem(t, store, func(c *Config) { c.PublishDelay = 300 * time.Millisecond })
					refusals := 0
					store.Hook(func(op, _ string) error {
						if op != at {
							return nil
						}
						refusals++
						if err := m.write("/f", make([]byte, 100+refusals)); err != nil {
							t.Errorf("write while it is refused: %v", err)
						}
						return &remote.Error{Kind: kind, Code: 552, Text: "no"}
					})
					m.must(m.write("/f", []byte("first")))
					time.Sleep(time.Minute)
					synctest.Wait()
					if refusals < 3 || refusals > 7 {
						t.Errorf("%d attempts in a minute, want pauses of 2, 4, 8, 16 seconds", refusals)
					}
					m.must(m.write("/f", []byte("and once more"))) // does not hide it either
					s := m.Status()
					if len(s.Owed) != 1 || s.Owed[0].Attempts != refusals || s.Owed[0].Error == "" || s.Parked != 0 {
						t.Errorf("after %d refusals status says %+v, want their number and the reason, and nothing parked", refusals, s.Owed)
					}
					store.Hook(nil)
					time.Sleep(10 * time.Minute)
					synctest.Wait()
					m.onServer("/f", "and once more")
					m.stop()
				})
			})
		}
	}
}

// What is refused and not written over since is parked; the next change is tried, after
// the pause.
func TestAParkedFileIsTriedAgainWhenItChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := mem.New(mem.Options{Quota: 1000})
		m := mountMem(t, store, nil)
		m.must(m.write("/f", make([]byte, 5000)))
		synctest.Wait()
		if s := m.Status(); s.Parked != 1 {
			t.Fatalf("a file that does not fit: %+v, want it parked", s.Owed)
		}
		m.must(m.write("/f", []byte("it fits now")))
		if s := m.Status(); s.Parked != 0 || s.Owed[0].Error == "" {
			t.Errorf("after the change: %+v, want it waiting, with the last refusal told", s.Owed)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		m.onServer("/f", "it fits now")
		m.stop()
	})
}
