package memory

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ftpfs/ftpconn"
)

func learned(conns int, at time.Time) ftpconn.Memory {
	return ftpconn.Memory{Form: 1, Greeting: "hello", Cap: ftpconn.Fact[ftpconn.Cap]{Value: ftpconn.Cap{Conns: conns, Stood: 1}, At: at.UTC()}}
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	var log bytes.Buffer
	path := filepath.Join(t.TempDir(), "servers", "h.json")
	f := Open(path, slog.New(slog.NewTextHandler(&log, nil)))
	at := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	m := learned(3, at)
	f.Write(m)
	if _, err := os.Stat(path); err == nil {
		t.Error("written before it may be")
	}
	if got := f.Read(); got != (ftpconn.Memory{}) {
		t.Errorf("read %+v of nothing", got)
	}
	f.Keep()
	if got := Open(path, slog.Default()).Read(); got != m {
		t.Errorf("read %+v, want %+v", got, m)
	}
	for _, name := range []string{filepath.Dir(path), path} {
		if fi, err := os.Stat(name); err != nil || fi.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v, %v; want it private", name, fi, err)
		}
	}
	if log.Len() != 0 {
		t.Errorf("logged: %s", log.String())
	}
}

// A file that is no memory, of whatever kind, is nothing known and a line in the log.
func TestGarbageIsNothingKnown(t *testing.T) {
	good := `{"form":1,"greeting":"hello"}`
	for what, text := range map[string]string{"empty": "", "torn": good[:20], "text": "hello", "another kind": `{"form":"x"}`,
		"zeros": strings.Repeat("\x00", 500), "huge": good + strings.Repeat(" ", most)} {
		var log bytes.Buffer
		path := filepath.Join(t.TempDir(), "h.json")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		f := Open(path, slog.New(slog.NewTextHandler(&log, nil)))
		if got := f.Read(); got != (ftpconn.Memory{}) || strings.Count(log.String(), "\n") != 1 {
			t.Errorf("%s: read %+v, logged %q", what, got, log.String())
		}
		m := learned(3, time.Now().Truncate(time.Second))
		f.Keep()
		f.Write(m)
		if got := f.Read(); got != m {
			t.Errorf("%s: written over it, read %+v", what, got)
		}
	}
}

// A place that cannot be written to is a line in the log.
func TestNoPlaceIsNoError(t *testing.T) {
	var log bytes.Buffer
	dir := filepath.Join(t.TempDir(), "servers")
	if err := os.WriteFile(dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	f := Open(filepath.Join(dir, "h.json"), slog.New(slog.NewTextHandler(&log, nil)))
	f.Keep()
	f.Write(learned(3, time.Now()))
	if strings.Count(log.String(), "\n") != 1 {
		t.Errorf("logged %q", log.String())
	}
}

// Two daemons of one server: what was learned last counts, whoever writes last.
func TestTwoDaemonsShareAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "h.json")
	at := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	var wg sync.WaitGroup
	for i := range 20 {
		f := Open(path, slog.Default())
		f.Keep()
		wg.Go(func() { f.Write(learned(1+i, at.Add(time.Duration(i)*time.Second))) })
	}
	wg.Wait()
	if got := Open(path, slog.Default()).Read(); got.Cap.Value.Conns != 20 {
		t.Errorf("a cap of %d is kept, want the last that was learned, 20", got.Cap.Value.Conns)
	}
}

// Who writes reads first what others have written, and keeps them waiting until it is done.
func TestAWriterWaitsForAnother(t *testing.T) {
	path := filepath.Join(t.TempDir(), "h.json")
	at := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if err := unix.Flock(int(d.Fd()), unix.LOCK_EX); err != nil { // another daemon is at it
		t.Fatal(err)
	}
	f := Open(path, slog.Default())
	f.Keep()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f.Write(learned(2, at))
	}()
	select {
	case <-done:
		t.Error("it did not wait")
	case <-time.After(100 * time.Millisecond):
	}
	if err := os.WriteFile(path, []byte(`{"form":1,"greeting":"hello","cap":{"value":{"conns":7,"stood":1},"at":"2026-05-02T00:00:00Z"}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := unix.Flock(int(d.Fd()), unix.LOCK_UN); err != nil {
		t.Fatal(err)
	}
	<-done
	if got := f.Read(); got.Cap.Value.Conns != 7 {
		t.Errorf("a cap of %d is kept, want the other's, 7", got.Cap.Value.Conns)
	}
}

// The file is replaced, so that nobody reads half of it; and what is too long to be read
// again is not written over what can be.
func TestTheFileIsWholeAtAnyTime(t *testing.T) {
	var log bytes.Buffer
	path := filepath.Join(t.TempDir(), "h.json")
	f := Open(path, slog.New(slog.NewTextHandler(&log, nil)))
	f.Keep()
	at := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	f.Write(learned(2, at))
	if err := os.Link(path, path+".old"); err != nil {
		t.Fatal(err)
	}
	want := learned(3, at.Add(time.Hour))
	f.Write(want)
	if got := Open(path+".old", slog.Default()).Read(); got.Cap.Value.Conns != 2 {
		t.Errorf("the file was written in place: %+v", got)
	}
	long := learned(4, at.Add(2*time.Hour))
	long.Greeting = strings.Repeat("x", most)
	f.Write(long)
	if got := f.Read(); got != want || strings.Count(log.String(), "\n") != 1 {
		t.Errorf("read %+v, logged %q", got.Cap, log.String())
	}
}
