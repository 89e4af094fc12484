package cache

import (
	"context"
	"io"
	"path"
	"strings"
	"sync/atomic"
	"testing"

	"ftpfs/cache/remote"
	"ftpfs/cache/remote/mem"
)

// delivering is a store whose deliveries a test looks into: at each, with the upload done.
type delivering struct {
	*mem.Store
	uploaded func(tmp string, d remote.Delivery) (out remote.Published, agreed bool, err error)
}

func (s *delivering) Deliver(ctx context.Context, tmp string, r io.Reader, d remote.Delivery) (out remote.Published, agreed bool, err error) {
	if err := s.Write(ctx, tmp, r, 0, d.Foreseen.Size); err != nil {
		return out, false, err
	}
	return s.uploaded(tmp, d)
}

func mountDelivering(t *testing.T) (*mount, *delivering) {
	t.Helper()
	s := &delivering{Store: mem.New(mem.Options{Sums: "SHA-256"})}
	m := &mount{t: t, store: s.Store, cfg: testConfig(t)}
	tree, err := New(m.cfg, s)
	if err != nil {
		t.Fatal(err)
	}
	m.Tree = tree
	t.Cleanup(m.stop)
	return m, s
}

// What is about to be published is on record before it is: if no answer comes, and the daemon is killed, the
// next one knows the file on the server for its own.
func TestADeliveryWithoutAnAnswerBeforeACrash(t *testing.T) {
	m, s := mountDelivering(t)
	delivered := make(chan struct{})
	s.uploaded = func(tmp string, d remote.Delivery) (remote.Published, bool, error) {
		ctx, p, ok := d.Ready()
		if !ok || p.Path != "/f" || p.Size != 7 || p.Sum == nil || !d.Foreseen.Foresaw(&p) {
			t.Errorf("ready: %v, %+v; foreseen %+v", ok, p, d.Foreseen)
		}
		if _, err := s.Publish(ctx, tmp, p); err != nil {
			t.Error(err)
		}
		close(delivered)
		<-ctx.Done() // the answer never comes
		return remote.Published{}, true, &remote.Error{Kind: remote.Down}
	}
	m.must(m.write("/f", []byte("content")))
	<-delivered
	m.crash()
	m.sync()
	m.onServer("/f", "content")
	if n := len(m.Status().Conflicts); n != 0 {
		t.Errorf("%d conflicts", n)
	}
}

// A file is not frozen for its publication while a connection is held if that has to be waited for, and what was
// written meanwhile is not published as what was sent: both go on in the ordinary way.
func TestADeliveryThatIsNotReady(t *testing.T) {
	for what, meddle := range map[string]func(m *mount) (undo func()){
		"a directory is being renamed": func(m *mount) func() {
			m.must(m.gate.Acquire(context.Background(), gateAll))
			return func() { m.gate.Release(gateAll) }
		},
		"the file is frozen": func(m *mount) func() {
			n, err := m.walk("/f")
			m.must(err)
			m.must(n.file.freeze(context.Background()))
			return func() { n.file.thaw(); m.Forget(n) }
		},
		"the file was written": func(m *mount) func() {
			m.must(m.write("/f", []byte("newer content")))
			return func() {}
		},
	} {
		t.Run(what, func(t *testing.T) {
			m, s := mountDelivering(t)
			var refused atomic.Int32
			meddled := make(chan struct{})
			s.uploaded = func(tmp string, d remote.Delivery) (out remote.Published, agreed bool, err error) {
				if refused.Load() == 0 {
					undo := meddle(m)
					if _, _, ok := d.Ready(); ok {
						t.Error("it is ready all the same")
					}
					refused.Add(1)
					undo()
					close(meddled)
					return out, false, nil
				}
				ctx, p, ok := d.Ready()
				if !ok {
					return out, false, nil
				}
				out, err = s.Publish(ctx, tmp, p)
				return out, true, err
			}
			m.must(m.write("/f", []byte("content")))
			<-meddled // before somebody waits for it: then it is sent as it stood
			m.sync()
			want := "content"
			if strings.Contains(what, "written") {
				want = "newer content"
			}
			m.onServer("/f", want)
			m.wantRead("/f", want)
			if refused.Load() != 1 {
				t.Error("nothing was refused")
			}
			for _, name := range s.Disk().Paths() {
				if isTemp(path.Base(name)) {
					t.Errorf("%s is left", name)
				}
			}
		})
	}
}
