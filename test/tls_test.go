package test

import (
	"bytes"
	"context"
	"crypto/tls"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"ftpfs/ftpconn"
	"ftpfs/test/servers"
)

// tlsTimes is how often each upload and each abort is done in each cell.
var tlsTimes = flag.Int("tls.times", 3, "how often each transfer of TestEncryptedTransfers is done")

// encrypted are the cells of TLS, in passive mode and with the listing that each server
// has by itself.
func encrypted() (all []servers.Cell) {
	for _, c := range servers.Cells() {
		if c.Version != 0 && !c.Active && c.MLSD == (c.Kind != servers.VSFTPD) && c.Missing() == "" {
			all = append(all, c)
		}
	}
	return all
}

// inCell starts a server and a Store on it.
func inCell(t *testing.T, c servers.Cell, change func(*ftpconn.Config)) (*servers.Server, *ftpconn.Store) {
	t.Helper()
	o, cfg := speaking(t, c)
	srv := servers.Start(t, c.Kind, o)
	cfg.Host, cfg.Port, cfg.User, cfg.Password = srv.Host, srv.Port, srv.User, srv.Password
	cfg.Timeout, cfg.MountTag, cfg.Log, cfg.Trace = 20*time.Second, "tls", logTo(t), true
	if change != nil {
		change(&cfg)
	}
	s := ftpconn.New(cfg)
	t.Cleanup(func() { s.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := s.Connect(ctx); err != nil {
		t.Fatalf("connect: %v", err)
	}
	return srv, s
}

// No upload is short, whatever its size, and no download that was given up costs more
// than itself: uploads of 0 B, 1 B, 1 MB and 64 MB and downloads ended half-way, on
// each server, with each version of TLS, explicit and implicit.
func TestEncryptedTransfers(t *testing.T) {
	content := make([]byte, 64<<20)
	rand.NewChaCha8([32]byte{1}).Read(content)
	var done atomic.Int64
	t.Cleanup(func() {
		if n := int(done.Load()); !t.Failed() {
			t.Logf("figure: %d encrypted uploads of 0 B to 64 MiB and %d downloads given up half-way, in %d cells of server, TLS 1.2 and 1.3, explicit and implicit: none short",
				4*n**tlsTimes, 2*n**tlsTimes, n)
		}
	})
	for _, c := range encrypted() {
		t.Run(c.String(), func(t *testing.T) {
			t.Parallel()
			srv, s := inCell(t, c, nil)
			ctx := t.Context()
			for i := range *tlsTimes {
				for _, size := range []int{0, 1, 1 << 20, 64 << 20} {
					name := fmt.Sprintf("/up %d", size)
					if err := s.Write(ctx, name, bytes.NewReader(content[:size]), 0, int64(size)); err != nil {
						t.Fatalf("upload %d of %d bytes: %v", i, size, err)
					}
					got, err := os.ReadFile(filepath.Join(srv.Root, name))
					if err != nil || !bytes.Equal(got, content[:size]) {
						t.Fatalf("upload %d of %d bytes was taken for done: %d bytes are there, %v", i, size, len(got), err)
					}
				}
			}
			for i := range *tlsTimes {
				for _, size := range []int{1 << 20, 64 << 20} {
					r, err := s.Open(ctx, fmt.Sprintf("/up %d", size), 0, nil)
					if err != nil {
						t.Fatalf("download %d of %d bytes: %v", i, size, err)
					}
					half := make([]byte, size/2)
					if _, err := io.ReadFull(r, half); err != nil || !bytes.Equal(half, content[:size/2]) {
						t.Fatalf("download %d of %d bytes: %v", i, size, err)
					}
					if err := r.Close(); err != nil {
						t.Fatalf("download %d given up: %v", i, err)
					}
				}
			}
			r, err := s.Open(ctx, "/up 1048576", 0, nil)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(r)
			if err != nil || !bytes.Equal(got, content[:1<<20]) {
				t.Fatalf("a whole download: %d bytes, %v", len(got), err)
			}
			r.Close()
			done.Add(1)
		})
	}
}

// Each data connection resumes the session of its control connection, and with TLS 1.3
// each control connection one of an earlier one. vsftpd and ProFTPD refuse any other
// data connection; Pure-FTPd resumes none with TLS 1.3.
func TestSessionsAreResumed(t *testing.T) {
	for _, c := range encrypted() {
		t.Run(c.String(), func(t *testing.T) {
			t.Parallel()
			srv, s := inCell(t, c, nil)
			const size = 4 << 20 // more than the sockets hold, so that each keeps its connection
			srv.Put("file", bytes.Repeat([]byte("x"), size))
			ctx := t.Context()
			var held []io.ReadCloser
			for range 4 {
				r, err := s.Open(ctx, "/file", 0, nil)
				if err != nil {
					t.Fatal(err)
				}
				held = append(held, r)
			}
			for _, r := range held {
				if n, err := io.Copy(io.Discard, r); n != size || err != nil {
					t.Fatalf("read %d bytes, %v", n, err)
				}
				r.Close()
			}
			for range 3 {
				if err := s.Write(ctx, "/up", bytes.NewReader(make([]byte, 1<<20)), 0, 1<<20); err != nil {
					t.Fatal(err)
				}
				if _, err := s.List(ctx, "/"); err != nil {
					t.Fatal(err)
				}
			}
			st := s.Stats()
			got := st.TLS
			if st.Logins < 4 || got.Control != st.Logins {
				t.Errorf("%d handshakes for %d logins, want at least 4 of each", got.Control, st.Logins)
			}
			control, data := int64(0), got.DataHandshakes
			switch {
			case c.Version == tls.VersionTLS12: // ProFTPD would refuse the data of one that did
			case c.Kind == servers.PureFTPd:
				data = 0
			default:
				control = got.Control - 1
			}
			if got.ControlResumed != control || got.DataResumed != data || got.DataHandshakes < 10 {
				t.Errorf("%d of %d control and %d of %d data connections resumed, want %d and %d",
					got.ControlResumed, got.Control, got.DataResumed, got.DataHandshakes, control, data)
			}
		})
	}
}
