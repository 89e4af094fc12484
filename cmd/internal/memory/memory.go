// Package memory keeps on disk what was learned of a server, for the next mount of
// it: one small file for a host, port and user, which several daemons may share. It
// owns the file and nothing of its meaning. What cannot be read is forgotten and
// said in the log, and what cannot be written is not kept: neither is a reason not to
// mount.
package memory

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"

	"ftpfs/cmd/internal/place"
	"ftpfs/ftpconn"
)

// most is more than a memory ever has.
const most = 64 << 10

// File is the memory of one server.
type File struct {
	path string       // immutable
	log  *slog.Logger // immutable

	mu      sync.Mutex      // guards what follows
	keep    bool            // the disk may be written to
	pending *ftpconn.Memory // what came before that
}

// Open returns the memory at path. Nothing is written before Keep.
func Open(path string, log *slog.Logger) *File { return &File{path: path, log: log} }

// Read returns what is known; nothing, if that is not there or not readable.
func (f *File) Read() ftpconn.Memory {
	m, err := f.read()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		f.log.Info("what was learned of the server is not readable, and is learned anew", "file", f.path, "error", err)
	}
	return m
}

func (f *File) read() (m ftpconn.Memory, err error) {
	r, err := os.Open(f.path)
	if err != nil {
		return m, err
	}
	defer r.Close()
	b, err := io.ReadAll(io.LimitReader(r, most+1))
	switch {
	case err != nil:
		return m, err
	case len(b) > most:
		return m, fmt.Errorf("it is longer than %d bytes", most)
	}
	if err := json.Unmarshal(bytes.TrimSpace(b), &m); err != nil {
		return ftpconn.Memory{}, err
	}
	return m, nil
}

// Keep allows writing, and writes what came before.
func (f *File) Keep() {
	f.mu.Lock()
	f.keep = true
	m := f.pending
	f.pending = nil
	f.mu.Unlock()
	if m != nil {
		f.Write(*m)
	}
}

// Write has m known from now on, with what others learned meanwhile.
func (f *File) Write(m ftpconn.Memory) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.keep {
		f.pending = &m
		return
	}
	if err := f.write(m); err != nil {
		f.log.Info("what was learned of the server is not kept", "file", f.path, "error", err)
	}
}

func (f *File) write(m ftpconn.Memory) error {
	dir := filepath.Dir(f.path)
	if err := place.Private(dir); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close() // and the lock, which is held for moments
	if err := unix.Flock(int(d.Fd()), unix.LOCK_EX); err != nil {
		return err
	}
	if older, err := f.read(); err == nil {
		m = m.Merge(older)
	}
	b, err := json.MarshalIndent(m, "", "\t")
	if err != nil {
		return err
	}
	if len(b) >= most {
		return fmt.Errorf("it would be longer than %d bytes", most)
	}
	tmp := f.path + ".tmp"
	if err := os.WriteFile(tmp, append(b, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, f.path)
}
