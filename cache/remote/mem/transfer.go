package mem

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"sync"

	"ftpfs/cache/remote"
)

// Open implements remote.Store. The reader sees the file as it is at each Read.
func (s *Store) Open(ctx context.Context, path string, offset int64, expect *remote.Version) (io.ReadCloser, error) {
	var file *node
	err := s.do(ctx, OpOpen, path, func(d *Disk) error {
		n, err := d.find(path, true)
		switch {
		case err != nil:
			return err
		case n.kind == remote.Dir:
			return &remote.Error{Kind: remote.IsDir}
		case n.kind != remote.File:
			return &remote.Error{Kind: remote.Permission}
		case expect != nil:
			e := n.answer(s.opts)
			if e.Version().Differs(*expect) {
				return &remote.Error{Kind: remote.Changed}
			}
		}
		file = n
		return nil
	})
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.readers++
	s.mu.Unlock()
	return &reader{store: s, ctx: ctx, path: path, file: file, at: offset}, nil
}

// reader is a file being downloaded.
type reader struct {
	store *Store          // immutable
	ctx   context.Context // immutable: reads end with what opened them
	path  string          // immutable
	file  *node           // immutable; guarded by Disk.mu

	mu     sync.Mutex // guards what follows
	at     int64
	err    error // what all further reads return
	closed bool
}

func (r *reader) Read(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return 0, r.err
	}
	if len(p) > chunk {
		p = p[:chunk]
	}
	if r.err = r.store.enter(r.ctx, OpRead, r.path); r.err != nil {
		return 0, r.err
	}
	d := r.store.disk
	d.mu.Lock()
	n := 0
	if r.at < int64(len(r.file.data)) {
		n = copy(p, r.file.data[r.at:])
	}
	d.mu.Unlock()
	if r.err = r.store.leave(OpRead, r.path, nil); r.err != nil {
		return 0, r.err
	}
	r.at += int64(n)
	r.store.mu.Lock()
	r.store.bytesIn += int64(n)
	r.store.mu.Unlock()
	if n == 0 && len(p) > 0 {
		r.err = io.EOF
	}
	return n, r.err
}

func (r *reader) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil
	}
	r.closed = true
	if r.err == nil {
		r.err = &remote.Error{Op: OpRead, Path: r.path, Kind: remote.Canceled, Text: "closed"}
	}
	r.store.mu.Lock()
	r.store.readers--
	r.store.mu.Unlock()
	return nil
}

// Write implements remote.Store.
func (s *Store) Write(ctx context.Context, path string, r io.Reader, offset, size int64) error {
	if s.opts.Greedy && size >= 0 && size <= chunk {
		all, err := io.ReadAll(r)
		if err != nil {
			return wrap(OpWrite, path, err)
		}
		r = bytes.NewReader(all)
	}
	if err := s.enter(ctx, OpWrite, path); err != nil {
		return err
	}
	file, err := s.beginWrite(path, offset)
	if err != nil {
		return wrap(OpWrite, path, err)
	}
	buf := make([]byte, chunk)
	at := offset
	for {
		n, readErr := r.Read(buf)
		if n > 0 {
			if err := s.enter(ctx, OpData, path); err != nil {
				return wrap(OpWrite, path, err)
			}
			if err := s.apply(file, at, buf[:n], offset > 0); err != nil {
				return wrap(OpWrite, path, err)
			}
			at += int64(n)
		}
		if readErr == io.EOF {
			break
		}
		if readErr == nil {
			readErr = s.usable(ctx)
		}
		if readErr != nil {
			return wrap(OpWrite, path, readErr)
		}
	}
	if sent := at - offset; size >= 0 && sent != size {
		return &remote.Error{Op: OpWrite, Path: path, Kind: remote.ShortWrite, Text: fmt.Sprintf("%d bytes of %d", sent, size)}
	}
	switch longer := s.lengthAt(path, at) - at; {
	case offset > 0 && longer > 0:
		return &remote.Error{Op: OpWrite, Path: path, Kind: remote.Changed, Text: fmt.Sprintf("%d bytes more than ours", longer)}
	case offset > 0 && longer < 0:
		return &remote.Error{Op: OpWrite, Path: path, Kind: remote.ShortWrite, Text: fmt.Sprintf("%d bytes less than ours", -longer)}
	}
	return s.leave(OpWrite, path, s.usable(ctx))
}

// lengthAt is how long what has the name now is, which may be another file than the one
// that was written; unknown, if there is none.
func (s *Store) lengthAt(path string, unknown int64) int64 {
	s.disk.mu.Lock()
	defer s.disk.mu.Unlock()
	n, err := s.disk.find(path, true)
	if err != nil {
		return unknown
	}
	return int64(len(n.data))
}

// beginWrite opens the target: as STOR does, cutting it to nothing, or as APPE.
func (s *Store) beginWrite(path string, offset int64) (*node, error) {
	d := s.disk
	d.mu.Lock()
	defer d.mu.Unlock()
	if offset > 0 {
		if s.opts.NoAppend {
			return nil, &remote.Error{Kind: remote.Unsupported}
		}
		n, err := d.find(path, true)
		switch {
		case err != nil:
			return nil, err
		case n.kind == remote.Dir:
			return nil, &remote.Error{Kind: remote.IsDir}
		case int64(len(n.data)) != offset:
			return nil, &remote.Error{Kind: remote.Changed, Text: fmt.Sprintf("it has %d bytes, not %d", len(n.data), offset)}
		}
		return n, nil
	}
	n, err := d.create(path)
	if err != nil {
		return nil, err
	}
	d.used -= int64(len(n.data))
	n.data = nil
	n.mtime = d.stamp()
	d.tell(d.pathOf(n), 0)
	return n, nil
}

// apply stores one chunk, at the end whatever that is by now if it is appended; when the
// disk fills up, as much of it as there is room for.
func (s *Store) apply(n *node, at int64, p []byte, end bool) error {
	d := s.disk
	d.mu.Lock()
	if end {
		at = int64(len(n.data))
	}
	var err error
	if room := s.opts.Quota - d.used; s.opts.Quota > 0 && int64(len(p)) > room {
		p = p[:max(room, 0)]
		err = &remote.Error{Kind: remote.NoSpace}
	}
	d.put(n, at, p)
	d.mu.Unlock()
	s.mu.Lock()
	s.bytesUp += int64(len(p))
	s.mu.Unlock()
	return err
}

// put writes p at an offset, filling a gap (the file was cut meanwhile) with
// zeros.
func (d *Disk) put(n *node, at int64, p []byte) {
	if n.parent == nil { // deleted meanwhile: nobody will see it
		return
	}
	if gap := at - int64(len(n.data)); gap > 0 {
		n.data = append(n.data, make([]byte, gap)...)
		d.used += gap
	}
	overlap := min(int64(len(p)), int64(len(n.data))-at)
	copy(n.data[at:], p[:overlap])
	n.data = append(n.data, p[overlap:]...)
	d.used += int64(len(p)) - overlap
	n.mtime = d.stamp()
	d.tell(d.pathOf(n), int64(len(n.data)))
}
