package mounted

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ftpfs/test/ftpscript"
)

// Somebody polls the server's own directory while files are uploaded and
// replaced: under its name, a file has its old content or its new one, whole.
func TestNobodySeesHalfAFile(t *testing.T) {
	onEach(t, func(t *testing.T, w work) {
		versions := [][]byte{noise(1, 6<<20), noise(2, 9<<20), noise(3, 5<<20), noise(4, 7<<20)}
		stop, stopped := make(chan struct{}), make(chan struct{})
		var partial []string
		looks := 0
		go func() {
			defer close(stopped)
			for {
				select {
				case <-stop:
					return
				default:
				}
				files, _ := filepath.Glob(filepath.Join(w.srv.Root, "*"))
				for _, name := range files {
					data, err := os.ReadFile(name)
					if err != nil || strings.HasPrefix(filepath.Base(name), ".") {
						continue // between two names
					}
					looks++
					whole := false
					for _, v := range versions {
						whole = whole || bytes.Equal(data, v)
					}
					if !whole {
						partial = append(partial, filepath.Base(name)+" had a content nobody wrote")
					}
				}
			}
		}()
		for round, v := range versions {
			for _, name := range []string{"a", "b"} {
				// In pieces, so that an upload may begin before close.
				f, err := os.OpenFile(w.Path(name), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o644)
				must(t, err)
				for at := 0; at < len(v); at += 1 << 20 {
					_, err := f.Write(v[at:min(at+1<<20, len(v))])
					must(t, err)
				}
				must(t, f.Close())
			}
			if round%2 == 0 {
				syncNow(t, w.Mount)
			}
		}
		syncNow(t, w.Mount)
		close(stop)
		<-stopped
		if len(partial) > 0 {
			t.Errorf("%d of %d looks: %s", len(partial), looks, strings.Join(partial[:min(5, len(partial))], "; "))
		}
		if looks == 0 {
			t.Error("the poller never saw a file")
		}
		for _, name := range []string{"a", "b"} {
			holds(t, filepath.Join(w.srv.Root, name), versions[3])
		}
		noTemporaryNames(t, w.srv.Root)
	})
}

// An upload that dies at any byte leaves the old file as it was, and the new one
// arrives in the end.
func TestAnUploadCutLeavesTheOldFile(t *testing.T) {
	srv, m := scripted(t, ftpscript.Options{}, "timeout=5")
	old, fresh := noise(1, 100_000), noise(2, 300_000)
	srv.Tree.Put("/f", old)
	holds(t, m.Path("f"), old)
	for _, fault := range []ftpscript.Rule{
		{Verb: "STOR", Times: 1, Data: &ftpscript.DataFault{After: 0}},
		{Verb: "STOR", Times: 1, Data: &ftpscript.DataFault{After: 100_000, Reset: true}},
		{Verb: "STOR", Times: 1, Data: &ftpscript.DataFault{After: 299_999, Reply: "226 Transfer complete."}}, // a lie
		{Verb: "STOR", Times: 1, Hangup: true},
		{Verb: "RNFR", Times: 1, Drop: true},
		{Verb: "RNTO", Times: 1, Drop: true},
		{Verb: "RNTO", Times: 1, Instead: "250 Renamed."}, // another
	} {
		rule := srv.Add(fault)
		put(t, m.Path("f"), fresh)
		select {
		case <-rule.Hit():
		case <-time.After(30 * time.Second):
			t.Fatalf("%s was never sent", fault.Verb)
		}
		if got, ok := srv.Tree.Get("/f"); !ok || !bytes.Equal(got, old) && !bytes.Equal(got, fresh) {
			t.Errorf("after %+v: the file on the server has %d bytes, neither the old nor the new content", fault, len(got))
		}
		syncNow(t, m)
		if got, _ := srv.Tree.Get("/f"); !bytes.Equal(got, fresh) {
			t.Errorf("after %+v and sync: %s", fault, difference(got, fresh))
		}
		rule.Remove()
		old, fresh = fresh, noise(uint64(len(fresh)), len(fresh)+1000)
	}
}
