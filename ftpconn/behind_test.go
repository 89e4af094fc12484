package ftpconn_test

import (
	"bytes"
	"fmt"
	"io"
	"testing"
	"time"

	"ftpfs/ftpconn"
	"ftpfs/test/ftpscript"
)

// A server that ends a short download for the question behind it gives all of it the second time, when
// it is not asked; whether it says so, calls the part the whole, or hangs up. It is not asked
// any more then: at once if that had never worked, else when it has happened twice in a row.
func TestADownloadCutForTheQuestionBehindIt(t *testing.T) {
	content := bytes.Repeat([]byte("content\n"), 500)
	for what, data := range map[string]*ftpscript.DataFault{
		"a part called the whole": {After: 100, Reply: "226 Transfer complete."},
		"a part":                  {After: 100},
		"nothing":                 {After: 0},
		"a reset":                 {After: 100, Reset: true},
	} {
		for before, cuts := range map[int]int{0: 1, 5: 2} { // the second and third try something else first
			t.Run(fmt.Sprintf("%s, after %d", what, before), func(t *testing.T) {
				t.Parallel()
				srv, s := startAsIs(t, ftpscript.Options{}, func(c *ftpconn.Config) { c.MaxConns = 1 })
				s.SetRest(time.Hour) // what asks for a port at rest asks behind nothing
				srv.Tree.Put("/f", content)
				e, err := s.Stat(t.Context(), "/f")
				ok(t, "stat", err)
				v := e.Version()
				download := func(opened func()) (retrs int, asked bool) {
					t.Helper()
					from := srv.Mark()
					r, err := s.Open(t.Context(), "/f", 0, &v)
					ok(t, "open", err)
					opened()
					got, err := io.ReadAll(r)
					r.Close()
					if err != nil || !bytes.Equal(got, content) {
						t.Errorf("%d bytes, %v", len(got), err)
					}
					for _, c := range srv.Since(from) {
						asked = c.Verb == "EPSV" // the last one
						if c.Verb == "RETR" {
							retrs++
						}
					}
					return retrs, asked
				}
				for i := range before {
					if _, asked := download(func() {}); asked != (i == 0 || i > 2) {
						t.Fatalf("download %d: asked behind it: %v", i+1, asked)
					}
				}
				for range cuts {
					// A reset that comes before we know of the data connection is one that could not be made.
					opened, cut := make(chan struct{}), *data
					cut.Hold = opened
					srv.Add(ftpscript.Rule{Verb: "RETR", Times: 1, Data: &cut})
					if retrs, _ := download(func() { close(opened) }); retrs != 2 {
						t.Errorf("%d downloads, not 2", retrs)
					}
				}
				if retrs, asked := download(func() {}); asked || retrs != 1 {
					t.Errorf("then %d downloads, asked behind it: %v", retrs, asked)
				}
			})
		}
	}
}
