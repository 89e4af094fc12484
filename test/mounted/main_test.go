// Package mounted tests the real program, mounted, against real servers and a
// scripted one, with the tools people use. Each promise in the package comment
// of fs has its test here; each line of what a user may expect has one, too.
//
//	main_test.go      how a test gets a server and a mount
//	work_test.go      the list of everyday work, done on each real server
//	rsync, tools, sqlite, editors, content, names _test.go         that work
//	posix_test.go     go-fuse's posixtest
//	promises_test.go  what fs promises, where no other file is about it
//	publish_test.go   nobody sees half a file
//	crash_test.go     kill -9
//	conflict_test.go  the server's file changed while it was changed here
//	outage_test.go    the server stopped, silent, back again
//	delete_test.go    a server that goes during rsync --delete
//	drain_test.go     how a mount ends
//	twodaemons_test.go  one spool, one daemon
//	systemd_test.go   the unit that is shipped
//	faults_test.go    every operation at every kind of fault; hostile_test.go
//	interrupt_test.go  Ctrl-C and deadlines
//	mountcmd_test.go  mount -t ftpfs and fstab
//	plainuser_test.go  somebody who is not root
//	demo_test.go      what make demo runs
//	badinput_test.go  one clear line and the right exit code
//	background_test.go  mounting in the background, as mount(8) does
//	panic_test.go     what is left of a daemon that died of itself
//	wire_test.go      what goes over the wire; bwlimit_test.go how fast
//	matrix_test.go    each server in each way to speak with it; odd_test.go scripted ones
//	active_test.go    active mode, asked for and found
//	tls_test.go, clientcert_test.go   certificates, and what encryption changes
//	trace_test.go     the dialogue in the log
//	overlay_test.go   times that the server cannot keep
//	checksum_test.go  uploads compared with ProFTPD's checksums
//	huge_test.go      1 GiB
//	oneconn_test.go   with max_conns=1
package mounted

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"ftpfs/test/ftpscript"
	"ftpfs/test/mount"
	"ftpfs/test/servers"
)

func TestMain(m *testing.M) { mount.Main(m) }

// work is a server with a mount of it.
type work struct {
	*mount.Mount
	srv *servers.Server
}

// onEach runs f on each kind of server, in a subtest named after it.
func onEach(t *testing.T, f func(t *testing.T, w work), options ...string) {
	for _, kind := range servers.All {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			f(t, on(t, kind, options...))
		})
	}
}

// on starts a server and mounts it.
func on(t *testing.T, kind servers.Kind, options ...string) work {
	t.Helper()
	srv := servers.Start(t, kind, servers.Options{})
	return work{mountOf(t, srv, options...), srv}
}

func mountOf(t *testing.T, srv *servers.Server, options ...string) *mount.Mount {
	t.Helper()
	return mount.New(t, mount.Options{URL: srv.URL(""), Password: srv.Password, O: options})
}

// scripted starts a scripted server and mounts it.
func scripted(t *testing.T, o ftpscript.Options, options ...string) (*ftpscript.Server, *mount.Mount) {
	t.Helper()
	srv := ftpscript.Start(t, o)
	return srv, mountScript(t, srv, options...)
}

func mountScript(t *testing.T, srv *ftpscript.Server, options ...string) *mount.Mount {
	t.Helper()
	return mount.New(t, mount.Options{URL: srv.URL(""), Password: ftpscript.Password, O: options})
}

// same fails the test unless diff -r finds the two trees equal.
func same(t *testing.T, want, got string) {
	t.Helper()
	if r := (mount.Command{}).Do(t, "diff", "-r", "--no-dereference", want, got); r.Code != 0 {
		t.Fatalf("diff -r %s %s:\n%s%s", want, got, firstLines(r.Out, 30), r.Err)
	}
}

func firstLines(s string, n int) string {
	lines := strings.SplitAfterN(s, "\n", n+1)
	if len(lines) > n {
		lines[n] = "…"
	}
	return strings.Join(lines, "")
}

// noise is n bytes that look the same in every run and no two seeds share.
func noise(seed uint64, n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16), 7})
	_, _ = r.Read(b)
	return b
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func mkdir(t testing.TB, dir string) string {
	t.Helper()
	must(t, os.MkdirAll(dir, 0o755))
	return dir
}

func put(t testing.TB, name string, data []byte) {
	t.Helper()
	must(t, os.WriteFile(name, data, 0o644))
}

func get(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(name)
	must(t, err)
	return data
}

// holds fails the test unless a file has exactly this content.
func holds(t testing.TB, name string, want []byte) {
	t.Helper()
	got, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("%s: %s", name, difference(got, want))
	}
}

// difference says where two contents part.
func difference(got, want []byte) string {
	n := 0
	for n < len(got) && n < len(want) && got[n] == want[n] {
		n++
	}
	show := func(b []byte) string {
		return fmt.Sprintf("%d bytes, there %q", len(b), b[n:min(n+40, len(b))])
	}
	return fmt.Sprintf("content differs at byte %d: got %s, want %s", n, show(got), show(want))
}

// names lists a directory, sorted.
func names(t testing.TB, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	all := make([]string, len(entries))
	for i, e := range entries {
		all[i] = e.Name()
	}
	return all
}

// absent fails the test unless a name is not there.
func absent(t testing.TB, name string) {
	t.Helper()
	if _, err := os.Lstat(name); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("lstat %s: %v, want that it does not exist", name, err)
	}
}

// wantErrno fails the test unless err is one of the errnos.
func wantErrno(t testing.TB, what string, err error, errnos ...syscall.Errno) {
	t.Helper()
	for _, e := range errnos {
		if errors.Is(err, e) {
			return
		}
	}
	t.Errorf("%s: %v, want one of %v", what, err, errnos)
}

// eventually waits until a condition holds that no event announces.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	limit := time.After(60 * time.Second)
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for !ok() {
		select {
		case <-look.C:
		case <-limit:
			t.Fatalf("did not %s within a minute", what)
		}
	}
}

// noTemporaryNames fails the test if the server keeps names that nobody gave. What an
// upload that was called off had there is removed a moment after what is owed is there.
func noTemporaryNames(t testing.TB, root string) {
	t.Helper()
	var left []string
	defer func() {
		if len(left) > 0 {
			t.Errorf("left on the server: %q", left)
		}
	}()
	eventually(t, "remove its temporary names", func() bool {
		left = nil
		err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
			if err == nil && strings.HasPrefix(d.Name(), ".ftpfs") {
				left = append(left, strings.TrimPrefix(p, root))
			}
			if errors.Is(err, fs.ErrNotExist) {
				return nil // gone as it was looked at
			}
			return err
		})
		must(t, err)
		return len(left) == 0
	})
}
