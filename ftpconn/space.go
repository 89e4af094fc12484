package ftpconn

import (
	"context"
	"regexp"
	"strconv"
	"strings"

	"ftpfs/cache/remote"
	"ftpfs/ftpconn/wire"
)

// Statfs asks AVBL, else SITE QUOTA; what the server does not have is not asked
// again.
func (s *Store) Statfs(ctx context.Context) (sp remote.Space, err error) {
	t := task{op: "statfs", path: "/", class: metadata, again: true}
	if k := s.server.known(); k.noAvbl && k.noQuota {
		return sp, s.fail(t, fault(remote.Unsupported, "this server does not tell its space"))
	}
	err = s.run(ctx, t, func(ss *session) (err error) {
		sp, err = ss.space()
		return err
	})
	return sp, err
}

func (ss *session) space() (remote.Space, error) {
	s := ss.store
	k := s.server.known()
	if !k.noAvbl && k.has("AVBL") {
		r, err := ss.wire.Cmd("AVBL " + ss.path("/"))
		if err != nil {
			return remote.Space{}, err
		}
		if n, ok := sizeIn(r); ok {
			return remote.Space{Total: -1, Free: n}, nil
		}
		if r.Class() == 4 { // of this moment
			return remote.Space{}, as(remote.Temporary, r)
		}
	}
	s.server.learn(func(f *facts) { f.noAvbl = true })
	if !k.noQuota {
		r, err := ss.wire.Cmd("SITE QUOTA")
		if err != nil {
			return remote.Space{}, err
		}
		if sp, ok := quotaIn(r); ok {
			return sp, nil
		}
		if r.Class() == 4 {
			return remote.Space{}, as(remote.Temporary, r)
		}
		s.server.learn(func(f *facts) { f.noQuota = true })
	}
	return remote.Space{}, fault(remote.Unsupported, "this server does not tell its space")
}

// quotaLine is ProFTPD's: "Uploaded Mb:	1.50/100.00".
var quotaLine = regexp.MustCompile(`(?i)uploaded\s+(bytes|kb|mb|gb):\s*([0-9.]+)/([0-9.]+)`)

func quotaIn(r wire.Reply) (remote.Space, bool) {
	m := quotaLine.FindStringSubmatch(r.Text())
	if !r.OK() || m == nil {
		return remote.Space{}, false
	}
	unit := map[string]float64{"bytes": 1, "kb": 1 << 10, "mb": 1 << 20, "gb": 1 << 30}[strings.ToLower(m[1])]
	used, err1 := strconv.ParseFloat(m[2], 64)
	limit, err2 := strconv.ParseFloat(m[3], 64)
	if err1 != nil || err2 != nil || limit <= 0 {
		return remote.Space{}, false
	}
	return remote.Space{Total: int64(limit * unit), Free: int64(max(0, limit-used) * unit)}, true
}
