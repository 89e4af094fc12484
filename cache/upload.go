package cache

import (
	"context"
	"fmt"
	"io"

	"ftpfs/cache/remote"
)

// send makes the content whole and uploads it under the temporary name.
func (s *shipment) send(ctx context.Context) error {
	t, f := s.tree, s.file
	if err := s.c.fetchAll(ctx); err != nil {
		if k := remote.KindOf(err); k == remote.Changed || k == remote.NotExist {
			return &parkError{fmt.Errorf("the file changed on the server while only a part of it was held here; the parts written are kept: %w", err)}
		}
		return err
	}
	f.rec.Lock()
	t.mu.Lock()
	temp, open := join(s.dir.pathLocked(), s.temp), f.savedOpen
	f.temp = temp
	t.mu.Unlock()
	err := f.save(open, false)
	f.rec.Unlock()
	if err != nil {
		return err
	}
	write := func() error {
		f.sentBytes.Store(0)
		return t.store.Write(ctx, temp, &progressReader{r: io.NewSectionReader(s.c, 0, s.size), f: f}, 0, s.size)
	}
	moved := func() bool {
		t.mu.Lock()
		defer t.mu.Unlock()
		return join(s.dir.pathLocked(), s.temp) != temp
	}
	if err = write(); remote.Is(err, remote.NotExist) && t.remake(ctx, s.dir) && !moved() {
		err = write()
	}
	if err != nil {
		if moved() {
			return errOvertaken // the directory was renamed under the upload
		}
		return fmt.Errorf("upload %s: %w", f.path(), err)
	}
	return nil
}

// ReadAt lets an upload read the content that is held; unheld bytes are an error.
func (c *content) ReadAt(p []byte, off int64) (int, error) {
	n, _, err := c.readHeld(p, off)
	switch {
	case err != nil:
		return n, err
	case n < len(p):
		return n, io.EOF
	}
	return n, nil
}

type progressReader struct {
	r io.Reader
	f *File
}

func (p *progressReader) Read(b []byte) (int, error) {
	n, err := p.r.Read(b)
	p.f.sentBytes.Add(int64(n))
	return n, err
}
