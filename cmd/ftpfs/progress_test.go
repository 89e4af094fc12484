package main

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"ftpfs/cache"
)

const mib = 1 << 20

// feed gives a progress one report a second.
func feed(p *progress, reports ...cache.Progress) {
	for _, r := range reports {
		time.Sleep(time.Second)
		b, _ := json.Marshal(r)
		p.update(b)
	}
}

func TestProgressWithoutATerminalIsALineNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		p := newProgress(&out)
		var reports []cache.Progress
		for i := range 12 {
			reports = append(reports, cache.Progress{Files: 3, FilesDone: i / 6, Bytes: 100 * mib, BytesDone: int64(i+1) * 5 * mib, Online: true})
		}
		feed(p, reports...)
		p.end()
		want := "0 of 3 files, 25 MiB of 100 MiB (25 %), 5 MiB/s, 15 s left\n" +
			"1 of 3 files, 50 MiB of 100 MiB (50 %), 5 MiB/s, 10 s left\n"
		if out.String() != want {
			t.Errorf("got\n%swant\n%s", out.String(), want)
		}
	})
}

func TestProgressOfAShortWaitingIsSilentWithoutATerminal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		p := newProgress(&out)
		feed(p, cache.Progress{Files: 1, Bytes: 10, BytesDone: 5, Online: true}, cache.Progress{Files: 1, FilesDone: 1, Bytes: 10, BytesDone: 10, Online: true})
		p.end()
		if out.Len() > 0 {
			t.Errorf("got %q, want nothing", out.String())
		}
	})
}

// On a terminal it is one line, written over, never wider than the terminal, and gone
// at the end.
func TestProgressOnATerminalIsOneLine(t *testing.T) {
	person, program := openPTY(t)
	if err := unix.IoctlSetWinsize(int(person.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 30}); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		p := newProgress(program)
		feed(p,
			cache.Progress{Files: 2, Bytes: 10 * mib, BytesDone: mib, Online: true},
			cache.Progress{Files: 2, Bytes: 10 * mib, BytesDone: 2 * mib, Online: true},
			cache.Progress{Files: 2, Bytes: 10 * mib, BytesDone: 2 * mib}) // down
		p.end()
	})
	if err := program.Close(); err != nil { // so that reading ends
		t.Fatal(err)
	}
	all, _ := io.ReadAll(person)
	got := string(all)
	want := "\r\x1b[K0 of 2 files, 1 MiB of 10 MiB" + "\r\x1b[K0 of 2 files, 2 MiB of 10 MiB" + "\r\x1b[K"
	if got != want || strings.Contains(got, "\n") {
		t.Errorf("got %q\nwant %q", got, want)
	}
}

func TestProgressText(t *testing.T) {
	start := time.Unix(1e9, 0)
	for _, c := range []struct {
		name    string
		reports []cache.Progress // one a second; the last is shown a second later
		want    string
	}{
		{"the first word", []cache.Progress{{Files: 2, Bytes: 4 * mib, Online: true}}, "0 of 2 files, 0 B of 4 MiB (0 %)"},
		{"empty files", []cache.Progress{{Files: 2, FilesDone: 1, Online: true}}, "1 of 2 files"},
		{"no server", []cache.Progress{{Files: 1, Bytes: mib}}, "0 of 1 file, 0 B of 1 MiB (0 %), the server is down"},
		{"parked", []cache.Progress{{Files: 2, Bytes: mib, Parked: 1, Online: true}, {Files: 2, Bytes: mib, BytesDone: mib / 2, Parked: 1, Online: true}},
			"0 of 2 files, 512 KiB of 1 MiB (50 %), 1 parked, 256 KiB/s"},
		{"sent, and not yet renamed", []cache.Progress{{Files: 1, Bytes: mib, Online: true}, {Files: 1, Bytes: mib, BytesDone: mib, Online: true}},
			"0 of 1 file, 1 MiB of 1 MiB (99 %), 512 KiB/s"},
		{"begun anew", []cache.Progress{{Files: 1, Bytes: 8 * mib, BytesDone: 6 * mib, Online: true}, {Files: 1, Bytes: 8 * mib, BytesDone: 0, Online: true}, {Files: 1, Bytes: 8 * mib, BytesDone: 2 * mib, Online: true}},
			"0 of 1 file, 2 MiB of 8 MiB (25 %), 1 MiB/s, 6 s left"},
		{"a total that grows", []cache.Progress{{Files: 1, Bytes: mib, Online: true}, {Files: 2, Bytes: 3 * mib, BytesDone: mib, Online: true}},
			"0 of 2 files, 1 MiB of 3 MiB (33 %), 512 KiB/s, 4 s left"},
		{"more sent than there was", []cache.Progress{{Files: 1, Bytes: mib, BytesDone: 2 * mib, Online: true}}, "0 of 1 file, 1 MiB of 1 MiB (99 %)"},
	} {
		var p pace
		now := start
		for _, r := range c.reports {
			p.add(now, r)
			now = now.Add(time.Second)
		}
		if got := progressText(c.reports[len(c.reports)-1], &p, now); got != c.want {
			t.Errorf("%s:\n got %q\nwant %q", c.name, got, c.want)
		}
	}
	var p pace
	r := cache.Progress{Files: 1, Bytes: 10, BytesDone: 5, Online: true}
	p.add(start, r)
	p.add(start.Add(8*time.Second), r)
	if got := progressText(r, &p, start.Add(8*time.Second)); !strings.HasSuffix(got, "nothing has moved for 8 s") {
		t.Errorf("a stall: %q", got)
	}
}

// Ctrl-D at the password prompt ends it, and the terminal has its echo again; so does
// Ctrl-C, with its own exit code.
func TestPasswordPromptEnds(t *testing.T) {
	for _, c := range []struct {
		key  byte
		code int
		say  string
	}{{4, 1, "the input ended"}, {3, 130, "interrupted"}} {
		person, program := openPTY(t)
		cmd := exec.Command("/proc/self/exe", "ftp://u@127.0.0.1", t.TempDir())
		cmd.Args[0] = "ftpfs"
		cmd.Env = []string{"FTPFS_TEST_PLAYS=1", "HOME=" + t.TempDir(), "XDG_RUNTIME_DIR=" + t.TempDir()}
		cmd.Stdin, cmd.Stderr = program, program
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		hung := time.AfterFunc(time.Minute, func() { cmd.Process.Kill() })
		var said strings.Builder
		buf := make([]byte, 256)
		for !strings.Contains(said.String(), "Password of u") {
			n, err := person.Read(buf)
			if err != nil {
				t.Fatalf("%v after %q", err, said.String())
			}
			said.Write(buf[:n])
		}
		if _, err := person.Write([]byte{c.key}); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		hung.Stop()
		tio, tioErr := unix.IoctlGetTermios(int(program.Fd()), unix.TCGETS)
		program.Close() // so that reading ends
		rest, _ := io.ReadAll(person)
		said.Write(rest)
		if got := cmd.ProcessState.ExitCode(); got != c.code || !strings.Contains(said.String(), c.say) {
			t.Errorf("key %d: exit %d, %q; want %d, %q", c.key, got, said.String(), c.code, c.say)
		}
		if tioErr != nil || tio.Lflag&unix.ECHO == 0 {
			t.Errorf("key %d: the terminal has no echo any more (%v)", c.key, tioErr)
		}
	}
}

// An answer that could not be written is not a good one.
func TestAnswersToAFullDisk(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("SKIPPED /dev/full: ", err)
	}
	defer full.Close()
	for _, args := range [][]string{{"version"}, {"help"}} {
		cmd := exec.Command("/proc/self/exe", args...)
		cmd.Args[0] = "ftpfs"
		cmd.Env = []string{"FTPFS_TEST_PLAYS=1", "HOME=" + t.TempDir(), "XDG_RUNTIME_DIR=" + t.TempDir()}
		var said bytes.Buffer
		cmd.Stdout, cmd.Stderr = full, &said
		_ = cmd.Run()
		if got := cmd.ProcessState.ExitCode(); got != 2 || !strings.Contains(said.String(), "no space left") || strings.Count(said.String(), "\n") != 1 {
			t.Errorf("ftpfs %v >/dev/full: exit %d, %q; want 2 and why, once", args, got, said.String())
		}
	}
}
