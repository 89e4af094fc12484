package fs

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A request panics while it holds the tree's lock. Whatever came after it would hang for
// ever, if the daemon went on; it ends, with the stack of the request, also when its log
// takes nothing. What was closed is there at the next mount.
func TestAPanicUnderTheTreesLockEndsTheDaemon(t *testing.T) {
	for name, mute := range map[string]bool{"with a log": false, "with a log that blocks": true} {
		t.Run(name, func(t *testing.T) {
			dir, err := os.MkdirTemp("", "ftpfs-fs-test-")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { os.RemoveAll(dir) })
			var d *daemon
			t.Cleanup(func() { // after start's, which waits for the process
				if d == nil {
					return
				}
				if code := d.cmd.ProcessState.ExitCode(); code != 2 {
					t.Errorf("exit code %d, want the runtime's 2", code)
				}
				for _, want := range []string{"told of a panic", "panic: a bug, for the test", "mayHide", "fs.(*node).Lookup"} {
					if !strings.Contains(d.log.String(), want) && !(mute && want == "told of a panic") {
						t.Errorf("no %q in the daemon's log:\n%s", want, d.log.String())
					}
				}
			})
			d = start(t, order{Dir: dir, Mute: mute})
			d.failed = true
			write(t, d.path("owed"), "acknowledged")
			d.expect("asked for /owed") // it is not there yet
			d.tell("break")
			d.expect("broken")
			began := time.Now()
			hit, next := make(chan error, 1), make(chan error, 1)
			go func() { hit <- unix.Lstat(d.path(".bug"), &unix.Stat_t{}) }()
			go func() { next <- <-hit; next <- unix.Lstat(d.path("odd/unsized"), &unix.Stat_t{}) }()
			late := time.AfterFunc(2*time.Minute, func() {
				t.Error("the daemon goes on after the panic")
				d.cmd.Process.Kill()
			})
			for range d.out {
			}
			late.Stop()
			t.Logf("ended after %v", time.Since(began))
			for _, what := range []string{"the request that panicked", "the one after it"} {
				if err := <-next; !errors.Is(err, syscall.ENOTCONN) && !errors.Is(err, syscall.ECONNABORTED) {
					t.Errorf("%s: %v, want ENOTCONN or ECONNABORTED", what, err)
				}
			}
			if err := unix.Unmount(d.mnt, unix.MNT_DETACH); err != nil { // as who mounts again does
				t.Error(err)
			}
			again := start(t, order{Dir: dir})
			if got, err := os.ReadFile(filepath.Join(again.mnt, "owed")); err != nil || string(got) != "acknowledged" {
				t.Errorf("after the next mount: %q, %v", got, err)
			}
		})
	}
}
