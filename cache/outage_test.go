package cache

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ftpfs/cache/remote"
	"ftpfs/cache/remote/mem"
)

// A server that is down fails the upload of each file that is owed. That is one event,
// and the next outage is another.
func TestAnOutageIsLoggedOnceForAllUploads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := mem.New(mem.Options{})
		m := mountMem(t, store, nil)
		m.stop()
		told := &lastLines{}
		m.cfg.Log = slog.New(slog.NewTextHandler(told, nil))
		m.open()
		<-m.loaded
		for outage := range 2 {
			store.Hook(func(op, p string) error {
				if op == mem.OpWrite {
					return &remote.Error{Kind: remote.Down, Text: "by the test"}
				}
				return nil
			})
			for i := range 20 {
				m.must(m.write(fmt.Sprintf("/%d-%d", outage, i), []byte("accepted")))
			}
			time.Sleep(time.Minute) // of synctest: every file was tried several times
			synctest.Wait()
			if n := strings.Count(strings.Join(told.all(), "\n"), "upload failed"); n != outage+1 {
				t.Errorf("outage %d: %d lines of failed uploads so far, want one for each outage", outage, n)
			}
			store.Hook(nil)
			m.sync()
		}
		m.stop()
	})
}
