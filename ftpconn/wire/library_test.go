package wire_test

import (
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/jlaffaye/ftp"

	"ftpfs/ftpconn/wire"
)

func library(t *testing.T, c *wire.Conn) *ftp.ServerConn {
	t.Helper()
	lib, err := ftp.Dial("ignored:21", ftp.DialWithDialFunc(c.Library()))
	if err != nil {
		t.Fatal(err)
	}
	c.BeforeFeat("TYPE I", "OPTS UTF8 ON", "PWD")
	if err := lib.Login("user", "secret"); err != nil {
		t.Fatal(err)
	}
	return lib
}

// The library's order of calls is what the synthetic replies rely on: this fails
// when another version of it calls otherwise.
func TestLibraryOrder(t *testing.T) {
	var stored []string
	srv := serve(t, "220-hello\r\n220 there\r\n", ordinary("the content", func(s string) { stored = append(stored, s) }))
	c := srv.dial(t, nil)
	lib := library(t, c)
	expect := func(what string, err error, want ...string) {
		t.Helper()
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if got := srv.heard(); !slices.Equal(got, want) {
			t.Errorf("%s sent %q, want %q", what, got, want)
		}
	}
	expect("login", nil, "USER user", "PASS secret", "FEAT", "TYPE I", "OPTS UTF8 ON", "PWD")
	if r, err := c.KnownOr("PWD"); err != nil || r.Code != 257 {
		t.Errorf("PWD: %v %v", r, err)
	}
	read := func(offset uint64) error {
		r, err := lib.RetrFrom("/f", offset)
		if err != nil {
			return err
		}
		b, err := io.ReadAll(r)
		if string(b) != "the content" {
			t.Errorf("read %q", b)
		}
		if err != nil {
			return err
		}
		return r.Close()
	}
	expect("read", read(0), "EPSV", "RETR /f")
	expect("read at an offset", read(7), "EPSV", "REST 7", "RETR /f")
	c.Next(wire.Transfer{Ahead: []string{"SIZE /f", "MDTM /f"}})
	expect("read with facts", read(7), "EPSV", "SIZE /f", "MDTM /f", "REST 7", "RETR /f")
	expect("upload", lib.Stor("/f", strings.NewReader("abc")), "EPSV", "STOR /f")
	expect("upload of nothing", lib.Stor("/f", strings.NewReader("")), "EPSV", "STOR /f")
	expect("append", lib.Append("/f", strings.NewReader("def")), "EPSV", "APPE /f")
	expect("rename", lib.Rename("/a", "/b"), "RNFR /a", "RNTO /b")
	expect("delete", lib.Delete("/a"), "DELE /a")
	expect("mkdir", lib.MakeDir("/a"), "MKD /a")
	expect("rmdir", lib.RemoveDir("/a"), "RMD /a")
	expect("noop", lib.NoOp(), "NOOP")
	if !slices.Equal(stored, []string{"abc", "", "def"}) {
		t.Errorf("stored %q", stored)
	}
	if err := c.Dead(); err != nil {
		t.Error(err)
	}
}

// With the library alone this patches the uploaded file at 1000: the REST was
// sent before the name was refused.
func TestRestNeverOutlivesItsCommand(t *testing.T) {
	stored := make(chan string, 1)
	srv := serve(t, "220 hi\r\n", ordinary("", func(s string) { stored <- s }))
	c := srv.dial(t, nil)
	lib := library(t, c)
	srv.heard()
	if _, err := lib.RetrFrom("bad\nname", 1000); err == nil {
		t.Error("a name with a newline was accepted")
	}
	if err := lib.Stor("/f", strings.NewReader("abc")); err != nil {
		t.Fatal(err)
	}
	if got := srv.heard(); !slices.Equal(got, []string{"EPSV", "STOR /f"}) {
		t.Errorf("sent %q", got)
	}
	if s := <-stored; s != "abc" {
		t.Errorf("stored %q", s)
	}
}

// A refusal is the library's to report and leaves the connection usable.
func TestLibraryRefusals(t *testing.T) {
	plain := ordinary("x", nil)
	srv := serve(t, "220 hi\r\n", func(c *session, verb, arg string) {
		if strings.HasSuffix(arg, "/none") {
			c.reply("550 no such file")
			return
		}
		plain(c, verb, arg)
	})
	c := srv.dial(t, nil)
	lib := library(t, c)
	for range 2 {
		if _, err := lib.Retr("/none"); err == nil || !strings.Contains(err.Error(), "550") {
			t.Errorf("read: %v", err)
		}
		if err := lib.Stor("/none", strings.NewReader("abc")); err == nil || !strings.Contains(err.Error(), "550") {
			t.Errorf("upload: %v", err)
		}
		if err := lib.Delete("/none"); err == nil || !strings.Contains(err.Error(), "550") {
			t.Errorf("delete: %v", err)
		}
		r, err := lib.Retr("/f")
		if err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(r); string(b) != "x" || err != nil || r.Close() != nil {
			t.Errorf("read %q, %v", b, err)
		}
	}
	if err := c.Dead(); err != nil {
		t.Error(err)
	}
}
