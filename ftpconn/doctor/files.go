package doctor

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"ftpfs/ftpconn/wire"
)

const tenBytes = "0123456789"

// rename publishes over a file that is there.
func (r *run) rename(ctx context.Context) (Finding, error) {
	for name, text := range map[string]string{"new": "newer", "old": "old"} {
		if f, err := r.put(ctx, name, text); f != nil || err != nil {
			return deref(f), err
		}
	}
	reply, err := r.move(ctx, "new", "old")
	if err != nil {
		return Finding{}, err
	}
	got, _, err := r.get(ctx, "old", 0)
	if err != nil {
		return Finding{}, err
	}
	there, err := present(ctx, r.d, r.in("new"))
	if err != nil {
		return Finding{}, err
	}
	over := reply.OK() && got == "newer" && !there
	r.rep.Facts.Replaces = &over
	switch {
	case over:
		return Finding{Level: OK, Text: "replaces the file in one step"}, nil
	case reply.OK():
		return Finding{Level: Problem, Text: fmt.Sprintf("said to be done, but the old name has %q afterwards", escape(got)), Sent: plain("RNTO " + r.d.Path(r.in("old"))),
			Came: plain(reply.String()), Try: "do not write to this server through a mount"}, nil
	}
	if no, err := r.move(ctx, "new", "free"); err != nil || !no.OK() {
		return Finding{Level: Problem, Text: "nothing can be renamed, and uploads need that"}.refused("RNTO "+r.d.Path(r.in("free")), no,
			"ask who runs the server for the right to rename"), err
	}
	return Finding{Level: Note, Text: "refused; the mount moves the old file aside first, and the name is absent for a moment"}.refused("RNTO "+r.d.Path(r.in("old")), reply, ""), nil
}

// restart reads a file from its middle.
func (r *run) restart(ctx context.Context) (Finding, error) {
	if f, err := r.put(ctx, "read", tenBytes); f != nil || err != nil {
		return deref(f), err
	}
	got, reply, err := r.get(ctx, "read", 4)
	if err != nil {
		return Finding{}, err
	}
	works := reply.OK() && got == tenBytes[4:]
	r.rep.Facts.Restart = &works
	switch {
	case works:
		return Finding{Level: OK, Text: "downloads begin where they are asked to"}, nil
	case reply.OK():
		return Finding{Level: Problem, Text: fmt.Sprintf("from byte 4 on it sent %q, which is wrong", escape(got)), Sent: "REST 4, RETR", Came: plain(reply.String()),
			Try: "do not read from this server through a mount: programs that seek get wrong bytes"}, nil
	}
	whole, again, err := r.get(ctx, "read", 0)
	if err != nil {
		return Finding{}, err
	}
	f := Finding{Level: Note, Text: "refused; who reads from the middle of a file waits for its beginning to pass by"}.refused("REST 4", reply, "have the server allow REST")
	if !again.OK() || whole != tenBytes {
		f = Finding{Level: Problem, Text: "files cannot be read"}.refused("RETR "+r.d.Path(r.in("read")), again, "ask who runs the server for the right to download")
	}
	return f, nil
}

// appending shows that APPE appends, as the mount does before it relies on it.
func (r *run) appending(ctx context.Context) (Finding, error) {
	mark := r.watch.mark()
	err := r.d.ProveAppend(ctx, r.scratch)
	if wire.FaultOf(err) != nil {
		return Finding{}, err
	}
	works := err == nil
	r.rep.Facts.Append = &works
	if works {
		return Finding{Level: OK, Text: "what is new in a file that grew is sent alone"}, nil
	}
	f := Finding{Level: Note, Text: "refused; a file that grew is sent whole"}
	if f.Sent, f.Came = r.watch.failure(mark); f.Sent == "" {
		f.Text = "does not append; a file that grew is sent whole"
		f.Sent, f.Came = "APPE", plain(cause(errors.Unwrap(err)))
	}
	if r.is("proftpd") {
		f.Try = "AllowStoreRestart on, in the server's configuration"
	}
	return f, nil
}

func (r *run) is(product string) bool { return strings.EqualFold(r.rep.Facts.Software, product) }

// patch writes into the middle of a file, which the mount never does to a file of
// somebody's: whoever asks wants to know what would happen.
func (r *run) patch(ctx context.Context) (Finding, error) {
	if f, err := r.put(ctx, "patch", tenBytes); f != nil || err != nil {
		return deref(f), err
	}
	no, err := r.send(ctx, "STOR ", "patch", 4, "ab")
	if err != nil {
		return Finding{}, err
	}
	const off = "not used by the mount, which sends such a file whole"
	if no != nil {
		r.rep.Facts.Patch = "refused"
		f := *no
		f.Level, f.Text, f.Try = OK, "refused; "+off, ""
		return f, nil
	}
	got, _, err := r.get(ctx, "patch", 0)
	if err != nil {
		return Finding{}, err
	}
	f := Finding{Level: OK}
	switch got {
	case "0123ab6789":
		r.rep.Facts.Patch, f.Text = "works", "works; "+off
	case "0123ab":
		r.rep.Facts.Patch, f.Text = "truncates", "cuts the file behind what was written; "+off
	default:
		r.rep.Facts.Patch, f.Text = "wrong", fmt.Sprintf("makes %q of %q; %s", escape(got), tenBytes, off)
	}
	return f, nil
}

// noSums is what a mount does without.
const noSums = "nothing: the mount compares uploads by what it can use, by their size at least"

// sums compares the server's checksums with our own.
func (r *run) sums(ctx context.Context) (Finding, error) {
	if f, err := r.put(ctx, "read", tenBytes); f != nil || err != nil {
		return deref(f), err
	}
	mark := r.watch.mark()
	all, err := r.d.Sums(ctx, r.in("read"), int64(len(tenBytes)))
	if err != nil {
		if wire.FaultOf(err) != nil {
			return Finding{}, err
		}
		f := Finding{Level: Note, Text: "not understood: " + plain(cause(err)), Try: noSums}
		f.Sent, f.Came = r.watch.failure(mark)
		return f, nil
	}
	var right, hashes, wrong, mute []string
	for _, s := range all {
		h := s.Hash()
		h.Write([]byte(tenBytes))
		way := s.Verb
		if way == "HASH" {
			way += " " + s.Algorithm
		}
		switch {
		case s.Sum == nil:
			mute = append(mute, way)
		case string(h.Sum(nil)) == string(s.Sum):
			if right = append(right, way); s.Verb == "HASH" {
				hashes = append(hashes, s.Algorithm)
			}
		default:
			wrong = append(wrong, way)
		}
	}
	r.rep.Facts.Sums = right
	var short []string
	if len(hashes) > 0 {
		short = []string{"HASH (" + strings.Join(hashes, ", ") + ")"}
	}
	for _, way := range right {
		if !strings.HasPrefix(way, "HASH ") {
			short = append(short, way)
		}
	}
	f := Finding{Level: OK, Text: strings.Join(short, ", ")}
	if len(all) == 0 {
		f.Text = "none told of by FEAT"
	} else if len(right) == 0 {
		f.Text = "none that can be used"
	}
	if len(mute) > 0 {
		f.Level = Note
		f.More = append(f.More, "told of by FEAT, and not understood: "+strings.Join(mute, ", "))
		f.Sent, f.Came = r.watch.failure(mark)
		f.Try = noSums
	}
	if len(wrong) > 0 {
		f.Level = Problem
		f.More = append(f.More, "wrong: "+strings.Join(wrong, ", "))
		f.Try = "ask who runs the server: uploads may be taken for damaged"
	}
	return f, nil
}

// space asks what is free.
func (r *run) space(ctx context.Context) (Finding, error) {
	sp, err := r.d.Space(ctx)
	if err != nil {
		if wire.FaultOf(err) != nil {
			return Finding{}, err
		}
		return Finding{Level: OK, Text: "not told"}, nil
	}
	f := Finding{Level: OK}
	if sp.Free >= 0 {
		r.rep.Facts.Free = &sp.Free
		f.Text = bytesText(sp.Free) + " free"
	}
	if sp.Total >= 0 {
		r.rep.Facts.Total = &sp.Total
		f.Text += " of " + bytesText(sp.Total)
	}
	if sp.Free >= 0 && sp.Free < 1<<20 {
		f.Level, f.Try = Problem, "make room on the server, or have the quota raised"
	}
	return f, nil
}

func bytesText(n int64) string {
	const unit = 1024
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	x, i := float64(n)/unit, 0
	for ; x >= unit && i < 4; i++ {
		x /= unit
	}
	if x >= 10 {
		return fmt.Sprintf("%.0f %ciB", x, "KMGTP"[i])
	}
	return fmt.Sprintf("%.1f %ciB", x, "KMGTP"[i])
}
