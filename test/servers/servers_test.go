package servers

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/jlaffaye/ftp"
)

// Each server lets the one user in, stores what is sent where Root says, and is
// back on its port after a stop.
func TestServers(t *testing.T) {
	for _, kind := range All {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			s := Start(t, kind, Options{})
			s.Put("sub/from behind", []byte("hello"))

			c := login(t, s)
			if err := c.Stor("sub/up", bytes.NewReader([]byte("data"))); err != nil {
				t.Fatalf("STOR: %v", err)
			}
			if err := c.Rename("sub/up", "sub/from behind"); err != nil {
				t.Fatalf("rename over a file put behind the server's back: %v", err)
			}
			got, err := os.ReadFile(filepath.Join(s.Root, "sub/from behind"))
			if err != nil || string(got) != "data" {
				t.Fatalf("file below Root: %q, %v; want %q", got, err, "data")
			}

			s.Stop()
			if err := c.NoOp(); err == nil {
				t.Error("a session outlived Stop")
			}
			if c, err := ftp.Dial(s.Addr(), ftp.DialWithTimeout(time.Second)); err == nil {
				c.Quit()
				t.Error("something listens after Stop")
			}
			s.Restart()
			if size, err := login(t, s).FileSize("sub/from behind"); err != nil || size != 4 {
				t.Errorf("after Restart: SIZE = %d, %v; want 4", size, err)
			}
		})
	}
}

func TestWrongPasswordIsRefused(t *testing.T) {
	for _, kind := range All {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			s := Start(t, kind, Options{})
			c := dial(t, s)
			if err := c.Login(s.User, s.Password+"x"); err == nil {
				t.Error("a wrong password was accepted")
			}
		})
	}
}

func TestMaxClientsRefuses(t *testing.T) {
	for _, kind := range All {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			s := Start(t, kind, Options{MaxClients: 2})
			login(t, s)
			login(t, s)
			c, err := ftp.Dial(s.Addr(), ftp.DialWithTimeout(5*time.Second))
			if err == nil {
				defer c.Quit()
				err = c.Login(s.User, s.Password)
			}
			if err == nil {
				t.Error("a third client was let in")
			}
		})
	}
}

// The cells that are in the matrix are there, and only they.
func TestCells(t *testing.T) {
	there := 0
	for _, c := range Cells() {
		if c.Missing() == "" {
			there++
		}
	}
	if all := len(Cells()); all != 80 || there != 56 {
		t.Errorf("%d cells of %d", there, all)
	}
	for _, kind := range []Kind{ProFTPD, Pyftpdlib} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			c := login(t, Start(t, kind, Cell{Kind: kind, Encryption: Plain}.Options(nil, nil)))
			if entry, err := c.GetEntry("/"); err == nil { // by MLST
				t.Errorf("MLST: %v", entry)
			}
			if _, err := c.List("/"); err != nil { // by LIST, as FEAT does not tell of MLST
				t.Errorf("LIST: %v", err)
			}
		})
	}
}

func TestFreezeSilences(t *testing.T) {
	for _, kind := range All {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			s := Start(t, kind, Options{})
			c := login(t, s)
			s.Freeze()
			answered := make(chan error, 1)
			go func() { answered <- c.NoOp() }()
			select {
			case err := <-answered:
				t.Errorf("NOOP was answered by a frozen server: %v", err)
			case <-time.After(50 * time.Millisecond):
			}
			s.Thaw()
			if err := <-answered; err != nil {
				t.Errorf("NOOP after Thaw: %v", err)
			}
		})
	}
}

func dial(t *testing.T, s *Server) *ftp.ServerConn {
	t.Helper()
	c, err := ftp.Dial(s.Addr(), ftp.DialWithTimeout(10*time.Second))
	if err != nil {
		t.Fatalf("connect to %s: %v", s.Kind, err)
	}
	t.Cleanup(func() { c.Quit() })
	return c
}

func login(t *testing.T, s *Server) *ftp.ServerConn {
	t.Helper()
	c := dial(t, s)
	if err := c.Login(s.User, s.Password); err != nil {
		t.Fatalf("log in to %s: %v", s.Kind, err)
	}
	return c
}

// A session that does not let go of a file can be ended, and no other is.
func TestEndWriters(t *testing.T) {
	s := Start(t, VSFTPD, Options{})
	other := login(t, s)
	stuck, uploading := io.Pipe()
	ended := make(chan error, 1)
	c := login(t, s)
	go func() { ended <- c.Stor("f", stuck) }()
	if _, err := uploading.Write([]byte("a beginning")); err != nil {
		t.Fatal(err)
	}
	var files []string
	for deadline := time.Now().Add(10 * time.Second); len(files) == 0 && time.Now().Before(deadline); {
		files = s.EndWriters()
	}
	if len(files) != 1 || files[0] != "f" {
		t.Errorf("ended those that write %q; want f", files)
	}
	uploading.Close()
	if err := <-ended; err == nil {
		t.Error("the upload succeeded")
	}
	if err := other.NoOp(); err != nil {
		t.Errorf("another session: %v", err)
	}
}
