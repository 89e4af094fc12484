package ftpconn

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path"
	"strings"

	"ftpfs/cache/remote"
	"ftpfs/ftpconn/wire"
)

// append sends src behind the first offset bytes of p, which must be all there are.
//
// Under a name of ours nothing can be lost, and the size afterwards tells. A name
// that others know is appended to only where a scratch file of ours has shown that
// APPE appends: servers that take it for STOR would destroy the file. REST with
// STOR is no way out: what another client appended after SIZE would be overwritten,
// and Pure-FTPd cuts the file there.
func (ss *session) append(p string, src *source, offset int64) error {
	s := ss.store
	ours := s.temporary(p)
	k := s.server.known()
	proven := k.append == wire.Proven && lasting(k.greeting) == ss.server // by the very server that is to append
	switch {
	case k.append == wire.Off:
		return fault(remote.Unsupported, "this server does not append")
	case !proven && !ours:
		if err := ss.proveAppend(parent(p)); err != nil {
			return err
		}
	}
	full := ss.path(p)
	r, err := ss.wire.Cmd("SIZE " + full)
	if err != nil {
		return err
	}
	n, ok := sizeIn(r)
	switch {
	case !ok:
		return ss.notRead(p, r, sure(r))
	case n != offset && src.n > 0: // our own upload, cut for others
		return fault(remote.Temporary, "%d bytes on the server of the %d sent", n, offset)
	case n != offset:
		return fault(remote.Changed, "%d bytes on the server, %d expected", n, offset)
	}
	err = ss.appe(full, src)
	ss.ready = toPrepare
	if r, no := refusal(err); no {
		if !src.touched && (r.Code == 451 || kindOf("upload", r) == remote.Unsupported) {
			s.noAppend()
			return as(remote.Unsupported, r)
		}
		return ss.notWritten(p, r)
	}
	if err != nil {
		return err
	}
	if r, err = ss.wire.Cmd("SIZE " + full); err != nil {
		return err
	}
	want := src.base + src.n
	switch n, ok := sizeIn(r); {
	case !ok || n == want:
		return nil
	case !ours && n > want:
		return fault(remote.Changed, "%d bytes on the server where ours end at %d: somebody else appended too", n, want)
	default:
		if ours && n < want {
			s.noAppend()
		}
		return fault(remote.ShortWrite, "%d bytes on the server, %d expected", n, want)
	}
}

// noAppend remembers that APPE was refused, or did something else. Where it was
// proven the refusal is of one file or directory.
func (s *Store) noAppend() {
	s.server.learn(func(f *facts) {
		if f.append == wire.Untried {
			f.append = wire.Off
		}
	})
}

// proveAppend shows on a scratch file in dir that APPE appends, and remembers it. A
// server that was seen not to, or that lets no scratch file be made, is Unsupported;
// only the former is remembered. A listing under way may sweep a scratch file away in
// the middle: a server is seen not to append twice.
func (ss *session) proveAppend(dir string) error {
	swept, err := ss.tryAppend(dir, true)
	if swept {
		_, err = ss.tryAppend(dir, false)
	}
	return err
}

func (ss *session) tryAppend(dir string, again bool) (bool, error) {
	s := ss.store
	name := fmt.Sprintf(".ftpfs-%su%08x", s.cfg.MountTag, rand.Uint32())
	full := ss.path(path.Join(dir, name))
	err := ss.stor(full, strings.NewReader("ab"), false)
	if r, no := refusal(err); no {
		return false, unproven(r)
	} else if err != nil {
		return false, err
	}
	proof := ss.appended(full)
	if wire.FaultOf(proof) != nil {
		return false, proof // nobody knows; the leftover is swept as any upload's
	}
	err = ss.dele(full)
	if _, no := refusal(err); no {
		s.log.Debug("a scratch file is left on the server", "path", path.Join(dir, name))
	} else if err != nil {
		return false, err
	}
	if r, no := refusal(proof); no && r.Class() == 4 && (r.Code != 451 || !errors.As(proof, new(notAppended))) {
		return false, unproven(r)
	}
	if _, no := refusal(proof); proof != nil && !no && again {
		return true, proof
	}
	if proof != nil {
		s.noAppend()
		s.log.Info("the server does not append; files that grew are sent whole", "because", proof)
		return false, &remote.Error{Kind: remote.Unsupported, Err: proof}
	}
	s.server.learn(func(f *facts) {
		if lasting(f.greeting) == ss.server {
			f.append = wire.Proven
		}
	})
	return false, nil
}

// unproven is the error where a scratch file shows nothing, because r refused it: a
// trouble of the moment, or a directory in which no file can be made.
func unproven(r wire.Reply) *remote.Error {
	if r.Class() != 4 {
		return as(remote.Unsupported, r)
	}
	if e := refused("upload", r); e.Kind != remote.Unknown {
		return e
	}
	return as(remote.Temporary, r)
}

// notAppended is the refusal of APPE itself, which says 451 on ProFTPD where files are
// not to be appended to; for any other command that is a trouble of the moment.
type notAppended struct{ error }

func (e notAppended) Unwrap() error { return e.error }
func (e notAppended) Error() string { return "APPE: " + e.error.Error() }

// appended adds one byte to a scratch file of two and reads it back.
func (ss *session) appended(full string) error {
	if err := ss.appe(full, strings.NewReader("c")); err != nil {
		return notAppended{err}
	}
	r, err := ss.wire.Cmd("SIZE " + full)
	if err != nil {
		return err
	}
	if n, ok := sizeIn(r); !ok || n != 3 {
		return fmt.Errorf("after APPE of one byte to two, SIZE says %s", r)
	}
	resp, err := ss.retr(full, 0, wire.Transfer{})
	if err != nil {
		return fmt.Errorf("RETR of a scratch file: %w", err)
	}
	got, err := io.ReadAll(io.LimitReader(resp, 16))
	if cerr := ss.settle(resp.Close()); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("RETR of a scratch file: %w", err)
	}
	if string(got) != "abc" {
		return fmt.Errorf("APPE of \"c\" to \"ab\" made %q", got)
	}
	return nil
}
