package fs

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ftpfs/cache"
	"ftpfs/cache/remote"
	"ftpfs/cache/remote/mem"
	"ftpfs/lastwords"
)

// A mount is served by another process than the one that uses it: this test binary
// run again, told what to do in its environment.
const roleEnv = "FTPFS_FS_TEST_ROLE"

func TestMain(m *testing.M) {
	if role := os.Getenv(roleEnv); role != "" {
		os.Exit(roles[role]())
	}
	os.Exit(m.Run())
}

var roles = map[string]func() int{"daemon": daemonMain, "opener": openerMain}

// order is what a daemon is told to mount.
type order struct {
	Dir    string // its own state and the mountpoint, Dir/mnt
	Uid    int    // who serves; root mounts directly, others by fusermount3
	Config Config
	Given  bool          // let someone else mount, and serve the descriptor
	Fresh  time.Duration // dir_cache_time; 0 is a minute, less than 0 none
	Mute   bool          // the log takes nothing that is said of a panic
}

// sample is what the server holds. It does not answer for what is below /slow.
func sample(d *mem.Disk) error {
	when := time.Unix(1_600_000_000, 0)
	return errors.Join(
		d.Mkdir("/slow"), d.Mkdir("/slow/dir"), d.WriteFile("/slow/file", []byte("late")),
		d.WriteFile("/plain", []byte("plain text")), d.Chmod("/plain", 0o640), d.Chtimes("/plain", when),
		d.WriteFile("/setid", []byte("#!/bin/sh\n")), d.Chmod("/setid", 0o755),
		d.Symlink("plain", "/link"), d.Mknod("/fifo"),
		d.Mkdir("/odd"), d.WriteFile("/odd/unsized", bytes.Repeat([]byte("0123456789"), 50_000)),
		d.WriteFile("/doubt", nil),
	)
}

// sizeless does not tell the size of files named unsized. Once it is broken it panics when
// it is asked whether a listing hides dots, which is under the tree's lock.
type sizeless struct {
	*mem.Store
	broken *atomic.Bool
}

func (s sizeless) Caps() remote.Caps {
	if s.broken.Load() && bytes.Contains(debug.Stack(), []byte("mayHide")) {
		panic("a bug, for the test")
	}
	return s.Store.Caps()
}

func (s sizeless) List(ctx context.Context, dir string) ([]remote.Entry, error) {
	ents, err := s.Store.List(ctx, dir)
	for i := range ents {
		if ents[i].Name == "unsized" {
			ents[i].Size = -1
		}
	}
	return ents, err
}

func (s sizeless) Stat(ctx context.Context, path string) (remote.Entry, error) {
	e, err := s.Store.Stat(ctx, path)
	if e.Name == "unsized" {
		e.Size = -1
	}
	return e, err
}

// daemon is a running one.
type daemon struct {
	t   *testing.T
	mnt string
	cmd *exec.Cmd
	in  io.WriteCloser
	out chan string     // its lines
	log strings.Builder // what it wrote to standard error; to be read when the test has ended

	failed bool // it is meant to
}

// interrupts tells of each FUSE_INTERRUPT in the trace that Config.Debug makes.
type interrupts struct{}

func (interrupts) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte(": INTERRUPT ")) {
		fmt.Println("interrupted")
	}
	return len(p), nil
}

// daemonMain mounts, says so, and obeys lines on its standard input.
func daemonMain() int {
	var o order
	if err := json.Unmarshal([]byte(os.Getenv("FTPFS_FS_TEST_ORDER")), &o); err != nil {
		fmt.Println("error:", err)
		return 1
	}
	if o.Fresh == 0 {
		o.Fresh = time.Minute
	}
	log := slog.New(slog.NewTextHandler(io.MultiWriter(os.Stderr, interrupts{}), &slog.HandlerOptions{Level: slog.LevelDebug}))
	store := mem.New(mem.Options{})
	if err := sample(store.Disk()); err != nil {
		fmt.Println("error:", err)
		return 1
	}
	slow := store.Hold(func(op, path string) bool {
		return strings.HasPrefix(path, "/slow/") && op != mem.OpRead || path == "/owed" && op == mem.OpPublish
	})
	asked := make(chan struct{})
	defer close(asked)
	go func() {
		for {
			select {
			case path := <-slow.Arrived():
				fmt.Println("asked for", path)
			case <-asked:
				return
			}
		}
	}()
	release := sync.OnceFunc(slow.Release)
	// The reply to the removal of /doubt is lost, the removal is not.
	store.HookAfter(func(op, path string) error {
		if op == mem.OpRemove && path == "/doubt" {
			return &remote.Error{Op: op, Path: path, Kind: remote.Timeout}
		}
		return nil
	})
	var broken atomic.Bool
	tree, err := cache.New(cache.Config{
		CacheDir: filepath.Join(o.Dir, "cache"), StateDir: filepath.Join(o.Dir, "state"),
		DirCacheTime: max(o.Fresh, 0), CacheSize: 64 << 20, SpoolSize: 256 << 20, MaxEntries: 100_000,
		Timeout: 30 * time.Second, Log: log,
	}, sizeless{store, &broken})
	if err != nil {
		fmt.Println("error:", err)
		return 1
	}
	cfg := o.Config
	cfg.Log = log
	lastwords.Set(func(v any) {
		if o.Mute {
			select {}
		}
		log.Error("told of a panic", "panic", v)
	})
	mnt := filepath.Join(o.Dir, "mnt")
	if o.Given {
		d, err := attach(cfg.withDefaults(), mnt)
		if err != nil {
			fmt.Println("error:", err)
			return 1
		}
		mnt = d.magic()
	}
	s, err := Mount(cfg, tree, mnt)
	if err != nil {
		fmt.Println("error:", err)
		return 1
	}
	fmt.Println("mounted", s.Mountpoint())
	var puts int64
	var obeying sync.Mutex // so that the answer to a last order comes out
	go func() {
		for in := bufio.NewScanner(os.Stdin); in.Scan(); {
			obeying.Lock()
			switch word, rest, _ := strings.Cut(in.Text(), " "); word {
			case "put": // by another client, each a second later than the one before
				name, content, _ := strings.Cut(rest, " ")
				puts++
				fmt.Println("put:", errors.Join(store.Disk().WriteFile(name, []byte(content)),
					store.Disk().Chtimes(name, time.Unix(1_600_000_000+puts, 0))))
			case "break":
				broken.Store(true)
				fmt.Println("broken")
			case "release":
				release()
				fmt.Println("released")
			case "unmount":
				fmt.Println("unmount:", errors.Is(s.Unmount(), syscall.EBUSY))
			case "lazy":
				fmt.Println("lazy:", s.UnmountLazy())
			}
			obeying.Unlock()
		}
		release()
		s.UnmountLazy() // the test is over, whatever it left open
	}()
	s.Wait()
	obeying.Lock()
	release()
	for _, f := range tree.Status().Owed {
		fmt.Println("owed", f.Path, f.State)
	}
	ctx, stop := context.WithCancel(context.Background())
	stop()
	fmt.Println("ended:", tree.Close(ctx))
	return 0
}

// start mounts and waits until the mount is usable; the mount and the process are
// gone when the test ends.
func start(t *testing.T, o order) *daemon {
	t.Helper()
	d, line := tryStart(t, o)
	if !strings.HasPrefix(line, "mounted ") {
		t.Fatalf("daemon: %s", line)
	}
	return d
}

func tryStart(t *testing.T, o order) (*daemon, string) {
	t.Helper()
	if _, err := os.Stat("/dev/fuse"); err != nil {
		t.Skip("FUSE is missing:", err)
	}
	if o.Dir == "" {
		dir, err := os.MkdirTemp("", "ftpfs-fs-test-")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.RemoveAll(dir) })
		o.Dir = dir
	}
	mnt := filepath.Join(o.Dir, "mnt")
	for _, dir := range []string{o.Dir, mnt} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(dir, o.Uid, o.Uid); err != nil && o.Uid != os.Getuid() {
			t.Skip("needs root: ", err)
		}
	}
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	// /proc/self/exe would be nobody's to execute in a private build directory.
	cmd := exec.Command(testBinary(t, o.Dir, o.Uid != 0))
	// The race detector makes a process sleep a second at its end.
	cmd.Env = append(os.Environ(), roleEnv+"=daemon", "FTPFS_FS_TEST_ORDER="+string(text), "GORACE=atexit_sleep_ms=0")
	cmd.Dir = "/"
	d := &daemon{t: t, mnt: mnt, cmd: cmd, out: make(chan string, 100)}
	cmd.Stderr = &d.log
	if o.Uid != 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(o.Uid), Gid: uint32(o.Uid)}}
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	d.in = in
	read := make(chan struct{})
	go func() {
		defer close(read)
		defer close(d.out)
		for s := bufio.NewScanner(out); s.Scan(); {
			d.out <- s.Text()
		}
	}()
	t.Cleanup(func() {
		in.Close()
		timer := time.AfterFunc(2*time.Minute, func() {
			t.Errorf("the daemon did not end; its goroutines follow")
			cmd.Process.Signal(syscall.SIGQUIT)
			unix.Unmount(mnt, unix.MNT_DETACH)
		})
		for range d.out {
		}
		<-read
		err := cmd.Wait()
		timer.Stop()
		if (err != nil) != d.failed {
			t.Errorf("daemon: %v", err)
		}
		if e, ok := findMount(mnt, ""); ok {
			t.Errorf("left mounted: %+v", e)
			unix.Unmount(mnt, unix.MNT_DETACH)
		}
		if t.Failed() || strings.Contains(d.log.String(), "DATA RACE") {
			t.Errorf("daemon's log:\n%s", d.log.String())
		}
	})
	return d, d.line()
}

// testBinary is a copy of this binary that another user can reach.
func testBinary(t *testing.T, dir string, public bool) string {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if !public {
		return self
	}
	data, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(dir, "daemon")
	if err := os.WriteFile(bin, data, 0o755); err != nil {
		t.Fatal(err)
	}
	return bin
}

// line is the daemon's next line; "" when it has ended.
func (d *daemon) line() string { return <-d.out }

// expect waits for a line.
func (d *daemon) expect(want string) {
	d.t.Helper()
	for l := range d.out {
		if l == want {
			return
		}
		d.t.Logf("daemon: %s", l)
	}
	d.t.Fatalf("the daemon ended without %q", want)
}

func (d *daemon) tell(line string) {
	d.t.Helper()
	if _, err := io.WriteString(d.in, line+"\n"); err != nil {
		d.t.Fatal(err)
	}
}

func (d *daemon) path(name string) string { return filepath.Join(d.mnt, name) }
