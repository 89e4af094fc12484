package ftpconn

import (
	"bytes"
	"context"
	"encoding/hex"
	"io"
	"strings"
	"time"

	"ftpfs/cache/remote"
	"ftpfs/ftpconn/wire"
)

// What was uploaded is compared with the server's checksum of it, in the segment that is
// sent before the rename anyway. That costs no round trip, but the server's time: it reads
// the file once more, and sends nothing meanwhile. So it is asked only where that should
// take less than verifyTime (a third of the timeout, if that is less), at the rate at which
// it computed the last large one.

const (
	verifyTime   = 5 * time.Second
	rateBy       = 4 << 20  // bytes of a file whose time tells the rate
	readBackMost = 16 << 20 // bytes that are read back to see who is right
)

// sumQuestion is how a checksum is asked for in a segment.
type sumQuestion struct {
	verb, algorithm string
	cmds            []string // none: it is not asked
}

func (ss *session) sumQuestion(p string, size int64, sum *remote.Checksum) (q sumQuestion) {
	if sum == nil || size <= 0 {
		return q
	}
	k := ss.store.server.known()
	rate := k.sumRate
	if rate == 0 {
		rate = hashRate
	}
	if most := min(verifyTime, ss.store.cfg.Timeout/3); float64(size) > most.Seconds()*float64(rate) {
		return q
	}
	for _, way := range sums {
		if way.algorithm == sum.Algorithm && k.sums(way.verb, way.algorithm) {
			q = sumQuestion{verb: way.verb, algorithm: way.algorithm}
			break
		}
	}
	switch {
	case q.verb == "":
		return q
	case q.verb == "HASH" && ss.hashes != q.algorithm:
		q.cmds = []string{"OPTS HASH " + q.algorithm}
	}
	q.cmds = append(q.cmds, sumCommand(q.verb, ss.path(p)))
	return q
}

func sumCommand(verb, full string) string {
	if verb != "HASH" && strings.Contains(full, " ") {
		full = `"` + full + `"` // a range may follow the name
	}
	return verb + " " + full
}

// compare judges the replies to a sumQuestion. took is how long the segment was under way.
func (ss *session) compare(q sumQuestion, rs []wire.Reply, size int64, want *remote.Checksum, took time.Duration) error {
	if len(q.cmds) == 0 {
		return nil
	}
	r := rs[len(rs)-1]
	if len(rs) == 2 {
		if !rs[0].OK() {
			ss.store.noSum(q.verb, q.algorithm, "it cannot be chosen: "+rs[0].String())
			return nil
		}
		ss.hashes = q.algorithm
	}
	if !r.OK() {
		if kind := kindOf("checksum", r); kind == remote.Unsupported || r.Code == 501 {
			ss.store.noSum(q.verb, q.algorithm, r.String())
		}
		return nil // of this file it will not say
	}
	if size >= rateBy || took > time.Second {
		rate := max(int64(float64(size)/took.Seconds()), 64<<10)
		ss.store.server.learn(func(f *facts) { f.sumRate = rate })
	}
	got, ok := sumIn(r, q.verb, q.algorithm, size)
	if !ok {
		ss.store.noSum(q.verb, q.algorithm, "the reply is not understood: "+r.String())
		return nil
	}
	if !bytes.Equal(got, want.Sum) {
		return fault(remote.Corrupt, "its %s is %x on the server, and %x here", q.algorithm, got, want.Sum)
	}
	return nil
}

// unanswered gives up a way of which no reply came, also if that of the RNFR behind it was
// taken for one.
func (ss *session) unanswered(q sumQuestion, err error) {
	if f := wire.FaultOf(err); f != nil && len(q.cmds) > 0 && f.Fault != wire.Stopped && f.Fault != wire.Surprise && (f.Step == q.verb || f.Step == "RNFR") {
		ss.store.noSum(q.verb, q.algorithm, err.Error())
	}
}

// noSum gives up a way to ask for checksums.
func (s *Store) noSum(verb, algorithm, why string) {
	s.log.Warn("the server's checksums are of no use; they are not asked for this way any more", "command", verb, "algorithm", algorithm, "because", why)
	s.server.learn(func(f *facts) {
		no := map[string]bool{verb + algorithm: true}
		for k := range f.noSum {
			no[k] = true
		}
		f.noSum = no // known gives out the old one
	})
}

// lies reads an uploaded file back, of which the server told another checksum, and gives
// the server's checksums of that kind up if it is what was sent after all.
func (s *Store) lies(ctx context.Context, tmp string, size int64, want *remote.Checksum) bool {
	if size > readBackMost {
		return false
	}
	r, err := s.Open(ctx, tmp, 0, nil)
	if err != nil {
		return false
	}
	defer r.Close()
	h := want.Hash()
	if n, err := io.Copy(h, io.LimitReader(r, size+1)); err != nil || n != size || !bytes.Equal(h.Sum(nil), want.Sum) {
		return false
	}
	for _, way := range sums {
		if k := s.server.known(); way.algorithm == want.Algorithm && k.sums(way.verb, way.algorithm) {
			s.noSum(way.verb, way.algorithm, "of a file that reads back as it was sent it told another sum than "+hex.EncodeToString(want.Sum))
		}
	}
	return true
}

// sum is the algorithm by which uploads are compared, "" for none.
func (f *facts) sum() string {
	for _, way := range sums {
		if f.sums(way.verb, way.algorithm) {
			return way.algorithm
		}
	}
	return ""
}
