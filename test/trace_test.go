package test

import (
	"log/slog"
	"os"
	"sync"
	"testing"
)

// logTo returns a logger whose last lines are shown if the test fails, and all
// of them with FTPFS_TRACE=1.
func logTo(t *testing.T) *slog.Logger {
	tail := &tail{keep: 12 << 10}
	if os.Getenv("FTPFS_TRACE") == "1" {
		tail.keep = 64 << 20
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the dialogue at the end:\n%s", tail)
		}
	})
	return slog.New(slog.NewTextHandler(tail, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// tail keeps the end of what is written to it.
type tail struct {
	keep int // immutable

	mu  sync.Mutex // guards buf
	buf []byte
}

func (w *tail) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.buf = append(w.buf, p...)
	if len(w.buf) > 2*w.keep {
		w.buf = append([]byte(nil), w.buf[len(w.buf)-w.keep:]...)
	}
	return len(p), nil
}

func (w *tail) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return string(w.buf[max(0, len(w.buf)-w.keep):])
}
