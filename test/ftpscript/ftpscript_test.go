package ftpscript

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/jlaffaye/ftp"
)

func login(t *testing.T, s *Server) *ftp.ServerConn {
	t.Helper()
	c, err := ftp.Dial(s.Addr(), ftp.DialWithTimeout(10*time.Second))
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	t.Cleanup(func() { c.Quit() })
	if err := c.Login(User, Password); err != nil {
		t.Fatalf("log in: %v", err)
	}
	return c
}

func TestServesATree(t *testing.T) {
	for name, o := range map[string]Options{"MLSD": {}, "LIST": {Refuse: []string{"MLSD", "MLST"}}} {
		t.Run(name, func(t *testing.T) {
			s := Start(t, o)
			s.Tree.Put("/d/old name", []byte("old"))
			c := login(t, s)
			if err := c.Stor("/d/tmp", strings.NewReader("new content")); err != nil {
				t.Fatalf("STOR: %v", err)
			}
			if err := c.Rename("/d/tmp", "/d/old name"); err != nil {
				t.Fatalf("rename: %v", err)
			}
			entries, err := c.List("/d")
			if err != nil || len(entries) != 1 || entries[0].Name != "old name" || entries[0].Size != 11 {
				t.Fatalf("list: %v, %v; want one file of 11 bytes", entries, err)
			}
			r, err := c.RetrFrom("/d/old name", 4)
			if err != nil {
				t.Fatalf("RETR: %v", err)
			}
			got, err := io.ReadAll(r)
			if r.Close(); err != nil || string(got) != "content" {
				t.Fatalf("RETR from 4: %q, %v; want %q", got, err, "content")
			}
			if err := c.RemoveDir("/d"); err == nil {
				t.Error("RMD of a full directory succeeded")
			}
			if n := len(s.Since(0).Listings()); n != 1 {
				t.Errorf("%d listings recorded, want 1:\n%s", n, s.Transcript(50))
			}
			if n := len(s.Since(0).Transfers().About("/d/tmp")); n != 1 {
				t.Errorf("%d transfers of /d/tmp recorded, want 1:\n%s", n, s.Transcript(50))
			}
		})
	}
}

func TestRules(t *testing.T) {
	s := Start(t, Options{})
	s.Tree.Put("/f", bytes.Repeat([]byte("x"), 1000))
	c := login(t, s)

	refuse := s.Add(Rule{Verb: "SIZE", Path: "/f", Skip: 1, Times: 1, Instead: "550 Not today."})
	for i, want := range []bool{true, false, true} {
		if _, err := c.FileSize("/f"); (err == nil) != want {
			t.Errorf("SIZE %d: %v, want success %v", i+1, err, want)
		}
	}
	if refuse.Hits() != 1 {
		t.Errorf("the rule applied %d times, want 1", refuse.Hits())
	}

	cut := s.Add(Rule{Verb: "RETR", Times: 1, Data: &DataFault{After: 10}})
	r, err := c.Retr("/f")
	if err != nil {
		t.Fatalf("RETR: %v", err)
	}
	if got, _ := io.ReadAll(r); len(got) != 10 {
		t.Errorf("RETR cut after 10 gave %d bytes", len(got))
	}
	if err := r.Close(); err == nil {
		t.Error("a cut RETR was reported as complete")
	}
	<-cut.Hit()

	gate := make(chan struct{})
	hold := s.Add(Rule{Verb: "NOOP", Times: 1, Hold: gate})
	answered := make(chan error, 1)
	go func() { answered <- c.NoOp() }()
	<-hold.Hit()
	select {
	case err := <-answered:
		t.Errorf("a held NOOP was answered: %v", err)
	default:
	}
	close(gate)
	if err := <-answered; err != nil {
		t.Errorf("NOOP after the gate opened: %v", err)
	}

	s.Add(Rule{Verb: "NOOP", Times: 1, Drop: true})
	if err := c.NoOp(); err == nil {
		t.Error("a dropped NOOP succeeded")
	}
}

func TestAnUploadCutInTheMiddleLeavesItsBytes(t *testing.T) {
	s := Start(t, Options{})
	c := login(t, s)
	s.Add(Rule{Verb: "STOR", Data: &DataFault{After: 5}})
	if err := c.Stor("/f", strings.NewReader("0123456789")); err == nil {
		t.Error("a cut STOR succeeded")
	}
	if got, _ := s.Tree.Get("/f"); string(got) != "01234" {
		t.Errorf("left behind: %q, want the first five bytes", got)
	}
}

func TestStopEndsWhatIsHeldAndRestartKeepsTheTree(t *testing.T) {
	s := Start(t, Options{MaxSessions: 1})
	s.Tree.Put("/f", make([]byte, 100))
	c := login(t, s)
	if _, err := ftp.Dial(s.Addr(), ftp.DialWithTimeout(10*time.Second)); err == nil {
		t.Error("a second session was let in")
	}
	hold := s.Add(Rule{Verb: "RETR", Data: &DataFault{After: 50, Hold: make(chan struct{})}})
	r, err := c.Retr("/f")
	if err != nil {
		t.Fatalf("RETR: %v", err)
	}
	<-hold.Hit()
	s.Stop()
	if got, err := io.ReadAll(r); err == nil && len(got) == 100 {
		t.Error("the transfer outlived Stop")
	}
	if s.Open() != 0 {
		t.Errorf("%d sessions after Stop", s.Open())
	}
	hold.Remove()
	if err := s.Restart(); err != nil {
		t.Fatalf("restart: %v", err)
	}
	if n, err := login(t, s).FileSize("/f"); n != 100 || err != nil {
		t.Errorf("after restart: SIZE %d, %v; want 100", n, err)
	}
}

func TestAwait(t *testing.T) {
	s := Start(t, Options{})
	c := login(t, s)
	mark := s.Mark()
	go c.NoOp()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	got, err := s.Await(ctx, mark, func(c Commands) bool { return len(c) == 1 && c[0].Reply != "" })
	if err != nil || got[0].Verb != "NOOP" {
		t.Errorf("Await: %v, %v", got, err)
	}
	cancel()
	if _, err := s.Await(ctx, mark, func(Commands) bool { return false }); !errors.Is(err, context.Canceled) {
		t.Errorf("Await of nothing, cancelled: %v", err)
	}
}
