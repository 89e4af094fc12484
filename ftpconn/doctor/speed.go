package doctor

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"math/rand/v2"
	"slices"
	"time"

	"ftpfs/cache/remote"
	"ftpfs/ftpconn"
)

// roundTrip is the median of some NOOPs.
func (r *run) roundTrip(ctx context.Context) (Finding, error) {
	const n = 9
	var took []time.Duration
	for range n {
		begun := time.Now()
		if _, err := r.d.Cmd(ctx, "NOOP"); err != nil {
			return Finding{}, err
		}
		took = append(took, time.Since(begun))
	}
	slices.Sort(took)
	d := took[n/2]
	r.rep.Facts.RoundTrip = float64(d) / float64(time.Millisecond)
	return Finding{Level: OK, Text: fmt.Sprintf("%s (median of %d, from %s to %s)", brief(d), n, brief(took[0]), brief(took[n-1]))}, nil
}

// Throughput is measured with whole files, each larger than the one before while that
// takes no longer than about speedTime: what a socket's buffer holds is not on the server.
const speedTime = 4 * time.Second

// speed sends a file, and gets it again.
func (r *run) speed(ctx context.Context) (Finding, error) {
	most := r.cfg.Most
	if free := r.rep.Facts.Free; free != nil {
		most = min(most, *free/10)
	}
	bound := ""
	for _, rate := range []int64{r.cfg.Server.Rates.Up, r.cfg.Server.Rates.Down} {
		if rate > 0 {
			most, bound = min(most, rate*int64(speedTime/time.Second)), ", within bwlimit"
		}
	}
	cmd := "STOR " + r.d.Path(r.in("speed"))
	f := Finding{Level: OK}
	var size int64
	var sent hash.Hash
	var up time.Duration
	for next := min(64<<10, most); next > size; {
		h := sha256.New()
		begun := time.Now()
		reply, err := r.d.Upload(ctx, cmd, 0, io.TeeReader(&noise{left: next, src: rand.New(rand.NewPCG(uint64(next), 1))}, h))
		took := time.Since(begun)
		if err != nil {
			return f, err
		}
		if !reply.OK() {
			if size == 0 {
				return Finding{Level: Problem, Text: fmt.Sprintf("a file of %s could not be written", bytesText(next))}.refused(cmd, reply, "is there room on the server?"), nil
			}
			f.Level = Note
			f = f.refused(cmd, reply, "make room on the server")
			f.More = append(f.More, fmt.Sprintf("a file of %s could not be written", bytesText(next)))
			break
		}
		size, sent, up = next, h, took
		next = min(most, size*16, int64(float64(size)*float64(speedTime)/float64(max(took, time.Millisecond))))
		if next < 2*size {
			break
		}
	}
	if size == 0 {
		return Finding{Level: Unknown, Text: "not tried: no space"}, nil
	}
	if f.Level == Note { // what is there now is a part
		if no, err := r.resend(ctx, size); no != nil || err != nil {
			return deref(no), err
		}
	}
	got := sha256.New()
	begun := time.Now()
	reply, err := r.d.Download(ctx, r.in("speed"), 0, got)
	down := time.Since(begun)
	if err != nil {
		return f, err
	}
	facts := &r.rep.Facts
	facts.Up, facts.Down = float64(size)/up.Seconds(), float64(size)/down.Seconds()
	f.Text = fmt.Sprintf("%s up, %s down, with a file of %s%s", rate(facts.Up), rate(facts.Down), bytesText(size), bound)
	switch {
	case !reply.OK():
		return Finding{Level: Problem, Text: "a file could not be read"}.refused("RETR "+r.d.Path(r.in("speed")), reply, "ask who runs the server for the right to download"), nil
	case string(got.Sum(nil)) != string(sent.Sum(nil)):
		return Finding{Level: Problem, Text: fmt.Sprintf("a file of %s came back with other bytes than were sent", bytesText(size)), Sent: "TYPE I, STOR, RETR", Came: plain(reply.String()),
			Try: "do not use this server before that is explained: it, or something between, changes content"}, nil
	}
	return f, nil
}

// resend puts the last file again that could be written.
func (r *run) resend(ctx context.Context, size int64) (*Finding, error) {
	cmd := "STOR " + r.d.Path(r.in("speed"))
	reply, err := r.d.Upload(ctx, cmd, 0, &noise{left: size, src: rand.New(rand.NewPCG(uint64(size), 1))})
	if err != nil || reply.OK() {
		return nil, err
	}
	f := Finding{Level: Problem, Text: "files cannot be written any more"}.refused(cmd, reply, "make room on the server")
	return &f, nil
}

func rate(x float64) string { return bytesText(int64(x)) + "/s" }

// noise is content that nothing between can make shorter; the same for the same size.
type noise struct {
	left int64
	src  *rand.Rand
}

func (n *noise) Read(p []byte) (int, error) {
	if n.left == 0 {
		return 0, io.EOF
	}
	p = p[:min(int64(len(p)), n.left)]
	for i := 0; i < len(p); i += 8 {
		v := n.src.Uint64()
		for j := i; j < min(i+8, len(p)); j++ {
			p[j] = byte(v)
			v >>= 8
		}
	}
	n.left -= int64(len(p))
	return len(p), nil
}

// pace is the least time between two logins.
const pace = 150 * time.Millisecond

// connections opens as many as a mount would, and no more, and closes them.
func (r *run) connections(ctx context.Context) (Finding, error) {
	most := r.cfg.Server.MaxConns
	if most <= 0 {
		most = 8
	}
	had := []*ftpconn.Dialogue{r.d}
	defer func() {
		for _, d := range had[1:] {
			d.Close()
		}
	}()
	answering := func() (n int) { // some servers close another one instead; and none is to idle
		for _, d := range had {
			if _, err := d.Cmd(ctx, "NOOP"); err == nil {
				n++
			}
		}
		return n
	}
	mark := r.watch.mark()
	var err error
	for len(had) < most {
		select {
		case <-time.After(pace):
		case <-ctx.Done():
			return Finding{}, ctx.Err()
		}
		mark = r.watch.mark()
		var d *ftpconn.Dialogue
		if d, err = r.store.Dialogue(ctx); err != nil {
			break
		}
		had = append(had, d)
		answering()
	}
	sent, came := r.watch.failure(mark)
	alive := answering()
	kind := remote.KindOf(err)
	refused := err != nil && (kind == remote.Temporary || kind == remote.Auth)
	facts := &r.rep.Facts
	facts.Connections, facts.Capped, r.uncounted = alive, refused, err != nil && !refused
	f := Finding{Level: OK, Text: fmt.Sprintf("%d at once; more were not asked for", alive)}
	if err == nil {
		return f, nil
	}
	count := fmt.Sprintf("%d at once", alive)
	if n := r.others(); n > 0 { // which the server counts too
		count += fmt.Sprintf(" beside %d of mounts here", n)
		alive += n
		facts.Connections = alive
	}
	f.Level, f.Text = Note, count+"; one more is refused"
	if f.Sent, f.Came = sent, came; came == "" {
		f.Sent, f.Came = cmp.Or(sent, "(connect)"), plain(cause(err))
	}
	switch {
	case alive == 1:
		f.More = []string{"a read, an upload and ls take turns on it"}
		f.Try = "end other clients of this account, mounts too, or have the server allow more"
	case alive < 3:
		f.More = []string{"one of them is kept for ls and the like, so that one transfer goes at a time"}
	}
	if !refused {
		f.Text, f.More = count+"; then no further connection could be made", nil
		f.Try = "try again; if logins are slow, with a longer timeout="
	}
	return f, nil
}
