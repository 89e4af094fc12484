package ftpconn

import (
	"context"
	"encoding/hex"
	"strconv"
	"strings"
	"time"

	"ftpfs/cache/remote"
	"ftpfs/ftpconn/wire"
)

// sums are the commands for checksums by the trust in them. HASH
// (draft-bryan-ftpext-hash) does several; which, FEAT says.
var sums = []struct{ verb, algorithm string }{
	{"HASH", "SHA-256"}, {"HASH", "SHA-512"}, {"XSHA256", "SHA-256"}, {"XSHA512", "SHA-512"},
	{"HASH", "SHA-1"}, {"XSHA1", "SHA-1"}, {"XSHA", "SHA-1"}, {"HASH", "MD5"}, {"XMD5", "MD5"}, {"MD5", "MD5"}, {"HASH", "CRC32"}, {"XCRC", "CRC32"},
}

// hashRate is how fast a server surely computes a checksum: it sends no byte while
// it does, so a file for which it might need longer than the timeout is not asked for.
const hashRate = 20 << 20 // bytes a second

// Checksum asks in the best way that FEAT names. A way whose reply cannot be
// understood is not used again.
func (s *Store) Checksum(ctx context.Context, p string, size int64) (sum remote.Checksum, err error) {
	t := task{op: "checksum", path: p, class: read, again: true}
	if err := validPath(p); err != nil {
		return sum, s.fail(t, err)
	}
	if size > int64(s.cfg.Timeout/time.Second+1)*hashRate {
		return sum, s.fail(t, fault(remote.Unsupported, "a checksum of %d bytes may take longer than the timeout", size))
	}
	err = s.run(ctx, t, func(ss *session) (err error) {
		sum, err = ss.checksum(p, size)
		return err
	})
	return sum, err
}

func (ss *session) checksum(p string, size int64) (remote.Checksum, error) {
	for _, way := range sums {
		if k := ss.store.server.known(); !k.sums(way.verb, way.algorithm) {
			continue
		}
		sum, ok, err := ss.sumBy(way.verb, way.algorithm, p, size)
		if err != nil || ok {
			return sum, err
		}
		ss.store.noSum(way.verb, way.algorithm, "not understood, or not there")
	}
	return remote.Checksum{}, fault(remote.Unsupported, "this server offers no checksum")
}

// sums says whether FEAT names the command and the algorithm, and neither failed.
func (f *facts) sums(verb, algorithm string) bool {
	if !f.has(verb) || f.noSum[verb+algorithm] {
		return false
	}
	if verb != "HASH" {
		return true
	}
	for a := range strings.SplitSeq(f.features["HASH"], ";") {
		if strings.EqualFold(strings.TrimSuffix(strings.TrimSpace(a), "*"), algorithm) {
			return true
		}
	}
	return false
}

// sumBy asks in one way. Not ok: the server does not have it after all, or its
// answer is none. What it refuses for this file alone is Unsupported.
func (ss *session) sumBy(verb, algorithm, p string, size int64) (sum remote.Checksum, ok bool, err error) {
	full := ss.path(p)
	if verb == "HASH" && ss.hashes != algorithm {
		r, err := ss.wire.Cmd("OPTS HASH " + algorithm)
		if err != nil || !r.OK() {
			return sum, false, err
		}
		ss.hashes = algorithm
	}
	rs, err := ss.wire.Batch("SIZE "+full, sumCommand(verb, full))
	if err != nil {
		ss.unanswered(sumQuestion{verb: verb, algorithm: algorithm, cmds: []string{verb}}, err)
		return sum, false, err
	}
	n, known := sizeIn(rs[0])
	switch {
	case known && n != size:
		return sum, false, fault(remote.Changed, "%d bytes on the server, %d expected", n, size)
	case !known:
		return sum, false, ss.notRead(p, rs[0], sure(rs[0]))
	}
	r := rs[1]
	if !r.OK() {
		if kind := kindOf("checksum", r); kind == remote.Unsupported || r.Code == 501 {
			return sum, false, nil
		}
		return sum, false, as(remote.Unsupported, r)
	}
	sum.Algorithm = algorithm
	sum.Sum, ok = sumIn(r, verb, algorithm, size)
	return sum, ok, nil
}

// sumIn reads a reply to HASH, "213 SHA-256 0-49 HEX NAME", or to one of the older
// commands, whose text is the sum alone, or words among which just one is of its
// length.
func sumIn(r wire.Reply, verb, algorithm string, size int64) ([]byte, bool) {
	length := (remote.Checksum{Algorithm: algorithm}).Hash().Size()
	words := strings.Fields(r.Text())
	if verb == "HASH" { // ProFTPD: "213-Computing SHA-256 digest" comes before
		words = strings.Fields(r.Lines[len(r.Lines)-1])
		if len(words) < 4 || !strings.EqualFold(words[0], algorithm) || !wholeRange(words[1], size) {
			return nil, false
		}
		b, err := hex.DecodeString(words[2])
		return b, err == nil && len(b) == length
	}
	var found []byte
	for _, w := range words {
		if len(w) != 2*length {
			continue
		}
		if b, err := hex.DecodeString(w); err == nil {
			if found != nil {
				return nil, false
			}
			found = b
		}
	}
	return found, found != nil
}

// wholeRange takes both ways to count the last byte.
func wholeRange(s string, size int64) bool {
	from, to, _ := strings.Cut(s, "-")
	n, err := strconv.ParseInt(to, 10, 64)
	return from == "0" && err == nil && (n == size || n == size-1)
}
