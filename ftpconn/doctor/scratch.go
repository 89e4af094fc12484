package doctor

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path"
	"regexp"
	"strings"
	"time"

	"ftpfs/cache/remote"
	"ftpfs/ftpconn"
	"ftpfs/ftpconn/wire"
)

// The scratch directory is named for what it is, so that who finds one knows. It begins
// as the mount's temporary files do: a server that refuses such names refuses uploads.
const scratchPrefix = ".ftpfs-doctor-"

var scratchName = regexp.MustCompile(`^\.?ftpfs-doctor-[0-9a-f]{8}$`)

// Scratch says that a name is that of a scratch directory.
func Scratch(name string) bool { return scratchName.MatchString(name) }

// makeScratch makes the scratch directory. The finding says how that went.
func (r *run) makeScratch(ctx context.Context) (Finding, error) {
	name := fmt.Sprintf("%s%08x", scratchPrefix, rand.Uint32())
	refusal, err := r.mkdir(ctx, name)
	if err != nil || r.scratch != "" {
		return Finding{Level: OK, Text: "can be written"}, err
	}
	// Is it the directory that cannot be written, or the name that is not liked?
	visible := strings.TrimPrefix(name, ".")
	second, err := r.mkdir(ctx, visible)
	if err != nil {
		return Finding{}, err
	}
	f := Finding{Level: Problem}
	if r.scratch != "" {
		f.Text = "names that begin with a dot cannot be made, and uploads need them"
		return f.refused("MKD "+r.d.Path("/"+name), refusal, "have the server allow hidden names"), nil
	}
	r.closed = "the directory cannot be written"
	f.Text = "cannot be written"
	f = f.refused("MKD "+r.d.Path("/"+visible), second, "-o ro mounts it read-only; else ask who runs the server for the right to write")
	switch {
	case second.Code == 452 || second.Code == 552:
		f.Text = "cannot be written: no space"
		f.Try = "make room on the server"
	default:
		r.options = append(r.options, Option{"ro", "the directory cannot be written"})
	}
	return f, nil
}

// mkdir makes a directory of ours in the mounted one. A name that is taken is not used.
func (r *run) mkdir(ctx context.Context, name string) (wire.Reply, error) {
	r.scratch, r.maybe = "/"+name, true // until the server has said that it is not there
	reply, err := r.d.Cmd(ctx, "MKD "+r.d.Path(r.scratch))
	switch {
	case err != nil:
	case reply.OK():
		r.maybe = false
	default: // and if it was made all the same it goes
		if _, err = r.d.Cmd(ctx, "RMD "+r.d.Path(r.scratch)); err == nil {
			r.scratch, r.maybe = "", false
		}
	}
	return reply, err
}

// in is the path of a name in the scratch directory.
func (r *run) in(name string) string { return r.scratch + "/" + name }

// put uploads content under a name in the scratch directory. A refusal is returned as f,
// which is otherwise nil.
func (r *run) put(ctx context.Context, name, content string) (*Finding, error) {
	return r.send(ctx, "STOR ", name, 0, content)
}

func (r *run) send(ctx context.Context, verb, name string, offset int64, content string) (*Finding, error) {
	cmd := verb + r.d.Path(r.in(name))
	reply, err := r.d.Upload(ctx, cmd, offset, strings.NewReader(content))
	if err != nil || reply.OK() {
		return nil, err
	}
	if offset > 0 {
		cmd = fmt.Sprintf("REST %d, %s", offset, cmd)
	}
	f := Finding{Level: Problem, Text: "a file could not be written"}.refused(cmd, reply, "ask who runs the server for the right to write; -o ro mounts it read-only")
	if noSpace(reply) {
		f.Text, f.Try = "a file could not be written: no space", "make room on the server, or have the quota raised"
	}
	return &f, nil
}

var spaceWords = regexp.MustCompile(`(?i)quota|no space|space left|disk (is )?full|insufficient`)

func noSpace(r wire.Reply) bool {
	return r.Code == 452 || r.Code == 552 || r.Class() >= 4 && spaceWords.MatchString(r.Text())
}

// get returns up to most bytes of a scratch file.
func (r *run) get(ctx context.Context, name string, offset int64) (string, wire.Reply, error) {
	var b bounded
	reply, err := r.d.Download(ctx, r.in(name), offset, &b)
	if errors.Is(err, errEnough) {
		err = nil
	}
	return string(b), reply, err
}

// bounded keeps what small files have, and not more.
type bounded []byte

var errEnough = errors.New("more than was ever written")

func (b *bounded) Write(p []byte) (int, error) {
	if len(*b)+len(p) > 64<<10 {
		return 0, errEnough
	}
	*b = append(*b, p...)
	return len(p), nil
}

// How often, and for how long at most, the removal is tried anew on another connection.
const removals = 5

// remove takes the scratch directory away, also when the run was ended or its connection
// lost. What stays is named.
func (r *run) remove() {
	if r.scratch == "" {
		return
	}
	if r.cfg.Doing != nil {
		r.cfg.Doing("removing " + path.Base(r.scratch))
	}
	ctx, cancel := context.WithTimeout(r.cfg.Removing, max(2*r.cfg.Server.Timeout, 20*time.Second))
	defer cancel()
	mark := r.watch.mark()
	var err error
	for i := range removals {
		if r.d == nil {
			err = r.login(ctx)
		}
		if r.d != nil {
			if err = clear(ctx, r.d, r.scratch, r.maybe || i > 0, 0); err == nil {
				r.scratch = ""
				return
			}
			r.hangUp()
		}
		if ctx.Err() != nil || remote.Is(err, remote.Auth) {
			break
		}
		select {
		case <-time.After(time.Duration(i) * 500 * time.Millisecond):
		case <-ctx.Done():
		}
	}
	name := strings.TrimPrefix(r.scratch, "/")
	f := Finding{ID: "left", Level: Problem, Text: fmt.Sprintf("%s could not be removed: %s", name, plain(cause(err))),
		Try: "ftpfs doctor --remove " + name + " with the same URL, when the server answers again"}
	if f.Sent, f.Came = r.watch.failure(mark); f.Came == "" && f.Sent != "" {
		f.Came = "no answer"
	}
	r.add(f)
	r.rep.Left = append(r.rep.Left, r.scratch)
	r.scratch = ""
}

// maxDepth of directories within the scratch directory; the probes make one.
const maxDepth = 2

// clear removes dir with all that is in it. mayLack says that it may not be there. Names
// are taken from the listing, as the server may have changed those that it was given;
// those that a listing does not show, or where there is none, are known.
func clear(ctx context.Context, d *ftpconn.Dialogue, dir string, mayLack bool, depth int) error {
	rmd := "RMD " + d.Path(dir)
	first := do(ctx, d, rmd)
	if first == nil || d.Dead() != nil {
		return first
	}
	entries, err := d.List(ctx, dir)
	switch {
	case d.Dead() != nil:
		return err
	case err != nil && mayLack:
		if there, err := present(ctx, d, dir); err != nil || !there {
			return err
		}
	}
	for _, e := range entries {
		full := dir + "/" + e.Name
		if e.Type == remote.Dir && depth < maxDepth {
			err = clear(ctx, d, full, false, depth+1)
		} else {
			err = do(ctx, d, "DELE "+d.Path(full))
		}
		if d.Dead() != nil {
			return err
		}
	}
	if first = do(ctx, d, rmd); first == nil || d.Dead() != nil || depth > 0 {
		return first
	}
	for _, name := range allNames() {
		if err := do(ctx, d, "DELE "+d.Path(dir+"/"+name)); d.Dead() != nil {
			return err
		}
	}
	for _, name := range []string{subName, starName} {
		if err := do(ctx, d, "RMD "+d.Path(dir+"/"+name)); d.Dead() != nil {
			return err
		}
	}
	return do(ctx, d, rmd)
}

func do(ctx context.Context, d *ftpconn.Dialogue, cmd string) error {
	r, err := d.Cmd(ctx, cmd)
	if err == nil && !r.OK() {
		verb, _, _ := strings.Cut(cmd, " ")
		err = fmt.Errorf("%s: %s", verb, plain(r.String()))
	}
	return err
}

// present looks for a name in the listing of the directory above it.
func present(ctx context.Context, d *ftpconn.Dialogue, p string) (bool, error) {
	entries, err := d.List(ctx, path.Dir(p))
	for _, e := range entries {
		if e.Name == path.Base(p) {
			return true, nil
		}
	}
	return false, err
}

// Remove removes a scratch directory that an earlier run has left behind.
func Remove(ctx context.Context, cfg ftpconn.Config, name string) error {
	if !Scratch(name) {
		return fmt.Errorf("%q is not the name of a scratch directory", name)
	}
	s := ftpconn.New(cfg)
	defer s.Close()
	d, err := login(ctx, s, cfg)
	if err != nil {
		return err
	}
	defer d.Close()
	return clear(ctx, d, "/"+name, false, 0)
}
